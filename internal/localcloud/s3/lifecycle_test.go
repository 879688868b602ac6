package s3

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// The day in the example of the user guide, "Lifecycle rules: Based on an object's age": an object of 10:30 that
// expires after three days does so at midnight of the fourth.
var tenThirty = time.Date(2014, time.January, 15, 10, 30, 0, 0, time.UTC)

// shelf is a bucket in virtual time.
type shelf struct {
	*Service
	t  *testing.T
	db *store.DB
}

func newShelf(t *testing.T, versioning string, rules ...lifecycleRule) *shelf {
	t.Helper()
	s := &shelf{t: t, db: store.Memory()}
	s.open(scheduler.NewVirtual(1, tenThirty))
	s.must(s.create("shelf"))
	s.must(s.change("shelf", func(b *bucket) { b.Versioning = versioning }))
	_, err := s.putLifecycle(t.Context(), nil, &lifecycleIn{Bucket: "shelf", Configuration: lifecycle{Rules: rules}})
	s.must(err)
	return s
}

func (s *shelf) open(sched *scheduler.Scheduler) {
	var err error
	s.Service, err = New(Config{Platform: platform.Platform{Scheduler: sched, Store: s.db, Account: account,
		Region: "us-east-1"}})
	s.must(err)
	s.must(s.Start(s.t.Context()))
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) write(key string) {
	s.t.Helper()
	_, err := s.putObject(context.Background(), nil, &putObjectIn{Bucket: "shelf", Key: key, Body: []byte(key)})
	s.must(err)
}

// has are the versions of the bucket: a key with ! is a delete marker, one in brackets is not the newest.
func (s *shelf) has() string {
	s.t.Helper()
	var all []string
	s.must(s.Store.View(func(tx *store.Tx) error {
		key := ""
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{"shelf"}}) {
			if err != nil {
				return err
			}
			text := row.Key[1]
			if row.Value.Deleted {
				text += "!"
			}
			if row.Key[1] == key {
				text = "(" + text + ")"
			}
			key = row.Key[1]
			all = append(all, text)
		}
		return nil
	}))
	return strings.Join(all, " ")
}

// until lets time pass to a moment.
func (s *shelf) until(d int, hour int) {
	at := time.Date(2014, time.January, d, hour, 0, 0, 0, time.UTC)
	s.Scheduler.RunFor(at.Sub(s.Scheduler.Now()))
}

func (s *shelf) expect(want string) {
	s.t.Helper()
	if got := s.has(); got != want {
		s.t.Errorf("%s: the bucket has %q, want %q", s.Scheduler.Now().Format(time.DateTime), got, want)
	}
}

func of(days int) *expiration { return &expiration{Days: days} }

func TestObjectsExpireAtMidnightAfterTheirDays(t *testing.T) {
	s := newShelf(t, "", lifecycleRule{Status: "Enabled", Filter: &lifecycleFilter{Prefix: "a/"}, Expiration: of(3)},
		lifecycleRule{Status: "Disabled", Expiration: of(1)})
	s.write("a/1")
	s.write("b/1")
	s.until(16, 23)
	s.write("a/2")
	s.until(18, 23)
	s.expect("a/1 a/2 b/1")
	s.until(19, 1)
	s.expect("a/2 b/1")
	s.until(20, 1)
	s.expect("b/1")
}

func TestVersionsExpire(t *testing.T) {
	s := newShelf(t, "Enabled", lifecycleRule{Status: "Enabled", Expiration: of(1), Noncurrent: &noncurrent{Days: 2}})
	s.write("x")
	s.until(16, 12)
	s.write("x") // the first is not the newest from here on
	s.until(17, 1)
	s.expect("x (x)")
	s.until(18, 1) // the second has expired
	s.expect("x! (x) (x)")
	s.until(19, 1) // two days after the 16th, rounded up
	s.expect("x! (x)")
	s.until(20, 1) // two days after midnight of the 18th
	s.expect("x!")
	s.until(21, 1) // it hides nothing, and is old enough
	s.expect("")
}

