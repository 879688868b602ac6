package awsapi

import (
	"encoding/base64"
	"encoding/binary"
)

// PageSize is how many results a page may have: as many as are asked for, at most so many, or the usual number.
func PageSize(asked *int, usual, most int) int {
	if asked == nil {
		return usual
	}
	return min(*asked, most)
}

// PageToken is an opaque token for the place where a list goes on: the parts of
// the last key, whatever their bytes. PageKey reads it.
func PageToken(key ...string) string {
	var b []byte
	for _, part := range key {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// PageKey is the key in a token, nil for "". ok is false for a text that is no
// token; what an operation then answers is its own.
func PageKey(token string) (key []string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, false
	}
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, false
		}
		key, b = append(key, string(b[size:size+int(n)])), b[size+int(n):]
	}
	return key, len(key) > 0 || token == ""
}

// PageAfter is PageKey for keys of so many parts: ok is false for a token that
// another listing gave.
func PageAfter(token string, parts int) (key []string, ok bool) {
	key, ok = PageKey(token)
	if !ok || key != nil && len(key) != parts {
		return nil, false
	}
	return key, true
}
