// Package s3 makes the URLs from which agents fetch files (device.Addresses): presigned URLs
// of S3. Whoever has such a URL may read the object with the rights of the caller's role. URLs
// never go into a log line.
package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/device"
)

// Addresses is a device.Addresses.
type Addresses struct{ api *s3.PresignClient }

// New makes addresses in the name of whoever's credentials the client has.
func New(api *s3.Client) *Addresses { return &Addresses{api: s3.NewPresignClient(api)} }

// Limits of an address's life. The credentials of a function's role end within
// hours, whatever the address says.
const (
	shortest = 15 * time.Minute
	longest  = 12 * time.Hour
)

// Address implements device.Addresses.
func (a *Addresses) Address(ctx context.Context, f device.File) (string, error) {
	in := &s3.GetObjectInput{Bucket: &f.Bucket, Key: &f.Key}
	if f.Version != "" {
		in.VersionId = &f.Version
	}
	life := min(max(f.Lasts, shortest), longest)
	signed, err := a.api.PresignGetObject(ctx, in, s3.WithPresignExpires(life))
	if err != nil {
		return "", fmt.Errorf("device/s3.Address: s3://%s/%s: %w", f.Bucket, f.Key, err)
	}
	return signed.URL, nil
}
