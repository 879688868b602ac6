package kms

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha1" // of RSAES_OAEP_SHA_1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

const (
	maxPlaintext = 4096
	maxMessage   = 4096
	format       = 1
	header       = 1 + 36 + 4 + 12
	symmetric    = "SYMMETRIC_DEFAULT"
)

// context is an encryption context as additional data.
func additional(context map[string]string) []byte {
	var out []byte
	for _, k := range slices.Sorted(maps.Keys(context)) {
		for _, text := range []string{k, context[k]} {
			out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
			out = append(out, text...)
		}
	}
	return out
}

func gcm(material []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(material)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts with a symmetric key.
func (s *Service) seal(k key, plaintext []byte, context map[string]string) ([]byte, error) {
	k, err := s.rotated(k)
	if err != nil {
		return nil, err
	}
	number := len(k.Backing) - 1
	aead, err := gcm(k.Backing[number])
	if err != nil {
		return nil, err
	}
	nonce, err := s.random(aead.NonceSize())
	if err != nil {
		return nil, err
	}
	out := append([]byte{format}, k.ID...)
	out = binary.BigEndian.AppendUint32(out, uint32(number))
	out = append(out, nonce...)
	return aead.Seal(out, nonce, plaintext, additional(context)), nil
}

// keyOf is the id of the key that a ciphertext was made with.
func keyOf(blob []byte) (string, error) {
	if len(blob) < header || blob[0] != format {
		return "", badCiphertext()
	}
	return string(blob[1:37]), nil
}

// open decrypts what seal made.
func (k key) open(blob []byte, context map[string]string) ([]byte, error) {
	id, err := keyOf(blob)
	if err != nil || id != k.ID {
		return nil, badCiphertext()
	}
	number := binary.BigEndian.Uint32(blob[37:41])
	if int(number) >= len(k.Backing) {
		return nil, badCiphertext()
	}
	aead, err := gcm(k.Backing[number])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, blob[41:header], blob[header:], additional(context))
	if err != nil {
		return nil, badCiphertext()
	}
	return plaintext, nil
}

// rotated is a key after the automatic rotations that are due.
func (s *Service) rotated(k key) (key, error) {
	if !k.Rotation || s.config.Scheduler.Now().Before(k.next()) {
		return k, nil
	}
	return s.change(k.ID, func(now *key) error { return s.rotate(now) })
}

func (k key) next() time.Time { return k.RotationSince.Add(time.Duration(k.RotationDays) * day) }

func (s *Service) rotate(k *key) error {
	b, err := s.random(sizes[symmetric])
	k.Backing = append(k.Backing, b)
	k.RotationSince = s.config.Scheduler.Now()
	return err
}

