package scheduler

import (
	"errors"
	"testing"
)

func TestFailuresAreTold(t *testing.T) {
	s := NewVirtual(1, epoch)
	var told []string
	s.OnFailure(func(what string, err error) { told = append(told, what+": "+err.Error()) })
	s.Failed("sweep", nil)
	s.Failed("sweep", errors.New("disk full"))
	if len(told) != 1 || told[0] != "sweep: disk full" {
		t.Fatalf("told %q", told)
	}
}
