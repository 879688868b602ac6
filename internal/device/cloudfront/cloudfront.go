// Package cloudfront makes URLs of files (device.Addresses) at a CloudFront distribution for
// the bucket: signed URLs with a canned policy. The private key signs them; its public key is
// in a key group that the distribution trusts. Keys are RSA of 2,048 bits or ECDSA P-256, in
// PEM (PKCS #1, SEC 1 or PKCS #8).
//
// A file's path is its key; its version is the query parameter versionId, which the
// distribution must pass on to S3. The signature covers it.
//
// A Signer is safe for concurrent use. It reads its key for the first URL, and again after
// some minutes, so that the key can be replaced. No error contains a key or a URL.
//
// Source: Amazon CloudFront Developer Guide, "Create a signed URL using a canned policy" and
// "Specify signers that can create signed URLs and signed cookies" (read 2026-11).
package cloudfront

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"

	"github.com/fleetstep/fleetstep/internal/device"
)

// Keys gives the private key, in PEM.
type Keys interface {
	Secret(ctx context.Context) (string, error)
}

// Config is what a Signer needs.
type Config struct {
	Base string // address of the distribution, with a path if need be, without a slash at the end
	Pair string // id of the public key
	Keys Keys
	Now  func() time.Time
}

// keyLasts is how long a key is used before it is read again.
const keyLasts = 5 * time.Minute

// Limits of an address's life: no shorter than it takes to begin, no longer than a
// stolen one may be of use.
const (
	shortest = 15 * time.Minute
	longest  = 12 * time.Hour
)

// Signer is a device.Addresses.
type Signer struct {
	Config
	base *url.URL

	mu    sync.Mutex
	key   crypto.Signer
	until time.Time
}

// New checks that nothing is missing.
func New(c Config) (*Signer, error) {
	base, err := url.Parse(c.Base)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cloudfront: base address: %w", err)
	case base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" ||
		strings.HasSuffix(base.Path, "/"):
		return nil, fmt.Errorf("cloudfront: base address %q: want https://host/path, no slash at the end",
			c.Base)
	case c.Pair == "" || c.Keys == nil || c.Now == nil:
		return nil, errors.New("cloudfront: a signer needs the id of its public key, the private key and a clock")
	}
	return &Signer{Config: c, base: base}, nil
}

// Address implements device.Addresses.
func (s *Signer) Address(ctx context.Context, f device.File) (string, error) {
	key, err := s.signer(ctx)
	if err != nil {
		return "", fmt.Errorf("device/cloudfront.Address: %w", err)
	}
	plain := s.base.JoinPath(strings.Split(f.Key, "/")...)
	if f.Version != "" {
		plain.RawQuery = url.Values{"versionId": {f.Version}}.Encode()
	}
	expires := s.Now().Add(min(max(f.Lasts, shortest), longest))
	signed, err := sign.NewURLSigner(s.Pair, key).Sign(plain.String(), expires)
	if err != nil {
		return "", fmt.Errorf("device/cloudfront.Address: %s: %w", f.Key, err)
	}
	return signed, nil
}

// signer reads the key where none is known, or the known one has been so for long. No lock is held over the read: two
// that come at once both read, and one of them stays.
func (s *Signer) signer(ctx context.Context) (crypto.Signer, error) {
	now := s.Now()
	if key := s.known(now); key != nil {
		return key, nil
	}
	text, err := s.Keys.Secret(ctx)
	if err != nil {
		return nil, err
	}
	key, err := parse(text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.until = key, now.Add(keyLasts)
	return key, nil
}

func (s *Signer) known(now time.Time) crypto.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.until) {
		return s.key
	}
	return nil
}

// errKey says what is wanted, and nothing of what was there.
var errKey = errors.New("the private key is no PEM of an RSA key of 2048 bits or an ECDSA key on P-256")

func parse(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errKey
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return fit(key)
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return fit(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errKey
	}
	return fit(key)
}

// fit is a key that CloudFront takes.
func fit(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() == 2048 {
			return k, nil
		}
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize == 256 {
			return k, nil
		}
	}
	return nil, errKey
}
