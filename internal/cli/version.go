package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Commit and Date are set by the linker where the program is built without a
// repository around it, as make dist does; else what the go command noted counts.
var (
	Commit string // full hash
	Date   string // of the commit, RFC 3339
)

// Version is what "fleetstep --version" prints: commit, its date, how it was built.
func Version() string {
	commit, date, changed := Commit, Date, false
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.time":
				date = s.Value
			case "vcs.modified":
				changed = s.Value == "true"
			}
		}
	}
	return version(commit, date, changed)
}

func version(commit, date string, changed bool) string {
	var b strings.Builder
	switch {
	case commit == "":
		b.WriteString("commit unknown")
	case len(commit) > 12:
		b.WriteString("commit " + commit[:12])
	default:
		b.WriteString("commit " + commit)
	}
	if changed {
		b.WriteString(" with changes")
	}
	if date != "" {
		b.WriteString(", " + date)
	}
	fmt.Fprintf(&b, " (%s, %s/%s)", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return b.String()
}
