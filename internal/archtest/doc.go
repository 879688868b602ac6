// Package archtest holds the architecture as tests: who may import whom
// (imports_test.go), where goroutines, clocks and randomness may be used
// (waiting_test.go), that the local cloud throws no error away
// (discarded_test.go) and answers nothing in the order of a map
// (maporder_test.go), in what order the files of a service stand
// (floors_test.go), what every package owes a reader (words_test.go), and that the
// pages in docs/ can be cited and their links followed (docs_test.go). It
// has no code of its own for others to use.
//
// The tests read the source tree with go/parser. They need no network and no
// Node.js. Some need types (typed_test.go): they have go list build what the local
// cloud imports, which takes seconds where that is not built yet. An exception is
// an entry of a table, with its reason; an entry that no longer excepts anything
// fails, so that the tables only hold what is true.
package archtest
