// Package onboard is the operation device-onboarding. It runs by itself for a device that
// appears for the first time. statemachines/device-onboarding.asl.json has its states; this
// package decides what its only step sends to the device.
//
// It reads the device's model and versions, and adds the Subscriptions that every later
// operation needs to get news. What it reads becomes facts of the device and attributes of its
// thing. Dynamic thing groups find the device by them, also before its first upgrade.
//
// A device is onboarded when it connects for the first time, when it has another endpoint id
// (a new board), after a factory reset that it reports (a Boot! with this cause, or an
// OnBoardRequest), and an hour after an onboarding that failed. A factory reset also deletes
// the record of which images were downloaded to it.
//
// Its requests can be repeated without harm, so it gives way to any other operation at any
// time. Errors in a conversation are event.Failures. A Flow is safe for concurrent use.
// Sources: TR-369 1.4, "Notify" (OnBoardRequest); TR-181, Device.Boot! (Cause).
package onboard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Operation is its name.
const Operation event.Operation = "device-onboarding"

// Look is its one step: the name of the state.
const Look event.Step = "Look"

// Names of its outcomes, and of errors beside those of any operation.
const (
	OutcomeSuccess                 = "DEVICE_ONBOARDING_SUCCESS"
	OutcomeFail                    = "DEVICE_ONBOARDING_FAIL"
	EventOnboarded                 = "Onboarded"            // the domain event
	Duplicate      event.ErrorName = "Onboarding.Duplicate" // this attempt was played before
	Unfit          event.ErrorName = "Onboarding.Unfit"     // never: its document is its own
)

// Names of facts in a device's state, beside those that several operations know.
const (
	factDone         = "onboarded"      // as which endpoint id
	factFailed       = "onboardingFail" // when it did not succeed last
	FactManufacturer = "manufacturer"
	FactModel        = event.FactModel
	FactHardware     = "hardwareVersion"
	FactSerial       = "serialNumber"
)

// again is how long after a failure a device is left alone.
const again = time.Hour

// lasts is longer than an execution may take.
const lasts = 30 * time.Minute

// Names of the data model (TR-181).
const (
	deviceInfo    = "Device.DeviceInfo."
	localTimeZone = "Device.Time.LocalTimeZone" // a TZ string of POSIX
)

var lookPaths = []string{
	deviceInfo + "Manufacturer", deviceInfo + "ModelName", deviceInfo + "SerialNumber", deviceInfo + "HardwareVersion",
	deviceInfo + "SoftwareVersion", localTimeZone, device.Subscriptions,
}

// Flow is the operation.
type Flow struct {
	controller event.EndpointID
	needed     []device.Subscription
}

// New is the operation as the controller of this endpoint id plays it. needed are the
// Subscriptions that a device is to have.
func New(controller event.EndpointID, needed []device.Subscription) event.Flow {
	f := &Flow{controller: controller, needed: needed}
	return event.Flow{
		Operation: Operation, Played: Duplicate, Unfit: Unfit, Succeeded: OutcomeSuccess, Failed: OutcomeFail,
		Plan: f.Plan, Begin: f.Begin, Continue: f.Continue, Judge: f.Judge, Learn: f.Learn, Wants: f.Wants,
	}
}

// Wants reports whether a device is to be onboarded.
func (*Flow) Wants(known event.DeviceState, ev event.DeviceEvent) (learnt map[string]string, wanted bool) {
	if ev.Reset || ev.Kind == event.KindOnBoardRequest {
		learnt = map[string]string{factDone: "", factFailed: ""}
		for name := range known.Facts {
			if ev.Reset && strings.HasPrefix(name, event.FactBank) {
				learnt[name] = ""
			}
		}
		return learnt, true
	}
	if known.Facts[factDone] == string(known.Endpoint) {
		return nil, false
	}
	failed, err := time.Parse(time.RFC3339, known.Facts[factFailed])
	return nil, err != nil || ev.At.Sub(failed) >= again
}

// Plan is the same for every device.
func (*Flow) Plan(json.RawMessage) (event.Plan, error) {
	return event.Plan{
		Document: json.RawMessage(`{"operation":"` + string(Operation) + `"}`),
		Timeouts: json.RawMessage(`{"answerSeconds":60,"finalizeSeconds":60}`), Lasts: lasts,
	}, nil
}

