package sfn

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Empty is the answer of operations that answer nothing.
type Empty struct{}

// page is where a listing goes on, and how many entries it may have.
type page struct {
	size  int
	after []string // the last key before, without the prefix of the listing
}

// newPage reads maxResults, which is 100 if it is 0 or absent, and nextToken.
func newPage(maxResults int, nextToken string) (page, error) {
	after, ok := awsapi.PageKey(nextToken)
	if !ok {
		return page{}, invalidToken()
	}
	if maxResults == 0 {
		maxResults = 100
	}
	return page{maxResults, after}, nil
}

// list makes the entries of a page from the rows of a query, and the token of the next page if there is one. entry
// returns false for a row that is not listed.
func list[T, E any](tx *store.Tx, t store.Table[T], q store.Query, p page,
	entry func(row store.Row[T]) (E, bool, error)) (entries []E, next *string, err error) {
	q.After = p.after
	entries, last, err := store.Page(tx, t, q, p.size, entry)
	if last != nil {
		token := awsapi.PageToken(last...)
		next = &token
	}
	return entries, next, err
}

// ListInput is the input of listings.
type ListInput struct {
	MaxResults int    `json:"maxResults" api:"min=0,max=1000"`
	NextToken  string `json:"nextToken" api:"min=1,max=1024"`
}

// metadataOnly is the includedData of requests that want no data.
const metadataOnly = "METADATA_ONLY"
