package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/fleetstep/fleetstep/internal/device"
	devicessm "github.com/fleetstep/fleetstep/internal/device/ssm"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// refusing answers every request of one operation with one error, others as told.
type refusing struct {
	service, code string
	status        int
	times         int
}

func (r *refusing) Do(q *http.Request) (*http.Response, error) {
	header := http.Header{}
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: q}, nil
	}
	if strings.HasSuffix(q.Header.Get("X-Amz-Target"), ".Query") && strings.HasPrefix(r.code, "TransactionCanceled") {
		return answer(200, `{"Items":[]}`)
	}
	if strings.Contains(q.Header.Get("Authorization"), "/iot/") && r.service == "Jobs data plane" {
		return answer(200, `{"execution":{"status":"QUEUED","executionNumber":1}}`)
	}
	if strings.HasSuffix(q.Header.Get("X-Amz-Target"), ".DescribeExecution") && r.code == "ExecutionAlreadyExists" {
		return answer(200, `{"status":"RUNNING","executionArn":"x","stateMachineArn":"x","startDate":1}`)
	}
	if q.Method == http.MethodGet && strings.HasPrefix(q.URL.Path, "/things/t/jobs/") &&
		r.service == "IoT control plane" {
		return answer(200, `{"execution":{"status":"IN_PROGRESS","executionNumber":1,"versionNumber":2}}`)
	}
	r.times++
	code, reason, _ := strings.Cut(r.code, ": ")
	switch r.service {
	case "DynamoDB", "Step Functions", "SQS", "SSM":
		body := `{"__type":"` + code + `","message":"no"}`
		if reason != "" {
			body = `{"__type":"` + code + `","CancellationReasons":[{"Code":"` + reason + `"},{"Code":"None"}]}`
		}
		return answer(r.status, body)
	case "S3":
		return answer(r.status, `<Error><Code>`+code+`</Code><Message>no</Message></Error>`)
	case "SNS":
		return answer(r.status, `<ErrorResponse><Error><Code>`+code+`</Code><Message>no</Message></Error></ErrorResponse>`)
	}
	header.Set("X-Amzn-Errortype", code)
	return answer(r.status, `{"message":"no"}`)
}

