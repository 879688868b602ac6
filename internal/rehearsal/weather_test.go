package rehearsal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// weatherSeeds is the environment variable that says which seeds of bad weather are
// played, "200" or "81-120"; make test-weather sets it. weatherDevices says with how many
// devices, 300 if it is not set; weatherKinds what the weather is like, if it is not bad.
const (
	weatherSeeds   = "FLEETSTEP_WEATHER_SEEDS"
	weatherDevices = "FLEETSTEP_WEATHER_DEVICES"
	weatherKinds   = "FLEETSTEP_WEATHER"
)

// seedsOf reads weatherSeeds.
func seedsOf(text string) (seeds []uint64, err error) {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		first, last = "1", text
	}
	from, err := strconv.ParseUint(first, 10, 64)
	to, err2 := strconv.ParseUint(last, 10, 64)
	if err = errors.Join(err, err2); err != nil || from > to {
		return nil, fmt.Errorf("%q is neither a number of seeds nor a first and a last one: %w", text, err)
	}
	for seed := from; seed <= to; seed++ {
		seeds = append(seeds, seed)
	}
	return seeds, nil
}

// rarest are the kinds that hit one in a thousand: a device has some dozens of messages
// in an upgrade, and a connection that breaks costs it seconds.
var rarest = []localcloud.WeatherKind{localcloud.WeatherCut}

// TestUpgradesOutliveBadWeather plays jobs on bad days: every device ends as its fault
// declares, and nothing is left behind.
func TestUpgradesOutliveBadWeather(t *testing.T) {
	seeds, devices := []uint64{2, 3, 4}, 35
	if testing.Short() {
		seeds = seeds[:1]
	}
	if text := os.Getenv(weatherSeeds); text != "" {
		var err error
		if seeds, err = seedsOf(text); err != nil {
			t.Fatal(err)
		}
		devices = 300
		if n, err := strconv.Atoi(os.Getenv(weatherDevices)); err == nil {
			devices = n
		}
	}
	var reports []*localcloud.WeatherReport
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			weather, err := localcloud.ParseWeather(cmp.Or(os.Getenv(weatherKinds), "bad"), "", seed)
			if err != nil {
				t.Fatal(err)
			}
			s, out, err := play(t, Config{
				Devices: devices, Seed: seed, Faults: "all", Weather: weather, Timeout: 24 * time.Hour,
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			reports = append(reports, s.Weather)
			if testing.Verbose() {
				t.Logf("%.1f s, %.0f s virtual; %s", s.Seconds, s.VirtualSeconds, summaryOf(out))
			}
		})
	}
	if testing.Short() || t.Failed() || os.Getenv(weatherKinds) != "" {
		return
	}
	t.Run("a campaign", func(t *testing.T) {
		weather, err := localcloud.ParseWeather("bad", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		s, out, err := lead(t, Config{Devices: 16, Seed: 1, Weather: weather})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		reports = append(reports, s.Weather)
		everyKind(t, weather, reports)
	})
}

// everyKind looks whether the weather did each of its kinds to at least one in a hundred of what it could befall, as
// docs/weather.md says what that is.
func everyKind(t *testing.T, weather localcloud.Weather, reports []*localcloud.WeatherReport) {
	t.Helper()
	for _, k := range weather.Kinds() {
		if slices.Contains(rarest, k) {
			continue
		}
		var asked, happened int64
		for _, r := range reports {
			asked, happened = asked+r.Asked(k), happened+r.Happened(k)
		}
		t.Logf("%s %d of %d", k, happened, asked)
		if asked < 50 || happened*100 < asked {
			t.Errorf("%s could have happened %d times, and did %d times", k, asked, happened)
		}
	}
}

// summaryOf is the last line of a rehearsal.
func summaryOf(out string) string {
	for line := range strings.Lines(out) {
		if document, ok := strings.CutPrefix(line, "SUMMARY "); ok {
			return strings.TrimSpace(document)
		}
	}
	return ""
}

