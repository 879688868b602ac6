package jobs

import (
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func TestObjectURLs(t *testing.T) {
	for _, tt := range []struct {
		url     string
		encoded bool
		want    string // bucket key version, "" for an error
	}{
		{"https://s3.eu-west-1.amazonaws.com/fw/v2/a.bin", false, "fw v2/a.bin "},
		{"https://fw.s3.eu-west-1.amazonaws.com/v2/a.bin", false, "fw v2/a.bin "},
		{"https://fw.s3-eu-west-1.amazonaws.com/a", false, "fw a "},
		{"http://127.0.0.1:4566/fw/a", false, "fw a "},
		{"https://s3.amazonaws.com/fw/a%20b", false, "fw a%20b "},
		{"https://s3.amazonaws.com/fw/a%20b%3FversionId%3Dx1", true, "fw a b x1"},
		{"https://s3.amazonaws.com/fw", false, ""},
		{"https://s3.amazonaws.com/", false, ""},
		{"s3://fw/a", false, ""},
		{"https://s3.amazonaws.com/fw/%zz", true, ""},
	} {
		b, k, v, err := parseObjectURL(tt.url, tt.encoded)
		got := strings.Join([]string{b, k, v}, " ")
		if err != nil {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.url, got, err, tt.want)
		}
	}
}

func TestRate(t *testing.T) {
	n := func(i int) *int { return &i }
	documented := &Rollout{ExponentialRate: &Exponential{50, 2, RateIncrease{NumberOfNotifiedThings: n(1000)}}}
	for _, tt := range []struct {
		rollout             *Rollout
		notified, succeeded int
		want                int
	}{
		{nil, 0, 0, 1000},
		{&Rollout{MaximumPerMinute: n(7)}, 5000, 5000, 7},
		{documented, 0, 0, 50}, {documented, 999, 0, 50}, {documented, 1000, 0, 100}, {documented, 2000, 0, 200},
		{documented, 3000, 0, 400},
		{documented, 1_000_000, 0, 1000}, // the ceiling
		{&Rollout{MaximumPerMinute: n(300), ExponentialRate: documented.ExponentialRate}, 3000, 0, 300},
		{&Rollout{ExponentialRate: &Exponential{10, 1.1, RateIncrease{NumberOfSucceededThings: n(10)}}}, 1000, 0, 10},
		{&Rollout{ExponentialRate: &Exponential{10, 1.1, RateIncrease{NumberOfSucceededThings: n(10)}}}, 1000, 10, 11},
	} {
		if got := tt.rollout.rate(tt.notified, tt.succeeded); got != tt.want {
			t.Errorf("%+v after %d notified, %d succeeded: got %d, want %d", tt.rollout, tt.notified, tt.succeeded,
				got, tt.want)
		}
	}
}

// FuzzPlaceholders: what is split goes together again, placeholders of S3 name
// a bucket and a key, and errors are the caller's.
func FuzzPlaceholders(f *testing.F) {
	for _, s := range []string{
		`{"u":"${aws:iot:s3-presigned-url:https://s3.eu-west-1.amazonaws.com/b/k}"}`,
		`${aws:iot:s3-presigned-url-upload:https://s3.amazonaws.com/b/${thingName}/${jobId}} tail`,
		`${aws:iot:s3-presigned-url-v2:https://b.s3.amazonaws.com/k%3FversionId%3D1}`,
		`${aws:iot:code-sign-signature:s3://r/b/k}`, `${aws:iot:x`, `${thingName}`, ``,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, document string) {
		pieces, err := parsePlaceholders(document)
		if err != nil {
			if status := awsapi.AsError(err).HTTPStatus(); pieces != nil || status != 400 && status != 501 {
				t.Fatalf("%q: %v with %v", document, pieces, err)
			}
			return
		}
		rest := document
		for _, p := range pieces {
			if p.kind != literal {
				if p.bucket == "" || p.key == "" {
					t.Fatalf("%q: %+v", document, p)
				}
				continue
			}
			i := strings.Index(rest, p.text)
			if i < 0 || strings.Contains(p.text, opening) {
				t.Fatalf("%q: piece %q", document, p.text)
			}
			rest = rest[i+len(p.text):]
		}
	})
}
