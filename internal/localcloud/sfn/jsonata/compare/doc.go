// Package compare compares the speed of package jsonata with two other engines, in one run and
// with the same expressions and documents: the Go library blues/jsonata-go, and the reference
// implementation, which is JavaScript, under goja. It has only tests, so that no program links
// the other engines.
//
// The reference implementation is not part of this repository. It is read from the file in
// FLEETSTEP_JSONATA_JS, or from where this command, run beside go.mod, puts it:
//
//	npm install --prefix .build/jsonata jsonata@2.0.6
//
// Without it, that engine is skipped.
package compare
