package s3

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// unchunk replaces a body in aws-chunked encoding by what it encodes.
func unchunk(r *http.Request) error {
	how := r.Header.Get("X-Amz-Content-Sha256")
	if !strings.HasPrefix(how, "STREAMING-") {
		return nil
	}
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return errS3("MissingContentLength", 411, "You must provide the X-Amz-Decoded-Content-Length HTTP header.")
	}
	body := &chunked{r: bufio.NewReader(r.Body), closer: r.Body, header: r.Header, size: size, hash: sha256.New(),
		trailer: strings.HasSuffix(how, "-TRAILER")}
	if call := awsapi.CallFrom(r.Context()); call != nil {
		body.chunks = call.Chunks
	}
	r.Body = body
	r.ContentLength = size
	r.Header.Set("Content-Length", strconv.FormatInt(size, 10))
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	var rest []string
	for _, e := range strings.Split(r.Header.Get("Content-Encoding"), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			rest = append(rest, e)
		}
	}
	r.Header.Del("Content-Encoding")
	if len(rest) > 0 {
		r.Header.Set("Content-Encoding", strings.Join(rest, ","))
	}
	return nil
}

// chunked decodes aws-chunked: "<size in hex>[;chunk-signature=...]\r\n<data>\r\n"
// until a chunk of size 0, after which trailing headers may follow. Source:
// S3 API reference, "Signature calculations: transferring payload in multiple
// chunks" and "… trailing headers"; what is wrong with one is answered as issues 1666, 1683, 1685 and 2085 of
// github.com/versity/versitygw saw it.
type chunked struct {
	r       *bufio.Reader
	closer  io.Closer
	header  http.Header
	trailer bool          // may follow
	chunks  awsapi.Chunks // nil: they are not signed
	size    int64         // of the whole body, as the client states
	read    int64
	number  int // of the chunk
	whole   int64
	left    int64  // of it
	signed  string // its signature
	hash    hash.Hash
	done    bool
}

// smallestChunk is the least size of a chunk that another follows.
const smallestChunk = 8192

// smallChunk is the code of one that is smaller.
const smallChunk = "InvalidChunkSizeError"

var errTrailer = gofakes3.ErrorMessage(malformedTrailer, "The request contained trailing data that was not "+
	"well-formed or did not conform to our published schema.")

var errChunk = gofakes3.ErrorMessage(gofakes3.ErrIncompleteBody, "The request body terminated unexpectedly")

var errSigned = gofakes3.ErrorMessage(awsapi.CodeSignatureMismatch, "The request signature we calculated does not "+
	"match the signature you provided. Check your key and signing method.")

func (c *chunked) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.begin(); err != nil {
			return 0, err
		}
		if c.left == 0 {
			c.done = true
			if err := c.end(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left, c.read = c.left-int64(n), c.read+int64(n)
	if c.chunks != nil {
		_, _ = c.hash.Write(p[:n]) // a hash does not fail
	}
	if err == nil && c.left == 0 {
		var end string
		if end, err = c.line(); err == nil && end != "" {
			err = errChunk
		}
		if err == nil {
			err = c.check()
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errChunk
	}
	return n, err
}

// begin reads the line before a chunk.
func (c *chunked) begin() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, more, _ := strings.Cut(line, ";")
	before := c.whole
	if c.whole, err = strconv.ParseInt(size, 16, 64); err != nil || c.whole < 0 {
		return errChunk
	}
	c.left = c.whole
	if c.number++; c.number > 1 && c.whole > 0 && before < smallestChunk {
		return gofakes3.ErrorMessage(smallChunk, fmt.Sprintf("Only the last chunk is allowed to have a size less "+
			"than %d bytes", smallestChunk))
	}
	if c.chunks == nil {
		return nil
	}
	var ok bool
	if c.signed, ok = strings.CutPrefix(more, "chunk-signature="); !ok || len(c.signed) != 2*sha256.Size {
		return errChunk
	}
	return nil
}

// check holds a chunk that was read to its signature.
func (c *chunked) check() error {
	if c.chunks == nil {
		return nil
	}
	sum := c.hash.Sum(nil)
	c.hash.Reset()
	if !c.chunks.Chunk(sum, c.signed) {
		return errSigned
	}
	return nil
}

// trailerSignature is the trailing header that signs the others.
const trailerSignature = "X-Amz-Trailer-Signature"

// end reads what follows the last chunk.
func (c *chunked) end() error {
	if err := c.check(); err != nil {
		return err
	}
	rest := &io.LimitedReader{R: c.r, N: maxTrailer}
	trailer, err := textproto.NewReader(bufio.NewReader(rest)).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) || rest.N == 0 || c.read != c.size {
		return errChunk
	}
	announced := http.CanonicalHeaderKey(strings.TrimSpace(c.header.Get("X-Amz-Trailer")))
	if announced != "" && trailer.Get(announced) == "" {
		return errTrailer
	}
	for name := range trailer {
		if strings.HasPrefix(name, checksumHeader) && name != announced {
			return errTrailer
		}
	}
	if announced == "" {
		return nil
	}
	if c.chunks != nil && c.trailer {
		signed := trailer.Get(trailerSignature)
		if len(signed) != 2*sha256.Size {
			return errChunk
		}
		sum := sha256.Sum256([]byte(strings.ToLower(announced) + ":" + trailer.Get(announced) + "\n"))
		if !c.chunks.Trailer(sum[:], signed) {
			return errSigned
		}
	}
	c.header.Set(announced, trailer.Get(announced))
	return nil
}

// maxTrailer bounds the headers after the last chunk.
const maxTrailer = 8 << 10

// line reads the line before or after a chunk, which fits the reader's buffer.
func (c *chunked) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil || len(line) > 1024 {
		return "", errChunk
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func (c *chunked) Close() error { return c.closer.Close() }
