package functions

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaigncloudwatch "github.com/fleetstep/fleetstep/internal/campaign/cloudwatch"
	campaigndb "github.com/fleetstep/fleetstep/internal/campaign/dynamodb"
	campaigniot "github.com/fleetstep/fleetstep/internal/campaign/iot"
	campaigns3 "github.com/fleetstep/fleetstep/internal/campaign/s3"
	campaignsns "github.com/fleetstep/fleetstep/internal/campaign/sns"
	campaignsfn "github.com/fleetstep/fleetstep/internal/campaign/stepfunctions"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	workflowsts "github.com/fleetstep/fleetstep/internal/workflow/sts"
	"github.com/fleetstep/fleetstep/statemachines"
)

// CreateCampaign is the handler of create-campaign.
type CreateCampaign func(ctx context.Context, r event.CreateCampaignRequest) (campaign.Created, error)

// CampaignVerbs is the handler of approve-campaign, control-campaign and abort-campaign.
type CampaignVerbs func(ctx context.Context, r event.CampaignRequest) (campaign.Done, error)

// DescribeCampaign is the handler of describe-campaign.
type DescribeCampaign func(ctx context.Context, r event.DescribeCampaignRequest) (DescribedCampaigns, error)

// DescribedCampaigns is a list, one campaign, or devices of one.
type DescribedCampaigns struct {
	Campaigns []campaign.Summary `json:"campaigns,omitempty"`
	Campaign  *campaign.Report   `json:"campaign,omitempty"`
	Devices   *campaign.Devices  `json:"devices,omitempty"`
}

// RunCampaign is the handler of run-campaign: the steps of a campaign's state machine.
type RunCampaign func(ctx context.Context, in campaign.StepInput) (campaign.StepAnswer, error)

func (p *parts) campaigns() *campaigndb.Store {
	return campaigndb.New(dynamodb.NewFromConfig(p.cfg, workflowdb.Options), p.must(environment.Table))
}

func (p *parts) manifest() *campaigns3.Bucket {
	return campaigns3.New(p.s3(), p.must(environment.CampaignBucket))
}

// alarms are those of the account that gates of campaigns may name.
func (p *parts) alarms() *campaigncloudwatch.Alarms {
	return campaigncloudwatch.New(cloudwatch.NewFromConfig(p.cfg))
}

// answers is the callback of campaigns.
func (p *parts) answers() *campaignsfn.Client { return campaignsfn.New(sfn.NewFromConfig(p.cfg), "") }

// campaignExecutions are those of campaigns, and their callback.
func (p *parts) campaignExecutions() *campaignsfn.Client {
	machine := p.must(environment.StateMachines) + statemachines.Campaign + ":" + environment.Live
	return campaignsfn.New(sfn.NewFromConfig(p.cfg), machine)
}

func (p *parts) flagsOf(store *workflowdb.Store) campaignFlags {
	return campaignFlags{store, &workflow.Controller{Controls: store, Now: p.now}}
}

// campaignFlags are the flags of campaigns as package campaign needs them.
type campaignFlags struct {
	controls   workflow.Controls
	controller *workflow.Controller
}

// Flag implements campaign.Flags.
func (f campaignFlags) Flag(ctx context.Context, id event.CampaignID) (event.ControlState, bool, error) {
	flags, err := f.controls.Flags(ctx, event.CampaignOwner(id))
	return flags.Owner.State, flags.Everyone.Holds(), err
}

// SetFlag implements campaign.Flags.
func (f campaignFlags) SetFlag(ctx context.Context, id event.CampaignID, s event.ControlState, who, why string) error {
	_, _, err := f.controller.Set(ctx, event.CampaignOwner(id), s, who, why)
	if errors.Is(err, workflow.ErrStopped) {
		return campaign.ErrOver
	}
	return err
}

// carrier is the direct one: no job, PENDING and the queue of starts.
type carrier struct {
	direct *workflow.Carrier
	store  *workflowdb.Store
}

func (p *parts) carrier(store *workflowdb.Store) carrier {
	return carrier{&workflow.Carrier{Store: store, Waker: p.waker(), Flows: p.flows(""), Now: p.now}, store}
}

