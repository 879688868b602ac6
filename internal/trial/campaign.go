package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaigniot "github.com/fleetstep/fleetstep/internal/campaign/iot"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Campaign says how a campaign is played, and how its operator behaves.
type Campaign struct {
	File   string // create-campaign's payload; "" plays a job
	Models int    // of the devices, model-1 and so on; 0 is none
	// BadImage is VERSION:SHARE: an image that does not boot on so many percent of the
	// devices; BadModel is a model on which none boots.
	BadImage, BadModel string
	// Approve is auto (after ten minutes), deny, or at=DURATION after it was asked for.
	Approve string
	// OnHold is what the operator says, as late, where a gate asks: continue, abort.
	OnHold string
	// Expect is the verdict that makes the trial a success: completed, halted, aborted.
	Expect string
	// By hand: nobody approves, and nobody answers a gate.
	ByHand bool
}

// CampaignSummary is the last line's document.
type CampaignSummary struct {
	CampaignID string `json:"campaignId"`
	Verdict    string `json:"verdict"`
	HaltedWave string `json:"haltedWave,omitempty"`
	HaltReason string `json:"haltReason,omitempty"`
	Devices    int    `json:"devices"`
	// BlastRadius counts devices that were sent a bad image; where it is staged, those that were to
	// run it.
	BlastRadius          int                `json:"blastRadius"`
	Succeeded            int                `json:"succeeded"`
	Failed               int                `json:"failed"`
	Held                 int                `json:"held"`
	Withdrawn            int                `json:"withdrawn"`
	Excluded             int                `json:"excluded,omitempty"`
	Stage                *CampaignStage     `json:"stage,omitempty"`
	Waves                []CampaignWave     `json:"waves"`
	InDangerPeak         int                `json:"inDangerPeak,omitempty"` // with a budget
	OpenExecutionsPeak   int                `json:"openExecutionsPeak"`
	HistoryEventsPerWave int                `json:"historyEventsPerWave"`
	Cost                 map[string]float64 `json:"cost"` // dollars for 1,000 upgrades, by carrier
	Seconds              float64            `json:"seconds"`
	PerUpgrade           PerUpgrade         `json:"perUpgrade"`
}

// CampaignStage is the stage in it, of a campaign that has one.
type CampaignStage struct {
	Planned  int        `json:"planned"`
	Admitted int        `json:"admitted"`
	Peak     int        `json:"stagedPeak"` // most devices that had their image and waited
	Began    *time.Time `json:"began"`
	Ended    *time.Time `json:"ended"`
}

// CampaignWave is a wave in it.
type CampaignWave struct {
	Name      string            `json:"name"`
	Planned   int               `json:"planned"`
	Admitted  int               `json:"admitted"`
	Succeeded int               `json:"succeeded"`
	Failed    map[string]int    `json:"failed"`
	Gate      *campaign.Verdict `json:"gate"`
	Began     *time.Time        `json:"began"`
	Ended     *time.Time        `json:"ended"`
}

// bootFails is the fault of a device on which a bad image does not boot.
const bootFails = simulator.BootFails

// operatorTakes is how long an operator takes to answer.
const operatorTakes = 10 * time.Minute

// played is a campaign on its way.
type played struct {
	*run
	api      cli.Campaigns
	id       string
	approve  time.Duration
	deny     bool
	bad      map[string]bool // versions of images that do not boot on some devices
	versions []string
	model    func(thing string) string
	asked    map[string]time.Time // when the operator was asked, by wave and phase
	peak     int
	danger   int // most devices that were in danger
	staged   int // most devices that were staged
	shown    string
	problems []string
	fleet    *simulator.Fleet
}

