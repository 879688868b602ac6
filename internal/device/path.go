package device

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// UpTime is for how many seconds the device has been up, to be asked for by Get.
const UpTime = usp.DeviceInfo + "UpTime"

// Kinds of paths of the data model.
const (
	PathObject    = "object"    // ends with a dot
	PathParameter = "parameter" //
	PathCommand   = "command"   // ends with ()
	PathEvent     = "event"     // ends with !
)

// PathForm is what a path is of. It is concrete if it has neither wildcard nor search.
type PathForm struct {
	Kind     string
	Concrete bool
}

// FormOfPath takes a path apart; an error says what is wrong with it.
func FormOfPath(path string) (PathForm, error) {
	p, err := usp.ParsePath(path)
	if err != nil {
		return PathForm{}, err
	}
	return PathForm{Kind: p.Kind.String(), Concrete: p.Concrete()}, nil
}

// SplitPath separates the object, with its last dot, from the parameter, command or
// event.
func SplitPath(path string) (object, name string) { return usp.SplitPath(path) }

// SearchRow is the path of the rows of a table whose parameters have these values.
func SearchRow(table string, having map[string]string) string {
	seg := usp.Segment{}
	for _, name := range slices.Sorted(maps.Keys(having)) {
		seg.Search = append(seg.Search, usp.Condition{Param: name, Op: "==", Value: having[name]})
	}
	p, err := usp.ParsePath(table)
	if err != nil {
		return table
	}
	p.Segments = append(p.Segments, seg)
	return p.String()
}

// anyRow is a path with a wildcard for each search: what an agent found by it.
func anyRow(path string) (usp.Path, bool) {
	p, err := usp.ParsePath(path)
	if err != nil {
		return p, false
	}
	p.Segments = slices.Clone(p.Segments)
	for i, seg := range p.Segments {
		if seg.Search != nil {
			p.Segments[i] = usp.Segment{Wildcard: true}
		}
	}
	return p, true
}

// Matching are the values that an answer to a Get shows for a parameter, in the order
// of their paths: one, or several if its path has a wildcard or a search.
func Matching(a *event.Answer, parameter string) []string {
	if v, ok := a.Params[parameter]; ok {
		return []string{v}
	}
	p, ok := anyRow(parameter)
	if !ok || p.Concrete() {
		return nil
	}
	var found []string
	for _, path := range slices.Sorted(maps.Keys(a.Params)) {
		if at, err := usp.ParsePath(path); err == nil && p.Match(at, nil) {
			found = append(found, a.Params[path])
		}
	}
	return found
}

// Shows reports whether an answer to a Get shows an object, or one of those that its
// path matches; concrete is whether it names one.
func Shows(a *event.Answer, object string) (there, concrete bool) {
	p, ok := anyRow(object)
	if !ok {
		return false, true
	}
	for _, path := range a.Objects {
		if at, err := usp.ParsePath(path); err == nil && p.Covers(at, nil) {
			there = true
		}
	}
	for path := range a.Params {
		if at, err := usp.ParsePath(path); err == nil && p.Covers(at, nil) {
			there = true
		}
	}
	return there, p.Concrete()
}

// SameValue reports whether two values of USP are the same; agents write booleans in
// two ways.
func SameValue(a, b string) bool {
	x, err := usp.ParseBool(a)
	y, err2 := usp.ParseBool(b)
	return a == b || err == nil && err2 == nil && x == y && (isWord(a) || isWord(b))
}

// isWord tells true and false from 1 and 0, which may be numbers.
func isWord(boolean string) bool { return boolean == "true" || boolean == "false" }

// NewsOf is the Subscription to an event.
func NewsOf(path string) Subscription {
	name := "event-" + short(path)
	switch path { // those that others need as well
	case BootEvent:
		name = "boot"
	case TransferEvent:
		name = "transfer"
	}
	return Subscription{Name: name, Kind: EventNews, Of: path}
}

// EndOf is the Subscription to the end of a command, on any row.
func EndOf(command string) Subscription {
	p, err := usp.ParsePath(command)
	if err == nil {
		p.Segments = slices.Clone(p.Segments)
		for i, seg := range p.Segments {
			if seg.Instance != 0 {
				p.Segments[i] = usp.Segment{Wildcard: true}
			}
		}
		command = p.String()
	}
	return Subscription{Name: "command-" + short(command), Kind: CommandNews, Of: command}
}

// ChangeOf is the Subscription to changes of a parameter.
func ChangeOf(parameter string) Subscription {
	return Subscription{Name: "value-" + short(parameter), Kind: ValueNews, Of: parameter}
}

// short tells paths apart in the ID of a Subscription.
func short(path string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(path)))
	return hex.EncodeToString(sum[:5])
}
