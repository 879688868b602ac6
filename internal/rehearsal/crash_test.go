package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// What the jobs here have in common.
const (
	crashVersion = "2.0.0"
	crashJob     = "job"
	crashGroup   = "demo"
	crashDevices = 4
)

// crash is the end of the cloud's process at one of its durable writes.
type crash struct {
	write int           // so many after the last crash, or after the job began
	lost  bool          // the write is not in the store; else nobody has heard of it
	down  time.Duration // until the cloud is started again
}

func (c crash) String() string {
	when := "after"
	if c.lost {
		when = "before"
	}
	return fmt.Sprintf("%s write %d, down for %s", when, c.write, c.down)
}

// stage is a cloud with the stack deployed, an image uploaded and the devices
// registered: where all jobs begin.
var stage = sync.OnceValues(func() (*world, error) {
	ctx := context.Background()
	w := &world{sched: localcloud.NewVirtual(1, start), seed: 1, store: localcloud.NewMemoryStore()}
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	if _, err := w.cloud.Deploy(ctx, stack, infra.Template, settled); err != nil {
		return nil, err
	}
	outputs, err := w.outputs(ctx)
	if err != nil {
		return nil, err
	}
	err = w.call(ctx, "s3", "PutObject", map[string]any{
		"Bucket": outputs["FirmwareBucketName"], "Key": crashVersion + "/gateway.bin",
		"Body": simulator.MakeImage(crashVersion, 4<<10, 1),
	}, nil)
	if err != nil {
		return nil, err
	}
	plan, err := w.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.register(ctx, plan); err != nil {
		return nil, err
	}
	w.sched.RunFor(time.Minute)
	return w, nil
})

func (w *world) outputs(ctx context.Context) (map[string]string, error) {
	template := w.template
	if template == nil {
		template = infra.Template
	}
	return w.cloud.Deploy(ctx, stack, template, settled) // changes nothing if it is there
}

func (w *world) plan(ctx context.Context) (trial.Plan, error) {
	outputs, err := w.outputs(ctx)
	if err != nil {
		return trial.Plan{}, err
	}
	p := trial.Plan{Policy: outputs["DevicePolicyName"], Group: crashGroup,
		Controller: usp.EndpointID(outputs["ControllerEndpointId"]), Seed: w.seed}
	for i := range crashDevices {
		p.Things = append(p.Things, simulator.ThingName(i+1))
	}
	return p, nil
}

// outage is a job during which the cloud's process dies.
type outage struct {
	*world
	ctx     context.Context
	log     []string
	crashes []crash // still to come
	faults  []*simulator.Fault
	links   []*link           // open, or closed by their agents
	left    *localcloud.Store // what a crash left, until the cloud is opened over it
	down    time.Duration
	took    time.Duration // from the job's creation to its end
	// meanwhile is done between the creation of the job and the wait for its end.
	meanwhile func() error

	iot    *iot.Client
	lambda *lambda.Client
	asker  *aws.Config // who asks for what a campaign is to do
}

// playCrashes plays a job to its end. An error tells what is wrong with it.
// The job has no window, or one that opens a while after its beginning.
func playCrashes(seed uint64, faultList string, crashes []crash, opens time.Duration) (s *outage, err error) {
	return playThrough(seed, faultList, crashes, func(s *outage) map[string]any {
		if opens == 0 {
			return nil
		}
		from := s.sched.Now().Add(opens)
		return map[string]any{"mode": "SEPARATE", "window": map[string]string{
			"start": from.Format("15:04"), "end": from.Add(time.Hour).Format("15:04"),
		}}
	})
}

// playThrough plays a job with such an activation; prepare may set what is done meanwhile.
func playThrough(seed uint64, faultList string, crashes []crash, prepare func(s *outage) (activation map[string]any)) (
	s *outage, err error) {
	if s, err = newOutage(seed, faultList, crashes); err != nil {
		return s, err
	}
	s.fleet.Start()
	s.arm()
	members := map[string]any{
		"jobId": crashJob, "firmware": map[string]string{"version": crashVersion},
		"targets":  []string{"arn:aws:iot:" + region + ":" + account + ":thinggroup/" + crashGroup},
		"rollout":  map[string]int{"maximumPerMinute": crashDevices - 1}, // the last one a minute later
		"abort":    map[string]any{"criteriaList": []any{}},
		"timeouts": map[string]int{"answerSeconds": 20, "downloadSeconds": 60, "rebootSeconds": 60},
	}
	if activation := prepare(s); activation != nil {
		members["activation"] = activation
	}
	payload, err := json.Marshal(members)
	if err != nil {
		return s, err
	}
	if err := s.play(func() error {
		_, err := cli.CreateJob(s.ctx, s.lambda, stack, payload)
		return err
	}); err != nil {
		return s, err
	}
	return s, s.judge()
}

