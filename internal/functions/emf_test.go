package functions

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// TestOnlyUpgradesAreInTheDurationOfUpgrades: other operations are counted with them, and take another time.
func TestOnlyUpgradesAreInTheDurationOfUpgrades(t *testing.T) {
	for operation, timed := range map[event.Operation]bool{upgrade.Operation: true, "reboot": false} {
		var out strings.Builder
		p := newParts(t.Context(), Vars(nil, &out), aws.Config{}, nil)
		p.finished(operation, event.Outcome{Status: event.StatusSucceeded, Seconds: 7})
		if !strings.Contains(out.String(), metrics.DevicesFinished) ||
			strings.Contains(out.String(), metrics.UpgradeDuration) != timed {
			t.Errorf("%s: %s", operation, out.String())
		}
	}
}
