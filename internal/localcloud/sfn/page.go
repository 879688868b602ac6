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
	return newPageWith(maxResults, nextToken, 1024)
}

// newPageWith is newPage where AWS allows tokens of another length.
func newPageWith(maxResults int, nextToken string, longest int) (page, error) {
	refuse := func(value any, member, constraint string, limit int) (page, error) {
		return page{}, validation("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: "+
			"Member must have %s %d", value, member, constraint, limit)
	}
	switch {
	case maxResults < 0:
		return refuse(maxResults, "maxResults", "value greater than or equal to", 0)
	case maxResults > 1000:
		return refuse(maxResults, "maxResults", "value less than or equal to", 1000)
	case len(nextToken) > longest:
		return refuse(nextToken, "nextToken", "length less than or equal to", longest)
	}
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
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

// metadataOnly is the includedData of requests that want no data.
const metadataOnly = "METADATA_ONLY"