func TestMarkersThatHideNothingExpire(t *testing.T) {
	s := newShelf(t, "Enabled", lifecycleRule{Status: "Enabled", Expiration: &expiration{Markers: true}})
	s.write("x")
	s.write("y")
	if _, err := s.drop("shelf", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.drop("shelf", "z"); err != nil {
		t.Fatal(err)
	}
	s.until(20, 1)
	s.expect("x! (x) y")
}

func TestAbandonedUploadsEnd(t *testing.T) {
	s := newShelf(t, "", lifecycleRule{Status: "Enabled", Abort: &abortUpload{Days: 7}})
	b := &backend{s.Service}
	id, err := b.CreateMultipartUpload("shelf", "x", nil)
	s.must(err)
	_, err = b.UploadPart("shelf", "x", id, 1, 1, strings.NewReader("x"))
	s.must(err)
	left := func() (n int) {
		s.must(s.Store.View(func(tx *store.Tx) error {
			for _, err := range parts.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				n++
			}
			for _, err := range blobs.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		}))
		return n
	}
	s.until(22, 23)
	if left() != 2 {
		t.Errorf("%d of its part and body are there", left())
	}
	s.until(23, 1)
	if left() != 0 {
		t.Errorf("%d are left", left())
	}
}

// TestRulesHoldAfterARestart, and no more when they are taken away.
func TestRulesHoldAfterARestart(t *testing.T) {
	s := newShelf(t, "", lifecycleRule{Status: "Enabled", Expiration: of(1)})
	s.write("x")
	s.open(scheduler.NewVirtual(2, tenThirty.Add(5*day))) // it was away when that expired
	s.expect("x")
	s.until(21, 1)
	s.expect("")
	s.write("y")
	if _, err := s.deleteLifecycle(t.Context(), nil, &bucketRef{Bucket: "shelf"}); err != nil {
		t.Fatal(err)
	}
	s.until(29, 1)
	s.expect("y")
	if pending := s.Scheduler.Pending(); len(pending) != 0 {
		t.Errorf("still set: %v", pending)
	}
}

// TestLifecycleConfigurations over the API: what is not built and what S3 refuses are errors.
func TestLifecycleConfigurations(t *testing.T) {
	c := newCloud(t, nil)
	get := func() (*sdk.GetBucketLifecycleConfigurationOutput, error) {
		return c.GetBucketLifecycleConfiguration(t.Context(), &sdk.GetBucketLifecycleConfigurationInput{
			Bucket: aws.String("firmware")})
	}
	put := func(rules ...types.LifecycleRule) error {
		_, err := c.PutBucketLifecycleConfiguration(t.Context(), &sdk.PutBucketLifecycleConfigurationInput{
			Bucket:                 aws.String("firmware"),
			LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
		return err
	}
	code := func(err error) string {
		if e, ok := errors.AsType[smithy.APIError](err); ok {
			return e.ErrorCode()
		}
		return ""
	}
	if _, err := get(); code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("none: %v", err)
	}
	days := func(n int32) *types.LifecycleExpiration { return &types.LifecycleExpiration{Days: &n} }
	all := &types.LifecycleRuleFilter{Prefix: aws.String("")}
	for want, rule := range map[string]types.LifecycleRule{
		"MalformedXML":    {Status: "On", Filter: all, Expiration: days(1)},
		"InvalidArgument": {Status: "Enabled", Filter: all, Expiration: days(0)},
		"InvalidRequest":  {Status: "Enabled", Filter: all},
		"NotImplemented": {Status: "Enabled", Filter: &types.LifecycleRuleFilter{Tag: &types.Tag{Key: aws.String("k"),
			Value: aws.String("v")}}, Expiration: days(1)},
	} {
		if err := put(rule); code(err) != want {
			t.Errorf("%+v: %v, want %s", rule, err, want)
		}
	}
	if err := put(types.LifecycleRule{Status: "Enabled", Expiration: days(3),
		Filter: &types.LifecycleRuleFilter{Prefix: aws.String("x/")}}); err != nil {
		t.Fatal(err)
	}
	out, err := get()
	if err != nil || len(out.Rules) != 1 || aws.ToString(out.Rules[0].ID) == "" ||
		*out.Rules[0].Expiration.Days != 3 || aws.ToString(out.Rules[0].Filter.Prefix) != "x/" {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.DeleteBucketLifecycle(t.Context(), &sdk.DeleteBucketLifecycleInput{
		Bucket: aws.String("firmware")}); err != nil {
		t.Error(err)
	}
	if _, err := get(); code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("deleted: %v", err)
	}
}
