package s3

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// clock is the scheduler as the library's source of time.
type clock struct{ s *scheduler.Scheduler }

func (c clock) Now() time.Time                  { return c.s.Now() }
func (c clock) Since(t time.Time) time.Duration { return c.s.Now().Sub(t) }

// backend is the Service as the storage of the library.
type backend struct{ s *Service }

var (
	_ gofakes3.Backend          = (*backend)(nil)
	_ gofakes3.VersionedBackend = (*backend)(nil)
	_ gofakes3.MultipartBackend = (*backend)(nil)
)

func (b *backend) ListBuckets() (list []gofakes3.BucketInfo, err error) {
	err = b.s.Store.View(func(tx *store.Tx) error {
		for row, err := range buckets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			list = append(list, gofakes3.BucketInfo{Name: row.Value.Name, CreationDate: gofakes3.NewContentTime(
				row.Value.Created)})
		}
		return nil
	})
	return list, err
}

func (b *backend) CreateBucket(name string) error {
	err := b.s.create(name)
	if errors.Is(err, errOwned) && b.s.Region == "us-east-1" {
		return nil // as ever there, and nowhere else
	}
	return toLibrary(err)
}

func (b *backend) BucketExists(name string) (bool, error) {
	_, err := b.s.bucket(name)
	if errors.Is(err, errNoBucket("")) {
		return false, nil
	}
	return err == nil, toLibrary(err)
}

func (b *backend) DeleteBucket(name string) error { return toLibrary(b.s.dropBucket(name)) }

func (b *backend) ForceDeleteBucket(name string) error { return toLibrary(b.s.dropBucket(name)) }

// object makes the library's form of a version, with its body if there is one. What it does not hand on it closes.
func (b *backend) object(key string, v version, want *gofakes3.ObjectRangeRequest, r io.ReadSeekCloser) (
	*gofakes3.Object, error) {
	o := &gofakes3.Object{Name: key, Metadata: map[string]string{}, Size: v.Size, Hash: v.MD5,
		Contents: io.NopCloser(strings.NewReader(""))}
	for k, h := range v.Header {
		o.Metadata[k] = h
	}
	if o.Metadata["Content-Type"] == "" {
		o.Metadata["Content-Type"] = defaultType
	}
	o.Metadata["Last-Modified"] = v.Modified.UTC().Format(http.TimeFormat)
	var err error
	if want != nil && want.FromEnd && want.End > v.Size { // the whole of it
		want = &gofakes3.ObjectRangeRequest{FromEnd: true, End: v.Size}
	}
	if o.Range, err = want.Range(v.Size); r == nil {
		return o, err
	}
	if err != nil {
		if closed := r.Close(); closed != nil {
			return nil, closed
		}
		return nil, err // as the library knows it
	}
	o.Contents = r
	if o.Range != nil {
		if _, err := r.Seek(o.Range.Start, io.SeekStart); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		o.Contents = limited{io.LimitReader(r, o.Range.Length), r}
	}
	return o, nil
}

type limited struct {
	io.Reader
	io.Closer
}

func (b *backend) get(bucketName, key, id string, want *gofakes3.ObjectRangeRequest, withBody bool) (
	*gofakes3.Object, error) {
	find := b.s.findOpen
	if !withBody {
		find = func(bucketName, key, id string) (version, io.ReadSeekCloser, error) {
			v, err := b.s.find(bucketName, key, id)
			return v, nil, err
		}
	}
	v, body, err := find(bucketName, key, id)
	if err != nil {
		return nil, toLibrary(err)
	}
	if v.Deleted {
		return nil, gofakes3.KeyNotFound(key)
	}
	return b.object(key, v, want, body)
}

// GetObject and HeadObject may have a version in the key.
func (b *backend) GetObject(bucketName, key string, want *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	key, id, _ := strings.Cut(key, string(versionMark))
	return b.get(bucketName, key, id, want, true)
}

func (b *backend) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	key, id, _ := strings.Cut(key, string(versionMark))
	return b.get(bucketName, key, id, nil, false)
}

func (b *backend) GetObjectVersion(bucketName, key string, id gofakes3.VersionID, want *gofakes3.ObjectRangeRequest) (
	*gofakes3.Object, error) {
	return b.get(bucketName, key, string(id), want, true)
}

