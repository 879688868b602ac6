// Package kms is AWS Key Management Service: symmetric keys, RSA and elliptic-curve keys, and
// keys for HMAC, with real cryptography of Go's standard library. The keys are in the store of
// the local cloud, not encrypted. What they encrypt is as safe as the data folder.
//
// A key's policy decides first, as on AWS. The policies of a role or user count only if the
// key's policy gives the decision to the account; otherwise even the account's root may not
// use the key. The keys alias/aws/<service> are made at their first use. Only that service may
// use them, on behalf of its callers.
//
// A ciphertext of a symmetric key is: version (1 byte, 1), key id (36 bytes), number of the backing key (4 bytes, big
// endian), nonce (12 bytes), AES-256-GCM with the encryption context as additional data: each pair, sorted by key, as
// length (4 bytes) and text of key and value. Symmetric keys, data keys and nonces come from the
// scheduler, so that one seed is one run; asymmetric ones come from the Go library, which draws on
// its own.
//
// A key that is scheduled for deletion is gone at its deletion date, and automatic rotation
// happens at the first use after its time. There are no timers; both dates are checked at each
// use. Rotation adds a backing key; older ciphertexts stay readable.
//
// Errors are AWS's codes with status 400 (errors.go). The service is safe for concurrent use.
//
// Not built: grants, imported key material, key stores, multi-Region keys, key agreement,
// ECC_SECG_P256K1, SM2, post-quantum keys.
//
// Source: AWS Key Management Service API Reference and Developer Guide (2026-11).
package kms
