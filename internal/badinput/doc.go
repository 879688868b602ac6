// Package badinput holds what a product must bear at each of its entrances, as data: testdata/ENTRANCE.jsonl has a row
// for each bad input, with the status and the code that answer it. Its tests play all of it against a whole local
// cloud, and the readers of what devices and operators send, and hold that nothing is changed by any.
//
// A row is a line of JSON: "name" says what is wrong, "call" what is sent where, "want" the answer, and "says" what
// its message contains. {{text*count}} in a body stands for text repeated. The test of each entrance has the rest of
// the form.
package badinput
