package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Attempt is a job execution of one thing.
type Attempt struct {
	Thing  event.ThingName
	Job    event.JobID
	Number int64
}

// Names of members of statusDetails; a flow's own are beside them.
const (
	detailReason = "reason"
	detailText   = "detail"
	detailStatus = "status" // where there is nothing else to tell
)

// Begun is the reason in statusDetails of a job execution that is worked on, or that
// AWS IoT has ended while it was: AWS IoT takes no details of a terminal one.
const Begun = "Job.Begun"

// Report ends a job execution: CANCELED as an operator does, another status as its
// device. What is told beside the status is made such as AWS IoT takes it: at most
// ten pairs, reason and detail first, the others in the order of their names. Where
// AWS IoT refuses it all the same the reason goes alone, and unsaid is why: details
// never cost the status. ErrOver if the execution is terminal or gone.
func Report(ctx context.Context, e Executions, a Attempt, status event.JobStatus, reason event.ErrorName,
	detail string,
	more map[string]string) (unsaid, err error) {
	tell := func(details map[string]string) error {
		if status == event.StatusCanceled {
			return e.Cancel(ctx, a.Thing, a.Job, a.Number, details)
		}
		return e.Update(ctx, a.Thing, a.Job, a.Number, status, details)
	}
	full := details(reason, detail, more)
	if len(full) == 0 {
		full[detailStatus] = string(status) // without any, those of the beginning would stay
	}
	alone := details(reason, "", nil)
	if err = tell(full); !errors.Is(err, ErrRefused) || len(alone) == 0 || len(full) == len(alone) {
		return nil, err
	}
	unsaid = err
	return unsaid, tell(alone)
}

// Limits of statusDetails: the shapes DetailsKey and DetailsValue of AWS IoT's API
// models (botocore 1.44.8), and the quotas of AWS IoT Jobs, read 2026-11.
const (
	mostDetails = 10
	mostKey     = 128
	mostValue   = 1024
)

func details(reason event.ErrorName, detail string, more map[string]string) map[string]string {
	d := map[string]string{}
	put := func(k, v string) {
		if v = printable(v); v != "" && k != "" && len(d) < mostDetails {
			d[k] = v
		}
	}
	put(detailReason, string(reason))
	put(detailText, detail)
	for _, k := range slices.Sorted(maps.Keys(more)) {
		put(detailKey(k), more[k])
	}
	return d
}

// printable keeps of a text, which may be a device's, what AWS IoT takes as a value
// of statusDetails: [^\p{C}]+, no control, format, private or unassigned characters
// and no halves of surrogates. Each of them becomes a space. Its length is counted as
// whoever counts most: in UTF-16.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	units := 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > mostValue {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}

// detailKey keeps what a key may be: [a-zA-Z0-9:_-]{1,128}.
func detailKey(k string) string {
	k = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(":_-", r):
			return r
		}
		return '_'
	}, k)
	return k[:min(len(k), mostKey)]
}
