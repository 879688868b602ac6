package s3

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of multipart uploads (Amazon S3 User Guide, "Amazon S3 multipart upload limits", 2026-11).
const (
	minPart = 5 << 20 // but for the last one
	maxPart = 5 << 30
)

func quoted(sum []byte) string { return `"` + hex.EncodeToString(sum) + `"` }

func errNoUpload() error {
	return gofakes3.ErrorMessage(gofakes3.ErrNoSuchUpload, "The specified upload does not exist. The upload ID may "+
		"be invalid, or the upload may have been aborted or completed.")
}

// findUpload finds an upload of an object.
func findUpload(tx *store.Tx, bucketName, key string, id gofakes3.UploadID) (upload, error) {
	if _, err := findBucket(tx, bucketName); err != nil {
		return upload{}, toLibrary(err)
	}
	u, ok, err := uploads.Get(tx, bucketName, key, string(id))
	if err == nil && !ok {
		err = errNoUpload()
	}
	return u, err
}

// CreateMultipartUpload implements gofakes3.MultipartBackend.
func (b *backend) CreateMultipartUpload(bucketName, key string, meta map[string]string) (gofakes3.UploadID, error) {
	u := upload{Initiated: b.s.Scheduler.Now(), Header: objectHeader(meta)}
	for name := range u.Header {
		if strings.HasPrefix(name, checksumHeader) { // says how parts are checked
			delete(u.Header, name)
		}
	}
	id := strings.ReplaceAll(b.s.Scheduler.UUID(), "-", "")
	err := b.s.Store.Update(func(tx *store.Tx) error {
		if _, err := findBucket(tx, bucketName); err != nil {
			return toLibrary(err)
		}
		return uploads.Put(tx, u, bucketName, key, id)
	})
	return gofakes3.UploadID(id), err
}

// UploadPart implements gofakes3.MultipartBackend.
func (b *backend) UploadPart(bucketName, key string, id gofakes3.UploadID, number int, size int64,
	r io.Reader) (string, error) {
	if size > maxPart {
		return "", gofakes3.ErrorMessage("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	err := b.s.Store.View(func(tx *store.Tx) error {
		_, err := findUpload(tx, bucketName, key, id)
		return err
	})
	if err != nil {
		return "", err
	}
	saved, err := b.s.save(io.LimitReader(r, maxPart+1))
	if err != nil {
		return "", toLibrary(err)
	}
	if size >= 0 && saved.size != size {
		b.s.discard(saved.id)
		return "", gofakes3.ErrIncompleteBody
	}
	replaced := ""
	err = b.s.Store.Update(func(tx *store.Tx) error {
		if _, err := findUpload(tx, bucketName, key, id); err != nil {
			return err
		}
		where := []string{string(id), store.Number(uint64(number))}
		old, ok, err := parts.Get(tx, where...)
		if err != nil {
			return err
		}
		if ok {
			replaced = old.Blob
		}
		return parts.Put(tx, part{saved.size, saved.md5, b.s.Scheduler.Now(), saved.id}, where...)
	})
	if err != nil {
		b.s.discard(saved.id)
		return "", err
	}
	b.s.discard(replaced)
	return quoted(saved.md5), nil
}

// partsOf are the parts of an upload by their numbers.
func partsOf(tx *store.Tx, id gofakes3.UploadID) (map[int]part, error) {
	all := map[int]part{}
	for row, err := range parts.Scan(tx, store.Query{Prefix: []string{string(id)}}) {
		if err != nil {
			return nil, err
		}
		all[int(store.ParseNumber(row.Key[1]))] = row.Value
	}
	return all, nil
}

// end forgets an upload and its parts, and returns their bodies.
func end(tx *store.Tx, bucketName, key string, id gofakes3.UploadID) (bodies []string, err error) {
	for row, err := range parts.Scan(tx, store.Query{Prefix: []string{string(id)}}) {
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, row.Value.Blob)
	}
	return bodies, errors.Join(parts.DeleteAll(tx, string(id)), uploads.Delete(tx, bucketName, key, string(id)))
}

