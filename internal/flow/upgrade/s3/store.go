// Package s3 finds firmware images in S3 (upgrade.ImageStore).
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

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

// Store is a bucket of images (upgrade.ImageStore). The image of a version is the only
// object under the prefix <version>/ that is not a companion file (.json, .sig, .asc).
// Its SHA-256 is that of the object's bytes, which are read once and never held. What
// the object's metadata (sha256, hexadecimal) and S3's own checksum say is told beside
// it.
type Store struct {
	api    *s3.Client
	bucket string
}

// NewStore is a store; bucket is the firmware bucket.
func NewStore(api *s3.Client, bucket string) *Store { return &Store{api: api, bucket: bucket} }

// Where implements upgrade.ImageStore.
func (s *Store) Where(version string) string { return "s3://" + s.bucket + "/" + version + "/" }

// ByVersion implements upgrade.ImageStore.
func (s *Store) ByVersion(ctx context.Context, version string) ([]upgrade.S3Object, error) {
	var found []upgrade.S3Object
	pages := s3.NewListObjectsV2Paginator(s.api, &s3.ListObjectsV2Input{Bucket: &s.bucket,
		Prefix: aws.String(version + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("flow/upgrade/s3.ByVersion: %w", err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if companion(key) || strings.HasSuffix(key, "/") {
				continue
			}
			found = append(found, upgrade.S3Object{Bucket: s.bucket, Key: key})
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

// largest is what can be read with certainty in create-job's 300 seconds, at 14 MiB/s.
const largest = 4 << 30

// Describe implements upgrade.ImageStore. The answer names the object's version, where
// the bucket keeps versions, so that every device gets the bytes that were read.
func (s *Store) Describe(ctx context.Context, o upgrade.S3Object) (upgrade.StoredImage, error) {
	fail := func(err error) (upgrade.StoredImage, error) {
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) {
			return upgrade.StoredImage{}, fmt.Errorf("flow/upgrade/s3.Describe: s3://%s/%s: %w", o.Bucket, o.Key, err)
		}
		switch status := answer.HTTPStatusCode(); status {
		case http.StatusNotFound:
			return upgrade.StoredImage{}, upgrade.ErrNoImage
		case http.StatusForbidden:
			return upgrade.StoredImage{}, fmt.Errorf("%w: S3 answers 403; the stack's functions read s3://%s only",
				upgrade.ErrUnreadable, s.bucket)
		case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
			return upgrade.StoredImage{}, fmt.Errorf("%w: the bucket is in another region", upgrade.ErrUnreadable)
		case http.StatusMethodNotAllowed:
			return upgrade.StoredImage{}, fmt.Errorf("%w: this version is a delete marker", upgrade.ErrUnreadable)
		case http.StatusBadRequest:
			return upgrade.StoredImage{}, fmt.Errorf("%w: S3 answers 400; is the versionId one of this object?",
				upgrade.ErrUnreadable)
		}
		return upgrade.StoredImage{}, fmt.Errorf("flow/upgrade/s3.Describe: s3://%s/%s: %w", o.Bucket, o.Key, err)
	}
	version := func() *string {
		if o.VersionID == "" {
			return nil
		}
		return &o.VersionID
	}
	head, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &o.Bucket, Key: &o.Key, VersionId: version(), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return fail(err)
	}
	if v := aws.ToString(head.VersionId); v != "" && v != "null" {
		o.VersionID = v
	}
	image := upgrade.StoredImage{Object: o, Size: aws.ToInt64(head.ContentLength), Promised: map[string]string{}}
	if image.Size > largest {
		return upgrade.StoredImage{}, fmt.Errorf("%w: %d bytes; at most %d can be checked", upgrade.ErrUnreadable,
			image.Size,
			int64(largest))
	}
	if sum, err := hex.DecodeString(head.Metadata["sha256"]); err == nil && len(sum) == sha256.Size {
		image.Promised["metadata sha256"] = hex.EncodeToString(sum)
	}
	if sum, err := base64.StdEncoding.DecodeString(aws.ToString(head.ChecksumSHA256)); err == nil &&
		len(sum) == sha256.Size &&
		head.ChecksumType != types.ChecksumTypeComposite {
		image.Promised["checksum in S3"] = hex.EncodeToString(sum)
	}
	in := &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: version()}
	if in.VersionId == nil {
		in.IfMatch = head.ETag // without versions, the bytes that were described, or an error
	}
	got, err := s.api.GetObject(ctx, in)
	if err != nil {
		return fail(err)
	}
	defer got.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(got.Body, image.Size+1))
	if err == nil && n != image.Size {
		err = fmt.Errorf("%d bytes of %d", n, image.Size)
	}
	if err != nil {
		return upgrade.StoredImage{}, fmt.Errorf("flow/upgrade/s3.Describe: reading s3://%s/%s: %w", o.Bucket, o.Key,
			err)
	}
	image.SHA256 = hex.EncodeToString(h.Sum(nil))
	return image, nil
}
