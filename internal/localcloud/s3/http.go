package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// subresources that the library serves.
var served = map[string]bool{
	"location": true, "versioning": true, "versions": true, "uploads": true, "uploadId": true, "partNumber": true,
	"versionId": true, "delete": true,
}

// unserved are subresources that would be taken for another operation.
var unserved = []string{
	"accelerate", "acl", "analytics", "attributes", "cors", "intelligent-tiering", "inventory", "legal-hold",
	"logging",
	"metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
	"policyStatus", "publicAccessBlock",
	"replication", "requestPayment", "restore", "retention", "select", "session", "torrent", "website",
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
	if key == "" && query.Has("tagging") {
		writeError(w, r, c.RequestID, awsapi.NotBuilt("tags of S3 buckets (?tagging)"))
		return
	}
	serve := s.serveEncryption
	if query.Has("lifecycle") {
		serve = s.serveLifecycle
	}
	if key == "" && (query.Has("encryption") || query.Has("lifecycle")) {
		if err := serve(w, r, c, bucketName); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	r = r.Clone(r.Context())
	if query.Has("tagging") {
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		if err := s.serveTagging(w, r, c, bucketName, key, query.Get("versionId")); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	if err := s.authorize(c, r, bucketName, key, query); err != nil {
		writeError(w, r, c.RequestID, err)
		return
	}
	if key != "" && !query.Has("uploadId") && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
		err := uploadTags(c, r, bucketName, key, query)
		if err == nil {
			err = checkUpload(r.Header)
		}
		if err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	if !utf8.ValidString(key) {
		writeError(w, r, c.RequestID, errS3("InvalidURI", 400, "Couldn't parse the specified URI."))
		return
	}
	if strings.ContainsRune(key, versionMark) {
		writeError(w, r, c.RequestID, errS3("InvalidArgument", 400, "a key has no character U+0000"))
		return
	}
	if len(key) > maxKey {
		writeError(w, r, c.RequestID, errS3("KeyTooLongError", 400, "Your key is too long"))
		return
	}
	if !understood(r.Header.Get("Range")) {
		r.Header.Del("Range")
	}
	if n, err := strconv.Atoi(query.Get("partNumber")); r.Method == http.MethodPut && query.Has("uploadId") &&
		(err != nil || n < 1 || n > gofakes3.MaxUploadPartNumber) {
		writeError(w, r, c.RequestID, errArgument("partNumber", query.Get("partNumber"), fmt.Sprintf(
			"Part number must be an integer between 1 and %d, inclusive", gofakes3.MaxUploadPartNumber)))
		return
	}
	if how := query.Get("encoding-type"); how != "" && how != "url" {
		writeError(w, r, c.RequestID, errS3("InvalidArgument", 400, "Invalid Encoding Method specified in Request"))
		return
	}
	if isList(r, bucketName, key, query) {
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		if err := s.serveList(w, bucketName, query); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	answer := &status{ResponseWriter: w}
	if key != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !query.Has("uploadId") {
		// The checksum is that of the whole object, and is told to who asks for it.
		answer.noChecksum = r.Header.Get("Range") != "" ||
			!strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED")
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		done, err := s.prepareRead(answer, r, c, bucketName, key, query)
		if err != nil {
			writeError(w, r, c.RequestID, err)
		}
		if done || err != nil {
			return
		}
	}
	if key != "" && !query.Has("uploadId") && !query.Has("uploads") {
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		var err error
		switch copies := r.Header.Get(headerSource) != ""; {
		case r.Method == http.MethodDelete:
			err = s.serveDelete(w, bucketName, key, query)
		case r.Method == http.MethodPut && copies:
			err = s.serveCopy(w, r, bucketName, key)
		default:
			err = errNotOurs
		}
		if !errors.Is(err, errNotOurs) {
			if err != nil {
				writeError(w, r, c.RequestID, err)
			}
			return
		}
	} else if r.Method == http.MethodPut && r.Header.Get(headerSource) != "" {
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		if err := s.servePartCopy(w, r, bucketName, key, query); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		if err := unchunk(r); err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	deletes := r.Method == http.MethodPost && key == "" && query.Has("delete")
	if r.Method == http.MethodPut && key != "" || deletes {
		if err := verify(w, r); err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	if deletes {
		w.Header().Set("X-Amz-Request-Id", c.RequestID)
		if err := s.serveDeletes(w, r, bucketName); err != nil {
			writeError(w, r, c.RequestID, err)
		}
		return
	}
	if r.Method == http.MethodPut && key != "" && !query.Has("uploadId") {
		if err := s.tellEncryption(w, bucketName); err != nil {
			writeError(w, r, c.RequestID, err)
			return
		}
	}
	// The presigning parameters are no subresources.
	for name := range query {
		if strings.HasPrefix(name, "X-Amz-") && !served[name] {
			query.Del(name)
		}
	}
	r.URL.RawQuery = query.Encode()
	s.library.ServeHTTP(answer, r)
	answer.end()
}

// understood reports whether S3 heeds a Range: one range of bytes. With any other it answers
// as if none had been given.
func understood(header string) bool {
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if !ok || !dash {
		return false
	}
	number := func(s string) (uint64, bool) {
		n, err := strconv.ParseUint(s, 10, 63)
		return n, err == nil
	}
	end, hasEnd := number(last)
	if first == "" { // the last bytes
		return hasEnd
	}
	start, hasStart := number(first)
	return hasStart && (last == "" || hasEnd && start <= end)
}

// maxMetadata is how much metadata of its user an object may have, names and values, in bytes (S3 User Guide, "Working
// with object metadata", 2026-11). The library would count all headers of S3.
const maxMetadata = 2 << 10

// checkUpload refuses what an upload asks for and would not get. Buckets are as new ones on AWS: they take no ACLs but
// their owner's, and have no Object Lock (S3 User Guide, "Controlling ownership of objects and disabling ACLs for your
// bucket", 2026-11).
func checkUpload(header http.Header) error {
	switch acl := header.Get("X-Amz-Acl"); acl {
	case "", "private", "bucket-owner-full-control":
	default:
		return errNoACLs
	}
	if class := header.Get("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
		return awsapi.NotBuilt("the S3 storage class " + class)
	}
	if header.Get("X-Amz-Website-Redirect-Location") != "" {
		return awsapi.NotBuilt("redirects of S3 websites (x-amz-website-redirect-location)")
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(header)) {
		switch {
		case strings.HasPrefix(name, "X-Amz-Grant-"):
			return errNoACLs
		case strings.HasPrefix(name, "X-Amz-Object-Lock-"):
			return errS3("InvalidRequest", 400, "Bucket is missing Object Lock Configuration")
		}
		if word, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			size += len(word) + len(strings.Join(header[name], ","))
		}
	}
	if size > maxMetadata {
		return errS3("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size")
	}
	return nil
}

// maxKey is the longest key, in bytes (S3 User Guide, "Naming Amazon S3 objects", 2026-11).
const maxKey = 1024

// errNotOurs says that the library serves a request.
var errNotOurs = errors.New("s3: the library's")

// prepareRead has the library read the version that is asked for, and tells of it what the library does not; done says
// that the answer is given.
func (s *Service) prepareRead(w *status, r *http.Request, c *awsapi.Call, bucketName, key string,
	query url.Values) (done bool, err error) {
	id := query.Get("versionId")
	v, err := s.find(bucketName, key, id)
	if awsapi.Code(err) == "NoSuchKey" {
		// Who may not list the bucket does not learn that a key is missing.
		if denied := c.Authorize(r.Context(), "s3:ListBucket", arn(bucketName, ""), nil); denied != nil {
			return false, denied
		}
		return false, s.missing(w, bucketName, key)
	}
	if err != nil {
		return false, err
	}
	if v.Deleted {
		return false, s.marker(w, key, v, true)
	}
	if err := s.setVersionHeader(w, headerVersion, bucketName, v.ID); err != nil {
		return false, err
	}
	if done, err := conditional(w, r, v); done || err != nil {
		return done, err
	}
	tellTags(w, r, c, bucketName, key, id, v)
	if err := satisfiable(r, query.Get("partNumber"), v); err != nil {
		return false, err
	}
	if v.Parts > 0 { // the library makes an ETag of the hash alone
		w.etag = etag(v)
	}
	if id != "" { // the library drops the version of a HEAD, and "null"
		query.Del("versionId")
		r.URL.Path, r.URL.RawPath = "/"+bucketName+"/"+key+string(versionMark)+id, ""
	}
	return false, nil
}

// missing is the error of an object that is not there, or whose newest version is a delete marker.
func (s *Service) missing(w http.ResponseWriter, bucketName, key string) error {
	var v version
	err := s.Store.View(func(tx *store.Tx) (err error) {
		v, _, err = latest(tx, bucketName, key)
		return err
	})
	if err != nil {
		return err
	}
	if v.Deleted {
		return s.marker(w, key, v, false)
	}
	return errNoKey(key)
}

// status puts right what the library answers: the status of errors whose code it
// does not know, for which it has 500, and the ETag of an object of parts.
type status struct {
	http.ResponseWriter
	etag       string
	noChecksum bool // in the answer to a GET or HEAD
	begun      bool
	held       bool // an answer with 500, until its end
	wrote      bytes.Buffer
}

// statuses are those of the codes that the library does not know.
var statuses = map[string]int{
	contentMismatch: http.StatusBadRequest, malformedTrailer: http.StatusBadRequest,
	"EntityTooSmall": http.StatusBadRequest,
	"EntityTooLarge": http.StatusBadRequest, "BucketAlreadyOwnedByYou": http.StatusConflict,
	awsapi.CodeSignatureMismatch: http.StatusForbidden, smallChunk: http.StatusForbidden,
}

func (s *status) WriteHeader(code int) {
	s.begun = true
	if s.etag != "" && s.Header().Get("ETag") != "" {
		s.Header().Set("ETag", s.etag)
	}
	if code >= 300 {
		s.Header().Del(encryptedBy)
		s.Header().Del(encryptedTo)
	}
	if s.noChecksum || code >= 300 {
		s.Header().Del(checksumHeader + "Type")
		for word := range algorithms {
			s.Header().Del(checksumHeader + word)
		}
	}
	for name, values := range s.Header() { // S3 sends the names of metadata in small letters
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			delete(s.Header(), name)
			s.Header()[strings.ToLower(name)] = values
		}
	}
	if s.held = code == http.StatusInternalServerError; !s.held {
		s.ResponseWriter.WriteHeader(code)
	}
}

func (s *status) Write(b []byte) (int, error) {
	if !s.begun {
		s.WriteHeader(http.StatusOK)
	}
	if s.held {
		return s.wrote.Write(b)
	}
	return s.ResponseWriter.Write(b)
}

func (s *status) end() {
	if !s.begun {
		s.WriteHeader(http.StatusOK)
	}
	if !s.held {
		return
	}
	code := http.StatusInternalServerError
	_, after, _ := strings.Cut(s.wrote.String(), "<Code>")
	named, _, _ := strings.Cut(after, "</Code>")
	if known, ok := statuses[named]; ok {
		code = known
	}
	s.ResponseWriter.WriteHeader(code)
	_, _ = s.ResponseWriter.Write(s.wrote.Bytes()) // the client is gone if this fails
}

// versionMark separates a key from a version on the way through the library.
const versionMark = '\x00'

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
		if r.Method == http.MethodHead {
			return c.Permit(r.Context(), "s3:GetObject"+version, arn(bucketName, key), nil)
		}
		return may("s3:GetObject"+version, arn(bucketName, key))
	case http.MethodDelete:
		if query.Has("uploadId") {
			return may("s3:AbortMultipartUpload", arn(bucketName, key))
		}
		return may("s3:DeleteObject"+version, arn(bucketName, key))
	default:
		if source := r.Header.Get(headerSource); source != "" {
			fromBucket, fromKey, id, err := copySource(source)
			if err != nil {
				return err
			}
			action := "s3:GetObject"
			if id != "" {
				action = "s3:GetObjectVersion"
			}
			if err := may(action, arn(fromBucket, fromKey)); err != nil {
				return err
			}
		}
		return may("s3:PutObject", arn(bucketName, key))
	}
}

// maxDelete bounds the body of a DeleteObjects request, maxDeletes the objects that it names (API reference,
// DeleteObjects, 2026-11).
const (
	maxDelete  = 2 << 20
	maxDeletes = 1000
)

func (s *Service) authorizeDeletes(c *awsapi.Call, r *http.Request, bucketName string) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxDelete))
	if err != nil {
		return err
	}
	var request struct {
		XMLName xml.Name `xml:"Delete"`
		Object  []struct{ Key, VersionId string }
	}
	if err := xml.Unmarshal(b, &request); err != nil {
		return errS3("MalformedXML", 400,
			"The XML you provided was not well-formed or did not validate against our published schema: %v", err)
	}
	if n := len(request.Object); n == 0 || n > maxDeletes {
		return errS3("MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our "+
			"published schema: it names %d objects, and may name 1 to %d", n, maxDeletes)
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

// answerXML answers with a document.
func (s *Service) answerXML(w http.ResponseWriter, document any) error {
	out, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	if _, err = w.Write(append([]byte(xml.Header), out...)); err != nil {
		s.Scheduler.Failed("s3 answer", err)
	}
	return nil
}

// readXML reads the document of a request.
func readXML(r *http.Request, document any) error {
	if err := unchunk(r); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDelete))
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(body, document); err != nil {
		return errMalformed
	}
	return nil
}
