// Package archtest tests the architecture. It has no code for others to use.
//
//	imports_test.go    which package may import which
//	waiting_test.go    where goroutines, clocks and randomness may be used
//	discarded_test.go  that the local cloud drops no error
//	maporder_test.go   that no answer depends on the order of a map
//	floors_test.go     in which order the files of a service use each other
//	services_test.go   that services of the local cloud have the same files and shape
//	partition_test.go  that no ARN is written for one partition of AWS only
//	words_test.go      package comments, and words that a package may not use
//	lines_test.go      that lines end before column 120
//	docs_test.go       that links and paths in pages lead somewhere
//
// The tests read the source tree with go/parser and need neither network nor Node.js. Some
// need types (typed_test.go): for them go list builds what the local cloud imports, which
// takes some seconds the first time. An exception is an entry of a table, with its reason. An
// entry that is no longer needed fails, so that the tables stay true.
package archtest
