package localcloud_test

import (
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestKeysAreTakenAsTheyAre: a key of S3 is no path. Slashes and dots in it mean nothing, wherever they are.
func TestKeysAreTakenAsTheyAre(t *testing.T) {
	server := httptest.NewServer(newRig(t).cloud.Handler())
	defer server.Close()
	c := s3.New(s3.Options{BaseEndpoint: &server.URL, Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	bucket := aws.String("keys")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	keys := []string{"a//b", "a/b", "/a", "//a", "a/", "a//", "a/../b", "a/./b", "./a", "a/..", "a/.", "...",
		"%2e%2e/a", "a%2Fb", "a b+c", "a\\b", "ä/ö", "?a#b", "_localcloud/health"}
	for _, key := range keys {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key,
			Body: strings.NewReader("of " + key)}); err != nil {
			t.Errorf("put %q: %v", key, err)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, o := range out.Contents {
		listed = append(listed, *o.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(listed, keys) {
		t.Errorf("%q are listed, want %q", listed, keys)
	}
	for _, key := range keys {
		o, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			t.Errorf("get %q: %v", key, err)
			continue
		}
		if b, err := io.ReadAll(o.Body); err != nil || string(b) != "of "+key {
			t.Errorf("get %q: %q, %v", key, b, err)
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
}