// newOutage is the stage with agents that have not started yet.
func newOutage(seed uint64, faultList string, crashes []crash) (s *outage, err error) {
	base, err := stage()
	if err != nil {
		return nil, err
	}
	w := &world{sched: localcloud.NewVirtual(seed, base.sched.Now()), seed: seed, store: base.store.Copy(),
		certificates: base.certificates}
	s = &outage{world: w, ctx: context.Background(), crashes: crashes}
	w.firmware = resuming{s}
	w.connected = func(l *link) {
		s.links = append(slices.DeleteFunc(s.links, func(l *link) bool { return l.closed }), l)
	}
	if err := s.start(); err != nil {
		return s, err
	}
	plan, err := w.plan(s.ctx)
	if err != nil {
		return s, err
	}
	if plan.Faults, err = simulator.ParseFaults(faultList); err != nil {
		return s, err
	}
	if s.faults, err = plan.Faults.Assign(crashDevices, seed); err != nil {
		return s, err
	}
	return s, w.build(plan)
}

// play has the job made, and waits until it has ended and nothing is left of it.
func (s *outage) play(create func() error) error {
	began := s.sched.Now()
	if err := s.until("the job is created", func() (bool, string) {
		err := create()
		return err == nil, fmt.Sprint(err)
	}); err != nil {
		return err
	}
	if s.meanwhile != nil {
		if err := s.meanwhile(); err != nil {
			return err
		}
	}
	if err := s.until("the job ends", func() (bool, string) {
		state, err := cli.Describe(s.ctx, s.iot, crashJob)
		return err == nil && state.Ended(), fmt.Sprintf("%+v %v", state, err)
	}); err != nil {
		return err
	}
	s.took = s.sched.Now().Sub(began)
	return s.until("nothing is left", func() (bool, string) {
		left, err := s.residue()
		return len(left) == 0 && err == nil, fmt.Sprintf("%s %v", strings.Join(left, "\n"), err)
	})
}

// arm sets the next crash.
func (s *outage) arm() {
	if len(s.crashes) == 0 {
		return
	}
	c := s.crashes[0]
	s.crashes = s.crashes[1:]
	s.store.CrashAt(c.write, c.lost, func(left *localcloud.Store) {
		s.log = append(s.log, fmt.Sprintf("%s: crash %s", s.sched.Now().Sub(start), c))
		s.left, s.down = left, c.down
		s.life++
		for _, l := range s.links {
			l.lost("the broker is gone")
		}
		s.links = nil
	})
}

// start opens a cloud over the store, as "fleetstep local" does.
func (s *outage) start() error {
	if err := s.open(s.ctx); err != nil {
		return err
	}
	if _, err := s.outputs(s.ctx); err != nil {
		return err
	}
	cfg := s.operator()
	s.iot, s.lambda = iot.NewFromConfig(cfg), lambda.NewFromConfig(cfg)
	return nil
}

