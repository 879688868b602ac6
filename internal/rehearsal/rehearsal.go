package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/statemachines"
)

// Config says what to rehearse. Zero values get the defaults in the comments.
type Config struct {
	Env     *cli.Env // Out and Err; its clock is not used
	Devices int
	Seed    uint64
	Faults  string // as simulator.ParseFaults reads them
	// Profiles are the models of the devices, as simulator.ParseProfiles reads them.
	Profiles string
	Event    string // file with create-job's payload
	// Operation is what the job does where it is set, instead of Event.
	Operation trial.Operation
	// Campaign is played instead of a job where its File is set.
	Campaign trial.Campaign
	// Workflows is a folder with operations beside those of the template: the files of
	// each as internal/operation has them. "" is none.
	Workflows string
	Image     int // bytes of the firmware image
	// Onboard has the devices be new to the registry: they are onboarded before the job.
	// Else nobody asks them what they are.
	Onboard bool
	// Timeout is the virtual time after which the job is given up: 8 days,
	// more than a job execution may take.
	Timeout time.Duration
	// Every is the virtual time between two looks at the job: 10 s.
	Every    time.Duration
	Template []byte // infra.Template
	// Wire makes every call of the SDK take the whole way, as text over HTTP.
	// By default those that a job makes most are handed over as they are.
	Wire bool
	// Logs keeps what functions and state machines log, for a Witness to read.
	Logs bool
	// Witness, if set, gets the cloud before anything is deployed on it: a test
	// may act on it while the job runs, and look at it afterwards.
	Witness func(*localcloud.Cloud, *localcloud.Scheduler)
	// Fault, if set, makes calls fail as AWS's do; see localcloud.Config.
	Fault localcloud.Fault
	// Weather is what AWS does on bad days, drawn from Seed as all else is; Quotas
	// are what the account may do. Both from the moment at which the stack is there.
	Weather localcloud.Weather
	Quotas  localcloud.Quotas
	// Shrink is how long to look, after a run that failed, for a smaller one that
	// fails, too.
	Shrink time.Duration

	// For tests: when it begins, and in which time zones the devices say that they are.
	at   time.Time
	zone func(thing string) string
	with map[string]string // parameters of the stack
	// For tests that record: opened has the world before anything is deployed, deployed
	// the stack's outputs,
	// over when the job has come to its end.
	opened   func(*world)
	deployed func(outputs map[string]string)
	over     func(ctx context.Context, w *world, job string) error
	// played has the summary of a campaign, nil if it did not come that far.
	played func(*CampaignSummary)
}

// Summary is the last line's document.
type Summary struct {
	trial.Summary
	Digest         string  `json:"digest"`
	VirtualSeconds float64 `json:"virtualSeconds"`
	Seconds        float64 `json:"seconds"` // of the machine's time; hides that of trial.Summary
	PeakMemoryMiB  int     `json:"peakMemoryMiB"`
	// Weather counts what AWS did on this bad day, Quotas how much of the account's
	// was used; nil where there were none.
	Weather *localcloud.WeatherReport `json:"weather,omitempty"`
	Quotas  *localcloud.QuotaReport   `json:"quotas,omitempty"`
}

// CampaignSummary is the last line's document of a campaign.
type CampaignSummary struct {
	trial.CampaignSummary
	VirtualSeconds float64                   `json:"virtualSeconds"`
	PeakMemoryMiB  int                       `json:"peakMemoryMiB"`
	Weather        *localcloud.WeatherReport `json:"weather,omitempty"`
	Quotas         *localcloud.QuotaReport   `json:"quotas,omitempty"`
}

// The account that is played, and the names in it.
const (
	account = "123456789012"
	region  = "us-east-1"
	stack   = "fleetstep"
)

// start is the moment at which every rehearsal begins.
var start = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// Run rehearses a job. It returns cli.ErrFailed if a device ended otherwise
// than it should, or something was left behind; the summary is nil if it did not
// come that far.
func Run(ctx context.Context, c Config) (*Summary, error) {
	summary, err := run(ctx, c)
	if errors.Is(err, cli.ErrFailed) && c.Shrink > 0 {
		Shrink(ctx, c, c.Shrink)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(c.Env.Err, "seed %d; to repeat this run: %s\n", c.Seed, c.command())
	}
	return summary, err
}

