package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func etag(v version) string {
	if v.Parts > 0 {
		return fmt.Sprintf(`"%x-%d"`, v.MD5, v.Parts)
	}
	return quoted(v.MD5)
}

// find returns a version of an object: the newest if id is "".
func (s *Service) find(bucketName, key, id string) (v version, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		if _, err := findBucket(tx, bucketName); err != nil {
			return err
		}
		if id == "" {
			var ok bool
			if v, ok, err = latest(tx, bucketName, key); err == nil && !ok {
				err = errNoKey(key)
			}
			return err
		}
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
			if err != nil {
				return err
			}
			if row.Value.ID == id {
				v = row.Value
				return nil
			}
		}
		return errNoVersion
	})
	return v, err
}

// findOpen is find, with the body. One that is replaced between the two is looked for again.
func (s *Service) findOpen(bucketName, key, id string) (version, io.ReadSeekCloser, error) {
	for before := ""; ; {
		v, err := s.find(bucketName, key, id)
		if err != nil || v.Deleted {
			return v, nil, err
		}
		body, err := s.open(v.Blob)
		if !errors.Is(err, fs.ErrNotExist) || v.Blob == before {
			return v, body, err
		}
		before = v.Blob
	}
}

// put stores an object. Conditions are checked in the same transaction.
func (s *Service) put(bucketName, key string, header map[string]string, r io.Reader,
	conditions *gofakes3.PutConditions) (version, error) {
	if _, err := s.bucket(bucketName); err != nil {
		return version{}, err
	}
	if conditions != nil { // before the body is taken, and again when it is there
		err := s.Store.View(func(tx *store.Tx) error {
			old, ok, err := latest(tx, bucketName, key)
			if err != nil {
				return err
			}
			return holds(conditions, key, old, ok)
		})
		if err != nil {
			return version{}, err
		}
	}
	b, err := s.save(r)
	if err != nil {
		return version{}, err
	}
	if want := header["X-Amz-Checksum-Sha256"]; want != "" && want != base64.StdEncoding.EncodeToString(b.sha256) {
		s.discard(b.id)
		return version{}, errDigest
	}
	for name := range header {
		if strings.HasPrefix(name, checksumHeader) {
			header[checksumHeader+"Type"] = "FULL_OBJECT"
			break
		}
	}
	v := version{Size: b.size, MD5: b.md5, SHA256: b.sha256, Modified: s.Scheduler.Now(), Header: header, Blob: b.id}
	err = s.add(bucketName, key, &v, conditions)
	if err != nil {
		s.discard(b.id)
	}
	return v, err
}

// add makes v the newest version of an object.
func (s *Service) add(bucketName, key string, v *version, conditions *gofakes3.PutConditions) error {
	var replaced string
	err := s.Store.Update(func(tx *store.Tx) (err error) {
		replaced, err = s.addTo(tx, bucketName, key, v, conditions)
		return err
	})
	if err == nil {
		s.discard(replaced)
	}
	return err
}

// addTo is add in a transaction; it returns the body that is no object's any more.
func (s *Service) addTo(tx *store.Tx, bucketName, key string, v *version,
	conditions *gofakes3.PutConditions) (replaced string, err error) {
	b, err := findBucket(tx, bucketName)
	if err != nil {
		return "", err
	}
	old, ok, err := latest(tx, bucketName, key)
	if err != nil {
		return "", err
	}
	if conditions != nil {
		if err := holds(conditions, key, old, ok); err != nil {
			return "", err
		}
	}
	if v.Header == nil {
		v.Header = map[string]string{}
	}
	if err := v.take(); err != nil {
		return "", err
	}
	b.Encryption.mark(v.Header)
	b.Next++
	v.Number, v.ID = b.Next, "null"
	if b.Versioning == "Enabled" {
		v.ID = versionID(v.Number, s.Scheduler.UUID())
	} else if replaced, err = removeVersion(tx, bucketName, key, "null"); err != nil {
		return "", err
	}
	if err := buckets.Put(tx, b, bucketName); err != nil {
		return "", err
	}
	return replaced, versions.Put(tx, *v, bucketName, key, countDown(v.Number))
}

// removeVersion deletes one version's record and returns its blob.
func removeVersion(tx *store.Tx, bucketName, key, id string) (blob string, err error) {
	v, err := takeVersion(tx, bucketName, key, id)
	return v.Blob, err
}

// takeVersion deletes one version's record and returns it; the zero version if there is none.
func takeVersion(tx *store.Tx, bucketName, key, id string) (version, error) {
	for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
		if err != nil {
			return version{}, err
		}
		if row.Value.ID == id {
			return row.Value, versions.Delete(tx, row.Key...)
		}
	}
	return version{}, nil
}

// dropVersion deletes a version, if it is there, and returns what it was.
func (s *Service) dropVersion(bucketName, key, id string) (v version, err error) {
	err = s.Store.Update(func(tx *store.Tx) (err error) {
		if _, err := findBucket(tx, bucketName); err != nil {
			return err
		}
		v, err = takeVersion(tx, bucketName, key, id)
		return err
	})
	if err == nil {
		s.discard(v.Blob)
	}
	return v, err
}

// drop deletes an object: with versioning it writes a delete marker and
// returns it.
func (s *Service) drop(bucketName, key string) (marker version, err error) {
	b, err := s.bucket(bucketName)
	if err != nil {
		return marker, err
	}
	if b.Versioning == "" {
		_, err = s.dropVersion(bucketName, key, "null")
		return marker, err
	}
	marker = version{Deleted: true, Modified: s.Scheduler.Now()}
	return marker, s.add(bucketName, key, &marker, nil)
}
