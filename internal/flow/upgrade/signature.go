package upgrade

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// Key is a public key that verifies signatures of images: ECDSA on P-256, whose
// signature is ASN.1, or Ed25519. What is signed is the image's SHA-256, its 32
// bytes: for ECDSA as the digest, for Ed25519 as the message. finder checks the
// signature of a payload (image.go).
//
// ECDSA:
//
//	openssl dgst -sha256 -sign ecdsa.pem image | base64 -w0
//
// Ed25519:
//
//	openssl dgst -sha256 -binary image > digest
//	openssl pkeyutl -sign -rawin -inkey ed25519.pem -in digest | base64 -w0
type Key struct{ public any }

// ParseKeys reads public keys, separated by commas: each in base64, the DER of its
// SubjectPublicKeyInfo, which is the body of a PEM file "PUBLIC KEY" in one line.
//
//	openssl pkey -pubin -in public.pem -outform DER | base64 -w0
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for i, one := range strings.Split(text, ",") {
		der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		public, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		switch k := public.(type) {
		case ed25519.PublicKey:
		case *ecdsa.PublicKey:
			if k.Curve != elliptic.P256() {
				return nil, fmt.Errorf("key %d: ECDSA on %s; P-256 and Ed25519 are known", i+1, k.Curve.Params().Name)
			}
		default:
			return nil, fmt.Errorf("key %d: %T; ECDSA P-256 and Ed25519 are known", i+1, public)
		}
		keys = append(keys, Key{public})
	}
	return keys, nil
}

// Verify reports whether the key's owner signed a digest.
func (k Key) Verify(digest, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, digest, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	}
	return false
}
