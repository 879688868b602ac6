// Package schema has the JSON Schemas of payloads that programs read.
package schema

import _ "embed"

// UspTask is the schema of what a state hands over for a task.
//
//go:embed usp-task.json
var UspTask []byte
