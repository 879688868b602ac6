package functions

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// told is a bulletin that fails with an error.
type told struct{ err error }

func (b told) Announce(context.Context, campaign.Notice) error { return b.err }

// TestAHaltCountsWhenPeopleAreTold: the alarm is for who can still do something, so the end does not count again.
func TestAHaltCountsWhenPeopleAreTold(t *testing.T) {
	silent := errors.New("the topic is not there")
	for _, c := range []struct {
		event string
		err   error
		want  int
	}{
		{campaign.NoticeApproval, nil, 0},
		{campaign.NoticeHeld, nil, 0},
		{campaign.NoticeHalting, silent, 0},
		{campaign.NoticeHalting, nil, 1},
		{campaign.NoticeHalted, nil, 0},
		{campaign.NoticeAborted, nil, 0},
		{campaign.NoticeCompleted, nil, 0},
	} {
		var out bytes.Buffer
		h := halts{told{c.err}, &emf{w: &out, namespace: "n", now: time.Now}}
		if err := h.Announce(t.Context(), campaign.Notice{Event: c.event}); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.event, err)
		}
		if got := strings.Count(out.String(), `"`+metrics.CampaignsHalted+`":1`); got != c.want {
			t.Errorf("%s: counted %d, want %d: %s", c.event, got, c.want, out.String())
		}
	}
}
