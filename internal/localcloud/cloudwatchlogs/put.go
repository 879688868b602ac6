package cloudwatchlogs

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type inputEvent struct {
	Timestamp int64  `json:"timestamp" api:"min=0"`
	Message   string `json:"message" api:"min=1"`
}

type putEventsIn struct {
	LogGroupName  string       `json:"logGroupName" api:"min=1,max=512,pattern=log group name"`
	LogStreamName string       `json:"logStreamName" api:"min=1,max=512,pattern=log stream name"`
	LogEvents     []inputEvent `json:"logEvents" api:"min=1,max=10000"`
	SequenceToken string       `json:"sequenceToken,omitempty" api:"min=1"`
}

type rejected struct {
	TooNewStart *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldEnd   *int `json:"tooOldLogEventEndIndex,omitempty"`
	ExpiredEnd  *int `json:"expiredLogEventEndIndex,omitempty"`
}

type putEventsOut struct {
	NextSequenceToken string    `json:"nextSequenceToken"`
	Rejected          *rejected `json:"rejectedLogEventsInfo,omitempty"`
}

// Limits of PutLogEvents; times in milliseconds.
const (
	day       = 24 * 60 * 60 * 1000
	tooOld    = 14 * day
	tooNew    = 2 * 60 * 60 * 1000
	maxBatch  = 10000
	maxBytes  = 1 << 20
	perEvent  = 26 // bytes that an event counts beside its message
	maxReturn = 10000
)

// target is where the events go. What the records refer to is shared.
func (in *putEventsIn) target(tx *store.Tx) (g group, st stream, err error) {
	name := groupName(in.LogGroupName)
	g, ok, err := groups.Shared(tx, name)
	if err != nil {
		return g, st, err
	}
	if !ok {
		return g, st, errNoGroup
	}
	st, ok, err = streams.Shared(tx, name, in.LogStreamName)
	if err == nil && !ok {
		err = errNoStream
	}
	return g, st, err
}

func (s *Service) putEvents(ctx context.Context, _ *awsapi.Call, in *putEventsIn) (*putEventsOut, error) {
	size := 0
	for i, e := range in.LogEvents {
		size += len(e.Message) + perEvent
		if e.Message == "" {
			return nil, errInvalid("logEvents.%d.message must have at least one character", i+1)
		}
		if i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp {
			return nil, errInvalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if n := len(in.LogEvents); n == 0 || n > maxBatch || size > maxBytes {
		return nil, errInvalid("logEvents: %d events of %d bytes; allowed are 1 to %d events of at most %d bytes "+
			"together", n, size, maxBatch, maxBytes)
	}
	if s.Discard {
		return s.discard(ctx, in)
	}
	now := s.now()
	out := &putEventsOut{}
	var documents []string
	err := s.Store.Update(func(tx *store.Tx) error {
		g, st, err := in.target(tx)
		if err != nil {
			return err
		}
		horizon := s.horizon(g)
		r := rejected{}
		for i, e := range in.LogEvents {
			next := i + 1
			switch {
			case e.Timestamp < now-tooOld:
				r.TooOldEnd = &next
				continue
			case e.Timestamp < horizon:
				r.ExpiredEnd = &next
				continue
			case e.Timestamp > now+tooNew:
				if r.TooNewStart == nil {
					r.TooNewStart = &i
				}
				continue
			}
			if err := events.Put(tx, event{e.Message, now}, g.Name, st.Name, store.Number(uint64(e.Timestamp)),
				store.Number(st.Next)); err != nil {
				return err
			}
			st.Next++
			st.Bytes += int64(len(e.Message) + perEvent)
			if st.First == 0 || e.Timestamp < st.First {
				st.First = e.Timestamp
			}
			st.Last = max(st.Last, e.Timestamp)
			st.Ingest = now
			if mayBeEMF(e.Message) {
				documents = append(documents, e.Message)
			}
		}
		if r != (rejected{}) {
			out.Rejected = &r
		}
		out.NextSequenceToken = fmt.Sprintf("%056d", st.Next)
		return streams.Put(tx, st, g.Name, st.Name)
	})
	if err != nil {
		return nil, err
	}
	s.measure(ctx, documents)
	return out, nil
}

// measure takes the metrics out of messages that may hold some.
func (s *Service) measure(ctx context.Context, documents []string) {
	if s.Metrics == nil {
		return
	}
	for _, d := range documents {
		s.Metrics.PutEMF(ctx, []byte(d))
	}
}

// discard is putEvents where nothing is kept. No token follows from it.
func (s *Service) discard(ctx context.Context, in *putEventsIn) (*putEventsOut, error) {
	err := s.Store.View(func(tx *store.Tx) error {
		_, _, err := in.target(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var documents []string
	for _, e := range in.LogEvents {
		if mayBeEMF(e.Message) {
			documents = append(documents, e.Message)
		}
	}
	s.measure(ctx, documents)
	return &putEventsOut{NextSequenceToken: fmt.Sprintf("%056d", 0)}, nil
}
