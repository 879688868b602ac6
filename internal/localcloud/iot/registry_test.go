package iot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestThingVersionsAndAttributes(t *testing.T) {
	c := newCloud(t)
	c.events("THING", "THING_TYPE_ASSOCIATION")
	c.call("CreateThingType", `{"thingTypeName":"gw"}`)
	first := c.call("CreateThing", `{"thingName":"a","thingTypeName":"gw","attributePayload":{"attributes":{"model":"X1","site":"lab"}}}`)
	again := c.call("CreateThing", `{"thingName":"a","thingTypeName":"gw","attributePayload":{"attributes":{"model":"X1","site":"lab"}}}`)
	if first["thingId"] != again["thingId"] {
		t.Error("the same thing twice has two ids")
	}
	c.refuse("CreateThing", `{"thingName":"a"}`, "ResourceAlreadyExistsException")
	c.refuse("CreateThing", `{"thingName":"b c"}`, "InvalidRequestException")
	c.refuse("CreateThing", `{"thingName":"b","thingTypeName":"none"}`, "ResourceNotFoundException")
	c.refuse("CreateThing", `{"thingName":"b","attributePayload":{"attributes":{"a":"1","b":"2","c":"3","d":"4"}}}`, "InvalidRequestException")
	c.refuse("UpdateThing", `{"thingName":"a","expectedVersion":7}`, "VersionConflictException")
	c.call("UpdateThing", `{"thingName":"a","expectedVersion":1,"attributePayload":{"merge":true,"attributes":{"site":"","rack":"9"}}}`)
	got := c.call("DescribeThing", `{"thingName":"a"}`)
	if fmt.Sprint(got["attributes"]) != "map[model:X1 rack:9]" || got["version"] != 2.0 {
		t.Errorf("got %v", got)
	}
	c.call("UpdateThing", `{"thingName":"a","removeThingType":true,"attributePayload":{"attributes":{"only":"1"}}}`)
	c.run(time.Second)
	want := []string{
		"$aws/events/thingTypeAssociation/thing/a/thingType/gw/added", "$aws/events/thing/a/created",
		"$aws/events/thing/a/updated",
		"$aws/events/thingTypeAssociation/thing/a/thingType/gw/removed", "$aws/events/thing/a/updated",
	}
	if got := c.topics(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c.call("DeleteThing", `{"thingName":"a"}`)
	c.refuse("DescribeThing", `{"thingName":"a"}`, "ResourceNotFoundException")
	c.refuse("DeleteThingType", `{"thingTypeName":"gw"}`, "InvalidRequestException")
	c.call("DeprecateThingType", `{"thingTypeName":"gw"}`)
	c.run(6 * time.Minute)
	c.call("DeleteThingType", `{"thingTypeName":"gw"}`)
	c.clean()
}

// pages walks a listing and returns the names under member.
func (c *cloud) pages(operation, input, list, member, token string, size int) []string {
	c.t.Helper()
	var names []string
	next := ""
	for {
		in := fmt.Sprintf(`{%s"maxResults":%d`, input, size)
		if next != "" {
			in += fmt.Sprintf(`,%q:%q`, token, next)
		}
		out := c.call(operation, in+"}")
		for _, v := range out[list].([]any) {
			if m, ok := v.(map[string]any); ok {
				v = m[member]
			}
			names = append(names, v.(string))
		}
		var more bool
		if next, more = out[token].(string); !more {
			return names
		}
	}
}

func TestListingsPage(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 7)
	c.group("top", "gw-0000", "gw-0001")
	c.call("CreateThingGroup", `{"thingGroupName":"left","parentGroupName":"top"}`)
	c.call("CreateThingGroup", `{"thingGroupName":"leaf","parentGroupName":"left"}`)
	for i, g := range []string{"left", "left", "leaf", "leaf", "leaf"} {
		c.call("AddThingToThingGroup", fmt.Sprintf(`{"thingGroupName":%q,"thingName":"gw-%04d"}`, g, i+2))
	}
	for size := 1; size < 9; size++ {
		if got := c.pages("ListThings", ``, "things", "thingName", "nextToken", size); len(got) != 7 {
			t.Errorf("size %d: things %v", size, got)
		}
		got := c.pages("ListThingsInThingGroup", `"thingGroupName":"top","recursive":true,`, "things", "", "nextToken", size)
		slices.Sort(got)
		if len(slices.Compact(got)) != 7 {
			t.Errorf("size %d: members %v", size, got)
		}
		if got := c.pages("ListThingGroups", `"parentGroup":"top",`, "thingGroups", "groupName", "nextToken", size); !slices.Equal(got, []string{"leaf", "left"}) {
			t.Errorf("size %d: groups %v", size, got)
		}
		c.call("CreateJob", fmt.Sprintf(`{"jobId":"j%d","targets":[%q],"document":"{}"}`, size, arnOf("thinggroup/top")))
		c.run(time.Second)
		if got := c.pages("ListJobs", `"status":"IN_PROGRESS",`, "jobs", "jobId", "nextToken", 3); len(got) != size || got[0] != fmt.Sprintf("j%d", size) {
			t.Errorf("jobs %v", got)
		}
		for _, filter := range []string{``, `"status":"QUEUED",`} {
			got := c.pages("ListJobExecutionsForJob", filter+fmt.Sprintf(`"jobId":"j%d",`, size), "executionSummaries", "thingArn", "nextToken", size)
			if len(got) != 7 {
				t.Errorf("size %d: executions %v", size, got)
			}
		}
		if got := c.pages("ListJobExecutionsForThing", `"thingName":"gw-0003",`, "executionSummaries", "jobId", "nextToken", 2); len(got) != size {
			t.Errorf("executions for thing: %v", got)
		}
	}
	if got := c.pages("ListThingGroups", `"recursive":false,`, "thingGroups", "groupName", "nextToken", 10); !slices.Equal(got, []string{"top"}) {
		t.Errorf("roots %v", got)
	}
	if got := c.pages("ListThingGroups", `"namePrefixFilter":"le",`, "thingGroups", "groupName", "nextToken", 1); !slices.Equal(got, []string{"leaf", "left"}) {
		t.Errorf("prefix %v", got)
	}
	c.refuse("AddThingToThingGroup", `{"thingGroupName":"top","thingName":"gw-0006"}`, "InvalidRequestException")
	c.refuse("DeleteThingGroup", `{"thingGroupName":"top"}`, "InvalidRequestException")
}

