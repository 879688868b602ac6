package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// What the library does not do, or not by versions as S3 does: reads of delete markers, deletions and copies.
//
// Source: Amazon S3 User Guide, "Working with delete markers", "Retrieving object versions"; API reference, GetObject,
// DeleteObject, CopyObject (2026-11).

const (
	headerVersion       = "X-Amz-Version-Id"
	headerDeleteMarker  = "X-Amz-Delete-Marker"
	headerSource        = "X-Amz-Copy-Source"
	headerSourceVersion = "X-Amz-Copy-Source-Version-Id"
)

// setVersionHeader names the version of an object in a bucket that has, or had, versions.
func (s *Service) setVersionHeader(w http.ResponseWriter, header, bucketName, id string) error {
	b, err := s.bucket(bucketName)
	if err == nil && b.Versioning != "" && id != "" {
		w.Header().Set(header, id)
	}
	return err
}

// marker answers a read of a delete marker: by its version it is no object that can be read, as the newest it is as if
// there were no object.
func (s *Service) marker(w http.ResponseWriter, key string, v version, named bool) error {
	w.Header().Set(headerDeleteMarker, "true")
	w.Header().Set(headerVersion, v.ID)
	if named {
		w.Header().Set("Allow", http.MethodDelete)
		return errS3("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
	}
	return errNoKey(key)
}

// serveDelete deletes an object, or one version of it.
func (s *Service) serveDelete(w http.ResponseWriter, bucketName, key string, query url.Values) error {
	if query.Has("versionId") {
		id := query.Get("versionId")
		v, err := s.dropVersion(bucketName, key, id)
		if err != nil {
			return err
		}
		if v.Deleted {
			w.Header().Set(headerDeleteMarker, "true")
		}
		if err := s.setVersionHeader(w, headerVersion, bucketName, id); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	marker, err := s.drop(bucketName, key)
	if err != nil {
		return err
	}
	if marker.Deleted {
		w.Header().Set(headerDeleteMarker, "true")
		w.Header().Set(headerVersion, marker.ID)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveDeletes deletes objects and versions, and tells what became of each.
func (s *Service) serveDeletes(w http.ResponseWriter, r *http.Request, bucketName string) error {
	var request struct {
		Quiet  bool
		Object []struct{ Key, VersionId string }
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxDelete))
	if bad, ok := errors.AsType[gofakes3.Error](err); ok {
		return errS3(string(bad.ErrorCode()), 400, "%s", bad.Error())
	}
	if err == nil {
		err = xml.Unmarshal(b, &request)
	}
	if err != nil {
		return errMalformed
	}
	if _, err := s.bucket(bucketName); err != nil {
		return err
	}
	type deleted struct {
		Key                   string
		VersionID             string `xml:"VersionId,omitempty"`
		DeleteMarker          bool   `xml:",omitempty"`
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
	}
	type failed struct {
		Key           string
		VersionID     string `xml:"VersionId,omitempty"`
		Code, Message string
	}
	var out struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted
		Error   []failed
	}
	for _, o := range request.Object {
		d := deleted{Key: o.Key, VersionID: o.VersionId}
		var v version
		if o.VersionId != "" {
			if v, err = s.dropVersion(bucketName, o.Key, o.VersionId); v.Deleted {
				d.DeleteMarker, d.DeleteMarkerVersionID = true, o.VersionId
			}
		} else if v, err = s.drop(bucketName, o.Key); v.Deleted {
			d.DeleteMarker, d.DeleteMarkerVersionID = true, v.ID
		}
		switch {
		case err != nil:
			e := awsapi.AsError(err)
			out.Error = append(out.Error, failed{o.Key, o.VersionId, e.Code, e.Message})
		case !request.Quiet:
			out.Deleted = append(out.Deleted, d)
		}
	}
	return s.answerXML(w, out)
}

// copySource takes the source of a copy apart.
func copySource(header string) (bucketName, key, id string, err error) {
	path, parameters, versioned := strings.Cut(header, "?")
	path, err = url.PathUnescape(path)
	bucketName, key, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !found || bucketName == "" || key == "" {
		return "", "", "", errS3("InvalidArgument", 400, "X-Amz-Copy-Source %q is no bucket and key", header)
	}
	if !versioned {
		return bucketName, key, "", nil
	}
	query, err := url.ParseQuery(parameters)
	if id = query.Get("versionId"); err != nil || id == "" || len(query) != 1 {
		return "", "", "", errS3("InvalidArgument", 400, "X-Amz-Copy-Source: after the key comes nothing but "+
			"?versionId=")
	}
	return bucketName, key, id, nil
}

// source is what a request copies: a version of an object, with its body.
type source struct {
	bucket, key string
	id          string // of the version, if the request names one
	version     version
	body        io.ReadSeekCloser
}

// openSource finds the source of a copy that may be copied. The caller closes its body.
func (s *Service) openSource(r *http.Request) (from source, err error) {
	if from.bucket, from.key, from.id, err = copySource(r.Header.Get(headerSource)); err != nil {
		return from, err
	}
	if from.version, from.body, err = s.findOpen(from.bucket, from.key, from.id); err != nil {
		return from, err
	}
	if from.version.Deleted { // it has no body
		return from, errS3("InvalidRequest", 400, "The source of a copy request may not specifically refer to a "+
			"delete marker by version id.")
	}
	if err := copyable(r, from.version); err != nil {
		return from, errors.Join(err, from.body.Close())
	}
	return from, nil
}

// servePartCopy makes a part of an upload of an object, or of a range of one.
func (s *Service) servePartCopy(w http.ResponseWriter, r *http.Request, bucketName, key string,
	query url.Values) error {
	from, err := s.openSource(r)
	if err != nil {
		return err
	}
	defer func() { _ = from.body.Close() }()
	first, size := int64(0), from.version.Size
	if text := r.Header.Get("X-Amz-Copy-Source-Range"); text != "" {
		var last int64
		if n, err := fmt.Sscanf(text, "bytes=%d-%d", &first, &last); err != nil || n != 2 || first > last ||
			text != fmt.Sprintf("bytes=%d-%d", first, last) {
			return errArgument("x-amz-copy-source-range", text, "The x-amz-copy-source-range value must be of the "+
				"form bytes=first-last where first and last are the zero-based offsets of the first and last bytes "+
				"to copy")
		}
		if last >= from.version.Size {
			return errArgument("x-amz-copy-source-range", text,
				fmt.Sprintf("Range specified is not valid for source object of size: %d", from.version.Size))
		}
		size = last - first + 1
	}
	if _, err := from.body.Seek(first, io.SeekStart); err != nil {
		return err
	}
	number, err := strconv.Atoi(query.Get("partNumber"))
	if err != nil {
		return err // it was looked at before
	}
	tag, err := (&backend{s}).UploadPart(bucketName, key, gofakes3.UploadID(query.Get("uploadId")), number, size,
		io.LimitReader(from.body, size))
	if known, ok := errors.AsType[gofakes3.Error](err); ok {
		return errS3(string(known.ErrorCode()), known.ErrorCode().Status(), "%s", known.Error())
	}
	if err != nil {
		return err
	}
	if err := s.setVersionHeader(w, headerSourceVersion, from.bucket, from.version.ID); err != nil {
		return err
	}
	return s.answerXML(w, struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
		ETag         string
		LastModified string
	}{ETag: tag, LastModified: s.Scheduler.Now().UTC().Format("2006-01-02T15:04:05.000Z")})
}

// serveCopy makes an object of another, or of a version of one.
func (s *Service) serveCopy(w http.ResponseWriter, r *http.Request, bucketName, key string) error {
	from, err := s.openSource(r)
	if err != nil {
		return err
	}
	defer func() { _ = from.body.Close() }()
	header := from.version.Header
	switch directive := r.Header.Get("X-Amz-Metadata-Directive"); directive {
	case "", "COPY":
		if from.bucket == bucketName && from.key == key && from.id == "" {
			return errS3("InvalidRequest", 400, "This copy request is illegal because it is trying to copy an object "+
				"to itself without changing the object's metadata, storage class, website redirect location or "+
				"encryption attributes.")
		}
	case "REPLACE":
		given := map[string]string{}
		for name := range r.Header {
			given[name] = r.Header.Get(name)
		}
		header = objectHeader(given)
	default:
		return errS3("InvalidArgument", 400, "Unknown metadata directive.")
	}
	if header == nil {
		header = map[string]string{}
	}
	if err := copyTags(r, from, bucketName, key, header); err != nil {
		return err
	}
	made, err := s.put(bucketName, key, header, from.body, nil)
	if err != nil {
		return err
	}
	if err := s.setVersionHeader(w, headerSourceVersion, from.bucket, from.version.ID); err != nil {
		return err
	}
	if err := s.setVersionHeader(w, headerVersion, bucketName, made.ID); err != nil {
		return err
	}
	return s.answerXML(w, struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag         string
		LastModified string
	}{ETag: etag(made), LastModified: made.Modified.UTC().Format("2006-01-02T15:04:05.000Z")})
}
