package agentdoctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Two examinations of a device at a time would take each other's restarts and refusals for the
// device's. Nobody but the device knows of both: an examination is known by its Subscriptions,
// whose IDs begin with its name. It looks for those of others before it adds its own, and again
// after that. So at least one of two that begin at the same time sees the other, and leaves.

const namePrefix = "fleetstep-doctor-"

// nameOf finds the name in any id or key that begins with it.
var nameOf = regexp.MustCompile(`^(` + namePrefix + `[0-9a-z]+)-`)

// longest is how long an examination may be at work.
const longest = 2 * time.Hour

// NewName is the name of an examination that begins at a time, told from others of that second by a number. With
// the numbers that follow it, it is no longer than 32 characters, as a command key may be.
func NewName(begins time.Time, number uint16) string {
	at := strconv.FormatInt(begins.Unix(), 36)
	return fmt.Sprintf("%s%s%s%04x", namePrefix, strings.Repeat("0", max(7-len(at), 0)), at, number)
}

// begun is when the examination of a name began.
func begun(name string) time.Time {
	digits := strings.TrimPrefix(name, namePrefix)
	if len(digits) != 11 { // of an earlier version, which did not say
		return time.Time{}
	}
	s, err := strconv.ParseInt(digits[:7], 36, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// ofExamination is the name of the examination to which an id or a key belongs, "" if it is of none.
func ofExamination(id string) (name string, is bool) {
	m := nameOf.FindStringSubmatch(id)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// busy ends an examination in favour of another.
func (e *examination) busy(name string) error {
	return e.stop("examination", "another one, %s, is at work on it since %s: try again when it is over", name,
		begun(name).Format(time.RFC3339))
}

// alone ends the examination if another is at work, and removes what one has left that is not.
func (e *examination) alone(ctx context.Context) error {
	rows, err := e.subscriptions(ctx)
	if err != nil {
		return err
	}
	over := map[string]bool{}
	for _, r := range rows {
		name, is := ofExamination(r.Params["ID"])
		if !is || name == e.Name || over[name] {
			continue
		}
		if e.Now().Sub(begun(name)) < longest && (e.AtWork == nil || e.AtWork(ctx, name)) {
			return e.busy(name)
		}
		over[name] = true
	}
	if len(over) == 0 {
		return nil
	}
	n, err := e.remove(ctx, func(name string) bool { return over[name] })
	if errors.Is(err, errSilent) {
		return err
	}
	seen := fmt.Sprintf("%d removed", n)
	if err != nil {
		seen = "they could not be removed: " + err.Error()
	}
	e.find("examination", Note, "an earlier one ended before it could remove its Subscriptions: %s", seen)
	return nil
}

// subscriptions are the rows of the device's table.
func (e *examination) subscriptions(ctx context.Context) ([]usp.Row, error) {
	v, err := e.get(ctx, usp.Subscriptions)
	if err != nil {
		return nil, err
	}
	return v.Rows(usp.Subscriptions), nil
}

// remove removes the Subscriptions of examinations of such names, and gives their number.
func (e *examination) remove(ctx context.Context, these func(name string) bool) (int, error) {
	rows, err := e.subscriptions(ctx)
	if err != nil {
		return 0, err
	}
	var paths []string
	for _, r := range rows {
		if name, is := ofExamination(r.Params["ID"]); is && these(name) {
			paths = append(paths, r.Path)
		}
	}
	if len(paths) == 0 {
		return 0, nil
	}
	m, err := e.ask(ctx, func(id string) *uspmsg.Msg { return usp.NewDelete(id, false, paths...) })
	if err != nil {
		return 0, err
	}
	if f := usp.ReadError(m); f != nil {
		return 0, f
	}
	return len(paths), nil
}

// refused ends an examination because a command is refused. Of a device that is busy it says with what.
func (e *examination) refused(ctx context.Context, check, command string, f *usp.Error) error {
	if f.Code != usp.ResourcesExceeded {
		return e.stop(check, "it refuses %s: %s", command, f)
	}
	s, err := e.look(ctx)
	if err != nil {
		return err
	}
	rows := s.Rows(usp.Requests)
	for _, r := range rows {
		if name, is := ofExamination(r.Params["CommandKey"]); is && name != e.Name {
			return e.busy(name)
		}
	}
	if len(rows) > 0 {
		return e.stop(check, "it refuses %s: %s; it is at work on %s (command key %s)", command, f,
			rows[0].Params["Command"], rows[0].Params["CommandKey"])
	}
	return e.stop(check, "it refuses %s: %s", command, f)
}
