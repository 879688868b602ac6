package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/johannesboyne/gofakes3"
	"github.com/zeebo/xxh3"
)

// algorithms are the checksums that a client may state, by the last word of their
// header. Source: Amazon S3 User Guide, "Checking object integrity" (2026-11);
// CRC-64/NVME is the polynomial 0xad93d23594c93659, here reversed. Those of XXHASH have the seed 0
// and are written from the most significant byte on, as xxHash's canonical representation is.
var algorithms = map[string]func() hash.Hash{
	"Crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"Crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"Sha1":      sha1.New,
	"Sha256":    sha256.New,
	"Sha512":    sha512.New,
	"Md5":       md5.New,
	"Xxhash64":  func() hash.Hash { return xxhash.New() },
	"Xxhash3":   func() hash.Hash { return xxh3.New() },
	"Xxhash128": func() hash.Hash { return xxh128{xxh3.New()} },
}

// xxh128 is XXH3 with 128 bits.
type xxh128 struct{ *xxh3.Hasher }

func (h xxh128) Size() int { return 16 }

func (h xxh128) Sum(b []byte) []byte {
	sum := h.Sum128().Bytes()
	return append(b, sum[:]...)
}

const (
	checksumHeader = "X-Amz-Checksum-"
	md5Header      = "Content-Md5"
)

// verified is a body whose checksum, stated in a header or in a trailer, is
// compared at its end; name is its header, word how S3 writes the algorithm.
type verified struct {
	io.ReadCloser
	stated http.Header
	name   string
	word   string
	hash   hash.Hash
	answer http.Header // which repeats a checksum
}

// verify has the body of an upload compared with the checksums that the client
// states.
func verify(w http.ResponseWriter, r *http.Request) error {
	if text := r.Header.Get(md5Header); text != "" && r.Body != nil {
		if b, err := base64.StdEncoding.DecodeString(text); err != nil || len(b) != md5.Size {
			return errS3("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
		}
		r.Body = &verified{r.Body, http.Header{md5Header: {text}}, md5Header, "Content-MD5", md5.New(), nil}
		r.Header.Del(md5Header) // the library does not word what is wrong
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		word, ok := strings.CutPrefix(name, checksumHeader)
		if _, known := algorithms[word]; ok && !known && word != "Type" && word != "Algorithm" && word != "Mode" {
			return errS3("InvalidRequest", 400,
				"The value specified in the %s header is of no algorithm that is supported.", strings.ToLower(name))
		}
	}
	trailer := http.CanonicalHeaderKey(strings.TrimSpace(r.Header.Get("X-Amz-Trailer")))
	var stated []string
	for _, word := range slices.Sorted(maps.Keys(algorithms)) {
		if r.Header.Get(checksumHeader+word) != "" || trailer == checksumHeader+word {
			stated = append(stated, word)
		}
	}
	named := r.Header.Get("X-Amz-Sdk-Checksum-Algorithm")
	switch {
	case len(stated) > 1:
		return errS3("InvalidRequest", 400,
			"Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case named != "" && len(stated) == 0:
		return errS3("InvalidRequest", 400, "x-amz-sdk-checksum-algorithm specified, but no corresponding "+
			"x-amz-checksum-* or x-amz-trailer headers were found.")
	case named != "" && !strings.EqualFold(named, stated[0]):
		return errS3("InvalidRequest", 400, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	case len(stated) == 0 || r.Body == nil:
		return nil
	}
	h := algorithms[stated[0]]()
	if value := r.Header.Get(checksumHeader + stated[0]); value != "" {
		if b, err := base64.StdEncoding.DecodeString(value); err != nil || len(b) != h.Size() {
			return errS3("InvalidRequest", 400, "Value for x-amz-checksum-%s header is invalid.",
				strings.ToLower(stated[0]))
		}
	}
	r.Body = &verified{r.Body, r.Header, checksumHeader + stated[0], strings.ToUpper(stated[0]), h, w.Header()}
	return nil
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	_, _ = v.hash.Write(p[:n]) // a hash does not fail
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if sum := base64.StdEncoding.EncodeToString(v.hash.Sum(nil)); sum != v.stated.Get(v.name) {
		text := "The " + v.word + " you specified did not match the calculated checksum."
		if v.name == md5Header {
			text = "The Content-MD5 you specified did not match what we received."
		}
		return n, gofakes3.ErrorMessage(gofakes3.ErrBadDigest, text)
	} else if v.answer != nil {
		v.answer.Set(v.name, sum)
	}
	return n, err
}
