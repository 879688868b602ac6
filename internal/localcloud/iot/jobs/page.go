package jobs

import (
	"encoding/base64"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// pageToken and pageKey carry the last key of a page.
func pageToken(key []string) string {
	return base64.URLEncoding.EncodeToString(store.Key(key...))
}

func pageKey(token string, parts int) ([]string, error) {
	if token == "" {
		return nil, nil
	}
	b, err := base64.URLEncoding.DecodeString(token)
	if err == nil {
		var key []string
		if key, err = store.ParseKey(b); err == nil && len(key) == parts {
			return key, nil
		}
	}
	return nil, invalid("The nextToken is not valid.")
}

// pageSize is maxResults, where AWS's model allows 1 to 250.
func pageSize(asked int) (int, error) {
	if asked == 0 {
		return 250, nil
	}
	if asked < 1 || asked > 250 {
		return 0, outside("maxResults", asked, 1, 250)
	}
	return asked, nil
}
