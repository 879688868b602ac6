package rehearsal

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// TestNoItemHoldsAnAddress looks at all items of the table, every second of a job with
// downloads that are asked for again, and after it: an address with a signature lets
// whoever has it read the image, and expires before it is used again.
func TestNoItemHoldsAnAddress(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var w *world
	looks, downloads := 0, 0
	look := func() error {
		var tables struct{ TableNames []string }
		if err := w.call(ctx, "dynamodb", "ListTables", map[string]any{}, &tables); err != nil ||
			len(tables.TableNames) == 0 { // not made yet
			return err
		}
		var page struct{ Items []json.RawMessage }
		in := map[string]any{"TableName": tables.TableNames[0]}
		if err := w.call(ctx, "dynamodb", "Scan", in, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			text := string(item)
			if strings.Contains(text, `"AWAIT#DOWNLOAD"`) {
				downloads++
			}
			for _, secret := range []string{"X-Amz-Signature", "Key-Pair-Id", "http://", "https://"} {
				if i := strings.Index(text, secret); i >= 0 {
					t.Errorf("%s in an item: %s", secret, text[max(0, i-300):min(len(text), i+100)])
				}
			}
		}
		looks++
		return nil
	}
	_, _, err := play(t, Config{
		Devices: 8, Seed: 5, Faults: "slow-link@1,reboot-in-download@2,403@3,offline-at-start@4,old-news@5",
		opened: func(opened *world) { w = opened },
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("witness", func() {
				for sched.Sleep(ctx, time.Second) == nil && ctx.Err() == nil && !t.Failed() {
					if err := look(); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		},
		over: func(context.Context, *world, string) error {
			defer stop()
			return look()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if looks < 30 || downloads < 5 {
		t.Errorf("%d looks saw %d downloads being asked for", looks, downloads)
	}
}
