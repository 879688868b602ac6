package iotjobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// Executions is the AWS IoT jobs data plane, in the operations that are needed of
// it. The SDK's package for it cannot be built beside a current SDK
// (docs/decisions/0007), so requests are made here and signed, retried and
// authenticated by the SDK's own parts.
//
// That a job execution is over, or gone, is believed of the control plane only: a
// wrong endpoint, or one that AWS has moved, answers 404 to everything, and each
// device would lose its upgrade without a sound. AWS has answered errors with
// status 200, too: an answer whose body tells of an error is one
// (github.com/aws/aws-sdk-js/issues/2539, 2019-02-16).
//
// Source: AWS IoT Jobs data plane API, UpdateJobExecution, DescribeJobExecution and
// GetPendingJobExecutions; signing name iot-jobs-data.
type Executions struct {
	cfg      aws.Config
	endpoint string
	control  *iot.Client
	signer   *v4.Signer
	retryer  aws.Retryer
	now      func() time.Time
}

// NewExecutions is the data plane at the account's endpoint, a URL; control is asked
// whether it is right.
func NewExecutions(cfg aws.Config, endpoint string, control *iot.Client, now func() time.Time) *Executions {
	var retryer aws.Retryer = retry.NewStandard()
	if cfg.Retryer != nil {
		retryer = cfg.Retryer()
	}
	return &Executions{cfg: cfg, endpoint: strings.TrimSuffix(endpoint, "/"), control: control, signer: v4.NewSigner(),
		retryer: retryer, now: now}
}

// dataError is an error that the data plane answered.
type dataError struct {
	host    string
	status  int
	code    string // "" where the answer has none
	message string
}