// campaign plays a campaign.
func (r *run) campaign(ctx context.Context) error {
	p := &played{run: r, bad: map[string]bool{}, asked: map[string]time.Time{},
		api: cli.Campaigns{AWS: r.AWS, Stack: r.Stack, Now: r.Env.Now, Asker: r.Operator}}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	p.printf("%d simulated agents; provisioning things and certificates", p.Devices)
	fleet, by, err := p.world().Fleet(ctx, Plan{
		Things: p.things, Policy: p.outputs["DevicePolicyName"], Group: p.group,
		Controller: usp.EndpointID(p.outputs["ControllerEndpointId"]), Topics: Topics(p.outputs), Faults: p.plan,
		Profiles: p.models, Seed: p.Seed, Model: p.model,
	})
	if err != nil {
		return err
	}
	p.fleet = fleet
	fleet.Start()
	defer fleet.Stop()
	if err := p.awaitAgents(ctx, fleet, by); err != nil {
		return err
	}
	if p.callsBefore, err = p.world().Calls(ctx); err != nil {
		return err
	}
	p.start = p.Env.Now()
	var out json.RawMessage
	err = p.persist(ctx, func() (err error) {
		out, err = p.api.Create(ctx, p.payload, false)
		return err
	})
	if err != nil {
		return err
	}
	var made struct{ CampaignID string }
	if err := json.Unmarshal(out, &made); err != nil || made.CampaignID == "" {
		return fmt.Errorf("create-campaign answered %s", out)
	}
	p.id = made.CampaignID
	p.printf("campaign %s of %s", p.id, strings.Join(p.versions, ", "))
	report, err := p.watch(ctx)
	if err != nil {
		return err
	}
	return p.conclude(ctx, report, fleet)
}

// prepare reads the payload and the stack, and uploads the images.
func (p *played) prepare(ctx context.Context) error {
	var err error
	usage := func(format string, args ...any) error {
		return cli.UsageError{Err: fmt.Errorf(format, args...)}
	}
	switch at, is := strings.CutPrefix(p.Campaign.Approve, "at="); {
	case p.Campaign.Approve == "" || p.Campaign.Approve == "auto":
		p.approve = operatorTakes
	case p.Campaign.Approve == "deny":
		p.approve, p.deny = operatorTakes, true
	case is:
		if p.approve, err = time.ParseDuration(at); err != nil {
			return usage("--approve %s: %w", p.Campaign.Approve, err)
		}
	default:
		return usage("--approve %q: one of auto, deny, at=DURATION", p.Campaign.Approve)
	}
	if h := p.Campaign.OnHold; h != "" && h != "continue" && h != "abort" {
		return usage("--on-hold %q: one of continue, abort", h)
	}
	if e := p.Campaign.Expect; e != "" && e != "completed" && e != "halted" && e != "aborted" {
		return usage("--expect %q: one of completed, halted, aborted", e)
	}
	if p.payload, err = os.ReadFile(p.Campaign.File); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	var asked struct {
		Images  []struct{ Firmware struct{ Version string } }
		Targets struct {
			Groups []string
			Query  string
		}
	}
	if err := json.Unmarshal(p.payload, &asked); err != nil {
		return fmt.Errorf("payload %s: %w", p.Campaign.File, err)
	}
	for i := range p.Devices {
		p.things = append(p.things, simulator.ThingName(i+1))
	}
	if p.Campaign.Models > 0 {
		number := map[string]int{}
		for i, thing := range p.things {
			number[thing] = i%p.Campaign.Models + 1
		}
		p.model = func(thing string) string { return "model-" + strconv.Itoa(number[thing]) }
	}
	if err := p.difficult(); err != nil {
		return cli.UsageError{Err: err}
	}
	if p.faults, err = p.plan.Assign(p.Devices, p.Seed); err != nil {
		return cli.UsageError{Err: err}
	}
	if p.models, err = simulator.ParseProfiles(p.Profiles); err != nil {
		return cli.UsageError{Err: err}
	}
	if p.profiles, err = p.models.Assign(p.faults, p.Seed); err != nil {
		return cli.UsageError{Err: err}
	}
	stack, err := p.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &p.Stack})
	if err != nil {
		return err
	}
	p.outputs = map[string]string{}
	for _, o := range stack.Stacks[0].Outputs {
		p.outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	p.machine, p.operation = p.outputs["StateMachineArn"], upgrade
	if p.Devices > campaigniot.MostDescribed || asked.Targets.Query != "" {
		if err := p.indexed(ctx); err != nil {
			return err
		}
	}
	if len(asked.Targets.Groups) > 0 {
		p.group = asked.Targets.Groups[0]
	}
	for _, image := range asked.Images {
		version := image.Firmware.Version
		p.versions = append(p.versions, version)
		text := simulator.MakeImage(version, p.Image, p.Seed)
		key := version + "/gateway.bin"
		_, err = p.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(p.outputs["FirmwareBucketName"]), Key: &key,
			Body: bytes.NewReader(text)})
		if err != nil {
			return err
		}
		p.printf("firmware %s: %d bytes at s3://%s/%s", version, len(text), p.outputs["FirmwareBucketName"], key)
	}
	return nil
}