// until asks until the answer is yes, and starts the cloud again when it is
// dead.
func (s *outage) until(what string, ask func() (done bool, instead string)) error {
	instead := ""
	for began := s.sched.Now(); s.sched.Now().Sub(began) < 2*time.Hour; {
		if s.left == nil {
			var done bool
			if done, instead = ask(); done && s.left == nil {
				return nil
			}
		}
		if s.left != nil {
			if err := s.sched.Sleep(s.ctx, s.down); err != nil {
				return err
			}
			s.store, s.left = s.left, nil
			s.arm()
			if err := s.start(); err != nil && s.left == nil {
				return fmt.Errorf("start after a crash: %w", err)
			}
			continue
		}
		if err := s.sched.Sleep(s.ctx, time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("still waiting until %s: %s", what, instead)
}

// residue is what the operator's checks look at.
func (s *outage) residue() ([]string, error) {
	left := s.cloud.Residue(s.ctx)
	items, err := s.items()
	return append(left, items...), err
}

// items are those of the table that a finished job does not have.
func (s *outage) items() (left []string, err error) {
	outputs, err := s.outputs(s.ctx)
	if err != nil {
		return nil, err
	}
	return s.itemsOf(outputs["TableName"])
}

func (s *outage) itemsOf(table string) (left []string, err error) {
	var out struct {
		Items []map[string]struct{ S string }
	}
	if err := s.call(s.ctx, "dynamodb", "Scan", map[string]any{"TableName": table}, &out); err != nil {
		return nil, err
	}
	for _, item := range out.Items {
		switch kind, _, _ := strings.Cut(item["SK"].S, "#"); kind {
		case "CLAIM", "AWAIT", "PENDING", "NEWS":
			left = append(left, "item "+item["PK"].S+" "+item["SK"].S)
		}
		if strings.HasPrefix(item["PK"].S, "KNOCK#") || strings.HasPrefix(item["SK"].S, "LIFTED#") {
			left = append(left, "item "+item["PK"].S+" "+item["SK"].S)
		}
	}
	return left, nil
}

// judge compares what became of the devices with what should have.
func (s *outage) judge() error {
	var wrong []error
	failures, err := cli.Failures(s.ctx, s.iot, crashJob, crashDevices)
	if err != nil {
		return err
	}
	state, err := cli.Describe(s.ctx, s.iot, crashJob)
	if err != nil {
		return err
	}
	if state.Counts.Total() != crashDevices {
		wrong = append(wrong, fmt.Errorf("the job reached %d devices of %d", state.Counts.Total(), crashDevices))
	}
	failed := map[string]cli.Failure{}
	for _, f := range failures {
		failed[f.Thing] = f
	}
	for i, fact := range s.fleet.Facts() {
		f, bad := failed[fact.Thing]
		fault := s.faults[i]
		switch {
		case fault == nil && bad:
			wrong = append(wrong, fmt.Errorf("%s is healthy and ended with %s %s: %s; %+v", fact.Thing, f.Status,
				f.Reason, f.Detail, fact))
		case fault != nil && !(!bad && fault.Succeeds() || bad && f.Reason != "" && fault.Allows(f.Reason)):
			wrong = append(wrong, fmt.Errorf("%s (%s) ended with %q %s; %+v", fact.Thing, fault.Name, f.Reason,
				f.Detail, fact))
		case !bad && fact.Version != crashVersion:
			wrong = append(wrong, fmt.Errorf("%s is said to have succeeded and runs %s", fact.Thing, fact.Version))
		case fault == nil && (fact.Downloads != 1 || fact.Completed != 1):
			wrong = append(wrong, fmt.Errorf("%s downloaded %d times, %d of them to the end", fact.Thing,
				fact.Downloads, fact.Completed))
		}
	}
	return errors.Join(wrong...)
}

// resuming is how devices fetch firmware: while the cloud is away, S3 with it,
// a transfer waits, as a download client with resumption does.
type resuming struct{ s *outage }

func (r resuming) Do(req *http.Request) (*http.Response, error) {
	for {
		resp, err := client{handler: r.s.handler}.Do(req)
		if r.s.left == nil { // the dead answer nothing
			return resp, err
		}
		if err := errors.Join(req.Context().Err(), r.s.sched.Sleep(req.Context(), time.Second)); err != nil {
			return nil, err
		}
	}
}

// patience is how much longer a job may take for each crash, beside the time
// that the cloud was down: for agents to come back and to repeat their news, and
// for a look at a device that was lost to be repeated (answerSeconds). It is less
// than what a step waits for a report: nothing is lost that only a step's deadline
// brings to light.
const patience = 70 * time.Second

// lateSeed is a seed with which the device with the fault is the one whose turn comes last, a minute after the others.
// Whose turn that is is drawn, and drawn again where a crash comes before it: what the job takes may differ by a
// minute.
var lateSeed = sync.OnceValues(func() (uint64, error) {
	for seed := uint64(1); seed <= 100; seed++ {
		s, err := playCrashes(seed, "404", nil, 0)
		if err != nil {
			return 0, err
		}
		type summary struct {
			ThingArn            string
			JobExecutionSummary struct{ QueuedAt float64 }
		}
		var list struct{ ExecutionSummaries []summary }
		err = s.call(s.ctx, "iot", "ListJobExecutionsForJob", map[string]any{"jobId": crashJob}, &list)
		if err != nil {
			return 0, err
		}
		last := slices.MaxFunc(list.ExecutionSummaries, func(a, b summary) int {
			return cmp.Compare(a.JobExecutionSummary.QueuedAt, b.JobExecutionSummary.QueuedAt)
		})
		for i, fault := range s.faults {
			if fault != nil && strings.HasSuffix(last.ThingArn, "/"+simulator.ThingName(i+1)) {
				return seed, nil
			}
		}
	}
	return 0, errors.New("in none of 100 seeds is the turn of the device with the fault the last one")
})

// uncrashed is how long the job takes without a crash, by fault.
var uncrashed struct {
	sync.Mutex
	took map[string]time.Duration
}

// without is how long the job takes without a crash, where the device with the fault has its turn late.
func without(fault string) (time.Duration, error) {
	uncrashed.Lock()
	defer uncrashed.Unlock()
	if d, ok := uncrashed.took[fault]; ok {
		return d, nil
	}
	seed, err := lateSeed()
	if err != nil {
		return 0, err
	}
	s, err := playCrashes(seed, fault, nil, 0)
	if err != nil {
		return 0, err
	}
	if uncrashed.took == nil {
		uncrashed.took = map[string]time.Duration{}
	}
	uncrashed.took[fault] = s.took
	return s.took, nil
}

// survive plays a job with crashes and says what was wrong with it.
func survive(seed uint64, fault string, crashes []crash) (*outage, error) {
	usual, err := without(fault)
	if err != nil {
		return nil, fmt.Errorf("without a crash: %w", err)
	}
	s, err := playCrashes(seed, fault, slices.Clone(crashes), 0)
	limit := usual
	for _, c := range crashes {
		limit += c.down + patience
	}
	if err == nil && s.took > limit {
		err = fmt.Errorf("took %s, without crashes %s: something waited for its deadline", s.took, usual)
	}
	if err != nil {
		return s, fmt.Errorf("seed %d, fault %q\n%s\n%w", seed, fault, strings.Join(s.log, "\n"), err)
	}
	return s, nil
}

// TestJobsSurviveCrashes: whatever durable writes the cloud's process dies
// at, just before or just after them, the next process goes on, and the job
// ends as it would have: every device right, none downloads twice, nothing left,
// nothing saved by a deadline only.
func TestJobsSurviveCrashes(t *testing.T) {
	faults := []string{""}
	for _, f := range simulator.AllFaults {
		faults = append(faults, f.Name)
	}
	few(t, 25)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64Range(1, 1000).Draw(t, "seed")
		fault := rapid.SampledFrom(faults).Draw(t, "fault")
		crashes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) crash {
			return crash{
				write: rapid.IntRange(1, 450).Draw(t, "write"), lost: rapid.Bool().Draw(t, "lost"),
				down: rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Second}).Draw(t, "down"),
			}
		}), 1, 3).Draw(t, "crashes")
		if _, err := survive(seed, fault, crashes); err != nil {
			t.Fatal(err)
		}
	})
}

