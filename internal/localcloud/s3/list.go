package s3

import (
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// page is what is asked of a list of keys: those that begin with prefix, beyond a marker. Keys that have the same text
// from their beginning to the first delimiter behind the prefix are listed as one entry, their common prefix.
type page struct {
	prefix, delimiter string
	// after: keys up to it are left out, and so is the common prefix that it lies in.
	after string
	// afterVersion: of after itself only the versions up to this one are left out. For lists of versions.
	afterVersion string
	size         int64 // of keys and common prefixes together
}

// entry is a version of a key, or a common prefix.
type entry struct {
	key    string // or the common prefix
	common bool
	version
	newest bool
}

// commonPrefix is the text under which a page lists a key; "" if it lists the key itself.
func (p page) commonPrefix(key string) string {
	if p.delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(p.prefix):], p.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(p.prefix)+i+len(p.delimiter)]
}

// above is the least text above all that begin with s; "" if there is none.
func above(s string) string {
	for s != "" && s[len(s)-1] == 0xff {
		s = s[:len(s)-1]
	}
	if s == "" {
		return ""
	}
	return s[:len(s)-1] + string([]byte{s[len(s)-1] + 1})
}

// sameKey is how many older versions of a key are read before the next key is looked up.
const sameKey = 8

// walk yields a page of the entries of a bucket: every version, or of each key the newest if that is no delete marker.
// What is behind a common prefix is not read: a page takes as long as it has entries. more tells that the list goes
// on.
//
// Source: API reference, ListObjectsV2, ListObjectVersions; for markers within a common prefix, and for those of a
// version that is there no more, AWS's answers as localstack recorded them
// (tests/aws/services/s3/test_s3_list_operations.snapshot.json, 2025-01-21).
func walk(tx *store.Tx, bucketName string, p page, all bool) (entries []entry, more bool, err error) {
	q := store.Query{Prefix: []string{bucketName}, Begins: p.prefix}
	var seen string // the key of the row before
	var newest uint64
	switch inside := strings.HasPrefix(p.after, p.prefix); {
	case p.size == 0:
		return nil, false, nil
	case p.after == "" || p.after < p.prefix:
	case !inside:
		return nil, false, nil // all of them are before the marker
	case p.commonPrefix(p.after) != "":
		q.From = []string{above(p.commonPrefix(p.after))}
	case p.afterVersion != "":
		var number uint64
		if newest, number, err = locate(tx, bucketName, p.after, p.afterVersion); err != nil {
			return nil, false, err
		}
		seen, q.After = p.after, []string{p.after, countDown(number)}
	default:
		q.From = []string{p.after + "\x00"}
	}
	for {
		if q.From != nil && !strings.HasPrefix(q.From[0], p.prefix) {
			return entries, false, nil
		}
		var next string // the key with which the list goes on, if it jumps
		older := 0
		for row, err := range versions.Scan(tx, q) {
			if err != nil {
				return nil, false, err
			}
			key, v := row.Key[1], row.Value
			if key != seen || newest == 0 {
				seen, newest, older = key, v.Number, 0
			}
			if !all && v.Number != newest {
				if older++; older == sameKey {
					next = key + "\x00"
					break
				}
				continue
			}
			if !all && v.Deleted {
				continue
			}
			if int64(len(entries)) == p.size {
				return entries, true, nil
			}
			if common := p.commonPrefix(key); common != "" {
				entries = append(entries, entry{key: common, common: true})
				next = above(common)
				if next == "" {
					return entries, false, nil
				}
				break
			}
			entries = append(entries, entry{key: key, version: v, newest: v.Number == newest})
		}
		if next == "" {
			return entries, false, nil
		}
		q.From, q.After = []string{next}, nil
	}
}

// locate finds the numbers of the newest version of a key and of the one with an id. An id that is not there any more
// tells its number itself.
func locate(tx *store.Tx, bucketName, key, id string) (newest, number uint64, err error) {
	for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
		if err != nil {
			return 0, 0, err
		}
		if newest == 0 {
			newest = row.Value.Number
		}
		if row.Value.ID == id {
			return newest, row.Value.Number, nil
		}
	}
	return newest, numberOf(id), nil
}

// versionID is a new id for the version of a number; it sorts as the number does and cannot be guessed.
func versionID(number uint64, random string) string {
	text := strconv.FormatUint(number, 16)
	return strings.Repeat("0", 16-len(text)) + text + strings.ReplaceAll(random, "-", "")[:16]
}

// numberOf is the number in an id. Ids of before, which had none, and "null" come before all versions of their key.
func numberOf(id string) uint64 {
	if len(id) != 32 {
		return ^uint64(0)
	}
	n, err := strconv.ParseUint(id[:16], 16, 64)
	if err != nil {
		return ^uint64(0)
	}
	return n
}
