package sts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// chunks checks the signatures of a body's chunks, the first of which covers the signature of the request. Source:
// Amazon S3 API reference, "Transferring Payload in Multiple Chunks" and "Including Trailing Headers" (2026-11).
type chunks struct {
	key   []byte
	scope string
	last  string // signature
}

func newChunks(key []byte, sig signature) *chunks {
	return &chunks{key: key, scope: sig.scope(), last: hex.EncodeToString(sig.signed)}
}

// Chunk implements awsapi.Chunks.
func (c *chunks) Chunk(sum []byte, signature string) bool {
	none := sha256.Sum256(nil)
	return c.next("-PAYLOAD\n", hex.EncodeToString(none[:])+"\n"+hex.EncodeToString(sum), signature)
}

// Trailer implements awsapi.Chunks.
func (c *chunks) Trailer(sum []byte, signature string) bool {
	return c.next("-TRAILER\n", hex.EncodeToString(sum), signature)
}

func (c *chunks) next(kind, hashes, signature string) bool {
	c.last = hex.EncodeToString(mac(c.key, []byte(algorithm+kind+c.scope+c.last+"\n"+hashes)))
	return hmac.Equal([]byte(c.last), []byte(signature))
}
