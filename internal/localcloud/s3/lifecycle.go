package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Lifecycle rules remove what they have expired at the next midnight UTC after its days, where S3 takes some hours
// more: objects, versions that are not the newest any more, delete markers that hide nothing, and uploads that nobody
// completed. Other actions and filters are errors.
//
// Source: Amazon S3 User Guide, "Expiring objects", "Lifecycle configuration elements", "Managing delete markers";
// API Reference, PutBucketLifecycleConfiguration (2026-11).

// lifecycle are the rules of a bucket.
type lifecycle struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration" json:"-"`
	Rules   []lifecycleRule `xml:"Rule" json:"Rules"`
}

type lifecycleRule struct {
	ID         string           `xml:"ID,omitempty" json:"ID,omitempty"`
	Status     string           `xml:"Status" json:"Status"`
	Prefix     *string          `xml:"Prefix,omitempty" json:"Prefix,omitempty"` // instead of Filter, in older rules
	Filter     *lifecycleFilter `xml:"Filter" json:"Filter,omitempty"`
	Expiration *expiration      `xml:"Expiration" json:"Expiration,omitempty"`
	Noncurrent *noncurrent      `xml:"NoncurrentVersionExpiration" json:"NoncurrentVersionExpiration,omitempty"`
	Abort      *abortUpload     `xml:"AbortIncompleteMultipartUpload" json:"AbortIncompleteMultipartUpload,omitempty"`
	Unbuilt    []anyElement     `xml:",any" json:"-"`
}

type lifecycleFilter struct {
	Prefix  string       `xml:"Prefix" json:"Prefix,omitempty"`
	Unbuilt []anyElement `xml:",any" json:"-"`
}

type expiration struct {
	Days    int          `xml:"Days,omitempty" json:"Days,omitempty"`
	Markers bool         `xml:"ExpiredObjectDeleteMarker,omitempty" json:"ExpiredObjectDeleteMarker,omitempty"`
	Unbuilt []anyElement `xml:",any" json:"-"`
}

type noncurrent struct {
	Days    int          `xml:"NoncurrentDays" json:"NoncurrentDays"`
	Unbuilt []anyElement `xml:",any" json:"-"`
}

type abortUpload struct {
	Days int `xml:"DaysAfterInitiation" json:"DaysAfterInitiation"`
}

// anyElement is one that is not built.
type anyElement struct {
	XMLName xml.Name `json:"-"`
}

var errNoLifecycle = errS3("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist")

// mostRules is how many a bucket has.
const mostRules = 1000

func (l lifecycle) check() error {
	if len(l.Rules) == 0 || len(l.Rules) > mostRules {
		return errMalformed
	}
	for _, r := range l.Rules {
		unbuilt := r.Unbuilt
		if r.Filter != nil {
			unbuilt = append(unbuilt, r.Filter.Unbuilt...)
		}
		positive := func(name string, days int) error {
			if days > 0 {
				return nil
			}
			return errS3("InvalidArgument", 400, "'%s' must be a positive integer", name)
		}
		var err error
		if e := r.Expiration; e != nil {
			if unbuilt = append(unbuilt, e.Unbuilt...); e.Markers && e.Days != 0 {
				err = errMalformed
			} else if !e.Markers {
				err = positive("Days' for Expiration action", e.Days)
			}
		}
		if n := r.Noncurrent; n != nil && err == nil {
			unbuilt = append(unbuilt, n.Unbuilt...)
			err = positive("NoncurrentDays' for NoncurrentVersionExpiration action", n.Days)
		}
		if a := r.Abort; a != nil && err == nil {
			err = positive("DaysAfterInitiation' for AbortIncompleteMultipartUpload action", a.Days)
		}
		switch {
		case len(unbuilt) > 0:
			return awsapi.NotBuilt("the element " + unbuilt[0].XMLName.Local + " of a lifecycle rule")
		case r.Status != "Enabled" && r.Status != "Disabled", r.Filter != nil && r.Prefix != nil, len(r.ID) > 255:
			return errMalformed
		case err != nil:
			return err
		case r.Expiration == nil && r.Noncurrent == nil && r.Abort == nil:
			return errS3("InvalidRequest", 400, "At least one action needs to be specified in a rule")
		}
	}
	return nil
}

