package sfn

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Empty is the answer of operations that answer nothing.
type Empty struct{}

// pageToken makes an opaque token of a key; pageKey reads it.
func pageToken(parts ...string) *string {
	t := awsapi.PageToken(parts...)
	return &t
}

func pageKey(token string) ([]string, error) {
	key, ok := awsapi.PageKey(token)
	if !ok {
		return nil, invalidToken()
	}
	return key, nil
}

// limit checks maxResults and nextToken; 0 or absent is the default.
func limit(n, fallback int, token string) (int, error) { return limitWith(n, fallback, token, 1024) }

func limitWith(n, fallback int, token string, longest int) (int, error) {
	if n < 0 {
		return 0, validation("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy "+
			"constraint: Member must have value greater than or equal to 0", n)
	}
	if n > 1000 {
		return 0, validation("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy "+
			"constraint: Member must have value less than or equal to 1000", n)
	}
	if len(token) > longest {
		return 0, validation("1 validation error detected: Value '%s' at 'nextToken' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", token, longest)
	}
	if n == 0 {
		return fallback, nil
	}
	return n, nil
}

// ListInput is the input of listings.
type ListInput struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

// metadataOnly is the includedData of requests that want no data.
const metadataOnly = "METADATA_ONLY"
