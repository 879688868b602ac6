package kms

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	keys    = store.NewTable[key]("kms.key").Versions(store.JSON)     // key: key id
	aliases = store.NewTable[alias]("kms.alias").Versions(store.JSON) // key: name, with "alias/"
)

// key is a KMS key with its material.
type key struct {
	ID          string
	Description string `json:",omitempty"`
	Usage       string // ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC
	Spec        string // SYMMETRIC_DEFAULT, RSA_2048, ECC_NIST_P256, HMAC_256, ...
	Manager     string // CUSTOMER, AWS
	Policy      string
	Enabled     bool
	Created     time.Time
	Deletion    time.Time         // when it will be gone; zero if it stays
	Tags        map[string]string `json:",omitempty"`
	// Backing is the material: of a symmetric key one for each rotation, the newest last; else one, in PKCS #8 or, for
	// HMAC, as it is.
	Backing [][]byte

	Rotation      bool `json:",omitempty"`
	RotationDays  int  `json:",omitempty"`
	RotationSince time.Time
}

type alias struct {
	Name             string
	KeyID            string
	Created, Updated time.Time
}
