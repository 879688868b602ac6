package sqs

import (
	"regexp"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Fair queues: a standard queue whose senders give message groups keeps one
// group's backlog from delaying the others'. SQS hands out messages of quiet
// groups before those of noisy ones; which are noisy follows from their share
// of the messages in flight. AWS tells neither the share nor how far it looks;
// here it is a tenth, and the first thousand messages.
//
// Source: SQS Developer Guide, "Amazon SQS fair queues" (read 2026-11).

const (
	fairSample = 1000
	noisyShare = 10 // one in so many of the messages in flight
	noisyLeast = 2
)

var groupID = regexp.MustCompile("^[a-zA-Z0-9!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]{1,128}$")

// quietFirst chooses limit of the messages that are due: those of quiet groups
// and of none first, each in the order in which they became visible.
func (s *Service) quietFirst(tx *store.Tx, q *queue, due []string, limit int) ([]string, error) {
	flying, all := map[string]int{}, 0
	now := s.config.Scheduler.Now()
	for row, err := range messageTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
		if err != nil {
			return nil, err
		}
		if m := row.Value; m.Count > 0 && m.Visible.After(now) {
			flying[m.Group]++
			all++
		}
		if all == fairSample {
			break
		}
	}
	var quiet, noisy []string
	for _, number := range due {
		m, ok, err := messageTable.Get(tx, q.ID, number)
		if err != nil {
			return nil, err
		}
		group := m.Group
		if n := flying[group]; ok && group != "" && n >= noisyLeast && n*noisyShare > all {
			noisy = append(noisy, number)
			continue
		}
		flying[group]++ // as if it were taken
		all++
		quiet = append(quiet, number)
	}
	chosen := append(quiet, noisy...)
	return chosen[:min(limit, len(chosen))], nil
}
