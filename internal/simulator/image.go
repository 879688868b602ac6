package simulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// A firmware image for simulated devices is text lines, then noise:
//
//	FLEETSTEP-IMAGE 1
//	version: 2.0.0
//	boot: ok
//	(an empty line)
//	pseudo-random bytes up to the size
//
// "boot: bad" makes an image that downloads well and does not boot.
const imageMagic = "FLEETSTEP-IMAGE 1"

// maxImageHeader is how many bytes of an image are searched for its header.
const maxImageHeader = 512

// MakeImage is a firmware image of this version. Equal arguments give equal
// bytes. A size smaller than the header gives the header alone; a version must
// be one line of at most 64 characters, as TR-181 has it.
func MakeImage(version string, size int, seed uint64) []byte {
	return makeImage(version, "ok", size, seed)
}

// MakeBrokenImage is one that passes every check and then does not boot.
func MakeBrokenImage(version string, size int, seed uint64) []byte {
	return makeImage(version, "bad", size, seed)
}

func makeImage(version, boot string, size int, seed uint64) []byte {
	header := fmt.Sprintf("%s\nversion: %s\nboot: %s\n\n", imageMagic, version, boot)
	image := make([]byte, max(size, len(header)))
	n := copy(image, header)
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24),
		byte(seed >> 32), byte(seed >> 40), byte(seed >> 48), byte(seed >> 56)})
	_, _ = noise.Read(image[n:])
	return image
}

// ImageHeader is what an image says of itself.
type ImageHeader struct {
	Version string
	Boots   bool
}

// ErrImage is wrapped by all that is wrong with an image.
var ErrImage = errors.New("not a firmware image")

// ReadImageHeader reads the header off the front of an image.
func ReadImageHeader(image []byte) (ImageHeader, error) {
	lines := bufio.NewScanner(io.LimitReader(bytes.NewReader(image), maxImageHeader))
	if !lines.Scan() || lines.Text() != imageMagic {
		return ImageHeader{}, fmt.Errorf("%w: it does not start with %q", ErrImage, imageMagic)
	}
	var h ImageHeader
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			if h.Version == "" || len(h.Version) > 64 {
				return ImageHeader{}, fmt.Errorf("%w: version %q", ErrImage, h.Version)
			}
			return h, nil
		case !ok:
			return ImageHeader{}, fmt.Errorf("%w: header line %q", ErrImage, lines.Text())
		case key == "version":
			h.Version = value
		case key == "boot" && (value == "ok" || value == "bad"):
			h.Boots = value == "ok"
		default:
			return ImageHeader{}, fmt.Errorf("%w: header line %q", ErrImage, lines.Text())
		}
	}
	return ImageHeader{}, fmt.Errorf("%w: its header does not end", ErrImage)
}
