package s3

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (c *cloud) versioning(status types.BucketVersioningStatus) {
	c.t.Helper()
	if _, err := c.PutBucketVersioning(c.t.Context(), &sdk.PutBucketVersioningInput{Bucket: aws.String("firmware"),
		VersioningConfiguration: &types.VersioningConfiguration{Status: status}}); err != nil {
		c.t.Fatal(err)
	}
}

// TestEveryVersionedPathMeansItsVersion holds every operation that takes a version, or tells of one, to what S3 does.
// The key "a b/gateway+1.bin" has the versions null (of before there were versions), one, a delete marker and two.
// Sources: Amazon S3 User Guide, "Retrieving object versions", "Working with delete markers"; API reference (2026-11).
func TestEveryVersionedPathMeansItsVersion(t *testing.T) {
	c := newCloud(t, nil)
	bucket, key := aws.String("firmware"), aws.String("a b/gateway+1.bin")
	if out := c.put(*key, "the oldest image"); out.VersionId != nil {
		t.Errorf("a bucket without versions told of %s", *out.VersionId)
	}
	c.versioning(types.BucketVersioningStatusEnabled)
	one := c.put(*key, "image one")
	deleted, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: bucket, Key: key})
	if err != nil || !aws.ToBool(deleted.DeleteMarker) || aws.ToString(deleted.VersionId) == "" {
		t.Fatalf("the deletion: %+v, %v", deleted, err)
	}
	presign := sdk.NewPresignClient(c.Client)
	// plain is the answer without the SDK: status, version and delete marker.
	plain := func(method string, version *string) string {
		t.Helper()
		get, err := presign.PresignGetObject(t.Context(), &sdk.GetObjectInput{Bucket: bucket, Key: key,
			VersionId: version})
		if err == nil && method == http.MethodHead {
			get, err = presign.PresignHeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: key,
				VersionId: version})
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, get.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		told := []string{answer.Status[:3], answer.Header.Get("X-Amz-Version-Id"),
			answer.Header.Get("X-Amz-Delete-Marker")}
		if answer.StatusCode == http.StatusOK && method == http.MethodGet {
			told = append(told, string(body))
		}
		return strings.TrimSpace(strings.Join(told, " "))
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if got, want := plain(method, nil), "404 "+*deleted.VersionId+" true"; got != want {
			t.Errorf("%s behind a delete marker: %s, want %s", method, got, want)
		}
		if got, want := plain(method, deleted.VersionId), "405 "+*deleted.VersionId+" true"; got != want {
			t.Errorf("%s of the delete marker: %s, want %s", method, got, want)
		}
	}
	two := c.put(*key, "the newest image")
	for _, row := range []struct {
		name    string
		version *string
		is      string // the version that is meant
		body    string
	}{
		{"null", aws.String("null"), "null", "the oldest image"},
		{"one", one.VersionId, *one.VersionId, "image one"},
		{"two", two.VersionId, *two.VersionId, "the newest image"},
		{"none", nil, *two.VersionId, "the newest image"},
	} {
		if got, want := plain(http.MethodGet, row.version), "200 "+row.is+"  "+row.body; got != want {
			t.Errorf("GET %s: %s, want %s", row.name, got, want)
		}
		head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: key, VersionId: row.version})
		if err != nil || *head.ContentLength != int64(len(row.body)) || aws.ToString(head.VersionId) != row.is {
			t.Errorf("HEAD %s: %+v, %v", row.name, head, err)
		}
		part, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: bucket, Key: key, VersionId: row.version,
			Range: aws.String("bytes=4-6")})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(part.Body); err != nil || string(b) != row.body[4:7] {
			t.Errorf("a range of %s: %q, %v", row.name, b, err)
		}
		source := "firmware/a%20b/gateway%2B1.bin"
		if row.version != nil {
			source += "?versionId=" + *row.version
		}
		copied, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
			CopySource: &source})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.get("copy", nil); got != row.body {
			t.Errorf("copy of %s: %q, want %q", row.name, got, row.body)
		}
		if aws.ToString(copied.CopySourceVersionId) != row.is ||
			c.get("copy", copied.VersionId) != row.body || *copied.VersionId == row.is {
			t.Errorf("copy of %s: of version %s, version %s is made", row.name,
				aws.ToString(copied.CopySourceVersionId), aws.ToString(copied.VersionId))
		}
		inside, err := c.door.Call(t.Context(), rootIdentity, "s3", "GetObject", map[string]any{"Bucket": "firmware",
			"Key": *key, "VersionId": aws.ToString(row.version)})
		if err != nil || string(inside.(*wholeObject).Body) != row.body {
			t.Errorf("from inside, %s: %v, %v", row.name, inside, err)
		}
	}
	nobody := aws.String("nobody")
	for name, call := range map[string]func() error{
		"head": func() error {
			_, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: key, VersionId: nobody})
			return err
		},
		"get": func() error {
			_, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: bucket, Key: key, VersionId: nobody})
			return err
		},
		"copy": func() error {
			_, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
				CopySource: aws.String("firmware/copy?versionId=nobody")})
			return err
		},
		"copy of a delete marker": func() error {
			_, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
				CopySource: aws.String("firmware/a%20b/gateway%2B1.bin?versionId=" + *deleted.VersionId)})
			return err
		},
		"copy to itself": func() error {
			_, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"),
				CopySource: aws.String("firmware/copy")})
			return err
		},
	} {
		if call() == nil {
			t.Errorf("%s of what is not there succeeds", name)
		}
	}
	// The versions go one by one, the delete marker first; what is not there is no error.
	for _, row := range []struct {
		name    string
		version *string
		marker  bool
		newest  string
	}{
		{"the marker", deleted.VersionId, true, "the newest image"}, {"nobody", nobody, false, "the newest image"},
		{"two", two.VersionId, false, "image one"}, {"null", aws.String("null"), false, "image one"},
	} {
		out, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: bucket, Key: key,
			VersionId: row.version})
		if err != nil || aws.ToBool(out.DeleteMarker) != row.marker || aws.ToString(out.VersionId) != *row.version {
			t.Errorf("deletion of %s: %+v, %v", row.name, out, err)
		}
		if got := c.get(*key, nil); got != row.newest {
			t.Errorf("after the deletion of %s: %q, want %q", row.name, got, row.newest)
		}
	}
	list, err := c.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: bucket, Prefix: key})
	if err != nil || len(list.Versions) != 1 || *list.Versions[0].VersionId != *one.VersionId ||
		len(list.DeleteMarkers) != 0 {
		t.Errorf("what is left: %+v, %v", list, err)
	}
	// Without versioning again, the next version is null; what had an id stays.
	c.versioning(types.BucketVersioningStatusSuspended)
	if out := c.put(*key, "suspended"); aws.ToString(out.VersionId) != "null" {
		t.Errorf("a suspended bucket told of %v", out.VersionId)
	}
	if got := c.get(*key, one.VersionId); got != "image one" {
		t.Errorf("the old version: %q", got)
	}
	many, err := c.DeleteObjects(t.Context(), &sdk.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: key, VersionId: aws.String("null")},
			{Key: key, VersionId: one.VersionId}}}})
	if err != nil || len(many.Deleted) != 2 || len(many.Errors) != 0 {
		t.Errorf("deletion of two versions: %+v, %v", many, err)
	}
	if got := plain(http.MethodGet, nil); got != "404" {
		t.Errorf("at last: %s", got)
	}
}

