package rehearsal

import (
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/simulator"
)

// running are the executions of an operation that are open.
func (p *played) running(operation string) (n int) {
	p.t.Helper()
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-" + operation
	for token := any(nil); ; {
		in := map[string]any{"stateMachineArn": arn, "statusFilter": "RUNNING"}
		if token != nil {
			in["nextToken"] = token
		}
		var out struct {
			Executions []any
			NextToken  any
		}
		if err := p.call(p.ctx, "sfn", "ListExecutions", in, &out); err != nil {
			p.t.Fatal(err)
		}
		if n, token = n+len(out.Executions), out.NextToken; token == nil {
			return n
		}
	}
}

// TestAPauseHoldsAnOperationBeforeItsFirstChange: a job is paused while its devices are at
// work. Who has not changed its device yet is parked, and nothing of it is open; who has
// goes on to its end. After the pause every device is done, and each command given once.
func TestAPauseHoldsAnOperationBeforeItsFirstChange(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 2; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			const devices = 12
			p := operate(t, seed, devices, "delay=3,duplicate-all=3", nil)
			p.create("restart", "reboot", `{"bootSeconds":120,"answerSeconds":60}`)
			for p.running("reboot") < devices/2 {
				p.pass(t, 10*time.Millisecond)
			}
			for seed == 2 && p.fleet.Progress().Rebooting == 0 {
				p.pass(t, 10*time.Millisecond)
			}
			if err := p.control(p.ctx, "pause", "restart"); err != nil {
				t.Fatal(err)
			}
			p.pass(t, 5*time.Minute)
			if n := p.running("reboot"); n != 0 {
				t.Errorf("%d executions are open in the pause", n)
			}
			held := 0
			for i, f := range p.fleet.Facts() {
				status, _, _ := p.reason("restart", simulator.ThingName(i+1))
				if f.Boots == 1 {
					held++
				}
				if (status == "SUCCEEDED") != (f.Boots == 2) {
					t.Errorf("%s is %s and has booted %d times", f.Thing, status, f.Boots)
				}
			}
			t.Logf("%d of %d devices are held", held, devices)
			if held == 0 || seed == 2 && held == devices {
				t.Errorf("the pause came at no time between: %d are held", held)
			}
			if err := p.control(p.ctx, "resume", "restart"); err != nil {
				t.Fatal(err)
			}
			p.expect("restart", map[string]int{"SUCCEEDED": devices})
			for _, f := range p.fleet.Facts() {
				if f.Boots != 2 {
					t.Errorf("%s has booted %d times", f.Thing, f.Boots)
				}
			}
		})
	}
}
