package functions

import (
	"context"
	"fmt"
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
		o.MaxAttempts, o.MaxBackoff = l.Attempts, l.Backoff
	})
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
