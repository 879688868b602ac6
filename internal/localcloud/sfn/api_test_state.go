package sfn

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/apimodel"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// TestStateInput is the input of TestState.
type TestStateInput struct {
	Definition      string              `json:"definition"`
	RoleARN         string              `json:"roleArn"`
	Input           *string             `json:"input"`
	InspectionLevel string              `json:"inspectionLevel"`
	RevealSecrets   bool                `json:"revealSecrets"`
	Variables       *string             `json:"variables"`
	StateName       string              `json:"stateName"`
	Mock            *MockInput          `json:"mock"`
	Context         *string             `json:"context"`
	Configuration   *StateConfiguration `json:"stateConfiguration"`
}

// MockInput is what a task is said to come to.
type MockInput struct {
	Result      *string `json:"result"`
	ErrorOutput *struct {
		Error *string `json:"error"`
		Cause *string `json:"cause"`
	} `json:"errorOutput"`
	FieldValidationMode string `json:"fieldValidationMode"`
}

// StateConfiguration is what has gone before the state.
type StateConfiguration struct {
	RetrierRetryCount        int     `json:"retrierRetryCount"`
	ErrorCausedByState       string  `json:"errorCausedByState"`
	MapIterationFailureCount *int    `json:"mapIterationFailureCount"`
	MapItemReaderData        *string `json:"mapItemReaderData"`
}

// TestStateOutput is the output of TestState.
type TestStateOutput struct {
	Status     string         `json:"status"`
	Output     *string        `json:"output,omitempty"`
	Error      *string        `json:"error,omitempty"`
	Cause      *string        `json:"cause,omitempty"`
	NextState  string         `json:"nextState,omitempty"`
	Inspection map[string]any `json:"inspectionData,omitempty"`
}

// numbers are the members of inspection data that are not text.
var numbers = map[string]bool{"maxConcurrency": true, "toleratedFailureCount": true,
	"toleratedFailurePercentage": true}

func (s *Service) testState(ctx context.Context, c *awsapi.Call, in *TestStateInput) (*TestStateOutput, error) {
	m, st, err := s.stateToTest(in)
	if err != nil {
		return nil, err
	}
	t := asl.Single{State: st.Name}
	if err := checkMock(in, st); err != nil {
		return nil, err
	}
	input := "{}"
	if in.Input != nil {
		input = *in.Input
	}
	data, err := asl.ParseData(input)
	if err != nil {
		return nil, awsapi.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: '%s'",
			asl.JSONProblem(input, err))
	}
	if in.Variables != nil {
		if t.Variables, err = objectOf(*in.Variables, "variables"); err != nil {
			return nil, err
		}
	}
	if in.Context != nil {
		if t.Context, err = objectOf(*in.Context, "context"); err != nil {
			return nil, err
		}
		if problem := checkContext(t.Context); problem != "" {
			return nil, validation("Invalid Context object provided: %s", problem)
		}
	}
	if k := in.Configuration; k != nil {
		t.Retries = k.RetrierRetryCount
		if k.MapIterationFailureCount != nil {
			t.FailedIterations = *k.MapIterationFailureCount
		}
		if k.MapItemReaderData != nil {
			if t.ReaderItems, err = asl.ParseData(*k.MapItemReaderData); err != nil {
				return nil, validation("MapItemReaderData must be valid JSON.")
			}
		}
	}
	if in.Mock != nil {
		t.Mock = &asl.Result{}
		if in.Mock.Result != nil {
			if t.Mock.Output, err = asl.ParseData(*in.Mock.Result); err != nil {
				return nil, validation("Mocked result must be valid JSON.")
			}
			if err := checkMockResult(in, st, t.Mock.Output.Value()); err != nil {
				return nil, err
			}
		} else if e := in.Mock.ErrorOutput; e != nil {
			t.Mock.Failed, t.Mock.Error, t.Mock.Cause = true, e.Error, e.Cause
		}
	}
	name, machine := s.sched.UUID(), s.sched.UUID()
	info := asl.Info{
		ExecutionARN: s.arn("express", machine+":"+name), ExecutionName: name, MachineARN: s.arn("stateMachine",
			machine), MachineName: machine,
		RoleARN: in.RoleARN, Region: s.Region, Account: s.Account, Started: s.sched.Now(), Input: data,
	}
	if info.RoleARN == "" {
		info.RoleARN = "arn:aws:iam::" + s.Account + ":role/TestStateRole"
	}
	res := asl.Test(m, host{s, key{}}, info, t, func(call asl.Call) asl.Result {
		a := s.Tasks.Call(ctx, Task{Call: call, ExecutionARN: info.ExecutionARN, MachineARN: info.MachineARN,
			Role: in.RoleARN})
		return a.Result
	})
	out := &TestStateOutput{Status: res.Status, Error: res.Error, Cause: res.Cause, NextState: res.Next}
	if res.Output != nil {
		text := res.Output.Text()
		out.Output = &text
	}
	if in.InspectionLevel == "DEBUG" || in.InspectionLevel == "TRACE" {
		out.Inspection = inspection(&res)
	}
	return out, nil
}

