package workflowtest_test

import (
	"testing"

	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

func TestMemoryKeepsTheContract(t *testing.T) { workflowtest.Contract(t, &workflowtest.Store{}) }
