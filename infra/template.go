// Package infra holds the CloudFormation template of the one stack that Fleetstep deploys, as committed data.
//
// The template is synthesized by the CDK app in infra/app; this package embeds the result so that a program can start
// from it (and the tests check it) without Node.js and without the CDK. Template is a CloudFormation template in JSON,
// about 100 kB, with sorted keys. It differs from what the CDK deploys in one point only: the S3
// key of each function's code is "<function>.zip" (create-job.zip, ...) in place of an asset hash,
// so that it does not change with the code.
//
// The template is refreshed with
//
//	go run ./infra/app -placeholder-assets -write infra/testdata/template.json
//
// and -check in place of -write says whether it is stale.
package infra

import _ "embed"

// Template is the synthesized template of the stack "fleetstep". Callers must not change it.
//
//go:embed testdata/template.json
var Template []byte
