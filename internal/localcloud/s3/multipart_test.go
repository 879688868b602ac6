package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

var rootIdentity = awsapi.RootOf(account)

func (c *cloud) begin(key string) *string {
	c.t.Helper()
	up, err := c.CreateMultipartUpload(c.t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String("firmware"),
		Key: &key, Metadata: map[string]string{"model": "x1"}})
	if err != nil {
		c.t.Fatal(err)
	}
	return up.UploadId
}

func (c *cloud) part(key string, id *string, number int32, body io.Reader) (types.CompletedPart, error) {
	p, err := c.UploadPart(c.t.Context(), &sdk.UploadPartInput{Bucket: aws.String("firmware"), Key: &key, UploadId: id,
		PartNumber: &number, Body: body})
	if err != nil {
		return types.CompletedPart{}, err
	}
	return types.CompletedPart{ETag: p.ETag, PartNumber: &number}, nil
}

func (c *cloud) complete(key string, id *string, parts ...types.CompletedPart) (*sdk.CompleteMultipartUploadOutput,
	error) {
	return c.CompleteMultipartUpload(c.t.Context(), &sdk.CompleteMultipartUploadInput{Bucket: aws.String("firmware"),
		Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
}

func (c *cloud) bodies() int {
	c.t.Helper()
	files, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return len(files)
}

// restart makes the service anew over what there is.
func (c *cloud) restart() {
	c.t.Helper()
	s := scheduler.NewReal()
	svc, err := New(Config{Platform: platform.Platform{Scheduler: s, Store: c.db, Account: account,
		Region: "us-east-1"}, BlobDir: c.dir})
	if err == nil {
		err = svc.Start(context.Background())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	*c.svc = *svc
}

// TestAMultipartUploadSurvivesARestart: parts are overwritten, listed and put together in another process than the one
// that took them; what is left out or replaced is gone from the disk.
func TestAMultipartUploadSurvivesARestart(t *testing.T) {
	c := newCloud(t, nil)
	c.versioning(types.BucketVersioningStatusEnabled)
	id := c.begin("big")
	first, last := bytes.Repeat([]byte("a"), minPart), []byte("the end")
	if _, err := c.part("big", id, 1, strings.NewReader("is overwritten")); err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for number, body := range map[int32][]byte{1: first, 3: []byte("is left out"), 7: last} {
		p, err := c.part("big", id, number, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if number != 3 {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	if err := os.WriteFile(c.dir+"/cut-off", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.restart()
	if n := c.bodies(); n != 3 {
		t.Errorf("%d bodies are on the disk, want 3", n)
	}
	listed, err := c.ListParts(t.Context(), &sdk.ListPartsInput{Bucket: aws.String("firmware"), Key: aws.String("big"),
		UploadId: id, PartNumberMarker: aws.String("1"), MaxParts: aws.Int32(1)})
	if err != nil || len(listed.Parts) != 1 || *listed.Parts[0].PartNumber != 3 || !*listed.IsTruncated ||
		*listed.NextPartNumberMarker != "3" {
		t.Errorf("the second page of parts: %+v, %v", listed, err)
	}
	under, err := c.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsInput{Bucket: aws.String("firmware")})
	if err != nil || len(under.Uploads) != 1 || *under.Uploads[0].UploadId != *id {
		t.Errorf("uploads: %+v, %v", under, err)
	}
	out, err := c.complete("big", id, parts...)
	if err != nil {
		t.Fatal(err)
	}
	one, two := md5.Sum(first), md5.Sum(last)
	etag := fmt.Sprintf(`"%x-2"`, md5.Sum(append(one[:], two[:]...)))
	head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("firmware"), Key: aws.String("big"),
		VersionId: out.VersionId})
	if err != nil || *out.ETag != etag || *head.ETag != etag || head.Metadata["model"] != "x1" {
		t.Errorf("answered %v, then %+v, %v, want ETag %s", *out.ETag, head, err, etag)
	}
	if _, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"), Key: aws.String("big"),
		IfNoneMatch: &etag}); err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("an object that was not modified: %v", err)
	}
	if got := c.get("big", nil); got != string(first)+string(last) {
		t.Errorf("%d bytes", len(got))
	}
	if n := c.bodies(); n != 1 {
		t.Errorf("%d bodies are on the disk, want 1", n)
	}
	if _, err := c.complete("big", id, parts...); code(err) != "NoSuchUpload" {
		t.Errorf("once more: %v", err)
	}
}

func TestWhatAMultipartUploadRefuses(t *testing.T) {
	c := newCloud(t, nil)
	id := c.begin("big")
	small, err := c.part("big", id, 1, strings.NewReader("small"))
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.part("big", id, 2, strings.NewReader("last"))
	if err != nil {
		t.Fatal(err)
	}
	_, elsewhere := c.part("other", id, 1, strings.NewReader("x"))
	_, nobody := c.part("big", aws.String("nobody"), 1, strings.NewReader("x"))
	_, tooMany := c.part("big", id, 10_001, strings.NewReader("x"))
	_, tooSmall := c.complete("big", id, small, last)
	_, order := c.complete("big", id, last, small)
	_, missing := c.complete("big", id, types.CompletedPart{ETag: small.ETag, PartNumber: aws.Int32(5)})
	_, another := c.complete("big", id, types.CompletedPart{ETag: last.ETag, PartNumber: aws.Int32(1)})
	for _, row := range []struct {
		name, code string
		err        error
	}{
		{"another key", "NoSuchUpload", elsewhere}, {"no such upload", "NoSuchUpload", nobody},
		{"a part of 10,001", "InvalidArgument", tooMany}, {"a small part", "EntityTooSmall", tooSmall},
		{"another order", "InvalidPartOrder", order}, {"a missing part", "InvalidPart", missing},
		{"another ETag", "InvalidPart", another},
	} {
		if code(row.err) != row.code {
			t.Errorf("%s: %v, want %s", row.name, row.err, row.code)
		}
	}
	if _, err := c.UploadPartCopy(t.Context(), &sdk.UploadPartCopyInput{Bucket: aws.String("firmware"),
		Key: aws.String("big"), UploadId: id, PartNumber: aws.Int32(1), CopySource: aws.String("firmware/x"),
	}); code(err) != "NoSuchKey" {
		t.Errorf("a part that is copied of nothing: %v", err)
	}
	if n := c.bodies(); n != 2 {
		t.Errorf("%d bodies are on the disk, want 2", n)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &sdk.AbortMultipartUploadInput{Bucket: aws.String("firmware"),
		Key: aws.String("big"), UploadId: id}); err != nil {
		t.Fatal(err)
	}
	if n := c.bodies(); n != 0 {
		t.Errorf("%d bodies are on the disk after the end", n)
	}
	id = c.begin("big")
	if _, err := c.part("big", id, 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteBucket(t.Context(), &sdk.DeleteBucketInput{Bucket: aws.String("firmware")}); err != nil {
		t.Errorf("a bucket whose uploads were not completed: %v", err)
	}
	if n := c.bodies(); n != 0 {
		t.Errorf("%d bodies are on the disk after the end of the bucket", n)
	}
}

// TestUploadsTakeLittleMemory uploads images at once, in two parts each: FLEETSTEP_UPLOADS=10x200 is ten of 200 MB.
// The memory is that of this process, in which are the client's SDK and the cloud.
// TestPartsAreCopied: an object that is too large for CopyObject, as the AWS CLI's cp and mv copy all beyond 8 MB.
func TestPartsAreCopied(t *testing.T) {
	c := newCloud(t, nil)
	body := strings.Repeat("0123456789", 6<<20/10)
	c.put("from", body)
	id := c.begin("to")
	copied := func(number int32, from, bytes string) (types.CompletedPart, error) {
		in := &sdk.UploadPartCopyInput{Bucket: aws.String("firmware"), Key: aws.String("to"), UploadId: id,
			PartNumber: &number, CopySource: aws.String("firmware/" + from)}
		if bytes != "" {
			in.CopySourceRange = &bytes
		}
		out, err := c.UploadPartCopy(t.Context(), in)
		if err != nil {
			return types.CompletedPart{}, err
		}
		return types.CompletedPart{ETag: out.CopyPartResult.ETag, PartNumber: &number}, nil
	}
	first, err := copied(1, "from", "")
	if err != nil {
		t.Fatal(err)
	}
	second, err := copied(2, "from", "bytes=5-14")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ from, bytes, code string }{
		{"none", "", "NoSuchKey"}, {"from", "bytes=5-", "InvalidArgument"}, {"from", "bytes=9-8", "InvalidArgument"},
		{"from", "bytes=0-99999999", "InvalidArgument"},
	} {
		if _, err := copied(3, row.from, row.bytes); code(err) != row.code {
			t.Errorf("%s %s: %v, want %s", row.from, row.bytes, err, row.code)
		}
	}
	for _, in := range []sdk.UploadPartCopyInput{{CopySourceIfMatch: aws.String(`"00"`)},
		{CopySourceIfNoneMatch: aws.String("*")}, {CopySourceIfUnmodifiedSince: aws.Time(time.Unix(0, 0))}} {
		in.Bucket, in.Key, in.UploadId, in.PartNumber = aws.String("firmware"), aws.String("to"), id, aws.Int32(3)
		in.CopySource = aws.String("firmware/from")
		if _, err := c.UploadPartCopy(t.Context(), &in); code(err) != "PreconditionFailed" {
			t.Errorf("on a condition that does not hold: %v", err)
		}
	}
	if _, err := c.complete("to", id, first, second); err != nil {
		t.Fatal(err)
	}
	if got := c.get("to", nil); got != body+"5678901234" {
		t.Errorf("%d bytes, which end with %q", len(got), got[len(got)-12:])
	}
	if _, err := copied(1, "from", ""); code(err) != "NoSuchUpload" {
		t.Errorf("to an upload that is over: %v", err)
	}
}

func TestUploadsTakeLittleMemory(t *testing.T) {
	count, size, most := 4, 24, 48
	if given := os.Getenv("FLEETSTEP_UPLOADS"); given != "" {
		if _, err := fmt.Sscanf(given, "%dx%d", &count, &size); err != nil {
			t.Fatal(err)
		}
		most = 150
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // what is measured is that of a program as it runs
	c := newCloud(t, nil)
	runtime.GC()
	over := make(chan struct{})
	var peak, before runtime.MemStats
	runtime.ReadMemStats(&before)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
			var now runtime.MemStats
			if runtime.ReadMemStats(&now); now.HeapInuse > peak.HeapInuse {
				peak = now
			}
		}
	})
	var all sync.WaitGroup
	for n := range count {
		all.Go(func() {
			key := fmt.Sprint("image", n)
			id := c.begin(key)
			var parts []types.CompletedPart
			for number := range int32(2) {
				p, err := c.part(key, id, number+1,
					&noise{seed: uint64(n)<<8 + uint64(number), size: int64(size) << 19})
				if err != nil {
					t.Error(err)
					return
				}
				parts = append(parts, p)
			}
			if _, err := c.complete(key, id, parts...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(over)
	watch.Wait()
	used := int(peak.HeapInuse-min(before.HeapInuse, peak.HeapInuse)) >> 20
	t.Logf("%d uploads of %d MB at once: %d MB of memory", count, size, used)
	if used > most {
		t.Errorf("%d uploads of %d MB at once took %d MB of memory, want at most %d", count, size, used, most)
	}
}

// noise is a body of random bytes that can be read twice, as the SDK does.
type noise struct {
	seed     uint64
	size, at int64
	rnd      *rand.Rand
}

func (n *noise) Read(p []byte) (int, error) {
	if n.at == n.size {
		return 0, io.EOF
	}
	if n.rnd == nil {
		n.rnd = rand.New(rand.NewPCG(n.seed, 0))
	}
	p = p[:min(int64(len(p)), n.size-n.at)]
	for i := 0; i < len(p); i += 64 {
		p[i] = byte(n.rnd.Uint64())
	}
	n.at += int64(len(p))
	return len(p), nil
}

func (n *noise) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += n.at
	case io.SeekEnd:
		offset += n.size
	}
	if offset != n.at {
		n.rnd = nil
	}
	n.at = offset
	return offset, nil
}
