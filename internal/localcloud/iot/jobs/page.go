package jobs

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

// pageKey is the key after which a list goes on; it has the given number of
// parts.
func pageKey(token string, parts int) ([]string, error) {
	key, ok := awsapi.PageAfter(token, parts)
	if !ok {
		return nil, invalid("The nextToken is not valid.")
	}
	return key, nil
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
