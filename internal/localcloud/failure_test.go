package localcloud_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func TestFailedBackgroundWorkIsResidue(t *testing.T) {
	l := newLives(t)
	l.sched.Failed("sweep", fmt.Errorf("dynamodb: %w", store.ErrClosed)) // the next Start takes it up
	l.sched.Failed("sweep", errors.New("disk full"))
	l.sched.Failed("sweep", errors.New("disk full"))
	if got := l.cloud.Residue(t.Context()); !slices.Equal(got, []string{"sweep failed: disk full"}) {
		t.Fatalf("residue %q", got)
	}
}
