// Command summary turns the output of "go test -json" into text, and ends with the number of
// recorded cases that passed. It exits with 1 if a test failed. make test uses it.
package main

import (
	"fmt"
	"os"

	"github.com/fleetstep/fleetstep/internal/recordings"
)

func main() {
	passed, err := recordings.Summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}
