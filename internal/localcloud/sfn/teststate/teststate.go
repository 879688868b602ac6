// Package teststate is the operation TestState: it checks the request for a single state, with
// or without a mock, and shows the outcome. Package sfn calls the task if there is no mock;
// this package does no I/O.
//
// Errors are AWS's (ValidationException, InvalidDefinition, InvalidExecutionInput). Source: Step Functions API
// reference, TestState; developer guide, "Using TestState API to test a state".
package teststate

import (
	"encoding/json"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/apimodel"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

// Input is the input of TestState.
type Input struct {
	Definition      string         `json:"definition" api:"required,min=1,max=1048576,bytes,hidden"`
	RoleARN         string         `json:"roleArn" api:"min=1,max=256"`
	Input           *string        `json:"input" api:"max=262144,bytes,hidden"`
	InspectionLevel string         `json:"inspectionLevel" api:"values=INFO|DEBUG|TRACE"`
	RevealSecrets   bool           `json:"revealSecrets"`
	Variables       *string        `json:"variables" api:"max=262144,bytes,hidden"`
	StateName       string         `json:"stateName" api:"min=1,max=80,hidden"`
	Mock            *Mock          `json:"mock"`
	Context         *string        `json:"context" api:"max=262144,bytes,hidden"`
	Configuration   *Configuration `json:"stateConfiguration"`
}

// Mock is what a task is said to come to.
type Mock struct {
	Result              *string      `json:"result" api:"max=262144,bytes,hidden"`
	ErrorOutput         *ErrorOutput `json:"errorOutput"`
	FieldValidationMode string       `json:"fieldValidationMode" api:"values=STRICT|PRESENT|NONE"`
}

// ErrorOutput is the error that a task is said to fail with.
type ErrorOutput struct {
	Error *string `json:"error" api:"max=256,hidden"`
	Cause *string `json:"cause" api:"max=32768,hidden"`
}

// Configuration is what has gone before the state.
type Configuration struct {
	RetrierRetryCount        int     `json:"retrierRetryCount" api:"min=0"`
	ErrorCausedByState       string  `json:"errorCausedByState" api:"min=1,max=80,hidden"`
	MapIterationFailureCount *int    `json:"mapIterationFailureCount" api:"min=0"`
	MapItemReaderData        *string `json:"mapItemReaderData" api:"max=262144,bytes,hidden"`
}

// Output is the output of TestState.
type Output struct {
	Status     string         `json:"status"`
	Output     *string        `json:"output,omitempty"`
	Error      *string        `json:"error,omitempty"`
	Cause      *string        `json:"cause,omitempty"`
	NextState  string         `json:"nextState,omitempty"`
	Inspection map[string]any `json:"inspectionData,omitempty"`
}

// numbers are the members of inspection data that are not text.
var numbers = map[string]bool{
	"maxConcurrency": true, "toleratedFailureCount": true, "toleratedFailurePercentage": true,
}

// Test is a state that is ready to run.
type Test struct {
	Machine *asl.Machine
	Single  asl.Single
	Input   *asl.Data
}

// New reads and checks what is asked.
func New(in *Input) (*Test, error) {
	m, st, err := stateToTest(in)
	if err != nil {
		return nil, err
	}
	if err := checkMock(in, st); err != nil {
		return nil, err
	}
	t := &Test{Machine: m, Single: asl.Single{State: st.Name}}
	input := "{}"
	if in.Input != nil {
		input = *in.Input
	}
	if t.Input, err = asl.ParseData(input); err != nil {
		return nil, awsapi.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: '%s'",
			asl.JSONProblem(input, err))
	}
	if in.Variables != nil {
		if t.Single.Variables, err = objectOf(*in.Variables, "variables"); err != nil {
			return nil, err
		}
	}
	if in.Context != nil {
		if t.Single.Context, err = objectOf(*in.Context, "context"); err != nil {
			return nil, err
		}
		if problem := checkContext(t.Single.Context, st); problem != "" {
			return nil, validation("Invalid Context object provided: %s", problem)
		}
	}
	if err := t.configure(in.Configuration, st); err != nil {
		return nil, err
	}
	if in.Mock != nil {
		return t, t.mock(in, st)
	}
	return t, nil
}

// configure sets what has gone before the state.
func (t *Test) configure(c *Configuration, st *asl.State) error {
	if c == nil {
		return nil
	}
	t.Single.Retries = c.RetrierRetryCount
	if c.MapIterationFailureCount != nil {
		t.Single.FailedIterations = *c.MapIterationFailureCount
	}
	if t.Single.ReaderData = c.MapItemReaderData; c.MapItemReaderData != nil && st.ReadsJSON() {
		if _, err := document.ParseString(*c.MapItemReaderData); err != nil {
			return validation("MapItemReaderData must be valid JSON.")
		}
	}
	return nil
}

