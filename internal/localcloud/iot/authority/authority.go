// Package authority is the certificate authority of the local cloud. It signs the certificates
// of devices and of the broker's listener, and makes the RSA keys that
// CreateKeysAndCertificate returns.
//
// Keys depend only on the given randomness, and signatures only on what is signed, so that
// runs in virtual time repeat. Certificates of devices expire at the end of 2049, as AWS's do;
// a listener's is valid for a year. The only I/O is reading randomness. The package is safe
// for concurrent use if the source of randomness is.
//
// Source: AWS IoT developer guide, "Create AWS IoT client certificates"; RFC 6979.
package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// DeviceSubject is the subject of a device's certificate whose key AWS IoT made.
var DeviceSubject = pkix.Name{CommonName: "AWS IoT Certificate"}

var (
	subject = pkix.Name{Organization: []string{"Local cloud"}, CommonName: "Local cloud IoT root CA"}
	// deviceNotAfter is when AWS's device certificates end.
	deviceNotAfter = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

// signer is a P-256 key whose signatures follow from what is signed (RFC 6979).
type signer struct{ *ecdsa.PrivateKey }

// Sign implements crypto.Signer.
func (s signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(nil, digest, opts)
}

// newSigner makes a key of the authority or of a server. It is made when a cloud starts, and an RSA key takes as long
// as all else together.
func newSigner(random io.Reader) (signer, error) {
	b := make([]byte, 32)
	for {
		if _, err := io.ReadFull(random, b); err != nil {
			return signer{}, err
		}
		// Fails for 0 and for more than the curve's order.
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return signer{key}, nil
		}
	}
}

// Authority is a certificate authority.
type Authority struct {
	random      io.Reader
	key         crypto.Signer
	certificate *x509.Certificate
}

// New makes an authority, and its certificate (DER) and key, from which Open makes it again.
func New(random io.Reader, now time.Time) (certificate, key []byte, err error) {
	s, err := newSigner(random)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(30, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if certificate, err = x509.CreateCertificate(random, template, template, s.Public(), s); err != nil {
		return nil, nil, fmt.Errorf("make CA: %w", err)
	}
	if key, err = x509.MarshalECPrivateKey(s.PrivateKey); err != nil {
		return nil, nil, fmt.Errorf("encode CA key: %w", err)
	}
	return certificate, key, nil
}

// Open returns the authority with a certificate and a key, which may be an RSA key as older versions made.
func Open(random io.Reader, certificate, key []byte) (*Authority, error) {
	a := &Authority{random: random}
	if old, err := x509.ParsePKCS1PrivateKey(key); err == nil {
		a.key = old
	} else if own, err := x509.ParseECPrivateKey(key); err == nil {
		a.key = signer{own}
	} else {
		return nil, fmt.Errorf("key of the CA: %w", err)
	}
	var err error
	if a.certificate, err = x509.ParseCertificate(certificate); err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	return a, nil
}

// PEM is the authority's certificate, which devices must trust.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// serial draws a serial number.
func (a *Authority) serial() (*big.Int, error) {
	b := make([]byte, 20)
	_, err := io.ReadFull(a.random, b)
	b[0] &= 0x7f
	b[0] |= 0x40
	return new(big.Int).SetBytes(b), err
}

// Sign makes a device's certificate (DER).
func (a *Authority) Sign(now time.Time, subject pkix.Name, public any) ([]byte, error) {
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(a.random, &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-2 * time.Minute), NotAfter: deviceNotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.certificate, public, a.key)
}

// Server makes a certificate for a TLS listener, for localhost, the loopback addresses and further hosts (names or IP
// addresses).
func (a *Authority) Server(now time.Time, hosts ...string) (tls.Certificate, error) {
	key, err := newSigner(a.random)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make server key: %w", err)
	}
	serial, err := a.serial()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make server certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(a.random, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, bytes.Clone(a.certificate.Raw)}, PrivateKey: key.PrivateKey}, nil
}

const keyBits = 2048

// DeviceKey makes a device's RSA key from the randomness alone. Go's generator has a source of its own, so that its
// keys differ from run to run.
func DeviceKey(random io.Reader) (*rsa.PrivateKey, error) {
	e := big.NewInt(65537)
	one := big.NewInt(1)
	for {
		p, err := prime(random)
		if err != nil {
			return nil, err
		}
		q, err := prime(random)
		if err != nil {
			return nil, err
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if p.Cmp(q) == 0 || d == nil || n.BitLen() != keyBits {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key, key.Validate()
	}
}

// prime draws a prime of half the key's length with its two top bits set.
func prime(random io.Reader) (*big.Int, error) {
	b := make([]byte, keyBits/16)
	for {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		b[0] |= 0xc0
		b[len(b)-1] |= 1
		p := new(big.Int).SetBytes(b)
		// The next odd numbers are tried before all is drawn anew, which costs more.
		for range 512 {
			if p.ProbablyPrime(10) {
				return p, nil
			}
			p.Add(p, big.NewInt(2))
		}
	}
}
