package workflow

import (
	"context"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// mostNews is how many pieces of news of one device are taken from a batch. The
// most that one has to tell at once are three: an agent that is back tells of its
// restart, of the transfer and of the command. A device that tells more, as one
// does that floods its topic, gets its answers and is not heard: each piece of news
// may cost two requests to the table, and the others wait for them.
const mostNews = 4

// Message is one message of a batch: a record of a device, or its presence.
type Message struct {
	Thing    event.ThingName
	At       time.Time // when the rule saw it
	Record   event.Inbound
	Presence *Presence // nil: it is a record
}

// Result is what became of a message. With Err it is to be delivered again.
type Result struct {
	Received
	Err error
}

// Batch takes messages that came together. Those of a thing are taken one after
// the other in the order in which the rule saw them, with one load of the thing
// for as long as nothing is written; things are taken in parallel. A message that
// fails hinders no other.
func (w *Inbox) Batch(ctx context.Context, messages []Message) []Result {
	results := make([]Result, len(messages))
	shares := map[event.ThingName][]int{}
	var things []event.ThingName // in the order of the batch
	for i, m := range messages {
		if shares[m.Thing] == nil {
			things = append(things, m.Thing)
		}
		shares[m.Thing] = append(shares[m.Thing], i)
	}
	if len(things) == 0 {
		return results
	}
	w.Parallel(len(things), func(i int) {
		share := shares[things[i]]
		slices.SortStableFunc(share, func(a, b int) int { return messages[a].At.Compare(messages[b].At) })
		w.share(ctx, messages, share, results)
	})
	return results
}

// share takes the messages of one thing.
func (w *Inbox) share(ctx context.Context, messages []Message, share []int, results []Result) {
	surplus, greets := surplus(messages, share), lastGreeting(messages, share)
	var d *Device // as it is now, nil if it is to be loaded
	for _, i := range share {
		m, out := messages[i], &results[i]
		if m.Presence != nil {
			out.Received, d, out.Err = w.presence(ctx, m.Thing, *m.Presence)
			continue
		}
		if m.Record.Greets && i != greets {
			out.Fate = FateStale // each costs requests, and the last says all
			continue
		}
		if d == nil {
			now, err := w.Store.Load(ctx, m.Thing)
			if err != nil {
				out.Err = err
				continue
			}
			d = &now
		}
		out.Received, out.Err = w.record(ctx, *d, m.Record, surplus[i])
		if out.Err != nil || out.wrote() {
			d = nil
		}
	}
}

// wrote reports whether the table may have another word on the device than before.
func (r Received) wrote() bool {
	switch r.Fate {
	case FateRefused, FateStale, FateDropped:
		return false
	case FateIgnored, FateUnclaimed:
		return r.Greeted || r.gone || r.told || len(r.Started) > 0
	}
	return true
}

// lastGreeting is the last message that opens a connection.
func lastGreeting(messages []Message, share []int) int {
	last := -1
	for _, i := range share {
		if m := messages[i]; m.Presence == nil && m.Record.Greets {
			last = i
		}
	}
	return last
}

// surplus finds the news beyond mostNews: of what a device says again and again,
// the first and the last are what counts.
func surplus(messages []Message, share []int) map[int]bool {
	var news []int
	for _, i := range share {
		m := messages[i]
		if m.Presence != nil || m.Record.Greets {
			continue
		}
		switch m.Record.Event.Kind {
		case event.KindBooted, event.KindTransferComplete, event.KindCommandComplete, event.KindEvent,
			event.KindValueChanged:
			news = append(news, i)
		}
	}
	if len(news) <= mostNews {
		return nil
	}
	out := map[int]bool{}
	for _, i := range news[mostNews/2 : len(news)-mostNews/2] {
		out[i] = true
	}
	return out
}
