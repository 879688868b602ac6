package s3

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// tags are those of an object as the SDK reads them, key=value in their order, or the code of an error.
func (c *cloud) tags(key string, version *string) string {
	c.t.Helper()
	out, err := c.GetObjectTagging(c.t.Context(), &sdk.GetObjectTaggingInput{Bucket: aws.String("firmware"), Key: &key,
		VersionId: version})
	if err != nil {
		return code(err)
	}
	var list []string
	for _, t := range out.TagSet {
		list = append(list, *t.Key+"="+*t.Value)
	}
	return strings.Join(list, " ")
}

func (c *cloud) tag(key string, version *string, pairs ...string) error {
	var set []types.Tag
	for i := 0; i < len(pairs); i += 2 {
		set = append(set, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	_, err := c.PutObjectTagging(c.t.Context(), &sdk.PutObjectTaggingInput{Bucket: aws.String("firmware"), Key: &key,
		VersionId: version, Tagging: &types.Tagging{TagSet: set}})
	return err
}

func TestTagsOfObjects(t *testing.T) {
	c := newCloud(t, nil)
	ctx, firmware := t.Context(), aws.String("firmware")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(key string, version *string, tags string) {
		t.Helper()
		if got := c.tags(key, version); got != tags {
			t.Errorf("%s has the tags %q, want %q", key, got, tags)
		}
	}
	c.put("plain", "v")
	want("plain", nil, "")
	if got := c.tags("none", nil); got != "NoSuchKey" {
		t.Errorf("the tags of no object: %s", got)
	}
	// With an upload, at once or in parts, and through a presigned URL.
	_, err := c.PutObject(ctx, &sdk.PutObjectInput{Bucket: firmware, Key: aws.String("k"),
		Body: strings.NewReader("v1"), Tagging: aws.String("stage=canary&model=X%201&empty=")})
	must(err)
	want("k", nil, "empty= model=X 1 stage=canary")
	made, err := c.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: firmware,
		Key: aws.String("parts"), Tagging: aws.String("a=b")})
	must(err)
	part, err := c.UploadPart(ctx, &sdk.UploadPartInput{Bucket: firmware, Key: aws.String("parts"),
		UploadId: made.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("v")})
	must(err)
	_, err = c.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{Bucket: firmware,
		Key: aws.String("parts"), UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{
			Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}})
	must(err)
	want("parts", nil, "a=b")
	signed, err := sdk.NewPresignClient(c.Client).PresignPutObject(ctx, &sdk.PutObjectInput{Bucket: firmware,
		Key: aws.String("signed"), Tagging: aws.String("a=b&c=d")})
	must(err)
	r, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, strings.NewReader("v"))
	must(err)
	for name, values := range signed.SignedHeader {
		r.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(r)
	must(err)
	must(answer.Body.Close())
	want("signed", nil, "a=b c=d")
	// Their number is told with the object, and they are no header of it.
	out, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: firmware, Key: aws.String("k")})
	must(err)
	_, err = io.Copy(io.Discard, out.Body)
	must(err)
	head, err := c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: firmware, Key: aws.String("k")})
	must(err)
	if aws.ToInt32(out.TagCount) != 3 || aws.ToInt32(head.TagCount) != 3 {
		t.Errorf("%v and %v tags, want 3", aws.ToInt32(out.TagCount), aws.ToInt32(head.TagCount))
	}
	// Copies have the source's, or their own.
	_, err = c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: firmware, Key: aws.String("copy"),
		CopySource: aws.String("firmware/k"), Tagging: aws.String("not=taken")})
	must(err)
	want("copy", nil, "empty= model=X 1 stage=canary")
	_, err = c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: firmware, Key: aws.String("copy"),
		CopySource: aws.String("firmware/k"), Tagging: aws.String("own=1"),
		TaggingDirective: types.TaggingDirectiveReplace})
	must(err)
	want("copy", nil, "own=1")
	// They change without the object.
	must(c.tag("k", nil, "z", "1", "a", "ä @+-=._:/"))
	want("k", nil, "a=ä @+-=._:/ z=1")
	if got := c.get("k", nil); got != "v1" {
		t.Errorf("the object is %q", got)
	}
	_, err = c.DeleteObjectTagging(ctx, &sdk.DeleteObjectTaggingInput{Bucket: firmware, Key: aws.String("k")})
	must(err)
	want("k", nil, "")
	// Each version has its own.
	_, err = c.PutBucketVersioning(ctx, &sdk.PutBucketVersioningInput{Bucket: firmware,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	must(err)
	first, second := c.put("w", "1").VersionId, c.put("w", "2").VersionId
	must(c.tag("w", first, "n", "1"))
	want("w", first, "n=1")
	want("w", second, "")
	gone, err := c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: firmware, Key: aws.String("w")})
	must(err)
	now, marker := c.tags("w", nil), c.tags("w", gone.VersionId)
	if now != "NoSuchKey" || marker != "MethodNotAllowed" {
		t.Errorf("of what is deleted: %s, %s", now, marker)
	}
	want("w", first, "n=1")
}