func (e *dataError) Error() string {
	code := e.code
	if code == "" {
		code = "no error code"
	}
	text := fmt.Sprintf("the jobs data plane %s answered %s (HTTP %d)", e.host, code, e.status)
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// ErrorCode is AWS's, "" where the answer has none.
func (e *dataError) ErrorCode() string { return e.code }

// Codes of the data plane that say, in one way or another, that an execution cannot
// be touched any more.
const (
	notFoundCode  = "ResourceNotFoundException"
	terminalCode  = "TerminalStateException"
	wrongMoveCode = "InvalidStateTransitionException"
)

// invalidCode refuses a request as it is.
const invalidCode = "InvalidRequestException"

// Update implements jobs.Executions.
func (e *Executions) Update(ctx context.Context, thing event.ThingName, job event.JobID, number int64,
	status event.JobStatus, details map[string]string) error {
	body, err := json.Marshal(struct {
		Status  event.JobStatus   `json:"status"`
		Details map[string]string `json:"statusDetails,omitempty"`
		Number  int64             `json:"executionNumber"`
	}{status, details, number})
	if err != nil {
		return err
	}
	err = e.call(ctx, http.MethodPost, path(thing, job), nil, body, nil)
	if err == nil {
		return nil
	}
	if answered, ok := errors.AsType[*dataError](err); ok {
		switch answered.code {
		case notFoundCode, terminalCode, wrongMoveCode:
			if _, err = e.over(ctx, thing, job, number, answered); errors.Is(err, jobs.ErrOver) {
				return jobs.ErrOver
			}
		case invalidCode:
			return fmt.Errorf("iotjobs.Update: to %s: %w: %w", status, jobs.ErrRefused, err)
		}
	}
	return fmt.Errorf("iotjobs.Update: to %s: %w", status, err)
}

// Cancel implements jobs.Executions, by the control plane: no device may set CANCELED.
// CancelJobExecution takes no execution number, and the next attempt must not be met:
// so it is told the version of the attempt that was looked at.
func (e *Executions) Cancel(ctx context.Context, thing event.ThingName, job event.JobID, number int64,
	details map[string]string) error {
	fail := func(err error) error { return fmt.Errorf("iotjobs.Cancel: %w", err) }
	out, err := e.control.DescribeJobExecution(ctx, &iot.DescribeJobExecutionInput{
		ThingName: aws.String(string(thing)), JobId: aws.String(string(job)), ExecutionNumber: &number,
	})
	switch {
	case notFound(err):
		return jobs.ErrOver
	case err != nil:
		return fail(err)
	case out.Execution == nil:
		return fail(errors.New("the control plane says nothing of the job execution"))
	case event.JobStatus(out.Execution.Status).Terminal():
		return jobs.ErrOver
	}
	_, err = e.control.CancelJobExecution(ctx, &iot.CancelJobExecutionInput{
		ThingName: aws.String(string(thing)), JobId: aws.String(string(job)), Force: true,
		ExpectedVersion: &out.Execution.VersionNumber, StatusDetails: details,
	})
	if _, refused := errors.AsType[*types.InvalidRequestException](err); refused {
		return fail(fmt.Errorf("%w: %w", jobs.ErrRefused, err))
	}
	switch {
	case notFound(err):
		return jobs.ErrOver
	case err != nil:
		return fail(err) // changed since we looked, for one: the next try looks again
	}
	return nil
}

// Status implements jobs.Executions. Of a terminal execution the data plane tells no
// status, but the control plane does; where that one is too busy (it takes 10
// calls a second, the data plane 200), the code alone is believed: no other service
// answers TerminalStateException.
func (e *Executions) Status(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (
	event.JobStatus, error) {
	var out struct {
		Execution *struct {
			Status          event.JobStatus `json:"status"`
			ExecutionNumber int64           `json:"executionNumber"`
		} `json:"execution"`
	}
	query := url.Values{"executionNumber": {strconv.FormatInt(number, 10)}, "includeJobDocument": {"false"}}
	err := e.call(ctx, http.MethodGet, path(thing, job), query, nil, &out)
	switch answered, ok := errors.AsType[*dataError](err); {
	case err == nil && out.Execution != nil && out.Execution.ExecutionNumber == number:
		return out.Execution.Status, nil
	case err == nil:
		err = fmt.Errorf("the jobs data plane %s does not know attempt %d", e.host(), number)
	case !ok || answered.code != notFoundCode && answered.code != terminalCode:
		return "", fmt.Errorf("iotjobs.Status: %w", err)
	}
	status, over := e.over(ctx, thing, job, number, err)
	switch answered, ok := errors.AsType[*dataError](err); {
	case errors.Is(over, jobs.ErrOver) && status != "":
		return status, nil
	case errors.Is(over, jobs.ErrOver):
		return "", jobs.ErrOver
	case ok && answered.code == terminalCode && throttledByControl(over):
		return "", jobs.ErrTerminal
	}
	return "", fmt.Errorf("iotjobs.Status: %w", over)
}

// Next implements jobs.Executions.
func (e *Executions) Next(ctx context.Context, thing event.ThingName) (*jobs.Next, error) {
	var out struct {
		Execution *struct {
			JobID           event.JobID `json:"jobId"`
			ExecutionNumber int64       `json:"executionNumber"`
			JobDocument     string      `json:"jobDocument"`
		} `json:"execution"`
	}
	err := e.call(ctx, http.MethodGet, path(thing, "$next"), url.Values{"includeJobDocument": {"true"}}, nil, &out)
	answered, ok := errors.AsType[*dataError](err)
	switch {
	case ok && answered.code == notFoundCode: // the thing is none of the registry's
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("iotjobs.Next: %w", err)
	case out.Execution == nil || out.Execution.JobID == "":
		return nil, nil
	}
	x := out.Execution
	return &jobs.Next{Job: x.JobID, Number: x.ExecutionNumber, Document: json.RawMessage(x.JobDocument)}, nil
}

// over asks the control plane about an execution of which the data plane says, by
// why, that it is over or gone. It returns jobs.ErrOver if that is so, with the
// terminal status or "" for one that is gone; else an error that tells what is
// wrong.
func (e *Executions) over(ctx context.Context, thing event.ThingName, job event.JobID, number int64, why error) (
	event.JobStatus, error) {
	out, err := e.control.DescribeJobExecution(ctx, &iot.DescribeJobExecutionInput{
		ThingName: aws.String(string(thing)), JobId: aws.String(string(job)), ExecutionNumber: &number,
	})
	switch {
	case notFound(err):
		return "", jobs.ErrOver
	case err != nil:
		return "", fmt.Errorf("%w; the control plane cannot say whether that is so: %w", why, err)
	case out.Execution == nil:
		return "", fmt.Errorf("%w; the control plane says nothing of the job execution", why)
	}
	status := event.JobStatus(out.Execution.Status)
	if status.Terminal() {
		return status, jobs.ErrOver
	}
	return "", fmt.Errorf("%w; but the control plane says that the job execution is %s", why, status)
}

func throttledByControl(err error) bool {
	var api interface{ ErrorCode() string }
	if _, busy := errors.AsType[*types.ThrottlingException](err); busy {
		return true
	}
	return errors.As(err, &api) && api.ErrorCode() == "TooManyRequestsException"
}

// path is that of a job execution; of all of a thing for job "".
func path(thing event.ThingName, job event.JobID) string {
	p := "/things/" + url.PathEscape(string(thing)) + "/jobs"
	if job != "" {
		p += "/" + url.PathEscape(string(job))
	}
	return p
}

// host names the endpoint in error texts.
func (e *Executions) host() string {
	_, host, _ := strings.Cut(e.endpoint, "://")
	return host
}

// call makes one call, again after throttling and passing faults. How often, and how long it waits, the SDK's Retryer
// says.
func (e *Executions) call(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	u := e.endpoint + path
	if query != nil {
		u += "?" + query.Encode()
	}
	for n := 1; ; n++ {
		again, err := e.once(ctx, method, u, body, out)
		if !again || n >= e.retryer.MaxAttempts() {
			return err
		}
		pause, unsaid := e.retryer.RetryDelay(n, err)
		if unsaid != nil {
			return err
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, pause time.Duration) error {
	if pause <= 0 { // the Retryer has waited, by a clock of its own
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxAnswer is far above what an execution without its document takes.
const maxAnswer = 1 << 20

// once makes a call once; again says whether another try may help.
func (e *Executions) once(ctx context.Context, method, u string, body []byte, out any) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	credentials, err := e.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(body)
	if err := e.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "iot-jobs-data", e.cfg.Region,
		e.now()); err != nil {
		return false, err
	}
	var client interface {
		Do(*http.Request) (*http.Response, error)
	} = http.DefaultClient
	if e.cfg.HTTPClient != nil {
		client = e.cfg.HTTPClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return ctx.Err() == nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return true, err
	}
	if failure := e.failure(resp, answer); failure != nil {
		return failure.passing(), failure
	}
	if out == nil {
		return false, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return false, e.unreadable(resp)
	}
	return false, nil
}

// passing reports whether a moment later the answer may be another.
func (e *dataError) passing() bool {
	switch e.code {
	case "ThrottlingException", "TooManyRequestsException", "ServiceUnavailableException":
		return true
	}
	return e.status >= 500 || e.status == http.StatusTooManyRequests
}

// failure is the error that an answer tells of; nil if it is a success. A success
// of the operations used here is an object without these members.
func (e *Executions) failure(resp *http.Response, answer []byte) *dataError {
	type fault struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	var b struct {
		fault
		Output *fault `json:"Output"`
	}
	success := resp.StatusCode < 300
	if err := json.Unmarshal(answer, &b); err != nil && success && len(answer) > 0 {
		return e.unreadable(resp)
	}
	found := b.fault
	if b.Output != nil {
		found = *b.Output
	}
	code := resp.Header.Get("X-Amzn-Errortype")
	for _, c := range []string{found.Type, found.Code} {
		if code == "" {
			code = c
		}
	}
	if success && code == "" && found.Message == "" && b.Output == nil {
		return nil
	}
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	return &dataError{host: e.host(), status: resp.StatusCode, code: code, message: found.Message}
}

func (e *Executions) unreadable(resp *http.Response) *dataError {
	return &dataError{host: e.host(), status: resp.StatusCode,
		message: "the answer is not what the jobs data plane says"}
}
