package rehearsal

import (
	"context"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/fleetstep/fleetstep/internal/trial"
)

// units are the capacity units of DynamoDB that functions consume, as the answers to their requests say.
type units struct {
	mu            sync.Mutex
	reads, writes float64
}

// ask has requests ask for what they consume, and adds it up.
func (u *units) ask(_ string, cfg *aws.Config) {
	cfg.ServiceOptions = append(cfg.ServiceOptions, func(_ string, options any) {
		if o, ok := options.(*dynamodb.Options); ok {
			o.APIOptions = append(o.APIOptions, u.asked) // before those that call directly
		}
	})
}

func (u *units) asked(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("units", func(ctx context.Context,
		in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput,
		middleware.Metadata, error) {
		const total = types.ReturnConsumedCapacityTotal
		switch r := in.Parameters.(type) {
		case *dynamodb.GetItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.BatchGetItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.QueryInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.PutItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.UpdateItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.DeleteItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.BatchWriteItemInput:
			r.ReturnConsumedCapacity = total
		case *dynamodb.TransactWriteItemsInput:
			r.ReturnConsumedCapacity = total
		}
		out, metadata, err := next.HandleInitialize(ctx, in)
		if err == nil {
			u.add(out.Result)
		}
		return out, metadata, err
	}), middleware.Before)
}

func (u *units) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reads, u.writes = 0, 0
}

func (u *units) add(result any) {
	var read, written []types.ConsumedCapacity
	one := func(c *types.ConsumedCapacity) []types.ConsumedCapacity {
		if c == nil {
			return nil
		}
		return []types.ConsumedCapacity{*c}
	}
	switch r := result.(type) {
	case *dynamodb.GetItemOutput:
		read = one(r.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		read = r.ConsumedCapacity
	case *dynamodb.QueryOutput:
		read = one(r.ConsumedCapacity)
	case *dynamodb.PutItemOutput:
		written = one(r.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		written = one(r.ConsumedCapacity)
	case *dynamodb.DeleteItemOutput:
		written = one(r.ConsumedCapacity)
	case *dynamodb.BatchWriteItemOutput:
		written = r.ConsumedCapacity
	case *dynamodb.TransactWriteItemsOutput:
		written = r.ConsumedCapacity
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range read {
		u.reads += aws.ToFloat64(c.CapacityUnits)
	}
	for _, c := range written {
		u.writes += aws.ToFloat64(c.CapacityUnits)
	}
}

// TestACampaignsUpgradesCostWhatTheyMay, by the price list of package trial and the calls that were counted: those
// that go through at once, and those that are staged, and so parked between download and activation. The units of the
// table and its index are those that DynamoDB reports to all functions, the clock's among them. docs/performance.md
// has the table.
func TestACampaignsUpgradesCostWhatTheyMay(t *testing.T) {
	const wave = `"waves": [{"name": "all", "bakeMinutes": 0}]}`
	const of = `{"campaignId": "c", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]},
		"rate": 1000, "gate": {"success": 0.8}, `
	text, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, payload string
		devices       int
		most          float64 // dollars for 1,000
	}{
		{"AUTO", of + wave, 60, 0.30},
		{"staged", of + `"stage": {"maxHours": 2}, ` + wave, 120, 0.42},
	} {
		var u units
		config := Config{Devices: c.devices, Seed: 5, Campaign: trial.Campaign{File: payload(t, c.payload)}}
		config.at = time.Date(2026, time.March, 2, 6, 0, 0, 0, time.UTC)
		config.opened = func(w *world) {
			w.configured, w.wire, w.door = u.ask, true, nil // what is called directly does not say what it consumes
			w.invoked = func(asset string, _ []byte) {
				if asset == "create-campaign" { // what devices did before is not the campaign's
					u.reset()
				}
			}
		}
		s, out, err := lead(t, config)
		if err != nil || s.Succeeded != c.devices {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		p, n := s.PerUpgrade, float64(c.devices)
		reads, writes := u.reads/n, u.writes/n
		// What the summary assumes of units is replaced by what they were.
		cost := s.Cost["direct"] + 1000*(trial.PriceWriteUnit*(writes-p.Writes*trial.UnitsOfWrite)+
			trial.PriceReadUnit*(reads-p.Reads*trial.UnitsOfRead))
		if cost > c.most {
			t.Errorf("%s: $%.3f for 1,000; want up to $%.2f", c.name, cost, c.most)
		}
		if off := s.Cost["direct"] / cost; off < 0.9 || off > 1.1 {
			t.Errorf("%s: $%.3f for 1,000, and the summary says %.3f", c.name, cost, s.Cost["direct"])
		}
		tableSays(t, string(text), c.name, p.Invocations, p.Reads, p.Writes, reads, writes, cost, c.most)
	}
}

// tableSays holds the row of a table, whose first column is its name, to what was measured: to a twentieth, since what
// costs little more or less need not be written anew.
func tableSays(t *testing.T, text, name string, want ...float64) {
	t.Helper()
	for line := range strings.Lines(text) {
		row := strings.Split(strings.Trim(line, "| \n"), "|")
		if strings.TrimSpace(row[0]) != name || len(row) != len(want)+1 {
			continue
		}
		for i, cell := range row[1:] {
			got, err := strconv.ParseFloat(strings.Trim(cell, " $"), 64)
			if err != nil || math.Abs(got-want[i]) > 0.05*want[i] {
				t.Errorf("row %s says%s, measured is %.3f", name, cell, want[i])
			}
		}
		return
	}
	t.Errorf("there is no row %s with %.3f", name, want)
}
