package sfn

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// record sends a run's events to a recorder. Express executions have no history; what is logged is kept as well.
func (s *Service) record(rec *executionRecord, rev *revisionRecord, run *asl.Run) *history.Recorder {
	out := history.NewRecorder()
	logged := s.Logs != nil && rev != nil && rev.Logging != nil && rev.Logging.Level != history.LevelOff
	run.Record = func(e *asl.Event) {
		if logged {
			out.Events = append(out.Events, *e)
		}
		if rec.Type != express {
			out.Add(e)
		}
	}
	return out
}

// saveEvents writes the parts of a history.
func saveEvents(tx *store.Tx, k key, events *history.Recorder) error {
	for first, part := range events.Parts() {
		if err := histories.Put(tx, part, k.Machine, k.Name, store.Number(uint64(first))); err != nil {
			return err
		}
	}
	return nil
}