// AbortMultipartUpload implements gofakes3.MultipartBackend.
func (b *backend) AbortMultipartUpload(bucketName, key string, id gofakes3.UploadID) error {
	var bodies []string
	err := b.s.Store.Update(func(tx *store.Tx) (err error) {
		if _, err := findUpload(tx, bucketName, key, id); err != nil {
			return err
		}
		bodies, err = end(tx, bucketName, key, id)
		return err
	})
	if err == nil {
		b.s.discardAll(bodies)
	}
	return err
}

func (s *Service) discardAll(bodies []string) {
	for _, body := range bodies {
		s.discard(body)
	}
}

// chosen are the parts that a completion names, in its order.
func chosen(all map[int]part, named []gofakes3.CompletedPart) ([]part, error) {
	if len(named) == 0 {
		return nil, gofakes3.ErrorMessage("MalformedXML", "The XML you provided was not well-formed or did not "+
			"validate against our published schema")
	}
	for i, n := range named[1:] {
		if n.PartNumber <= named[i].PartNumber {
			return nil, gofakes3.ErrorMessage(gofakes3.ErrInvalidPartOrder, "The list of parts was not in ascending "+
				"order. Parts must be ordered by part number.")
		}
	}
	list := make([]part, len(named))
	for i, n := range named {
		p, ok := all[n.PartNumber]
		switch {
		case !ok || strings.Trim(n.ETag, `"`) != hex.EncodeToString(p.MD5):
			return nil, gofakes3.ErrorMessage(gofakes3.ErrInvalidPart, "One or more of the specified parts could not "+
				"be found.  The part may not have been uploaded, or the specified entity tag may not match the "+
				"part's entity tag.")
		case i < len(named)-1 && p.Size < minPart:
			return nil, gofakes3.ErrorMessage("EntityTooSmall", "Your proposed upload is smaller than the minimum "+
				"allowed size")
		}
		list[i] = p
	}
	return list, nil
}

// CompleteMultipartUpload implements gofakes3.MultipartBackend.
func (b *backend) CompleteMultipartUpload(bucketName, key string, id gofakes3.UploadID,
	in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	var u upload
	var list []part
	err := b.s.Store.View(func(tx *store.Tx) (err error) {
		if u, err = findUpload(tx, bucketName, key, id); err != nil {
			return err
		}
		all, err := partsOf(tx, id)
		if err == nil {
			list, err = chosen(all, in.Parts)
		}
		return err
	})
	if err != nil {
		return "", "", err
	}
	whole, err := b.s.save(&concatenation{s: b.s, parts: list})
	if err != nil {
		return "", "", toLibrary(err)
	}
	sum := md5.New()
	for _, p := range list {
		_, _ = sum.Write(p.MD5) // a hash does not fail
	}
	v := version{Size: whole.size, MD5: sum.Sum(nil), Parts: len(list), SHA256: whole.sha256,
		Modified: b.s.Scheduler.Now(), Header: u.Header, Blob: whole.id}
	var bodies []string
	err = b.s.Store.Update(func(tx *store.Tx) error {
		if _, err := findUpload(tx, bucketName, key, id); err != nil {
			return err
		}
		replaced, err := b.s.addTo(tx, bucketName, key, &v, nil)
		if err != nil {
			return err
		}
		bodies, err = end(tx, bucketName, key, id)
		bodies = append(bodies, replaced)
		return err
	})
	if err != nil {
		b.s.discard(whole.id)
		return "", "", toLibrary(err)
	}
	b.s.discardAll(bodies)
	made, err := b.shownVersionID(bucketName, v)
	return made, etag(v), toLibrary(err)
}

// concatenation reads the bodies of parts one after the other, one of which is open at a time.
type concatenation struct {
	s     *Service
	parts []part
	now   io.ReadCloser
}

