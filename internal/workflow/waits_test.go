package workflow_test

import (
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// TestADeviceSaysForWhatItWaits: the first reason that applies, in the order in which an operator would mend them.
func TestADeviceSaysForWhatItWaits(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	owner := event.CampaignOwner("fall")
	there := event.DeviceState{Connected: true, Endpoint: "os::x"}
	stands := func(s event.StandState) []event.Standing { return []event.Standing{{Campaign: "fall", State: s}} }
	claimed := func(o event.Owner) *workflow.Claim {
		return &workflow.Claim{Owner: o, ClaimedAt: now.Add(-time.Hour)}
	}
	later := []workflow.Pending{{Owner: owner, NotBefore: now.Add(time.Hour)}}
	paused := workflow.Flags{Owner: workflow.Control{State: event.ControlPaused, Who: "ann", Why: "storm"}}
	for name, c := range map[string]struct {
		d     workflow.Device
		flags workflow.Flags
		want  event.WaitsFor
		why   string
	}{
		"paused": {workflow.Device{Standings: stands(event.StandAdmitted)}, paused, event.WaitsFlag,
			"campaign fall is paused by ann: storm"},
		"stopped": {workflow.Device{Standings: stands(event.StandAdmitted)},
			workflow.Flags{Everyone: workflow.Control{State: event.ControlStopped, Who: "ann", Why: "fire"}},
			event.WaitsFlag, "everything was stopped by ann: fire"},
		"never seen": {workflow.Device{Standings: stands(event.StandAdmitted)}, workflow.Flags{}, event.WaitsDevice,
			"it has never been connected"},
		"away": {workflow.Device{Standings: stands(event.StandWaiting), Claim: claimed(event.JobOwner("fw-1")),
			State: event.DeviceState{Endpoint: "os::x", SeenAt: now}}, workflow.Flags{}, event.WaitsDevice,
			"it is not connected, since 2026-11-30T12:00:00Z"},
		"staged": {workflow.Device{Standings: stands(event.StandStaged)}, workflow.Flags{}, event.WaitsWave,
			"it is staged, and waits for its wave"},
		"window": {workflow.Device{State: there, Standings: stands(event.StandAdmitted), Pending: later},
			workflow.Flags{}, event.WaitsTime, "its time comes at 2026-11-30T13:00:00Z"},
		"room": {workflow.Device{State: there, Standings: []event.Standing{{Campaign: "fall",
			State: event.StandWaiting, Budget: 3}}, Pending: []workflow.Pending{{Owner: owner, Lap: 1,
			NotBefore: now.Add(time.Hour)}}}, workflow.Flags{}, event.WaitsRoom,
			"waits for room in the budget, and tries again at 2026-11-30T13:00:00Z"},
		"job": {workflow.Device{State: there, Standings: stands(event.StandAdmitted),
			Claim: claimed(event.JobOwner("fw-1"))}, workflow.Flags{}, event.WaitsOwner,
			"waits behind job fw-1 of another owner, which is at work on it since 2026-11-30T11:00:00Z"},
		"campaign": {workflow.Device{State: there, Standings: stands(event.StandAdmitted),
			Claim: claimed(event.CampaignOwner("spring"))}, workflow.Flags{}, event.WaitsOwner,
			"waits behind campaign spring of another owner, which is at work on it since 2026-11-30T11:00:00Z"},
		"start": {workflow.Device{State: there, Standings: stands(event.StandAdmitted)}, workflow.Flags{},
			event.WaitsStart, "it is about to begin"},
		"at work":     {workflow.Device{Standings: stands(event.StandRunning), Claim: claimed(owner)}, paused, "", ""},
		"over":        {workflow.Device{Standings: stands(event.StandFailed)}, paused, "", ""},
		"not its own": {workflow.Device{State: there}, paused, "", ""},
	} {
		w, ok := c.d.Waits(owner, c.flags, now)
		if ok != (c.want != "") || w.For != c.want || w.Why != c.why {
			t.Errorf("%s: %+v, %t", name, w, ok)
		}
		if behind := map[string]string{"job": "job fw-1", "campaign": "campaign spring"}[name]; w.Behind != behind {
			t.Errorf("%s: behind %q", name, w.Behind)
		}
	}
}