// mock sets what the state's task comes to.
func (t *Test) mock(in *Input, st *asl.State) (err error) {
	t.Single.Mock = &asl.Result{}
	if in.Mock.Result != nil {
		if t.Single.Mock.Output, err = asl.ParseData(*in.Mock.Result); err != nil {
			return validation("Mocked result must be valid JSON")
		}
		return checkMockResult(in, st, t.Single.Mock.Output.Value())
	}
	if e := in.Mock.ErrorOutput; e != nil {
		t.Single.Mock.Failed, t.Single.Mock.Error, t.Single.Mock.Cause = true, e.Error, e.Cause
	}
	return nil
}

// OutputOf shows what the state has come to, with inspection data at the levels DEBUG and TRACE.
func OutputOf(res *asl.SingleResult, level string) *Output {
	out := &Output{Status: res.Status, Error: res.Error, Cause: res.Cause, NextState: res.Next}
	if res.Output != nil {
		text := res.Output.Text()
		out.Output = &text
	}
	if level == "DEBUG" || level == "TRACE" {
		out.Inspection = inspection(res)
	}
	return out
}

func validation(format string, args ...any) error {
	return awsapi.Errorf("ValidationException", format, args...)
}

func inspection(res *asl.SingleResult) map[string]any {
	out := map[string]any{}
	for _, m := range res.Inspection.Members() {
		if numbers[m.Name] {
			out[m.Name] = m.Value
		} else if text, ok := res.Written[m.Name]; ok {
			out[m.Name] = text
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
func stateToTest(in *Input) (*asl.Machine, *asl.State, error) {
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
func checkMock(in *Input, st *asl.State) error {
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
			return awsapi.Errorf("InvalidDefinition", "TestState API does not support Map or Parallel states. "+
				"Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]")
		case "Task":
			if in.RoleARN == "" {
				return validation("RoleArn must be specified when testing a Task state")
			}
			if r := st.Kind(); r.Kind == asl.Activity || r.Pattern != asl.Request {
				return awsapi.Errorf("InvalidDefinition", "TestState API does not support activities and "+
					"the patterns .sync and .waitForTaskToken without a mock")
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
	return nil
}

func checkMockResult(in *Input, st *asl.State, v any) error {
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
		target := integration.TargetOf(r)
		operation := target.Operation
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
		strict := in.Mock.FieldValidationMode != "PRESENT"
		if problem := apimodel.Check(target.Service, operation, v, target.Member, strict,
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
		if c := in.Configuration; isArray && c != nil && c.MapIterationFailureCount != nil &&
			*c.MapIterationFailureCount > len(list) {
			return validation("Map iteration failure count must be less than or equal to the number of Map iterations")
		}
	}
	return nil
}

// contextTypes are the members that a given context object may have, and their types.
var contextTypes = map[string]map[string]kind{
	"Execution": {
		"Id": text, "Input": anything, "Name": text, "RoleArn": text, "StartTime": text, "RedriveTime": text,
		"RedriveCount": number,
	},
	"State":        {"Name": text, "EnteredTime": text, "RetryCount": number},
	"StateMachine": {"Id": text, "Name": text},
	"Task":         {"Token": text},
}

// kind is what a member of a context object must be.
type kind int

const (
	anything kind = iota
	text
	number
)

// checkContext says what is wrong with a context object for a state.
func checkContext(o *document.Object, st *asl.State) string {
	for _, m := range o.Members() {
		members, ok := contextTypes[m.Name]
		switch {
		case m.Name == "Map":
			return "'Map' field is not supported when mocking a Context object"
		case !ok:
			return fmt.Sprintf("Field '%s' is not allowed", m.Name)
		case m.Name == "Task" && (st.Type != "Task" || st.Kind().Pattern == asl.Request):
			return "Context object contains 'Task' when state is not a Task state with a '.sync' or " +
				"'.waitForTaskToken' service integration pattern"
		}
		g, ok := m.Value.(*document.Object)
		if !ok {
			return m.Name + " must be a JSON object"
		}
		if problem := checkContextMembers(m.Name, g, members); problem != "" {
			return problem
		}
	}
	return ""
}

func checkContextMembers(group string, g *document.Object, members map[string]kind) string {
	for _, m := range g.Members() {
		want, known := members[m.Name]
		_, isText := m.Value.(string)
		_, isNumber := document.Number(m.Value)
		switch {
		case !known:
			return fmt.Sprintf("Field '%s' is not allowed", m.Name)
		case want == text && !isText:
			return fmt.Sprintf("%s.%s must be a string", group, m.Name)
		case want == number && !isNumber:
			return fmt.Sprintf("%s.%s must be a number", group, m.Name)
		}
	}
	return ""
}
