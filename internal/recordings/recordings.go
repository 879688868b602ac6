// Package recordings finds recordings (histories of AWS, captures of a real USP agent) for the
// tests that compare with them, and counts the cases that the tests ran.
//
// The recordings are in a folder "shared" beside the repository, or in the folder that the
// environment variable FLEETSTEP_RECORDED_DIR names. A clone may not have them. Then such a
// test is skipped, and the last lines of make test say so. With FLEETSTEP_RECORDED=required,
// as .ci/run sets it, a test without its recordings fails.
package recordings

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Environment variables.
const (
	EnvDir      = "FLEETSTEP_RECORDED_DIR" // the folder of the recordings
	EnvRequired = "FLEETSTEP_RECORDED"     // "required": none is a failure
)

// Marks begin the lines that Summarize collects.
const (
	markPlayed = "RECORDED "
	markAbsent = "NOT RECORDED "
)

// Dir returns a folder of recordings, such as "usp/captures"; what names its
// cases for people. Without the folder the test ends: skipped, or failed where
// recordings are required.
func Dir(tb testing.TB, what, folder string) string {
	tb.Helper()
	dir, err := root()
	if err == nil {
		dir = filepath.Join(dir, filepath.FromSlash(folder))
		_, err = os.Stat(dir)
	}
	if err == nil {
		return dir
	}
	if os.Getenv(EnvRequired) == "required" {
		tb.Fatalf("%s: no recordings: %v (%s=required)", what, err, EnvRequired)
	}
	tb.Logf("%s%s: %v", markAbsent, what, err)
	tb.SkipNow()
	return ""
}

// Find is Dir for those who can do without, such as seeds of a fuzz target: ""
// if the folder is not there.
func Find(folder string) string {
	dir, err := root()
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, filepath.FromSlash(folder))
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// Count says how many of a test's recorded cases passed.
func Count(tb testing.TB, what string, passed, total int) {
	tb.Helper()
	tb.Logf("%s%s: %d of %d", markPlayed, what, passed, total)
}

// root is the folder that holds all recordings.
func root() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared"), nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
