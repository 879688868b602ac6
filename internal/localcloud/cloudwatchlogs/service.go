package cloudwatchlogs

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Metrics takes documents in the embedded metric format.
type Metrics interface {
	// PutEMF takes one message that may be a document in that format, as it
	// was logged. It never fails for the caller: a bad document is counted,
	// not stored, and what is none is ignored.
	PutEMF(ctx context.Context, document []byte)
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	Metrics Metrics // may be nil
	// Discard drops log events once they have been checked and counted: for
	// a run whose logs nobody can read afterwards.
	Discard bool
}

// Service is CloudWatch Logs. Its methods are safe for concurrent use.
type Service struct{ Config }

// New returns the service over what the store holds.
func New(c Config) *Service { return &Service{c} }

// Start deletes what retention has let expire.
func (s *Service) Start(context.Context) error {
	return s.Store.Update(func(tx *store.Tx) error {
		var old [][]string
		for g, err := range groups.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			horizon := s.horizon(g.Value)
			if horizon == 0 {
				continue
			}
			for st, err := range streams.Scan(tx, store.Query{Prefix: []string{g.Value.Name}}) {
				if err != nil {
					return err
				}
				q := store.Query{Prefix: []string{g.Value.Name, st.Value.Name},
					Before: []string{store.Number(uint64(horizon))}}
				for e, err := range events.Scan(tx, q) {
					if err != nil {
						return err
					}
					old = append(old, e.Key)
				}
			}
		}
		for _, key := range old {
			if err := events.Delete(tx, key...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Residue is empty: nothing here is ever under way.
func (s *Service) Residue(context.Context) []string { return nil }

// horizon is the time in ms before which a group's events have expired; 0 if
// they never do.
func (s *Service) horizon(g group) int64 {
	if g.Retention == 0 {
		return 0
	}
	return s.Scheduler.Now().AddDate(0, 0, -g.Retention).UnixMilli()
}

func (s *Service) now() int64 { return s.Scheduler.Now().UnixMilli() }

func (s *Service) arn(group string) string {
	return "arn:aws:logs:" + s.Region + ":" + s.Account + ":log-group:" + group
}

// groupName cuts the name out of a group's ARN.
func groupName(ref string) string {
	if _, name, ok := strings.Cut(ref, ":log-group:"); ok {
		name, _, _ = strings.Cut(name, ":")
		return name
	}
	return ref
}

// mayBeEMF reports whether a message can be a document in the embedded metric
// format; the metrics' service looks closer.
func mayBeEMF(message string) bool {
	return strings.HasPrefix(message, "{") && strings.Contains(message, `"_aws"`) && strings.Contains(message, `"CloudWatchMetrics"`)
}
