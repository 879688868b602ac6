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

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// Executions is the AWS IoT jobs data plane, in the two operations that are
// needed of it. The SDK's package for it cannot be built beside a current SDK
// (docs/decisions/0007), so requests are made here and signed, retried and
// authenticated by the SDK's own parts.
//
// Source: AWS IoT Jobs data plane API, UpdateJobExecution and
// DescribeJobExecution; signing name iot-jobs-data.
type Executions struct {
	cfg      aws.Config
	endpoint string
	signer   *v4.Signer
	now      func() time.Time
}

// NewExecutions is the data plane at the account's endpoint, a URL.
func NewExecutions(cfg aws.Config, endpoint string, now func() time.Time) *Executions {
	return &Executions{cfg: cfg, endpoint: strings.TrimSuffix(endpoint, "/"), signer: v4.NewSigner(), now: now}
}

// dataError is an error that the data plane answered.
type dataError struct {
	status  int
	code    string
	message string
}

func (e *dataError) Error() string {
	return fmt.Sprintf("%s (HTTP %d): %s", e.code, e.status, e.message)
}
func (e *dataError) ErrorCode() string { return e.code }

// Update implements jobs.Executions.
func (e *Executions) Update(ctx context.Context, thing event.ThingName, job event.JobID, number int64, status event.JobStatus, details map[string]string) error {
	body, err := json.Marshal(struct {
		Status  event.JobStatus   `json:"status"`
		Details map[string]string `json:"statusDetails,omitempty"`
		Number  int64             `json:"executionNumber"`
	}{status, details, number})
	if err != nil {
		return err
	}
	err = e.call(ctx, http.MethodPost, thing, job, nil, body, nil)
	if err == nil {
		return nil
	}
	if gone(err) {
		return jobs.ErrOver
	}
	if moved, ok := errors.AsType[*dataError](err); ok && moved.code == "InvalidStateTransitionException" {
		// Another attempt, or an end that came in between: look.
		if s, e := e.Status(ctx, thing, job, number); errors.Is(e, jobs.ErrOver) || e == nil && s.Terminal() {
			return jobs.ErrOver
		}
	}
	return fmt.Errorf("iotjobs.Update: to %s: %w", status, err)
}

// Status implements jobs.Executions.
func (e *Executions) Status(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (event.JobStatus, error) {
	var out struct {
		Execution *struct {
			Status          event.JobStatus `json:"status"`
			ExecutionNumber int64           `json:"executionNumber"`
		} `json:"execution"`
	}
	query := url.Values{"executionNumber": {strconv.FormatInt(number, 10)}, "includeJobDocument": {"false"}}
	err := e.call(ctx, http.MethodGet, thing, job, query, nil, &out)
	if e, ok := errors.AsType[*dataError](err); ok && e.code == terminalState {
		return "", jobs.ErrTerminal // AWS IoT describes no terminal execution to devices
	}
	if gone(err) {
		return "", jobs.ErrOver
	}
	if err != nil {
		return "", fmt.Errorf("iotjobs.Status: %w", err)
	}
	if out.Execution == nil || out.Execution.ExecutionNumber != number {
		return "", jobs.ErrOver // replaced by a later attempt
	}
	return out.Execution.Status, nil
}

const terminalState = "TerminalStateException"

func gone(err error) bool {
	e, ok := errors.AsType[*dataError](err)
	return ok && (e.code == "ResourceNotFoundException" || e.code == terminalState)
}

// attempts is how often a call is made before its error is told.
const attempts = 3

// call makes one call, again after throttling and passing faults.
func (e *Executions) call(ctx context.Context, method string, thing event.ThingName, job event.JobID, query url.Values, body []byte, out any) error {
	u := e.endpoint + "/things/" + url.PathEscape(string(thing)) + "/jobs/" + url.PathEscape(string(job))
	if query != nil {
		u += "?" + query.Encode()
	}
	backoff := retry.NewExponentialJitterBackoff(5 * time.Second)
	for n := 0; ; n++ {
		again, err := e.once(ctx, method, u, body, out)
		if !again || n == attempts-1 {
			return err
		}
		delay, e := backoff.BackoffDelay(n, err)
		if e != nil {
			return err
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
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
	if err := e.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "iot-jobs-data", e.cfg.Region, e.now()); err != nil {
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
	if resp.StatusCode >= 300 {
		failure := parseError(resp, answer)
		return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || failure.code == "ThrottlingException", failure
	}
	if out == nil {
		return false, nil
	}
	return false, json.Unmarshal(answer, out)
}

func parseError(resp *http.Response, answer []byte) *dataError {
	var b struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &b) // an answer that is no JSON has only a status
	code := resp.Header.Get("X-Amzn-Errortype")
	for _, c := range []string{b.Type, b.Code} {
		if code == "" {
			code = c
		}
	}
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	return &dataError{status: resp.StatusCode, code: code, message: b.Message}
}