type (
	encryptIn struct {
		KeyID               string            `json:"KeyId" api:"min=1,max=2048"`
		Plaintext           []byte            `json:"Plaintext" api:"min=1,max=4096,hidden"`
		EncryptionContext   map[string]string `json:"EncryptionContext"`
		EncryptionAlgorithm string            `json:"EncryptionAlgorithm" api:"set=encryption algorithms"`
		GrantTokens         []string          `json:"GrantTokens" api:"max=10,each.min=1,each.max=8192"`
		DryRun              bool              `json:"DryRun"`
	}
	encryptOut struct {
		CiphertextBlob      []byte `json:"CiphertextBlob"`
		KeyID               string `json:"KeyId"`
		EncryptionAlgorithm string `json:"EncryptionAlgorithm"`
	}
	decryptIn struct {
		KeyID               string            `json:"KeyId" api:"min=1,max=2048"`
		CiphertextBlob      []byte            `json:"CiphertextBlob" api:"min=1,max=6144"`
		EncryptionContext   map[string]string `json:"EncryptionContext"`
		EncryptionAlgorithm string            `json:"EncryptionAlgorithm" api:"set=encryption algorithms"`
		GrantTokens         []string          `json:"GrantTokens" api:"max=10,each.min=1,each.max=8192"`
		Recipient           map[string]any    `json:"Recipient"`
		DryRun              bool              `json:"DryRun"`
	}
	decryptOut struct {
		KeyID               string `json:"KeyId"`
		Plaintext           []byte `json:"Plaintext"`
		EncryptionAlgorithm string `json:"EncryptionAlgorithm"`
	}
	reEncryptIn struct {
		CiphertextBlob                 []byte            `json:"CiphertextBlob" api:"min=1,max=6144"`
		SourceKeyID                    string            `json:"SourceKeyId" api:"min=1,max=2048"`
		SourceEncryptionContext        map[string]string `json:"SourceEncryptionContext"`
		SourceEncryptionAlgorithm      string            `json:"SourceEncryptionAlgorithm" api:"set=encryption algorithms"`
		DestinationKeyID               string            `json:"DestinationKeyId" api:"min=1,max=2048"`
		DestinationEncryptionContext   map[string]string `json:"DestinationEncryptionContext"`
		DestinationEncryptionAlgorithm string            `json:"DestinationEncryptionAlgorithm" api:"set=encryption algorithms"`
		DryRun                         bool              `json:"DryRun"`
	}
	reEncryptOut struct {
		CiphertextBlob                 []byte `json:"CiphertextBlob"`
		SourceKeyID                    string `json:"SourceKeyId"`
		KeyID                          string `json:"KeyId"`
		SourceEncryptionAlgorithm      string `json:"SourceEncryptionAlgorithm"`
		DestinationEncryptionAlgorithm string `json:"DestinationEncryptionAlgorithm"`
	}
	dataKeyIn struct {
		KeyID             string            `json:"KeyId" api:"min=1,max=2048"`
		KeySpec           string            `json:"KeySpec" api:"values=AES_128|AES_256"`
		NumberOfBytes     int               `json:"NumberOfBytes" api:"min=1,max=1024"`
		EncryptionContext map[string]string `json:"EncryptionContext"`
		GrantTokens       []string          `json:"GrantTokens" api:"max=10,each.min=1,each.max=8192"`
		Recipient         map[string]any    `json:"Recipient"`
		DryRun            bool              `json:"DryRun"`
	}
	dataKeyOut struct {
		CiphertextBlob []byte `json:"CiphertextBlob"`
		Plaintext      []byte `json:"Plaintext,omitempty"`
		KeyID          string `json:"KeyId"`
	}
	randomIn struct {
		NumberOfBytes int `json:"NumberOfBytes" api:"min=1,max=1024"`
	}
	randomOut struct {
		Plaintext []byte `json:"Plaintext"`
	}
	signIn struct {
		KeyID            string   `json:"KeyId" api:"min=1,max=2048"`
		Message          []byte   `json:"Message" api:"min=1,max=4096,hidden"`
		MessageType      string   `json:"MessageType" api:"values=DIGEST|EXTERNAL_MU|RAW"`
		Signature        []byte   `json:"Signature" api:"min=1,max=6144"`
		SigningAlgorithm string   `json:"SigningAlgorithm" api:"set=signing algorithms"`
		GrantTokens      []string `json:"GrantTokens" api:"max=10,each.min=1,each.max=8192"`
		DryRun           bool     `json:"DryRun"`
	}
	signOut struct {
		KeyID            string `json:"KeyId"`
		Signature        []byte `json:"Signature"`
		SigningAlgorithm string `json:"SigningAlgorithm"`
	}
	verifyOut struct {
		KeyID            string `json:"KeyId"`
		SignatureValid   bool   `json:"SignatureValid"`
		SigningAlgorithm string `json:"SigningAlgorithm"`
	}
	publicKeyOut struct {
		KeyID                 string   `json:"KeyId"`
		PublicKey             []byte   `json:"PublicKey"`
		CustomerMasterKeySpec string   `json:"CustomerMasterKeySpec"`
		KeySpec               string   `json:"KeySpec"`
		KeyUsage              string   `json:"KeyUsage"`
		EncryptionAlgorithms  []string `json:"EncryptionAlgorithms,omitempty"`
		SigningAlgorithms     []string `json:"SigningAlgorithms,omitempty"`
	}
	macIn struct {
		KeyID        string `json:"KeyId" api:"min=1,max=2048"`
		Message      []byte `json:"Message" api:"min=1,max=4096,hidden"`
		Mac          []byte `json:"Mac" api:"min=1,max=6144"`
		MacAlgorithm string `json:"MacAlgorithm" api:"values=HMAC_SHA_224|HMAC_SHA_256|HMAC_SHA_384|HMAC_SHA_512"`
		DryRun       bool   `json:"DryRun"`
	}
	macOut struct {
		KeyID        string `json:"KeyId"`
		Mac          []byte `json:"Mac"`
		MacAlgorithm string `json:"MacAlgorithm"`
	}
	verifyMacOut struct {
		KeyID        string `json:"KeyId"`
		MacValid     bool   `json:"MacValid"`
		MacAlgorithm string `json:"MacAlgorithm"`
	}
)

