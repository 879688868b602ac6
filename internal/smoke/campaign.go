package smoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/doctor"
	"github.com/fleetstep/fleetstep/internal/event"
)

// ofCampaign begins the names of the campaign's hops: its upgrade goes through the same states as the job's.
const ofCampaign = "campaign/"

// campaign upgrades the device once more, from the version that the job gave it, by a campaign of this one device.
func (r *run) campaign(ctx context.Context) error {
	r.prefix, r.version = ofCampaign, r.version+"-b"
	for _, h := range []struct {
		name     string
		patience time.Duration
		do       func(context.Context) (string, error)
	}{
		{"image", r.Patience, r.image},
		{"create", r.Patience, r.createCampaign},
		{"wave", r.Patience, r.waveBegan},
		// The clock may just have been there.
		{"admit", r.Patience + 2*r.Clock, r.admitted},
	} {
		if err := r.hop(ctx, h.name, h.patience, h.do); err != nil {
			return err
		}
	}
	if err := r.upgrade(ctx); err != nil {
		return err
	}
	// The clock sees that the wave is over, and once more that nothing is open.
	return r.hop(ctx, "report", r.Patience+3*r.Clock, r.campaignReported)
}

func (r *run) campaignID() event.CampaignID { return event.CampaignID(r.thing) }

func (r *run) campaigns() cli.Campaigns { return cli.Campaigns{AWS: r.AWS, Stack: r.Stack, Now: r.Now} }

func (r *run) createCampaign(ctx context.Context) (string, error) {
	payload, err := json.Marshal(map[string]any{
		"campaignId": r.campaignID(), "targets": map[string]any{"things": []string{r.thing}},
		"images":   []any{map[string]any{"firmware": map[string]any{"version": r.version}, "allowDowngrade": true}},
		"waves":    []any{map[string]any{"name": "one", "bakeMinutes": 0}},
		"attempts": 1,
	})
	if err != nil {
		return "", err
	}
	r.owner, r.execution = event.CampaignOwner(r.campaignID()), ""
	r.made("campaign "+string(r.campaignID()), r.removeCampaign)
	if _, err := r.campaigns().Create(ctx, payload, false); err != nil {
		return "", r.explain(context.WithoutCancel(ctx), doctor.DescribeError(err), "create-campaign")
	}
	return fmt.Sprintf("campaign %s of one device, to version %s", r.campaignID(), r.version), nil
}

// waveBegan waits until the campaign's state machine has called its function, and waits for the clock.
func (r *run) waveBegan(ctx context.Context) (string, error) {
	err := r.await(ctx, func(ctx context.Context) (bool, error) {
		view, _, err := r.campaigns().Describe(ctx, string(r.campaignID()), false)
		return view.Phase == "ADMIT" || view.Phase == "BAKE", err
	}, func(ctx context.Context) error {
		return r.explain(ctx, "the campaign is there and its wave does not begin"+r.stands(ctx), "run-campaign")
	})
	return "the campaign's wave has begun, and waits for the clock", err
}

// stands is what the campaign says of itself.
func (r *run) stands(ctx context.Context) string {
	view, _, err := r.campaigns().Describe(ctx, string(r.campaignID()), false)
	if err != nil {
		return "; it cannot be described: " + doctor.DescribeError(err)
	}
	text := fmt.Sprintf("; it is %s, phase %q: %s", view.State, view.Phase, view.Devices)
	if view.Paused {
		text += "; it is paused, or everything is"
	}
	if view.Why != "" {
		text += "; " + view.Why
	}
	return text
}

// admitted waits for the clock to let the device begin.
func (r *run) admitted(ctx context.Context) (string, error) {
	err := r.await(ctx, r.found, func(ctx context.Context) error {
		return r.explain(ctx, "the clock does not let the device begin"+r.stands(ctx), "tick", "start-upgrade")
	})
	return "the clock admitted the device: " + r.executionName(), err
}

// campaignReported waits for the end of the campaign's execution.
func (r *run) campaignReported(ctx context.Context) (string, error) {
	arn, err := r.find(ctx, r.stack.Outputs["CampaignStateMachineArn"], string(r.campaignID()))
	if err != nil {
		return "", err
	}
	if arn == "" {
		return "", errors.New("the campaign has no execution")
	}
	var out *sfn.DescribeExecutionOutput
	err = r.await(ctx, func(ctx context.Context) (_ bool, err error) {
		out, err = r.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		return err == nil && out.Status != sfntypes.ExecutionStatusRunning, err
	}, func(ctx context.Context) error {
		return r.explain(ctx, "the upgrade has ended, and the campaign goes on"+r.stands(ctx), "tick", "run-campaign")
	})
	if err != nil {
		return "", err
	}
	if out.Status != sfntypes.ExecutionStatusSucceeded {
		return "", r.explain(ctx, fmt.Sprintf("the campaign's execution is %s: %s: %s%s", out.Status,
			aws.ToString(out.Error), aws.ToString(out.Cause), r.stands(ctx)), "run-campaign")
	}
	view, _, err := r.campaigns().Describe(ctx, string(r.campaignID()), true)
	if err != nil {
		return "", r.explain(ctx, doctor.DescribeError(err), "describe-campaign")
	}
	if view.State != "COMPLETED" || view.Devices.Succeeded != 1 {
		return "", &trouble{fmt.Sprintf("campaign %s is %s: %s; %s", r.campaignID(), view.State, view.Devices,
			view.Why), "docs/campaigns.md"}
	}
	if err := r.runs(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("campaign %s is COMPLETED: %s; the thing runs %s", r.campaignID(), view.Devices, r.version), nil
}

// mostShards is how many counts a campaign of one device has.
const mostShards = 4

// removeCampaign stops what may still be under way, and deletes what the stack keeps of the campaign.
func (r *run) removeCampaign(ctx context.Context) error {
	id := string(r.campaignID())
	for machine, name := range map[string]string{
		r.stack.Outputs["CampaignStateMachineArn"]: id,
		r.stack.Outputs["StateMachineArn"]:         r.executionOf(event.CampaignOwner(r.campaignID())),
	} {
		if err := r.stop(ctx, machine, name); err != nil {
			return err
		}
	}
	if !r.Existing {
		return nil // the table and the bucket go with the stack
	}
	if err := r.removePartition(ctx, "CAMPAIGN#"+id); err != nil {
		return err
	}
	items := [][2]string{{"CAMPAIGNS", id}, {"CAMPAIGNS#OPEN", id},
		{"CONTROL#" + event.CampaignOwner(r.campaignID()).Key(), "CONTROL"}}
	for shard := range mostShards {
		items = append(items, [2]string{"COUNT#" + id + "#" + strconv.Itoa(shard), "COUNT"})
	}
	for _, i := range items {
		if err := r.removeItem(ctx, i[0], i[1]); err != nil {
			return err
		}
	}
	return gone(r.removeObjects(ctx, r.stack.Outputs["ResultsBucketName"], "campaigns/"+id+"/"))
}

// runs compares what the registry says that the thing runs.
func (r *run) runs(ctx context.Context) error {
	thing, err := r.iot.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &r.thing})
	if err != nil {
		return err
	}
	if got := thing.Attributes["firmwareVersion"]; got != r.version {
		return r.explain(ctx, fmt.Sprintf("the thing's attribute firmwareVersion is %q, not %s", got, r.version),
			"finalize")
	}
	return nil
}