// calls are the calls of the adapters, wired as the functions are.
func calls(p *parts) map[string]func(context.Context) error {
	st, steps := p.store(), p.machine()
	control, executions, images := p.control("t"), p.executions(), p.images("bucket")
	at, owner, op := time.Unix(1_700_000_000, 0), event.JobOwner("j"), upgrade.Operation
	claim := workflow.Claim{Owner: owner, Operation: op, ExecutionNumber: 1, Execution: "e", ClaimedAt: at,
		Deadline: at, ExpiresAt: at, Rev: 1}
	await := workflow.Await{Step: "INSPECT", Token: "token", Owner: owner, Execution: "e", Rev: 1, Since: at,
		ExpiresAt: at}
	greeting := workflow.Greeting{Endpoint: "os::1", At: at}
	ignore := func(_ any, err error) error { return err }
	return map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { return ignore(st.Load(ctx, "t")) },
		"PutPending": func(ctx context.Context) error {
			return st.PutPending(ctx, "t", workflow.Pending{Owner: owner, Operation: op, At: at, ExpiresAt: at})
		},
		"DropPending": func(ctx context.Context) error {
			return st.DropPending(ctx, "t", workflow.Attempt{Owner: owner, Number: 1})
		},
		"Claim": func(ctx context.Context) error { return st.Claim(ctx, "t", claim, nil) },
		"Register": func(ctx context.Context) error {
			return st.Register(ctx, "t", workflow.Registration{Claim: claim, Await: await})
		},
		"Advance": func(ctx context.Context) error { return st.Advance(ctx, "t", await) },
		"Finish":  func(ctx context.Context) error { return st.Finish(ctx, "t", await, nil) },
		"Finish with versions": func(ctx context.Context) error {
			return st.Finish(ctx, "t", await, map[string]string{"softwareVersion": "2"})
		},
		"PutNews": func(ctx context.Context) error {
			return st.PutNews(ctx, "t", "e", event.DeviceEvent{Kind: event.KindBooted, At: at}, at)
		},
		"Learn":    func(ctx context.Context) error { return st.Learn(ctx, "t", map[string]string{"a": "b"}) },
		"Presence": func(ctx context.Context) error { return st.Presence(ctx, "t", workflow.Presence{At: at}) },
		"Greet":    func(ctx context.Context) error { return st.Greet(ctx, "t", greeting) },
		"Bind":     func(ctx context.Context) error { return st.Bind(ctx, "t", greeting, workflow.Binding{}) },
		"End": func(ctx context.Context) error {
			return st.End(ctx, "t", claim, workflow.Ending{By: "x", At: at})
		},
		"Release": func(ctx context.Context) error {
			return st.Release(ctx, workflow.Device{Thing: "t", Claim: &claim}, "e", workflow.Attempt{Owner: owner,
				Number: 1})
		},
		"Flags":   func(ctx context.Context) error { return ignore(st.Flags(ctx, owner)) },
		"SetFlag": func(ctx context.Context) error { return st.SetFlag(ctx, owner, workflow.Control{At: at}) },
		"Lease":   func(ctx context.Context) error { return ignore(st.Lease(ctx, "x", at, at)) },
		"Keep":    func(ctx context.Context) error { return st.Keep(ctx, workflow.Lease{}) },
		"Return":  func(ctx context.Context) error { return st.Return(ctx, workflow.Lease{}) },
		"Lifted":  func(ctx context.Context) error { return ignore(st.Lifted(ctx)) },
		"Knocks":  func(ctx context.Context) error { _, _, err := st.Knocks(ctx, owner, 1); return err },
		"Answer": func(ctx context.Context) error {
			return st.Answer(ctx, owner, workflow.Knock{Thing: "t", At: at})
		},
		"Forget": func(ctx context.Context) error { return st.Forget(ctx, workflow.Lifted{Whose: owner}) },
		"Park": func(ctx context.Context) error {
			d := workflow.Device{Thing: "t", Claim: &claim}
			return st.Park(ctx, d, "e", workflow.Pending{Owner: owner, Lap: 1, At: at, ExpiresAt: at},
				workflow.Due{At: at, Thing: "t", Owner: owner})
		},
		"Postpone": func(ctx context.Context) error {
			return st.Postpone(ctx, "t", workflow.Pending{Owner: owner}, workflow.Due{At: at, Thing: "t",
				Owner: owner})
		},
		"EndPending": func(ctx context.Context) error {
			return st.EndPending(ctx, "t", workflow.Pending{Owner: owner}, workflow.Ending{By: "x", At: at})
		},
		"Due": func(ctx context.Context) error { _, _, err := st.Due(ctx, at, 1); return err },
		"Done": func(ctx context.Context) error {
			return st.Done(ctx, []workflow.Due{{At: at, Thing: "t", Owner: owner}})
		},
		"Wake": func(ctx context.Context) error {
			return p.waker().Wake(ctx, []workflow.Wake{{Thing: "t", Owner: owner}})
		},
		"Knock":   func(ctx context.Context) error { return st.Knock(ctx, owner, workflow.Knock{Thing: "t", At: at}) },
		"Succeed": func(ctx context.Context) error { return steps.Succeed(ctx, "token", 1) },
		"Fail":    func(ctx context.Context) error { return steps.Fail(ctx, "token", event.Failure{}) },
		"Start": func(ctx context.Context) error {
			return ignore(steps.Start(ctx, event.ExecutionInput{Execution: "e", Operation: op}))
		},
		"Look":         func(ctx context.Context) error { return ignore(steps.Look(ctx, op, "e")) },
		"Stop":         func(ctx context.Context) error { return steps.Stop(ctx, op, "e", event.Failure{}) },
		"StoppedSince": func(ctx context.Context) error { return ignore(steps.StoppedSince(ctx, at)) },

		"Endpoint": func(ctx context.Context) error { return ignore(p.things().Thing(ctx, "t")) },
		"Template": func(ctx context.Context) error { return ignore(control.Template(ctx)) },
		"Create": func(ctx context.Context) error {
			return ignore(control.Create(ctx, jobs.Job{JobID: "j", Request: jobs.Request{Targets: []string{"x"}}}))
		},
		"Document": func(ctx context.Context) error { return ignore(control.Document(ctx, "j")) },
		"Describe": func(ctx context.Context) error { return ignore(control.Describe(ctx, "j")) },
		"TargetExists": func(ctx context.Context) error {
			return ignore(control.TargetExists(ctx, "arn:aws:iot:us-east-1:123456789012:thing/t"))
		},
		"Things": func(ctx context.Context) error {
			return ignore(control.Things(ctx, "arn:aws:iot:us-east-1:123456789012:thinggroup/g", 1))
		},
		"Open":         func(ctx context.Context) error { _, _, err := control.Open(ctx, "", at, 1); return err },
		"SetAttribute": func(ctx context.Context) error { return control.SetAttribute(ctx, "t", "a", "1") },

		"Update": func(ctx context.Context) error {
			return executions.Update(ctx, "t", "j", 1, event.StatusInProgress, nil)
		},
		"Cancel": func(ctx context.Context) error { return executions.Cancel(ctx, "t", "j", 1, nil) },
		"Status": func(ctx context.Context) error { return ignore(executions.Status(ctx, "t", "j", 1)) },
		"Next":   func(ctx context.Context) error { return ignore(executions.Next(ctx, "t")) },
		"Send": func(ctx context.Context) error {
			to := event.DeviceState{Endpoint: "os::1"}
			return p.sender(device.NoAddresses{}).Send(ctx, "t", to, &device.Get{ID: "m"})
		},
		"Image": func(ctx context.Context) error {
			return ignore(images.Describe(ctx, upgrade.S3Object{Bucket: "bucket", Key: "k"}))
		},
		"Images": func(ctx context.Context) error { return ignore(images.ByVersion(ctx, "1")) },
		"Secret": func(ctx context.Context) error {
			return ignore(devicessm.New(ssm.NewFromConfig(p.cfg), "/key").Secret(ctx))
		},
		"Publish": func(ctx context.Context) error { return p.outcomes().Publish(ctx, event.Outcome{}) },
	}
}

