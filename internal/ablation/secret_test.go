package ablation

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/infra"
)

var tokenIn = regexp.MustCompile(`\\*"taskToken\\*":\\*"([^"\\]+)`)

// What the functions log in a whole story holds no task token, no address with a
// signature and no credentials.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	c := whole
	c.Logs = true
	var log strings.Builder
	tokens := map[string]bool{}
	events := 0
	o := play(t, infra.Template, c, false, func(ctx context.Context, s stage) error {
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
		}
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
	if len(tokens) < 20 || events < 100 {
		t.Fatalf("only %d task tokens and %d log events", len(tokens), events)
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
