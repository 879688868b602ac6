package simulator

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Under any Adds, Sets, Deletes and boots the Subscription table is that of a
// map: IDs are unique, what failed changed nothing, boots delete what is not
// persistent and nothing else.
func TestSubscriptionTableIsAMap(t *testing.T) {
	type row struct{ id, list, persistent string }
	rapid.Check(t, func(t *rapid.T) {
		b := &broker{clock: &stillClock{now: time.Unix(1e9, 0)}}
		s := recordedSettings(b.clock, b, &server{})
		s.Subscriptions = nil
		a, err := NewAgent(&s, Identity{Thing: "cpe-0001", EndpointID: "os::012345-cpe-0001"})
		if err != nil {
			t.Fatal(err)
		}
		a.Start()
		model := map[int]row{}
		ask := func(m *uspmsg.Msg) *uspmsg.Msg {
			payload, err := usp.NewRecord("self::controller-1", "os::012345-cpe-0001", m).Encode()
			if err != nil {
				t.Fatal(err)
			}
			b.deliver(Publish{Payload: payload})
			r, err := usp.DecodeRecord(b.sent[len(b.sent)-1].Payload)
			if err != nil {
				t.Fatal(err)
			}
			return r.Message
		}
		ids := rapid.SampledFrom([]string{"a", "b", "c"})
		lists := rapid.SampledFrom([]string{"Device.Boot!", "Device.LocalAgent.TransferComplete!",
			"Device.DeviceInfo.", "Device.{i}!"})
		valid := func(list string) bool { return list[len(list)-1] == '!' && list != "Device.{i}!" }
		persistent := rapid.SampledFrom([]string{"true", "false", "1", "maybe"})
		taken := func(id string, but int) bool {
			for n, r := range model {
				if n != but && r.id == id {
					return true
				}
			}
			return false
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := row{ids.Draw(t, "id"), lists.Draw(t, "list"), persistent.Draw(t, "persistent")}
				m := ask(usp.NewAdd("1", false, usp.Object{Path: usp.Subscriptions, Settings: []usp.Setting{
					{Param: "Enable", Value: "true", Required: true}, {Param: "ID", Value: r.id, Required: true},
					{Param: "NotifType", Value: "Event", Required: true},
					{Param: "ReferenceList", Value: r.list, Required: true}, {Param: "Persistent", Value: r.persistent,
						Required: true},
				}}))
				created, _, ok := usp.ReadAddResp(m)
				if want := !taken(r.id, 0) && valid(r.list) && r.persistent != "maybe"; ok != want {
					t.Fatalf("Add %v: %v, want success %v", r, m, want)
				}
				if !ok {
					return
				}
				var n int
				if _, err := fmt.Sscanf(created[0], usp.Subscriptions+"%d.", &n); err != nil || model[n] != (row{}) {
					t.Fatalf("Add made %q", created)
				}
				if r.persistent == "1" {
					r.persistent = "true"
				}
				model[n] = r
			},
			"set": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("no rows")
				}
				n := rapid.SampledFrom(slices.Sorted(maps.Keys(model))).Draw(t, "row")
				r := row{model[n].id, model[n].list, persistent.Draw(t, "persistent")}
				settings := []usp.Setting{{Param: "Persistent", Value: r.persistent, Required: true}}
				// Once it has a value it is not changed, not even to that value (11g).
				fixed := rapid.SampledFrom([]string{"", "ID", "ReferenceList"}).Draw(t, "fixed")
				if fixed != "" {
					settings = append(settings, usp.Setting{Param: fixed, Value: r.id, Required: true})
				}
				m := ask(usp.NewSet("1", false, usp.Object{Path: fmt.Sprintf("%s%d.", usp.Subscriptions, n),
					Settings: settings}))
				_, ok := usp.As[*uspmsg.SetResp](m)
				if want := fixed == "" && r.persistent != "maybe"; ok != want {
					t.Fatalf("Set %d to %v, and %s: %v, want success %v", n, r, fixed, m, want)
				}
				if ok {
					if r.persistent == "1" {
						r.persistent = "true"
					}
					model[n] = r
				}
			},
			"delete": func(t *rapid.T) {
				n := rapid.IntRange(1, 4).Draw(t, "row")
				if _, ok := usp.As[*uspmsg.DeleteResp](
					ask(usp.NewDelete("1", false, fmt.Sprintf("%s%d.", usp.Subscriptions, n)))); !ok {
					t.Fatal("a Delete fails")
				}
				delete(model, n)
			},
			"boot": func(*rapid.T) {
				a.do(func() {
					a.powerOff()
					a.powerOn(rebootReason{cause: usp.CauseLocalReboot})
				})
				maps.DeleteFunc(model, func(_ int, r row) bool { return r.persistent == "false" })
			},
			"": func(t *rapid.T) {
				v, ok := usp.ReadGetResp(ask(usp.NewGet("1", 0, usp.Subscriptions)))
				got := map[int]row{}
				for _, r := range v.Rows(usp.Subscriptions) {
					got[r.Instance] = row{r.Params["ID"], r.Params["ReferenceList"], r.Params["Persistent"]}
				}
				if !ok || !maps.Equal(got, model) {
					t.Fatalf("the table is %v, want %v", got, model)
				}
			},
		})
	})
}
