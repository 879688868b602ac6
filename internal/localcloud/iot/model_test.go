package iot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// modelExecution is one execution as a reader of the documentation would keep it.
type modelExecution struct {
	status  string
	version int
	attempt int
	until   time.Time // of the in-progress timer
}

// modelJob is a continuous job on the group "all" with one retry of FAILED and
// a timeout of ten minutes.
type modelJob struct {
	status     string
	executions map[string][]*modelExecution // by thing
}

func (j *modelJob) latest(thing string) *modelExecution {
	list := j.executions[thing]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (e *modelExecution) pending() bool {
	return e != nil && (e.status == "QUEUED" || e.status == "IN_PROGRESS")
}

// TestExecutionsAgreeWithModel plays random operations of operators, devices,
// group changes, time and restarts, and compares states, counts, versions and
// pending lists with a model after each.
func TestExecutionsAgreeWithModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCloud(t)
		c.things("t", 3)
		c.group("all")
		things := []string{"t-0000", "t-0001", "t-0002"}
		members := map[string]bool{}
		jobs := map[string]*modelJob{}
		queue := func(j *modelJob, thing string) {
			j.executions[thing] = append(j.executions[thing], &modelExecution{status: "QUEUED", version: 1})
		}
		finish := func(j *modelJob, thing, status string) {
			e := j.latest(thing)
			e.status, e.version = status, e.version+1
			if status == "FAILED" && e.attempt < 1 && j.status == "IN_PROGRESS" {
				queue(j, thing)
				j.latest(thing).attempt = 1
			}
		}
		start := func(e *modelExecution) {
			if e.status == "QUEUED" {
				e.until = c.sched.Now().Add(10 * time.Minute)
			}
			e.status, e.version = "IN_PROGRESS", e.version+1
		}
		pick := func(t *rapid.T) (id, thing string, j *modelJob) {
			if len(jobs) == 0 {
				t.Skip("no job")
			}
			var ids []string
			for id := range jobs {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			id = rapid.SampledFrom(ids).Draw(t, "job")
			return id, rapid.SampledFrom(things).Draw(t, "thing"), jobs[id]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				if len(jobs) == 3 {
					t.Skip("enough jobs")
				}
				id := fmt.Sprintf("j%d", len(jobs))
				c.call("CreateJob", fmt.Sprintf(`{"jobId":%q,"targetSelection":"CONTINUOUS","targets":[%q],"document":"{}","timeoutConfig":{"inProgressTimeoutInMinutes":10},
					"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":1}]}}`, id, arnOf("thinggroup/all")))
				c.run(time.Second)
				jobs[id] = &modelJob{"IN_PROGRESS", map[string][]*modelExecution{}}
				for _, thing := range things {
					if members[thing] {
						queue(jobs[id], thing)
					}
				}
			},
			"join or leave": func(t *rapid.T) {
				thing := rapid.SampledFrom(things).Draw(t, "thing")
				in := fmt.Sprintf(`{"thingGroupName":"all","thingName":%q}`, thing)
				if members[thing] {
					c.call("RemoveThingFromThingGroup", in)
				} else {
					c.call("AddThingToThingGroup", in)
				}
				members[thing] = !members[thing]
				for _, j := range jobs {
					e := j.latest(thing)
					switch {
					case !members[thing] && e.pending() && j.status == "IN_PROGRESS":
						finish(j, thing, "REMOVED")
					case members[thing] && !e.pending() && j.status == "IN_PROGRESS":
						queue(j, thing)
					}
				}
			},
			"update": func(t *rapid.T) {
				id, thing, j := pick(t)
				status := rapid.SampledFrom([]string{"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"}).Draw(
					t, "status")
				stale := rapid.Bool().Draw(t, "stale")
				e := j.latest(thing)
				in := fmt.Sprintf(`{"status":%q}`, status)
				if stale && e != nil {
					in = fmt.Sprintf(`{"status":%q,"expectedVersion":%d}`, status, e.version-1)
				}
				want := ""
				switch {
				case e == nil:
					want = "ResourceNotFound"
				case stale:
					want = "VersionMismatch"
				case !e.pending():
					want = "InvalidStateTransition"
				case status == "IN_PROGRESS":
					start(e)
				default:
					finish(j, thing, status)
				}
				_, body := c.mqtt("$aws/things/"+thing+"/jobs/"+id+"/update", in)
				if got, _ := body["code"].(string); got != want {
					t.Fatalf("%s of %s on %s: got %v, want %q", in, id, thing, body, want)
				}
			},
			"cancel execution": func(t *rapid.T) {
				id, thing, j := pick(t)
				force := rapid.Bool().Draw(t, "force")
				_, err := c.try("CancelJobExecution", fmt.Sprintf(`{"jobId":%q,"thingName":%q,"force":%v}`, id, thing, force))
				e := j.latest(thing)
				if allowed := e.pending() && (force || e.status == "QUEUED"); allowed != (err == nil) {
					t.Fatalf("cancel %s on %s (%+v): %v", id, thing, e, err)
				} else if allowed {
					finish(j, thing, "CANCELED")
				}
			},
			"cancel job": func(t *rapid.T) {
				id, _, j := pick(t)
				if j.status != "IN_PROGRESS" || rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					t.Skip("not now")
				}
				c.call("CancelJob", fmt.Sprintf(`{"jobId":%q}`, id))
				c.run(time.Second)
				j.status = "CANCELED"
				for _, thing := range things {
					if e := j.latest(thing); e != nil && e.status == "QUEUED" {
						finish(j, thing, "CANCELED")
					}
				}
			},
			"time": func(t *rapid.T) {
				c.run(time.Duration(rapid.IntRange(1, 8).Draw(t, "minutes")) * time.Minute)
				for _, j := range jobs {
					for _, thing := range things {
						if e := j.latest(thing); e != nil && e.status == "IN_PROGRESS" &&
							!e.until.After(c.sched.Now()) {
							finish(j, thing, "TIMED_OUT")
						}
					}
				}
			},
			"crash": func(*rapid.T) { c.crash(); c.run(0) },
			"": func(t *rapid.T) {
				for id, j := range jobs {
					want := map[string]int{}
					for _, thing := range things {
						for n, e := range j.executions[thing] {
							got := c.call("DescribeJobExecution", fmt.Sprintf(`{"jobId":%q,"thingName":%q,"executionNumber":%d}`, id, thing, n+1))["execution"].(map[string]any)
							if got["status"] != e.status || got["versionNumber"] != float64(e.version) {
								t.Fatalf("%s on %s, execution %d: got %v, want %+v", id, thing, n+1, got, e)
							}
						}
						if e := j.latest(thing); e != nil {
							want[e.status]++
						}
					}
					job := c.job(id)
					details := job["jobProcessDetails"].(map[string]any)
					for status, member := range map[string]string{
						"QUEUED": "Queued", "IN_PROGRESS": "InProgress", "SUCCEEDED": "Succeeded", "FAILED": "Failed",
						"REJECTED": "Rejected", "TIMED_OUT": "TimedOut", "CANCELED": "Canceled", "REMOVED": "Removed",
					} {
						if got := details["numberOf"+member+"Things"]; got != float64(want[status]) {
							t.Fatalf("%s: %s counted %v, want %d", id, status, got, want[status])
						}
					}
					if job["status"] != j.status {
						t.Fatalf("%s is %v, want %s", id, job["status"], j.status)
					}
				}
				for _, thing := range things {
					var pending []string
					for id, j := range jobs {
						if e := j.latest(thing); e.pending() {
							pending = append(pending, id+" "+e.status)
						}
					}
					_, body := c.mqtt("$aws/things/"+thing+"/jobs/get", "")
					var got []string
					for list, status := range map[string]string{"inProgressJobs": "IN_PROGRESS",
						"queuedJobs": "QUEUED"} {
						for _, e := range body[list].([]any) {
							got = append(got, e.(map[string]any)["jobId"].(string)+" "+status)
						}
					}
					slices.Sort(pending)
					slices.Sort(got)
					if !slices.Equal(got, pending) {
						t.Fatalf("pending of %s: got %v, want %v", thing, got, pending)
					}
				}
			},
		})
		for id := range jobs {
			c.call("DeleteJob", fmt.Sprintf(`{"jobId":%q,"force":true}`, id))
		}
		c.run(time.Second)
		c.clean()
		// A deleted job leaves nothing behind.
		err := c.db.View(func(tx *store.Tx) error {
			for pair, err := range tx.Range(nil, nil, false) {
				if err != nil {
					return err
				}
				parts, err := store.ParseKey(pair.Key)
				if err != nil {
					return err
				}
				if strings.HasPrefix(parts[0], "iot.job") {
					rt.Errorf("left in the store: %q", parts)
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// BenchmarkRollout measures a job's way over 10,000 things, from the rollout
// to the last success.
func BenchmarkRollout(b *testing.B) {
	for range b.N {
		b.StopTimer()
		c := newCloud(b)
		c.groupOf("all", "gw", 10_000)
		c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}","timeoutConfig":{"inProgressTimeoutInMinutes":60}}`)
		b.StartTimer()
		c.run(11 * time.Minute)
		for i := range 10_000 {
			thing := fmt.Sprintf("gw-%04d", i)
			c.mqtt("$aws/things/"+thing+"/jobs/start-next", "")
			c.report(thing, "j", "SUCCEEDED")
		}
		c.run(time.Second)
		b.StopTimer()
		c.wantCounts("j", "COMPLETED Succeeded=10000")
		b.StartTimer()
	}
}
