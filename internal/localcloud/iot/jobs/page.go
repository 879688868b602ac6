package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// page is where a listing goes on, and how many entries it may have.
type page struct {
	size  int
	after []string // the last key before, without the prefix of the listing
}

// newPage reads maxResults, where AWS's model allows 1 to 250, and nextToken, which holds a key of so many parts.
func newPage(maxResults *int, nextToken string, parts int) (page, error) {
	after, ok := awsapi.PageAfter(nextToken, parts)
	if !ok {
		return page{}, invalid("The nextToken is not valid.")
	}
	return page{awsapi.PageSize(maxResults, 250, 250), after}, nil
}

// list makes the entries of a page from the rows of a query, and the token of the next page, "" if there is none.
// entry returns false for a row that is not listed.
func list[T, E any](tx *store.Tx, t store.Table[T], q store.Query, p page,
	entry func(row store.Row[T]) (E, bool, error)) (entries []E, next string, err error) {
	q.After = p.after
	entries, last, err := store.Page(tx, t, q, p.size, entry)
	if last != nil {
		next = awsapi.PageToken(last...)
	}
	return entries, next, err
}
