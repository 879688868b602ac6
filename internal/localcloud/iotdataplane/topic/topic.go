package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of topics and filters.
const (
	MaxBytes   = 256
	MaxSlashes = 7
)

// ErrInvalid is wrapped by every refusal of CheckName and CheckFilter.
var ErrInvalid = errors.New("invalid topic")

// ingest is the beginning of Basic Ingest topics; it does not count against
// the limits.
const ingest = "$aws/rules/"

// Ingest splits a Basic Ingest topic, $aws/rules/RULE/REST; ok is false for any
// other topic.
func Ingest(name string) (rule, rest string, ok bool) {
	after, found := strings.CutPrefix(name, ingest)
	if !found {
		return "", "", false
	}
	rule, rest, _ = strings.Cut(after, "/")
	return rule, rest, rule != ""
}

// CheckName reports why name cannot be published to; nil if it can.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: it is empty", ErrInvalid)
	}
	if strings.ContainsAny(name, "+#\x00") {
		return fmt.Errorf("%w %q: a topic name holds no wildcard", ErrInvalid, name)
	}
	counted := name
	if _, rest, ok := Ingest(name); ok {
		counted = rest
	}
	return checkSize(name, counted)
}

func checkSize(whole, counted string) error {
	if !utf8.ValidString(whole) {
		return fmt.Errorf("%w: it is not UTF-8", ErrInvalid)
	}
	if len(counted) > MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrInvalid, len(counted), MaxBytes)
	}
	if n := strings.Count(counted, "/"); n > MaxSlashes {
		return fmt.Errorf("%w %q: %d slashes, at most %d are allowed", ErrInvalid, whole, n, MaxSlashes)
	}
	return nil
}

// CheckFilter reports why filter is not a topic filter; nil if it is one.
func CheckFilter(filter string) error {
	if filter == "" {
		return fmt.Errorf("%w filter: it is empty", ErrInvalid)
	}
	if strings.Contains(filter, "\x00") {
		return fmt.Errorf("%w filter %q: it holds a zero byte", ErrInvalid, filter)
	}
	for level, rest, more := "", filter, true; more; {
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && more:
			return fmt.Errorf("%w filter %q: # stands before other levels", ErrInvalid, filter)
		case level != "#" && level != "+" && strings.ContainsAny(level, "#+"):
			return fmt.Errorf("%w filter %q: a wildcard fills a whole level", ErrInvalid, filter)
		}
	}
	return checkSize(filter, filter)
}

// Shared splits $share/GROUP/FILTER; ok is false for an ordinary filter.
func Shared(filter string) (group, rest string, ok bool) {
	after, found := strings.CutPrefix(filter, "$share/")
	if !found {
		return "", "", false
	}
	group, rest, ok = strings.Cut(after, "/")
	return group, rest, ok && group != "" && rest != ""
}

// Wild reports whether a filter holds a wildcard.
func Wild(filter string) bool { return strings.ContainsAny(filter, "+#") }

// Match reports whether filter matches name.
func Match(filter, name string) bool {
	if filter == "" || name == "" {
		return false
	}
	if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		f, filterRest, filterMore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		n, nameRest, nameMore := strings.Cut(name, "/")
		if f != "+" && f != n {
			return false
		}
		if filterMore != nameMore {
			return false // "a/#" stops here for "a": AWS does not match the parent
		}
		if !filterMore {
			return true
		}
		filter, name = filterRest, nameRest
	}
}
