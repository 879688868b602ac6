package ablation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var tokenIn = regexp.MustCompile(`\\*"taskToken\\*":\\*"([^"\\]+)`)

// errorIn finds the errors and causes of a history; what went in and out of its states is
// quoted within strings.
var errorIn = regexp.MustCompile(`"(?:error|cause)":("(?:[^"\\]|\\.)*")`)

// details are what a device's executions of all jobs say of themselves.
func (s stage) details(ctx context.Context) (string, error) {
	var all strings.Builder
	var jobs struct{ Jobs []struct{ JobID string } }
	if err := s.call(ctx, "iot", "ListJobs", map[string]any{}, &jobs); err != nil {
		return "", err
	}
	for _, job := range jobs.Jobs {
		var list struct {
			ExecutionSummaries []struct{ ThingArn string }
		}
		in := map[string]any{"jobId": job.JobID}
		if err := s.call(ctx, "iot", "ListJobExecutionsForJob", in, &list); err != nil {
			return "", err
		}
		for _, x := range list.ExecutionSummaries {
			_, thing, _ := strings.Cut(x.ThingArn, ":thing/")
			var out struct {
				Execution struct{ StatusDetails json.RawMessage }
			}
			in := map[string]any{"jobId": job.JobID, "thingName": thing}
			if err := s.call(ctx, "iot", "DescribeJobExecution", in, &out); err != nil {
				return "", err
			}
			all.Write(out.Execution.StatusDetails)
			all.WriteByte('\n')
		}
	}
	return all.String(), nil
}

// What the functions log in a whole story, the errors of executions and the details of
// job executions hold no task token, no address with a signature and no credentials.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	c := whole
	c.Logs = true
	var log strings.Builder
	tokens := map[string]bool{}
	events, failures := 0, 0
	o := play(t, template(t), c, false, func(ctx context.Context, s stage) error {
		if err := story(ctx, s); err != nil {
			return err
		}
		machine, err := s.physical(ctx, "StateMachine")
		if err != nil {
			return err
		}
		var list struct {
			Executions []struct{ ExecutionArn string }
		}
		if err := s.call(ctx, "sfn", "ListExecutions", map[string]any{"stateMachineArn": machine}, &list); err != nil {
			return err
		}
		for _, e := range list.Executions {
			var history json.RawMessage
			if err := s.call(ctx, "sfn", "GetExecutionHistory",
				map[string]any{"executionArn": e.ExecutionArn, "maxResults": 1000}, &history); err != nil {
				return err
			}
			for _, m := range tokenIn.FindAllSubmatch(history, -1) {
				tokens[string(m[1])] = true
			}
			// Who may not see the data of an execution sees no token.
			var outline json.RawMessage
			if err := s.call(ctx, "sfn", "GetExecutionHistory", map[string]any{"executionArn": e.ExecutionArn,
				"maxResults": 1000, "includeExecutionData": false}, &outline); err != nil {
				return err
			}
			if tokenIn.Match(outline) {
				return fmt.Errorf("a token in a history without its data: %s", e.ExecutionArn)
			}
			for _, m := range errorIn.FindAllSubmatch(history, -1) {
				failures++
				log.Write(append(m[1], '\n'))
			}
		}
		details, err := s.details(ctx)
		if err != nil {
			return err
		}
		if !strings.Contains(details, "Download.ChecksumMismatch") {
			return errors.New("no job execution says why it failed")
		}
		log.WriteString(details)
		var groups struct {
			LogGroups []struct{ LogGroupName string }
		}
		if err := s.call(ctx, "cloudwatchlogs", "DescribeLogGroups", map[string]any{}, &groups); err != nil {
			return err
		}
		for _, g := range groups.LogGroups {
			next := ""
			for {
				in := map[string]any{"logGroupName": g.LogGroupName}
				if next != "" {
					in["nextToken"] = next
				}
				var page struct {
					Events    []struct{ Message string }
					NextToken string
				}
				if err := s.call(ctx, "cloudwatchlogs", "FilterLogEvents", in, &page); err != nil {
					return err
				}
				for _, e := range page.Events {
					events++
					log.WriteString(e.Message + "\n")
				}
				if next = page.NextToken; next == "" {
					break
				}
			}
		}
		return nil
	})
	if o.err != nil || len(o.said) > 0 {
		t.Fatalf("%v\n%s", o.err, o.all())
	}
	if len(tokens) < 20 || events < 100 || failures < 10 {
		t.Fatalf("only %d task tokens, %d log events and %d errors", len(tokens), events, failures)
	}
	said := log.String()
	for token := range tokens {
		if strings.Contains(said, token) {
			t.Errorf("the task token %.12s… is logged", token)
		}
	}
	for _, secret := range []string{"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "taskToken",
		"AWS_SECRET_ACCESS_KEY", "PRIVATE KEY"} {
		if i := strings.Index(said, secret); i >= 0 {
			t.Errorf("%s is logged: %s", secret, said[max(0, i-100):min(len(said), i+100)])
		}
	}
}
