package recordings

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// testEvent is a line of "go test -json"; see "go doc test2json".
type testEvent struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// Summarize reads the output of "go test -json" and writes what "go test" would:
// a line for each package and whatever failing tests printed. After that it
// writes how many recorded cases passed, or that they are not there. It reports
// whether every package passed; no package at all is no pass.
func Summarize(in io.Reader, out io.Writer) (passed bool, err error) {
	var (
		printed  = map[string][]string{} // by package and test
		recorded []string
		packages int
		failed   bool
	)
	lines := bufio.NewReader(in)
	for {
		line, readErr := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e testEvent
			if json.Unmarshal(line, &e) != nil {
				failed = true // go test itself says something
				if _, err := out.Write(line); err != nil {
					return false, err
				}
			}
			key := e.Package + "\x00" + e.Test
			switch e.Action {
			case "build-output":
				_, err = io.WriteString(out, e.Output)
			case "build-fail":
				failed = true
			case "output":
				if text, ok := marked(e.Output); ok {
					recorded = append(recorded, text)
				}
				if e.Test == "" && closing(e.Output) {
					_, err = io.WriteString(out, e.Output)
				} else {
					printed[key] = append(printed[key], e.Output)
				}
			case "fail":
				failed = true
				_, err = io.WriteString(out, strings.Join(printed[key], ""))
				fallthrough
			case "pass", "skip":
				delete(printed, key)
				if e.Test == "" {
					packages++
				}
			}
			if err != nil {
				return false, err
			}
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return false, readErr
		}
	}
	slices.Sort(recorded)
	for _, text := range slices.Compact(recorded) {
		if _, err := fmt.Fprintln(out, text); err != nil {
			return false, err
		}
	}
	return !failed && packages > 0, nil
}

// marked finds the line of Count or Dir in what a test printed.
func marked(output string) (string, bool) {
	for _, mark := range []string{markAbsent, markPlayed} {
		if _, rest, ok := strings.Cut(output, ": "+mark); ok { // after file and line
			return strings.TrimSpace(strings.ToLower(mark[:len(mark)-1]) + " " + strings.TrimSpace(rest)), true
		}
	}
	return "", false
}

// closing reports whether a package's line is one of those that go test ends it with.
func closing(line string) bool {
	for _, begin := range []string{"ok  \t", "FAIL\t", "?   \t", "---\t"} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return strings.HasPrefix(line, "\t") && strings.Contains(line, "[no test files]") ||
		strings.HasPrefix(line, "\t") && strings.Contains(line, "coverage: ")
}
