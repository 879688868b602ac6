// Package s3 finds firmware in S3 (jobs.Images). The image of a version is the only
// object under the prefix <version>/ that is not a companion file (.json, .sig, .asc).
// Its SHA-256 is the object's metadata sha256 (hexadecimal); else the checksum that S3
// keeps if the object was uploaded with one; else it is computed from the bytes.
package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// Store is a bucket of images.
type Store struct {
	api    *s3.Client
	bucket string
}

// New is a store; bucket is the firmware bucket.
func New(api *s3.Client, bucket string) *Store { return &Store{api: api, bucket: bucket} }

// Where implements jobs.Images.
func (s *Store) Where(version string) string { return "s3://" + s.bucket + "/" + version + "/" }

// ByVersion implements jobs.Images.
func (s *Store) ByVersion(ctx context.Context, version string) ([]event.S3Object, error) {
	var found []event.S3Object
	pages := s3.NewListObjectsV2Paginator(s.api, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(version + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("jobs/s3.ByVersion: %w", err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if companion(key) || strings.HasSuffix(key, "/") {
				continue
			}
			found = append(found, event.S3Object{Bucket: s.bucket, Key: key})
		}
	}
	return found, nil
}

func companion(key string) bool {
	for _, suffix := range []string{".json", ".sig", ".asc"} {
		if strings.HasSuffix(key, suffix) {
			return true
		}
	}
	return false
}

// Describe implements jobs.Images. The answer names the object's version, where
// the bucket keeps versions, so that every device gets the same bytes.
func (s *Store) Describe(ctx context.Context, o event.S3Object) (jobs.Image, error) {
	version := func() *string {
		if o.VersionID == "" {
			return nil
		}
		return &o.VersionID
	}
	head, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &o.Bucket, Key: &o.Key, VersionId: version(), ChecksumMode: types.ChecksumModeEnabled,
	})
	if missing(err) {
		return jobs.Image{}, jobs.ErrNotFound
	}
	if err != nil {
		return jobs.Image{}, fmt.Errorf("jobs/s3.Describe: %w", err)
	}
	if v := aws.ToString(head.VersionId); v != "" && v != "null" {
		o.VersionID = v
	}
	image := jobs.Image{Object: o, Size: aws.ToInt64(head.ContentLength)}
	if sum, err := hex.DecodeString(head.Metadata["sha256"]); err == nil && len(sum) == sha256.Size {
		image.SHA256 = hex.EncodeToString(sum)
		return image, nil
	}
	if sum, err := base64.StdEncoding.DecodeString(aws.ToString(head.ChecksumSHA256)); err == nil && len(sum) == sha256.Size &&
		head.ChecksumType != types.ChecksumTypeComposite {
		image.SHA256 = hex.EncodeToString(sum)
		return image, nil
	}
	got, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: version()})
	if missing(err) {
		return jobs.Image{}, jobs.ErrNotFound
	}
	if err != nil {
		return jobs.Image{}, fmt.Errorf("jobs/s3.Describe: %w", err)
	}
	defer got.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, got.Body); err != nil {
		return jobs.Image{}, fmt.Errorf("jobs/s3.Describe: reading s3://%s/%s: %w", o.Bucket, o.Key, err)
	}
	image.SHA256 = hex.EncodeToString(h.Sum(nil))
	return image, nil
}

func missing(err error) bool {
	var none *types.NoSuchKey
	var status *awshttp.ResponseError
	return errors.As(err, &none) || errors.As(err, &status) && status.HTTPStatusCode() == http.StatusNotFound
}