func (b *backend) HeadObjectVersion(bucketName, key string, id gofakes3.VersionID) (*gofakes3.Object, error) {
	return b.get(bucketName, key, string(id), nil, false)
}

// DeleteObject, DeleteObjectVersion and CopyObject are not asked for: see versions.go.
func (b *backend) DeleteObject(string, string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, gofakes3.ErrNotImplemented
}

func (b *backend) DeleteObjectVersion(string, string, gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, gofakes3.ErrNotImplemented
}

func (b *backend) CopyObject(string, string, string, string, map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObjectResult{}, gofakes3.ErrNotImplemented
}

func (b *backend) DeleteMulti(bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	ids := make([]gofakes3.ObjectID, len(keys))
	for i, k := range keys {
		ids[i].Key = k
	}
	return b.DeleteMultiVersions(bucketName, ids...)
}

func (b *backend) DeleteMultiVersions(bucketName string,
	ids ...gofakes3.ObjectID) (gofakes3.MultiDeleteResult, error) {
	var out gofakes3.MultiDeleteResult
	for _, o := range ids {
		var err error
		if o.VersionID != "" {
			_, err = b.s.dropVersion(bucketName, o.Key, o.VersionID)
		} else {
			_, err = b.s.drop(bucketName, o.Key)
		}
		if err != nil {
			out.Error = append(out.Error, gofakes3.ErrorResultFromError(toLibrary(err)))
			continue
		}
		out.Deleted = append(out.Deleted, o)
	}
	return out, nil
}

// kept are the request headers that belong to an object; X-Amz-Meta-* are kept
// too. All others, credentials among them, are the request's own.
var kept = map[string]bool{
	"Content-Type": true, "Content-Disposition": true, "Content-Encoding": true, "Cache-Control": true,
	"Content-Language": true, "Expires": true, headerTagging: true,
	"X-Amz-Checksum-Sha256": true, "X-Amz-Checksum-Sha1": true, "X-Amz-Checksum-Crc32": true,
	"X-Amz-Checksum-Crc32c": true, "X-Amz-Checksum-Crc64nvme": true,
}

// objectHeader are the headers of an upload that are its object's.
func objectHeader(meta map[string]string) map[string]string {
	header := map[string]string{}
	for k, v := range meta {
		if kept[k] || strings.HasPrefix(k, "X-Amz-Meta-") {
			header[k] = v
		}
	}
	return header
}

func (b *backend) PutObject(bucketName, key string, meta map[string]string, r io.Reader, _ int64,
	conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	v, err := b.s.put(bucketName, key, objectHeader(meta), r, conditions)
	if err != nil {
		return gofakes3.PutObjectResult{}, toLibrary(err)
	}
	id, err := b.shownVersionID(bucketName, v)
	return gofakes3.PutObjectResult{VersionID: id}, toLibrary(err)
}

// shownVersionID is the version that is told of, if any is: of a bucket that has, or had, versions.
func (b *backend) shownVersionID(bucketName string, v version) (gofakes3.VersionID, error) {
	of, err := b.s.bucket(bucketName)
	if err != nil || of.Versioning == "" {
		return "", err
	}
	return gofakes3.VersionID(v.ID), nil
}

func (b *backend) VersioningConfiguration(name string) (gofakes3.VersioningConfiguration, error) {
	v, err := b.s.bucket(name)
	return gofakes3.VersioningConfiguration{Status: gofakes3.VersioningStatus(v.Versioning)}, toLibrary(err)
}

func (b *backend) SetVersioningConfiguration(name string, v gofakes3.VersioningConfiguration) error {
	return toLibrary(b.s.change(name, func(b *bucket) { b.Versioning = string(v.Status) }))
}

// ListBucket and ListBucketVersions are not asked for: see list_http.go.
func (b *backend) ListBucket(string, *gofakes3.Prefix, gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	return nil, gofakes3.ErrNotImplemented
}

func (b *backend) ListBucketVersions(string, *gofakes3.Prefix, *gofakes3.ListBucketVersionsPage) (
	*gofakes3.ListBucketVersionsResult, error) {
	return nil, gofakes3.ErrNotImplemented
}
