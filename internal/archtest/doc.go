// Package archtest holds the architecture as tests: who may import whom
// (imports_test.go), where goroutines, clocks and randomness may be used
// (waiting_test.go), and what every package owes a reader (words_test.go). It
// has no code of its own for others to use.
//
// The tests read the source tree with go/parser. They need no build, no network
// and no Node.js, and take about a second. An exception is an entry of a table,
// with its reason; an entry that no longer excepts anything fails, so that the
// tables only hold what is true.
package archtest
