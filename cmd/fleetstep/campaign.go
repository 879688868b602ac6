package main

import (
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/trial"
)

// campaignFlags are those of commands that play a campaign.
func campaignFlags(c *cobra.Command, p *trial.Campaign) {
	f := c.Flags()
	f.StringVar(&p.File, "campaign", "", "payload for create-campaign: play a campaign instead of a job")
	f.IntVar(&p.Models, "models", 0, "number of models that the agents are of (with --campaign)")
	f.StringVar(&p.BadImage, "bad-image", "", "VERSION:SHARE, an image that does not boot on so many percent")
	f.StringVar(&p.BadModel, "bad-model", "", "a model on which no image boots")
	f.StringVar(&p.Approve, "approve", "auto", "what the operator does: auto (after 10 minutes), deny, at=DURATION")
	f.StringVar(&p.OnHold, "on-hold", "continue", "what the operator does where a gate asks: continue, abort")
	f.StringVar(&p.Expect, "expect", "completed", "the verdict that is a success: completed, halted, aborted")
	f.BoolVar(&p.ByHand, "by-hand", false, "leave the operator's words to you (fleetstep campaign ...)")
}