// indexed switches fleet indexing on, as the owner of such a fleet has: campaigns of more devices need it, and those
// that search for theirs.
func (p *played) indexed(ctx context.Context) error {
	_, err := p.iot.UpdateIndexingConfiguration(ctx, &iot.UpdateIndexingConfigurationInput{
		ThingIndexingConfiguration: &iottypes.ThingIndexingConfiguration{
			ThingIndexingMode: iottypes.ThingIndexingModeRegistry,
		},
	})
	if err == nil {
		p.printf("fleet indexing is switched on: this campaign needs it")
	}
	return err
}

// difficult makes the faults of devices: those of --faults, and those of bad images.
func (p *played) difficult() error {
	text := p.Faults
	share := 0.0
	if p.Campaign.BadImage != "" {
		version, percent, ok := strings.Cut(p.Campaign.BadImage, ":")
		n, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
		if !ok || err != nil || n <= 0 || n > 100 {
			return fmt.Errorf("--bad-image %q: VERSION:SHARE, as 2.0.0:30%%", p.Campaign.BadImage)
		}
		share, p.bad[version] = n/100, true
	}
	if p.Campaign.BadModel != "" && p.model == nil {
		return errors.New("--bad-model needs --models")
	}
	taken := 0.0
	for i, thing := range p.things {
		taken += share // evenly over the devices, of which a hash chooses the waves
		switch {
		case taken >= 1-1e-9:
			taken--
		case p.model != nil && p.Campaign.BadModel == p.model(thing):
		default:
			continue
		}
		if text != "" {
			text += ","
		}
		text += bootFails + "@" + strconv.Itoa(i+1)
	}
	var err error
	p.plan, err = simulator.ParseFaults(text)
	return err
}

// passing are errors of a function that an operator meets with another try: it died, or
// AWS turned it away. Every verb may be repeated.
var passing = []string{"Runtime.ExitError", "Sandbox.Timedout", "Transient", "TooManyRequestsException",
	"ServiceException"}

// passes reports whether an error is one of those. What is not to be done at this moment is none, whatever it quotes.
func passes(err error) bool {
	return !strings.HasPrefix(err.Error(), "NothingToDo") && slices.ContainsFunc(passing, func(name string) bool {
		return strings.Contains(err.Error(), name)
	})
}

// persist makes a call until it is answered.
func (p *played) persist(ctx context.Context, call func() error) error {
	const most = 20
	for i := 1; ; i++ {
		err := call()
		if err == nil || i == most || !passes(err) {
			return err
		}
		if err := p.Env.Sleep(ctx, 2*time.Second); err != nil {
			return err
		}
	}
}

func (p *played) describe(ctx context.Context) (r campaign.Report, err error) {
	return r, p.persist(ctx, func() error {
		_, raw, err := p.api.Describe(ctx, p.id, false)
		if err == nil {
			r = campaign.Report{}
			err = json.Unmarshal(raw, &r)
		}
		return err
	})
}

// watch looks at the campaign until it is over, and is its operator.
func (p *played) watch(ctx context.Context) (campaign.Report, error) {
	for {
		r, err := p.describe(ctx)
		if err != nil {
			return r, err
		}
		p.look(r)
		if r.State.Over() || p.Env.Now().Sub(p.start) > p.Timeout {
			return r, nil
		}
		if !p.Campaign.ByHand {
			if err := p.operate(ctx, r); err != nil {
				return r, err
			}
		}
		if err := p.Env.Sleep(ctx, p.pollInterval()); err != nil {
			return r, err
		}
	}
}

