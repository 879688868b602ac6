package upgrade

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// results is what the states of an upgrade hand to Finalize.
type results struct {
	Inspect  *Inspection   `json:"inspect,omitempty"`
	Download *Accepted     `json:"download,omitempty"`
	Activate *Accepted     `json:"activate,omitempty"`
	Report   *Report       `json:"report,omitempty"`
	Verify   *Verification `json:"verify,omitempty"`
}

// Judge names how an upgrade ended.
func (*Flow) Judge(in event.FinalizeInput, known event.DeviceState) (event.Conclusion, error) {
	var r results
	var doc Document
	if len(in.Results) > 0 {
		if err := json.Unmarshal(in.Results, &r); err != nil {
			return event.Conclusion{}, fmt.Errorf("upgrade.Judge: results of the steps: %w", err)
		}
	}
	if err := json.Unmarshal(in.Input.Document, &doc); err != nil {
		return event.Conclusion{}, fmt.Errorf("upgrade.Judge: document: %w", err)
	}
	software := known.Facts[factSoftware]
	if r.Verify != nil {
		software = r.Verify.SoftwareVersion
	}
	c := event.Conclusion{
		Details: map[string]string{DetailFirmware: doc.Firmware.Version, DetailSoftware: software},
		Filters: []string{DetailFirmware}, Attributes: map[string]string{AttributeFirmware: software},
		Phases: r.phases(in.StartedAt),
	}
	if in.Failure != nil {
		c.Reason, c.Detail = in.Failure.Reason(ErrorNames(), known)
	}
	c.Status = status(c.Reason)
	if most := doc.Firmware.MaxFailures; most > 0 && blames(c) {
		if n := failuresOf(known).and(doc.Firmware, in.Input.Execution).of(doc.Firmware).Times; n >= most {
			c.Final = true
			said := fmt.Sprintf("%s; %d failures with this image: it is not tried again", c.Detail, n)
			c.Detail = strings.TrimPrefix(said, "; ")
		}
	}
	return c, nil
}

// Learn is what Verify has seen, and what Judge has the registry say. Results that
// cannot be read teach nothing; Judge says that they cannot.
func (f *Flow) Learn(in event.FinalizeInput, known event.DeviceState) map[string]string {
	return with(f.blame(in, known), seen(in, known))
}

// seen is what Verify has seen, and what the registry is told.
func seen(in event.FinalizeInput, known event.DeviceState) map[string]string {
	var r results
	m := memory{}
	if len(in.Results) > 0 && json.Unmarshal(in.Results, &r) != nil || json.Unmarshal(in.Input.Document,
		&m.Document) != nil {
		return nil
	}
	if r.Verify == nil {
		return entered(known, time.Time{}, known.Facts[factSoftware])
	}
	learnt := with(facts(r.Verify.SoftwareVersion, r.Verify.Active.Path),
		entered(known, r.Verify.At, r.Verify.SoftwareVersion))
	if r.Inspect != nil && r.Download != nil && r.Verify.Active.Path == r.Inspect.Target.Path {
		m.Active, m.Target = r.Inspect.Active, r.Inspect.Target
		// It took the download, and came back with it.
		learnt = with(learnt, turn{t: event.Turn{Execution: in.Input.Execution, Now: r.Verify.At}, m: m}.proof())
	}
	return learnt
}

// entered is the fact that the registry says another version from now on than it was
// told outside of an execution, if it was told any.
func entered(known event.DeviceState, at time.Time, version string) map[string]string {
	told, before := entry(known)
	if before == "" || version == "" || version == before {
		return nil
	}
	if at.Before(told) {
		at = told
	}
	return map[string]string{factEntered: enter(at, version)}
}

// status is the job status that an error leads to; no name is a success.
func status(n event.ErrorName) event.JobStatus {
	switch n {
	case UpgradeUpToDate:
		return event.StatusSucceeded
	case UpgradeNotEligible, UpgradeDuplicate, UpgradeQuarantined:
		return event.StatusRejected
	}
	return n.Status()
}

// phases are the durations of the phases that an upgrade went through, as far as
// it got, in seconds.
func (r results) phases(startedAt string) map[string]float64 {
	d := map[string]float64{}
	put := func(phase string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() && to.After(from) {
			d[phase] = to.Sub(from).Seconds()
		}
	}
	started, err := time.Parse(time.RFC3339, startedAt)
	if err != nil {
		started = time.Time{}
	}
	if r.Inspect != nil {
		put(PhaseInspect, started, r.Inspect.At)
	}
	var arrived time.Time
	switch {
	case r.Activate != nil:
		arrived = r.Activate.At
	case r.Report != nil && r.Report.TransferredAt != nil:
		arrived = *r.Report.TransferredAt
	}
	if r.Download != nil {
		put(PhaseDownload, r.Download.At, arrived)
	}
	if r.Report != nil {
		put(PhaseActivate, arrived, r.Report.At)
		if r.Verify != nil {
			put(PhaseVerify, r.Report.At, r.Verify.At)
		}
	}
	return d
}
