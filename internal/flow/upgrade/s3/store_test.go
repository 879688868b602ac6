package s3_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	upgrades3 "github.com/fleetstep/fleetstep/internal/flow/upgrade/s3"
)

// bucket is S3 by what it answers to "METHOD path?query". SDK parameters of no
// meaning (x-id) are left out of the query.
type bucket struct {
	t       *testing.T
	answers map[string][]answer
	asked   []string
	match   string // the last If-Match
}

type answer struct {
	status  int
	headers map[string]string
	body    string
}

func (b *bucket) Do(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/s3/aws4_request") {
		b.t.Errorf("signed as %s", a)
	}
	q := r.URL.Query()
	q.Del("x-id")
	k := r.Method + " " + r.URL.EscapedPath()
	if len(q) > 0 {
		k += "?" + q.Encode()
	}
	b.asked = append(b.asked, k)
	if m := r.Header.Get("If-Match"); m != "" {
		b.match = m
	}
	left := b.answers[k]
	if len(left) == 0 {
		b.t.Errorf("unexpected %s", k)
		return nil, errors.New("unexpected")
	}
	if len(left) > 1 {
		b.answers[k] = left[1:]
	}
	a := left[0]
	if r.Method == http.MethodHead && r.Header.Get("X-Amz-Checksum-Mode") != "ENABLED" {
		b.t.Errorf("%s does not ask for the checksum", k)
	}
	w := httptest.NewRecorder()
	for name, v := range a.headers {
		w.Header().Set(name, v)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	resp := w.Result()
	resp.ContentLength = -1
	if v := a.headers["Content-Length"]; v != "" {
		resp.Header.Set("Content-Length", v)
	}
	return resp, nil
}

func newStore(t *testing.T, answers map[string][]answer) (*upgrades3.Store, *bucket) {
	b := &bucket{t: t, answers: answers}
	api := s3.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: b,
	}, func(o *s3.Options) { o.UsePathStyle = true })
	return upgrades3.NewStore(api, "firmware"), b
}

func listing(next string, keys ...string) answer {
	var s strings.Builder
	s.WriteString(`<?xml version="1.0"?><ListBucketResult><Name>firmware</Name>`)
	for _, k := range keys {
		s.WriteString("<Contents><Key>" + k + "</Key></Contents>")
	}
	if next != "" {
		s.WriteString("<IsTruncated>true</IsTruncated><NextContinuationToken>" + next + "</NextContinuationToken>")
	}
	s.WriteString("</ListBucketResult>")
	return answer{status: 200, body: s.String()}
}

func TestByVersionLeavesOutCompanions(t *testing.T) {
	s, _ := newStore(t, map[string][]answer{
		"GET /firmware?list-type=2&prefix=2.0.0%2F": {listing("more",
			"2.0.0/", "2.0.0/gateway.bin.sig", "2.0.0/manifest.json", "2.0.0/gateway.bin.asc")},
		"GET /firmware?continuation-token=more&list-type=2&prefix=2.0.0%2F": {listing("", "2.0.0/gateway.bin")},
		"GET /firmware?list-type=2&prefix=9%2F":                             {listing("")},
	})
	found, err := s.ByVersion(t.Context(), "2.0.0")
	if err != nil || len(found) != 1 || found[0] != (upgrade.S3Object{Bucket: "firmware", Key: "2.0.0/gateway.bin"}) {
		t.Errorf("got %+v, %v", found, err)
	}
	if found, err = s.ByVersion(t.Context(), "9"); err != nil || len(found) != 0 {
		t.Errorf("got %+v, %v", found, err)
	}
	if got := s.Where("2.0.0"); got != "s3://firmware/2.0.0/" {
		t.Errorf("looks at %s", got)
	}
}

func TestTheHashIsThatOfTheBytes(t *testing.T) {
	const content = "an image"
	sum := sha256.Sum256([]byte(content))
	hash, sum64 := hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])
	other := strings.Repeat("ab", 32)
	head := func(more ...string) answer {
		h := map[string]string{"Content-Length": "8", "x-amz-version-id": "v7"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return answer{status: 200, headers: h}
	}
	const metadata, checksum = "metadata sha256", "checksum in S3"
	for name, c := range map[string]struct {
		head     answer
		promised map[string]string
	}{
		"metadata": {head("x-amz-meta-sha256", strings.ToUpper(other)),
			map[string]string{metadata: other}},
		"checksum": {head("x-amz-checksum-sha256", sum64, "x-amz-checksum-type", "FULL_OBJECT"),
			map[string]string{checksum: hash}},
		"both": {head("x-amz-meta-sha256", other, "x-amz-checksum-sha256", sum64),
			map[string]string{metadata: other, checksum: hash}},
		"checksum of parts": {head("x-amz-checksum-sha256", sum64+"-3", "x-amz-checksum-type", "COMPOSITE"),
			nil},
		"composite, unnumbered": {head("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(make([]byte, 32)),
			"x-amz-checksum-type", "COMPOSITE"), nil},
		"none":                    {head(), nil},
		"metadata too short":      {head("x-amz-meta-sha256", "abc"), nil},
		"metadata no hexadecimal": {head("x-amz-meta-sha256", strings.Repeat("xy", 32)), nil},
	} {
		s, b := newStore(t, map[string][]answer{
			"HEAD /firmware/2/gateway.bin": {c.head},
			"GET /firmware/2/gateway.bin?versionId=v7": {{status: 200,
				headers: map[string]string{"x-amz-version-id": "v7"}, body: content}},
		})
		got, err := s.Describe(t.Context(), upgrade.S3Object{Bucket: "firmware", Key: "2/gateway.bin"})
		if err != nil || got.SHA256 != hash || got.Size != 8 || got.Object.VersionID != "v7" ||
			!maps.Equal(got.Promised, c.promised) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if len(b.asked) != 2 {
			t.Errorf("%s: asked %v", name, b.asked)
		}
	}
}