// command is what repeats a rehearsal.
func (c Config) command() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fleetstep rehearse --devices %d --seed %d --faults %q", c.Devices, c.Seed, c.Faults)
	if c.Profiles != "" {
		fmt.Fprintf(&b, " --profiles %q", c.Profiles)
	}
	if c.Campaign.File != "" {
		c.campaignFlags(&b)
	} else if c.Operation.Name != "" {
		fmt.Fprintf(&b, " --operation %s --input %q", c.Operation.Name, c.Operation.Input)
	} else {
		fmt.Fprintf(&b, " --event %q --image-size %d", c.Event, c.Image)
	}
	if c.Workflows != "" {
		fmt.Fprintf(&b, " --workflows %q", c.Workflows)
	}
	if c.Onboard {
		b.WriteString(" --onboard")
	}
	if !c.Weather.Fair() {
		fmt.Fprintf(&b, " --weather %s", c.Weather)
	}
	if c.Timeout > 0 {
		fmt.Fprintf(&b, " --timeout %s", c.Timeout)
	}
	if c.Every > 0 {
		fmt.Fprintf(&b, " --every %s", c.Every)
	}
	if only := c.Weather.Events(); only != "" {
		fmt.Fprintf(&b, " --weather-events %s", only)
	}
	if c.limited() {
		fmt.Fprintf(&b, " --quotas %s", c.Quotas)
	}
	return b.String()
}

// campaignFlags are those of the campaign that is played.
func (c Config) campaignFlags(b *strings.Builder) {
	p := c.Campaign
	fmt.Fprintf(b, " --campaign %q --image-size %d", p.File, c.Image)
	if p.Models > 0 {
		fmt.Fprintf(b, " --models %d", p.Models)
	}
	for _, flag := range []struct{ name, value string }{
		{"bad-image", p.BadImage}, {"bad-model", p.BadModel}, {"approve", p.Approve}, {"on-hold", p.OnHold},
		{"expect", p.Expect},
	} {
		if flag.value != "" {
			fmt.Fprintf(b, " --%s %q", flag.name, flag.value)
		}
	}
	if p.ByHand {
		b.WriteString(" --by-hand")
	}
}

// limited tells whether an account's quotas hold.
func (c Config) limited() bool { return c.Quotas != "" && c.Quotas != localcloud.NoQuotas }

// lateCopies is how long after the job's end the weather may still bring copies of
// what was sent while it ran, and what they lead to. Lambda tries a throttled event
// again after up to five minutes, and others after it.
const lateCopies = 2 * time.Hour

