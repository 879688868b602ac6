package s3_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/device"
	devices3 "github.com/fleetstep/fleetstep/internal/device/s3"
)

// A device fetches the image with a plain GET: nothing but the address may be
// needed, and it must hold for as long as the download may take.
func TestAddressesNeedNothingElse(t *testing.T) {
	s := devices3.New(s3.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	}, func(o *s3.Options) { o.UsePathStyle = true }))
	image := device.File{Bucket: "firmware", Key: "2/gate way.bin", Version: "v7"}
	for lasts, want := range map[time.Duration]string{
		time.Second: "900", time.Hour: "3600", 7 * 24 * time.Hour: "43200", 0: "900",
	} {
		image.Lasts = lasts
		got, err := s.Address(t.Context(), image)
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
			t.Errorf("%v: %s %v", lasts, u.EscapedPath(), q)
		}
	}
	image.Version = ""
	if got, err := s.Address(t.Context(), image); err != nil || strings.Contains(got, "versionId") {
		t.Errorf("of any version: %s, %v", got, err)
	}
}
