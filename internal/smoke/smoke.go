package smoke

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/fleetstep/fleetstep/internal/doctor"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// Config says what to try, and on what.
type Config struct {
	AWS   aws.Config
	Stack string
	// Existing takes the stack as it is, and leaves it. Otherwise it is made from Template and the functions in
	// LambdaDir, and removed.
	Existing  bool
	Template  []byte
	LambdaDir string

	Broker  string         // mqtts://host:port; "" is the account's endpoint
	RootCAs *x509.CertPool // of the broker; nil: the machine's

	// ID is part of the names of all that is made.
	ID string
	// Patience is how long a hop may take; the deployment has ten times as long.
	Patience time.Duration
	// Clock is how often the stack's clock ticks, which lets a campaign go on.
	Clock time.Duration
	// Tell is told of each hop as it ends.
	Tell  func(Hop)
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Hop is a part of the way and what was seen there.
type Hop struct {
	Name    string       `json:"name"`
	Level   doctor.Level `json:"level"`
	Seen    string       `json:"seen"`
	Do      string       `json:"do,omitempty"`
	Seconds float64      `json:"seconds"`
}

// Report is what came of it: the line for a ledger of what was seen on which account.
type Report struct {
	Started time.Time `json:"started"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Stack   string    `json:"stack"`
	Passed  bool      `json:"passed"`
	// Failed is the hop that ended it.
	Failed  string   `json:"failed,omitempty"`
	Seconds float64  `json:"seconds"`
	Hops    []Hop    `json:"hops"`
	Left    []string `json:"left"` // what was made and could not be removed
}

// trouble is a hop's failure that knows what to do.
type trouble struct{ seen, do string }

func (t *trouble) Error() string { return t.seen }

// run is a trial under way.
type run struct {
	Config
	report *Report
	undo   []removal // in the order in which things were made

	cloudformation *cloudformation.Client
	dynamodb       *dynamodb.Client
	iot            *iot.Client
	lambda         *lambda.Client
	logs           *cloudwatchlogs.Client
	s3             *s3.Client
	sfn            *sfn.Client

	stack     *doctor.Installed
	thing     string
	version   string
	fleet     *simulator.Fleet
	transport *watched
	began     time.Time // of this hop
	prefix    string    // of the names of hops
	job       string
	owner     event.Owner // of the upgrade
	execution string      // ARN
	since     time.Time
}

// removal takes away something that was made.
type removal struct {
	what string
	do   func(ctx context.Context) error
}

// made notes something that must go.
func (r *run) made(what string, do func(ctx context.Context) error) {
	r.undo = append(r.undo, removal{what, do})
}

// removing is how long the removal may take, and how long it goes on when nobody waits for it any more.
const removing = 15 * time.Minute

// Run plays it. The report is there whatever happens; the error is only that of a context that ended.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{
		Config: c, cloudformation: cloudformation.NewFromConfig(c.AWS), dynamodb: dynamodb.NewFromConfig(c.AWS),
		iot: iot.NewFromConfig(c.AWS), lambda: lambda.NewFromConfig(c.AWS), logs: cloudwatchlogs.NewFromConfig(c.AWS),
		s3:    s3.NewFromConfig(c.AWS, func(o *s3.Options) { o.UsePathStyle = c.AWS.BaseEndpoint != nil }),
		sfn:   sfn.NewFromConfig(c.AWS),
		thing: "smoke-" + c.ID, version: "smoke-" + c.ID, since: c.Now(),
		report: &Report{Started: c.Now().UTC(), Region: c.AWS.Region, Stack: c.Stack, Hops: []Hop{}, Left: []string{}},
	}
	err := r.way(ctx)
	r.remove(ctx)
	r.report.Seconds = c.Now().Sub(r.report.Started).Seconds()
	r.report.Passed = err == nil && r.report.Failed == ""
	if ctx.Err() != nil {
		return r.report, ctx.Err()
	}
	return r.report, nil
}

// errEnded is that a hop has failed and been told.
var errEnded = errors.New("a hop failed")

// way is the whole of it.
func (r *run) way(ctx context.Context) error {
	if err := r.look(ctx, doctor.Credentials); err != nil {
		return err
	}
	if !r.Existing {
		if err := r.hop(ctx, "deploy", 10*r.Patience, r.deploy); err != nil {
			return err
		}
	}
	if err := r.look(ctx, doctor.Standing...); err != nil {
		return err
	}
	for _, h := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"device", r.device}, {"connect", r.connect}, {"greeting", r.greeting}, {"image", r.image},
		{"create-job", r.createJob}, {"start", r.start},
	} {
		if err := r.hop(ctx, h.name, r.Patience, h.do); err != nil {
			return err
		}
	}
	if err := r.upgrade(ctx); err != nil {
		return err
	}
	if err := r.hop(ctx, "report", r.Patience, r.reported); err != nil {
		return err
	}
	return r.campaign(ctx)
}

// look makes checks of the doctor's, each a hop.
func (r *run) look(ctx context.Context, names ...string) error {
	r.began = r.Now()
	installed, found, err := doctor.Examine(ctx, doctor.Config{AWS: r.AWS, Stack: r.Stack, Now: r.Now},
		func(f doctor.Finding) {
			if f.Check == doctor.Credentials && slices.Contains(names, doctor.StackCheck) {
				return // it has been told
			}
			r.tell(Hop{Name: f.Check, Level: f.Level, Seen: f.Seen, Do: f.Do})
		}, names...)
	if err != nil {
		return err
	}
	r.stack, r.report.Account = installed, installed.Account
	if doctor.Worst(found) == doctor.Problem {
		return errEnded
	}
	return nil
}

// tell adds a hop to the report.
func (r *run) tell(h Hop) {
	h.Name = r.prefix + h.Name
	h.Seconds = float64(r.Now().Sub(r.began).Milliseconds()) / 1000
	r.began = r.Now()
	if h.Level == doctor.Problem && r.report.Failed == "" {
		r.report.Failed = h.Name
	}
	r.report.Hops = append(r.report.Hops, h)
	r.Tell(h)
}

// hop does a part of the way within its time.
func (r *run) hop(ctx context.Context, name string, patience time.Duration,
	do func(context.Context) (string, error)) error {
	r.began = r.Now()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := do(limited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		r.tell(Hop{Name: name, Level: doctor.OK, Seen: seen})
		return nil
	}
	h := Hop{Name: name, Level: doctor.Problem, Seen: doctor.DescribeError(err), Do: doctor.Advise(err)}
	if t, ok := errors.AsType[*trouble](err); ok {
		h.Seen, h.Do = t.seen, t.do
	}
	r.tell(h)
	return errEnded
}

// await asks until the answer is yes or the hop's time is over; late says then what was seen.
func (r *run) await(ctx context.Context, done func(context.Context) (bool, error),
	late func(context.Context) error) error {
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if err == nil {
			err = r.Sleep(ctx, 500*time.Millisecond)
		}
		if err == nil {
			continue
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return err
		}
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return late(after)
	}
}

// remove takes away what was made, the newest first.
func (r *run) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
	defer cancel()
	r.began, r.prefix = r.Now(), ""
	if r.fleet != nil {
		r.fleet.Stop()
	}
	n := len(r.undo)
	for _, u := range slices.Backward(r.undo) {
		if err := u.do(ctx); err != nil {
			r.report.Left = append(r.report.Left, u.what+": "+doctor.DescribeError(err))
		}
	}
	switch {
	case n == 0:
	case len(r.report.Left) == 0:
		r.tell(Hop{Name: "removal", Level: doctor.OK, Seen: fmt.Sprintf("%d things that were created are removed", n)})
	default:
		r.tell(Hop{Name: "removal", Level: doctor.Problem, Seen: fmt.Sprintf("left behind: %s", r.report.Left),
			Do: "remove them by hand"})
	}
}