var oaep = map[string]crypto.Hash{"RSAES_OAEP_SHA_1": crypto.SHA1, "RSAES_OAEP_SHA_256": crypto.SHA256}

// encryptWith encrypts with a key of either kind.
func (s *Service) encryptWith(k key, algorithm string, plaintext []byte, context map[string]string) ([]byte,
	string, error) {
	if k.Spec == symmetric {
		if algorithm != "" && algorithm != symmetric {
			return nil, "", awsapi.Errorf("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.",
				algorithm, k.Spec)
		}
		blob, err := s.seal(k, plaintext, context)
		return blob, symmetric, err
	}
	hash, ok := oaep[algorithm]
	if !ok {
		return nil, "", awsapi.Errorf("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.",
			algorithm, k.Spec)
	}
	if len(context) > 0 {
		return nil, "", invalid("EncryptionContext is not supported with asymmetric keys")
	}
	private, err := k.private()
	if err != nil {
		return nil, "", err
	}
	public := &private.(*rsa.PrivateKey).PublicKey
	if limit := public.Size() - 2*hash.Size() - 2; len(plaintext) > limit {
		return nil, "", invalid("Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", algorithm,
			k.Spec, limit)
	}
	blob, err := rsa.EncryptOAEP(hash.New(), s.config.Scheduler, public, plaintext, nil)
	return blob, algorithm, err
}

// decryptWith decrypts. Name is the key that the caller says, which may be "" for a symmetric one.
func (s *Service) decryptWith(name, algorithm string, blob []byte, context map[string]string) ([]byte, key, error) {
	if algorithm == "" || algorithm == symmetric {
		id, err := keyOf(blob)
		if err != nil {
			return nil, key{}, err
		}
		k, err := s.use(id, "ENCRYPT_DECRYPT", "Decrypt")
		if err != nil {
			return nil, k, err
		}
		if name != "" {
			said, err := s.load(name)
			if err != nil {
				return nil, k, err
			}
			if said.ID != k.ID {
				return nil, k, wrongKey()
			}
		}
		plaintext, err := k.open(blob, context)
		return plaintext, k, err
	}
	if name == "" {
		return nil, key{}, invalid("The KeyId parameter is required for asymmetric keys")
	}
	k, err := s.use(name, "ENCRYPT_DECRYPT", "Decrypt")
	if err != nil {
		return nil, k, err
	}
	hash, ok := oaep[algorithm]
	if !ok || k.Spec == symmetric {
		return nil, k, awsapi.Errorf("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.",
			algorithm, k.Spec)
	}
	private, err := k.private()
	if err != nil {
		return nil, k, err
	}
	plaintext, err := rsa.DecryptOAEP(hash.New(), nil, private.(*rsa.PrivateKey), blob, nil)
	if err != nil {
		return nil, k, badCiphertext()
	}
	return plaintext, k, nil
}

func (s *Service) encrypt(_ context.Context, _ *awsapi.Call, in *encryptIn) (*encryptOut, error) {
	if n := len(in.Plaintext); n < 1 || n > maxPlaintext {
		return nil, invalid("1 validation error detected: Value at 'plaintext' failed to satisfy constraint: "+
			"Member must have length between 1 and %d",
			maxPlaintext)
	}
	k, err := s.use(in.KeyID, "ENCRYPT_DECRYPT", "Encrypt")
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	blob, algorithm, err := s.encryptWith(k, in.EncryptionAlgorithm, in.Plaintext, in.EncryptionContext)
	return &encryptOut{blob, s.keyARN(k.ID), algorithm}, err
}

func (s *Service) decrypt(_ context.Context, _ *awsapi.Call, in *decryptIn) (*decryptOut, error) {
	if in.Recipient != nil {
		return nil, awsapi.NotBuilt("recipients of kms:Decrypt")
	}
	plaintext, k, err := s.decryptWith(in.KeyID, in.EncryptionAlgorithm, in.CiphertextBlob, in.EncryptionContext)
	if err == nil && in.DryRun {
		err = dryRun()
	}
	algorithm := in.EncryptionAlgorithm
	if algorithm == "" {
		algorithm = symmetric
	}
	return &decryptOut{s.keyARN(k.ID), plaintext, algorithm}, err
}

