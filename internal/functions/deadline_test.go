package functions

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/statemachines"
)

// anything is an account and a bucket that have whatever is asked for.
type anything struct{ made jobs.Job }

func (a *anything) Template(context.Context) (jobs.Template, error) {
	return jobs.Template{JobMinutes: 1440}, nil
}
func (a *anything) Create(_ context.Context, j jobs.Job) (string, error) {
	a.made = j
	return "arn", nil
}
func (a *anything) Describe(context.Context, event.JobID) (jobs.Existing, error) {
	return jobs.Existing{}, jobs.ErrNotFound
}
func (a *anything) TargetExists(context.Context, string) (bool, error)            { return true, nil }
func (a *anything) Things(context.Context, string, int) (int, error)              { return 1, nil }
func (a *anything) ByVersion(context.Context, string) ([]upgrade.S3Object, error) { return nil, nil }
func (a *anything) Where(string) string                                           { return "" }

// bank is an upgrade.ImageStore.
type bank struct{ *anything }

func (bank) Describe(_ context.Context, o upgrade.S3Object) (upgrade.StoredImage, error) {
	return upgrade.StoredImage{Object: o, Size: 1, SHA256: strings.Repeat("a", 64)}, nil
}

// asl is what of a state tells how long it may take.
type asl struct {
	Type, Next     string
	TimeoutSeconds string
	Retry          []struct {
		ErrorEquals                                   []string
		IntervalSeconds, MaxAttempts, MaxDelaySeconds int
		BackoffRate                                   float64
	}
	Catch []struct {
		ErrorEquals []string
		Next        string
	}
	End bool
}

var member = regexp.MustCompile(`timeouts\.(\w+) %}$`)

