package s3

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestEveryVersionedPathMeansItsVersion: an old version is got, looked at, copied
// and deleted as what it is, not as the newest.
func TestEveryVersionedPathMeansItsVersion(t *testing.T) {
	c := newCloud(t, nil)
	bucket, key := aws.String("firmware"), aws.String("a b/gateway+1.bin")
	if _, err := c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err !=
		nil {
		t.Fatal(err)
	}
	old, newest := c.put(*key, "old image"), c.put(*key, "the newest image")
	for _, row := range []struct {
		version *string
		body    string
	}{{old.VersionId, "old image"}, {newest.VersionId, "the newest image"}, {nil, "the newest image"}} {
		if got := c.get(*key, row.version); got != row.body {
			t.Errorf("get %v: %q, want %q", row.version, got, row.body)
		}
		head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: key, VersionId: row.version})
		if err != nil {
			t.Fatal(err)
		}
		want := row.version
		if want == nil {
			want = newest.VersionId
		}
		if *head.ContentLength != int64(len(row.body)) || aws.ToString(head.VersionId) != *want {
			t.Errorf("head %v: %d bytes of version %s", row.version, *head.ContentLength, aws.ToString(head.VersionId))
		}
		source := "firmware/a%20b/gateway%2B1.bin"
		if row.version != nil {
			source += "?versionId=" + *row.version
		}
		if _, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
			CopySource: &source}); err != nil {
			t.Fatal(err)
		}
		if got := c.get("copy", nil); got != row.body {
			t.Errorf("copy of %v: %q, want %q", row.version, got, row.body)
		}
	}
	for _, method := range []string{"head", "copy"} {
		var err error
		if method == "head" {
			_, err = c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: key,
				VersionId: aws.String("nobody")})
		} else {
			_, err = c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
				CopySource: aws.String("firmware/copy?versionId=nobody")})
		}
		if err == nil {
			t.Errorf("%s of a version that is not there succeeds", method)
		}
	}
	if _, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: bucket, Key: key,
		VersionId: newest.VersionId}); err != nil {
		t.Fatal(err)
	}
	if got := c.get(*key, nil); got != "old image" {
		t.Errorf("after the newest was deleted: %q", got)
	}
}