// reEncrypt asks for the permission of both keys.
func (s *Service) reEncrypt(ctx context.Context, c *awsapi.Call, in *reEncryptIn) (*reEncryptOut, error) {
	from := in.SourceKeyID
	if from == "" {
		id, err := keyOf(in.CiphertextBlob)
		if err != nil {
			return nil, err
		}
		from = id
	}
	for _, side := range []struct {
		action, key string
		context     map[string]string
	}{{"kms:ReEncryptFrom", from, in.SourceEncryptionContext}, {"kms:ReEncryptTo", in.DestinationKeyID,
		in.DestinationEncryptionContext}} {
		if err := c.Authorize(ctx, side.action, s.target(side.key), conditions(c, side.context)); err != nil {
			return nil, err
		}
	}
	plaintext, source, err := s.decryptWith(in.SourceKeyID, in.SourceEncryptionAlgorithm, in.CiphertextBlob,
		in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	k, err := s.use(in.DestinationKeyID, "ENCRYPT_DECRYPT", "ReEncrypt")
	if err == nil && in.DryRun {
		err = dryRun()
	}
	if err != nil {
		return nil, err
	}
	blob, algorithm, err := s.encryptWith(k, in.DestinationEncryptionAlgorithm, plaintext,
		in.DestinationEncryptionContext)
	was := in.SourceEncryptionAlgorithm
	if was == "" {
		was = symmetric
	}
	return &reEncryptOut{blob, s.keyARN(source.ID), s.keyARN(k.ID), was, algorithm}, err
}

func (s *Service) dataKey(_ context.Context, _ *awsapi.Call, in *dataKeyIn) (*dataKeyOut, error) {
	if in.Recipient != nil {
		return nil, awsapi.NotBuilt("recipients of kms:GenerateDataKey")
	}
	n := map[string]int{"AES_256": 32, "AES_128": 16, "": in.NumberOfBytes}[in.KeySpec]
	if (in.KeySpec == "") == (in.NumberOfBytes == 0) {
		return nil, invalid("Please specify either number of bytes or key spec.")
	}
	if n < 1 || n > 1024 {
		return nil, invalid("1 validation error detected: Value '%d' at 'numberOfBytes' failed to satisfy "+
			"constraint: Member must be between 1 and 1024",
			in.NumberOfBytes)
	}
	k, err := s.use(in.KeyID, "ENCRYPT_DECRYPT", "GenerateDataKey")
	if err != nil {
		return nil, err
	}
	if k.Spec != symmetric {
		return nil, awsapi.Errorf("InvalidKeyUsageException",
			"%s key spec is %s which is not valid for GenerateDataKey.", s.keyARN(k.ID), k.Spec)
	}
	if in.DryRun {
		return nil, dryRun()
	}
	plaintext, err := s.random(n)
	if err != nil {
		return nil, err
	}
	blob, err := s.seal(k, plaintext, in.EncryptionContext)
	return &dataKeyOut{blob, plaintext, s.keyARN(k.ID)}, err
}

func (s *Service) dataKeyAlone(ctx context.Context, c *awsapi.Call, in *dataKeyIn) (*dataKeyOut, error) {
	out, err := s.dataKey(ctx, c, in)
	if out != nil {
		out.Plaintext = nil
	}
	return out, err
}

func (s *Service) generateRandom(_ context.Context, _ *awsapi.Call, in *randomIn) (*randomOut, error) {
	if in.NumberOfBytes < 1 || in.NumberOfBytes > 1024 {
		return nil, invalid("1 validation error detected: Value '%d' at 'numberOfBytes' failed to satisfy "+
			"constraint: Member must be between 1 and 1024",
			in.NumberOfBytes)
	}
	b, err := s.random(in.NumberOfBytes)
	return &randomOut{b}, err
}

// signing are the algorithms with their hash.
var signing = map[string]crypto.Hash{
	"RSASSA_PSS_SHA_256": crypto.SHA256, "RSASSA_PSS_SHA_384": crypto.SHA384, "RSASSA_PSS_SHA_512": crypto.SHA512,
	"RSASSA_PKCS1_V1_5_SHA_256": crypto.SHA256, "RSASSA_PKCS1_V1_5_SHA_384": crypto.SHA384,
	"RSASSA_PKCS1_V1_5_SHA_512": crypto.SHA512,
	"ECDSA_SHA_256":             crypto.SHA256, "ECDSA_SHA_384": crypto.SHA384, "ECDSA_SHA_512": crypto.SHA512,
	"ED25519_SHA_512": crypto.SHA512, "ED25519_PH_SHA_512": crypto.SHA512,
}

// algorithms are those of a key.
func (k key) algorithms() (encryption, signatures, macs []string) {
	switch {
	case k.Usage == "GENERATE_VERIFY_MAC":
		return nil, nil, []string{"HMAC_SHA_" + strings.TrimPrefix(k.Spec, "HMAC_")}
	case k.Spec == symmetric:
		return []string{symmetric}, nil, nil
	case k.Usage == "ENCRYPT_DECRYPT":
		return []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}, nil, nil
	case strings.HasPrefix(k.Spec, "RSA_"):
		for _, a := range slices.Sorted(maps.Keys(signing)) {
			if strings.HasPrefix(a, "RSASSA_") {
				signatures = append(signatures, a)
			}
		}
		return nil, signatures, nil
	case k.Spec == "ECC_NIST_EDWARDS25519":
		return nil, []string{"ED25519_PH_SHA_512", "ED25519_SHA_512"}, nil
	}
	return nil, []string{map[string]string{"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384",
		"ECC_NIST_P521": "ECDSA_SHA_512"}[k.Spec]}, nil
}

