package cloudfront_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/device/cloudfront"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// secret is Keys.
type secret struct {
	pem   string
	err   error
	reads int
}

func (s *secret) Secret(context.Context) (string, error) { s.reads++; return s.pem, s.err }

func encoded(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encoded("PRIVATE KEY", der, err)
}

func sec1(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalECPrivateKey(key)
	return encoded("EC PRIVATE KEY", der, err)
}

func pkcs1(key *rsa.PrivateKey) string {
	return encoded("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil)
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verify does what CloudFront does with a signed URL: it takes the address without what
// the signature added, builds the canned policy, and verifies. Source: CloudFront Developer
// Guide, "Create a signed URL using a canned policy" (read 2026-11): the policy is JSON
// without spaces, its signature base64 with - _ ~ for + = /.
func verify(address string, public crypto.PublicKey) (plain string, expires time.Time, err error) {
	plain, added, ok := strings.Cut(address, "Expires=")
	if !ok {
		return "", time.Time{}, errors.New("no Expires")
	}
	plain = strings.TrimRight(plain, "?&")
	q, err := url.ParseQuery("Expires=" + added)
	if err != nil {
		return "", time.Time{}, err
	}
	seconds, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil || len(q) != 3 || q.Get("Key-Pair-Id") != "K2JCJMDEHXQW5F" {
		return "", time.Time{}, fmt.Errorf("parameters %v", q)
	}
	signature, err := base64.StdEncoding.DecodeString(
		strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(q.Get("Signature")))
	if err != nil {
		return "", time.Time{}, err
	}
	policy := fmt.Sprintf(`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, plain, seconds)
	sum := sha1.Sum([]byte(policy))
	switch k := public.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPKCS1v15(k, crypto.SHA1, sum[:], signature)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, sum[:], signature) {
			err = errors.New("the signature is another's")
		}
	}
	return plain, time.Unix(seconds, 0).UTC(), err
}

func signer(t *testing.T, base string, keys cloudfront.Keys, now func() time.Time) *cloudfront.Signer {
	t.Helper()
	s, err := cloudfront.New(cloudfront.Config{Base: base, Pair: "K2JCJMDEHXQW5F", Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAddressesAreSigned(t *testing.T) {
	r, e := rsaKey(t, 2048), ecKey(t, elliptic.P256())
	image := device.File{Bucket: "firmware", Key: "2/gate way.bin", Version: "v7/+", Lasts: time.Hour}
	for name, c := range map[string]struct {
		pem    string
		public crypto.PublicKey
	}{
		"RSA in PKCS #1": {pkcs1(r), &r.PublicKey}, "RSA in PKCS #8": {pkcs8(r), &r.PublicKey},
		"ECDSA in SEC 1": {sec1(e), &e.PublicKey}, "ECDSA in PKCS #8": {pkcs8(e), &e.PublicKey},
	} {
		s := signer(t, "https://d1.example.net/images", &secret{pem: c.pem}, func() time.Time { return noon })
		address, err := s.Address(t.Context(), image)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plain, expires, err := verify(address, c.public)
		want := "https://d1.example.net/images/2/gate%20way.bin?versionId=v7%2F%2B"
		if err != nil || plain != want || !expires.Equal(noon.Add(time.Hour)) {
			t.Errorf("%s: %s until %v: %v", name, plain, expires, err)
		}
		if _, _, err := verify(strings.Replace(address, "gate", "bait", 1), c.public); err == nil {
			t.Errorf("%s: the signature is for any file", name)
		}
	}
}

func TestAddressesLastAsLongAsADownloadMayTakeToBegin(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	s := signer(t, "https://d1.example.net", &secret{pem: sec1(key)}, func() time.Time { return noon })
	for lasts, want := range map[time.Duration]time.Duration{
		0: 15 * time.Minute, time.Hour: time.Hour, 48 * time.Hour: 12 * time.Hour,
	} {
		address, err := s.Address(t.Context(), device.File{Key: "2/a.bin", Lasts: lasts})
		if err != nil {
			t.Fatal(err)
		}
		plain, expires, err := verify(address, &key.PublicKey)
		if err != nil || plain != "https://d1.example.net/2/a.bin" || expires.Sub(noon) != want {
			t.Errorf("%v: %s until %v, %v", lasts, plain, expires, err)
		}
	}
}

func TestAKeyCanBeReplaced(t *testing.T) {
	now, first, second := noon, ecKey(t, elliptic.P256()), rsaKey(t, 2048)
	keys := &secret{pem: sec1(first)}
	s := signer(t, "https://d1.example.net", keys, func() time.Time { return now })
	ask := func(public crypto.PublicKey) error {
		address, err := s.Address(t.Context(), device.File{Key: "2/a.bin"})
		if err == nil {
			_, _, err = verify(address, public)
		}
		return err
	}
	for range 3 {
		if err := ask(&first.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	if keys.reads != 1 {
		t.Errorf("the key was read %d times", keys.reads)
	}
	keys.pem = pkcs1(second)
	now = now.Add(5 * time.Minute)
	if err := ask(&second.PublicKey); err != nil {
		t.Errorf("after five minutes: %v", err)
	}
}

func TestErrorsHoldNoKey(t *testing.T) {
	refused := errors.New("no right")
	small, curve := pkcs1(rsaKey(t, 1024)), sec1(ecKey(t, elliptic.P384()))
	for name, k := range map[string]*secret{
		"no right": {err: refused}, "no PEM": {pem: "MIIEvQ"}, "a short key": {pem: small},
		"another curve": {pem: curve},
		"a public key":  {pem: encoded("PUBLIC KEY", []byte("MIIEvQ"), nil)},
	} {
		s := signer(t, "https://d1.example.net", k, func() time.Time { return noon })
		_, err := s.Address(t.Context(), device.File{Key: "2/a.bin"})
		if err == nil || k.err != nil && !errors.Is(err, k.err) || strings.Contains(err.Error(), "MII") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASignerIsComplete(t *testing.T) {
	good := cloudfront.Config{Base: "https://d1.example.net/x", Pair: "K1", Keys: &secret{}, Now: time.Now}
	if _, err := cloudfront.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*cloudfront.Config){
		"plain http": func(c *cloudfront.Config) { c.Base = "http://d1.example.net" },
		"no host":    func(c *cloudfront.Config) { c.Base = "https:///x" },
		"a slash":    func(c *cloudfront.Config) { c.Base += "/" },
		"a query":    func(c *cloudfront.Config) { c.Base += "?a" },
		"no address": func(c *cloudfront.Config) { c.Base = "%" },
		"no pair":    func(c *cloudfront.Config) { c.Pair = "" },
		"no keys":    func(c *cloudfront.Config) { c.Keys = nil },
		"no clock":   func(c *cloudfront.Config) { c.Now = nil },
	} {
		c := good
		change(&c)
		if _, err := cloudfront.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
