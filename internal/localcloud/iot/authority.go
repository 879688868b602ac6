package iot

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

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	authoritySubject = pkix.Name{Organization: []string{"Local cloud"}, CommonName: "Local cloud IoT root CA"}
	deviceSubject    = pkix.Name{CommonName: "AWS IoT Certificate"}
	// deviceNotAfter is when AWS's device certificates end.
	deviceNotAfter = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

const keyBits = 2048

// signer is a P-256 key whose signatures follow from what is signed (RFC 6979),
// so that virtual runs repeat.
type signer struct{ *ecdsa.PrivateKey }

// Sign implements crypto.Signer.
func (s signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(nil, digest, opts)
}

// newSigner makes a key of the authority's or of its server. It is made when a
// cloud starts, and an RSA key takes as long as all else together.
func (s *Service) newSigner() (signer, error) {
	b := make([]byte, 32)
	for {
		if _, err := s.sched.Read(b); err != nil {
			return signer{}, err
		}
		// fails for 0 and for more than the curve's order
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return signer{key}, nil
		}
	}
}

// parseSigner reads the authority's key.
func parseSigner(a authority) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(a.Key); err == nil { // as it was made once
		return key, nil
	}
	key, err := x509.ParseECPrivateKey(a.Key)
	return signer{key}, err
}

// newKey makes a device's RSA key from the scheduler's randomness. Go's generator has
// a source of its own, which would make virtual runs differ.
func (s *Service) newKey() (*rsa.PrivateKey, error) {
	if !s.sched.Virtual() {
		return rsa.GenerateKey(s.sched, keyBits)
	}
	e := big.NewInt(65537)
	one := big.NewInt(1)
	for {
		p, q := s.prime(), s.prime()
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
func (s *Service) prime() *big.Int {
	b := make([]byte, keyBits/16)
	for {
		_, _ = s.sched.Read(b) // never fails in virtual mode
		b[0] |= 0xc0
		b[len(b)-1] |= 1
		p := new(big.Int).SetBytes(b)
		// Looking at the numbers above saves drawing each anew.
		for range 512 {
			if p.ProbablyPrime(10) {
				return p
			}
			p.Add(p, big.NewInt(2))
		}
	}
}

// authority returns the certificate authority, making it the first time.
func (s *Service) authority() (*localCA, error) {
	s.caMu.Lock()
	defer s.caMu.Unlock()
	if s.ca != nil {
		return s.ca, nil
	}
	var a authority
	var found bool
	err := s.db.View(func(tx *store.Tx) (err error) {
		a, found, err = authorityTable.Get(tx, single)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		key, err := s.newSigner()
		if err != nil {
			return nil, fmt.Errorf("iot: make CA key: %w", err)
		}
		now := s.sched.Now()
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: authoritySubject, NotBefore: now.Add(-time.Hour),
			NotAfter: now.AddDate(30, 0, 0),
			IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		der, err := x509.CreateCertificate(s.sched, template, template, key.Public(), key)
		if err != nil {
			return nil, fmt.Errorf("iot: make CA: %w", err)
		}
		a = authority{Certificate: der, Serial: 1}
		if a.Key, err = x509.MarshalECPrivateKey(key.PrivateKey); err != nil {
			return nil, fmt.Errorf("iot: encode CA key: %w", err)
		}
		if err := s.db.Update(func(tx *store.Tx) error { return authorityTable.Put(tx, a, single) }); err != nil {
			return nil, err
		}
	}
	ca := &localCA{pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate})}
	if ca.key, err = parseSigner(a); err != nil {
		return nil, fmt.Errorf("iot: CA key of the store: %w", err)
	}
	if ca.certificate, err = x509.ParseCertificate(a.Certificate); err != nil {
		return nil, fmt.Errorf("iot: CA of the store: %w", err)
	}
	s.ca = ca
	return ca, nil
}

// serial draws a serial number.
func (s *Service) serial() *big.Int {
	b := make([]byte, 20)
	_, _ = s.sched.Read(b)
	b[0] &= 0x7f
	b[0] |= 0x40
	return new(big.Int).SetBytes(b)
}

// sign makes a device certificate.
func (s *Service) sign(subject pkix.Name, public any) ([]byte, error) {
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(s.sched, &x509.Certificate{
		SerialNumber: s.serial(), Subject: subject, NotBefore: s.sched.Now().Add(-2 * time.Minute),
		NotAfter:              deviceNotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.certificate, public, ca.key)
}

// CA returns the certificate that devices must trust, in PEM form.
func (s *Service) CA() ([]byte, error) {
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	return bytes.Clone(ca.pem), nil
}

// ServerCertificate makes a certificate for the broker's TLS listener, for
// localhost, the loopback addresses and further hosts (names or IP addresses).
func (s *Service) ServerCertificate(hosts ...string) (tls.Certificate, error) {
	ca, err := s.authority()
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := s.newSigner()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("iot: make server key: %w", err)
	}
	now := s.sched.Now()
	template := &x509.Certificate{
		SerialNumber: s.serial(), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
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
	der, err := x509.CreateCertificate(s.sched, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("iot: make server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.certificate.Raw}, PrivateKey: key.PrivateKey}, nil
}