// checksAreSaid tells whether the command line or RAPID_CHECKS says how many checks; few itself does not count.
var checksAreSaid = sync.OnceValue(func() (said bool) {
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	return said || os.Getenv("RAPID_CHECKS") != ""
})

// few has a property checked so often, unless somebody says how often.
func few(t *testing.T, checks int) {
	if checksAreSaid() {
		return
	}
	usual := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", strconv.Itoa(checks)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", usual) })
}

// crashStep is how many writes lie between two at which a test has the cloud die: usual,
// or what FLEETSTEP_CRASHES says, "all" being 1.
func crashStep(usual int) int {
	said := os.Getenv("FLEETSTEP_CRASHES")
	if n, err := strconv.Atoi(said); err == nil && n > 0 {
		return n
	}
	if said == "all" {
		return 1
	}
	return usual
}

// TestAJobSurvivesACrashAtEachWrite looks at all writes of a job for
// healthy devices, with FLEETSTEP_CRASHES=all; else at some.
func TestAJobSurvivesACrashAtEachWrite(t *testing.T) {
	step := crashStep(61)
	for n := 1; ; n += step {
		for _, lost := range []bool{false, true} {
			s, err := survive(1, "", []crash{{write: n, lost: lost}})
			if err != nil {
				t.Error(err)
				continue
			}
			if len(s.log) == 0 {
				if n < 300 {
					t.Errorf("the job makes %d writes only: this test looks at another one", n)
				}
				return
			}
		}
	}
}

