package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Do is a verb.
func (c Campaigns) Do(ctx context.Context, r event.CampaignRequest) (json.RawMessage, error) {
	var err error
	if r.Proof, err = c.prove(ctx, r.Subject()); err != nil {
		return nil, err
	}
	return c.invoke(ctx, verbFunctions[r.Verb], r)
}

// doneView is what a verb has done.
type doneView struct {
	Changed                 bool
	State, Wave, Next       string
	Devices, Left, Unlisted int
	Unknown                 []string
}

// doAll is Do, again where an answer says that there are more devices; the numbers are of all of them.
func (c Campaigns) doAll(ctx context.Context, r event.CampaignRequest) (done doneView, out json.RawMessage,
	err error) {
	for more := true; more; more = r.After != "" {
		if out, err = c.Do(ctx, r); err != nil {
			return done, nil, err
		}
		var one doneView
		if err := json.Unmarshal(out, &one); err != nil {
			return done, nil, err
		}
		if r.After == "" && one.Next == "" {
			return one, out, nil
		}
		one.Changed, one.Devices, one.Left = one.Changed || done.Changed, one.Devices+done.Devices, one.Left+done.Left
		done, r.After = one, one.Next
	}
	var all map[string]any
	if err := json.Unmarshal(out, &all); err != nil {
		return done, nil, err
	}
	all["changed"], all["devices"], all["left"] = done.Changed, done.Devices, done.Left
	out, err = json.Marshal(all)
	return done, out, err
}

// verb is a command of one of an operator's verbs.
type verb struct {
	verb                 event.CampaignVerb
	use, short, long     string
	why                  bool // needed
	wave, failures, fail bool // flags that it has
	things               bool // its arguments after the first are things
}

var campaignVerbs = []verb{
	{verb: event.VerbApprove, use: "approve CAMPAIGN", short: "Approve the wave that waits for approval", wave: true,
		long: "If the campaign has approval.fourEyes, its creator cannot approve a wave."},
	{verb: event.VerbDeny, use: "deny CAMPAIGN --why REASON", why: true, wave: true,
		short: "Refuse the wave that waits for approval, and end the campaign"},
	{verb: event.VerbPauseCampaign, use: "pause CAMPAIGN --why REASON", why: true,
		short: "Hold the devices of a campaign until it is resumed",
		long: "When the command has returned, no device begins. Devices at work wait before their next command\n" +
			"that changes them. The time of the wave and of its bake stands still."},
	{verb: event.VerbResumeCampaign, use: "resume CAMPAIGN", failures: true,
		short: "Continue after a pause, or after an inconclusive gate",
		long: "--acknowledge is the number of failures that you have seen. After an inconclusive gate it is\n" +
			"required and must be exact, so that later failures are not accepted unseen."},
	{verb: event.VerbSkip, use: "skip CAMPAIGN", short: "End the bake of the wave, or the stage",
		long: "The bake ends at once, and its gate decides by what was seen until then. The stage ends within a\n" +
			"minute; devices that have no image by then download it with their wave."},
	{verb: event.VerbAbort, use: "abort CAMPAIGN --why REASON", why: true, short: "End a campaign for good",
		long: "No device begins. Devices at work get no further command that changes them. An image that was\n" +
			"activated is verified; an image that was only downloaded does no harm."},
	{verb: event.VerbExclude, use: "exclude CAMPAIGN THING... --why REASON", why: true, things: true,
		short: "Remove devices that have not begun",
		long: "Devices that have begun are left as they are. If a thing is not a device of the campaign, the\n" +
			"others are removed, and the exit code is 1."},
	{verb: event.VerbRetry, use: "retry CAMPAIGN", wave: true, fail: true,
		short: "Start failed devices again",
		long:  "All of them, or those with an error, of a model or in a wave, up to the campaign's attempts."},
}

func campaignVerb(env *Env, v verb) *cobra.Command {
	f := &campaignFlags{env: env}
	r := event.CampaignRequest{Verb: v.verb}
	var failures int
	var name string
	c := &cobra.Command{Use: v.use, Short: v.short, Long: v.short + ".", Args: oneCampaign}
	if v.long != "" {
		c.Long += "\n\n" + v.long
	}
	if v.things {
		c.Args = func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return UsageError{fmt.Errorf("%s takes the campaign id, and things (see %s --help)", c.CommandPath(),
					c.CommandPath())}
			}
			return nil
		}
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		r.Campaign, r.Error = event.CampaignID(args[0]), event.ErrorName(name)
		for _, thing := range args[1:] {
			r.Things = append(r.Things, event.ThingName(thing))
		}
		if v.why && r.Why == "" {
			return UsageError{errors.New("give --why, the reason for the record")}
		}
		if c.Flags().Changed("acknowledge") {
			r.Failures = &failures
		}
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		done, out, err := api.doAll(c.Context(), r)
		if err != nil {
			return err
		}
		// What is the campaign's was done. Who made a mistake in a name has to know.
		var unknown error
		if len(done.Unknown) > 0 {
			unknown = fmt.Errorf("not devices of campaign %s: %s", args[0], strings.Join(done.Unknown, ", "))
		}
		if f.json {
			return errors.Join(env.json(out), unknown)
		}
		text := fmt.Sprintf("campaign %s: %s", args[0], v.verb)
		if done.Wave != "" {
			text += " wave " + done.Wave
		}
		if v.things || v.fail {
			text += fmt.Sprintf(" of %d devices; %d were left as they are", done.Devices, done.Left)
		}
		if !done.Changed {
			text += ": nothing to do"
		}
		if !done.Changed && v.verb == event.VerbAbort && done.State == "HALTING" {
			text += ", it was halted: no device begins, and it ends as HALTED"
		}
		if done.Unlisted > 0 {
			text += fmt.Sprintf("; %d more have failed that the list does not show yet: repeat it in a moment",
				done.Unlisted)
		}
		fmt.Fprintln(env.Out, text)
		return unknown
	}
	c.Flags().StringVar(&r.Why, "why", "", "reason, for the record")
	if v.wave {
		c.Flags().StringVar(&r.Wave, "wave", "", "only this wave")
	}
	if v.failures {
		c.Flags().IntVar(&failures, "acknowledge", 0, "how many failures you have seen")
	}
	if v.fail {
		c.Flags().StringVar(&name, "error", "", "only devices with this error, such as Download.Failed")
		c.Flags().StringVar(&r.Model, "model", "", "only devices of this model")
	}
	return f.on(c)
}
