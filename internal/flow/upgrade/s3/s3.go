// Package s3 is S3 as upgrades need it: it finds firmware images (Store), and makes the
// addresses from which devices fetch them (Addresses: upgrade.Images). Addresses are
// presigned: who has one may read the object, as the caller's role may. They never go
// into a log line.
package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

// Addresses is an upgrade.Images.
type Addresses struct{ api *s3.Client }

// New makes addresses in the name of whoever's credentials the client has.
func New(api *s3.Client) *Addresses { return &Addresses{api: api} }

// Limits of an address's life. The credentials of a function's role end within
// hours, whatever the address says.
const (
	shortest = 15 * time.Minute
	longest  = 12 * time.Hour
)

// URL is where a device fetches an image: the given address, or one that is
// presigned now and lasts as long as the download may take.
func (a *Addresses) URL(ctx context.Context, f upgrade.Firmware, t upgrade.Timeouts) (string, error) {
	if f.URL != "" {
		return f.URL, nil
	}
	life := min(max(time.Duration(t.WithDefaults().DownloadSeconds)*time.Second, shortest), longest)
	in := &s3.GetObjectInput{Bucket: &f.S3.Bucket, Key: &f.S3.Key}
	if f.S3.VersionID != "" {
		in.VersionId = &f.S3.VersionID
	}
	signed, err := s3.NewPresignClient(a.api).PresignGetObject(ctx, in, s3.WithPresignExpires(life))
	if err != nil {
		return "", fmt.Errorf("flow/upgrade/s3.URL: s3://%s/%s: %w", f.S3.Bucket, f.S3.Key, err)
	}
	return signed.URL, nil
}
