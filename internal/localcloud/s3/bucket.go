package s3

import (
	"errors"
	"regexp"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func (s *Service) resourcePolicy(arn string) (string, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(arn, "arn:aws:s3:::"), "/")
	b, err := s.bucket(name)
	if errors.Is(err, errNoBucket("")) {
		return "", nil
	}
	return b.Policy, err
}

func (s *Service) bucket(name string) (b bucket, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		b, err = findBucket(tx, name)
		return err
	})
	return b, err
}

func findBucket(tx *store.Tx, name string) (bucket, error) {
	b, ok, err := buckets.Shared(tx, name)
	if err == nil && !ok {
		err = errNoBucket(name)
	}
	return b, err
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s *Service) create(name string) error {
	if !bucketName.MatchString(name) || strings.Contains(name, "..") {
		return errS3("InvalidBucketName", 400,
			"The specified bucket is not valid: %q is not 3 to 63 lower-case letters, digits, '.' and '-'", name)
	}
	return s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := buckets.Get(tx, name); err != nil {
			return err
		} else if ok {
			return errOwned
		}
		return buckets.Put(tx, bucket{Name: name, Created: s.Scheduler.Now()}, name)
	})
}

// dropBucket deletes a bucket without objects, and the uploads to it that were not completed.
func (s *Service) dropBucket(name string) error {
	var bodies []string
	err := s.Store.Update(func(tx *store.Tx) error {
		if _, err := findBucket(tx, name); err != nil {
			return err
		}
		for _, err := range versions.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			return errNotEmpty
		}
		var begun [][]string
		for row, err := range uploads.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			begun = append(begun, row.Key)
		}
		for _, k := range begun {
			left, err := end(tx, k[0], k[1], gofakes3.UploadID(k[2]))
			if err != nil {
				return err
			}
			bodies = append(bodies, left...)
		}
		return buckets.Delete(tx, name)
	})
	if err == nil {
		s.discardAll(bodies)
	}
	return err
}

func (s *Service) change(name string, fn func(b *bucket)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		b, err := findBucket(tx, name)
		if err != nil {
			return err
		}
		fn(&b)
		return buckets.Put(tx, b, name)
	})
}