// TestWhatCreateJobAcceptsFits walks through the state machine as the slowest device
// and the unluckiest functions would have it: every wait to its end, every retry used
// up, again and again through the loops as far as the conversation allows. Whatever
// way it takes is over before the job's timer ends it. Of AWS's troubles there are up to eight, and one in the report.
func TestWhatCreateJobAcceptsFits(t *testing.T) {
	var machine struct {
		StartAt string
		States  map[string]asl
	}
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &machine); err != nil {
		t.Fatal(err)
	}
	pauses := []float64{10, 60, 180, 300, 600, 600, 600} // of Backoff, at the longest
	flow := upgrade.New("")
	accepted, most := 0, 0.0
	rapid.Check(t, func(t *rapid.T) {
		payload := map[string]any{
			"firmware": map[string]any{"version": "2", "s3": map[string]string{"bucket": "bucket", "key": "k"}},
			"targets":  []string{"arn:aws:iot:us-east-1:123456789012:thing/a"},
		}
		timeouts := map[string]int{}
		for name, most := range map[string]int{"answerSeconds": 3600, "downloadSeconds": 604800,
			"rebootSeconds": 86400, "jobMinutes": 10080} {
			if rapid.Bool().Draw(t, name+" given") {
				low := map[string]int{"answerSeconds": 5, "jobMinutes": 1}[name]
				timeouts[name] = rapid.OneOf(rapid.IntRange(max(low, 10), max(10, most/20)),
					rapid.IntRange(max(low, 10), most)).Draw(t, name)
			}
		}
		activation := map[string]any{}
		if rapid.Bool().Draw(t, "separate") {
			activation["mode"] = "SEPARATE"
			if rapid.Bool().Draw(t, "window") {
				activation["window"] = map[string]string{"start": "02:00", "end": "05:00"}
			}
		}
		if rapid.Bool().Draw(t, "soak") {
			activation["soakSeconds"] = rapid.IntRange(0, 604800).Draw(t, "soakSeconds")
		}
		payload["timeouts"], payload["activation"] = timeouts, activation
		raw, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		account := &anything{}
		form := upgrade.NewForm(bank{account}, upgrade.Rules{})
		creator := &jobs.Creator{Jobs: account, Forms: []event.Form{form}}
		if _, err := creator.Create(context.Background(), raw); err != nil {
			var problems event.Problems
			if !errors.As(err, &problems) || !strings.HasPrefix(problems[0].Path, "$.timeouts") {
				t.Fatalf("%s: %v", raw, err)
			}
			return
		}
		accepted++
		plan, err := flow.Plan(account.made.Document)
		if err != nil {
			t.Fatal(err)
		}
		var steps map[string]int
		if err := json.Unmarshal(plan.Timeouts, &steps); err != nil {
			t.Fatal(err)
		}
		req, err := upgrade.ParseDocument(account.made.Document)
		if err != nil {
			t.Fatal(err)
		}
		times := req.Timeouts

		took, visits, from, passes, renewed := 0.0, map[string]int{}, "", 0, false
		troubles, reported := 0, false
		var taken []string
		for name := machine.StartAt; ; {
			s := machine.States[name]
			visits[name]++
			taken = append(taken, name)
			var timeout float64
			if name == "Activate" && from != "AwaitWindow" {
				passes++
			}
			switch m := member.FindStringSubmatch(s.TimeoutSeconds); {
			case name == "AwaitWindow":
				took += 21 * 3600
			case name == "Backoff":
				took += pauses[visits[name]-1]
			case s.Type == "Wait":
				took += float64(steps["soakSeconds"])
			case s.Type != "Task":
			case m != nil:
				timeout = float64(steps[m[1]])
				if timeout == 0 {
					t.Fatalf("%s waits for %s, which is none of %v", name, m[1], steps)
				}
			case from == "Activate":
				timeout = float64(times.RebootSeconds)
				if req.Activation.Window != nil {
					timeout += 3 * 3600
				}
			default:
				timeout = float64(times.DownloadSeconds)
				if req.Activation.Mode != upgrade.ActivateSeparate {
					timeout += float64(times.RebootSeconds)
				}
			}
			took += timeout
			finalizes := strings.HasPrefix(name, "Finalize")
			used := finalizes && !reported || !finalizes && troubles < 8 && rapid.Bool().Draw(t, name+" in trouble")
			if used && finalizes {
				reported = true
			} else if used {
				troubles++
			}
			for _, r := range s.Retry {
				ours := slices.Contains(r.ErrorEquals, "Transient") || slices.Contains(r.ErrorEquals, "States.ALL") ||
					slices.Contains(r.ErrorEquals, "Lambda.TooManyRequestsException")
				if ours && !used {
					continue
				}
				try := timeout
				if slices.Contains(r.ErrorEquals, "Transient") {
					try = min(try, 30) // the function failed, and that is how long it may take
				}
				if slices.Equal(r.ErrorEquals, []string{"Lambda.TooManyRequestsException"}) {
					try = 0 // it did not run
				}
				for k := range r.MaxAttempts {
					took += try + min(float64(r.MaxDelaySeconds), float64(r.IntervalSeconds)*math.Pow(r.BackoffRate,
						float64(k)))
				}
			}
			before := from
			from = name
			type way struct {
				to    string
				renew bool
			}
			next := []way{}
			if s.Next != "" {
				next = append(next, way{to: s.Next})
			}
			for _, c := range s.Catch {
				switch {
				case slices.Contains(c.ErrorEquals, "Next.Download") &&
					(visits["Download"] >= 8 || visits["Download"]-visits["Backoff"] >= 4),
					slices.Contains(c.ErrorEquals, "Next.Backoff") && visits["Download"] >= 8,
					slices.Contains(c.ErrorEquals, "Next.Renewal") && (renewed || visits["Download"] >= 8),
					slices.Contains(c.ErrorEquals, "Next.Activate") && (passes >= 3 || name == "Verify" && passes > 0),
					slices.Contains(c.ErrorEquals, "Next.Window") && (before == "AwaitWindow" ||
						req.Activation.Window == nil),
					slices.Contains(c.ErrorEquals, "Next.Soak") && visits["Soak"] > 0:
				default:
					next = append(next, way{c.Next, slices.Contains(c.ErrorEquals, "Next.Renewal")})
				}
			}
			if len(next) == 0 {
				break
			}
			// Rather on than out, so that long ways are seen.
			chosen := next[0]
			for _, n := range next {
				if !strings.HasPrefix(n.to, "Finalize") && rapid.Bool().Draw(t, name) {
					chosen = n
				}
			}
			name, renewed = chosen.to, renewed || chosen.renew
		}
		limit := float64(times.JobMinutes * 60)
		most = max(most, took/limit)
		if took > limit {
			t.Fatalf("%s: %v may take %.0f s; the job's timer is %.0f s", raw, taken, took, limit)
		}
	})
	t.Logf("%d accepted; the longest took %.0f %% of its time", accepted, 100*most)
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}