func run(ctx context.Context, c Config) (summary *Summary, err error) {
	if c.Timeout == 0 {
		c.Timeout = 8 * 24 * time.Hour
	}
	if c.Every == 0 {
		c.Every = 10 * time.Second
	}
	if c.Template == nil {
		c.Template = infra.Versioned(infra.Template)
	}
	began := time.Now()
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	if c.at.IsZero() {
		c.at = start
	}
	sched := localcloud.NewVirtual(c.Seed, c.at)
	env := *c.Env
	env.Now = sched.Now
	env.Sleep = func(ctx context.Context, d time.Duration) error {
		if err := sched.Sleep(ctx, d); err != nil {
			return err
		}
		return ctx.Err()
	}
	w := &world{sched: sched, seed: c.Seed, store: localcloud.NewMemoryStore(), wire: c.Wire, logs: c.Logs,
		fault: c.Fault, witness: c.Witness, zone: c.zone, weather: c.Weather, quotas: c.Quotas}
	if c.Workflows != "" {
		w.operations = os.DirFS(c.Workflows)
	}
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.cloud.Close(ctx)) }()
	if c.opened != nil {
		c.opened(w)
	}
	outputs, err := w.cloud.Deploy(ctx, stack, template, c.parameters())
	if err != nil {
		return nil, fmt.Errorf("deploy the stack %s: %w", stack, err)
	}
	if c.deployed != nil {
		c.deployed(outputs)
	}
	// The same devices in the same order, however many resources the template has.
	sched.Anew(c.Seed)
	w.cloud.BeginWeather()
	fmt.Fprintf(env.Out, "local cloud in virtual time, seed %d, ready in %d ms\n", c.Seed,
		time.Since(began).Milliseconds())
	patience := time.Duration(0)
	if !c.Weather.Fair() || c.limited() {
		patience = lateCopies
	}
	var campaign *CampaignSummary
	var operator *aws.Config
	if c.Campaign.File != "" {
		if operator, err = w.somebody(ctx, "operator"); err != nil {
			return nil, err
		}
	}
	err = trial.Run(ctx, trial.Config{
		Env: &env, AWS: w.operator(), Stack: stack, Devices: c.Devices, Event: c.Event,
		Operation: c.Operation, Faults: c.Faults, Profiles: c.Profiles, Seed: c.Seed, Onboard: c.Onboard,
		Image: c.Image, Timeout: c.Timeout, World: w, Every: c.Every, Patience: patience, Campaign: c.Campaign,
		Operator: operator, Disturbed: !c.Weather.Fair(),
		SummarizeCampaign: func(ctx context.Context, s trial.CampaignSummary) (any, error) {
			virtual := s.Seconds
			s.Seconds = float64(time.Since(began).Milliseconds()/10) / 100
			campaign = &CampaignSummary{
				CampaignSummary: s, VirtualSeconds: virtual, PeakMemoryMiB: int(peakMemory() >> 20),
				Weather: w.cloud.WeatherReport(), Quotas: w.cloud.QuotaReport(),
			}
			return campaign, nil
		},
		Summarize: func(ctx context.Context, s trial.Summary) (any, error) {
			if c.over != nil {
				if err := c.over(ctx, w, s.JobID); err != nil {
					return nil, err
				}
			}
			digest, err := w.digest(s.JobID)
			if err != nil {
				return nil, err
			}
			summary = &Summary{
				Summary: s, Digest: digest, VirtualSeconds: s.Seconds,
				Seconds: float64(time.Since(began).Milliseconds()/10) / 100, PeakMemoryMiB: int(peakMemory() >> 20),
				Weather: w.cloud.WeatherReport(), Quotas: w.cloud.QuotaReport(),
			}
			return summary, nil
		},
	})
	if c.played != nil {
		c.played(campaign)
	}
	return summary, err
}

// settled are the parameters of a stack whose devices are known already.
var settled = map[string]string{"OnboardingPerMinute": "0"}

func (c Config) parameters() map[string]string {
	all := maps.Clone(c.with)
	if all == nil {
		all = map[string]string{}
	}
	if !c.Onboard {
		maps.Copy(all, settled)
	}
	return all
}

// template is the stack's, with the operations of Workflows in it.
func (c Config) template() ([]byte, error) {
	if c.Workflows == "" {
		return c.Template, nil
	}
	return operation.WithFolder(c.Template, c.Workflows, statemachines.Has)
}

// open makes a cloud over what the store holds and starts it.
func (w *world) open(ctx context.Context) (err error) {
	w.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: w.sched, Store: w.store, Account: account, Region: region,
		Endpoint: endpoint, MQTTEndpoint: "broker.rehearsal", InProcess: w.function,
		DiscardLogs: !w.logs, Fault: w.fault, Weather: w.weather, Quotas: w.quotas,
	})
	if err != nil {
		return err
	}
	w.handler = w.cloud.Handler()
	if !w.wire {
		w.door = w.cloud
	}
	if w.witness != nil {
		w.witness(w.cloud, w.sched)
	}
	return w.cloud.Start(ctx)
}

// somebody is a user of the account with keys of its own, who can prove who it is.
func (w *world) somebody(ctx context.Context, name string) (*aws.Config, error) {
	if err := w.call(ctx, "iam", "CreateUser", map[string]any{"UserName": name}, nil); err != nil {
		return nil, err
	}
	var made struct {
		AccessKey struct{ AccessKeyID, SecretAccessKey string }
	}
	if err := w.call(ctx, "iam", "CreateAccessKey", map[string]any{"UserName": name}, &made); err != nil {
		return nil, err
	}
	return &aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(
		made.AccessKey.AccessKeyID, made.AccessKey.SecretAccessKey, "")}, nil
}

// operator is the configuration of one who may do everything.
func (w *world) operator() aws.Config { return w.config(w.cloud, rootClient(w)) }
