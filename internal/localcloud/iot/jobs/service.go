package jobs

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/outbox"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Registry is what jobs asks of the thing registry. All calls are part of the
// given transaction.
type Registry interface {
	HasThing(tx *store.Tx, name string) (bool, error)
	HasGroup(tx *store.Tx, name string) (bool, error)
	// Members lists direct members of a group in order, beyond after.
	Members(tx *store.Tx, group, after string, limit int) ([]string, error)
	// Children lists the groups directly below a group.
	Children(tx *store.Tx, group string) ([]string, error)
	// GroupsOf lists the groups of a thing and the groups above these.
	GroupsOf(tx *store.Tx, thing string) ([]string, error)
	// EventsEnabled reports whether events of a type ("JOB", "JOB_EXECUTION")
	// are published.
	EventsEnabled(tx *store.Tx, eventType string) (bool, error)
	// Tag attaches tags to a resource, Untag removes them all.
	Tag(tx *store.Tx, arn string, tags map[string]string) error
	Untag(tx *store.Tx, arn string) error
}

// Presigner makes presigned S3 URLs.
type Presigner interface {
	// Presign assumes the role for iot.amazonaws.com and signs a URL with it.
	Presign(ctx context.Context, r PresignRequest) (url string, err error)
}

// PresignRequest says what is to be signed.
type PresignRequest struct {
	Method                     string // GET or PUT
	RoleARN, SourceARN         string // the role, and the job it is assumed for
	Bucket, Key, ObjectVersion string
	Expires                    time.Duration
}

// AbortShare says of which things abortConfig's percentage is.
type AbortShare string

// The two readings of the documentation.
const (
	OfNotified AbortShare = ""         // of the things that were notified
	OfFinished AbortShare = "finished" // of the things whose execution is terminal
)

// Metrics takes the CloudWatch metrics of jobs: namespace AWS/IoT, dimension
// JobId, unit Count.
type Metrics interface {
	Put(ctx context.Context, metrics []Metric) error
}

// Metric is one value of a metric such as SucceededJobExecutionCount.
type Metric struct {
	Name  string
	JobID string
	Value float64
	Time  time.Time
}

// arrival is a status that an execution of a job has come to.
type arrival struct{ job, status string }

func (a arrival) compare(b arrival) int {
	return cmp.Or(strings.Compare(a.job, b.job), strings.Compare(a.status, b.status))
}

// resourceOf takes an ARN's last part apart: "thing", "thinggroup" and a name.
func resourceOf(arn string) (kind, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return "", ""
	}
	kind, name, _ = strings.Cut(parts[5], "/")
	return kind, name
}

// Config is what the service needs. Outbox delivers to the broker; messages of
// kind NextKind go through Service.Next first.
type Config struct {
	platform.Platform

	Registry   Registry
	Outbox     *outbox.Outbox
	Presigner  Presigner // nil refuses documents with presigned URLs
	Metrics    Metrics   // nil: no metrics
	AbortShare AbortShare
}

// Service is AWS IoT Jobs.
type Service struct {
	config Config
	sched  *scheduler.Scheduler
	db     *store.DB

	mu        sync.Mutex
	timer     *scheduler.Timer
	armed     int64 // time of the timer; 0: none
	busy      bool  // due rows are being worked off
	rowsAdded bool  // a row was added meanwhile

	arrivals map[arrival]int // since the last metrics; nil: none
}

// New returns the service. It does nothing by itself before Start or the first
// job.
func New(config Config) *Service {
	return &Service{config: config, sched: config.Scheduler, db: config.Store}
}

func (s *Service) arn(resource string) string {
	return "arn:aws:iot:" + s.config.Region + ":" + s.config.Account + ":" + resource
}

func (s *Service) thingARN(thing string) string { return s.arn("thing/" + thing) }
func (s *Service) jobARN(id string) string      { return s.arn("job/" + id) }
