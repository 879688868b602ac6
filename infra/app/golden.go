package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// assetsDir is the folder that holds one folder per function.
func assetsDir(app awscdk.App) string {
	if dir := os.Getenv("FLEETSTEP_ASSETS"); dir != "" {
		return dir
	}
	if dir, ok := app.Node().TryGetContext(jsii.String("assets")).(string); ok && dir != "" {
		return dir
	}
	// The CDK CLI starts the app in infra/, make in the root.
	for _, root := range []string{".", ".."} {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, ".build", "lambda")
		}
	}
	return filepath.Join(".build", "lambda")
}

func checkAssets(dir string) error {
	var missing []string
	for _, f := range functionSpecs {
		if _, err := os.Stat(filepath.Join(dir, f.name, "bootstrap")); err != nil {
			missing = append(missing, f.name)
		}
	}
	if missing != nil {
		return fmt.Errorf("no built function for %s under %s: run `make build-lambdas` first, or pass "+
			"-placeholder-assets to synthesize without",
			strings.Join(missing, ", "), dir)
	}
	return nil
}

// placeholderAssets makes a folder that looks like the built functions.
func placeholderAssets(revision string) (string, error) {
	dir, err := os.MkdirTemp("", "fleetstep-assets-")
	if err != nil {
		return "", err
	}
	for _, f := range functionSpecs {
		if err := os.Mkdir(filepath.Join(dir, f.name), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name, "bootstrap"), []byte(f.name+revision+"\n"),
			0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// normalised gives the template the form in which it is committed: sorted keys, two spaces, the code of each
// function under its name in place of its hash, and its version under one id. It is for local clouds, which give
// the versions ids of their own (infra.Versioned): CloudFormation on AWS would publish a function's version once
// and never again.
func normalised(raw []byte, revision string) ([]byte, error) {
	var template map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&template); err != nil {
		return nil, err
	}
	resources, _ := template["Resources"].(map[string]any)
	for id, r := range resources {
		resource := r.(map[string]any)
		if resource["Type"] != "AWS::Lambda::Function" {
			continue
		}
		name := strings.TrimPrefix(functionName(resource), "${AWS::StackName}-")
		code, ok := resource["Properties"].(map[string]any)["Code"].(map[string]any)
		if !ok || name == "" {
			return nil, fmt.Errorf("function %s has no Code or no FunctionName of the form ${AWS::StackName}-<name>",
				id)
		}
		code["S3Key"] = name + ".zip"
		if revision != "" {
			code["S3ObjectVersion"] = revision
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(template); err != nil {
		return nil, err
	}
	if revision != "" {
		return out.Bytes(), nil
	}
	return versionIDs.ReplaceAll(out.Bytes(), []byte(`"${1}Version`+currentVersion+`"`)), nil
}

// versionIDs are the logical ids of versions of functions, wherever they are named.
var versionIDs = regexp.MustCompile(`"([A-Z][A-Za-z]+)Version[0-9a-f]{8}"`)

func functionName(resource map[string]any) string {
	sub, _ := resource["Properties"].(map[string]any)["FunctionName"].(map[string]any)
	name, _ := sub["Fn::Sub"].(string)
	return name
}
