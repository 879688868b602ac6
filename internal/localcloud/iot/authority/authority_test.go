package authority

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seeded(seed byte) *mathrand.ChaCha8 { return mathrand.NewChaCha8([32]byte{seed}) }

func open(t *testing.T, seed byte) *Authority {
	t.Helper()
	random := seeded(seed)
	certificate, key, err := New(random, now)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(random, certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOneSeedIsOneAuthority(t *testing.T) {
	device := func(seed byte) []byte {
		random := seeded(seed)
		key, err := DeviceKey(random)
		if err != nil {
			t.Fatal(err)
		}
		a := open(t, seed)
		der, err := a.Sign(now, DeviceSubject, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	if !bytes.Equal(device(1), device(1)) || bytes.Equal(device(1), device(2)) {
		t.Error("a certificate does not follow from the seed")
	}
}

func TestCertificatesAreTheAuthoritys(t *testing.T) {
	a := open(t, 1)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's certificate cannot be read")
	}
	key, err := DeviceKey(seeded(3))
	if err != nil || key.N.BitLen() != 2048 {
		t.Fatalf("a key of %d bits, %v", key.N.BitLen(), err)
	}
	der, err := a.Sign(now, DeviceSubject, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if leaf.NotAfter.Year() != 2049 {
		t.Errorf("a device's certificate ends %v", leaf.NotAfter)
	}
	server, err := a.Server(now, "cloud.example", "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(server.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "cloud.example", "192.0.2.7"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestAnAuthorityOfAnOlderVersionIsOpened(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotAfter: now}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(seeded(1), der, x509.MarshalPKCS1PrivateKey(key))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(a.PEM()); !bytes.Equal(block.Bytes, der) {
		t.Error("another certificate")
	}
	if _, err := Open(seeded(1), der, []byte("no key")); err == nil {
		t.Error("no key was taken for one")
	}
	if _, err := Open(seeded(1), []byte("no certificate"), x509.MarshalPKCS1PrivateKey(key)); err == nil {
		t.Error("no certificate was taken for one")
	}
}

type broken struct{}

var errBroken = errors.New("no randomness")

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestWithoutRandomnessNothingIsMade(t *testing.T) {
	if _, _, err := New(broken{}, now); !errors.Is(err, errBroken) {
		t.Errorf("an authority: %v", err)
	}
	if _, err := DeviceKey(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("a key: %v", err)
	}
	a := open(t, 1)
	a.random = broken{}
	if _, err := a.Server(now); !errors.Is(err, errBroken) {
		t.Errorf("a server's certificate: %v", err)
	}
	if _, err := a.Sign(now, DeviceSubject, a.key.Public()); !errors.Is(err, errBroken) {
		t.Errorf("a device's certificate: %v", err)
	}
}
