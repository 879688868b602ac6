package s3

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// contentMismatch is for a body without the hash that was signed.
const contentMismatch = "XAmzContentSHA256Mismatch"

// malformedTrailer is for headers after a body other than those that were announced.
const malformedTrailer = "MalformedTrailerError"

// errMalformed: a document is no XML, or not that of its schema.
var errMalformed = errS3("MalformedXML", 400,
	"The XML you provided was not well-formed or did not validate against our published schema")

func errS3(code string, status int, format string, args ...any) *awsapi.Error {
	return awsapi.Errorf(code, format, args...).WithStatus(status)
}

func errNoBucket(name string) *awsapi.Error {
	e := errS3("NoSuchBucket", 404, "The specified bucket does not exist")
	e.Fields = map[string]any{"BucketName": name}
	return e
}

func errNoKey(key string) *awsapi.Error {
	e := errS3("NoSuchKey", 404, "The specified key does not exist.")
	e.Fields = map[string]any{"Key": key}
	return e
}

var (
	errNoVersion = errS3("NoSuchVersion", 404, "The specified version does not exist.")
	errNoPolicy  = errS3("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
	errNotEmpty  = errS3("BucketNotEmpty", 409, "The bucket you tried to delete is not empty")
	errOwned     = errS3("BucketAlreadyOwnedByYou", 409,
		"Your previous request to create the named bucket succeeded and you already own it.")
	errNoACLs = errS3("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
	errDigest = errS3("BadDigest", 400, "The checksum you specified did not match the calculated checksum.")
)

// toLibrary spells one of our errors as the library knows it.
func toLibrary(err error) error {
	if known, ok := errors.AsType[gofakes3.Error](err); ok {
		return known // which the library would not find in a joined error
	}
	if errors.Is(err, awsapi.ErrContentHash) {
		return gofakes3.ErrorMessage(contentMismatch,
			"The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	e, ok := errors.AsType[*awsapi.Error](err)
	if !ok {
		return err
	}
	return gofakes3.ErrorMessage(gofakes3.ErrorCode(e.Code), e.Message)
}

// writeError answers an error as S3 does.
func writeError(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	e := awsapi.AsError(err)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", requestID)
	w.WriteHeader(e.HTTPStatus())
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write([]byte(xml.Header))
	field := func(name string) string {
		text, _ := e.Fields[name].(string)
		return text
	}
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName       xml.Name `xml:"Error"`
		Code          string
		Message       string
		ArgumentName  string `xml:",omitempty"`
		ArgumentValue string `xml:",omitempty"`
		BucketName    string `xml:",omitempty"`
		Key           string `xml:",omitempty"`
		Resource      string
		RequestID     string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, ArgumentName: field("ArgumentName"), ArgumentValue: field("ArgumentValue"),
		BucketName: field("BucketName"), Key: field("Key"), Resource: r.URL.Path, RequestID: requestID})
}
