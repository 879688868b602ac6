package sfn

import (
	"context"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
)

// judge assumes roles but those that trust nobody, and allows everything but
// some actions to them. Callers may do everything but pass those roles.
type judge struct {
	without []string
	asked   []string
}

func (j *judge) Assume(_ context.Context, roleARN, principal, _, session string) (awsapi.Identity, error) {
	if roleARN == role+"/untrusting" {
		return awsapi.Identity{}, awsapi.Errorf("AccessDenied",
			"User: %s is not authorized to perform: sts:AssumeRole on resource: %s", principal, roleARN)
	}
	return awsapi.Identity{Account: "111111111111", ARN: roleARN + "/" + session, RoleARN: roleARN}, nil
}

func (j *judge) Authorize(_ context.Context, r awsapi.Request) error {
	j.asked = append(j.asked, r.Action)
	if r.Action == "iam:PassRole" && r.Resource == role+"/not-passed" || r.Identity.RoleARN != "" &&
		slices.Contains(j.without, r.Action) {
		return awsapi.Errorf("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s",
			r.Identity.ARN, r.Action, r.Resource).WithStatus(403)
	}
	return nil
}

func judged(t *testing.T, without ...string) (*world, *judge) {
	w := virtual(t)
	j := &judge{without: without}
	w.svc = New(Config{Platform: platform.Platform{Scheduler: w.sched, Store: w.db, Account: "111111111111",
		Region: "us-east-1", Caller: w.door}, Roles: j})
	w.door = awsapi.New(awsapi.Config{Scheduler: w.sched, Account: "111111111111", Region: "us-east-1", Authorizer: j})
	w.door.Add(w.svc.API())
	return w, j
}

const passMachine = `{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}`

// Step Functions looks at role and caller when a state machine is made or given
// another role or log.
func TestRoleMustAllowWhatTheStateMachineNeeds(t *testing.T) {
	const (
		notTrusted = "Neither the global service principal states.amazonaws.com, nor the regional one is " +
			"authorized to assume the provided role."
		noLog     = "The state machine IAM Role is not authorized to access the Log Destination"
		notPassed = "User: arn:aws:iam::111111111111:root is not authorized to perform: iam:PassRole on resource: " +
			role + "/not-passed"
	)
	logging := func(level string) map[string]any {
		return map[string]any{"level": level, "destinations": []any{map[string]any{
			"cloudWatchLogsLogGroup": map[string]any{
				"logGroupArn": "arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/states/m:*",
			},
		}}}
	}
	type row struct {
		name    string
		in      map[string]any
		without []string
		denied  string
	}
	rows := []row{
		{"nothing asked for", map[string]any{"roleArn": role}, logDelivery, ""},
		{"a role that trusts others", map[string]any{"roleArn": role + "/untrusting"}, nil, notTrusted},
		{"a role that the caller may not pass", map[string]any{"roleArn": role + "/not-passed"}, nil, notPassed},
		{"logging", map[string]any{"roleArn": role, "loggingConfiguration": logging("ERROR")}, nil, ""},
		{"logging that is off", map[string]any{"roleArn": role, "loggingConfiguration": map[string]any{
			"level": "OFF",
		}}, logDelivery, ""},
		{"tracing is not looked at before it is needed", map[string]any{"roleArn": role,
			"tracingConfiguration": map[string]any{"enabled": true}}, tracing, ""},
	}
	for _, action := range logDelivery {
		rows = append(rows, row{"logging without " + action, map[string]any{"roleArn": role,
			"loggingConfiguration": logging("ALL")}, []string{action}, noLog})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w, _ := judged(t, row.without...)
			check := func(operation string, err error) {
				t.Helper()
				switch {
				case row.denied == "" && err != nil:
					t.Errorf("%s: %v", operation, err)
				case row.denied != "" && (awsapi.Code(err) != "AccessDeniedException" ||
					awsapi.AsError(err).Message != row.denied):
					t.Errorf("%s: %v, want %s", operation, err, row.denied)
				}
			}
			machine := w.create("before", passMachine)
			in := map[string]any{"name": "m", "definition": passMachine}
			change := map[string]any{"stateMachineArn": machine}
			for k, v := range row.in {
				in[k], change[k] = v, v
			}
			_, err := w.try("CreateStateMachine", in)
			check("CreateStateMachine", err)
			_, err = w.try("UpdateStateMachine", change)
			check("UpdateStateMachine", err)
		})
	}
}

// Without the permission there are no traces, and the execution goes on.
func TestTracesAreAskedForAtEachStart(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		w, j := judged(t, tracing...)
		machine := w.call("CreateStateMachine", map[string]any{
			"name": "m", "definition": passMachine, "roleArn": role, "tracingConfiguration": map[string]any{
				"enabled": enabled,
			},
		})["stateMachineArn"].(string)
		j.asked = nil
		w.start(machine, "x", `{}`)
		for _, action := range tracing {
			if slices.Contains(j.asked, action) != enabled {
				t.Errorf("tracing %t: asked for %v", enabled, j.asked)
			}
		}
	}
}

// TestStateActsUnderARole: whoever tests a state must be allowed to pass the role, and to see secrets if they ask.
//
// Source: Step Functions Developer Guide, "Testing state machines with TestState API", IAM permissions (read 2026-12).
func TestStateActsUnderARole(t *testing.T) {
	for _, tt := range []struct {
		name  string
		in    map[string]any
		asked string
		code  string
	}{
		{"a role", map[string]any{"roleArn": role}, "iam:PassRole", ""},
		{"a role that may not be passed", map[string]any{"roleArn": role + "/not-passed"}, "iam:PassRole",
			"AccessDeniedException"},
		{"no role", map[string]any{}, "states:TestState", ""},
		{"no ARN", map[string]any{"roleArn": "machine"}, "", "InvalidArn"},
		{"secrets", map[string]any{"roleArn": role, "revealSecrets": true}, "states:RevealSecrets", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, j := judged(t)
			tt.in["definition"] = `{"Type":"Pass","End":true}`
			if _, err := w.try("TestState", tt.in); awsapi.Code(err) != tt.code {
				t.Errorf("%v", err)
			}
			if tt.asked != "" && !slices.Contains(j.asked, tt.asked) {
				t.Errorf("asked for %v", j.asked)
			}
		})
	}
}