// A tale is a job that something happens to, in whatever weather.
type tale struct {
	name, payload string // payload: of create-job; "" is that of jobs whose devices fail
	faults        string
	weather       string // in which it ends well; "" is bad
	// tell, if set, is what happens meanwhile; judge looks at it when the job is over.
	tell  func(s *telling, ctx context.Context) error
	judge func(s *telling, ctx context.Context) error
}

// telling is a tale that is being told.
type telling struct {
	w           *world
	sched       *localcloud.Scheduler
	from, until time.Time // of a pause
}

const separateJob = `{
  "firmware": {"version": "2.0.0"}, "activation": {"mode": "SEPARATE"%s},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []}
}`

const promptJob = `{
  "firmware": {"version": "2.0.0"}, "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"],
  "abort": {"criteriaList": []}
}`

var tales = []tale{
	{name: "job", faults: "all"},
	{name: "prompt", payload: promptJob, judge: (*telling).waitedForNothing, weather: "short=0.3"},
	{
		name: "pause", payload: fmt.Sprintf(separateJob, ""),
		tell: (*telling).pause, judge: (*telling).heldWhilePaused,
	},
	{
		name: "window", payload: fmt.Sprintf(separateJob, `, "window": {"start": "09:00", "end": "10:00", "zone": "UTC"}`),
		judge: (*telling).restartedInWindow,
	},
}

func taleNamed(name string) (tale, error) {
	for _, s := range tales {
		if s.name == name {
			return s, nil
		}
	}
	return tale{}, fmt.Errorf("no tale is called %q", name)
}

// taleDevices is how many devices are in a tale.
const taleDevices = 35

// slack is how long after a pause what had begun before it may still come, on a bad day.
const slack = 6 * time.Minute

// wakes is how long after a pause all begin that had knocked, on a bad day. Who is forgotten begins when the clock
// has found it, an hour later.
const wakes = 45 * time.Minute

