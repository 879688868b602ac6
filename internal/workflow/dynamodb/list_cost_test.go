package dynamodb_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
)

// counting counts queries, and the units that they consume.
type counting struct {
	*dynamodb.Client
	queries int
	units   float64
}

func (c *counting) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (
	*dynamodb.QueryOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.Query(ctx, in, o...)
	if err == nil {
		c.queries++
		c.units += aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
	}
	return out, err
}

// TestWhatAListReads measures a thousand devices of one shard and one device that has failed among 250 shards, and
// holds what docs/performance.md says of a million to it.
func TestWhatAListReads(t *testing.T) {
	const id, shards, million, unit = event.CampaignID("fall-2026"), 250, 1000, 0.125e-6
	url := local(t, nil)
	store, at := newStore(t, url), time.UnixMilli(1795334400000).UTC()
	api := &counting{Client: client(url)}
	lists := workflowdb.New(api, "contract")
	owner := event.CampaignOwner(id)
	admit := func(from, to, shard int) {
		var all []workflow.Admission
		for i := from; i < to; i++ {
			all = append(all, workflow.Admission{Thing: event.ThingName(fmt.Sprintf("rg-%07d", i)),
				Standing: event.Standing{Campaign: id, Attempt: 1, State: event.StandAdmitted, Wave: 3,
					Model: "GW-1000", Shard: shard, At: at, Zone: "Europe/Berlin"},
				Pending: workflow.Pending{Owner: owner, ExecutionNumber: 1, Operation: "o", At: at,
					ExpiresAt: at.Add(time.Hour)}})
			if len(all) == workflow.MostAdmitted || i == to-1 {
				if err := store.Admit(t.Context(), all); err != nil {
					t.Fatal(err)
				}
				all = nil
			}
		}
	}
	admit(0, 1000, 0)
	admit(1000, 1001, 249)
	failed := event.Where{State: event.StandFailed, Wave: -1}
	one, err := store.Standings(t.Context(), id, []event.ThingName{"rg-0001000"})
	if err != nil {
		t.Fatal(err)
	}
	was := one["rg-0001000"]
	if err := store.Stand(t.Context(), "rg-0001000", event.Shift{From: &was,
		To: was.In(event.StandFailed, "Blink.Failed", at)}, nil); err != nil {
		t.Fatal(err)
	}
	read := func(where event.Where, most int) (n int) {
		api.queries, api.units = 0, 0
		found, _, err := lists.ListStandings(t.Context(), id, shards, where, "", most)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for tries := 0; read(event.Anywhere(), 2000) < 1001 || read(failed, 100) < 1; tries++ {
		if tries == 100 {
			t.Fatal("the index stays behind")
		}
		time.Sleep(20 * time.Millisecond)
	}
	read(failed, 100)
	rare := fmt.Sprintf("| the first 100 that have failed, of few: at most | %d | %.0f | $%.6f |", api.queries,
		api.units, api.units*unit)
	read(event.Anywhere(), 1000)
	page := fmt.Sprintf("| 1,000 of a state in which most are | %d | %.0f | $%.6f |", api.queries,
		math.Ceil(api.units), math.Ceil(api.units)*unit)
	all := fmt.Sprintf("| all of them, in pages of 1,000 | about 1,250 | %s | $%.4f |",
		thousands(api.units*million), api.units*million*unit)
	text, err := os.ReadFile("../../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{rare, page, all} {
		if !strings.Contains(string(text), line) {
			t.Errorf("docs/performance.md lacks: %s", line)
		}
	}
}

func thousands(x float64) string {
	n := int(math.Round(x/1000) * 1000)
	return fmt.Sprintf("%d,000", n/1000)
}
