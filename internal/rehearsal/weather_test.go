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
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
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

// askedSeeds are the seeds that weatherSeeds says, or the usual ones where it says nothing.
func askedSeeds(t *testing.T, usual ...uint64) []uint64 {
	t.Helper()
	text := os.Getenv(weatherSeeds)
	if text == "" {
		return usual
	}
	seeds, err := seedsOf(text)
	if err != nil {
		t.Fatal(err)
	}
	return seeds
}

// rarest are the kinds that hit one in a thousand, since a device has some dozens of messages in an upgrade, and a
// connection that breaks costs it seconds; or all calls of some minutes, and none in many others.
var rarest = []localcloud.WeatherKind{localcloud.WeatherCut, localcloud.WeatherImpaired}

// TestUpgradesOutliveBadWeather plays jobs on bad days: every device ends as its fault
// declares, and nothing is left behind.
func TestUpgradesOutliveBadWeather(t *testing.T) {
	usual, devices := []uint64{2, 3, 4}, 35
	if testing.Short() {
		usual = usual[:1]
	}
	seeds := askedSeeds(t, usual...)
	if os.Getenv(weatherSeeds) != "" {
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
		s, out, err := lead(t, Config{Devices: 24, Seed: 1, Weather: weather})
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
	timing        simulator.Timing
	weather       string // in which it ends well; "" is bad
	// pauses is how long after its beginning the job is paused, at the earliest and at the latest; slack how long
	// after that what had begun before may still come.
	pauses [2]time.Duration
	slack  time.Duration
	// silent is whether greetings are lost, but the first of each device.
	silent bool
	// tell, if set, is what happens meanwhile; judge looks at it when the job is over.
	tell  func(s *telling, ctx context.Context) error
	judge func(s *telling, ctx context.Context) error
}

// telling is a tale that is being told.
type telling struct {
	tale
	w           *world
	sched       *localcloud.Scheduler
	from, until time.Time // of a pause, or of an outage
	links       []*link   // all connections that there ever were
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
	// The end of a download comes with the answer to its command: no task waits for it yet.
	{
		name: "staged", payload: fmt.Sprintf(separateJob, ""), weather: "short=0.3,conflicts=0.3",
		judge: (*telling).waitedForNothing,
	},
	// Most devices have not begun when it is paused.
	{
		name: "pause", payload: fmt.Sprintf(separateJob, ""), pauses: [2]time.Duration{0, 20 * time.Second},
		slack: 6 * time.Minute, tell: (*telling).pause, judge: (*telling).heldWhilePaused,
	},
	// All devices are between two commands when it is paused.
	{
		name: "slow", payload: fmt.Sprintf(separateJob, ""), weather: "reordered=0.3,duplicated=0.3",
		timing: simulator.Timing{Download: [2]time.Duration{10 * time.Minute, 15 * time.Minute}},
		pauses: [2]time.Duration{3 * time.Minute, 8 * time.Minute}, slack: 30 * time.Second,
		tell: (*telling).pause, judge: (*telling).heldWhilePaused,
	},
	// The network fails as the job begins. Of a device that comes back the broker's word is all that there is.
	{
		name: "outage", payload: promptJob, silent: true, weather: "unanswered=0.3",
		tell: (*telling).outage, judge: (*telling).begunAsTheyCame,
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

// dark is how long no device can connect: some are at work already, and others' turn comes after a minute. back is how
// long after it the last one is connected: the pauses between its attempts have doubled some times.
const (
	dark = 70 * time.Second
	back = 15 * time.Minute
)

// wakes is how long after a pause all begin that had knocked, on a bad day. Who is forgotten begins when the clock
// has found it, an hour later.
const wakes = 45 * time.Minute

// begun waits until there is a job.
func (s *telling) begun(ctx context.Context) (job string, err error) {
	for {
		var out struct{ Jobs []struct{ JobID string } }
		if err := s.w.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err != nil {
			return "", err
		}
		if len(out.Jobs) > 0 {
			return out.Jobs[0].JobID, nil
		}
		if err := s.sched.Sleep(ctx, time.Second); err != nil {
			return "", err
		}
	}
}

// outage has all devices lose the network when there is a job, and find it again.
func (s *telling) outage(ctx context.Context) error {
	if _, err := s.begun(ctx); err != nil {
		return err
	}
	s.w.dark = true
	for _, l := range s.links {
		l.cut()
	}
	if err := s.sched.Sleep(ctx, dark); err != nil {
		return err
	}
	s.w.dark, s.until = false, s.sched.Now()
	return nil
}

// begunAsTheyCame looks whether each device began when it came back.
func (s *telling) begunAsTheyCame(ctx context.Context) error {
	starts, err := s.w.starts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range starts {
		if after := at.Sub(s.until); after > back {
			errs = append(errs, fmt.Errorf("an execution began %v after the outage", after))
		}
	}
	return errors.Join(errs...)
}

// greeted makes the agents' greetings be lost, but for the first of each.
func greeted() func(simulator.Publish) bool {
	once := map[usp.EndpointID]bool{}
	return func(p simulator.Publish) bool {
		r, err := usp.DecodeRecord(p.Payload)
		if err != nil || r.MQTTConnect == nil {
			return false
		}
		lost := once[r.From]
		once[r.From] = true
		return lost
	}
}

// pause pauses the job at a moment that the tale bounds, and resumes it later.
func (s *telling) pause(ctx context.Context) error {
	job, err := s.begun(ctx)
	if err != nil {
		return err
	}
	wait := func(d time.Duration) error { return s.sched.Sleep(ctx, d) }
	within := s.pauses[0] + time.Duration(s.sched.Rand().Int64N(int64(s.pauses[1]-s.pauses[0])))
	if err := wait(within.Truncate(time.Second)); err != nil {
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
			if at.After(s.from.Add(s.slack)) && at.Before(s.until) {
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
	s, told := &telling{tale: y}, error(nil)
	if y.tell != nil {
		told = errors.New("the job was over before its tale was")
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
		opened: func(w *world) {
			if s.w, w.timing = w, y.timing; y.silent {
				w.loses = greeted()
			}
			w.connected = func(l *link) { s.links = append(s.links, l) }
		},
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
	seeds := askedSeeds(t, 1)
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
