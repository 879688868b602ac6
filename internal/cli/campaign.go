package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
)

// The functions of campaigns, by the last part of their names.
const (
	createCampaign   = "create-campaign"
	describeCampaign = "describe-campaign"
)

// verbFunctions are the functions that take an operator's verbs.
var verbFunctions = map[event.CampaignVerb]string{
	event.VerbApprove: "approve-campaign", event.VerbDeny: "approve-campaign",
	event.VerbPauseCampaign: "control-campaign", event.VerbResumeCampaign: "control-campaign",
	event.VerbSkip: "control-campaign", event.VerbExclude: "control-campaign", event.VerbRetry: "control-campaign",
	event.VerbAbort: "abort-campaign",
}

// Campaigns reaches the functions of a stack, as whoever a configuration is of.
type Campaigns struct {
	AWS   aws.Config
	Stack string
	Now   func() time.Time
	// Asker is who is proved to ask, where that is another than makes the calls.
	Asker *aws.Config
	// Progress hears how many devices were found, while a large fleet is searched; nil hears nothing.
	Progress func(found int)
}

func (c Campaigns) prove(ctx context.Context, subject string) (string, error) {
	if c.Asker != nil {
		return Prove(ctx, *c.Asker, subject, c.Now())
	}
	return Prove(ctx, c.AWS, subject, c.Now())
}

// NumbersView are how many devices stand where.
type NumbersView struct {
	Planned, Admitted, Waiting, Running, Staged, Succeeded, Held, Withdrawn, Excluded int

	Failed map[string]int
}

// Failures is how many failed.
func (n NumbersView) Failures() (all int) {
	for _, k := range n.Failed {
		all += k
	}
	return all
}

func (n NumbersView) total() int {
	return n.Planned + n.Admitted + n.Waiting + n.Running + n.Staged + n.Succeeded + n.Failures() + n.Held +
		n.Withdrawn + n.Excluded
}

// String is a line.
func (n NumbersView) String() string {
	text := fmt.Sprintf("%d planned, %d admitted, %d waiting, %d running, %d succeeded, %d failed", n.Planned,
		n.Admitted, n.Waiting, n.Running, n.Succeeded, n.Failures())
	if n.Staged > 0 {
		text += fmt.Sprintf(", %d staged", n.Staged)
	}
	if n.Held+n.Withdrawn > 0 {
		text += fmt.Sprintf(", %d held, %d withdrawn", n.Held, n.Withdrawn)
	}
	if n.Excluded > 0 {
		text += fmt.Sprintf(", %d excluded", n.Excluded)
	}
	return text
}

// VerdictView is a gate's.
type VerdictView struct {
	Verdict, Why string
	Lower, Upper float64
	N            int
}

// CampaignView is a campaign as the commands show it.
type CampaignView struct {
	CampaignID, State, Why, HaltedIn, Phase, Wave, By string

	Paused    bool
	Opens     *time.Time
	Created   time.Time
	Ended     *time.Time
	Execution string `json:"executionArn"`
	Devices   NumbersView
	Budget    *struct{ Most, InDanger int }
	Stage     *struct {
		Planned, Admitted int
		Late              bool
		Began, Ended      *time.Time
	}
	Waves []struct {
		Name, Cut string

		Planned, Needs       int
		Admitted             int
		Devices              NumbersView
		Gate                 *VerdictView
		Late                 bool
		Began, Baking, Ended *time.Time
		First                []struct{ ThingName, Model, Error string }
	}
	Log []struct {
		At                   time.Time
		Verb, Who, Why, Wave string
		Error, Model         string // of a retry
		Devices              int
	}
	LeftOver []string
	// ExecutionEnded is set if its execution ended before the campaign did.
	ExecutionEnded *struct{ Text, Remedy string }
}

// Over reports whether the campaign changes no more.
func (c CampaignView) Over() bool {
	return slices.Contains([]string{"COMPLETED", "HALTED", "ABORTED"}, c.State)
}

