package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type m = map[string]any

type world struct {
	t    *testing.T
	s    *scheduler.Scheduler
	door *awsapi.Door
	id   awsapi.Identity
}

func newWorld(t *testing.T) world {
	t.Helper()
	s, db := scheduler.NewVirtual(1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), store.Memory()
	people := iam.New(iam.Config{Platform: platform.Platform{Scheduler: s, Store: db, Account: "123456789012",
		Region: "us-east-1"}})
	door := awsapi.New(awsapi.Config{Scheduler: s, Account: "123456789012", Region: "us-east-1", Authorizer: people})
	door.Add(people.API())
	door.Add(New(Config{Platform: platform.Platform{Scheduler: s, Store: db, Account: "123456789012",
		Region: "us-east-1"}}).API())
	return world{t, s, door, awsapi.RootOf("123456789012")}
}

func (w world) call(operation string, in, out any) error {
	return awsapi.CallInto(context.Background(), w.door, w.id, "kms", operation, in, out)
}

func (w world) must(operation string, in, out any) {
	w.t.Helper()
	if err := w.call(operation, in, out); err != nil {
		w.t.Fatalf("%s: %v", operation, err)
	}
}

func (w world) key(in m) string {
	w.t.Helper()
	var out keyOut
	w.must("CreateKey", in, &out)
	return out.KeyMetadata.KeyID
}

func TestCiphertextOpensInItsContextOnly(t *testing.T) {
	w := newWorld(t)
	id := w.key(m{})
	var sealed encryptOut
	w.must("Encrypt", m{"KeyId": id, "Plaintext": []byte("hello"), "EncryptionContext": m{"a": "b"}}, &sealed)
	w.must("RotateKeyOnDemand", m{"KeyId": id}, nil)
	var open decryptOut
	w.must("Decrypt", m{"CiphertextBlob": sealed.CiphertextBlob, "EncryptionContext": m{"a": "b"}}, &open)
	if string(open.Plaintext) != "hello" || !strings.HasSuffix(open.KeyID, id) {
		t.Errorf("%+v", open)
	}
	for name, in := range map[string]m{
		"another context": {"CiphertextBlob": sealed.CiphertextBlob, "EncryptionContext": m{"a": "c"}},
		"no context":      {"CiphertextBlob": sealed.CiphertextBlob},
		"a changed byte": {"CiphertextBlob": append(sealed.CiphertextBlob[:60:60], 'x'),
			"EncryptionContext": m{"a": "b"}},
	} {
		if err := w.call("Decrypt", in, nil); awsapi.Code(err) != "InvalidCiphertextException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := w.key(m{})
	if err := w.call("Decrypt", m{"KeyId": other, "CiphertextBlob": sealed.CiphertextBlob,
		"EncryptionContext": m{"a": "b"}}, nil); awsapi.Code(err) != "IncorrectKeyException" {
		t.Errorf("another key: %v", err)
	}
	var moved reEncryptOut
	w.must("ReEncrypt", m{"CiphertextBlob": sealed.CiphertextBlob, "SourceEncryptionContext": m{"a": "b"},
		"DestinationKeyId": other}, &moved)
	w.must("Decrypt", m{"CiphertextBlob": moved.CiphertextBlob}, &open)
}

func TestDataKeyDecryptsToItself(t *testing.T) {
	w := newWorld(t)
	w.must("CreateAlias", m{"AliasName": "alias/k", "TargetKeyId": w.key(m{})}, nil)
	var data dataKeyOut
	w.must("GenerateDataKey", m{"KeyId": "alias/k", "KeySpec": "AES_256"}, &data)
	var open decryptOut
	w.must("Decrypt", m{"CiphertextBlob": data.CiphertextBlob}, &open)
	if len(data.Plaintext) != 32 || string(open.Plaintext) != string(data.Plaintext) {
		t.Errorf("%d bytes, %d back", len(data.Plaintext), len(open.Plaintext))
	}
}

func TestSignaturesVerify(t *testing.T) {
	w := newWorld(t)
	for spec, algorithms := range map[string]string{
		"RSA_2048": "RSASSA_PSS_SHA_256 RSASSA_PKCS1_V1_5_SHA_512", "ECC_NIST_P256": "ECDSA_SHA_256",
		"ECC_NIST_P521":         "ECDSA_SHA_512",
		"ECC_NIST_EDWARDS25519": "ED25519_SHA_512",
	} {
		id := w.key(m{"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"})
		for _, algorithm := range strings.Fields(algorithms) {
			var signed signOut
			w.must("Sign", m{"KeyId": id, "Message": []byte("m"), "SigningAlgorithm": algorithm}, &signed)
			in := m{"KeyId": id, "Message": []byte("m"), "SigningAlgorithm": algorithm, "Signature": signed.Signature}
			w.must("Verify", in, nil)
			in["Message"] = []byte("other")
			if err := w.call("Verify", in, nil); awsapi.Code(err) != "KMSInvalidSignatureException" {
				t.Errorf("%s %s: %v", spec, algorithm, err)
			}
			if spec != "ECC_NIST_P256" {
				continue
			}
			var public publicKeyOut // and by others, with the public key
			w.must("GetPublicKey", m{"KeyId": id}, &public)
			parsed, err := x509.ParsePKIXPublicKey(public.PublicKey)
			sum := sha256.Sum256([]byte("m"))
			if err != nil || !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), sum[:], signed.Signature) ||
				crypto.SHA256.Size() != len(sum) {
				t.Errorf("the public key does not verify: %v", err)
			}
		}
	}
}

// TestKeyPolicyDecides: what IAM allows counts only where the key's policy hands the key to the
// account, for the root too.
func TestKeyPolicyDecides(t *testing.T) {
	w := newWorld(t)
	id := w.key(m{"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["kms:Describe*","kms:Put*"],"Resource":"*"}]}`})
	w.must("DescribeKey", m{"KeyId": id}, nil)
	if err := w.call("Encrypt", m{"KeyId": id, "Plaintext": []byte("x")}, nil); awsapi.Code(err) !=
		"AccessDeniedException" {
		t.Errorf("the root: %v", err)
	}
	if err := w.call("Encrypt", m{"KeyId": "alias/aws/ssm", "Plaintext": []byte("x")}, nil); awsapi.Code(err) !=
		"AccessDeniedException" {
		t.Errorf("a key of AWS, directly: %v", err)
	}
	w.id.Via = "ssm.us-east-1.amazonaws.com"
	w.must("Encrypt", m{"KeyId": "alias/aws/ssm", "Plaintext": []byte("x")}, nil)
}

func TestDeletedKeyIsUselessAtOnceAndGoneLater(t *testing.T) {
	w := newWorld(t)
	id := w.key(m{})
	w.must("ScheduleKeyDeletion", m{"KeyId": id, "PendingWindowInDays": 7}, nil)
	if err := w.call("Encrypt", m{"KeyId": id, "Plaintext": []byte("x")}, nil); awsapi.Code(err) !=
		"KMSInvalidStateException" {
		t.Errorf("at once: %v", err)
	}
	if err := w.s.Sleep(context.Background(), 7*day); err != nil {
		t.Fatal(err)
	}
	if err := w.call("DescribeKey", m{"KeyId": id}, nil); awsapi.Code(err) != "NotFoundException" {
		t.Errorf("later: %v", err)
	}
}
