package upgrade

import "github.com/fleetstep/fleetstep/internal/event"

// Domain events of an upgrade, beside those of any operation.
const (
	EventDownloadStarted = "DownloadStarted" // the device took the command
	EventDownloaded      = "Downloaded"      // the image is complete
	EventRebooted        = "Rebooted"        // the device is back from its restart, with whatever it runs
	EventVerified        = "Verified"        // it runs the wanted version, by its own word
	EventRolledBack      = "RolledBack"      // it runs the previous version again
)

// tells is what other systems hear of a move: m is the step's memory before, ev what was
// heard, which is nothing at the step's beginning. A device that is back has had the
// image, though its word of that was lost.
func tells(step event.Step, m memory, ev event.DeviceEvent, move event.Move) []string {
	signpost := event.ErrorName("")
	if move.Failed != nil {
		signpost = move.Failed.Name
	}
	arrives := m.Arrived == nil && m.Activate == ""
	switch step {
	case Download:
		switch {
		case move.Done != nil:
			return []string{EventDownloadStarted}
		case signpost == NextActivate: // it lies there
			return []string{EventDownloaded}
		}
	case AwaitReport:
		switch {
		case move.Done != nil && arrives:
			return []string{EventDownloaded, EventRebooted}
		case move.Done != nil:
			return []string{EventRebooted}
		case arrives && signpost == NextActivate, arrives && move.Failed == nil && ev.CommandKey == m.Download &&
			ev.Fault == nil && (ev.Kind == event.KindTransferComplete || ev.Kind == event.KindCommandComplete):
			return []string{EventDownloaded}
		}
	case Verify:
		if move.Done != nil {
			return []string{EventVerified}
		}
	case Rollback:
		if move.Done != nil && !m.Document.Activation.NoRollback {
			return []string{EventRolledBack}
		}
	}
	return nil
}
