// Package jsontext writes JSON as AWS's services do: it escapes only what must be escaped, so
// <, > and & stay unchanged. It imports nothing of the local cloud; the protocols and the
// languages share it. Each of them writes its own kinds of values.
package jsontext

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal that leaves <, > and & alone.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

const hexDigits = "0123456789abcdef"

// plain are the bytes that a string shows as they are. ED is looked at, as it
// may begin half a surrogate pair.
var plain = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != '"' && c != '\\' && c != 0xED
	}
	return table
}()

// AppendString appends a string, between its quotes. Halves of surrogate pairs
// that stand alone, written as the three bytes that their number would have in
// UTF-8, become escapes; other bytes that are no UTF-8 stay as they are.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		size := 1
		if c == 0xED {
			if len(s)-i < 3 || s[i+1] < 0xA0 || s[i+1] > 0xBF || s[i+2] < 0x80 || s[i+2] > 0xBF {
				i++
				continue
			}
			size = 3
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case 0xED:
			u := 0xD000 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F)
			b = append(b, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