// look checks what must hold at every moment, and shows what changed.
func (p *played) look(r campaign.Report) {
	p.peak, p.staged = max(p.peak, r.Devices.Running), max(p.staged, r.Devices.Staged)
	sum := 0
	for i, w := range r.Waves {
		sum += w.Planned
		if w.Devices.Planned < 0 || w.Devices.Total() != w.Planned {
			p.problem("wave %s of %d devices counts %+v", w.Name, w.Planned, w.Devices)
		}
		if i == 0 || w.Began == nil {
			continue
		}
		if last := r.Waves[i-1]; last.Gate == nil || last.Gate.Outcome == campaign.Fail || last.Ended == nil ||
			w.Began.Before(*last.Ended) {
			p.problem("wave %s began without the gate of %s", w.Name, last.Name)
		}
	}
	if r.Devices.Total() != sum || r.Devices.Planned < 0 {
		p.problem("%d devices count %+v", sum, r.Devices)
	}
	if b := r.Budget; b != nil {
		p.danger = max(p.danger, b.InDanger)
		if b.InDanger > b.Most || b.InDanger < 0 || r.State.Over() && b.InDanger != 0 {
			p.problem("%s: %d devices are in danger, of a budget of %d", r.State, b.InDanger, b.Most)
		}
	}
	if r.Phase == campaign.Staging {
		for i, f := range p.fleet.Facts() {
			if p.faults[i] == nil && f.Upgraded() {
				p.problem("%s runs %s before the first wave", f.Thing, f.Version)
			}
		}
	}
	n := r.Devices
	line := fmt.Sprintf("%s %s %s", r.State, r.Wave, r.Phase)
	if line != p.shown {
		p.shown = line
		excluded := ""
		if n.Excluded > 0 {
			excluded = fmt.Sprintf(", %d excluded", n.Excluded)
		}
		p.printf("%8s  %s: %d planned, %d admitted, %d waiting, %d running, %d staged, %d succeeded, %d failed, "+
			"%d held, %d withdrawn%s", p.Env.Now().Sub(p.start).Round(time.Second), strings.TrimSpace(line), n.Planned,
			n.Admitted, n.Waiting, n.Running, n.Staged, n.Succeeded, n.Failures(), n.Held, n.Withdrawn,
			excluded)
	}
}

func (p *played) problem(format string, args ...any) {
	const most = 20
	if text := fmt.Sprintf(format, args...); len(p.problems) < most {
		p.problems = append(p.problems, text)
	}
}

// operate gives the operator's word, a while after it was asked for.
func (p *played) operate(ctx context.Context, r campaign.Report) error {
	if r.Phase != campaign.Approval && r.Phase != campaign.Hold {
		return nil
	}
	key := r.Wave + " " + string(r.Phase)
	now := p.Env.Now()
	if p.asked[key].IsZero() {
		p.asked[key] = now
	}
	if now.Sub(p.asked[key]) < p.approve {
		return nil
	}
	v := event.CampaignRequest{Campaign: event.CampaignID(p.id), Verb: event.VerbApprove, Why: "the trial's operator"}
	switch failed := r.Devices.Failures(); {
	case r.Phase == campaign.Approval && p.deny:
		v.Verb = event.VerbDeny
	case r.Phase == campaign.Hold && p.Campaign.OnHold == "abort":
		v.Verb = event.VerbAbort
	case r.Phase == campaign.Hold:
		v.Verb, v.Failures = event.VerbResumeCampaign, &failed
	}
	err := p.persist(ctx, func() error {
		_, err := p.api.Do(ctx, v)
		return err
	})
	if err != nil && (strings.Contains(err.Error(), "NothingToDo") ||
		strings.Contains(err.Error(), "InvalidPayload")) {
		return nil // it has gone on since, or more have failed: the next look sees
	}
	return err
}