func (c *concatenation) Read(p []byte) (int, error) {
	for {
		if c.now == nil {
			if len(c.parts) == 0 {
				return 0, io.EOF
			}
			r, err := c.s.open(c.parts[0].Blob)
			if err != nil {
				return 0, err
			}
			c.now, c.parts = r, c.parts[1:]
		}
		n, err := c.now.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		err = c.now.Close()
		if c.now = nil; n > 0 || err != nil {
			return n, err
		}
	}
}

// ListParts implements gofakes3.MultipartBackend.
func (b *backend) ListParts(bucketName, key string, id gofakes3.UploadID, marker int,
	limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	out := &gofakes3.ListMultipartUploadPartsResult{Bucket: bucketName, Key: key, UploadID: id, MaxParts: limit,
		PartNumberMarker: marker, StorageClass: "STANDARD"}
	err := b.s.Store.View(func(tx *store.Tx) error {
		if _, err := findUpload(tx, bucketName, key, id); err != nil {
			return err
		}
		q := store.Query{Prefix: []string{string(id)}, After: []string{store.Number(uint64(marker))}}
		for row, err := range parts.Scan(tx, q) {
			if err != nil {
				return err
			}
			if int64(len(out.Parts)) == limit {
				out.IsTruncated = true
				break
			}
			p := row.Value
			out.NextPartNumberMarker = int(store.ParseNumber(row.Key[1]))
			out.Parts = append(out.Parts, gofakes3.ListMultipartUploadPartItem{PartNumber: out.NextPartNumberMarker,
				LastModified: gofakes3.NewContentTime(p.Modified), ETag: quoted(p.MD5), Size: p.Size})
		}
		return nil
	})
	return out, err
}

// ListMultipartUploads implements gofakes3.MultipartBackend.
func (b *backend) ListMultipartUploads(bucketName string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix,
	limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	out := &gofakes3.ListMultipartUploadsResult{Bucket: bucketName, Delimiter: prefix.Delimiter,
		Prefix: prefix.Prefix, MaxUploads: limit}
	q := store.Query{Prefix: []string{bucketName}}
	if prefix.HasPrefix {
		q.Begins = prefix.Prefix
	}
	if marker != nil {
		out.KeyMarker, out.UploadIDMarker = marker.Object, marker.UploadID
	}
	err := b.s.Store.View(func(tx *store.Tx) error {
		if _, err := findBucket(tx, bucketName); err != nil {
			return toLibrary(err)
		}
		seen := map[string]bool{}
		var match gofakes3.PrefixMatch
		for row, err := range uploads.Scan(tx, q) {
			if err != nil {
				return err
			}
			key, id := row.Key[1], gofakes3.UploadID(row.Key[2])
			if !prefix.Match(key, &match) || marker != nil && !beyond(marker, key, id) ||
				match.CommonPrefix && (seen[match.MatchedPart] ||
					marker != nil && match.MatchedPart <= marker.Object) {
				continue
			}
			if int64(len(out.Uploads)+len(out.CommonPrefixes)) == limit {
				out.IsTruncated = true
				break
			}
			if match.CommonPrefix {
				seen[match.MatchedPart] = true
				out.CommonPrefixes = append(out.CommonPrefixes, match.AsCommonPrefix())
				out.NextKeyMarker, out.NextUploadIDMarker = match.MatchedPart, ""
				continue
			}
			out.NextKeyMarker, out.NextUploadIDMarker = key, id
			out.Uploads = append(out.Uploads, gofakes3.ListMultipartUploadItem{Key: key, UploadID: id,
				StorageClass: "STANDARD", Initiated: gofakes3.NewContentTime(row.Value.Initiated)})
		}
		return nil
	})
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	return out, err
}

// beyond reports whether an upload comes after a marker.
func beyond(marker *gofakes3.UploadListMarker, key string, id gofakes3.UploadID) bool {
	return key > marker.Object || key == marker.Object && marker.UploadID != "" && id > marker.UploadID
}
