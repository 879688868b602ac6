package operation

import (
	_ "embed"
	"strings"
)

//go:embed skeleton.asl.json
var skeletonMachine string

//go:embed skeleton.schema.json
var skeletonSchema string

// Skeleton are the two files of an operation to begin with: it reads a parameter and
// reports it.
func Skeleton(name string) (machineDocument, schemaDocument []byte) {
	fill := func(text string) []byte { return []byte(strings.ReplaceAll(text, "NAME", name)) }
	return fill(skeletonMachine), fill(skeletonSchema)
}
