package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

type describeIn struct {
	ThingName string `json:"thingName" uri:"thingName"`
}

type describeOut struct {
	ThingName  string            `json:"thingName"`
	Version    int               `json:"version,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Created    *Time             `json:"creationDate,omitempty"`
}

// denyAll is an Authorizer that refuses and remembers what was asked.
type denyAll struct{ asked []Request }

func (d *denyAll) Authorize(_ context.Context, r Request) error {
	d.asked = append(d.asked, r)
	return (&Error{Code: "AccessDeniedException", Message: "no"}).WithStatus(403)
}

func testDoor(a Authorizer) *Door {
	d := New(Config{
		Scheduler: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Account:   "123456789012", Region: "us-east-1", Authorizer: a,
	})
	d.Add(Service{
		ID: "iot", Signing: "iot", Prefix: "iot", Protocols: []Protocol{RESTJSON}, DeniedCode: "UnauthorizedException",
		Operations: []Operation{
			Op("DescribeThing", func(_ context.Context, c *Call, in *describeIn) (*describeOut, error) {
				if in.ThingName == "missing" {
					return nil, Errorf("ResourceNotFoundException", "Thing %s cannot be found.", in.ThingName).
						WithStatus(404)
				}
				return &describeOut{ThingName: in.ThingName, Attributes: map[string]string{"lower": "x"},
					Created: TimeOf(d.config.Scheduler.Now())}, nil
			}, REST("GET", "/things/{thingName}"), On(func(c *Call, in *describeIn) []string {
				return []string{c.ARN("iot", "thing/"+in.ThingName)}
			})),
		},
	})
	return d
}

func TestCallTakesMembersInAnyCase(t *testing.T) {
	out, err := testDoor(nil).Call(t.Context(), RootOf("123456789012"), "iot", "DescribeThing",
		map[string]string{"ThingName": "rg-1"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := PascalJSON(out)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"Attributes":{"lower":"x"},"CreationDate":1767225600,"ThingName":"rg-1"}`; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestCallAnswersAWSErrors(t *testing.T) {
	d := testDoor(nil)
	for _, c := range []struct {
		service, operation string
		input              any
		code               string
		status             int
	}{
		{"iot", "DescribeThing", describeIn{"missing"}, "ResourceNotFoundException", 404},
		{"iot", "DescribeThing", json.RawMessage(`{"thingName":7}`), "SerializationException", 400},
		{"iot", "Frobnicate", nil, "NotImplemented", 501},
		{"nosuch", "Frobnicate", nil, "NotImplemented", 501},
	} {
		_, err := d.Call(t.Context(), RootOf("123456789012"), c.service, c.operation, c.input)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != c.code || e.HTTPStatus() != c.status {
			t.Errorf("%s:%s: got %v, want %s with status %d", c.service, c.operation, err, c.code, c.status)
		}
	}
}

func TestCallAsksForPermission(t *testing.T) {
	deny := &denyAll{}
	_, err := testDoor(deny).Call(t.Context(), Identity{ARN: "x"}, "iot", "DescribeThing", describeIn{"rg-1"})
	if Code(err) != "UnauthorizedException" {
		t.Fatalf("got %v", err)
	}
	if r := deny.asked[0]; r.Action != "iot:DescribeThing" ||
		r.Resource != "arn:aws:iot:us-east-1:123456789012:thing/rg-1" {
		t.Fatalf("asked for %s on %s", r.Action, r.Resource)
	}
}

func TestTimeReadsAndWritesEpochSeconds(t *testing.T) {
	for in, want := range map[string]string{
		`1767225600`: `1767225600`, `1767225600.25`: `1767225600.25`, `"2026-01-01T00:00:00Z"`: `1767225600`,
	} {
		var v Time
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if b, _ := json.Marshal(v); string(b) != want {
			t.Errorf("%s: got %s, want %s", in, b, want)
		}
	}
	for _, in := range []string{`"yesterday"`, `true`, `1e400`} {
		var v Time
		if err := json.Unmarshal([]byte(in), &v); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}
