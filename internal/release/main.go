// Command release builds the archives that make dist offers: the program and the
// functions beside it, for linux, macOS and Windows on amd64 and arm64.
//
// The same commit gives the same bytes on every machine with the same Go: paths are trimmed,
// times are the commit's, entries are sorted and have no owner. SHA256SUMS has the sums of all
// archives, so that two builds can be compared by one file. An archive has
//
//	fleetstep-<version>-<os>-<arch>/
//	    fleetstep                  fleetstep.exe on Windows
//	    lambda/<function>/bootstrap   for the local cloud of the same machine
//	    events/                    sample payloads
//	    LICENSE README.md CHANGELOG.md
//
// as .tar.gz, or as .zip for Windows.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// targets are the systems that an archive is made for.
var targets = []string{
	"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
}

// commit is what is built.
type commit struct {
	hash    string
	version string // of git describe
	date    time.Time
}

func main() {
	out := flag.String("out", ".build/dist", "folder of the archives")
	only := flag.String("targets", strings.Join(targets, ","), "systems, as os/arch")
	flag.Parse()
	if err := run(*out, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(out string, targets []string) error {
	c, err := head()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var sums []string
	for _, target := range targets {
		system, arch, ok := strings.Cut(target, "/")
		if !ok {
			return fmt.Errorf("-targets: %q is not os/arch, such as linux/arm64", target)
		}
		name, err := archive(c, out, system, arch)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		sum, err := sha256Of(filepath.Join(out, name))
		if err != nil {
			return err
		}
		fmt.Println(sum, name)
		sums = append(sums, sum+"  "+name+"\n")
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(strings.Join(sums, "")), 0o644)
}

// head reads the commit of the working tree, which must be clean: an archive
// names the commit that it was made of.
func head() (commit, error) {
	git := func(args ...string) (string, error) {
		text, err := exec.Command("git", args...).Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	status, err := git("status", "--porcelain")
	if err != nil {
		return commit{}, err
	}
	if status != "" {
		return commit{}, errors.New("the working tree has changes; commit them first")
	}
	var c commit
	if c.hash, err = git("rev-parse", "HEAD"); err != nil {
		return commit{}, err
	}
	if c.version, err = git("describe", "--tags", "--always"); err != nil {
		return commit{}, err
	}
	date, err := git("show", "-s", "--format=%cI", "HEAD")
	if err != nil {
		return commit{}, err
	}
	if c.date, err = time.Parse(time.RFC3339, date); err != nil {
		return commit{}, err
	}
	c.date = c.date.UTC()
	return c, nil
}

// archive builds the programs for one system and writes its archive.
func archive(c commit, out, system, arch string) (name string, err error) {
	build, err := os.MkdirTemp("", "release")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(build)) }()
	exe := ""
	if system == "windows" {
		exe = ".exe"
	}
	programs := map[string]string{"fleetstep" + exe: "./cmd/fleetstep"}
	functions, err := os.ReadDir("lambdas")
	if err != nil {
		return "", err
	}
	for _, f := range functions {
		programs["lambda/"+f.Name()+"/bootstrap"+exe] = "./lambdas/" + f.Name()
	}
	files := map[string]string{} // path in the archive to path here
	for _, to := range sorted(programs) {
		files[to] = filepath.Join(build, filepath.FromSlash(to))
		if err := compile(c, files[to], programs[to], system, arch); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		files[name] = name
	}
	err = filepath.WalkDir("events", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(p) == ".json" {
			files[filepath.ToSlash(p)] = p
		}
		return err
	})
	if err != nil {
		return "", err
	}
	top := "fleetstep-" + c.version + "-" + system + "-" + arch
	if system == "windows" {
		return top + ".zip", write(filepath.Join(out, top+".zip"),
			func(w io.Writer) error { return zipOf(w, top, c.date, files) })
	}
	return top + ".tar.gz", write(filepath.Join(out, top+".tar.gz"),
		func(w io.Writer) error { return tarOf(w, top, c.date, files) })
}

func compile(c commit, to, from, system, arch string) error {
	const cli = "github.com/fleetstep/fleetstep/internal/cli"
	ldflags := fmt.Sprintf("-s -w -X %s.Commit=%s -X %s.Date=%s", cli, c.hash, cli, c.date.Format(time.RFC3339))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags",
		ldflags, "-o", to, from)
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// write gives a new file to fill.
func write(name string, fill func(io.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return fill(f)
}

// mode is a file's in an archive: programs may be run.
func mode(name string) fs.FileMode {
	base := path.Base(name)
	if strings.HasPrefix(base, "bootstrap") || strings.HasPrefix(base, "fleetstep") {
		return 0o755
	}
	return 0o644
}

func tarOf(w io.Writer, top string, at time.Time, files map[string]string) error {
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	for _, name := range sorted(files) {
		body, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: top + "/" + name, Size: int64(len(body)), Mode: int64(mode(name)),
			ModTime: at, Format: tar.FormatUSTAR,
		}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		if _, err := tw.Write(body); err != nil {
			return err
		}
	}
	return errors.Join(tw.Close(), zw.Close())
}

func zipOf(w io.Writer, top string, at time.Time, files map[string]string) error {
	zw := zip.NewWriter(w)
	for _, name := range sorted(files) {
		body, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: top + "/" + name, Method: zip.Deflate, Modified: at}
		header.SetMode(mode(name))
		f, err := zw.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := f.Write(body); err != nil {
			return err
		}
	}
	return zw.Close()
}

func sha256Of(name string) (string, error) {
	body, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