func inspection(res *asl.SingleResult) map[string]any {
	out := map[string]any{}
	for _, m := range res.Inspection.Members() {
		if numbers[m.Name] {
			out[m.Name] = m.Value
		} else {
			out[m.Name] = document.Text(m.Value)
		}
	}
	e := map[string]any{}
	if res.RetryIndex != nil {
		e["retryIndex"] = *res.RetryIndex
	}
	if res.CatchIndex != nil {
		e["catchIndex"] = *res.CatchIndex
	}
	if res.Backoff != nil {
		e["retryBackoffIntervalSeconds"] = json.Number(document.Float(*res.Backoff))
	}
	if len(e) > 0 {
		out["errorDetails"] = e
	}
	return out
}

func objectOf(text, name string) (*document.Object, error) {
	v, err := document.ParseString(text)
	o, ok := v.(*document.Object)
	if err != nil || !ok {
		return nil, validation("Invalid %s: must be a JSON object", name)
	}
	return o, nil
}

// stateToTest compiles the definition and finds the state.
func (s *Service) stateToTest(in *TestStateInput) (*asl.Machine, *asl.State, error) {
	if in.StateName == "" {
		m, ds := asl.CompileState(in.Definition)
		if m == nil {
			return nil, nil, awsapi.Errorf("InvalidDefinition", "%s", ds.Error())
		}
		st, _ := m.Find("StateName")
		return m, st, nil
	}
	m, ds := asl.Compile(in.Definition, false)
	if m == nil {
		return nil, nil, awsapi.Errorf("InvalidDefinition", "%s", ds.Error())
	}
	st, _ := m.Find(in.StateName)
	if st == nil {
		return nil, nil, validation("State not found in definition")
	}
	return m, st, nil
}

