package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/campaign/campaigntest"
	campaigns3 "github.com/fleetstep/fleetstep/internal/campaign/s3"
)

// objects are S3.
type objects map[string][]byte

func (o objects) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput,
	error) {
	b, err := io.ReadAll(in.Body)
	o[*in.Bucket+"/"+*in.Key] = b
	return &s3.PutObjectOutput{}, err
}

func (o objects) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput,
	error) {
	b, ok := o[*in.Bucket+"/"+*in.Key]
	if !ok {
		return nil, &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusNotFound}},
			Err:      io.EOF,
		}}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b))}, nil
}

func TestBucketKeepsTheContract(t *testing.T) {
	o := objects{}
	campaigntest.Manifests(t, campaigns3.New(o, "b"))
	if _, ok := o["b/campaigns/fall/wave-1/class-2/part-3.json"]; !ok {
		t.Errorf("keys %v", o)
	}
}

// TestMistakesInFilesOfDevices are told with their line, and what is allowed. Ends of lines as on Windows are none,
// nor is a mark of UTF-8 at the beginning.
func TestMistakesInFilesOfDevices(t *testing.T) {
	for _, c := range []struct{ line, allowed string }{
		{"\xef\xbb\xbf{\"thingName\": \"a\"}\r\n\r\n{\"thingName\": \"b\"}\r", ""},
		{`{"thingName": "a", "zone": "Europe/Berlin"}`, ""},
		{`{"thingName": "a"} {"thingName": "b"}`, "one object on a line"},
		{`{"thingName": "a"},`, "one object on a line"},
		{`{"thingName": "a b"}`, "thingName of 1 to 128 of a-z A-Z 0-9 : _ -"},
		{`{"thingName": "` + strings.Repeat("a", 129) + `"}`, "thingName of 1 to 128 of a-z A-Z 0-9 : _ -"},
		{`{"thingName": "a", "zone": "Europe/Atlantis"}`, "a zone that there is"},
		{`{"thingName": "a", "model": "` + strings.Repeat("m", 70_000) + `"}`, "lines of at most 65536 bytes"},
	} {
		o := objects{"f/a.jsonl": []byte("{\"thingName\": \"first\"}\n" + c.line)}
		if strings.HasPrefix(c.line, "\xef") {
			o["f/a.jsonl"] = []byte(c.line)
		}
		found := 0
		problems, err := campaigns3.New(o, "b").Devices(t.Context(), "s3://f/a.jsonl",
			func(all []campaign.Device) error { found = len(all); return nil })
		switch line := c.line[:min(len(c.line), 60)]; {
		case err != nil:
			t.Errorf("%s: %v", line, err)
		case c.allowed == "" && (found != 2 || len(problems) > 0):
			t.Errorf("%s: %d devices, %v", line, found, problems)
		case c.allowed != "" && (len(problems) != 1 || problems[0].Path != "$.targets.file, line 2" ||
			!strings.Contains(problems[0].Allowed, c.allowed)):
			t.Errorf("%s: %v", line, problems)
		}
	}
}

// TestAFileThatMayNotBeRead is the payload's mistake: only the firmware bucket's may be.
func TestAFileThatMayNotBeRead(t *testing.T) {
	b := campaigns3.New(forbidden{}, "b")
	problems, err := b.Devices(t.Context(), "s3://other/a.jsonl", nil)
	if err != nil || len(problems) != 1 || problems[0].Path != "$.targets.file" ||
		!strings.Contains(problems[0].Allowed, "firmware bucket") {
		t.Errorf("%v, %v", problems, err)
	}
	if _, err := b.Document(t.Context(), "fall", campaign.PlanDocument); err == nil ||
		errors.Is(err, campaign.ErrNotFound) {
		t.Errorf("a document: %v", err)
	}
}

// forbidden is an S3 that lets nobody in.
type forbidden struct{ objects }

func (forbidden) GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return nil, &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusForbidden}},
		Err:      &smithy.GenericAPIError{Code: "AccessDenied"},
	}}
}

// TestWhatASearchFoundLiesWhereItExpires: see TestWhatASearchFoundExpires of infra.
func TestWhatASearchFoundLiesWhereItExpires(t *testing.T) {
	o := objects{}
	b := campaigns3.New(o, "b")
	name := campaign.FoundDocuments + "run/0.json"
	if err := b.PutDocument(t.Context(), "fall", name, []byte("[]")); err != nil {
		t.Fatal(err)
	}
	if _, ok := o["b/campaigns/.found/fall/run/0.json"]; !ok {
		t.Errorf("keys %v", o)
	}
	if got, err := b.Document(t.Context(), "fall", name); err != nil || string(got) != "[]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFilesOfDevices(t *testing.T) {
	o := objects{"f/a.jsonl": []byte("{\"thingName\": \"a\", \"model\": \"M\"}\n\n{\"thingName\": \"b\"}\n"),
		"f/bad.jsonl": []byte("{\"thingName\": \"a\"}\na\n{\"model\": \"M\"}\n" +
			"{\"thingName\": \"a\", \"colour\": 1}\n")}
	b := campaigns3.New(o, "b")
	var got []campaign.Device
	page := func(all []campaign.Device) error { got = append(got, all...); return nil }
	problems, err := b.Devices(t.Context(), "s3://f/a.jsonl", page)
	if err != nil || len(problems) > 0 || len(got) != 2 || got[0].Model != "M" || got[1].Thing != "b" {
		t.Errorf("%+v, %v, %v", got, problems, err)
	}
	if problems, err = b.Devices(t.Context(), "s3://f/bad.jsonl", page); err != nil || len(problems) != 3 ||
		!strings.HasSuffix(problems[0].Path, "line 2") {
		t.Errorf("%v, %v", problems, err)
	}
	if problems, err = b.Devices(t.Context(), "s3://f/none", page); err != nil || len(problems) != 1 {
		t.Errorf("%v, %v", problems, err)
	}
}