// pause pauses the job at a moment of its first minutes, and resumes it later.
func (s *telling) pause(ctx context.Context) error {
	job := ""
	for job == "" {
		var out struct{ Jobs []struct{ JobID string } }
		if err := s.w.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err != nil {
			return err
		}
		if len(out.Jobs) > 0 {
			job = out.Jobs[0].JobID
		}
		if err := s.sched.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	wait := func(d time.Duration) error { return s.sched.Sleep(ctx, d) }
	if err := wait(time.Duration(s.sched.Rand().IntN(90)) * time.Second); err != nil {
		return err
	}
	// An operator asks again, too.
	ask := func(verb string) (err error) {
		for range 10 {
			if err = s.w.control(ctx, verb, job); err == nil {
				return nil
			}
			if err := wait(5 * time.Second); err != nil {
				return err
			}
		}
		return err
	}
	if err := ask("pause"); err != nil {
		return err
	}
	s.from = s.sched.Now()
	if err := wait(40 * time.Minute); err != nil {
		return err
	}
	s.until = s.sched.Now()
	return ask("resume")
}

// waitedForNothing looks whether a task waited in vain for what its device had told.
func (s *telling) waitedForNothing(ctx context.Context) error {
	arn, overdue := "arn:aws:states:"+region+":"+account+":stateMachine:"+stack+"-firmware-upgrade", 0
	for e, err := range s.w.cloud.Executions(ctx, arn) {
		if err != nil {
			return err
		}
		for event, err := range s.w.cloud.History(ctx, e.ExecutionARN) {
			if err != nil {
				return err
			}
			if event.Type == "TaskTimedOut" {
				overdue++
			}
		}
	}
	if overdue > 0 {
		return fmt.Errorf("%d tasks waited until their deadline", overdue)
	}
	return nil
}

// heldWhilePaused looks whether anything began while the job was paused, and all soon after it.
func (s *telling) heldWhilePaused(ctx context.Context) error {
	taken, err := s.w.taken(ctx)
	if err != nil {
		return err
	}
	starts, err := s.w.starts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for what, moments := range map[string][]time.Time{"a command was taken": taken, "an execution began": starts} {
		for _, at := range moments {
			if at.After(s.from.Add(slack)) && at.Before(s.until) {
				errs = append(errs, fmt.Errorf("%s %v after the pause", what, at.Sub(s.from)))
			}
		}
	}
	for _, at := range starts {
		if !s.until.IsZero() && at.After(s.until.Add(wakes)) {
			errs = append(errs, fmt.Errorf("an execution began %v after the end of the pause", at.Sub(s.until)))
		}
	}
	return errors.Join(errs...)
}

// restartedInWindow looks whether each device was told to restart in its window.
func (s *telling) restartedInWindow(ctx context.Context) error {
	laps, err := s.w.laps(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for thing, of := range laps {
		slices.SortFunc(of, func(a, b lap) int { return a.input.Lap - b.input.Lap })
		if at := of[len(of)-1].activated; at.Hour() != 9 {
			errs = append(errs, fmt.Errorf("%s was told to restart at %v", thing, at))
		}
	}
	return errors.Join(errs...)
}

// play plays a tale; the error says what went wrong, with the last lines of output. A
// nil template is the stack's own.
func (y tale) play(ctx context.Context, dir string, seed uint64, kinds string, template []byte) (*Summary, error) {
	weather, err := localcloud.ParseWeather(kinds, "", seed)
	if err != nil {
		return nil, err
	}
	payload := "../../events/create-job-faults.json"
	if y.payload != "" {
		payload = filepath.Join(dir, y.name+".json")
		if err := os.WriteFile(payload, []byte(y.payload), 0o600); err != nil {
			return nil, err
		}
	}
	s, told := &telling{}, error(nil)
	if y.tell != nil {
		told = errors.New("not at its end when the job was")
	}
	var out bytes.Buffer
	summary, err := Run(ctx, Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: taleDevices, Seed: seed, Faults: y.faults, Event: payload,
		Image: 1 << 10, Every: time.Minute, Timeout: 24 * time.Hour, Weather: weather, Template: template,
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			s.sched = sched
			if y.tell != nil {
				sched.Go("tale", func() { told = y.tell(s, context.WithoutCancel(ctx)) })
			}
		},
		opened: func(w *world) { s.w = w },
		over: func(ctx context.Context, _ *world, _ string) error {
			if y.judge == nil {
				return nil
			}
			return y.judge(s, ctx)
		},
	})
	if err == nil && y.faults == "" && summary.Succeeded != taleDevices {
		err = fmt.Errorf("%d of %d devices were upgraded", summary.Succeeded, taleDevices)
	}
	if err = errors.Join(err, told); err != nil {
		err = fmt.Errorf("tale %s, seed %d, weather %s: %w\n%s", y.name, seed, kinds, err, last(out.String()))
	}
	return summary, err
}

// TestTalesEndWellInBadWeather plays each tale once, or with as many seeds as
// make test-weather says.
func TestTalesEndWellInBadWeather(t *testing.T) {
	seeds := []uint64{1}
	if text := os.Getenv(weatherSeeds); text != "" {
		var err error
		if seeds, err = seedsOf(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, y := range tales[1:] {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%s, seed %d", y.name, seed), func(t *testing.T) {
				if _, err := y.play(t.Context(), t.TempDir(), seed, cmp.Or(y.weather, "bad"), nil); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestMendingsOfTheTemplateAreMissed plays a tale on a template in which a mending is
// switched off: a seed that is known to miss it. The others are in mutations.
func TestMendingsOfTheTemplateAreMissed(t *testing.T) {
	for _, m := range []struct {
		defect, text, by string
		weather          string
		seed             uint64
	}{
		{"a function whose process was killed is not tried again", `\"Runtime.ExitError\",`, ``, "killed=0.03", 1},
		{"nobody looks for what was lost", `"rate(1 minute)"`, `"rate(7 days)"`, "lost=0.3", 1},
	} {
		t.Run(m.defect, func(t *testing.T) {
			template := strings.ReplaceAll(string(infra.Template), m.text, m.by)
			if template == string(infra.Template) {
				t.Fatalf("the template has no %s any more", m.text)
			}
			y := tales[0]
			y.faults = "" // no failure but the defect's
			changed := infra.Versioned([]byte(template))
			if _, err := y.play(t.Context(), t.TempDir(), m.seed, m.weather, changed); err == nil {
				t.Errorf("seed %d does not miss it", m.seed)
			}
		})
	}
}
