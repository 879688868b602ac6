package s3

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// The encryption that a bucket's objects get by default is kept and told. Bodies lie as plain as all else in the data
// folder, and using the bucket does not need the permission of its key.

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
		return errS3("MalformedXML", 400,
			"The XML you provided was not well-formed or did not validate against our published schema")
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
		out, err := xml.Marshal(e)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/xml")
		_, err = w.Write(append([]byte(xml.Header), out...))
		if err != nil {
			s.Scheduler.Failed("s3 answer", err)
		}
		return nil
	case http.MethodPut:
		if err := unchunk(r); err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxDelete))
		if err != nil {
			return err
		}
		in := encryptionIn{Bucket: name}
		if err := xml.Unmarshal(body, &in.Configuration); err != nil {
			return errS3("MalformedXML", 400,
				"The XML you provided was not well-formed or did not validate against our published schema")
		}
		_, err = s.putEncryption(r.Context(), c, &in)
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