func TestCopiesKeepOrReplaceTheHeaders(t *testing.T) {
	c := newCloud(t, nil)
	bucket := aws.String("firmware")
	if _, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: bucket, Key: aws.String("a"),
		Body: bytes.NewReader([]byte("x")), ContentType: aws.String("text/plain"),
		Metadata: map[string]string{"model": "x1"}}); err != nil {
		t.Fatal(err)
	}
	for directive, want := range map[types.MetadataDirective]string{types.MetadataDirectiveCopy: "text/plain x1",
		types.MetadataDirectiveReplace: "text/html "} {
		if _, err := c.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: bucket, Key: aws.String("b"),
			CopySource: aws.String("/firmware/a"), MetadataDirective: directive,
			ContentType: aws.String("text/html")}); err != nil {
			t.Fatal(err)
		}
		head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: bucket, Key: aws.String("b")})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(head.ContentType) + " " + head.Metadata["model"]; got != want {
			t.Errorf("%s: %q, want %q", directive, got, want)
		}
	}
}

// TestAnObjectThatIsReplacedIsRead: who reads while another writes gets one of the two objects, whole.
func TestAnObjectThatIsReplacedIsRead(t *testing.T) {
	for name, memory := range map[string]bool{"bodies in memory": true, "bodies on the disk": false} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, nil)
			if memory {
				c.svc.BlobDir = ""
			}
			body := strings.Repeat("x", 1<<12)
			c.put("k", body)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 200 {
					_, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"),
						Key: aws.String("k"), Body: strings.NewReader(body)})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
			for reading := true; reading; {
				select {
				case <-done:
					reading = false
				default:
				}
				if got := c.get("k", nil); got != body {
					t.Fatalf("%d bytes are read", len(got))
				}
			}
		})
	}
}
