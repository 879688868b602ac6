package kms

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Any implements awsapi.Keys: whether the account has a key of its own.
func (s *Service) Any() bool { return s.own.Load() }

// counted finds out whether the account has a key of its own.
func (s *Service) counted() error {
	return s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range keys.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Manager != "AWS" {
				s.own.Store(true)
				return nil
			}
		}
		return nil
	})
}

// Use implements awsapi.Keys. It makes the call that a service makes on behalf of its caller: who is asked,
// what counts and what is answered are those of that call. What is decrypted is nothing, encrypted for it.
func (s *Service) Use(ctx context.Context, id awsapi.Identity, name, action string,
	encryption map[string]string) error {
	in := map[string]any{"KeyId": name}
	switch action {
	case "GenerateDataKey":
		in["KeySpec"], in["EncryptionContext"] = "AES_256", encryption
	case "Decrypt":
		k, err := s.use(name, "ENCRYPT_DECRYPT", action)
		if err != nil {
			return err
		}
		blob, _, err := s.encryptWith(k, "", []byte{0}, encryption)
		if err != nil {
			return err
		}
		in["CiphertextBlob"], in["EncryptionContext"] = blob, encryption
	}
	_, err := s.config.Caller.Call(ctx, id, "kms", action, in)
	return err
}
