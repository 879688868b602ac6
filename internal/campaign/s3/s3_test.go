package s3_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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
