package main

import (
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// TestTheDoctorTellsWhatItMayMeet: a device that is away, and attempts that may begin in the middle.
func TestTheDoctorTellsWhatItMayMeet(t *testing.T) {
	d := workflow.Device{Known: true, Pending: []workflow.Pending{{Owner: event.CampaignOwner("spring"),
		Operation: "firmware-upgrade"}}}
	const want = "firmware-upgrade of campaign spring waits for it, and may begin in the middle: pause that first"
	list := known(d)
	if len(list) != 2 || list[0].Check != "presence" || list[1].Seen != want {
		t.Errorf("%+v", list)
	}
	if list := known(workflow.Device{Known: true, State: event.DeviceState{Connected: true}}); len(list) > 0 {
		t.Errorf("of an idle one: %+v", list)
	}
}

// TestTheDoctorSpeaksWhereTheStackDoes: also in the layout of the WME sample.
func TestTheDoctorSpeaksWhereTheStackDoes(t *testing.T) {
	for _, c := range []struct {
		outputs           map[string]string
		agent, controller string
	}{
		{map[string]string{"ControllerEndpointId": "self::c"},
			"usp/v1/agent/gw-1", "usp/v1/controller/self::c/from/gw-1"},
		{map[string]string{"ControllerEndpointId": "self::c", "AgentTopic": "agents/{thing}/usp/request",
			"ControllerTopic": "controllers/{controller}/agents/{thing}/response"},
			"agents/gw-1/usp/request", "controllers/self::c/agents/gw-1/response"},
	} {
		if agent, controller := topics(c.outputs, "gw-1"); agent != c.agent || controller != c.controller {
			t.Errorf("%v: %s, %s", c.outputs, agent, controller)
		}
	}
}