// standings are where devices stand at the end.
func (p *played) standings(ctx context.Context) (map[string]event.Standing, error) {
	found := map[string]event.Standing{}
	pages := dynamodb.NewScanPaginator(p.dynamodb, &dynamodb.ScanInput{
		TableName: aws.String(p.outputs["TableName"]), ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("SK = :sk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":sk": &types.AttributeValueMemberS{Value: "CAMPAIGN#" + p.id},
		},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Items {
			attempt := int64(0)
			if n, ok := i["attempt"].(*types.AttributeValueMemberN); ok {
				attempt, _ = strconv.ParseInt(n.Value, 10, 64)
			}
			s := event.Standing{State: event.StandState(text(i["state"])), Attempt: attempt}
			if n, ok := i["wave"].(*types.AttributeValueMemberN); ok {
				s.Wave, _ = strconv.Atoi(n.Value)
			}
			if i["error"] != nil {
				s.Error = event.ErrorName(text(i["error"]))
			}
			found[strings.TrimPrefix(text(i["PK"]), "DEVICE#")] = s
		}
	}
	return found, nil
}

// conclude compares what happened with what should have.
func (p *played) conclude(ctx context.Context, r campaign.Report, fleet *simulator.Fleet) error {
	seconds := p.Env.Now().Sub(p.start).Seconds()
	s := CampaignSummary{
		CampaignID: p.id, Verdict: strings.ToLower(string(r.State)), HaltedWave: r.HaltedIn, Devices: p.Devices,
		Succeeded: r.Devices.Succeeded, Failed: r.Devices.Failures(), Held: r.Devices.Held,
		Withdrawn: r.Devices.Withdrawn, Excluded: r.Devices.Excluded, OpenExecutionsPeak: p.peak,
		InDangerPeak: p.danger, Seconds: float64(int(seconds*10+0.5)) / 10,
	}
	if r.State == campaign.Halted {
		s.HaltReason = r.Why
	}
	if r.Stage != nil {
		s.Stage = &CampaignStage{Planned: r.Stage.Planned, Admitted: r.Stage.Admitted, Peak: p.staged,
			Began: r.Stage.Began, Ended: r.Stage.Ended}
	}
	s.Waves = []CampaignWave{}
	for _, w := range r.Waves {
		one := CampaignWave{Name: w.Name, Planned: w.Planned, Admitted: w.Admitted, Succeeded: w.Devices.Succeeded,
			Failed: map[string]int{}, Gate: w.Gate, Began: w.Began, Ended: w.Ended}
		for name, n := range w.Devices.Failed {
			one.Failed[string(name)] = n
		}
		s.Waves = append(s.Waves, one)
	}
	if err := p.judgeDevices(ctx, fleet, &s); err != nil {
		return err
	}
	left, err := p.residue(ctx)
	if err != nil {
		return err
	}
	p.problems = append(p.problems, left...)
	if s.HistoryEventsPerWave, err = p.history(ctx, r); err != nil {
		return err
	}
	after, err := p.world().Calls(ctx)
	if err != nil {
		return err
	}
	begun := s.Succeeded + s.Failed
	s.PerUpgrade = perUpgrade(p.callsBefore, after, p.Stack, begun)
	transitions, err := p.world().Transitions(ctx, p.machine)
	if err != nil {
		return err
	}
	if s.PerUpgrade.Transitions = transitions.PerUpgrade(); s.Stage != nil { // no execution is a whole upgrade
		s.PerUpgrade.Transitions = transitions.Each(begun)
	}
	s.Cost = costs(p.callsBefore, after, begun, s.PerUpgrade, transitions.All())
	expect := p.Campaign.Expect
	if expect == "" {
		expect = "completed"
	}
	if s.Verdict != expect {
		p.problem("the campaign is %s, expected was %s: %s", s.Verdict, expect, r.Why)
	}
	for _, problem := range p.problems {
		p.printf("PROBLEM: %s", problem)
	}
	var document any = s
	if p.SummarizeCampaign != nil {
		if document, err = p.SummarizeCampaign(ctx, s); err != nil {
			return err
		}
	}
	line, err := json.Marshal(document)
	if err != nil {
		return err
	}
	p.printf("SUMMARY %s", line)
	if len(p.problems) > 0 {
		return cli.ErrFailed
	}
	return nil
}

// judgeDevices holds what is said of each device to what it did.
func (p *played) judgeDevices(ctx context.Context, fleet *simulator.Fleet, s *CampaignSummary) error {
	standings, err := p.standings(ctx)
	if err != nil {
		return err
	}
	bad := len(p.bad) > 0 || p.Campaign.BadModel != ""
	for i, f := range fleet.Facts() {
		fault := p.faults[i]
		st, stands := standings[p.things[i]]
		sent := f.Downloads > 0
		if s.Stage != nil { // that it lies there does no harm
			sent = stands && (st.State == event.StandSucceeded || st.State == event.StandFailed) &&
				s.Waves[st.Wave].Began != nil
		}
		if bad && sent && (fault != nil && fault.Name == bootFails || len(p.bad) > 0) {
			s.BlastRadius++
		}
		if problem := p.judgeDevice(i, f, st, stands); problem != "" {
			p.problem("%s", problem)
		}
		if stands && f.Upgraded() && s.Waves[st.Wave].Began == nil {
			p.problem("%s runs %s, and its wave has not begun", p.things[i], f.Version)
		}
	}
	return nil
}

// judgeDevice is what is wrong with how a device stands, "" if nothing is.
func (p *played) judgeDevice(i int, f simulator.Facts, st event.Standing, stands bool) string {
	thing, fault := p.things[i], p.faults[i]
	expected, name := fault.On(p.profiles[i]), "healthy"
	if fault != nil {
		name = "fault " + fault.Name
	}
	switch as := string(st.Error); {
	case !stands && (f.Downloads > 0 || f.Upgraded()):
		return fmt.Sprintf("%s (%s) was never admitted, and downloaded %d times and runs %s", thing, name, f.Downloads,
			f.Version)
	case !stands:
	case !st.State.Over():
		return fmt.Sprintf("%s (%s) is %s at the end", thing, name, st.State)
	case st.State == event.StandSucceeded && !p.wanted(f.Version):
		return fmt.Sprintf("%s (%s) is said to have succeeded and runs %s", thing, name, f.Version)
	case st.State == event.StandSucceeded && !expected.Succeeds():
		return fmt.Sprintf("%s (%s) succeeded; expected %s", thing, name, expected.Ends)
	case st.State == event.StandFailed && fault == nil:
		return fmt.Sprintf("%s is healthy and failed with %s", thing, as)
	case st.State == event.StandFailed && as != expected.Ends && !(p.Disturbed && expected.Allows(as)):
		return fmt.Sprintf("%s (%s) failed with %s; expected %s", thing, name, as, expectation(expected))
	case fault != nil && !f.Fired && (st.State == event.StandSucceeded || st.State == event.StandFailed):
		return fmt.Sprintf("%s (%s) never showed its fault", thing, name)
	// Where the cloud loses messages, what is lost is asked for again.
	case fault == nil && f.Completed > 1 && st.Attempt == 1 && !p.Disturbed:
		return fmt.Sprintf("%s is healthy and downloaded %d times", thing, f.Completed)
	}
	return ""
}

func (p *played) wanted(version string) bool {
	for _, v := range p.versions {
		if v == version {
			return true
		}
	}
	return len(p.versions) == 0
}

// history is the most events that the campaign's execution has of one wave.
func (p *played) history(ctx context.Context, r campaign.Report) (most int, err error) {
	if r.Execution == "" {
		return 0, nil
	}
	n := 0
	pages := sfn.NewGetExecutionHistoryPaginator(p.sfn, &sfn.GetExecutionHistoryInput{
		ExecutionArn: &r.Execution, IncludeExecutionData: aws.Bool(false),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		for _, e := range page.Events {
			// A wave begins where the machine looks whether there is another; the end is no wave's.
			if d := e.StateEnteredEventDetails; d != nil {
				if name := aws.ToString(d.Name); name == "Choose" || name == "Close" {
					n = 0
				}
			}
			n++
			most = max(most, n)
		}
	}
	return most, nil
}
