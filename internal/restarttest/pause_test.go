package restarttest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/fleetstep/fleetstep/internal/cli"
)

// TestAPauseHoldsUnderKills: everything is stopped before the job begins, and the job is paused at a random
// moment after that, while the cloud is killed again and again. Nothing begins meanwhile but what had read the
// flag before; then every device is woken and ends as it would have. Part of make test-restart.
func TestAPauseHoldsUnderKills(t *testing.T) {
	if number(t, "FLEETSTEP_RESTARTS", 5) <= 5 {
		t.Skip("takes minutes: make test-restart")
	}
	seed := number(t, "FLEETSTEP_RESTART_SEED", uint64(time.Now().UnixNano()%1_000_000))
	t.Logf("FLEETSTEP_RESTART_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 11))
	cloud, where := newCloud(t)
	c := newFleet(t, where, 40, os.Getenv("FLEETSTEP_RESTART_FAULTS"), seed, pace{1000, 15 * time.Second})
	over, killed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		for n := 1; ; n++ {
			select {
			case <-over:
				t.Logf("%d kills", n-1)
				return
			case <-time.After(2*time.Second + time.Duration(random.Int64N(int64(6*time.Second)))):
			}
			cloud.kill()
			if err := cloud.start(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	c.operator("stop-all", "--why", "a test")
	c.create()
	time.Sleep(20 * time.Second)
	if begun := c.begunAfter(time.Time{}); len(begun) > 0 {
		t.Errorf("begun while everything is stopped: %v", begun)
	}
	c.operator("start-all")
	// The clock wakes who was refused, within a minute.
	c.until("devices begin", func() (bool, string) { return len(c.begunAfter(time.Time{})) > 0, "none has" })
	time.Sleep(time.Duration(rand.New(rand.NewPCG(seed, 12)).Int64N(int64(3 * time.Second))))
	c.operator("job", "pause", jobID, "--why", "a test")
	paused := time.Now()
	time.Sleep(30 * time.Second)
	if begun := c.begunAfter(paused.Add(10 * time.Second)); len(begun) > 0 {
		t.Errorf("begun more than 10 s after the pause: %v", begun)
	}
	t.Logf("paused when %d executions had begun: %+v", len(c.begunAfter(time.Time{})), c.agents.Progress())
	c.operator("job", "resume", jobID)
	c.ended()
	close(over)
	<-killed
	cloud.ready()
	c.judge()
	c.clean()
}

// operator runs a command of fleetstep, however often that takes.
func (c *fleet) operator(args ...string) {
	c.t.Helper()
	c.until(strings.Join(args, " "), func() (bool, string) {
		var out bytes.Buffer
		command := cli.New(&cli.Env{In: strings.NewReader(""), Out: &out, Err: &out,
			Load: func(context.Context) (aws.Config, error) { return c.config, nil }})
		command.SetArgs(args)
		if err := command.ExecuteContext(c.t.Context()); err != nil {
			return false, fmt.Sprint(err, "\n", out.String())
		}
		return true, ""
	})
}

// begunAfter are the executions that began after a time.
func (c *fleet) begunAfter(after time.Time) (begun []string) {
	c.until("the executions are listed", func() (bool, string) {
		begun = nil
		pages := sfn.NewListExecutionsPaginator(c.sfn, &sfn.ListExecutionsInput{
			StateMachineArn: aws.String(c.where.Outputs["StateMachineArn"]),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(c.t.Context())
			if err != nil {
				return false, err.Error()
			}
			for _, e := range page.Executions {
				if e.StartDate.After(after) {
					begun = append(begun, fmt.Sprint(aws.ToString(e.Name), " at ", e.StartDate))
				}
			}
		}
		return true, ""
	})
	return begun
}
