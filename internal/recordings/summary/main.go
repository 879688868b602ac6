// Command summary turns "go test -json" into what a person reads, and ends with
// how many recorded cases passed. It exits with 1 if a test failed. Used by
// make test.
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