func (c Campaigns) invoke(ctx context.Context, function string, r any) (json.RawMessage, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return call(ctx, lambda.NewFromConfig(c.AWS), c.Stack+"-"+function, payload)
}

// Create makes a campaign of a payload, or with plan only says what it would come to. A large
// fleet is found in several calls.
func (c Campaigns) Create(ctx context.Context, payload []byte, plan bool) (json.RawMessage, error) {
	if !json.Valid(payload) {
		return nil, UsageError{errors.New("the payload is not JSON")}
	}
	r := event.CreateCampaignRequest{Campaign: payload, Plan: plan}
	// What the function gets is compact: the proof is of that.
	compact, err := json.Marshal(r.Campaign)
	if err != nil {
		return nil, err
	}
	r.Campaign = compact
	for {
		if r.Proof, err = c.prove(ctx, r.Subject()); err != nil {
			return nil, err
		}
		out, err := c.invoke(ctx, createCampaign, r)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Searching *struct {
				Found int
				After string
			}
		}
		if err := json.Unmarshal(out, &answer); err != nil || answer.Searching == nil {
			return out, nil // who reads it says if it is none
		}
		if answer.Searching.After == r.After {
			return nil, fmt.Errorf("%s-%s searches on at the same place, %s", c.Stack, createCampaign, r.After)
		}
		if r.After = answer.Searching.After; c.Progress != nil {
			c.Progress(answer.Searching.Found)
		}
	}
}

// Describe tells of one campaign.
func (c Campaigns) Describe(ctx context.Context, id string, log bool) (CampaignView, json.RawMessage, error) {
	var view CampaignView
	r := event.DescribeCampaignRequest{Campaign: event.CampaignID(id), Log: log}
	out, err := c.invoke(ctx, describeCampaign, r)
	if err != nil {
		return view, nil, err
	}
	var answer struct{ Campaign json.RawMessage }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Campaign == nil {
		return view, nil, fmt.Errorf("%s-%s answered %s, which has no campaign", c.Stack, describeCampaign, out)
	}
	if err := json.Unmarshal(answer.Campaign, &view); err != nil {
		return view, nil, fmt.Errorf("%s-%s: %w", c.Stack, describeCampaign, err)
	}
	return view, answer.Campaign, nil
}

// campaignFlags are those that every command of campaigns has.
type campaignFlags struct {
	env   *Env
	stack string
	json  bool
}

func (f *campaignFlags) on(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&f.stack, "stack", "fleetstep", "name of the deployed stack")
	c.Flags().BoolVar(&f.json, "json", false, "print the answer as JSON")
	return c
}

func (f *campaignFlags) campaigns(ctx context.Context) (Campaigns, error) {
	cfg, err := f.env.Load(ctx)
	return Campaigns{AWS: cfg, Stack: f.stack, Now: f.env.Now}, err
}

func campaign(env *Env) *cobra.Command {
	c := &cobra.Command{Use: "campaign",
		Short: "Plan, create, watch and control campaigns: a fleet over days, wave by wave"}
	Group(c)
	c.AddCommand(campaignCreate(env, false), campaignCreate(env, true), campaignList(env), campaignDescribe(env),
		campaignDevices(env), campaignWatch(env), campaignReport(env))
	for _, v := range campaignVerbs {
		c.AddCommand(campaignVerb(env, v))
	}
	return c
}

func oneCampaign(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return UsageError{fmt.Errorf("%s takes one argument, the campaign id (see %s --help)", c.CommandPath(),
			c.CommandPath())}
	}
	return nil
}

