package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// ErrBadKey means that bytes read as a key are not one: the store is damaged.
var ErrBadKey = errors.New("store: malformed key")

// Key encodes parts such that keys sort as their lists of parts do.
func Key(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 2
	}
	return appendKey(make([]byte, 0, n), parts...)
}

func appendKey(k []byte, parts ...string) []byte {
	for _, p := range parts {
		k = append(appendEscaped(k, p), 0x00, 0x01)
	}
	return k
}

func appendEscaped(k []byte, p string) []byte {
	if strings.IndexByte(p, 0x00) < 0 {
		return append(k, p...)
	}
	for i := range len(p) {
		k = append(k, p[i])
		if p[i] == 0x00 {
			k = append(k, 0xff)
		}
	}
	return k
}

// prefixKey is Key of the parts followed by the beginning of one more part.
func prefixKey(parts []string, beginning string) []byte {
	return appendEscaped(Key(parts...), beginning)
}

// ParseKey is the reverse of Key.
func ParseKey(k []byte) ([]string, error) {
	rest := string(k)
	parts := make([]string, 0, bytes.Count(k, []byte{0x00}))
	part, escaped := "", false // what is before an escaped 0x00
	for rest != "" {
		i := strings.IndexByte(rest, 0x00)
		if i < 0 || i+1 >= len(rest) {
			return nil, ErrBadKey
		}
		switch rest[i+1] {
		case 0xff:
			part, escaped = part+rest[:i+1], true
		case 0x01:
			if escaped {
				parts = append(parts, part+rest[:i])
			} else {
				parts = append(parts, rest[:i])
			}
			part, escaped = "", false
		default:
			return nil, ErrBadKey
		}
		rest = rest[i+2:]
	}
	if escaped {
		return nil, ErrBadKey
	}
	return parts, nil
}

// Number writes n as a key part that sorts by value.
func Number(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}

// ParseNumber is the reverse of Number; 0 if part is none.
func ParseNumber(part string) uint64 {
	if len(part) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(part))
}

// after returns the smallest key greater than every key that begins with p;
// nil if there is none.
func after(p []byte) []byte {
	end := bytes.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
