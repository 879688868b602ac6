// Package s3 keeps manifests, plans and reports of campaigns in a bucket
// (campaign.Manifest), and reads files of devices (Devices).
//
//	campaigns/<id>/wave-<n>/class-<n>/part-<n>.json   a list of campaign.Member, at most 1,000
//	campaigns/<id>/plan.json, report.json
//	campaigns/.found/<id>/<search>/<n>.json           what a search has found, which the bucket expires after a day
//
// Writing a part again replaces it by the same. Safe for concurrent use.
package s3

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of S3 that is used.
type API interface {
	PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, opts ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Bucket is a campaign.Manifest.
type Bucket struct {
	api    API
	bucket string
}

// New is a manifest in a bucket.
func New(api API, bucket string) *Bucket { return &Bucket{api, bucket} }

// Prefix begins the keys of all that is kept.
const Prefix = "campaigns/"

func partKey(p campaign.Part) string {
	return fmt.Sprintf("%s%s/wave-%d/class-%d/part-%d.json", Prefix, p.Campaign, p.Wave, p.Class, p.Number)
}

// Found begins the keys of what a rule of the bucket expires. No campaign has a name with a dot.
const Found = Prefix + ".found/"

func documentKey(id event.CampaignID, name string) string {
	if rest, found := strings.CutPrefix(name, campaign.FoundDocuments); found {
		return Found + string(id) + "/" + rest
	}
	return Prefix + string(id) + "/" + name
}

// PutPart implements campaign.Manifest.
func (b *Bucket) PutPart(ctx context.Context, at campaign.Part, members []campaign.Member) error {
	text, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("campaign/s3.PutPart: %w", err)
	}
	return b.put(ctx, partKey(at), text)
}

// Part implements campaign.Manifest.
func (b *Bucket) Part(ctx context.Context, at campaign.Part) (members []campaign.Member, err error) {
	text, err := b.get(ctx, b.bucket, partKey(at))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("campaign/s3.Part: %s: %w", partKey(at), err)
	}
	return members, nil
}

// PutDocument implements campaign.Manifest.
func (b *Bucket) PutDocument(ctx context.Context, id event.CampaignID, name string, document []byte) error {
	return b.put(ctx, documentKey(id, name), document)
}

// Document implements campaign.Manifest.
func (b *Bucket) Document(ctx context.Context, id event.CampaignID, name string) ([]byte, error) {
	return b.get(ctx, b.bucket, documentKey(id, name))
}

func (b *Bucket) put(ctx context.Context, key string, text []byte) error {
	_, err := b.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(text),
		ContentType: aws.String("application/json")})
	if err != nil {
		return fmt.Errorf("campaign/s3: put %s: %w", key, err)
	}
	return nil
}

// status is the HTTP status of S3's answer that is an error; 0 of any other error.
func status(err error) int {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

func (b *Bucket) get(ctx context.Context, bucket, key string) ([]byte, error) {
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		// Without ListBucket S3 says 403 of what is not there; the function has it.
		if status(err) == http.StatusNotFound {
			return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, campaign.ErrNotFound)
		}
		return nil, fmt.Errorf("campaign/s3: get %s: %w", key, err)
	}
	text, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("campaign/s3: get %s: %w", key, err)
	}
	return text, nil
}

// mostLine is how long a line of a file may be, and mostTold how many mistakes of a file are told.
const mostLine, mostTold = 64 << 10, 10

// mark may begin a file of UTF-8 (Unicode, chapter 23.8, "Byte Order Mark"); some editors write it.
var mark = []byte("\ufeff")

// Devices reads a file, s3://bucket/key, of a line of JSON for each device, as campaign.Device
// has it. problems are the file's own; at most ten lines are told.
func (b *Bucket) Devices(ctx context.Context, file string, page func([]campaign.Device) error) (
	problems event.Problems, err error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(file, "s3://"), "/")
	text, err := b.get(ctx, bucket, key)
	switch {
	case errors.Is(err, campaign.ErrNotFound):
		return event.Problems{{Path: "$.targets.file", Value: file, Allowed: "an object that exists"}}, nil
	case status(err) == http.StatusForbidden:
		return event.Problems{{Path: "$.targets.file", Value: file, Allowed: "an object that create-campaign may " +
			"read, which is one of the firmware bucket"}}, nil
	case err != nil:
		return nil, err
	}
	var all []campaign.Device
	zones := map[string]bool{"": true} // that there are; to find one takes a while
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, mark)))
	lines.Buffer(nil, mostLine)
	k := 1
	wrong := func(value any, allowed string) {
		problems = append(problems, event.Problem{Path: fmt.Sprintf("$.targets.file, line %d", k), Value: value,
			Allowed: allowed})
	}
	for ; len(problems) < mostTold && lines.Scan(); k++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var d campaign.Device
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&d); err != nil {
			wrong(string(line), "an object with thingName, and what is known of model, hardware, version and zone")
			continue
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			wrong(string(line), "one object on a line")
			continue
		}
		if _, known := zones[d.Zone]; !known {
			zones[d.Zone] = event.IsZone(d.Zone)
		}
		switch {
		case !d.Thing.Valid():
			wrong(string(line), "an object with thingName of 1 to 128 of a-z A-Z 0-9 : _ -")
		case !zones[d.Zone]:
			wrong(string(line), "a zone that there is: a name such as Europe/Berlin, or a TZ string of POSIX")
		default:
			all = append(all, d)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		wrong("a longer one", fmt.Sprintf("lines of at most %d bytes", mostLine))
	case err != nil:
		return nil, fmt.Errorf("campaign/s3: %s: %w", file, err)
	}
	if len(problems) > 0 {
		return problems, nil
	}
	return nil, page(all)
}
