// Package compare measures package jsonata beside two other engines, in one run
// and over the same expressions and documents: the Go library blues/jsonata-go,
// and the reference implementation, which is JavaScript, under goja. There is no
// code here but tests, so that no program links the other engines.
//
// The reference implementation is not part of this repository. It is read from
// the file that FLEETSTEP_JSONATA_JS names, or else from where
//
//	npm install --prefix .build/jsonata jsonata@2.0.6
//
// puts it when run beside go.mod. Without it, that engine is skipped.
package compare