func campaignCreate(env *Env, plan bool) *cobra.Command {
	f := &campaignFlags{env: env}
	var file string
	c := &cobra.Command{
		Use: "create --file FILE", Short: "Create a campaign from a payload, and begin it",
		Long: `Plans a campaign and creates it, by invoking the stack's create-campaign function.
The same payload again gives the same campaign; the answer then says that it
existed. All mistakes in the payload and in its plan are reported at once, each with
its path. A campaign that cannot fit is refused, with the number that must change. Targets
of which no device is eligible give no campaign: exit code 3.`,
		Example: "  fleetstep campaign create --file events/create-campaign-demo.json",
		Args:    NoArgs,
	}
	if plan {
		c.Use, c.Short = "plan --file FILE", "Show the plan of a campaign, and create nothing"
		c.Long = `Shows how large each wave would be, how long it would take, what it would cost, which
devices are not eligible and why, and what cannot fit. Nothing is created.`
		c.Example = "  fleetstep campaign plan --file events/create-campaign.json"
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" {
			return UsageError{errors.New("give --file, - for standard input")}
		}
		payload, err := os.ReadFile(file)
		if file == "-" {
			payload, err = io.ReadAll(env.In)
		}
		if err != nil {
			return err
		}
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		if !f.json {
			api.Progress = func(found int) { fmt.Fprintf(env.Out, "found %d devices, searching on\n", found) }
		}
		out, err := api.Create(c.Context(), payload, plan)
		if err != nil {
			return err
		}
		if f.json {
			return env.json(out)
		}
		var made struct {
			CampaignID string
			Existed    bool
			State      string
			Plan       *planView
		}
		if err := json.Unmarshal(out, &made); err != nil || made.CampaignID == "" {
			return fmt.Errorf("%s-%s answered %s, which has no campaign", f.stack, createCampaign, out)
		}
		if made.Plan != nil {
			made.Plan.print(env.Out)
		}
		switch {
		case plan:
		case made.Existed:
			fmt.Fprintf(env.Out, "campaign %s existed, %s\n", made.CampaignID, made.State)
		default:
			fmt.Fprintf(env.Out, "campaign %s begins\n", made.CampaignID)
		}
		return nil
	}
	c.Flags().StringVarP(&file, "file", "f", "", "payload as a JSON file, - for standard input")
	return f.on(c)
}

// planView is a plan as it is shown.
type planView struct {
	Total       int
	NotEligible map[string]int
	Examples    map[string][]string // devices, by the same reasons
	Waves       []struct {
		Name                                               string
		Asked, Size, Needs, Minutes, BakeMinutes, MaxHours int
		Approval                                           bool
		Gate                                               struct{ Success float64 }
	}
	Stage    *struct{ Minutes, MaxHours int }
	Notes    []string
	Estimate struct {
		Minutes     int
		Dollars     float64
		EgressBytes int64
		Limit, Ends string
	}
}

