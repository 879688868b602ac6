package dynamodb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	localdynamodb "github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

// contention lets so many tries of every call meet another transaction.
type contention struct {
	mu    sync.Mutex
	times int
	met   map[string]int // calls in a row that met one
	calls int
}

func (c *contention) fault(_ context.Context, call *awsapi.Call, in any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := localdynamodb.Conflict(in, c.calls)
	if err == nil {
		return nil
	}
	c.calls++
	if c.met == nil {
		c.met = map[string]int{}
	}
	if c.met[call.Operation] == c.times {
		c.met[call.Operation] = 0
		return nil
	}
	c.met[call.Operation]++
	return err
}

// hurried retries as the SDK does, without waiting.
func hurried() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		o.RateLimiter = ratelimit.None
	})
}

func TestTableKeepsTheContractAmongConflicts(t *testing.T) {
	c := &contention{times: 2}
	workflowtest.Contract(t, newStore(t, local(t, c.fault)))
	if c.calls == 0 {
		t.Error("nothing conflicted")
	}
}

// DynamoDB may have done what it answers with 500: the SDK asks again, and finds what it
// did before. Who calls could not tell that from another who was quicker.
func TestAnUnansweredWriteIsFoundDone(t *testing.T) {
	var lose bool
	st := newStore(t, localWith(t, awsapi.Config{Around: func(_ context.Context, c *awsapi.Call, _ any,
		run func() (any, error)) (any, error) {
		out, err := run()
		if lose && err == nil && c.Operation != "Query" {
			lose = false
			return nil, c.Service.Broken()
		}
		return out, err
	}}))
	ctx, at := t.Context(), time.Unix(1_700_000_000, 0)
	owner := event.JobOwner("j")
	claim := workflow.Claim{Owner: owner, ExecutionNumber: 1, Execution: "e", ClaimedAt: at, Deadline: at,
		ExpiresAt: at}
	await := workflow.Await{Step: "INSPECT", Token: "token", Owner: owner, Execution: "e", Rev: 1, Since: at,
		ExpiresAt: at}
	for _, step := range []struct {
		name string
		call func() error
		want error // of the same once more
	}{
		{"Claim", func() error { return st.Claim(ctx, "t", claim, nil) }, nil},
		{"Register", func() error {
			d, err := st.Load(ctx, "t")
			if err != nil {
				return err
			}
			if len(d.Awaits) == 0 {
				claim.Rev = d.Claim.Rev
			}
			return st.Register(ctx, "t", workflow.Registration{Claim: claim, Await: await})
		}, workflow.ErrChanged},
		{"Advance", func() error { return st.Advance(ctx, "t", await) }, workflow.ErrChanged},
		{"Lease", func() error {
			_, err := st.Lease(ctx, "me", at, at.Add(time.Minute))
			return err
		}, workflow.ErrLeased},
	} {
		lose = true
		if err := step.call(); err != nil || lose {
			t.Errorf("%s, its answer lost: %v (lost: %v)", step.name, err, !lose)
		}
		lose = false
		if err := step.call(); !errors.Is(err, step.want) {
			t.Errorf("%s once more: %v, want %v", step.name, err, step.want)
		}
	}
}

// A conflict that lasts is no failed condition: whoever asked must ask again.
func TestConflictIsNoFailedCondition(t *testing.T) {
	st := newStore(t, local(t, (&contention{times: 1 << 30}).fault))
	ctx := t.Context()
	at := time.Unix(1_700_000_000, 0)
	owner := event.JobOwner("j")
	claim := workflow.Claim{Owner: owner, ExecutionNumber: 1, Execution: "e", ClaimedAt: at, Deadline: at,
		ExpiresAt: at, Rev: 1}
	await := workflow.Await{Step: "INSPECT", Token: "token", Owner: owner, Execution: "e", Rev: 1, Since: at,
		ExpiresAt: at}
	held := workflow.Device{Thing: "t", Claim: &claim}
	for name, call := range map[string]func() error{
		"PutPending": func() error {
			return st.PutPending(ctx, "t", workflow.Pending{Owner: owner, At: at, ExpiresAt: at})
		},
		"DropPending": func() error { return st.DropPending(ctx, "t", workflow.Attempt{Owner: owner, Number: 1}) },
		"Claim":       func() error { return st.Claim(ctx, "t", claim, nil) },
		"Register": func() error {
			return st.Register(ctx, "t", workflow.Registration{Claim: claim, Await: await})
		},
		"Advance": func() error { return st.Advance(ctx, "t", await) },
		"Finish":  func() error { return st.Finish(ctx, "t", await, nil) },
		"Finish with what was learnt": func() error {
			return st.Finish(ctx, "t", await, map[string]string{"version": "2"})
		},
		"PutNews": func() error {
			return st.PutNews(ctx, "t", "e", event.DeviceEvent{Kind: event.KindBooted, At: at}, at)
		},
		"Presence": func() error { return st.Presence(ctx, "t", workflow.Presence{At: at}) },
		"Greet":    func() error { return st.Greet(ctx, "t", workflow.Greeting{Endpoint: "os::1", At: at}) },
		"Bind": func() error {
			return st.Bind(ctx, "t", workflow.Greeting{Endpoint: "os::1", At: at}, workflow.Binding{})
		},
		"Release": func() error { return st.Release(ctx, held, "e", workflow.Attempt{Owner: owner, Number: 1}) },
		"Park": func() error {
			p := workflow.Pending{Owner: owner, ExecutionNumber: 1, Lap: 1, At: at, ExpiresAt: at}
			return st.Park(ctx, held, "e", p, workflow.Due{At: at, Thing: "t", Owner: owner})
		},
		"Postpone": func() error {
			return st.Postpone(ctx, "t", workflow.Pending{Owner: owner}, workflow.Due{At: at, Thing: "t",
				Owner: owner})
		},
	} {
		err := call()
		if err == nil {
			t.Errorf("%s: a conflict is success", name)
		}
		for _, condition := range []error{
			workflow.ErrClaimed, workflow.ErrChanged, workflow.ErrStale, workflow.ErrForeign, workflow.ErrGone,
		} {
			if errors.Is(err, condition) {
				t.Errorf("%s: a conflict is %v", name, err)
			}
		}
	}
}

// What failed for another reason as well would fail again.
func TestOnlyContentionIsTriedAgain(t *testing.T) {
	o := dynamodb.Options{Retryer: hurried()}
	workflowdb.Options(&o)
	for codes, want := range map[string]bool{
		"TransactionConflict":             true,
		"ThrottlingError":                 true,
		"ProvisionedThroughputExceeded":   true,
		"ConditionalCheckFailed":          false,
		"ItemCollectionSizeLimitExceeded": false,
		"ValidationError":                 false,
		"None":                            false,
	} {
		err := &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{
			{Code: aws.String("None")}, {Code: aws.String(codes)},
		}}
		if got := o.Retryer.IsErrorRetryable(err); got != want {
			t.Errorf("%s: tried again: %t, want %t", codes, got, want)
		}
		err.CancellationReasons[0].Code = aws.String("ConditionalCheckFailed")
		if o.Retryer.IsErrorRetryable(err) {
			t.Errorf("%s with a failed condition is tried again", codes)
		}
	}
	if !o.Retryer.IsErrorRetryable(&types.TransactionConflictException{}) {
		t.Error("a conflict of a single write is not tried again")
	}
}