func (c *cloud) members(group string) string {
	c.t.Helper()
	return strings.Join(c.pages("ListThingsInThingGroup", fmt.Sprintf(`"thingGroupName":%q,`, group), "things", "", "nextToken", 100), " ")
}

func TestDynamicGroupFollowsItsQuery(t *testing.T) {
	c := newCloud(t)
	c.events("THING_GROUP_MEMBERSHIP")
	c.refuse("CreateDynamicThingGroup", `{"thingGroupName":"dyn","queryString":"attributes.model:X1"}`, "InvalidRequestException")
	c.call("UpdateIndexingConfiguration", `{"thingIndexingConfiguration":{"thingIndexingMode":"REGISTRY","thingConnectivityIndexingMode":"STATUS"}}`)
	c.refuse("CreateDynamicThingGroup", `{"thingGroupName":"dyn","queryString":"attributes.model:"}`, "InvalidQueryException")
	c.refuse("CreateDynamicThingGroup", `{"thingGroupName":"dyn","queryString":"a b c d e f"}`, "InvalidQueryException")
	for i, model := range []string{"X1", "x1", "X2"} {
		c.call("CreateThing", fmt.Sprintf(`{"thingName":"gw-%d","attributePayload":{"attributes":{"model":%q}}}`, i, model))
	}
	c.call("CreateDynamicThingGroup", `{"thingGroupName":"dyn","queryString":"attributes.model:X1 AND NOT connectivity.connected:true"}`)
	if s := c.call("DescribeThingGroup", `{"thingGroupName":"dyn"}`)["status"]; s != "BUILDING" {
		t.Errorf("status %v", s)
	}
	c.call("CreateJob", `{"jobId":"j","targetSelection":"CONTINUOUS","targets":["`+arnOf("thinggroup/dyn")+`"],"document":"{}"}`)
	c.run(time.Second)
	if g := c.call("DescribeThingGroup", `{"thingGroupName":"dyn"}`); g["status"] != "ACTIVE" || c.members("dyn") != "gw-0 gw-1" {
		t.Errorf("group %v with %s", g, c.members("dyn"))
	}
	c.wantCounts("j", "IN_PROGRESS Queued=2")
	c.call("UpdateThing", `{"thingName":"gw-2","attributePayload":{"attributes":{"model":"X1"}}}`)
	if err := c.iot.Connectivity(t.Context(), Presence{ClientID: "gw-0", Connected: true,
		Timestamp: c.sched.Now().UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	c.crash() // what was to be looked at is looked at after a restart
	c.run(time.Second)
	if got := c.members("dyn"); got != "gw-1 gw-2" {
		t.Errorf("members %s", got)
	}
	c.wantCounts("j", "IN_PROGRESS Queued=2 Removed=1")
	if got := c.call("SearchIndex", `{"queryString":"connectivity.connected:true"}`)["things"].([]any); len(got) != 1 {
		t.Errorf("connected: %v", got)
	}
	if got := c.call("GetThingConnectivityData", `{"thingName":"gw-0"}`)["connected"]; got != true {
		t.Errorf("connectivity %v", got)
	}
	c.refuse("AddThingToThingGroup", `{"thingGroupName":"dyn","thingName":"gw-0"}`, "InvalidRequestException")
	c.call("UpdateDynamicThingGroup", `{"thingGroupName":"dyn","thingGroupProperties":{},"queryString":"thingName:gw-0"}`)
	c.run(time.Second)
	if got := c.members("dyn"); got != "gw-0" {
		t.Errorf("members %s", got)
	}
	c.call("DeleteDynamicThingGroup", `{"thingGroupName":"dyn"}`)
	c.run(time.Second)
	c.wantCounts("j", "IN_PROGRESS Removed=3")
	c.clean()
}