func entrant(e campaign.Entrant) workflow.Entrant {
	return workflow.Entrant{Thing: e.Thing, Document: e.Document, Window: e.Window, Standing: e.Standing,
		Staged: e.Staged}
}

// Admit implements campaign.Carrier.
func (c carrier) Admit(ctx context.Context, all []campaign.Entrant, over time.Duration) (int, int, error) {
	list := make([]workflow.Entrant, len(all))
	for i, e := range all {
		list[i] = entrant(e)
	}
	return c.direct.Admit(ctx, list, over)
}

// Withdraw implements campaign.Carrier.
func (c carrier) Withdraw(ctx context.Context, thing event.ThingName, id event.CampaignID, to event.StandState) (bool,
	error) {
	return c.direct.Withdraw(ctx, thing, id, to)
}

// LookAfter implements campaign.Carrier.
func (c carrier) LookAfter(ctx context.Context, id event.CampaignID, things []event.ThingName, over time.Duration,
) error {
	return c.direct.LookAfter(ctx, id, things, over)
}

// Exclude implements campaign.Carrier.
func (c carrier) Exclude(ctx context.Context, s event.Standing, thing event.ThingName) (bool, error) {
	err := c.store.Stand(ctx, thing, event.Shift{To: s}, nil)
	if errors.Is(err, workflow.ErrChanged) {
		return false, nil
	}
	return err == nil, err
}

// Again implements campaign.Carrier.
func (c carrier) Again(ctx context.Context, e campaign.Entrant, most int64) (bool, error) {
	return c.direct.Again(ctx, entrant(e), most)
}

// fleet finds devices in the registry and in files.
type fleet struct {
	things *campaigniot.Things
	files  *campaigns3.Bucket
}

// Find implements campaign.Fleet.
func (f fleet) Find(ctx context.Context, t campaign.Targets, from campaign.Place, pages int,
	page func([]campaign.Device) error) (next *campaign.Place, problems event.Problems, err error) {
	once, file := campaign.Once(page), campaigniot.FileStep(t)
	if from.Step < file {
		next, problems, err = f.things.Find(ctx, t, from, pages, once)
		if err != nil || next != nil {
			return next, problems, err
		}
	}
	if t.File == "" {
		return nil, problems, nil
	}
	more, err := f.files.Devices(ctx, t.File, once)
	return nil, append(problems, more...), err
}

// failures are the names with which operations fail whose names are known.
func failures() map[event.Operation][]event.ErrorName {
	return map[event.Operation][]event.ErrorName{upgrade.Operation: upgrade.NewForm(nil, upgrade.Rules{}).Errors}
}

// asker is whom a proof proves.
func asker(ctx context.Context, identities workflow.Identities, proof, subject string) (string, error) {
	if proof == "" {
		return event.Nobody, nil
	}
	return identities.Caller(ctx, proof, subject)
}

// NewCreateCampaign wires create-campaign, which plans and creates campaigns.
func NewCreateCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CreateCampaign, error) {
	p := newParts(ctx, env, cfg, now)
	manifest := p.manifest()
	creator := &campaign.Creator{CreatorPorts: campaign.CreatorPorts{
		Store: p.campaigns(), Manifest: manifest, Fleet: fleet{campaigniot.New(iot.NewFromConfig(p.cfg)), manifest},
		Alarms:     p.alarms(),
		Executions: p.campaignExecutions(), Forms: p.forms(), Images: upgrade.Operation,
		Stack: env.Get(environment.StackName), Now: p.now,
	}}
	identities, err := workflowsts.New(ctx, cfg, p.now)
	p.failed(err)
	if err := p.err("create-campaign"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, r event.CreateCampaignRequest) (campaign.Created, error) {
		log := p.logger(ctx)
		who, err := asker(ctx, identities, r.Proof, r.Subject())
		if err != nil {
			log.Error("nobody knows who asks", "error", err.Error())
			return campaign.Created{}, named(err)
		}
		created, err := creator.Create(ctx, r, who)
		if err != nil {
			log.Error("campaign not created", "who", who, "plan", r.Plan, "error", err.Error())
			return campaign.Created{}, named(err)
		}
		if s := created.Searching; s != nil {
			log.Info("devices searched for", logCampaign, created.Campaign, "who", who, "plan", r.Plan, "found",
				s.Found)
			return created, nil
		}
		log.Info("campaign created", logCampaign, created.Campaign, "who", who, "plan", r.Plan, "existed",
			created.Existed, "executionArn", created.Execution)
		return created, nil
	}, nil
}

