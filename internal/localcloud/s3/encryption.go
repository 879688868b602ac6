package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// The encryption that a bucket's objects get by default is kept and told. Bodies lie as plain as all else in
// the data folder, but who writes or reads one under a key of the customer's needs the key's permission. What a
// request says itself of encryption is not looked at.
//
// Source: Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys"; API Reference, PutObject,
// GetObject, HeadObject (2026-11).

const (
	encryptedBy = "X-Amz-Server-Side-Encryption"
	encryptedTo = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
)

// encryption is how objects use keys: an object stays under the key that it was written under.
func (s *Service) encryption() *awsapi.Encryption {
	read := []string{"Decrypt"}
	return &awsapi.Encryption{
		Uses: map[string][]string{
			"s3:PutObject": {"GenerateDataKey"}, "s3:GetObject": read, "s3:GetObjectVersion": read,
		},
		Key: func(action, resource string) (key awsapi.Key, err error) {
			bucketName, name, _ := strings.Cut(strings.TrimPrefix(resource, arn("", "")), "/")
			err = s.Store.View(func(tx *store.Tx) error {
				b, ok, err := buckets.Get(tx, bucketName)
				if err != nil || !ok {
					return err // what there is not is told by the operation
				}
				if action == "s3:PutObject" {
					key.ID = b.Encryption.key()
				} else if v, ok, err := latest(tx, bucketName, name); err != nil {
					return err
				} else if ok {
					key.ID = v.Header[encryptedTo]
				}
				key.Context = map[string]string{"aws:s3:arn": resource}
				if b.Encryption.bucketKey() {
					key.Context["aws:s3:arn"] = arn(bucketName, "")
				}
				return nil
			})
			return key, err
		},
		Words: awsapi.KeyErrors(map[string]awsapi.Error{
			"AccessDeniedException":    {Code: "AccessDenied", Status: 403},
			"DisabledException":        {Code: "KMS.DisabledException", Status: 400},
			"NotFoundException":        {Code: "KMS.NotFoundException", Status: 400},
			"KMSInvalidStateException": {Code: "KMS.KMSInvalidStateException", Status: 400},
			"InvalidKeyUsageException": {Code: "KMS.InvalidKeyUsageException", Status: 400},
			"ThrottlingException":      {Code: "KMS.ThrottlingException", Status: 400},
		}),
	}
}

// key is the customer's key that new objects are under, "" if they are under none.
func (e *encryption) key() string {
	if e == nil || len(e.Rules) == 0 || strings.HasPrefix(e.Rules[0].Default.KMSMasterKeyID, "alias/aws/") {
		return ""
	}
	return e.Rules[0].Default.KMSMasterKeyID
}

func (e *encryption) bucketKey() bool {
	return e != nil && len(e.Rules) > 0 && e.Rules[0].BucketKeyEnabled
}

// mark writes into the header of a new object how it is encrypted.
func (e *encryption) mark(header map[string]string) {
	header[encryptedBy] = "AES256"
	if e != nil && len(e.Rules) > 0 && e.Rules[0].Default.SSEAlgorithm != "" {
		header[encryptedBy] = e.Rules[0].Default.SSEAlgorithm
	}
	if key := e.key(); key != "" {
		header[encryptedTo] = key
	}
}

// tellEncryption tells in the answer to an upload how its object is encrypted.
func (s *Service) tellEncryption(w http.ResponseWriter, bucketName string) error {
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	header := map[string]string{}
	b.Encryption.mark(header)
	for name, value := range header {
		w.Header().Set(name, value)
	}
	return nil
}

// encryption is the default encryption of a bucket.
type encryption struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration" json:"-"`
	Rules   []encryptionRule `xml:"Rule" json:"Rules"`
}

type encryptionRule struct {
	Default struct {
		SSEAlgorithm   string `xml:"SSEAlgorithm" json:"SSEAlgorithm"`
		KMSMasterKeyID string `xml:"KMSMasterKeyID,omitempty" json:"KMSMasterKeyID,omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault" json:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled bool `xml:"BucketKeyEnabled" json:"BucketKeyEnabled"`
}

// byS3 is what a bucket has that nothing was said about: SSE-S3.
func byS3() encryption {
	var rule encryptionRule
	rule.Default.SSEAlgorithm = "AES256"
	return encryption{Rules: []encryptionRule{rule}}
}

func (e encryption) check() error {
	if len(e.Rules) != 1 {
		return errMalformed
	}
	switch d := e.Rules[0].Default; {
	case d.SSEAlgorithm != "AES256" && d.SSEAlgorithm != "aws:kms" && d.SSEAlgorithm != "aws:kms:dsse":
		return errS3("InvalidArgument", 400, "The encryption method specified is not supported: %q", d.SSEAlgorithm)
	case d.SSEAlgorithm == "AES256" && d.KMSMasterKeyID != "":
		return errS3("InvalidArgument", 400,
			"a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	}
	return nil
}

type encryptionIn struct {
	Bucket        string     `json:"Bucket"`
	Configuration encryption `json:"ServerSideEncryptionConfiguration"`
}

// putEncryption is PutBucketEncryption, for callers from inside.
func (s *Service) putEncryption(_ context.Context, _ *awsapi.Call, in *encryptionIn) (*nothing, error) {
	if err := in.Configuration.check(); err != nil {
		return nil, err
	}
	return &nothing{}, s.change(in.Bucket, func(b *bucket) { b.Encryption = &in.Configuration })
}

// serveEncryption answers Get, Put and DeleteBucketEncryption.
func (s *Service) serveEncryption(w http.ResponseWriter, r *http.Request, c *awsapi.Call, name string) error {
	action := "s3:PutEncryptionConfiguration"
	if r.Method == http.MethodGet {
		action = "s3:GetEncryptionConfiguration"
	}
	if err := c.Authorize(r.Context(), action, arn(name, ""), nil); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		b, err := s.bucket(name)
		if err != nil {
			return err
		}
		e := byS3()
		if b.Encryption != nil {
			e = *b.Encryption
		}
		return s.answerXML(w, e)
	case http.MethodPut:
		in := encryptionIn{Bucket: name}
		if err := readXML(r, &in.Configuration); err != nil {
			return err
		}
		_, err := s.putEncryption(r.Context(), c, &in)
		return err
	case http.MethodDelete:
		err := s.change(name, func(b *bucket) { b.Encryption = nil })
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	return errS3("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
}
