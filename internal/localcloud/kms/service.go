package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform
}

// Service is AWS KMS.
type Service struct {
	config Config
	own    atomic.Bool // the account has a key of its own
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Start implements the services' life cycle; nothing is ever under way.
func (s *Service) Start(context.Context) error { return s.counted() }

// Residue implements the services' residue check; nothing is ever unfinished.
func (s *Service) Residue(context.Context) []string { return nil }

func (s *Service) arn(resource string) string {
	return "arn:aws:kms:" + s.config.Region + ":" + s.config.Account + ":" + resource
}

func (s *Service) keyARN(id string) string { return s.arn("key/" + id) }

// resourcePolicy is the policy of a key by its ARN, for the authorizer.
func (s *Service) resourcePolicy(arn string) (string, error) {
	id, ok := strings.CutPrefix(arn, s.arn("key/"))
	if !ok {
		return "", nil
	}
	var k key
	err := s.config.Store.View(func(tx *store.Tx) (err error) {
		k, _, err = keys.Get(tx, id)
		return err
	})
	return k.Policy, err
}

// target is the ARN of the key that a request names by id, ARN, alias or alias ARN; as it is if there is none.
func (s *Service) target(name string) string {
	k, err := s.load(name)
	switch {
	case err == nil:
		return s.keyARN(k.ID)
	case strings.HasPrefix(name, "arn:"):
		return name
	case strings.HasPrefix(name, "alias/"):
		return s.arn(name)
	}
	return s.keyARN(name)
}

// find looks a key up by id, ARN, alias or alias ARN.
func (s *Service) find(tx *store.Tx, name string) (key, error) {
	id := strings.TrimPrefix(name, s.arn("key/"))
	short := strings.TrimPrefix(name, s.arn(""))
	if strings.HasPrefix(short, "alias/") {
		a, ok, err := aliases.Get(tx, short)
		if err != nil {
			return key{}, err
		}
		if !ok {
			return key{}, noAlias(s.arn(short))
		}
		id = a.KeyID
	}
	k, ok, err := keys.Get(tx, id)
	if err == nil && (!ok || !k.Deletion.IsZero() && !s.config.Scheduler.Now().Before(k.Deletion)) {
		if strings.HasPrefix(name, "arn:") {
			return k, noKey(name)
		}
		return k, noKey(s.keyARN(id))
	}
	return k, err
}

// awsManaged are the services with keys of their own, made at the first use.
var awsManaged = []string{"dynamodb", "lambda", "logs", "s3", "sns", "sqs", "ssm"}

// load reads a key, and makes the one that AWS manages for a service if that is asked for and not there.
func (s *Service) load(name string) (k key, err error) {
	service, own := strings.CutPrefix(strings.TrimPrefix(name, s.arn("")), "alias/aws/")
	err = s.config.Store.View(func(tx *store.Tx) error {
		k, err = s.find(tx, name)
		return err
	})
	if !own || awsapi.Code(err) != "NotFoundException" || !slices.Contains(awsManaged, service) {
		return k, err
	}
	k = key{
		ID: s.config.Scheduler.UUID(), Description: "Default key that protects my " + service +
			" data when no other key is defined",
		Usage: "ENCRYPT_DECRYPT", Spec: "SYMMETRIC_DEFAULT", Manager: "AWS", Enabled: true,
		Created: s.config.Scheduler.Now(),
		Policy:  s.managedPolicy(service),
	}
	if k.Backing, err = s.material(k.Spec); err != nil {
		return k, err
	}
	err = s.config.Store.Update(func(tx *store.Tx) error {
		if there, err := s.find(tx, name); err == nil {
			k = there
			return nil
		}
		now := s.config.Scheduler.Now()
		if err := aliases.Put(tx, alias{"alias/aws/" + service, k.ID, now, now}, "alias/aws/"+service); err != nil {
			return err
		}
		return keys.Put(tx, k, k.ID)
	})
	return k, err
}

// defaultPolicy hands a key to its account.
func (s *Service) defaultPolicy() string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow",`+
		`"Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}`, s.config.Account)
}

// managedPolicy opens a key to the callers of one service.
func (s *Service) managedPolicy(service string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Id":"auto-%[1]s-1","Statement":[{"Sid":"Allow access through the service for all principals in the `+
		`account","Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*",`+
		`"kms:CreateGrant","kms:DescribeKey"],"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"%[2]s","kms:ViaService":`+
		`"%[1]s.%[3]s.amazonaws.com"}}},{"Sid":"Allow direct access to key metadata to the account","Effect":"Allow","Principal":{"AWS":`+
		`"arn:aws:iam::%[2]s:root"},"Action":["kms:Describe*","kms:Get*","kms:List*"],"Resource":"*"}]}`, service, s.config.Account, s.config.Region)
}

