package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ListedDevice is a device of a campaign.
type ListedDevice struct {
	ThingName, State, Error, Wave, Model string

	Attempt int
	At      time.Time
	Waits   *event.Waits
}

// DevicesPage is a page of a list of devices.
type DevicesPage struct {
	CampaignID string
	Devices    []ListedDevice
	Next       string
}

// Devices lists devices of a campaign: a page.
func (c Campaigns) Devices(ctx context.Context, id string, r event.ListRequest) (DevicesPage, json.RawMessage, error) {
	var page DevicesPage
	out, err := c.invoke(ctx, describeCampaign, event.DescribeCampaignRequest{Campaign: event.CampaignID(id),
		Devices: &r})
	if err != nil {
		return page, nil, err
	}
	var answer struct{ Devices json.RawMessage }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Devices == nil {
		return page, nil, fmt.Errorf("%s-%s answered %s, which has no devices", c.Stack, describeCampaign, out)
	}
	if err := json.Unmarshal(answer.Devices, &page); err != nil {
		return page, nil, fmt.Errorf("%s-%s: %w", c.Stack, describeCampaign, err)
	}
	return page, answer.Devices, nil
}

// Sizes of pages: the function takes up to so many, and less where it looks at each device.
const (
	devicesPage   = 1000
	explainedPage = 100
)

func campaignDevices(env *Env) *cobra.Command {
	f := &campaignFlags{env: env}
	var r event.ListRequest
	var state, name string
	var limit int
	c := &cobra.Command{Use: "devices CAMPAIGN",
		Short: "List devices of a campaign, by state, error, wave or model",
		Long: `Lists devices that a campaign has asked to begin. Those that it has not asked yet are in no
list. The list is read from an index, which shows a change a moment after it. --why says for
what each device waits: it is away, its window is closed, it waits behind a job or another
campaign.`,
		Example: `  fleetstep campaign devices fall --state FAILED
  fleetstep campaign devices fall --error Download.Failed --wave canary --limit 0
  fleetstep campaign devices fall --state ADMITTED --why`,
		Args: oneCampaign}
	c.RunE = func(c *cobra.Command, args []string) error {
		if limit < 0 {
			return UsageError{fmt.Errorf("--limit: %d; 0 is all, otherwise a number of devices", limit)}
		}
		r.State, r.Error = event.StandState(strings.ToUpper(state)), event.ErrorName(name)
		api, err := f.campaigns(c.Context())
		if err != nil {
			return err
		}
		all := struct {
			CampaignID string            `json:"campaignId"`
			Devices    []json.RawMessage `json:"devices"`
			Next       string            `json:"next,omitempty"`
		}{CampaignID: args[0], Devices: []json.RawMessage{}}
		w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
		if !f.json {
			fmt.Fprintln(w, "THING\tSTATE\tERROR\tWAVE\tMODEL\tATTEMPT\tSINCE\tWAITS")
		}
		for shown := 0; ; {
			r.Most = devicesPage
			if r.Why {
				r.Most = explainedPage
			}
			if limit > 0 {
				r.Most = min(r.Most, limit-shown)
			}
			page, raw, err := api.Devices(c.Context(), args[0], r)
			if err != nil {
				return err
			}
			if f.json {
				var one struct{ Devices []json.RawMessage }
				if err := json.Unmarshal(raw, &one); err != nil {
					return err
				}
				all.Devices = append(all.Devices, one.Devices...)
			} else {
				page.rows(w)
				if err := w.Flush(); err != nil {
					return err
				}
			}
			shown += len(page.Devices)
			if r.After, all.Next = page.Next, page.Next; page.Next == "" || limit > 0 && shown >= limit {
				break
			}
		}
		switch {
		case f.json:
			return env.json(all)
		case all.Next != "":
			fmt.Fprintf(env.Out, "there may be more: --after %s, or --limit 0 for all\n", all.Next)
		}
		return nil
	}
	var states []string
	for _, s := range event.StandStates() {
		states = append(states, string(s))
	}
	c.Flags().StringVar(&state, "state", "", "only devices in this state: "+strings.Join(states, ", "))
	c.Flags().StringVar(&name, "error", "", "only devices that FAILED with this error, such as Download.Failed")
	c.Flags().StringVar(&r.Wave, "wave", "", "only devices of this wave")
	c.Flags().StringVar(&r.Model, "model", "", "only devices of this model")
	c.Flags().BoolVar(&r.Why, "why", false, "for what each device waits")
	c.Flags().IntVar(&limit, "limit", explainedPage, "at most so many devices; 0 is all")
	c.Flags().StringVar(&r.After, "after", "", "begin after the devices of a list before")
	return f.on(c)
}

func (p DevicesPage) rows(w io.Writer) {
	for _, d := range p.Devices {
		waits := ""
		if d.Waits != nil {
			waits = d.Waits.Why
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ThingName, d.State, cmp.Or(d.Error, "-"), d.Wave,
			cmp.Or(d.Model, "-"), d.Attempt, d.At.UTC().Format(time.RFC3339), waits)
	}
}

// Waiting are the first devices of a campaign that wait, with what each waits for.
func (c Campaigns) Waiting(ctx context.Context, of CampaignView) (all []ListedDevice, more bool, err error) {
	states := []event.StandState{event.StandAdmitted, event.StandWaiting}
	if of.Stage != nil {
		states = append(states, event.StandStaged)
	}
	for _, state := range states {
		page, _, err := c.Devices(ctx, of.CampaignID, event.ListRequest{State: state, Why: true, Most: explainedPage})
		if err != nil {
			return nil, false, err
		}
		all, more = append(all, page.Devices...), more || page.Next != ""
	}
	return all, more, nil
}

// waits are those that wait, as JSON has them.
func waits(all []ListedDevice) []map[string]any {
	list := []map[string]any{}
	for _, d := range all {
		if d.Waits != nil {
			list = append(list, map[string]any{"thingName": d.ThingName, "state": d.State, "wave": d.Wave,
				"waits": d.Waits})
		}
	}
	return list
}

// mostNamed is how many devices are named that wait for the same.
const mostNamed = 3

// explain prints for what devices wait: the same reasons together.
func explain(out io.Writer, all []ListedDevice, more bool) {
	type group struct {
		why   string
		names []string
		n     int
	}
	var groups []*group
	for _, d := range all {
		if d.Waits == nil {
			continue
		}
		why := waitWords[d.Waits.For]
		if d.Waits.Behind != "" {
			why += " " + d.Waits.Behind + " of another owner"
		}
		if d.Waits.For == event.WaitsFlag {
			why += ": " + d.Waits.Why
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.why == why })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{why: why})
		}
		g := groups[i]
		if g.n++; len(g.names) < mostNamed {
			g.names = append(g.names, d.ThingName)
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(b.n, a.n) })
	for _, g := range groups {
		names := strings.Join(g.names, ", ")
		if g.n > len(g.names) {
			names += ", …"
		}
		fmt.Fprintf(out, "waiting: %d %s (%s)\n", g.n, g.why, names)
	}
	if more {
		fmt.Fprintln(out, "these are the first that wait; see fleetstep campaign devices --why")
	}
}

// waitWords say what devices wait for.
var waitWords = map[event.WaitsFor]string{
	event.WaitsFlag: "held", event.WaitsWave: "wait for their wave", event.WaitsDevice: "not connected",
	event.WaitsTime: "wait for their time", event.WaitsRoom: "wait for room in the budget",
	event.WaitsOwner: "wait behind", event.WaitsStart: "about to begin",
}