func TestDescribeOfOneVersion(t *testing.T) {
	abc := answer{status: 200, body: "abc"}
	s, b := newStore(t, map[string][]answer{
		"HEAD /firmware/k?versionId=v1": {{status: 200, headers: map[string]string{"Content-Length": "3",
			"x-amz-version-id": "v1"}}},
		"GET /firmware/k?versionId=v1": {abc},
		"HEAD /elsewhere/k%2Bx%20y":    {{status: 200, headers: map[string]string{"Content-Length": "3", "x-amz-version-id": "null", "ETag": `"e1"`}}},
		"GET /elsewhere/k%2Bx%20y":     {abc},
	})
	for in, want := range map[upgrade.S3Object]string{
		{Bucket: "firmware", Key: "k", VersionID: "v1"}: "v1",
		{Bucket: "elsewhere", Key: "k+x y"}:             "", // a bucket that keeps no versions
	} {
		got, err := s.Describe(t.Context(), in)
		if err != nil || got.Object.VersionID != want || got.Size != 3 {
			t.Errorf("%+v: got %+v, %v", in, got, err)
		}
	}
	if b.match != `"e1"` {
		t.Errorf("without versions, the bytes are those described only if they match: %q", b.match)
	}
}

func TestImagesThatCannotBeChecked(t *testing.T) {
	for name, c := range map[string]struct {
		head, get answer
		want      string
	}{
		"too large": {answer{status: 200, headers: map[string]string{"Content-Length": "4294967297"}},
			answer{}, "at most 4294967296"},
		"forbidden":         {answer{status: 403}, answer{}, "s3://firmware only"},
		"in another region": {answer{status: 301}, answer{}, "another region"},
		"delete marker":     {answer{status: 405}, answer{}, "delete marker"},
		"no such version":   {answer{status: 400}, answer{}, "versionId"},
		"reading forbidden": {answer{status: 200}, answer{status: 403, body: `<Error><Code>AccessDenied</Code></Error>`}, "403"},
	} {
		s, _ := newStore(t, map[string][]answer{"HEAD /other/k": {c.head}, "GET /other/k": {c.get}})
		_, err := s.Describe(t.Context(), upgrade.S3Object{Bucket: "other", Key: "k"})
		if !errors.Is(err, upgrade.ErrUnreadable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Cut short, or longer than it was said to be: not that image, perhaps the next try.
	for _, body := range []string{"ab", "abcd"} {
		s, _ := newStore(t, map[string][]answer{
			"HEAD /firmware/k": {{status: 200, headers: map[string]string{"Content-Length": "3"}}},
			"GET /firmware/k":  {{status: 200, body: body}},
		})
		if _, err := s.Describe(t.Context(), upgrade.S3Object{Bucket: "firmware", Key: "k"}); err == nil ||
			errors.Is(err, upgrade.ErrUnreadable) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestMissingIsToldApartFromForbidden(t *testing.T) {
	noKey := answer{status: 404, body: `<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>`}
	for name, c := range map[string]struct {
		answers map[string][]answer
		missing bool
	}{
		"no object": {map[string][]answer{"HEAD /firmware/k": {{status: 404}}}, true},
		"gone in between": {map[string][]answer{"HEAD /firmware/k": {{status: 200}}, "GET /firmware/k": {noKey}},
			true},
		"forbidden":         {map[string][]answer{"HEAD /firmware/k": {{status: 403}}}, false},
		"reading forbidden": {map[string][]answer{"HEAD /firmware/k": {{status: 200}}, "GET /firmware/k": {{status: 403, body: `<Error><Code>AccessDenied</Code></Error>`}}}, false},
	} {
		s, _ := newStore(t, c.answers)
		_, err := s.Describe(t.Context(), upgrade.S3Object{Bucket: "firmware", Key: "k"})
		if err == nil || errors.Is(err, upgrade.ErrNoImage) != c.missing {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s, _ := newStore(t, map[string][]answer{"GET /firmware?list-type=2&prefix=2%2F": {{status: 404, body: `<Error><Code>NoSuchBucket</Code></Error>`}}})
	if _, err := s.ByVersion(t.Context(), "2"); err == nil {
		t.Error("a bucket that is not there has no images, silently")
	}
}

func TestThrottledListingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := answer{status: 503, body: `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`}
		s, b := newStore(t, map[string][]answer{"GET /firmware?list-type=2&prefix=2%2F": {slow, slow,
			listing("", "2/a.bin")}})
		if found, err := s.ByVersion(t.Context(), "2"); err != nil || len(found) != 1 || len(b.asked) != 3 {
			t.Errorf("got %v, %v after %d", found, err, len(b.asked))
		}
	})
}
