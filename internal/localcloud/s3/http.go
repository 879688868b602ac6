package s3

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// subresources that the library serves.
var served = map[string]bool{
	"location": true, "versioning": true, "versions": true, "uploads": true, "uploadId": true, "partNumber": true,
	"versionId": true, "delete": true,
}

// unserved are subresources that would be taken for another operation.
var unserved = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "intelligent-tiering", "inventory", "legal-hold",
	"lifecycle", "logging",
	"metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
	"policyStatus", "publicAccessBlock",
	"replication", "requestPayment", "restore", "retention", "select", "session", "tagging", "torrent", "website",
}

// serve answers the REST requests of S3 that have no operation of their own.
func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	c := awsapi.CallFrom(r.Context())
	bucketName, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	for _, name := range unserved {
		if query.Has(name) {
			writeError(w, r, c.RequestID, awsapi.NotBuilt("the S3 subresource ?"+name))
			return
		}
	}
	if query.Has("encryption") && key == "" {
		if err := s.serveEncryption(w, r, c, bucketName); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	r = r.Clone(r.Context())
	if err := s.authorize(c, r, bucketName, key, query); err != nil {
		writeError(w, r, c.RequestID, err)
		return
	}
	if key != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !query.Has("uploadId") {
		// Who may not list the bucket does not learn that a key is missing.
		_, err := s.find(bucketName, key, query.Get("versionId"))
		if awsapi.Code(err) == "NoSuchKey" {
			if denied := c.Authorize(r.Context(), "s3:ListBucket", arn(bucketName, ""), nil); denied != nil {
				writeError(w, r, c.RequestID, denied)
				return
			}
		}
	}
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		if err := unchunk(r); err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	if r.Method == http.MethodPut && key != "" {
		if err := verify(r); err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	if strings.ContainsRune(key, versionMark) {
		writeError(w, r, c.RequestID, errS3("InvalidArgument", 400, "a key has no character U+0000"))
		return
	}
	if err := markVersion(r, bucketName, key, query); err != nil {
		writeError(w, r, c.RequestID, err)
		return
	}
	// The presigning parameters are no subresources.
	for name := range query {
		if strings.HasPrefix(name, "X-Amz-") && !served[name] {
			query.Del(name)
		}
	}
	r.URL.RawQuery = query.Encode()
	answer := &status{ResponseWriter: w}
	s.library.ServeHTTP(answer, r)
	answer.end()
}

// status puts right the status of errors whose code the library does not know: it
// answers them with 500.
type status struct {
	http.ResponseWriter
	held  bool // an answer with 500, until its end
	wrote bytes.Buffer
}

func (s *status) WriteHeader(code int) {
	if s.held = code == http.StatusInternalServerError; !s.held {
		s.ResponseWriter.WriteHeader(code)
	}
}

func (s *status) Write(b []byte) (int, error) {
	if s.held {
		return s.wrote.Write(b)
	}
	return s.ResponseWriter.Write(b)
}

func (s *status) end() {
	if !s.held {
		return
	}
	code := http.StatusInternalServerError
	if bytes.Contains(s.wrote.Bytes(), []byte("<Code>"+contentMismatch+"</Code>")) {
		code = http.StatusBadRequest
	}
	s.ResponseWriter.WriteHeader(code)
	_, _ = s.ResponseWriter.Write(s.wrote.Bytes()) // the client is gone if this fails
}

// versionMark separates a key from a version on the way through the library, which
// drops the version of HeadObject and of the source of CopyObject.
const versionMark = '\x00'

func markVersion(r *http.Request, bucketName, key string, query url.Values) error {
	if id := query.Get("versionId"); id != "" && r.Method == http.MethodHead && key != "" {
		query.Del("versionId")
		r.URL.Path, r.URL.RawPath = "/"+bucketName+"/"+key+string(versionMark)+id, ""
	}
	source, after, found := strings.Cut(r.Header.Get("X-Amz-Copy-Source"), "?")
	if !found {
		return nil
	}
	parameters, err := url.ParseQuery(after)
	if id := parameters.Get("versionId"); err == nil && id != "" && len(parameters) == 1 {
		r.Header.Set("X-Amz-Copy-Source", source+url.QueryEscape(string(versionMark)+id))
		return nil
	}
	return errS3("InvalidArgument", 400, "X-Amz-Copy-Source: after the key comes nothing but ?versionId=")
}

// authorize asks for the permission that a request needs.
func (s *Service) authorize(c *awsapi.Call, r *http.Request, bucketName, key string, query url.Values) error {
	may := func(action, resource string) error { return c.Authorize(r.Context(), action, resource, nil) }
	version := ""
	if query.Get("versionId") != "" {
		version = "Version"
	}
	switch {
	case bucketName == "":
		return may("s3:ListAllMyBuckets", "*")
	case key == "":
		action := map[string]string{http.MethodGet: "s3:ListBucket", http.MethodHead: "s3:ListBucket",
			http.MethodPut: "s3:CreateBucket", http.MethodDelete: "s3:DeleteBucket"}[r.Method]
		switch {
		case query.Has("location"):
			action = "s3:GetBucketLocation"
		case query.Has("versioning") && r.Method == http.MethodPut:
			action = "s3:PutBucketVersioning"
		case query.Has("versioning"):
			action = "s3:GetBucketVersioning"
		case query.Has("versions"):
			action = "s3:ListBucketVersions"
		case query.Has("uploads"):
			action = "s3:ListBucketMultipartUploads"
		case query.Has("delete") && r.Method == http.MethodPost:
			return s.authorizeDeletes(c, r, bucketName)
		case r.Method == http.MethodPost:
			return awsapi.NotBuilt("uploads to S3 by browser forms (POST on a bucket)")
		}
		return may(action, arn(bucketName, ""))
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if query.Has("uploadId") {
			return may("s3:ListMultipartUploadParts", arn(bucketName, key))
		}
		return may("s3:GetObject"+version, arn(bucketName, key))
	case http.MethodDelete:
		if query.Has("uploadId") {
			return may("s3:AbortMultipartUpload", arn(bucketName, key))
		}
		return may("s3:DeleteObject"+version, arn(bucketName, key))
	default:
		if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
			source, _, versioned := strings.Cut(source, "?")
			from, err := url.PathUnescape(source)
			if err != nil || strings.ContainsRune(from, versionMark) {
				return errS3("InvalidArgument", 400, "X-Amz-Copy-Source %q is no bucket and key", source)
			}
			action := "s3:GetObject"
			if versioned {
				action = "s3:GetObjectVersion"
			}
			if err := may(action, "arn:aws:s3:::"+strings.TrimPrefix(from, "/")); err != nil {
				return err
			}
		}
		return may("s3:PutObject", arn(bucketName, key))
	}
}