// covers reports whether a rule is for a key.
func (r lifecycleRule) covers(key string) bool {
	prefix := ""
	switch {
	case r.Filter != nil:
		prefix = r.Filter.Prefix
	case r.Prefix != nil:
		prefix = *r.Prefix
	}
	return r.Status == "Enabled" && strings.HasPrefix(key, prefix)
}

type lifecycleIn struct {
	Bucket        string    `json:"Bucket"`
	Configuration lifecycle `json:"LifecycleConfiguration"`
}

// putLifecycle is PutBucketLifecycleConfiguration, for callers from inside.
func (s *Service) putLifecycle(_ context.Context, _ *awsapi.Call, in *lifecycleIn) (*nothing, error) {
	if err := in.Configuration.check(); err != nil {
		return nil, err
	}
	for i := range in.Configuration.Rules {
		if in.Configuration.Rules[i].ID == "" {
			in.Configuration.Rules[i].ID = s.Scheduler.UUID()
		}
	}
	err := s.change(in.Bucket, func(b *bucket) { b.Lifecycle = &in.Configuration })
	if err == nil {
		s.expireAtMidnight()
	}
	return &nothing{}, err
}

// deleteLifecycle is DeleteBucketLifecycle, for callers from inside.
func (s *Service) deleteLifecycle(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	return &nothing{}, s.change(in.Bucket, func(b *bucket) { b.Lifecycle = nil })
}

// serveLifecycle answers Get and PutBucketLifecycleConfiguration and DeleteBucketLifecycle.
func (s *Service) serveLifecycle(w http.ResponseWriter, r *http.Request, c *awsapi.Call, name string) error {
	action := "s3:PutLifecycleConfiguration"
	if r.Method == http.MethodGet {
		action = "s3:GetLifecycleConfiguration"
	}
	if err := c.Authorize(r.Context(), action, arn(name, ""), nil); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		b, err := s.bucket(name)
		if err == nil && b.Lifecycle == nil {
			err = errNoLifecycle
		}
		if err != nil {
			return err
		}
		return s.answerXML(w, *b.Lifecycle)
	case http.MethodPut:
		in := lifecycleIn{Bucket: name}
		if err := readXML(r, &in.Configuration); err != nil {
			return err
		}
		_, err := s.putLifecycle(r.Context(), c, &in)
		return err
	case http.MethodDelete:
		_, err := s.deleteLifecycle(r.Context(), c, &bucketRef{Bucket: name})
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	return errS3("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
}

const day = 24 * time.Hour

// expired reports whether so many days have passed since a time, rounded up to the next midnight UTC.
func expired(since time.Time, days int, now time.Time) bool {
	due := since.Add(time.Duration(days) * day)
	if midnight := due.Truncate(day); midnight.Before(due) {
		due = midnight.Add(day)
	}
	return !now.Before(due)
}

// midnight is the timer of lifecycle rules: it is set if a bucket has some.
type midnight struct {
	mu  sync.Mutex
	set bool
}

// expireAtMidnight sets the timer, if it is not set.
func (s *Service) expireAtMidnight() {
	s.midnight.mu.Lock()
	defer s.midnight.mu.Unlock()
	if !s.midnight.set {
		s.midnight.set = true
		s.Scheduler.At(s.Scheduler.Now().Truncate(day).Add(day), "s3 lifecycle", s.expireAll)
	}
}

// ruled are the names of the buckets that have rules.
func (s *Service) ruled() (names []string, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		for row, err := range buckets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Lifecycle != nil {
				names = append(names, row.Value.Name)
			}
		}
		return nil
	})
	return names, err
}