// verbs wires a function of some verbs.
func verbs(ctx context.Context, env Env, cfg aws.Config, now func() time.Time, name string,
	which ...event.CampaignVerb) (CampaignVerbs, error) {
	p := newParts(ctx, env, cfg, now)
	store := p.store()
	controller := &campaign.Controller{ControllerPorts: campaign.ControllerPorts{
		Store: p.campaigns(), Counts: store, Flags: p.flagsOf(store), Callback: p.answers(), Now: p.now,
	}}
	if slices.Contains(which, event.VerbRetry) { // the others touch no device
		controller.Manifest, controller.Carrier = p.manifest(), p.carrier(store)
		controller.Errors = failures()
	}
	identities, err := workflowsts.New(ctx, cfg, p.now)
	p.failed(err)
	if err := p.err(name); err != nil {
		return nil, err
	}
	return func(ctx context.Context, r event.CampaignRequest) (campaign.Done, error) {
		log := p.logger(ctx, logCampaign, r.Campaign, "verb", r.Verb)
		if err := r.Check(which...); err != nil {
			log.Error("request refused", "error", err.Error())
			return campaign.Done{}, named(err)
		}
		who, err := asker(ctx, identities, r.Proof, r.Subject())
		if err != nil {
			log.Error("nobody knows who asks", "error", err.Error())
			return campaign.Done{}, named(err)
		}
		done, err := controller.Do(ctx, r, who)
		if err != nil {
			log.Error("not done", "who", who, "error", err.Error())
			return campaign.Done{}, named(err)
		}
		log.Info("done", "who", who, "changed", done.Changed, "state", done.State, "wave", done.Wave, "devices",
			done.Devices, "why", r.Why)
		return done, nil
	}, nil
}

// NewApproveCampaign wires approve-campaign, which says whether a wave may begin.
func NewApproveCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CampaignVerbs, error) {
	return verbs(ctx, env, cfg, now, "approve-campaign", event.VerbApprove, event.VerbDeny)
}

// NewControlCampaign wires control-campaign, which changes a campaign on its way.
func NewControlCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CampaignVerbs, error) {
	return verbs(ctx, env, cfg, now, "control-campaign", event.VerbPauseCampaign, event.VerbResumeCampaign,
		event.VerbSkip, event.VerbExclude, event.VerbRetry)
}

// NewAbortCampaign wires abort-campaign, which ends a campaign for good.
func NewAbortCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CampaignVerbs, error) {
	return verbs(ctx, env, cfg, now, "abort-campaign", event.VerbAbort)
}

// NewDescribeCampaign wires describe-campaign, which changes nothing.
func NewDescribeCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (DescribeCampaign,
	error) {
	p := newParts(ctx, env, cfg, now)
	store, records, manifest := p.store(), p.campaigns(), p.manifest()
	flags := p.flagsOf(store)
	lister := &campaign.Lister{Store: records, Manifest: manifest, Counts: store, Errors: failures(), Now: p.now}
	if err := p.err("describe-campaign"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, r event.DescribeCampaignRequest) (DescribedCampaigns, error) {
		if r.Campaign == "" {
			all, err := records.List(ctx)
			return DescribedCampaigns{Campaigns: all}, named(err)
		}
		if r.Devices != nil {
			page, err := listDevices(ctx, lister, store, r, p.now)
			if err != nil {
				p.logger(ctx, logCampaign, r.Campaign).Error("not listed", "error", err.Error())
				return DescribedCampaigns{}, named(err)
			}
			return DescribedCampaigns{Devices: &page}, nil
		}
		report, err := describe(ctx, records, manifest, store, flags, r, p.now())
		if err != nil {
			p.logger(ctx, logCampaign, r.Campaign).Error("not described", "error", err.Error())
			return DescribedCampaigns{}, named(err)
		}
		return DescribedCampaigns{Campaign: &report}, nil
	}, nil
}