// What a request is for; the end of its message id.
const (
	forLook      = "look"
	forRemoval   = "delete" // of Subscriptions that cannot be set right
	forSubscribe = "add"
	forRepair    = "set"
)

// memoryForm is the form in which this program writes memory. It reads those up to it.
const memoryForm = 1

// memory is what the conversation keeps between its turns.
type memory struct {
	Form   int             `json:"v"`
	Since  time.Time       `json:"since"` // older connections are no news
	Seen   *Seen           `json:"seen,omitempty"`
	Add    []device.Object `json:"add,omitempty"`    // Subscriptions, after others are removed
	Repair []device.Object `json:"repair,omitempty"` // after that
}

// readMemory reads what save wrote, this version's or an earlier one's.
func readMemory(t event.Turn) (m memory, err error) {
	if err := json.Unmarshal(t.State, &m); err != nil {
		return memory{}, fmt.Errorf("memory: %w", err)
	}
	return m, event.CheckForm("memory of step "+string(t.Step), m.Form, memoryForm)
}

func (m memory) save() json.RawMessage {
	m.Form = memoryForm
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // unreachable: plain values only
	}
	return b
}

// Seen is the result of Look: what the device says that it is.
type Seen struct {
	Endpoint        event.EndpointID `json:"endpointId"`
	Manufacturer    string           `json:"manufacturer,omitempty"`
	Model           string           `json:"model,omitempty"`
	SerialNumber    string           `json:"serialNumber,omitempty"`
	HardwareVersion string           `json:"hardwareVersion,omitempty"`
	SoftwareVersion string           `json:"softwareVersion,omitempty"`
	Zone            string           `json:"zone,omitempty"`
	At              time.Time        `json:"at"`
}

// Begin opens the conversation.
func (f *Flow) Begin(_ context.Context, t event.Turn, _ event.StepInput) (event.Move, error) {
	if t.Step != Look {
		return event.Move{}, fmt.Errorf("onboard.Begin: unknown step %q", t.Step)
	}
	m := memory{Since: t.Now}
	if !t.Device.Reachable() { // it is asked when it is back, if that is before the state's timeout
		return event.Move{Away: true, State: m.save()}, nil
	}
	if was, err := readMemory(event.Turn{Step: t.Step, State: t.Before}); err == nil && was.Seen == nil {
		// The try before has only looked: the answer to that does, too.
		t.Messages = t.Asked
		move := turn{f, t, m}.look()
		move.Messages = t.Asked
		return move, nil
	}
	return turn{f, t, m}.look(), nil
}

// Continue takes the next event.
func (f *Flow) Continue(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
	m, err := readMemory(t)
	if err != nil {
		return event.Move{}, fmt.Errorf("onboard.Continue: %w", err)
	}
	s := turn{f, t, m}
	switch ev.Kind {
	case event.KindConnected, event.KindBooted: // what was asked before is lost
		if ev.At.After(m.Since) || t.Now.Equal(ev.At) {
			return s.look(), nil
		}
	case event.KindAnswer:
		return s.answered(ev), nil
	}
	return event.Move{Ignore: true}, nil
}

type turn struct {
	f *Flow
	t event.Turn
	m memory
}

func (s turn) look() event.Move {
	return event.Move{Send: &device.Get{ID: s.t.Messages + forLook, Paths: lookPaths}, State: s.m.save()}
}

func (s turn) answered(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	why := strings.TrimPrefix(a.MessageID, s.t.Messages)
	if why == forLook {
		if a.Fault != nil {
			return event.Move{Failed: event.Refusal(a.Fault.Code, a.Fault.Text)}
		}
		return s.looked(a, ev.At)
	}
	if s.m.Seen == nil || why != forRemoval && why != forSubscribe && why != forRepair {
		return event.Move{Ignore: true}
	}
	if f := device.Written(a); f != nil {
		return event.Move{Failed: event.Refusal(f.Code, f.Text)}
	}
	return s.subscribe(why)
}

