// Package statusdetails holds AWS IoT's rules for the statusDetails of a job
// execution: at most 10 pairs; keys of 1 to 128 characters of a-z, A-Z, 0-9, :,
// _ and -; values of 1 to 1,024 characters, none of which is in Unicode's
// category C (control, format, surrogate, private use, unassigned).
//
// Sources: shapes DetailsKey ([a-zA-Z0-9:_-]+, 1 to 128) and DetailsValue
// ([^\p{C}]+, at least 1) of the API models iot and iot-jobs-data, botocore
// 1.44.8; "at most 10 name/value pairs" in CancelJobExecution of the same model;
// the 1,024 characters from the quotas of AWS IoT Jobs.
package statusdetails

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits.
const (
	MaxPairs = 10
	MaxKey   = 128  // characters
	MaxValue = 1024 // characters
)

// Check returns nil, or an error that names everything that is wrong, in the
// order of the keys.
func Check(details map[string]string) error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(details) > MaxPairs {
		fault("statusDetails has %d pairs; at most %d are allowed", len(details), MaxPairs)
	}
	for _, k := range slices.Sorted(maps.Keys(details)) {
		if n := utf8.RuneCountInString(k); n < 1 || n > MaxKey {
			fault("a key of statusDetails has %d characters; allowed are 1 to %d", n, MaxKey)
		} else if !keyAllowed(k) {
			fault("the key %q of statusDetails must match [a-zA-Z0-9:_-]+", k)
		}
		v := details[k]
		if n := utf8.RuneCountInString(v); n < 1 || n > MaxValue {
			fault("the value of %q in statusDetails has %d characters; allowed are 1 to %d", k, n, MaxValue)
		}
		if i := strings.IndexFunc(v, Forbidden); i >= 0 {
			r, _ := utf8.DecodeRuneInString(v[i:])
			fault("the value of %q in statusDetails has the character %U at byte %d; it must match [^\\p{C}]+", k, r,
				i)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(faults, "; "))
}

// Forbidden reports whether a value must not hold the character.
func Forbidden(r rune) bool { return unicode.Is(unicode.C, r) }

func keyAllowed(k string) bool {
	for _, r := range k {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ':', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}
