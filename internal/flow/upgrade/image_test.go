package upgrade_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

func TestSourcesAreThoseThatTheStackAllows(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, c := range []struct {
		hosts, url string
		allowed    bool
	}{
		{"", "https://images.example.com/1", false},
		{"images.example.com", "https://images.example.com/1", true},
		{"images.example.com", "https://IMAGES.example.com:443/1", true},
		{"images.example.com", "https://images.example.com:8443/1", false},
		{"images.example.com:8443", "https://images.example.com:8443/1", true},
		{"images.example.com", "https://images.example.com.evil.org/1", false},
		{"images.example.com", "https://evil.org/images.example.com/1", false},
		{"a.org,*.example.com", "https://cdn.example.com/1", true},
		{"*.example.com", "https://example.com/1", false},
		{"*.example.com", "https://evilexample.com/1", false},
		{"*", "https://anywhere/1", true},
		{"*", "http://anywhere/1", false}, // in the clear
		{"*", "https://a%zz/1", false},
	} {
		a := newShelf()
		if c.hosts != "" {
			a.rules.Hosts = strings.Split(c.hosts, ",")
		}
		problems := a.asked(t, `{"version":"2","url":"`+c.url+`","sha256":"`+sum+`"}`)
		if c.allowed != (problems == nil) || problems != nil && paths(problems) != "$.firmware.url" {
			t.Errorf("hosts %q, %s: %v", c.hosts, c.url, problems)
		}
	}
}

func TestTheObjectsOwnHashIsTheOneThatCounts(t *testing.T) {
	a := newShelf()
	a.promised = map[string]string{"metadata sha256": strings.Repeat("b", 64), "checksum in S3": a.sha}
	problems := a.asked(t, `{"version":"2.0.0"}`)
	if paths(problems) != "$.firmware.s3" || !strings.Contains(problems.Error(), "metadata sha256") {
		t.Errorf("got %v", problems)
	}
}

// key makes a signer and its public key as the stack's parameter has it.
func key(t *testing.T, make func() (crypto.Signer, error)) (crypto.Signer, string) {
	t.Helper()
	k, err := make()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, base64.StdEncoding.EncodeToString(der)
}

func p256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
func ed() (crypto.Signer, error)   { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }

func TestSignaturesAreVerified(t *testing.T) {
	ec, ecText := key(t, p256)
	edward, edText := key(t, ed)
	stranger, _ := key(t, p256)
	keys, err := upgrade.ParseKeys(ecText + ", " + edText)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	digest, err := hex.DecodeString(newShelf().sha)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k crypto.Signer, how crypto.SignerOpts, what []byte) string {
		s, err := k.Sign(rand.Reader, what, how)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(s)
	}
	other := append([]byte{1}, digest[1:]...)
	both := upgrade.Rules{Keys: keys, SignatureRequired: true}
	for name, c := range map[string]struct {
		rules     upgrade.Rules
		signature string
		mistake   string // in it
	}{
		"ECDSA":                  {both, sign(ec, crypto.SHA256, digest), ""},
		"Ed25519":                {both, sign(edward, crypto.Hash(0), digest), ""},
		"of another image":       {both, sign(ec, crypto.SHA256, other), "by one of the 2 keys"},
		"of another image, Ed":   {both, sign(edward, crypto.Hash(0), other), "by one of the 2 keys"},
		"by a stranger":          {both, sign(stranger, crypto.SHA256, digest), "by one of the 2 keys"},
		"no signature at all":    {both, "AAAA", "by one of the 2 keys"},
		"missing":                {both, "", "required"},
		"missing, not required":  {upgrade.Rules{Keys: keys}, "", ""},
		"wrong, not required":    {upgrade.Rules{Keys: keys}, sign(stranger, crypto.SHA256, digest), "by one of"},
		"nobody could verify it": {upgrade.Rules{}, sign(ec, crypto.SHA256, digest), "no keys"},
	} {
		a := newShelf()
		a.rules = c.rules
		f := `{"version":"2.0.0"}`
		if c.signature != "" {
			f = `{"version":"2.0.0","signature":"` + c.signature + `"}`
		}
		problems := a.asked(t, f)
		if c.mistake == "" {
			if problems != nil {
				t.Errorf("%s: %v", name, problems)
			}
			continue
		}
		if paths(problems) != "$.firmware.signature" || !strings.Contains(problems.Error(), c.mistake) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestKeysOfOtherKindsAreRefused(t *testing.T) {
	_, p384 := key(t, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) })
	_, rsaKey := key(t, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	_, good := key(t, ed)
	for _, text := range []string{p384, rsaKey, "!", "AAAA", good + ",", good + "," + p384} {
		if keys, err := upgrade.ParseKeys(text); err == nil || !strings.Contains(err.Error(), "key ") {
			t.Errorf("%s: %d keys, %v", text, len(keys), err)
		}
	}
	if keys, err := upgrade.ParseKeys(" "); err != nil || len(keys) != 0 {
		t.Errorf("of nothing: %d keys, %v", len(keys), err)
	}
}