func (s turn) looked(a *event.Answer, at time.Time) event.Move {
	told := func(path string) string { return event.FactOf(a.Params[path]) }
	s.m.Seen = &Seen{
		Endpoint: s.t.Device.Endpoint, Manufacturer: told(deviceInfo + "Manufacturer"),
		Model: told(deviceInfo + "ModelName"), SerialNumber: told(deviceInfo + "SerialNumber"),
		HardwareVersion: told(deviceInfo + "HardwareVersion"), SoftwareVersion: told(deviceInfo + "SoftwareVersion"),
		Zone: told(localTimeZone), At: at,
	}
	missing := device.CompareSubscriptions(s.f.controller, a, s.f.needed)
	s.m.Add, s.m.Repair = missing.Add, missing.Repair
	if len(missing.Remove) > 0 {
		return event.Move{Send: &device.Delete{ID: s.t.Messages + forRemoval, Paths: missing.Remove},
			State: s.m.save()}
	}
	move := s.subscribe(forRemoval)
	if !move.Ends() {
		move.State = s.m.save()
	}
	return move
}

// subscribe does what is left to be done about Subscriptions after one part of it:
// remove, then add, since an ID cannot be twice, then set right.
func (s turn) subscribe(after string) event.Move {
	switch {
	case after == forRemoval && len(s.m.Add) > 0:
		return event.Move{Send: &device.Add{ID: s.t.Messages + forSubscribe, Objects: s.m.Add}}
	case after != forRepair && len(s.m.Repair) > 0:
		return event.Move{Send: &device.Set{ID: s.t.Messages + forRepair, Objects: s.m.Repair}}
	}
	return event.Move{Done: *s.m.Seen} // noted as the device is given back
}

// results is what the states hand to Finalize.
type results struct {
	Look *Seen `json:"look,omitempty"`
}

// errorNames are the errors with which it may end.
var errorNames = []event.ErrorName{
	event.DeviceOffline, event.DeviceBusy, event.DeviceRefused, event.DeviceNoReport, Duplicate, Unfit,
	event.ControllerFailed, event.JobCanceled,
}

// ErrorNames lists every error with which it may end.
func ErrorNames() []event.ErrorName { return slices.Clone(errorNames) }

// Judge names how it ended, and what the registry is to say of the thing.
func (*Flow) Judge(in event.FinalizeInput, known event.DeviceState) (event.Conclusion, error) {
	var r results
	if len(in.Results) > 0 {
		if err := json.Unmarshal(in.Results, &r); err != nil {
			return event.Conclusion{}, fmt.Errorf("onboard.Judge: results of the steps: %w", err)
		}
	}
	var c event.Conclusion
	switch {
	case in.Failure != nil:
		c.Reason, c.Detail = in.Failure.Reason(errorNames, known)
	case r.Look == nil:
		return event.Conclusion{}, fmt.Errorf("onboard.Judge: neither a result of %s nor a failure", Look)
	default:
		c.Details = map[string]string{
			FactManufacturer: r.Look.Manufacturer, FactModel: r.Look.Model, FactHardware: r.Look.HardwareVersion,
			event.FactSoftware: r.Look.SoftwareVersion,
		}
		c.Tells = []string{EventOnboarded}
		c.Attributes = map[string]string{
			event.ThingFirmwareAttribute: r.Look.SoftwareVersion, event.ThingModelAttribute: r.Look.Model,
			event.ThingEndpointAttribute: r.Look.Endpoint.Attribute(),
		}
	}
	c.Status = c.Reason.Status()
	return c, nil
}

// Learn is what the device said that it is, or that it could not be asked.
func (*Flow) Learn(in event.FinalizeInput, _ event.DeviceState) map[string]string {
	var r results
	if json.Unmarshal(in.Results, &r) != nil || in.Failure != nil || r.Look == nil {
		return map[string]string{factFailed: in.StartedAt}
	}
	learnt := map[string]string{factDone: string(r.Look.Endpoint), factFailed: ""}
	for name, value := range map[string]string{
		FactManufacturer: r.Look.Manufacturer, FactModel: r.Look.Model, FactSerial: r.Look.SerialNumber,
		FactHardware: r.Look.HardwareVersion, event.FactSoftware: r.Look.SoftwareVersion, event.FactZone: r.Look.Zone,
	} {
		if value != "" {
			learnt[name] = value
		}
	}
	return learnt
}
