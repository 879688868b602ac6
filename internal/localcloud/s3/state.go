package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	buckets = store.NewTable[bucket]("s3.bucket").Versions(store.JSON) // key: name
	// key: bucket, key, number counted down: the newest version first
	versions = store.NewTable[version]("s3.object").Versions(store.JSON)
	uploads  = store.NewTable[upload]("s3.upload").Versions(store.JSON) // key: bucket, key, upload id
	parts    = store.NewTable[part]("s3.part").Versions(store.JSON)     // key: upload id, part number
	blobs    = store.NewTable[[]byte]("s3.blob")                        // key: blob id; only without a BlobDir
)

type bucket struct {
	Name       string
	Created    time.Time
	Versioning string // "", "Enabled", "Suspended"
	Policy     string
	Next       uint64      // number of the next version
	Encryption *encryption `json:",omitempty"`
	Lifecycle  *lifecycle  `json:",omitempty"`
}

// version is one version of an object; in a bucket without versioning its ID
// is "null" and there is one.
type version struct {
	ID       string
	Number   uint64
	Deleted  bool // a delete marker
	Size     int64
	MD5      []byte // of the body; of the MD5s of its parts if it has parts
	Parts    int    `json:",omitempty"` // in which it was uploaded; 0 if at once
	SHA256   []byte
	Modified time.Time
	Header   map[string]string // Content-Type, X-Amz-Meta-...
	Blob     string
	Tags     []tag `json:",omitempty"` // by key
}

// upload is a multipart upload that is under way. Its parts are bodies of their own, which become one when it is
// completed.
type upload struct {
	Initiated time.Time
	Header    map[string]string // of the object
}

type part struct {
	Size     int64
	MD5      []byte
	Modified time.Time
	Blob     string
}

func countDown(n uint64) string { return store.Number(^n) }

// body is a stored body on its way in.
type body struct {
	id     string
	size   int64
	md5    []byte
	sha256 []byte
}

// save stores what r gives under a new id.
func (s *Service) save(r io.Reader) (b body, err error) {
	b.id = s.Scheduler.UUID()
	sum, sha := md5.New(), sha256.New()
	r = io.TeeReader(r, io.MultiWriter(sum, sha))
	if s.BlobDir == "" {
		data, err := io.ReadAll(r)
		if err != nil {
			return b, err
		}
		b.size = int64(len(data))
		err = s.Store.Update(func(tx *store.Tx) error { return blobs.Put(tx, data, b.id) })
		b.md5, b.sha256 = sum.Sum(nil), sha.Sum(nil)
		return b, err
	}
	f, err := os.OpenFile(s.path(b.id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return b, err
	}
	b.size, err = io.Copy(f, r)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		s.discard(b.id)
	}
	b.md5, b.sha256 = sum.Sum(nil), sha.Sum(nil)
	return b, err
}

func (s *Service) path(blob string) string { return filepath.Join(s.BlobDir, blob) }

// discard removes a body that no object has.
func (s *Service) discard(blob string) {
	if blob == "" {
		return
	}
	if s.BlobDir != "" {
		if err := os.Remove(s.path(blob)); !errors.Is(err, fs.ErrNotExist) {
			s.Scheduler.Failed("s3 removal of a body", err)
		}
		return
	}
	err := s.Store.Update(func(tx *store.Tx) error { return blobs.Delete(tx, blob) })
	s.Scheduler.Failed("s3 removal of a body", err)
}

// open returns a body for reading; fs.ErrNotExist if there is none.
func (s *Service) open(blob string) (io.ReadSeekCloser, error) {
	if s.BlobDir != "" {
		return os.Open(s.path(blob))
	}
	var data []byte
	err := s.Store.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if data, ok, err = blobs.Get(tx, blob); err == nil && !ok {
			err = fs.ErrNotExist
		}
		return err
	})
	return nopCloser{bytes.NewReader(data)}, err
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// latest returns the newest version of an object; ok is false if there is none
// or it is a delete marker.
func latest(tx *store.Tx, bucketName, key string) (v version, ok bool, err error) {
	for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
		if err != nil {
			return v, false, err
		}
		return row.Value, !row.Value.Deleted, nil
	}
	return v, false, nil
}
