package upgrade

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
)

// StoredImage is a firmware image in S3.
type StoredImage struct {
	Object S3Object // pinned to a version, where the bucket keeps versions
	Size   int64
	SHA256 string // hexadecimal, of the bytes as they were read
	// Promised are the SHA-256 that others claim, by who does.
	Promised map[string]string
}

// ImageStore finds firmware images.
type ImageStore interface {
	// ByVersion lists the images of a version in the firmware bucket.
	ByVersion(ctx context.Context, version string) ([]S3Object, error)
	// Describe reads an image once, from its first byte to its last; ErrNoImage,
	// or ErrUnreadable with the reason.
	Describe(ctx context.Context, o S3Object) (StoredImage, error)
	// Where is the place that ByVersion looks at, for messages.
	Where(version string) string
}

// Errors of an ImageStore.
var (
	ErrNoImage = errors.New("not found")
	// ErrUnreadable: S3 does not give the image, and will not.
	ErrUnreadable = errors.New("the image cannot be read")
)

// Rules are what a stack's configuration says of images.
type Rules struct {
	// Hosts are those that images may come from beside S3: names, with a port
	// where it is not 443; "*.example.com"; or "*" for any.
	Hosts []string
	// Keys verify signatures; SignatureRequired refuses images without one.
	Keys              []Key
	SignatureRequired bool
}

// finder finds the images that payloads ask for.
type finder struct {
	images ImageStore
	rules  Rules
}

// complete finds the image of an input, and checks it.
func (f finder) complete(ctx context.Context, in event.Input) (event.Input, event.Problems, error) {
	var firmware Firmware
	if err := json.Unmarshal(in.Members["firmware"], &firmware); err != nil {
		return in, nil, fmt.Errorf("upgrade: firmware: %w", err)
	}
	problems, err := f.image(ctx, in.At+".firmware", &firmware)
	if err != nil {
		return in, nil, err
	}
	in, err = withMembers(in, map[string]any{"firmware": firmware})
	in.Size = firmware.Size
	return in, problems, err
}

// image finds the image and checks it: where it comes from, what it is, and who
// vouches for it. at is the path of firmware in the payload.
func (f finder) image(ctx context.Context, at string, firmware *Firmware) (problems event.Problems, err error) {
	if firmware.URL != "" {
		problems = append(problems, f.rules.source(at, firmware.URL)...)
	}
	if firmware.URL == "" && firmware.S3 == nil {
		found, err := f.images.ByVersion(ctx, firmware.Version)
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return append(problems, event.Problem{
				Path: at + ".version", Value: firmware.Version,
				Allowed: fmt.Sprintf("a version with exactly one image in %s; there are %d",
					f.images.Where(firmware.Version), len(found)),
			}), nil
		}
		firmware.S3 = &found[0]
	}
	if firmware.S3 != nil {
		image, err := f.images.Describe(ctx, *firmware.S3)
		mistake := func(allowed string) event.Problems {
			return append(problems, event.Problem{Path: at + ".s3", Value: firmware.S3, Allowed: allowed})
		}
		switch {
		case errors.Is(err, ErrNoImage):
			return mistake("an object that exists"), nil
		case errors.Is(err, ErrUnreadable):
			return mistake("an object that create-job may read: " + err.Error()), nil
		case err != nil:
			return nil, err
		}
		object := image.Object
		firmware.S3 = &object
		problems = append(problems, agree(at, firmware, image)...)
	}
	return append(problems, f.rules.signed(at, *firmware)...), nil
}

// source checks where an image is fetched from that is not in S3.
func (r Rules) source(at, address string) event.Problems {
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
	return event.Problems{{Path: at + ".url", Value: address, Allowed: allowed}}
}

// agree takes over what is known of the image, unless somebody says otherwise.
func agree(at string, f *Firmware, image StoredImage) (problems event.Problems) {
	add := func(member string, value any, allowed string, args ...any) {
		problems = append(problems, event.Problem{Path: at + member, Value: value, Allowed: fmt.Sprintf(allowed,
			args...)})
	}
	if f.SHA256 == "" {
		f.SHA256 = image.SHA256
	} else if f.SHA256 != image.SHA256 {
		add(".sha256", f.SHA256, "the hash of the object, %s", image.SHA256)
	}
	for _, who := range slices.Sorted(maps.Keys(image.Promised)) {
		if sum := image.Promised[who]; sum != image.SHA256 {
			add(".s3", f.S3, "an object whose bytes are what its %s says, %s; theirs is %s", who, sum, image.SHA256)
		}
	}
	if f.Size == 0 {
		f.Size = image.Size
	} else if f.Size != image.Size {
		add(".size", f.Size, "the size of the object, %d", image.Size)
	}
	return problems
}

// signed checks who vouches for an image.
func (r Rules) signed(at string, f Firmware) event.Problems {
	mistake := func(allowed string) event.Problems {
		p := event.Problem{Path: at + ".signature", Allowed: allowed}
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
