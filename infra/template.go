// Package infra holds the CloudFormation template of the one stack that Fleetstep deploys, as committed data.
//
// The template is synthesized by the CDK app in infra/app. This package embeds the result, so
// that a program can start from it and tests can check it without Node.js and the CDK.
// Template is a CloudFormation template in JSON, about 100 kB, with sorted keys. It differs
// from what the CDK deploys in two points, so that it does not change with the code: the S3
// key of a function's code is "<function>.zip" (create-job.zip, ...) instead of an asset hash,
// and the logical id of a function's version ends in "Current" instead of a hash. It is
// therefore for local clouds only, by Versioned. CloudFormation would publish such a version
// once and never again, however the function changes.
//
// The template is refreshed with
//
//	go run ./infra/app -placeholder-assets -write infra/testdata/template.json
//
// With -check instead of -write the command reports whether the template is stale.
package infra

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

// Template is the synthesized template of the stack "fleetstep". Callers must not change it.
//
//go:embed testdata/template.json
var Template []byte

// Versioned is a template whose versions of functions have ids that follow from the template: where it changes, they
// are published anew. A local cloud publishes what has not changed as the version that it is.
func Versioned(template []byte) []byte {
	sum := sha256.Sum256(template)
	return bytes.ReplaceAll(template, []byte(`VersionCurrent"`), []byte(`Version`+hex.EncodeToString(sum[:4])+`"`))
}
