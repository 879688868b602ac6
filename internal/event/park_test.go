package event_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

// TestAParkIsReadFromWhatWasCaught: a state machine that knows no signposts hands it on as
// any error.
func TestAParkIsReadFromWhatWasCaught(t *testing.T) {
	want := event.Park{Why: "paused", Gated: true, Resume: json.RawMessage(`{"a":1}`)}
	f, err := want.Failure()
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.Caught{State: "Write", Error: string(f.Name), Cause: f.Detail}.Park()
	if err != nil || !reflect.DeepEqual(got, &want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := (event.Caught{Error: "States.Timeout", Cause: f.Detail}).Park(); got != nil || err != nil {
		t.Errorf("another error: %+v, %v", got, err)
	}
	if _, err := (event.Caught{Error: string(event.NextPark), Cause: "nonsense"}).Park(); err == nil {
		t.Error("nonsense is a park")
	}
}
