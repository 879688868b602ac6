// Package infra holds the CloudFormation template of the one stack that Fleetstep deploys, as committed data.
//
// The template is synthesized by the CDK app in infra/app; this package embeds the result so that a program can
// start from it (and the tests check it) without Node.js and without the CDK. Template is a CloudFormation
// template in JSON, about 100 kB, with sorted keys. It differs from what the CDK deploys in two points, so that it
// does not change with the code: the S3 key of each function's code is "<function>.zip" (create-job.zip, ...) in
// place of an asset hash, and the logical id of a function's version ends in "Current" in place of one. So it is
// for local clouds alone, by Versioned: CloudFormation would publish such a version once, and keep it whatever
// becomes of its function.
//
// The template is refreshed with
//
//	go run ./infra/app -placeholder-assets -write infra/testdata/template.json
//
// and -check in place of -write says whether it is stale.
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
