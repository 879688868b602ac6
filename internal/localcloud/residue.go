package localcloud

import (
	"context"
	"slices"
)

// Residue lists, a line each, what is unfinished in any service; nothing is
// left of a job that has ended. Timers that wait for their time, such as
// an item's time to live, are not unfinished work. Work in the background that
// failed is.
func (c *Cloud) Residue(ctx context.Context) []string {
	lines := []string{}
	for _, s := range c.services {
		lines = append(lines, s.Residue(ctx)...)
	}
	lines = append(lines, c.rules.Residue(ctx)...)
	lines = append(lines, c.failures.list()...)
	slices.Sort(lines)
	return lines
}
