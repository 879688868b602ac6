package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// campaignFlags are those of commands that run a campaign.
func campaignFlags(c *cobra.Command, p *trial.Campaign) {
	f := c.Flags()
	own := []string{"models", "bad-image", "bad-model", "approve", "on-hold", "expect", "by-hand"}
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range own {
			if p.File == "" && c.Flags().Changed(name) {
				return cli.UsageError{Err: fmt.Errorf("--%s needs --campaign", name)}
			}
		}
		return nil
	}
	f.StringVar(&p.File, "campaign", "", "payload for create-campaign: run a campaign instead of a job")
	f.IntVar(&p.Models, "models", 0, "number of models of the agents (with --campaign)")
	f.StringVar(&p.BadImage, "bad-image", "", "VERSION:SHARE, an image that does not boot on a share of devices")
	f.StringVar(&p.BadModel, "bad-model", "", "a model on which no image boots")
	f.StringVar(&p.Approve, "approve", "auto", "what the operator does: auto (after 10 minutes), deny, at=DURATION")
	f.StringVar(&p.OnHold, "on-hold", "continue", "what the operator does after an inconclusive gate: continue, abort")
	f.StringVar(&p.Expect, "expect", "completed", "the verdict that counts as success: completed, halted, aborted")
	f.BoolVar(&p.ByHand, "by-hand", false, "do not simulate the operator; you give the commands")
}