// usages are the specs with what a key of them can be used for, the default first.
var usages = map[string][]string{
	"SYMMETRIC_DEFAULT": {"ENCRYPT_DECRYPT"},
	"RSA_2048":          {"", "ENCRYPT_DECRYPT", "SIGN_VERIFY"}, "RSA_3072": {"", "ENCRYPT_DECRYPT", "SIGN_VERIFY"},
	"RSA_4096":      {"", "ENCRYPT_DECRYPT", "SIGN_VERIFY"},
	"ECC_NIST_P256": {"SIGN_VERIFY"}, "ECC_NIST_P384": {"SIGN_VERIFY"}, "ECC_NIST_P521": {"SIGN_VERIFY"},
	"ECC_NIST_EDWARDS25519": {"SIGN_VERIFY"},
	"HMAC_224":              {"GENERATE_VERIFY_MAC"}, "HMAC_256": {"GENERATE_VERIFY_MAC"},
	"HMAC_384": {"GENERATE_VERIFY_MAC"}, "HMAC_512": {"GENERATE_VERIFY_MAC"},
}

var curves = map[string]elliptic.Curve{
	"ECC_NIST_P256": elliptic.P256(), "ECC_NIST_P384": elliptic.P384(), "ECC_NIST_P521": elliptic.P521(),
}

var sizes = map[string]int{
	"SYMMETRIC_DEFAULT": 32, "RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096, "HMAC_224": 28, "HMAC_256": 32,
	"HMAC_384": 48, "HMAC_512": 64,
}

// material makes the material of a new key.
func (s *Service) material(spec string) ([][]byte, error) {
	var private any
	var err error
	switch {
	case strings.HasPrefix(spec, "RSA_"):
		private, err = rsa.GenerateKey(s.config.Scheduler, sizes[spec])
	case curves[spec] != nil:
		private, err = ecdsa.GenerateKey(curves[spec], s.config.Scheduler)
	case spec == "ECC_NIST_EDWARDS25519":
		_, private, err = ed25519.GenerateKey(s.config.Scheduler)
	default:
		b, err := s.random(sizes[spec])
		return [][]byte{b}, err
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return [][]byte{der}, err
}

func (s *Service) random(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := s.config.Scheduler.Read(b)
	return b, err
}

// private is the private key of an asymmetric key.
func (k key) private() (any, error) { return x509.ParsePKCS8PrivateKey(k.Backing[0]) }

// usable refuses keys that are not enabled.
func (s *Service) usable(k key) error {
	switch {
	case !k.Deletion.IsZero():
		return pending(s.keyARN(k.ID))
	case !k.Enabled:
		return disabled(s.keyARN(k.ID))
	}
	return nil
}

// use reads a key for an operation of a usage.
func (s *Service) use(name, usage, operation string) (key, error) {
	k, err := s.load(name)
	if err == nil {
		err = s.usable(k)
	}
	if err == nil && k.Usage != usage {
		err = wrongUsage(s.keyARN(k.ID), k.Usage, operation)
	}
	return k, err
}

// change writes to a key that its account manages.
func (s *Service) change(name string, fn func(k *key) error) (key, error) {
	if strings.HasPrefix(strings.TrimPrefix(name, s.arn("")), "alias/") {
		return key{}, awsapi.Errorf("NotFoundException", "Invalid keyId '%s'", name)
	}
	var k key
	err := s.config.Store.Update(func(tx *store.Tx) (err error) {
		if k, err = s.find(tx, name); err != nil {
			return err
		}
		if k.Manager == "AWS" {
			return awsapi.Errorf("AccessDeniedException", "The key %s is managed by AWS", s.keyARN(k.ID))
		}
		if err := fn(&k); err != nil {
			return err
		}
		return keys.Put(tx, k, k.ID)
	})
	return k, err
}

// checkPolicy refuses what is no policy.
func checkPolicy(text string) error {
	var p struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Statement == nil {
		return awsapi.Errorf("MalformedPolicyDocumentException", "The new key policy is not a policy: %v",
			errors.Join(err))
	}
	if len(text) > 32<<10 {
		return awsapi.Errorf("LimitExceededException", "A key policy has at most 32768 bytes")
	}
	return nil
}

const day = 24 * time.Hour
