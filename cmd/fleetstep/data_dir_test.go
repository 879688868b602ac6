package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheDataFolderIsPrivate: made so, or closed with a word when it was open, or
// refused when it holds what is somebody else's.
func TestTheDataFolderIsPrivate(t *testing.T) {
	mode := func(dir string) os.FileMode {
		t.Helper()
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	var said bytes.Buffer
	fresh := filepath.Join(t.TempDir(), "a", "b")
	if err := private(fresh, &said); err != nil || mode(fresh) != 0o700 || said.Len() > 0 {
		t.Errorf("a new folder: %v, %v, %q", err, mode(fresh), said.String())
	}
	if err := os.Chmod(fresh, 0o755); err != nil { //nolint:gosec // that is what is tried
		t.Fatal(err)
	}
	if err := private(fresh, &said); err != nil || mode(fresh) != 0o700 ||
		!strings.Contains(said.String(), "it is private now") {
		t.Errorf("an open folder: %v, %v, %q", err, mode(fresh), said.String())
	}
	others := t.TempDir()
	if err := os.WriteFile(filepath.Join(others, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(others, 0o755); err != nil { //nolint:gosec // that is what is tried
		t.Fatal(err)
	}
	if err := private(others, &said); err == nil || mode(others) != 0o755 {
		t.Errorf("somebody else's folder: %v, %v", err, mode(others))
	}
}

// TestAUsedFolderBelongsToItsAccountAndRegion: another account or region is
// refused with those that it belongs to, and a second process with the first.
func TestAUsedFolderBelongsToItsAccountAndRegion(t *testing.T) {
	dir := t.TempDir()
	p := startCloud(t, "--data-dir", dir)
	out, err := exec.CommandContext(t.Context(), "fleetstep", "local", "--port", "0", "--mqtt-port", "-1",
		"--mqtts-port", "-1", "--data-dir", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by process ") ||
		!strings.Contains(string(out), "End that process") {
		t.Errorf("a second process: %v: %s", err, out)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, p.said)
	}
	for _, other := range [][]string{{"--account", "210987654321"}, {"--region", "eu-west-1"}} {
		args := append([]string{"local", "--port", "0", "--mqtt-port", "-1", "--mqtts-port", "-1", "--data-dir", dir},
			other...)
		out, err := exec.CommandContext(t.Context(), "fleetstep", args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "belongs to account 123456789012 in us-east-1") {
			t.Errorf("%v: %v: %s", other, err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "fleetstep", "local", "check", "--data-dir", dir).
		CombinedOutput(); err != nil || !strings.Contains(string(out), "can be read") {
		t.Errorf("check: %v: %s", err, out)
	}
}