// maxDelete bounds the body of a DeleteObjects request.
const maxDelete = 2 << 20

func (s *Service) authorizeDeletes(c *awsapi.Call, r *http.Request, bucketName string) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxDelete))
	if err != nil {
		return err
	}
	var request struct {
		Object []struct{ Key, VersionId string }
	}
	if err := xml.Unmarshal(b, &request); err != nil {
		return errS3("MalformedXML", 400,
			"The XML you provided was not well-formed or did not validate against our published schema: %v", err)
	}
	for _, o := range request.Object {
		action := "s3:DeleteObject"
		if o.VersionId != "" {
			action = "s3:DeleteObjectVersion"
		}
		if err := c.Authorize(r.Context(), action, arn(bucketName, o.Key), nil); err != nil {
			return err
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	r.ContentLength = int64(len(b))
	return nil
}

// unchunk replaces a body in aws-chunked encoding by what it encodes.
// Signatures of chunks are not checked; the request's own signature is.
func unchunk(r *http.Request) error {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return nil
	}
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return errS3("MissingContentLength", 411, "You must provide the X-Amz-Decoded-Content-Length HTTP header.")
	}
	r.Body = &chunked{r: bufio.NewReader(r.Body), closer: r.Body, header: r.Header}
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
// chunks".
type chunked struct {
	r      *bufio.Reader
	closer io.Closer
	header http.Header
	left   int64
	done   bool
}

var errChunk = errors.New("s3: malformed aws-chunked body")

func (c *chunked) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		size, _, _ := strings.Cut(line, ";")
		c.left, err = strconv.ParseInt(size, 16, 64)
		if err != nil || c.left < 0 {
			return 0, errChunk
		}
		if c.left == 0 {
			c.done = true
			trailer, err := textproto.NewReader(c.r).ReadMIMEHeader()
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, errChunk
			}
			for name := range trailer {
				if strings.HasPrefix(name, "X-Amz-Checksum-") {
					c.header.Set(name, trailer.Get(name))
				}
			}
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == nil && c.left == 0 {
		var end string
		if end, err = c.line(); err == nil && end != "" {
			err = errChunk
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunked) line() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil || len(line) > 1024 {
		return "", errChunk
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (c *chunked) Close() error { return c.closer.Close() }