func (p *planView) print(out io.Writer) {
	fmt.Fprintf(out, "%d devices\n", p.Total)
	for _, reason := range sortedKeys(p.NotEligible) {
		text := fmt.Sprintf("%d devices not eligible: %s", p.NotEligible[reason], reason)
		if some := p.Examples[reason]; len(some) > 0 {
			text += ", such as " + strings.Join(some[:min(len(some), mostNamed)], ", ")
		}
		fmt.Fprintln(out, text)
	}
	if s := p.Stage; s != nil {
		fmt.Fprintf(out, "stage: all download in %d minutes, at most %d hours\n", s.Minutes, s.MaxHours)
	}
	for _, w := range p.Waves {
		approval := ""
		if w.Approval {
			approval = ", after an approval"
		}
		fmt.Fprintf(out, "wave %s: %d devices in %d minutes, %d minutes to bake; its gate of %.1f %% needs %d%s\n",
			w.Name, w.Size, w.Minutes, w.BakeMinutes, 100*w.Gate.Success, w.Needs, approval)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
	egress := ""
	if n := p.Estimate.EgressBytes; n > 0 {
		egress = fmt.Sprintf(", which is %.3g GB", float64(n)/1e9)
	}
	fmt.Fprintf(out, "about %s without approvals, until %s; about $%.2f without egress%s; first limit: %s\n",
		time.Duration(p.Estimate.Minutes)*time.Minute, p.Estimate.Ends, p.Estimate.Dollars, egress, p.Estimate.Limit)
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func campaignList(env *Env) *cobra.Command {
	f := &campaignFlags{env: env}
	c := &cobra.Command{Use: "list", Short: "List campaigns, the newest first", Args: NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		out, err := api.invoke(c.Context(), describeCampaign, event.DescribeCampaignRequest{})
		if err != nil {
			return err
		}
		answer := struct{ Campaigns json.RawMessage }{json.RawMessage("[]")} // the answer has none of none
		var all []struct {
			CampaignID, State, Wave, By string
			ExecutionEnded              string
			Devices, Priority           int
			Created                     time.Time
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			return err
		}
		if err := json.Unmarshal(answer.Campaigns, &all); err != nil {
			return err
		}
		if f.json {
			return env.json(answer.Campaigns)
		}
		for _, one := range all {
			if one.ExecutionEnded != "" {
				one.State += " (execution " + one.ExecutionEnded + ")"
			}
			fmt.Fprintf(env.Out, "%s  %s  %d devices  %s  %s  %s\n", one.CampaignID, one.State, one.Devices, one.Wave,
				one.Created.UTC().Format(time.RFC3339), one.By)
		}
		return nil
	}
	return f.on(c)
}

func campaignDescribe(env *Env) *cobra.Command {
	f := &campaignFlags{env: env}
	var why bool
	c := &cobra.Command{Use: "describe CAMPAIGN",
		Short: "Show a campaign: its waves, their gates, and who did what",
		Long: `Shows a campaign: its waves, their gates, and who did what. --why also says for what devices
wait that do not begin: that they are away, that a job or another campaign is at work on them.`,
		Args: oneCampaign}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		view, raw, err := api.Describe(c.Context(), args[0], true)
		if err != nil {
			return err
		}
		var waiting []ListedDevice
		more := false
		if why && !view.Over() {
			if waiting, more, err = api.Waiting(c.Context(), view); err != nil {
				return err
			}
		}
		if f.json && !why {
			return env.json(raw)
		}
		if f.json {
			var all map[string]any
			if err := json.Unmarshal(raw, &all); err != nil {
				return err
			}
			all["waiting"] = waits(waiting)
			return env.json(all)
		}
		view.print(env.Out)
		explain(env.Out, waiting, more)
		return nil
	}
	c.Flags().BoolVar(&why, "why", false, "for what devices wait that do not begin: of the first hundred")
	return f.on(c)
}

func campaignReport(env *Env) *cobra.Command {
	f := &campaignFlags{env: env}
	c := &cobra.Command{Use: "report CAMPAIGN",
		Short: "Show the result of a campaign that is over, and the devices that are left over", Args: oneCampaign}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		view, raw, err := api.Describe(c.Context(), args[0], true)
		switch {
		case err != nil:
			return err
		case !view.Over():
			return fmt.Errorf("campaign %s is %s: there is a report when it is over", args[0], view.State)
		case f.json:
			return env.json(raw)
		}
		view.print(env.Out)
		for _, thing := range view.LeftOver {
			fmt.Fprintln(env.Out, "left over: "+thing)
		}
		d := view.Devices
		if all := d.Planned + d.Held + d.Withdrawn; all > len(view.LeftOver) {
			fmt.Fprintf(env.Out, "these are the first %d of %d that are left over\n", len(view.LeftOver), all)
		}
		return nil
	}
	return f.on(c)
}

