// Package infra holds the CloudFormation template of the one stack that Fleetstep deploys, as committed data.
//
// The template is synthesized by the CDK app in infra/app; this package embeds the result so that a program can start
// from it (and the tests check it) without Node.js and without the CDK. Template is a CloudFormation template in JSON,
// about 100 kB, with sorted keys. It differs from what the CDK deploys in one point only: the S3 key of each function's
// code is "<function>.zip" (create-job.zip, ...) in place of an asset hash, so that it does not change with the code.
//
// The template is refreshed with
//
//	go run ./infra/app -placeholder-assets -write infra/testdata/template.json
//
// and -check in place of -write says whether it is stale.
package infra

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
)

// Template is the synthesized template of the stack "fleetstep". Callers must not change it.
//
//go:embed testdata/template.json
var Template []byte

// JobTemplatePrefix is what the name of the stack's job template begins with, for Fn::Sub; the rest is the ContentHash of
// its other properties.
const JobTemplatePrefix = "${AWS::StackName}-firmware-upgrade-"

// ContentHash is eight hexadecimal digits that follow from a resource's properties. It is part of the name of a resource
// that AWS cannot change: with another content it is another resource.
func ContentHash(properties map[string]any) string {
	b, err := json.Marshal(properties) // sorts the keys
	if err != nil {
		panic("infra: the properties of a resource are not JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}