// digest is what is signed: the message's hash, or the hash that was given.
func digest(in *signIn, hash crypto.Hash) ([]byte, error) {
	switch {
	case in.MessageType == "DIGEST" && len(in.Message) != hash.Size():
		return nil, invalid("Digest is invalid length for algorithm %s.", in.SigningAlgorithm)
	case in.MessageType == "DIGEST":
		return in.Message, nil
	case in.MessageType == "EXTERNAL_MU":
		return nil, awsapi.NotBuilt("the message type EXTERNAL_MU")
	case len(in.Message) < 1 || len(in.Message) > maxMessage:
		return nil, invalid("1 validation error detected: Value at 'message' failed to satisfy constraint: Member "+
			"must have length between 1 and %d", maxMessage)
	}
	h := hash.New()
	h.Write(in.Message)
	return h.Sum(nil), nil
}

// signer reads a key and what it is to sign.
func (s *Service) signer(in *signIn, operation string) (k key, private any, sum []byte, err error) {
	if k, err = s.use(in.KeyID, "SIGN_VERIFY", operation); err != nil {
		return k, nil, nil, err
	}
	if _, signatures, _ := k.algorithms(); !slices.Contains(signatures, in.SigningAlgorithm) {
		return k, nil, nil, awsapi.Errorf("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.",
			in.SigningAlgorithm, k.Spec)
	}
	if private, err = k.private(); err != nil {
		return k, nil, nil, err
	}
	switch in.SigningAlgorithm {
	case "ED25519_SHA_512":
		if in.MessageType == "DIGEST" {
			return k, nil, nil, invalid("Algorithm ED25519_SHA_512 needs the message type RAW")
		}
		if _, err := digest(in, crypto.SHA512); err != nil {
			return k, nil, nil, err
		}
		return k, private, in.Message, nil
	case "ED25519_PH_SHA_512":
		if in.MessageType != "DIGEST" {
			return k, nil, nil, invalid("Algorithm ED25519_PH_SHA_512 needs the message type DIGEST")
		}
	}
	sum, err = digest(in, signing[in.SigningAlgorithm])
	if err == nil && in.DryRun {
		err = dryRun()
	}
	return k, private, sum, err
}

func (s *Service) sign(_ context.Context, _ *awsapi.Call, in *signIn) (*signOut, error) {
	k, private, sum, err := s.signer(in, "Sign")
	if err != nil {
		return nil, err
	}
	hash := signing[in.SigningAlgorithm]
	var options crypto.SignerOpts = hash
	switch {
	case strings.HasPrefix(in.SigningAlgorithm, "RSASSA_PSS"):
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	case in.SigningAlgorithm == "ED25519_SHA_512":
		options = crypto.Hash(0)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("kms: the key cannot sign")
	}
	signature, err := signer.Sign(s.config.Scheduler, sum, options)
	return &signOut{s.keyARN(k.ID), signature, in.SigningAlgorithm}, err
}

