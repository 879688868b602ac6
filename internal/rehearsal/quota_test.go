package rehearsal

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// quotaDevices is the environment variable that says with how many devices quotas are tried; make test-quotas sets it.
const quotaDevices = "FLEETSTEP_QUOTAS"

// TestAJobEndsRightUnderQuotas plays a job at 1,000 devices a minute on a default account and on a new one: all
// devices are upgraded, nothing is left behind, and the new one, whose functions run ten at a time, takes longer.
func TestAJobEndsRightUnderQuotas(t *testing.T) {
	devices := 60
	if n, err := strconv.Atoi(os.Getenv(quotaDevices)); err == nil {
		devices = n
	}
	took := map[localcloud.Quotas]float64{}
	for _, account := range []localcloud.Quotas{localcloud.DefaultQuotas, localcloud.NewAccount} {
		var out, errs bytes.Buffer
		s, err := Run(t.Context(), Config{Env: &cli.Env{Out: &out, Err: &errs}, Devices: devices, Seed: 1,
			Event: "../../events/create-job-fast.json", Image: 4 << 10, Every: time.Second, Quotas: account})
		if err != nil || s.Succeeded != devices {
			t.Fatalf("%s: %v\n%s", account, err, out.String()+errs.String())
		}
		took[account] = s.VirtualSeconds
		t.Logf("%s: %.0f s, nearest %s; %s", account, s.VirtualSeconds, s.Quotas.Nearest, summaryOf(out.String()))
		at := slices.IndexFunc(s.Quotas.Quotas, func(u localcloud.QuotaUse) bool {
			return u.Name == "lambda concurrent executions"
		})
		switch u := s.Quotas.Quotas[at]; {
		case account == localcloud.NewAccount && (u.Peak != 10 || u.Throttled == 0):
			t.Errorf("a new account's functions were not limited: %+v", u)
		case account == localcloud.DefaultQuotas && u.Peak < min(devices, 1000)/2:
			t.Errorf("functions of devices that begin at once do not run at once: %+v", u)
		}
	}
	if slow, fast := took[localcloud.NewAccount], took[localcloud.DefaultQuotas]; slow <= fast {
		t.Errorf("%.0f s on a new account, %.0f s on a default one", slow, fast)
	}
}
