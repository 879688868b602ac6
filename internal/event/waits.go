package event

import "time"

// Waits says for what a device waits that has not begun, or does not go on.
type Waits struct {
	For WaitsFor `json:"for"`
	// Behind is who is at work on the device, with WaitsOwner: "job x", "campaign y".
	Behind string     `json:"behind,omitempty"`
	Why    string     `json:"why"` // in words
	Since  *time.Time `json:"since,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

// WaitsFor is what a device waits for.
type WaitsFor string

// What devices wait for, the first that applies.
const (
	WaitsFlag   WaitsFor = "FLAG"   // its campaign is paused or stopped, or everything is
	WaitsWave   WaitsFor = "WAVE"   // it is staged
	WaitsDevice WaitsFor = "DEVICE" // it is away
	WaitsTime   WaitsFor = "TIME"   // its window, or its next attempt
	WaitsRoom   WaitsFor = "ROOM"   // in its campaign's budget of devices in danger
	WaitsOwner  WaitsFor = "OWNER"  // another owner is at work on it
	WaitsStart  WaitsFor = "START"  // nothing: it is about to begin
)
