package usp

import (
	"strconv"
	"strings"
)

// PathKind says what a path names, by how it ends.
type PathKind int

// The kinds of paths.
const (
	ObjectPath    PathKind = iota // ends with "."
	ParameterPath                 // ends with a name
	CommandPath                   // ends with "()"
	EventPath                     // ends with "!"
)

func (k PathKind) String() string {
	return [...]string{"object", "parameter", "command", "event"}[k]
}

// Path is a path name taken apart (TR-369, section "Path Names").
type Path struct {
	Kind PathKind
	// Segments are the names and instances of the object: for
	// "Device.DeviceInfo.FirmwareImage.2.Download()" Device, DeviceInfo,
	// FirmwareImage and 2.
	Segments []Segment
	// Name is the last part of what is not an object: "Download()".
	Name string
}

// Segment is one level of an object path. At most one of the last three is set.
type Segment struct {
	Name     string      // of an object, unless it is an instance
	Instance int         // a row by number, from 1
	Wildcard bool        // "*": all rows
	Search   []Condition // "[…]": rows for which all conditions hold
}

// ParsePath takes a path apart; errors are 7008. Reference following ("+", "#")
// is not understood, and an error.
func ParsePath(s string) (Path, error) {
	bad := func(format string, args ...any) (Path, error) {
		e := InvalidPathSyntax.Errorf(format, args...)
		e.Message = "path " + strconv.Quote(s) + ": " + e.Message
		return Path{}, e
	}
	parts, err := splitLevels(s)
	if err != nil {
		return bad("%s", err)
	}
	last := parts[len(parts)-1]
	p := Path{}
	switch {
	case last == "":
		p.Kind = ObjectPath
	case strings.HasSuffix(last, "()"):
		p.Kind, p.Name = CommandPath, last
	case strings.HasSuffix(last, "!"):
		p.Kind, p.Name = EventPath, last
	default:
		p.Kind, p.Name = ParameterPath, last
	}
	if p.Name != "" && !isName(strings.TrimSuffix(strings.TrimSuffix(p.Name, "()"), "!")) {
		return bad("%q is not a name", p.Name)
	}
	if len(parts) < 2 {
		return bad("no object")
	}
	for i, part := range parts[:len(parts)-1] {
		var seg Segment
		n, isInstance := instanceNumber(part)
		switch {
		case part == "":
			return bad("an empty level")
		case part == "*":
			seg.Wildcard = true
		case isInstance:
			seg.Instance = n
		case strings.HasPrefix(part, "["):
			seg.Search, err = parseSearch(part)
			if err != nil {
				return bad("%s", err)
			}
		case isName(part):
			seg.Name = part
		default:
			return bad("%q is not a name", part)
		}
		if i == 0 && seg.Name == "" {
			return bad("it starts with %q", part)
		}
		p.Segments = append(p.Segments, seg)
	}
	return p, nil
}

// splitLevels splits at dots that are not within brackets.
func splitLevels(s string) ([]string, error) {
	var parts []string
	start, depth, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted:
			quoted = c != '"'
		case c == '"' && depth > 0:
			quoted = true
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth < 0 {
				return nil, InvalidPathSyntax.Errorf("a ] without its [")
			}
		case c == '.' && depth == 0:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	if depth != 0 || quoted {
		return nil, InvalidPathSyntax.Errorf("a [ without its ]")
	}
	return append(parts, s[start:]), nil
}

// String writes the path in its normal form, in which ParsePath reads it again.
func (p Path) String() string { return p.Object() + p.Name }

// Object is the path of the object, with its trailing dot.
func (p Path) Object() string {
	var b strings.Builder
	for _, seg := range p.Segments {
		switch {
		case seg.Wildcard:
			b.WriteByte('*')
		case seg.Search != nil:
			writeSearch(&b, seg.Search)
		case seg.Name != "":
			b.WriteString(seg.Name)
		default:
			b.WriteString(itoa(seg.Instance))
		}
		b.WriteByte('.')
	}
	return b.String()
}

// Concrete tells a path that names one thing from one with a wildcard or search.
func (p Path) Concrete() bool {
	for _, seg := range p.Segments {
		if seg.Wildcard || seg.Search != nil {
			return false
		}
	}
	return true
}

// Schema is the path in the supported data model, instances and all that stands
// for them as "{i}": "Device.DeviceInfo.FirmwareImage.{i}.Download()".
func (p Path) Schema() string {
	var b strings.Builder
	for _, seg := range p.Segments {
		if seg.Name != "" {
			b.WriteString(seg.Name)
		} else {
			b.WriteString("{i}")
		}
		b.WriteByte('.')
	}
	return b.String() + p.Name
}

// Match tells whether the concrete path is among those that p names. value
// gives the parameter of a concrete object that a search asks for, false if it
// has none; nil where p has no search.
func (p Path) Match(concrete Path, value func(object, param string) (string, bool)) bool {
	if p.Name != concrete.Name || len(p.Segments) != len(concrete.Segments) {
		return false
	}
	return p.matchSegments(concrete, value)
}

// Covers is Match, or, where p is an object path, that the concrete path is
// somewhere in it: what an entry of a Subscription's ReferenceList applies to.
func (p Path) Covers(concrete Path, value func(object, param string) (string, bool)) bool {
	if p.Kind != ObjectPath {
		return p.Match(concrete, value)
	}
	return len(p.Segments) <= len(concrete.Segments) && p.matchSegments(concrete, value)
}

func (p Path) matchSegments(concrete Path, value func(object, param string) (string, bool)) bool {
	for i, seg := range p.Segments {
		have := concrete.Segments[i]
		switch {
		case seg.Name != "" || seg.Instance != 0:
			if seg.Name != have.Name || seg.Instance != have.Instance {
				return false
			}
		case have.Instance == 0:
			return false
		case seg.Search != nil:
			object := Path{Segments: concrete.Segments[:i+1]}.Object()
			if value == nil || !SearchHolds(seg.Search, func(param string) (string, bool) {
				return value(object, param)
			}) {
				return false
			}
		}
	}
	return true
}

// SplitPath separates the object from what is named in it: "Device.LocalAgent."
// and "TransferComplete!". An object path has no second part.
func SplitPath(path string) (object, name string) {
	i := strings.LastIndexByte(path, '.')
	return path[:i+1], path[i+1:]
}

// ObjectOf makes a path value ("Device.DeviceInfo.FirmwareImage.1", as
// ActiveFirmwareImage holds it) an object path, with the trailing dot.
func ObjectOf(reference string) string {
	if reference == "" || strings.HasSuffix(reference, ".") {
		return reference
	}
	return reference + "."
}

// isName accepts names of objects and parameters, vendor extensions included.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// instanceNumber reads a positive number without sign or leading zero.
func instanceNumber(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1<<31-1 || strconv.Itoa(n) != s {
		return 0, false
	}
	return n, true
}

func itoa(n int) string { return strconv.Itoa(n) }
