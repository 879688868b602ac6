package s3_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	upgrades3 "github.com/fleetstep/fleetstep/internal/flow/upgrade/s3"
)

// A device fetches the image with a plain GET: nothing but the address may be
// needed, and it must hold for as long as the download may take.
func TestAddressesNeedNothingElse(t *testing.T) {
	s := upgrades3.New(s3.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	}, func(o *s3.Options) { o.UsePathStyle = true }))
	image := upgrade.Firmware{Version: "2", S3: &upgrade.S3Object{Bucket: "firmware", Key: "2/gate way.bin",
		VersionID: "v7"}}
	for seconds, want := range map[int]string{1: "900", 3600: "3600", 7 * 24 * 3600: "43200", 0: "3600"} {
		got, err := s.URL(t.Context(), image, upgrade.Timeouts{DownloadSeconds: seconds})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.EscapedPath() != "/firmware/2/gate%20way.bin" || q.Get("X-Amz-Expires") != want ||
			q.Get("versionId") != "v7" || q.Get("X-Amz-SignedHeaders") != "host" {
			t.Errorf("%d seconds: %s %v", seconds, u.EscapedPath(), q)
		}
	}
	image.S3.VersionID = ""
	if got, err := s.URL(t.Context(), image, upgrade.Timeouts{}); err != nil || strings.Contains(got, "versionId") {
		t.Errorf("of any version: %s, %v", got, err)
	}
	got, err := s.URL(t.Context(), upgrade.Firmware{Version: "2", URL: "https://cdn.example.com/2.bin"},
		upgrade.Timeouts{})
	if err != nil || got != "https://cdn.example.com/2.bin" {
		t.Errorf("a given address: %s, %v", got, err)
	}
}
