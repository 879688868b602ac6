package functions

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/fleetstep/fleetstep/internal/plainbody"
)

// Constructor is the shape of every New<Name>.
type Constructor[H any] func(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (H, error)

// Limits is how a function calls AWS (docs/errors.md). A call that hangs must leave
// time for the next try, and its error must be told before Lambda ends the function.
type Limits struct {
	Answer   time.Duration // until the answer's header; bodies of images take longer
	Attempts int
	Backoff  time.Duration // the longest
}

var (
	// Patient is for functions that have 30 seconds or more.
	Patient = Limits{Answer: 5 * time.Second, Attempts: 4, Backoff: 2 * time.Second}
	// Starting is for start-upgrade: a job may begin a thousand devices at the same moment, and AWS IoT takes 200
	// updates of job executions a second of an account. Its calls are short.
	Starting = Limits{Answer: 2500 * time.Millisecond, Attempts: 6, Backoff: 2500 * time.Millisecond}
	// Brisk is for functions that have ten seconds, and whose work comes again soon.
	Brisk = Limits{Answer: 1500 * time.Millisecond, Attempts: 3, Backoff: 500 * time.Millisecond}
)

const (
	dialTimeout = 2 * time.Second
	lastWords   = time.Second // before the function's deadline
)

// Main runs a function in the Lambda runtime; it does not return. A constructor
// that fails is a function that does not start, and says why.
func Main[H any](construct Constructor[H], limits Limits) {
	ctx := context.Background()
	cfg, err := limits.load(ctx)
	if err == nil {
		var handler H
		if handler, err = construct(ctx, OS(), cfg, time.Now); err == nil {
			lambda.Start(early{lambda.NewHandler(handler)})
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// load is the configuration of every client of a function.
func (l Limits) load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(l.httpClient()), config.WithRetryer(l.retryer))
	plainbody.Use(&cfg)
	return cfg, err
}

func (l Limits) httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = min(dialTimeout, l.Answer) }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = min(dialTimeout, l.Answer), l.Answer
		})
}

func (l Limits) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = l.Attempts
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			return l.Pause(attempt, err, rand.Float64()), nil
		})
	})
}

// throttles are the errors of a service that is asked too much.
var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)

// Pause is how long a function waits after so many tries of a call of which the last ended with err: a part, of which
// jitter from 0 to 1 says how large, of what doubles with each try up to Backoff. A service that many ask too much is
// asked again over the whole of Backoff; the SDK's own pause is the same for all once it is at its longest.
func (l Limits) Pause(attempt int, err error, jitter float64) time.Duration {
	most := l.Backoff
	if throttles.IsErrorThrottle(err) != aws.TrueTernary {
		most = min(most, 50*time.Millisecond<<min(attempt, 16))
	}
	return time.Duration(jitter * float64(most))
}

// early ends a handler's context before Lambda ends the process, so that what hangs
// is an error in the log, with its call's name.
type early struct{ lambda.Handler }

// Invoke implements lambda.Handler.
func (h early) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-lastWords))
		defer cancel()
	}
	return h.Handler.Invoke(ctx, payload)
}