func TestTagsThatAreNone(t *testing.T) {
	c := newCloud(t, nil)
	c.put("k", "v")
	if err := c.tag("k", nil, "kept", "1"); err != nil {
		t.Fatal(err)
	}
	eleven := []string{}
	for i := range 11 {
		eleven = append(eleven, string(rune('a'+i)), "")
	}
	const badKey, badValue = "The TagKey you have provided is invalid", "The TagValue you have provided is invalid"
	for name, x := range map[string]struct {
		pairs      []string
		code, text string
	}{
		"eleven":              {eleven, "BadRequest", "Object tags cannot be greater than 10"},
		"twice":               {[]string{"a", "1", "a", "2"}, "InvalidTag", "multiple Tags with the same key"},
		"no key":              {[]string{"", "1"}, "InvalidTag", badKey},
		"a long key":          {[]string{strings.Repeat("ä", 129), ""}, "InvalidTag", badKey},
		"a key of characters": {[]string{"a,b", ""}, "InvalidTag", badKey},
		"a long value":        {[]string{"a", strings.Repeat("v", 257)}, "InvalidTag", badValue},
		"a value of those":    {[]string{"a", "{}"}, "InvalidTag", badValue},
		"a system's":          {[]string{"aws:a", "1"}, "InvalidTag", "Your TagKey cannot be prefixed with aws:"},
	} {
		values := url.Values{}
		for i := 0; i < len(x.pairs); i += 2 {
			values.Add(x.pairs[i], x.pairs[i+1])
		}
		_, header := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"), Key: aws.String("k"),
			Body: strings.NewReader("new"), Tagging: aws.String(values.Encode())})
		wantCode, wantText := x.code, x.text
		if name == "twice" {
			wantCode, wantText = "InvalidArgument", "without tag name duplicates"
		}
		if code(header) != wantCode || !strings.Contains(header.Error(), wantText) {
			t.Errorf("header with %s: %v", name, header)
		}
		if err := c.tag("k", nil, x.pairs...); code(err) != x.code || !strings.Contains(err.Error(), x.text) {
			t.Errorf("document with %s: %v", name, err)
		}
	}
	for _, header := range []string{"a=b=c", "a=%ZZ", "%FF=a"} {
		_, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"), Key: aws.String("k"),
			Body: strings.NewReader("new"), Tagging: &header})
		if code(err) != "InvalidArgument" {
			t.Errorf("header %s: %v", header, err)
		}
	}
	for _, body := range []string{"", "<Tagging>", "<Tagging></Tagging>", "<Tags><TagSet></TagSet></Tags>",
		"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url+"/firmware/k?tagging",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != 400 ||
			!strings.Contains(string(b), "MalformedXML") {
			t.Errorf("%s: %v %s %s", body, err, answer.Status, b)
		}
	}
	if c.tags("k", nil) != "kept=1" || c.get("k", nil) != "v" {
		t.Errorf("what was refused was done: %q, %s", c.tags("k", nil), c.get("k", nil))
	}
	// As many and as long as may be are more than metadata may be.
	most := url.Values{}
	for i := range 10 {
		most.Add(string(rune('a'+i))+strings.Repeat("k", 127), strings.Repeat("v", 256))
	}
	if _, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"), Key: aws.String("k"),
		Tagging: aws.String(most.Encode())}); err != nil {
		t.Error(err)
	}
	if _, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"), Key: aws.String("k"),
		Metadata: map[string]string{"m": strings.Repeat("v", 2048)}}); code(err) != "MetadataTooLarge" {
		t.Errorf("metadata of 2,049 bytes: %v", err)
	}
}

// TestTagsNeedTheirPermissions: who may read and write an object may not read and write its tags for that.
func TestTagsNeedTheirPermissions(t *testing.T) {
	firmware := aws.String("firmware")
	put := func(c *cloud) error {
		_, err := c.PutObject(c.t.Context(), &sdk.PutObjectInput{Bucket: firmware, Key: aws.String("new"),
			Tagging: aws.String("a=1")})
		return err
	}
	begin := func(c *cloud) error {
		_, err := c.CreateMultipartUpload(c.t.Context(), &sdk.CreateMultipartUploadInput{Bucket: firmware,
			Key: aws.String("new"), Tagging: aws.String("a=1")})
		return err
	}
	write := func(c *cloud) error { return c.tag("k", nil, "b", "2") }
	read := func(c *cloud) error {
		_, err := c.GetObjectTagging(c.t.Context(), &sdk.GetObjectTaggingInput{Bucket: firmware, Key: aws.String("k")})
		return err
	}
	remove := func(c *cloud) error {
		_, err := c.DeleteObjectTagging(c.t.Context(), &sdk.DeleteObjectTaggingInput{Bucket: firmware,
			Key: aws.String("k")})
		return err
	}
	copied := func(c *cloud) error {
		_, err := c.CopyObject(c.t.Context(), &sdk.CopyObjectInput{Bucket: firmware, Key: aws.String("copy"),
			CopySource: aws.String("firmware/k")})
		return err
	}
	all := map[string]func(*cloud) error{"put": put, "begin": begin, "write": write, "read": read, "copy": copied,
		"remove": remove}
	for action, denied := range map[string]string{
		"s3:PutObjectTagging": "put begin write copy", "s3:GetObjectTagging": "read copy",
		"s3:DeleteObjectTagging": "remove", "s3:GetObjectVersionTagging": "",
	} {
		for name, try := range all {
			rules := deny{}
			c := newCloud(t, rules)
			c.put("k", "v")
			if err := c.tag("k", nil, "a", "1"); err != nil {
				t.Fatal(err)
			}
			rules[action] = true
			err := try(c)
			if no := slices.Contains(strings.Fields(denied), name); no != (code(err) == "AccessDenied") ||
				!no && err != nil {
				t.Errorf("without %s, %s: %v", action, name, err)
			}
			if action != "s3:GetObjectTagging" {
				continue
			}
			head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: firmware, Key: aws.String("k")})
			if err != nil || head.TagCount != nil {
				t.Errorf("who may not read the tags is told how many there are: %v, %v", err, head)
			}
		}
	}
}