// listDevices is a page of a campaign's devices, with what those wait for that have not begun, if that is asked.
func listDevices(ctx context.Context, lister *campaign.Lister, store *workflowdb.Store,
	r event.DescribeCampaignRequest, now func() time.Time) (campaign.Devices, error) {
	if err := r.Devices.Check(); err != nil {
		return campaign.Devices{}, err
	}
	page, err := lister.List(ctx, r.Campaign, *r.Devices)
	if err != nil || !r.Devices.Why {
		return page, err
	}
	owner := event.CampaignOwner(r.Campaign)
	flags, err := store.Flags(ctx, owner)
	if err != nil {
		return page, err
	}
	for i := range page.Devices {
		one := &page.Devices[i]
		if one.State.Over() || one.State == event.StandRunning {
			continue
		}
		d, err := store.Load(ctx, one.Thing)
		if err != nil {
			return page, err
		}
		waits, ok := d.Waits(owner, flags, now())
		if ok && (waits.For != event.WaitsWave || one.Waits == nil) { // its wave may be on its way
			one.Waits = &waits
		}
	}
	return page, nil
}

func describe(ctx context.Context, records campaign.Store, manifest campaign.Manifest, counts campaign.Counts,
	flags campaign.Flags, r event.DescribeCampaignRequest, now time.Time) (campaign.Report, error) {
	c, err := records.Load(ctx, r.Campaign)
	if err != nil {
		return campaign.Report{}, err
	}
	report, err := campaign.NewReport(ctx, manifest, counts, c)
	if err != nil {
		return report, err
	}
	own, everything, err := flags.Flag(ctx, r.Campaign)
	if err != nil {
		return report, err
	}
	report.Paused = !c.State.Over() && (everything || own == event.ControlPaused)
	report.Opens = c.Opens(now)
	if r.Log {
		report.Log, err = records.Log(ctx, r.Campaign)
	}
	return report, err
}

// halts counts the campaigns of which people are told that they have halted.
type halts struct {
	campaign.Bulletin
	emf *emf
}

// Announce implements campaign.Bulletin.
func (h halts) Announce(ctx context.Context, n campaign.Notice) error {
	err := h.Bulletin.Announce(ctx, n)
	if err == nil && n.Event == campaign.NoticeHalting {
		h.emf.count(metrics.CampaignsHalted, "", "")
	}
	return err
}

// NewRunCampaign wires run-campaign.
func NewRunCampaign(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (RunCampaign, error) {
	p := newParts(ctx, env, cfg, now)
	store := p.store()
	topic := campaignsns.New(sns.NewFromConfig(p.cfg, jobssns.Options), p.must(environment.CampaignTopic))
	machine := &campaign.Machine{MachinePorts: campaign.MachinePorts{
		Store: p.campaigns(), Manifest: p.manifest(), Counts: store, Flags: p.flagsOf(store), Alarms: p.alarms(),
		Callback: p.answers(), Bulletin: halts{topic, p.emf}, Now: p.now,
	}}
	if err := p.err("run-campaign"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in campaign.StepInput) (campaign.StepAnswer, error) {
		log := p.logger(ctx, logCampaign, in.Campaign, "step", in.Step, "wave", in.Wave)
		answer, err := machine.Take(ctx, in)
		if err != nil {
			log.Error("step not taken", "error", err.Error())
			return answer, named(err)
		}
		log.Info("step taken", "next", answer.Next, "why", answer.Why)
		return answer, nil
	}, nil
}

// driver does the campaigns' part of a tick.
func (p *parts) driver(store *workflowdb.Store) func(context.Context) error {
	executions := p.campaignExecutions()
	d := &campaign.Driver{DriverPorts: campaign.DriverPorts{
		Store: p.campaigns(), Manifest: p.manifest(), Counts: store, Flags: p.flagsOf(store),
		Carrier: p.carrier(store), Alarms: p.alarms(), Callback: executions, Executions: executions, Now: p.now,
	}}
	return func(ctx context.Context) error {
		did, err := d.Tick(ctx)
		if did.Stopped > 0 {
			p.emf.put(metrics.CampaignsStopped, "Count", float64(did.Stopped), "", "")
		}
		if did.Admitted+did.Closed+did.Stopped > 0 {
			p.logger(ctx).Info("campaigns", "open", did.Open, "admitted", did.Admitted, "closed", did.Closed,
				"stopped", did.Stopped)
		}
		return err
	}
}
