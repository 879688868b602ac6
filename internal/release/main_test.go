package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	pack := func(write func(io.Writer, string, time.Time, map[string]string) error) []byte {
		dir := t.TempDir() // another place, other file times
		files := map[string]string{}
		for _, name := range []string{"fleetstep", "LICENSE", "events/a.json"} {
			files[name] = filepath.Join(dir, filepath.Base(name))
			if err := os.WriteFile(files[name], []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := write(&out, "fleetstep-1-linux-arm64", at, files); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, write := range map[string]func(io.Writer, string, time.Time,
		map[string]string) error{"tar": tarOf, "zip": zipOf} {
		if !bytes.Equal(pack(write), pack(write)) {
			t.Errorf("%s: two archives of the same files differ", name)
		}
	}

	zr, err := gzip.NewReader(bytes.NewReader(pack(tarOf)))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]fs.FileMode{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(at) || h.Uid != 0 {
			t.Errorf("%s: time %v, owner %d", h.Name, h.ModTime, h.Uid)
		}
		modes[h.Name] = h.FileInfo().Mode()
	}
	body := pack(zipOf)
	packed, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range packed.File {
		if modes[f.Name] != f.Mode() {
			t.Errorf("%s: mode %v in the zip, %v in the tar", f.Name, f.Mode(), modes[f.Name])
		}
	}
	if modes["fleetstep-1-linux-arm64/fleetstep"] != 0o755 || modes["fleetstep-1-linux-arm64/LICENSE"] != 0o644 {
		t.Errorf("modes %v", modes)
	}
}