// named errors of the table.
var results = map[string]error{
	"`ErrClaimed`": workflow.ErrClaimed, "`ErrChanged`": workflow.ErrChanged, "`ErrStale`": workflow.ErrStale,
	"`ErrForeign`": workflow.ErrForeign, "`ErrGone`": workflow.ErrGone, "`ErrDeadToken`": workflow.ErrDeadToken,
	"`ErrLeased`": workflow.ErrLeased, "`ErrOver`": jobs.ErrOver, "`ErrRefused`": jobs.ErrRefused,
	"`ErrExists`": jobs.ErrExists, "`ErrNotFound`": jobs.ErrNotFound, "`ErrNoImage`": upgrade.ErrNoImage,
	"`ErrUnreadable`": upgrade.ErrUnreadable, "`ErrUnfit`": jobs.ErrUnfit,
}

// TestTableOfAWSErrorsIsTrue plays each row of the table in docs/errors.md through
// the adapters, by clients of the SDK against a server that answers so.
func TestTableOfAWSErrorsIsTrue(t *testing.T) {
	synctest.Test(t, playTable) // so that waits cost nothing
}

func playTable(t *testing.T) {
	doc, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc),
		"| service | code | HTTP | calls | what we do |\n| --- | --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("docs/errors.md has no table of AWS's errors")
	}
	played := map[string]bool{}
	names := calls(awsParts(t, &refusing{}))
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			break
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		status, err := strconv.Atoi(cells[2])
		if err != nil {
			t.Errorf("%s: the HTTP status is no number", line)
			continue
		}
		for code := range strings.SplitSeq(cells[1], ", ") {
			for call := range strings.SplitSeq(cells[3], ", ") {
				if names[call] == nil {
					t.Errorf("there is no call %q", call)
					continue
				}
				played[call] = true
				server := &refusing{service: cells[0], code: strings.Trim(code, "`"), status: status}
				got := calls(awsParts(t, server))[call](t.Context())
				if problem := outcomeOf(got, server.times, cells[4]); problem != "" {
					t.Errorf("%s, %s, %s: %s: %v", cells[0], code, call, problem, got)
				}
			}
		}
	}
	for name := range names {
		if !played[name] {
			t.Errorf("no row has the call %s", name)
		}
	}
}

func outcomeOf(err error, times int, want string) string {
	name := ""
	for text, e := range results {
		if errors.Is(err, e) {
			name = text
		}
	}
	switch want {
	case "success":
		if err != nil {
			return "want success"
		}
	case "tried again, then transient", "transient", "permanent":
		if again := want == "tried again, then transient"; err == nil || name != "" || (times > 1) != again {
			return fmt.Sprintf("asked %d times, %s; want %s", times, name, want)
		}
		called, _ := named(err).(messages.InvokeResponse_Error)
		if called.Type != TypeTransient && want != "permanent" || called.Type != TypePermanent && want == "permanent" {
			return "it is called " + called.Type
		}
		if r, ok := errors.AsType[interface {
			error
			ErrorCode() string
		}](err); !ok || r.ErrorCode() == "" {
			return "AWS's code is lost"
		}
	default:
		// Presence asks once more, for a client that never greeted.
		most := map[string]int{"`ErrDeadToken`": 10, "`ErrStale`": 2}
		if results[want] == nil || name != want || times > max(1, most[want]) {
			return fmt.Sprintf("asked %d times, %q; want %s", times, name, want)
		}
	}
	return ""
}

func awsParts(t *testing.T, server *refusing) *parts {
	t.Helper()
	p := newParts(t.Context(), Vars(map[string]string{
		environment.Table: "table", environment.StartQueue: "https://sqs.us-east-1.amazonaws.com/123456789012/q",
		environment.StateMachines: "arn:aws:states:us-east-1:123456789012:stateMachine:m-",
		environment.JobsEndpoint:  "https://x.iot", environment.DataEndpoint: "https://x.iot",
		environment.OutcomeTopic: "arn:aws:sns:us-east-1:123456789012:t", environment.ControllerEndpoint: "self::c",
		environment.AgentTopic: "a/{thing}", environment.ControllerTopic: "c/{thing}",
	}, io.Discard), aws.Config{
		Region: "us-east-1", HTTPClient: server, Credentials: credentials.NewStaticCredentialsProvider("AKID",
			"secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
				o.RateLimiter = ratelimit.None
			})
		},
	}, time.Now)
	return p
}
