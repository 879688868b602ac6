package store

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrBadKey means that bytes read as a key are not one: the store is damaged.
var ErrBadKey = errors.New("store: malformed key")

// Key encodes parts such that keys sort as their lists of parts do.
func Key(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 2
	}
	k := make([]byte, 0, n)
	for _, p := range parts {
		k = append(appendEscaped(k, p), 0x00, 0x01)
	}
	return k
}

func appendEscaped(k []byte, p string) []byte {
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
	var parts []string
	var part []byte
	for len(k) > 0 {
		i := bytes.IndexByte(k, 0x00)
		if i < 0 || i+1 >= len(k) {
			return nil, ErrBadKey
		}
		part = append(part, k[:i]...)
		switch k[i+1] {
		case 0xff:
			part = append(part, 0x00)
		case 0x01:
			parts = append(parts, string(part))
			part = part[:0]
		default:
			return nil, ErrBadKey
		}
		k = k[i+2:]
	}
	if len(part) > 0 {
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