// TestParkedUpgradesSurviveACrashAtEachWrite looks at all writes of a job whose devices
// wait for their window outside of executions, with FLEETSTEP_CRASHES=all; else at
// some. None is missed in the window, none downloads twice, nothing is left.
func TestParkedUpgradesSurviveACrashAtEachWrite(t *testing.T) {
	step := crashStep(251)
	for n := 1; ; n += step {
		s, err := playCrashes(1, "", []crash{{write: n, lost: n%2 == 0}}, 10*time.Minute)
		switch {
		case err != nil:
			t.Errorf("%s\n%v", strings.Join(s.log, "\n"), err)
		case s.took > 75*time.Minute:
			t.Errorf("%s\ntook %s: a device missed its window", strings.Join(s.log, "\n"), s.took)
		case len(s.log) == 0:
			if n < 500 {
				t.Errorf("the job makes %d writes only: this test looks at another one", n)
			}
			return
		}
	}
}

// pausing pauses the job after a while, and resumes it after five minutes. Nobody is told
// anything meanwhile.
func (s *outage) pausing(after time.Duration) func() error {
	control := func(verb string) error {
		return s.until("the job is to "+verb, func() (bool, string) {
			err := s.control(s.ctx, verb, crashJob)
			return err == nil, fmt.Sprint(err)
		})
	}
	pass := func(d time.Duration) error {
		began := s.sched.Now()
		return s.until("time has passed", func() (bool, string) { return s.sched.Now().Sub(began) >= d, "" })
	}
	commands := func() (n int) {
		for _, f := range s.fleet.Facts() {
			n += f.Operates
		}
		return n
	}
	return func() error {
		if err := errors.Join(pass(after), control("pause"), pass(15*time.Second)); err != nil {
			return err
		}
		before := commands()
		if err := pass(285 * time.Second); err != nil {
			return err
		}
		if now := commands(); now != before {
			return fmt.Errorf("%d commands had been given when the pause began, %d at its end", before, now)
		}
		return control("resume")
	}
}

// TestAPausedJobSurvivesACrashAtEachWrite: pausing and resuming it, too, at whatever write
// the cloud dies, with FLEETSTEP_CRASHES=all; else at some. Who was held goes on.
func TestAPausedJobSurvivesACrashAtEachWrite(t *testing.T) {
	step := crashStep(251)
	for n := 1; ; n += step {
		s, err := playThrough(1, "", []crash{{write: n, lost: n%2 == 0}}, func(s *outage) map[string]any {
			s.meanwhile = s.pausing(time.Duration(n%5) * time.Second)
			return map[string]any{"mode": "SEPARATE"}
		})
		switch {
		case err != nil:
			t.Errorf("%s\n%v", strings.Join(s.log, "\n"), err)
		case s.took > 5*time.Minute+4*time.Minute+patience:
			t.Errorf("%s\ntook %s: somebody was not woken", strings.Join(s.log, "\n"), s.took)
		case s.took < 5*time.Minute:
			t.Errorf("%s\ntook %s: nobody was held", strings.Join(s.log, "\n"), s.took)
		case len(s.log) == 0:
			if n < 300 {
				t.Errorf("the job makes %d writes only: this test looks at another one", n)
			}
			return
		}
	}
}

// TestStackSurvivesCrashes: a deployment that is cut off goes on at the next
// start, and what it makes is what it would have made.
func TestStackSurvivesCrashes(t *testing.T) {
	base, err := stage()
	if err != nil {
		t.Fatal(err)
	}
	want, err := base.outputs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	step := crashStep(9)
	for n := 1; ; n += step {
		w := &world{sched: localcloud.NewVirtual(1, start), seed: 1, store: localcloud.NewMemoryStore()}
		var left *localcloud.Store
		w.store.CrashAt(n, n%2 == 0, func(l *localcloud.Store) { left = l })
		err := w.open(t.Context())
		if err == nil {
			_, err = w.outputs(t.Context())
		}
		if err == nil && left == nil {
			if n < 80 {
				t.Errorf("a deployment makes %d writes only: this test looks at another one", n)
			}
			return
		}
		if left == nil {
			t.Fatalf("crash at write %d: %v", n, err)
		}
		w.store = left
		if err := w.open(t.Context()); err != nil {
			t.Fatalf("crash at write %d: start: %v", n, err)
		}
		got, err := w.outputs(t.Context())
		if err != nil {
			t.Errorf("crash at write %d: %v", n, err)
			continue
		}
		// A custom resource that was asked for before the crash answers nobody, and
		// is given up after its function's third attempt.
		w.sched.RunFor(5 * time.Minute)
		// Names of resources are drawn, so that only which there are is compared.
		if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
			t.Errorf("crash at write %d: outputs %v, want %v", n, g, w)
		}
		if residue := w.cloud.Residue(t.Context()); len(residue) > 0 {
			t.Errorf("crash at write %d: left %q", n, residue)
		}
	}
}
