package iot

import (
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Things by their names and attributes, so that a search for some of very many reads those alone. A query is asked
// about each all the same.

// putTerms keeps the terms of a thing that changes; old or t is nil for one that comes or goes.
func (s *Service) putTerms(tx *store.Tx, name string, old, t *thing) error {
	s.mu.Lock()
	kept := s.termsKept
	s.mu.Unlock()
	if !kept { // the first thing
		if err := termsKept.Put(tx, mark{}, single); err != nil {
			return err
		}
		tx.OnCommit(s.setTermsKept)
	}
	before, after := termsOf(name, old), termsOf(name, t)
	for _, x := range before {
		if !slices.Contains(after, x) {
			if err := thingTerms.Delete(tx, x.Field, x.Text, name); err != nil {
				return err
			}
		}
	}
	for _, x := range after {
		if !slices.Contains(before, x) {
			if err := thingTerms.Put(tx, mark{}, x.Field, x.Text, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// withTerm visits the things that have a value, in the order of their names, until visit says that it has enough.
func (s *Service) withTerm(tx *store.Tx, field, value string, after []string,
	visit func(name string, t thing) (more bool, err error)) error {
	q := store.Query{Prefix: []string{field, fleetindex.Key(value)}, After: after}
	for row, err := range thingTerms.Scan(tx, q) {
		if err != nil {
			return err
		}
		name := row.Key[2]
		t, ok, err := thingTable.Get(tx, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if more, err := visit(name, t); err != nil || !more {
			return err
		}
	}
	return nil
}

// candidates visits the things that a query may hold for, in the order of their names: those with the rarest of the
// terms that it needs, or all.
func (s *Service) candidates(tx *store.Tx, q *fleetindex.Query, after []string,
	visit func(name string, t thing) (more bool, err error)) error {
	terms := slices.DeleteFunc(q.Required(), func(x fleetindex.Term) bool {
		return x.Field != nameField && !strings.HasPrefix(x.Field, attributeField)
	})
	least := compared + 1
	var best *fleetindex.Term
	for i := range terms {
		n := 0
		if len(terms) > 1 {
			var err error
			if n, err = s.countTerm(tx, terms[i], after); err != nil {
				return err
			}
		}
		if best == nil || n < least {
			best, least = &terms[i], n
		}
	}
	if best != nil {
		return s.withTerm(tx, best.Field, best.Text, after, visit)
	}
	for row, err := range thingTable.Scan(tx, store.Query{After: after}) {
		if err != nil {
			return err
		}
		if more, err := visit(row.Key[0], row.Value); err != nil || !more {
			return err
		}
	}
	return nil
}

// compared is how many things of each term are counted to find the rarest.
const compared = 200

func (s *Service) countTerm(tx *store.Tx, term fleetindex.Term, after []string) (n int, err error) {
	q := store.Query{Prefix: []string{term.Field, fleetindex.Key(term.Text)}, After: after}
	for _, err := range thingTerms.Scan(tx, q) {
		if err != nil {
			return 0, err
		}
		if n++; n > compared {
			break
		}
	}
	return n, nil
}
