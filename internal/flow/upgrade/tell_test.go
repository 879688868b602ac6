package upgrade

import (
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

func TestOtherSystemsHearOfAnUpgrade(t *testing.T) {
	at := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	waits, arrived := memory{Download: "k"}, memory{Download: "k", Arrived: &at}
	activating, plain := memory{Download: "k", Activate: "a"}, memory{}
	kept := memory{Document: Document{Activation: Activation{NoRollback: true}}}
	done := event.Move{Done: "x"}
	fails := func(name event.ErrorName) event.Move { return event.Move{Failed: &event.Failure{Name: name}} }
	transferred := event.DeviceEvent{Kind: event.KindTransferComplete, CommandKey: "k"}
	completed := event.DeviceEvent{Kind: event.KindCommandComplete, CommandKey: "k"}
	broken, other := completed, completed
	broken.Fault, other.CommandKey = &event.Fault{Code: 7022}, "another"
	for name, c := range map[string]struct {
		step event.Step
		m    memory
		ev   event.DeviceEvent
		move event.Move
		want []string
	}{
		"it takes the command": {step: Download, move: done, want: []string{EventDownloadStarted}},
		"it has the image":     {step: Download, move: fails(NextActivate), want: []string{EventDownloaded}},
		"it refuses":           {step: Download, move: fails(event.DeviceRefused)},
		"the transfer ends":    {AwaitReport, waits, transferred, event.Move{}, []string{EventDownloaded}},
		"the command ends":     {AwaitReport, waits, completed, event.Move{}, []string{EventDownloaded}},
		"both do":              {AwaitReport, arrived, completed, event.Move{}, nil},
		"it ends with a fault": {AwaitReport, waits, broken, event.Move{}, nil},
		"an old one ends":      {AwaitReport, waits, other, event.Move{}, nil},
		"it is to be activated": {AwaitReport, waits, transferred, fails(NextActivate),
			[]string{EventDownloaded}},
		"a look shows the image": {AwaitReport, waits, event.DeviceEvent{}, fails(NextActivate),
			[]string{EventDownloaded}},
		"it is activated again": {AwaitReport, activating, event.DeviceEvent{}, fails(NextActivate), nil},
		"the image is bad":      {AwaitReport, waits, transferred, fails(DownloadFailed), nil},
		"it is back":            {AwaitReport, arrived, event.DeviceEvent{}, done, []string{EventRebooted}},
		"it is back, and nothing before": {AwaitReport, waits, event.DeviceEvent{}, done,
			[]string{EventDownloaded, EventRebooted}},
		"it is back from Activate": {AwaitReport, activating, event.DeviceEvent{}, done, []string{EventRebooted}},
		"it runs what is wanted":   {step: Verify, move: done, want: []string{EventVerified}},
		"it soaks":                 {step: Verify, move: fails(NextSoak)},
		"it is back where it was":  {Rollback, plain, event.DeviceEvent{}, done, []string{EventRolledBack}},
		"it is left as it is":      {Rollback, kept, event.DeviceEvent{}, done, nil},
		"it is looked at":          {step: Inspect, move: done},
	} {
		if got := tells(c.step, c.m, c.ev, c.move); !slices.Equal(got, c.want) {
			t.Errorf("%s: told %v, want %v", name, got, c.want)
		}
	}
}
