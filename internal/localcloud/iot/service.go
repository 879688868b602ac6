package iot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	ca "github.com/fleetstep/fleetstep/internal/localcloud/iot/authority"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/outbox"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Publisher sends messages of the service ($aws/...) to the broker.
type Publisher interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// TopicRules are the operations of topic rules, served under iot.
type TopicRules interface {
	Operations() []awsapi.Operation
}

// Endpoints are what DescribeEndpoint answers; an empty one is refused as not
// built. Addresses are a host, with a port where it is not AWS's.
type Endpoints struct {
	Data string // iot:Data and iot:Data-ATS
	Jobs string // iot:Jobs, as accounts had it until 2026; "" for one that refuses it
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	Endpoints Endpoints
	Publisher Publisher // nil: messages of the service are dropped
	Presigner jobs.Presigner
	Rules     TopicRules   // may be nil
	Metrics   jobs.Metrics // takes the metrics of jobs; may be nil
	// AbortShare chooses how abort criteria of jobs are read.
	AbortShare jobs.AbortShare
}

// Service is the control plane.
type Service struct {
	config Config
	sched  *scheduler.Scheduler
	db     *store.DB
	outbox *outbox.Outbox
	jobs   *jobs.Service

	denials awsapi.Denials

	mu         sync.Mutex
	events     map[string]bool // enabled event types
	indexing   indexingConfiguration
	queries    map[string]*fleetindex.Query // of dynamic groups
	documents  map[string]*parsedPolicy     // by policy and version
	changes    changes                      // that permissions depend on
	reindexing bool
	termsKept  bool // every thing has its terms
	caMu       sync.Mutex
	ca         *ca.Authority
}

// New returns the service with its caches read from the store.
func New(config Config) (*Service, error) {
	s := &Service{
		config: config, sched: config.Scheduler, db: config.Store,
		events: map[string]bool{}, queries: map[string]*fleetindex.Query{}, documents: map[string]*parsedPolicy{},
	}
	s.outbox = outbox.New(config.Scheduler, config.Store, "iot.outbox", s.deliver)
	s.jobs = jobs.New(jobs.Config{
		Platform: config.Platform, Registry: jobsView{s}, Outbox: s.outbox, Presigner: config.Presigner,
		Metrics: config.Metrics, AbortShare: config.AbortShare,
	})
	err := s.db.View(func(tx *store.Tx) error {
		e, _, err := eventsTable.Get(tx, single)
		if err != nil {
			return err
		}
		for k, on := range e.Enabled {
			s.events[k] = on
		}
		if s.indexing, _, err = indexingTable.Get(tx, single); err != nil {
			return err
		}
		for row, err := range groupTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.dynamic() {
				if s.queries[row.Key[0]], err = fleetindex.Parse(row.Value.Query); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("iot: load: %w", err)
	}
	return s, nil
}

// Jobs is the part that iotjobsdataplane shows to devices.
func (s *Service) Jobs() *jobs.Service { return s.jobs }

// Start sends what was left unsent, and resumes jobs and dynamic groups.
func (s *Service) Start(ctx context.Context) error {
	if err := s.keepTerms(); err != nil {
		return err
	}
	s.outbox.Start()
	if err := s.jobs.Start(ctx); err != nil {
		return err
	}
	s.reindex()
	return nil
}

// keepTerms gives things their terms that an earlier version has made without.
func (s *Service) keepTerms() error {
	there := false
	err := s.db.View(func(tx *store.Tx) error {
		_, kept, err := termsKept.Get(tx, single)
		if err != nil || kept {
			s.termsKept = kept
			return err
		}
		for _, err := range thingTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			there = true
			break
		}
		return nil // where there is none, the first one says so
	})
	for after := []string(nil); err == nil && there; {
		err = s.db.Update(func(tx *store.Tx) error {
			n := 0
			for row, err := range thingTable.Scan(tx, store.Query{After: after}) {
				if err != nil {
					return err
				}
				for _, x := range termsOf(row.Key[0], &row.Value) {
					if err := thingTerms.Put(tx, mark{}, x.Field, x.Text, row.Key[0]); err != nil {
						return err
					}
				}
				after = slices.Clone(row.Key)
				if n++; n == keptAtOnce {
					return nil
				}
			}
			there = false
			tx.OnCommit(s.setTermsKept)
			return termsKept.Put(tx, mark{}, single)
		})
	}
	return err
}

// keptAtOnce is how many things get their terms in one transaction.
const keptAtOnce = 200

func (s *Service) setTermsKept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.termsKept = true
}

// Residue lists unsent messages, jobs under way, and dynamic groups that are
// not up to date.
func (s *Service) Residue(ctx context.Context) []string {
	lines := s.jobs.Residue(ctx)
	if n, err := s.outbox.Undelivered(); err != nil {
		lines = append(lines, "iot: "+err.Error())
	} else if n > 0 {
		lines = append(lines, fmt.Sprintf("iot: %d messages not sent", n))
	}
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range reindexTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			lines = append(lines, "iot: dynamic groups of thing "+row.Key[0]+" not up to date")
			break
		}
		return nil
	})
	if err != nil {
		lines = append(lines, "iot: "+err.Error())
	}
	return lines
}

// deliver sends a message of the outbox.
func (s *Service) deliver(ctx context.Context, m outbox.Message) error {
	if s.config.Publisher == nil {
		return nil
	}
	if m.Kind == jobs.NextKind {
		payload, err := s.jobs.Next(ctx, m.Payload)
		if err != nil {
			return err
		}
		m.Payload = payload
	}
	return s.config.Publisher.Publish(ctx, m.Topic, m.Payload)
}

func (s *Service) arn(resource string) string {
	return "arn:aws:iot:" + s.config.Region + ":" + s.config.Account + ":" + resource
}

// nameIn takes the name out of an ARN of this account, "" if it is none of the
// kind.
func (s *Service) nameIn(kind, arn string) string {
	name, ok := strings.CutPrefix(arn, s.arn(kind+"/"))
	if !ok {
		return ""
	}
	return name
}

// changed makes the cached permissions of all connected clients stale.
func (s *Service) changed() { s.changes.add("") }

// changedOf makes those stale that depend on a thing or a certificate; on anything else, all.
func (s *Service) changedOf(arn string) func() {
	if s.nameIn("thing", arn) == "" && s.nameIn("cert", arn) == "" {
		return s.changed
	}
	return func() { s.changes.add(arn) }
}

func (s *Service) now() int64 { return s.sched.Now().UnixMilli() }
