package campaign

import (
	"context"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Devices at work that have been so for long are looked after: an execution may have come to its end
// without a word. So are, at once, all at work of a campaign that was aborted or halted: those in no danger
// end.
const (
	quiet      = 15 * time.Minute // how long nothing has changed of a device
	quietEvery = 15               // minutes between two looks
	stopsEvery = 5                // the same, of a campaign that was stopped
	mostQuiet  = 5000             // devices at a look: each is a DescribeExecution, of which AWS takes 15 a second
)

// lookAfter has devices looked after that count as at work. What is found is told by their counts.
func (d *Driver) lookAfter(ctx context.Context, c Campaign, counts event.Counts, budget *int) error {
	if counts.Tally.Sum(func(p event.Place) bool { return p.State == event.StandRunning }) == 0 {
		return nil
	}
	now := d.Now()
	minute := int(now.Unix() / 60)
	stopped := c.Phase == Close && (c.State == Aborting || c.State == Halting)
	before, most, over := now.Add(-quiet), mostQuiet, (quietEvery-1)*time.Minute
	switch {
	case stopped && (now.Sub(c.Closing) < 2*tick || minute%stopsEvery == 0):
		before, most, over = now, *budget, tick-5*time.Second
	case minute%quietEvery != 0:
		return nil
	}
	var things []event.ThingName
	where := event.Where{State: event.StandRunning, Wave: -1}
	// Where there are more than that, each look begins with another shard.
	begin := event.ListCursor{Shard: minute / quietEvery % max(1, c.Shards)}
	for _, after := range []string{begin.String(), ""} {
		err := listFrom(ctx, d.Counts, c, where, after, func(s event.Stood) (bool, error) {
			if after == "" && s.Shard >= begin.Shard {
				return false, nil
			}
			if !s.At.After(before) {
				things = append(things, s.Thing)
			}
			return len(things) < most, nil
		})
		if err != nil {
			return err
		}
		if begin.Shard == 0 || len(things) >= most {
			break
		}
	}
	if len(things) == 0 {
		return nil
	}
	if stopped {
		*budget -= len(things)
	}
	return d.Carrier.LookAfter(ctx, c.ID, things, over)
}
