package main

import "testing"

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