func (c CampaignView) print(out io.Writer) {
	fmt.Fprintln(out, c.line())
	fmt.Fprintf(out, "created %s by %s\n", c.Created.UTC().Format(time.RFC3339), c.By)
	if c.Opens != nil {
		fmt.Fprintf(out, "no device begins before %s, by start, windows or blackout\n",
			c.Opens.UTC().Format(time.RFC3339))
	}
	if b := c.Budget; b != nil {
		fmt.Fprintf(out, "%d devices in danger, of a budget of %d\n", b.InDanger, b.Most)
	}
	if s := c.Stage; s != nil {
		fmt.Fprintf(out, "stage: %d of %d told to download, %d have their image and wait\n", s.Admitted, s.Planned,
			c.Devices.Staged)
	}
	for _, w := range c.Waves {
		fmt.Fprintf(out, "wave %s of %d: %s\n", w.Name, w.Planned, w.Devices)
		if w.Late {
			fmt.Fprintln(out, "  its time was over, by its maxHours or the campaign's end, before all but a few "+
				"had ended")
		}
		for _, name := range sortedKeys(w.Devices.Failed) {
			fmt.Fprintf(out, "  %d × %s\n", w.Devices.Failed[name], name)
		}
		if w.Gate != nil {
			fmt.Fprintf(out, "  gate: %s, %s\n", w.Gate.Verdict, w.Gate.Why)
		}
		for _, d := range w.First {
			fmt.Fprintf(out, "  %s %s\n", d.ThingName, d.Error)
		}
	}
	for _, e := range c.Log {
		text := e.At.UTC().Format(time.RFC3339) + " " + e.Verb
		if e.Wave != "" {
			text += " " + e.Wave
		}
		for _, of := range []string{e.Error, e.Model} {
			if of != "" {
				text += " " + of
			}
		}
		if e.Devices > 0 {
			text += fmt.Sprintf(" of %d devices", e.Devices)
		}
		fmt.Fprintln(out, strings.TrimSpace(text+" by "+e.Who+" "+e.Why))
	}
}

// line is a campaign in a line.
func (c CampaignView) line() string {
	text := "campaign " + c.CampaignID + " " + c.State
	if c.Paused {
		text += ", paused"
	}
	if c.Wave != "" {
		text += ", wave " + c.Wave + " " + strings.ToLower(c.Phase)
	}
	text += ": " + c.Devices.String()
	if c.Why != "" {
		text += "; " + c.Why
	}
	if e := c.ExecutionEnded; e != nil {
		text += "; " + e.Text + ": " + e.Remedy
	}
	return text
}

// watchPatience is how long a command that watches goes on without an answer: a campaign takes days, and 1 is the exit
// code of one that was halted.
const watchPatience = 5 * time.Minute

func campaignWatch(env *Env) *cobra.Command {
	f := &campaignFlags{env: env}
	c := &cobra.Command{Use: "watch CAMPAIGN", Short: "Show what changes, until a campaign is over",
		Long: `Shows a line whenever something changes. Exit code 0 if the campaign was completed,
1 if it was halted or aborted, or if there is no answer for five minutes, 3 if no device was
in it. Ctrl-C ends the command with 130; the campaign goes on.`, Args: oneCampaign}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		heard := env.Now()
		for last := ""; ; {
			view, raw, err := api.Describe(c.Context(), args[0], false)
			switch passes := last != "" && env.Now().Sub(heard) < watchPatience && c.Context().Err() == nil; {
			case err != nil && !passes:
				return err
			case err != nil:
				if err := env.Sleep(c.Context(), 2*time.Second); err != nil {
					return err
				}
				continue
			}
			heard = env.Now()
			if line := view.line(); line != last {
				last = line
				if f.json {
					err = env.json(raw)
				} else {
					_, err = fmt.Fprintln(env.Out, line)
				}
				if err != nil {
					return err
				}
			}
			switch {
			case view.State == "COMPLETED" && view.Devices.total() == 0:
				return NobodyError{fmt.Errorf("campaign %s is COMPLETED, and no device was in it", args[0])}
			case view.State == "COMPLETED":
				return nil
			case view.Over():
				return ErrFailed
			}
			if err := env.Sleep(c.Context(), 2*time.Second); err != nil {
				return err
			}
		}
	}
	return f.on(c)
}