// checkMock says whether the state may or must have a mock.
func checkMock(in *TestStateInput, st *asl.State) error {
	if in.Mock == nil {
		without := func(what string) error {
			return validation("TestState does not support %s when a mock is not specified.", what)
		}
		if k := in.Configuration; k != nil {
			switch {
			case k.MapIterationFailureCount != nil:
				return without("MapIterationFailureCount")
			case k.RetrierRetryCount != 0:
				return without("RetrierRetryCount")
			case k.ErrorCausedByState != "":
				return without("ErrorCausedByState")
			case k.MapItemReaderData != nil:
				return without("MapItemReaderData")
			}
		}
		if in.Context != nil {
			return without("Context")
		}
		switch st.Type {
		case "Map", "Parallel":
			return awsapi.Errorf("InvalidDefinition",
				"TestState API does not support Map or Parallel states. Supported state types include: [Task, "+
					"Wait, Pass, Succeed, Fail, Choice]")
		case "Task":
			if in.RoleARN == "" {
				return validation("RoleArn must be specified when testing a Task state")
			}
			if r := st.Kind(); r.Kind == asl.Activity || r.Pattern != asl.Request {
				return awsapi.Errorf("InvalidDefinition",
					"TestState API does not support activities and the patterns .sync and .waitForTaskToken "+
						"without a mock")
			}
		}
		return nil
	}
	if in.RevealSecrets {
		return validation("TestState does not support RevealSecrets when a mock is specified.")
	}
	switch st.Type {
	case "Task", "Map", "Parallel":
	default:
		return validation("State type '%s' is not supported when a mock is specified", st.Type)
	}
	if in.Mock.Result != nil && in.Mock.ErrorOutput != nil {
		return validation("A test mock should have only one of the following fields: [result, errorOutput].")
	}
	if in.Mock.Result == nil && in.Mock.ErrorOutput == nil {
		return validation("A test mock should have one of the following fields: [result, errorOutput].")
	}
	switch in.Mock.FieldValidationMode {
	case "", "STRICT", "PRESENT", "NONE":
	default:
		return validation("1 validation error detected: Value '%s' at 'mock.fieldValidationMode' failed to satisfy "+
			"constraint: Member must satisfy enum value set: [STRICT, PRESENT, NONE]", in.Mock.FieldValidationMode)
	}
	return nil
}

func checkMockResult(in *TestStateInput, st *asl.State, v any) error {
	list, isArray := v.([]any)
	_, isObject := v.(*document.Object)
	switch st.Type {
	case "Parallel":
		if !isArray {
			return validation("Mocked result must be an array.")
		}
		if len(list) != st.Branches() {
			return validation("Mocked result must contain the same number of items as number of Parallel branches.")
		}
	case "Task":
		r := st.Kind()
		if r.Kind != asl.Integration || r.Pattern == asl.Callback || in.Mock.FieldValidationMode == "NONE" {
			return nil
		}
		service, operation, _, _ := target(r)
		if r.Pattern != asl.Request {
			if r.Service != "states" {
				return nil
			}
			operation = "DescribeExecution" // what the job is described by when it has ended
		}
		var skip []string
		if r.Service == "lambda" {
			// The optimized integration shows the payload parsed.
			skip = []string{"Payload"}
		}
		if problem := apimodel.Check(service, operation, v, in.Mock.FieldValidationMode != "PRESENT",
			skip...); problem != "" {
			return validation("Mock result schema validation error: %s", problem)
		}
	case "Map":
		if st.Writes() && !isObject {
			return validation("Mocked result must be a JSON object.")
		}
		if !st.Writes() && !isArray {
			return validation("Mocked result must be an array.")
		}
	}
	return nil
}

// contextTypes are the members of a context object that must have a type: text is
// true, numbers are false.
var contextTypes = []struct {
	group string
	texts map[string]bool
}{
	{"Execution", map[string]bool{"Id": true, "Name": true, "RoleArn": true, "StartTime": true, "RedriveTime": true,
		"RedriveCount": false}},
	{"State", map[string]bool{"Name": true, "EnteredTime": true, "RetryCount": false}},
	{"StateMachine", map[string]bool{"Id": true, "Name": true}},
	{"Task", map[string]bool{"Token": true}},
}

// checkContext says what is wrong with a context object.
func checkContext(o *document.Object) string {
	for _, c := range contextTypes {
		v, ok := o.Get(c.group)
		if !ok {
			continue
		}
		g, ok := v.(*document.Object)
		if !ok {
			return c.group + " must be a JSON object"
		}
		for _, m := range g.Members() {
			isText, known := c.texts[m.Name]
			_, text := m.Value.(string)
			_, number := document.Number(m.Value)
			switch {
			case known && isText && !text:
				return fmt.Sprintf("%s.%s must be a string", c.group, m.Name)
			case known && !isText && !number:
				return fmt.Sprintf("%s.%s must be a number", c.group, m.Name)
			}
		}
	}
	return ""
}