func (s *Service) verify(_ context.Context, _ *awsapi.Call, in *signIn) (*verifyOut, error) {
	k, private, sum, err := s.signer(in, "Verify")
	if err != nil {
		return nil, err
	}
	hash, valid := signing[in.SigningAlgorithm], false
	switch p := private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(in.SigningAlgorithm, "RSASSA_PSS") {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
			valid = rsa.VerifyPSS(&p.PublicKey, hash, sum, in.Signature, options) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(&p.PublicKey, hash, sum, in.Signature) == nil
		}
	case *ecdsa.PrivateKey:
		valid = ecdsa.VerifyASN1(&p.PublicKey, sum, in.Signature)
	case ed25519.PrivateKey:
		options := &ed25519.Options{}
		if in.SigningAlgorithm == "ED25519_PH_SHA_512" {
			options.Hash = crypto.SHA512
		}
		valid = ed25519.VerifyWithOptions(p.Public().(ed25519.PublicKey), sum, in.Signature, options) == nil
	}
	if !valid {
		return nil, badSignature()
	}
	return &verifyOut{s.keyARN(k.ID), true, in.SigningAlgorithm}, nil
}

func (s *Service) publicKey(_ context.Context, _ *awsapi.Call, in *keyIn) (*publicKeyOut, error) {
	k, err := s.load(in.KeyID)
	if err == nil {
		err = s.usable(k)
	}
	if err != nil {
		return nil, err
	}
	if k.Spec == symmetric || k.Usage == "GENERATE_VERIFY_MAC" {
		return nil, awsapi.Errorf("UnsupportedOperationException",
			"%s key spec is %s which is not valid for GetPublicKey.", s.keyARN(k.ID), k.Spec)
	}
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
	out := &publicKeyOut{KeyID: s.keyARN(k.ID), PublicKey: der, CustomerMasterKeySpec: k.Spec, KeySpec: k.Spec,
		KeyUsage: k.Usage}
	out.EncryptionAlgorithms, out.SigningAlgorithms, _ = k.algorithms()
	return out, err
}

var macs = map[string]crypto.Hash{
	"HMAC_SHA_224": crypto.SHA224, "HMAC_SHA_256": crypto.SHA256, "HMAC_SHA_384": crypto.SHA384,
	"HMAC_SHA_512": crypto.SHA512,
}

func (s *Service) mac(in *macIn, operation string) (key, []byte, error) {
	k, err := s.use(in.KeyID, "GENERATE_VERIFY_MAC", operation)
	if err != nil {
		return k, nil, err
	}
	if _, _, own := k.algorithms(); !slices.Contains(own, in.MacAlgorithm) {
		return k, nil, awsapi.Errorf("InvalidKeyUsageException", "Algorithm %s and key spec %s are incompatible.",
			in.MacAlgorithm, k.Spec)
	}
	if len(in.Message) < 1 || len(in.Message) > maxMessage {
		return k, nil, invalid("1 validation error detected: Value at 'message' failed to satisfy constraint: "+
			"Member must have length between 1 and %d", maxMessage)
	}
	if in.DryRun {
		return k, nil, dryRun()
	}
	h := hmac.New(macs[in.MacAlgorithm].New, k.Backing[0])
	h.Write(in.Message)
	return k, h.Sum(nil), nil
}

func (s *Service) generateMac(_ context.Context, _ *awsapi.Call, in *macIn) (*macOut, error) {
	k, sum, err := s.mac(in, "GenerateMac")
	return &macOut{s.keyARN(k.ID), sum, in.MacAlgorithm}, err
}

func (s *Service) verifyMac(_ context.Context, _ *awsapi.Call, in *macIn) (*verifyMacOut, error) {
	k, sum, err := s.mac(in, "VerifyMac")
	if err == nil && !hmac.Equal(sum, in.Mac) {
		err = badMac()
	}
	return &verifyMacOut{s.keyARN(k.ID), true, in.MacAlgorithm}, err
}

// ciphertextKey is the ARN of the key of a ciphertext, for the question who may decrypt it.
func (s *Service) ciphertextKey(in *decryptIn) string {
	if id, err := keyOf(in.CiphertextBlob); err == nil && (in.EncryptionAlgorithm == "" ||
		in.EncryptionAlgorithm == symmetric) {
		return s.target(id)
	}
	return s.target(in.KeyID)
}
