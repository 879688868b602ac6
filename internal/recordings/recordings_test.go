package recordings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream is "go test -json" of one line per event.
func stream(lines ...string) *strings.Reader {
	return strings.NewReader(strings.Join(lines, "\n") + "\n")
}

func TestTheSummaryEndsWithTheRecordedCases(t *testing.T) {
	var out strings.Builder
	passed, err := Summarize(stream(
		`{"Action":"start","Package":"a"}`,
		`{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:7: RECORDED histories: 3 of 4\n"}`,
		`{"Action":"pass","Package":"a","Test":"TestX"}`,
		`{"Action":"output","Package":"a","Output":"ok  \ta\t(cached)\n"}`,
		`{"Action":"pass","Package":"a"}`,
		`{"Action":"output","Package":"b","Test":"TestY","Output":"    y_test.go:7: NOT RECORDED captures: no such folder\n"}`,
		`{"Action":"skip","Package":"b","Test":"TestY"}`,
		`{"Action":"output","Package":"b","Output":"ok  \tb\t0.1s\n"}`,
		`{"Action":"pass","Package":"b"}`,
	), &out)
	want := "ok  \ta\t(cached)\nok  \tb\t0.1s\nnot recorded captures: no such folder\nrecorded histories: 3 of 4\n"
	if err != nil || !passed || out.String() != want {
		t.Errorf("got %v, %v:\n%s\nwant:\n%s", passed, err, out.String(), want)
	}
}

func TestTheSummaryShowsWhatFails(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"a test": {[]string{
			`{"Action":"output","Package":"a","Test":"TestGood","Output":"    fine\n"}`,
			`{"Action":"pass","Package":"a","Test":"TestGood"}`,
			`{"Action":"output","Package":"a","Test":"TestBad","Output":"--- FAIL: TestBad\n"}`,
			`{"Action":"output","Package":"a","Test":"TestBad","Output":"    bad_test.go:1: 1 is not 2\n"}`,
			`{"Action":"fail","Package":"a","Test":"TestBad"}`,
			`{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}`,
			`{"Action":"fail","Package":"a"}`,
		}, "--- FAIL: TestBad\n    bad_test.go:1: 1 is not 2\nFAIL\ta\t0.1s\n"},
		"a process": {[]string{
			`{"Action":"output","Package":"a","Output":"panic: gone\n"}`,
			`{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}`,
			`{"Action":"fail","Package":"a"}`,
		}, "FAIL\ta\t0.1s\npanic: gone\n"},
		"a build": {[]string{
			`{"ImportPath":"a","Action":"build-output","Output":"a.go:1: undefined: x\n"}`,
			`{"ImportPath":"a","Action":"build-fail"}`,
			`{"Action":"pass","Package":"b"}`,
		}, "a.go:1: undefined: x\n"},
		"go test itself": {[]string{`pattern ./nowhere: no such directory`}, "pattern ./nowhere: no such directory\n"},
		"nothing":        {nil, ""},
	} {
		var out strings.Builder
		passed, err := Summarize(stream(c.lines...), &out)
		if strings.TrimPrefix(out.String(), "\n") != c.want || passed || err != nil {
			t.Errorf("%s: got %v, %v:\n%s\nwant:\n%s", name, passed, err, out.String(), c.want)
		}
	}
}

func TestRecordingsAreFoundOrMissed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EnvDir, dir)
	if got := Find("some"); got != "" {
		t.Errorf("found %q", got)
	}
	t.Run("skipped", func(t *testing.T) {
		t.Setenv(EnvRequired, "")
		defer func() {
			if !t.Skipped() {
				t.Error("not skipped")
			}
		}()
		Dir(t, "cases", "some")
	})
	if err := os.Mkdir(filepath.Join(dir, "some"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := Dir(t, "cases", "some"); got != filepath.Join(dir, "some") || Find("some") != got {
		t.Errorf("found %q", got)
	}
}

// failing records that a test would have ended as failed.
type failing struct {
	testing.TB
	fatal bool
}

func (f *failing) Helper()               {}
func (f *failing) Fatalf(string, ...any) { f.fatal = true; panic(f) }

func TestRequiredRecordingsFailWhereTheyAreAbsent(t *testing.T) {
	t.Setenv(EnvDir, t.TempDir())
	t.Setenv(EnvRequired, "required")
	f := &failing{TB: t}
	defer func() {
		if recover() != any(f) || !f.fatal {
			t.Error("no failure")
		}
	}()
	Dir(f, "cases", "some")
}
