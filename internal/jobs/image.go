package jobs

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Image is a firmware image in S3.
type Image struct {
	Object event.S3Object // pinned to a version, where the bucket keeps versions
	Size   int64
	SHA256 string // hexadecimal, of the bytes as they were read
	// Promised are the SHA-256 that others claim, by who does.
	Promised map[string]string
}

// Images finds firmware images.
type Images interface {
	// ByVersion lists the images of a version in the firmware bucket.
	ByVersion(ctx context.Context, version string) ([]event.S3Object, error)
	// Describe reads an image once, from its first byte to its last; ErrNotFound,
	// or ErrUnreadable with the reason.
	Describe(ctx context.Context, o event.S3Object) (Image, error)
	// Where is the place that ByVersion looks at, for messages.
	Where(version string) string
}

// image finds the image and checks it: where it comes from, what it is, and who
// vouches for it.
func (c *Creator) image(ctx context.Context, f *event.Firmware) (problems event.Problems, err error) {
	if f.URL != "" {
		problems = append(problems, c.Rules.source(f.URL)...)
	}
	if f.URL == "" && f.S3 == nil {
		found, err := c.Images.ByVersion(ctx, f.Version)
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return append(problems, event.Problem{
				Path: "$.firmware.version", Value: f.Version,
				Allowed: fmt.Sprintf("a version with exactly one image in %s; there are %d", c.Images.Where(f.Version),
					len(found)),
			}), nil
		}
		f.S3 = &found[0]
	}
	if f.S3 != nil {
		image, err := c.Images.Describe(ctx, *f.S3)
		switch {
		case errors.Is(err, ErrNotFound):
			return append(problems, event.Problem{Path: "$.firmware.s3", Value: f.S3,
				Allowed: "an object that exists"}), nil
		case errors.Is(err, ErrUnreadable):
			return append(problems, event.Problem{Path: "$.firmware.s3", Value: f.S3,
				Allowed: "an object that create-job may read: " + err.Error()}), nil
		case err != nil:
			return nil, err
		}
		object := image.Object
		f.S3 = &object
		problems = append(problems, agree(f, image)...)
	}
	return append(problems, c.Rules.signed(*f)...), nil
}

// source checks where an image is fetched from that is not in S3.
func (r Rules) source(address string) event.Problems {
	u, err := url.Parse(address)
	if err == nil {
		host := strings.TrimSuffix(strings.ToLower(u.Host), ":443")
		for _, allowed := range r.Hosts {
			allowed = strings.ToLower(allowed)
			suffix, wild := strings.CutPrefix(allowed, "*")
			if host == allowed || wild && strings.HasSuffix(host, suffix) {
				return nil
			}
		}
	}
	allowed := "an image in S3: this stack allows no other source (parameter SourceHosts)"
	if len(r.Hosts) > 0 {
		allowed = "a URL of a host that this stack allows (parameter SourceHosts): " + strings.Join(r.Hosts, ", ")
	}
	return event.Problems{{Path: "$.firmware.url", Value: address, Allowed: allowed}}
}

// agree takes over what is known of the image, unless somebody says otherwise.
func agree(f *event.Firmware, image Image) (problems event.Problems) {
	if f.SHA256 == "" {
		f.SHA256 = image.SHA256
	} else if f.SHA256 != image.SHA256 {
		problems = append(problems, event.Problem{Path: "$.firmware.sha256", Value: f.SHA256,
			Allowed: "the hash of the object, " + image.SHA256})
	}
	for who, sum := range sorted(image.Promised) {
		if sum != image.SHA256 {
			problems = append(problems, event.Problem{
				Path: "$.firmware.s3", Value: f.S3,
				Allowed: fmt.Sprintf("an object whose bytes are what its %s says, %s; theirs is %s", who, sum,
					image.SHA256),
			})
		}
	}
	if f.Size == 0 {
		f.Size = image.Size
	} else if f.Size != image.Size {
		problems = append(problems, event.Problem{Path: "$.firmware.size", Value: f.Size,
			Allowed: fmt.Sprintf("the size of the object, %d", image.Size)})
	}
	return problems
}

// signed checks who vouches for an image.
func (r Rules) signed(f event.Firmware) event.Problems {
	mistake := func(allowed string) event.Problems {
		p := event.Problem{Path: "$.firmware.signature", Allowed: allowed}
		if f.Signature != "" {
			p.Value = f.Signature
		}
		return event.Problems{p}
	}
	switch {
	case f.Signature == "" && r.SignatureRequired:
		return mistake("required: the image's SHA-256, signed with a key of this stack (parameter SigningKeys)")
	case f.Signature == "":
		return nil
	case len(r.Keys) == 0:
		return mistake("none: this stack has no keys to verify one with (parameter SigningKeys)")
	}
	digest, err := hex.DecodeString(f.SHA256)
	signature, err2 := base64.StdEncoding.DecodeString(f.Signature)
	if err != nil || err2 != nil {
		return mistake(fmt.Sprintf("base64, of a hash that is hexadecimal: %v", errors.Join(err, err2)))
	}
	for _, k := range r.Keys {
		if k.Verify(digest, signature) {
			return nil
		}
	}
	return mistake(fmt.Sprintf("a signature of %s by one of the %d keys of this stack (parameter SigningKeys)",
		f.SHA256, len(r.Keys)))
}
