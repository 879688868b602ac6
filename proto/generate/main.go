// Command generate writes the Go code and the descriptor set for the schemas in
// proto/, without protoc: the schemas are compiled in process and handed to
// protoc-gen-go, built from the protobuf module that go.mod names. Equal
// schemas give equal bytes.
//
//	go run ./proto/generate          write proto/*/*.pb.go and proto/usp.desc
//	go run ./proto/generate -check   write nothing; name stale files and exit 1
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	module    = "github.com/fleetstep/fleetstep"
	generator = "google.golang.org/protobuf/cmd/protoc-gen-go"
)

var schemas = []string{"usp-record.proto", "usp-msg.proto"}

func main() {
	check := flag.Bool("check", false, "compare with the files on disk instead of writing them")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "proto/generate:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	files, err := generate(filepath.Join(root, "proto"))
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)

	var stale []string
	for _, name := range names {
		path := filepath.Join(root, filepath.FromSlash(name))
		if check {
			if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, files[name]) {
				stale = append(stale, name)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale, run `make proto`: %s", strings.Join(stale, " "))
	}
	return nil
}

// generate returns the generated files, by slash path from the module's root.
func generate(dir string) (map[string][]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard, // comments go into the Go code
	}
	compiled, err := compiler.Compile(context.Background(), schemas...)
	if err != nil {
		return nil, err
	}

	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: schemas,
		Parameter:      proto.String("module=" + module),
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, file := range compiled {
		descriptor := protoutil.ProtoFromFileDescriptor(file)
		request.ProtoFile = append(request.ProtoFile, descriptor)
		bare := proto.CloneOf(descriptor)
		bare.SourceCodeInfo = nil
		set.File = append(set.File, bare)
	}

	files := map[string][]byte{}
	if files["proto/usp.desc"], err = (proto.MarshalOptions{Deterministic: true}).Marshal(set); err != nil {
		return nil, err
	}
	response, err := plugin(filepath.Dir(dir), request)
	if err != nil {
		return nil, err
	}
	for _, file := range response.File {
		files[file.GetName()] = []byte(file.GetContent())
	}
	return files, nil
}

// plugin builds protoc-gen-go in the module at root and runs it once.
func plugin(root string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	input, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "protoc-gen-go")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	binary := filepath.Join(tmp, "protoc-gen-go")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}

	build := exec.Command("go", "build", "-o", binary, generator)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", generator, err, out)
	}
	var out, stderr bytes.Buffer
	cmd := exec.Command(binary)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w\n%s", generator, err, stderr.Bytes())
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out.Bytes(), response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	return response, nil
}

// moduleRoot is the nearest folder upwards that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod in this folder or above it")
		}
		dir = up
	}
}