// expireAll removes what has expired, and sets the timer for the next day.
func (s *Service) expireAll() {
	s.midnight.mu.Lock()
	s.midnight.set = false
	s.midnight.mu.Unlock()
	names, err := s.ruled()
	s.Scheduler.Failed("s3 lifecycle", err)
	now := s.Scheduler.Now()
	for _, name := range names {
		s.Scheduler.Failed("s3 lifecycle", s.expireIn(name, now))
	}
	if len(names) > 0 {
		s.expireAtMidnight()
	}
}

// old is a version that has expired.
type old struct {
	key     string
	version version
	newest  bool // and is no delete marker: what becomes of it depends on the bucket's versioning
}

// expireIn removes what has expired in a bucket.
func (s *Service) expireIn(name string, now time.Time) error {
	var all []old
	var begun [][]string
	err := s.Store.View(func(tx *store.Tx) error {
		b, err := findBucket(tx, name)
		if err != nil || b.Lifecycle == nil {
			return err
		}
		key, of := "", []version(nil)
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			if row.Key[1] != key {
				all = append(all, b.Lifecycle.expired(key, of, now)...)
				key, of = row.Key[1], nil
			}
			of = append(of, row.Value)
		}
		all = append(all, b.Lifecycle.expired(key, of, now)...)
		for row, err := range uploads.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			if slices.ContainsFunc(b.Lifecycle.Rules, func(r lifecycleRule) bool {
				return r.Abort != nil && r.covers(row.Key[1]) && expired(row.Value.Initiated, r.Abort.Days, now)
			}) {
				begun = append(begun, row.Key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range all {
		if !o.newest {
			_, err = s.dropVersion(name, o.key, o.version.ID)
		} else {
			err = s.expireNewest(name, o)
		}
		if err != nil {
			return err
		}
	}
	for _, k := range begun {
		var bodies []string
		err := s.Store.Update(func(tx *store.Tx) (err error) {
			bodies, err = end(tx, k[0], k[1], gofakes3.UploadID(k[2]))
			return err
		})
		if err != nil {
			return err
		}
		s.discardAll(bodies)
	}
	return nil
}

// expired are the versions of an object, the newest first, that have expired.
func (l lifecycle) expired(key string, of []version, now time.Time) (all []old) {
	add := func(o old) {
		if !slices.ContainsFunc(all, func(other old) bool { return other.version.Number == o.version.Number }) {
			all = append(all, o)
		}
	}
	for _, r := range l.Rules {
		if len(of) == 0 || !r.covers(key) {
			continue
		}
		newest := of[0]
		if e := r.Expiration; e != nil {
			due := e.Days > 0 && expired(newest.Modified, e.Days, now)
			switch {
			case !newest.Deleted && due:
				add(old{key, newest, true})
			case newest.Deleted && len(of) == 1 && (due || e.Markers): // it hides nothing
				add(old{key, newest, false})
			}
		}
		for i := 1; r.Noncurrent != nil && i < len(of); i++ {
			if expired(of[i-1].Modified, r.Noncurrent.Days, now) { // since then it is not the newest
				add(old{key, of[i], false})
			}
		}
	}
	return all
}

// expireNewest deletes an object, with versioning by a marker, unless it was written anew.
func (s *Service) expireNewest(name string, o old) error {
	removed := ""
	err := s.Store.Update(func(tx *store.Tx) error {
		b, err := findBucket(tx, name)
		if err != nil {
			return err
		}
		v, ok, err := latest(tx, name, o.key)
		if err != nil || !ok || v.Number != o.version.Number {
			return err
		}
		if b.Versioning == "" {
			removed, err = removeVersion(tx, name, o.key, v.ID)
			return err
		}
		removed, err = s.addTo(tx, name, o.key, &version{Deleted: true, Modified: s.Scheduler.Now()}, nil)
		return err
	})
	if err == nil {
		s.discard(removed)
	}
	return err
}
