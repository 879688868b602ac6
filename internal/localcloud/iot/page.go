package iot

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// empty is the answer of an operation that has nothing to tell.
type empty struct{}

// A page of a listing whose keys have one part after the prefix.
type page struct {
	size  int
	after []string
	last  string
	token string
	n     int
}

func newPage(maxResults *int, nextToken string) (*page, error) {
	p := &page{size: awsapi.PageSize(maxResults, 250, 250)}
	var ok bool
	if p.after, ok = awsapi.PageKey(nextToken); !ok {
		return nil, invalid("The next token is not valid.")
	}
	return p, nil
}

// full reports whether the page has its results; the token then leads on.
func (p *page) full() bool {
	if p.n < p.size {
		return false
	}
	p.token = awsapi.PageToken(p.last)
	return true
}

func (p *page) add(key string) { p.last, p.n = key, p.n+1 }

// names lists the last key parts below a prefix.
func names[T any](tx *store.Tx, t store.Table[T], p *page, prefix ...string) ([]string, error) {
	list := []string{}
	for row, err := range t.Scan(tx, store.Query{Prefix: prefix, After: p.after}) {
		if err != nil || p.full() {
			return list, err
		}
		name := row.Key[len(row.Key)-1]
		list = append(list, name)
		p.add(name)
	}
	return list, nil
}

// all lists the last key parts below a prefix without paging.
func all[T any](tx *store.Tx, t store.Table[T], prefix ...string) ([]string, error) {
	var list []string
	for row, err := range t.Scan(tx, store.Query{Prefix: prefix}) {
		if err != nil {
			return nil, err
		}
		list = append(list, row.Key[len(row.Key)-1])
	}
	return list, nil
}
