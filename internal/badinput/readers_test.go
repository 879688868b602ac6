package badinput

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// TestRecordsOfDevicesAreRefused reads what a rule hands over of a device. The body is the record in hexadecimal, or,
// behind "base64:", what stands in its place; the headers are topic, thing and client, where they are not those of the
// thing "a". The answer is the reason for which the record is refused.
func TestRecordsOfDevicesAreRefused(t *testing.T) {
	topics := device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}
	for _, r := range rows(t, "device") {
		m := event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/a", ThingName: "a", ClientID: "a"}
		for name, to := range map[string]*string{"topic": &m.Topic, "thing": &m.ThingName, "client": &m.ClientID} {
			if v, ok := r.Headers[name]; ok {
				*to = v
			}
		}
		var ok bool
		if m.Record, ok = strings.CutPrefix(r.Body, "base64:"); !ok {
			record, err := hex.DecodeString(r.Body)
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			m.Record = base64.StdEncoding.EncodeToString(record)
		}
		got, detail := "taken", ""
		_, err := device.Read(m, topics, "self::fleetstep")
		if refused, ok := errors.AsType[*event.Refused](err); ok {
			got, detail = refused.Reason, refused.Detail
		} else if err != nil {
			got = err.Error()
		}
		if got != r.Want || detail == "" {
			t.Errorf("%s: %s (%s), want %s", r.Name, got, detail, r.Want)
		}
	}
}

// TestPayloadsOfCreateJobAreRefused reads what an operator asks for. TARGET in a body is the ARN of a thing group. The
// answer are the paths of all mistakes.
func TestPayloadsOfCreateJobAreRefused(t *testing.T) {
	refusesPayloads(t, "createjob", func(body []byte, forms []event.Form) error {
		_, err := jobs.Parse(body, forms)
		return err
	})
}

// TestPayloadsOfCreateCampaignAreRefused does the same for campaigns.
func TestPayloadsOfCreateCampaignAreRefused(t *testing.T) {
	refusesPayloads(t, "createcampaign", func(body []byte, forms []event.Form) error {
		_, err := campaign.Parse(body, forms, upgrade.Operation)
		return err
	})
}

func refusesPayloads(t *testing.T, entrance string, parse func(body []byte, forms []event.Form) error) {
	t.Helper()
	forms := []event.Form{upgrade.NewForm(nil, upgrade.Rules{})}
	for _, r := range rows(t, entrance) {
		body := strings.ReplaceAll(r.Body, "TARGET", "arn:aws:iot:us-east-1:"+account+":thinggroup/lab")
		err := parse([]byte(body), forms)
		got := "taken"
		if problems, ok := errors.AsType[event.Problems](err); ok {
			var paths []string
			for _, p := range problems {
				if p.Allowed == "" {
					t.Errorf("%s: %s does not say what is allowed", r.Name, p.Path)
				}
				paths = append(paths, p.Path)
			}
			got = strings.Join(paths, " ")
		} else if err != nil {
			got = err.Error()
		}
		if got != r.Want {
			t.Errorf("%s: %s, want %s", r.Name, got, r.Want)
		}
	}
}
