package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetstep/fleetstep/infra/operation"
	files "github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

// withWorkflows has a local cloud deploy the operations of a folder too: their resources in the
// template, and their files beside the program of create-job. The programs of all functions are
// then found in a folder of the data folder, which links to them.
func withWorkflows(template []byte, workflows, lambdas, dataDir string) (merged []byte, folder string, err error) {
	if merged, err = operation.WithFolder(template, workflows, statemachines.Has); err != nil {
		return nil, "", err
	}
	if lambdas, err = filepath.Abs(lambdas); err != nil {
		return nil, "", err
	}
	folder = filepath.Join(dataDir, "functions")
	if err := os.RemoveAll(folder); err != nil {
		return nil, "", err
	}
	functions, err := os.ReadDir(lambdas)
	if err != nil {
		return nil, "", err
	}
	for _, f := range functions {
		if err := link(filepath.Join(lambdas, f.Name(), "bootstrap"), filepath.Join(folder, f.Name())); err != nil {
			return nil, "", err
		}
	}
	entries, err := os.ReadDir(workflows)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), files.MachineFile) && !strings.HasSuffix(e.Name(), files.SchemaFile) {
			continue
		}
		if err := copyInto(filepath.Join(workflows, e.Name()), filepath.Join(folder, "create-job",
			files.Folder)); err != nil {
			return nil, "", err
		}
	}
	return merged, folder, nil
}

// link makes a file known in a folder under its own name, which is made: by a link, or a
// copy where there are no links.
func link(file, folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(file, filepath.Join(folder, filepath.Base(file))); err != nil {
		return copyInto(file, folder)
	}
	return nil
}

func copyInto(file, folder string) error {
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, filepath.Base(file)), b, 0o700) //nolint:gosec // it may be a program
	}
	return err
}
