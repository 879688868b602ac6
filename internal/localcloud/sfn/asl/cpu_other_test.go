//go:build !unix

package asl

import (
	"testing"
	"time"
)

var begun = time.Now()

// cpu is the time since the tests began, where the processor's is not known.
func cpu(testing.TB) time.Duration { return time.Since(begun) }
