// Package operation makes the resources of operations that are only ASL, as plain
// CloudFormation: for each a state machine with its role, log group and alarm, and the
// permissions of the stack's functions for it. The CDK app includes them unchanged. A program
// that starts from the committed template merges them into it. So an operation of a folder is
// deployed in the same way as one in statemachines/.
package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/operation"
)

// Names of the stack's own resources, which these refer to. A test holds the template to them.
const (
	resultsBucket = "ResultsBucket"
	alarmTopic    = "AlarmTopic"
	keyCondition  = "HasKmsKey"
	keyParameter  = "KmsKeyArn"
)

// retentionDays is how long logs are kept, as everywhere in the stack.
const retentionDays = 30

type object = map[string]any

func sub(text string) object             { return object{"Fn::Sub": text} }
func ref(id string) object               { return object{"Ref": id} }
func arn(id string) object               { return object{"Fn::GetAtt": []any{id, "Arn"}} }
func resource(kind string, p object) any { return object{"Type": kind, "Properties": p} }

// tags are those by which costs are told apart.
func tags() []any {
	return []any{
		object{"Key": "Campaign", "Value": ref("Campaign")},
		object{"Key": "CostCenter", "Value": ref("CostCenter")},
		object{"Key": "Stack", "Value": ref("AWS::StackName")},
	}
}

func allow(sid string, actions []string, resources ...any) object {
	list := make([]any, len(actions))
	for i, a := range actions {
		list[i] = a
	}
	return object{"Sid": sid, "Effect": "Allow", "Action": list, "Resource": resources}
}

func document(statements ...any) object {
	return object{"Version": "2012-10-17", "Statement": statements}
}

// user is what a function does with an operation's executions. beats is whether it asks if a task still waits.
type user struct{ starts, looks, lists, stops, resumes, beats bool }

// users are those functions, by the logical id of their role.
var users = map[string]user{
	"StartUpgradeRole":        {starts: true, looks: true, stops: true},
	"HandleDeviceMessageRole": {starts: true, looks: true, stops: true, resumes: true, beats: true},
	"HandleJobEventRole":      {looks: true, stops: true},
	"TickRole":                {looks: true, lists: true},
	"UspTaskRole":             {resumes: true},
}

// unaskedUsers are those of the operation that nobody asks for. It begins by the queue of starts alone, yields its
// device to whatever else is done to that, and has one task, which only an answer of the device ends.
var unaskedUsers = map[string]user{
	"StartUpgradeRole":        {starts: true, looks: true, stops: true},
	"HandleDeviceMessageRole": {stops: true, resumes: true},
	"TickRole":                {looks: true, lists: true},
}

// ID is what the logical ids of an operation's resources begin with: "SetParameters" of "set-parameters".
func ID(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// Tasks are the logical ids of the versions of the functions that a state machine calls. An execution ends with those
// that it has begun with.
type Tasks struct{ UspTask, Finalize string }

// alias is that of every state machine, by which executions are started. It follows the newest version.
const alias = "live"

// anyVersion is the ARN of every version of a function.
func anyVersion(function string) object {
	return sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-" +
		function + ":*")
}

// Resources are those of one operation, by logical id. name is the operation's, asl its state machine's document.
// They have the form of a template in JSON as encoding/json reads it.
func Resources(name string, asl []byte, tasks Tasks) (map[string]any, error) {
	return resources(name, asl, tasks, users)
}

// UnaskedResources are those of the operation that nobody asks for.
func UnaskedResources(name string, asl []byte, tasks Tasks) (map[string]any, error) {
	return resources(name, asl, tasks, unaskedUsers)
}

func resources(name string, asl []byte, tasks Tasks, users map[string]user) (map[string]any, error) {
	definition, err := compact(asl)
	if err != nil {
		return nil, fmt.Errorf("operation %s: %w", name, err)
	}
	writes := strings.Contains(definition, "aws-sdk:s3:putObject")
	// The integrations of Step Functions have the partition in their names, as everything has.
	definition = strings.ReplaceAll(definition, "arn:aws:states:::", "arn:${Partition}:states:::")
	id := ID(name)
	machine := "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-" + name
	executions := "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-" + name +
		":*"

	statements := []any{
		allow("InvokeSteps", []string{"lambda:InvokeFunction"}, anyVersion("usp-task"), anyVersion("finalize")),
		allow("LogDelivery", []string{
			"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
			"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies",
			"logs:DescribeLogGroups",
		}, "*"),
		allow("Tracing", []string{
			"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
		}, "*"),
	}
	substitutions := object{
		"UspTaskArn": ref(tasks.UspTask), "FinalizeArn": ref(tasks.Finalize), "Partition": ref("AWS::Partition"),
	}
	if writes {
		statements = append(statements, allow("WriteResults", []string{"s3:PutObject"},
			sub("${"+resultsBucket+".Arn}/"+name+"/*")))
		substitutions[resultsBucket] = ref(resultsBucket)
	}
	all := map[string]any{
		id + "LogGroup": resource("AWS::Logs::LogGroup", object{
			"LogGroupName":    sub("/aws/vendedlogs/states/${AWS::StackName}-" + name),
			"RetentionInDays": retentionDays,
			"KmsKeyId":        object{"Fn::If": []any{keyCondition, ref(keyParameter), ref("AWS::NoValue")}},
			"Tags":            tags(),
		}),
		id + "Role": resource("AWS::IAM::Role", object{
			"Description": "What the operation " + name + " may do",
			"AssumeRolePolicyDocument": document(object{
				"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": object{"Service": "states.amazonaws.com"},
				"Condition": object{"StringEquals": object{"aws:SourceAccount": ref("AWS::AccountId")}},
			}),
			"Policies": []any{object{"PolicyName": "permissions", "PolicyDocument": document(statements...)}},
			"Tags":     tags(),
		}),
		id + "StateMachine": object{
			"Type": "AWS::StepFunctions::StateMachine",
			// See the state machine of the upgrade in infra/app.
			"Metadata": object{"cfn-lint": object{"config": object{"ignore_checks": []any{"E3601"}}}},
			"Properties": object{
				"StateMachineName":        sub("${AWS::StackName}-" + name),
				"StateMachineType":        "STANDARD",
				"RoleArn":                 arn(id + "Role"),
				"DefinitionString":        definition,
				"DefinitionSubstitutions": substitutions,
				"LoggingConfiguration": object{
					"Level": "ERROR", "IncludeExecutionData": false,
					"Destinations": []any{object{"CloudWatchLogsLogGroup": object{"LogGroupArn": arn(id +
						"LogGroup")}}},
				},
				"TracingConfiguration": object{"Enabled": true},
				"Tags":                 tags(),
			},
		},
		// Another revision replaces the version; the one before stays, as executions may run on it.
		id + "StateMachineVersion": object{
			"Type": "AWS::StepFunctions::StateMachineVersion", "DeletionPolicy": "RetainExceptOnCreate",
			"UpdateReplacePolicy": "Retain",
			"Properties": object{
				"StateMachineArn":        ref(id + "StateMachine"),
				"StateMachineRevisionId": object{"Fn::GetAtt": []any{id + "StateMachine", "StateMachineRevisionId"}},
			},
		},
		id + "StateMachineAlias": resource("AWS::StepFunctions::StateMachineAlias", object{
			"Name": alias, "Description": "Executions are started by it",
			"RoutingConfiguration": []any{object{"StateMachineVersionArn": ref(id + "StateMachineVersion"),
				"Weight": 100}},
		}),
		id + "StuckAlarm": resource("AWS::CloudWatch::Alarm", object{
			"AlarmName":        sub("${AWS::StackName}-" + name + "-stuck"),
			"AlarmDescription": "Executions of the operation " + name + " ran into a deadline of their own.",
			"Metrics": []any{
				object{"Id": "stuck", "Expression": "SUM([m1])", "Label": "executions", "ReturnData": true},
				query("m1", "ExecutionsTimedOut", machine),
			},
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0, "EvaluationPeriods": 1,
			"DatapointsToAlarm": 1,
			"TreatMissingData":  "notBreaching",
			"AlarmActions":      []any{ref(alarmTopic)}, "OKActions": []any{ref(alarmTopic)},
			"Tags": tags(),
		}),
	}
	for _, role := range slices.Sorted(maps.Keys(users)) {
		user := users[role]
		var may []any
		if user.starts {
			may = append(may, allow("Start", []string{"states:StartExecution"}, sub(machine)))
		}
		var over []string
		if user.looks {
			over = append(over, "states:DescribeExecution")
		}
		if user.stops {
			over = append(over, "states:StopExecution")
		}
		if user.lists { // those that somebody has stopped
			may = append(may, allow("List", []string{"states:ListExecutions"}, sub(machine)))
		}
		if over != nil {
			may = append(may, allow("TakeOver", over, sub(executions)))
		}
		if user.resumes {
			may = append(may, allow("ResumeTask", resuming(user.beats), sub(machine)))
		}
		all[id+strings.TrimSuffix(role, "Role")+"Policy"] = resource("AWS::IAM::Policy", object{
			"PolicyName": name, "Roles": []any{ref(role)}, "PolicyDocument": document(may...),
		})
	}
	return all, nil
}

func resuming(beats bool) []string {
	actions := []string{"states:SendTaskSuccess", "states:SendTaskFailure"}
	if beats {
		actions = append(actions, "states:SendTaskHeartbeat")
	}
	return actions
}

func query(id, metric, machine string) object {
	return object{
		"Id": id, "ReturnData": false,
		"MetricStat": object{"Period": 300, "Stat": "Sum", "Metric": object{
			"Namespace": "AWS/States", "MetricName": metric,
			"Dimensions": []any{object{"Name": "StateMachineArn", "Value": sub(machine)}},
		}},
	}
}

// variable is the one by which functions are told the names of the operations.
const variable = "OPERATIONS"

// Charts are those of the dashboard that show operations, by title: the metrics of AWS/States that each has for each
// operation.
var Charts = map[string][]string{
	"Other operations: executions":        {"ExecutionsStarted", "ExecutionsSucceeded"},
	"Other operations: executions failed": {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"},
}

// Rows are the lines of a chart of some metrics, as a dashboard's body has them.
func Rows(metrics, names []string) []any {
	rows := []any{}
	for _, name := range names {
		for _, metric := range metrics {
			rows = append(rows, []any{
				"AWS/States", metric, "StateMachineArn",
				"arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-" + name,
				object{"label": name + " " + strings.TrimPrefix(metric, "Executions")},
			})
		}
	}
	return rows
}

// chart puts the rows of all operations into the charts of a dashboard.
func chart(dashboard object, names []string) error {
	substitution := member(dashboard, "Properties", "DashboardBody")
	text, _ := substitution["Fn::Sub"].(string)
	var body object
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return fmt.Errorf("operations: the dashboard: %w", err)
	}
	widgets, _ := body["widgets"].([]any)
	for _, w := range widgets {
		properties := member(w, "properties")
		title, _ := properties["title"].(string)
		if metrics := Charts[title]; metrics != nil {
			properties["metrics"] = Rows(metrics, names)
		}
	}
	b, err := json.Marshal(body)
	substitution["Fn::Sub"] = string(b)
	return err
}

// Merge is a template of the stack with the resources of more operations in it, each of which is a name and the
// document of its state machine. It is what the CDK app would make of them.
func Merge(template []byte, names []string, asl func(name string) []byte) ([]byte, error) {
	var tree object
	d := json.NewDecoder(bytes.NewReader(template))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("operations: the template: %w", err)
	}
	resources, _ := tree["Resources"].(object)
	if resources == nil {
		return nil, errors.New("operations: the template has no resources")
	}
	tasks := Tasks{UspTask: versionIn(resources, "UspTask"), Finalize: versionIn(resources, "Finalize")}
	for _, name := range names {
		if tasks.UspTask == "" || tasks.Finalize == "" {
			return nil, errors.New("operations: the template has no versions of usp-task and finalize")
		}
		own, err := Resources(name, asl(name), tasks)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(own)) {
			if _, ok := resources[id]; ok {
				return nil, fmt.Errorf("operation %s: the template has a resource %s already", name, id)
			}
			resources[id] = own[id]
		}
	}
	var every []string
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		variables := member(resources[id], "Properties", "Environment", "Variables")
		if known, ok := variables[variable].(string); ok {
			every = append(strings.FieldsFunc(known, func(r rune) bool { return r == ',' }), names...)
			variables[variable] = strings.Join(every, ",")
		}
	}
	if dashboard := member(resources["Dashboard"]); dashboard != nil {
		if err := chart(dashboard, every); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(tree)
	return out.Bytes(), err
}

// WithFolder is a template of the stack with the operations of a folder in it. They have no name that the stack has
// taken.
func WithFolder(template []byte, folder string, taken func(name string) bool) ([]byte, error) {
	all, err := operation.LoadOwn(folder, taken)
	if err != nil {
		return nil, err
	}
	var names []string
	machines := map[string][]byte{}
	for _, o := range all {
		names = append(names, string(o.Name))
		machines[string(o.Name)] = o.Machine
	}
	return Merge(template, names, func(name string) []byte { return machines[name] })
}

// versionIn is the logical id of the version of a function.
func versionIn(resources object, function string) string {
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		r, _ := resources[id].(object)
		if rest, ok := strings.CutPrefix(id, function+"Version"); ok && len(rest) > 0 &&
			r["Type"] == "AWS::Lambda::Version" {
			return id
		}
	}
	return ""
}

// member is an object within others, nil if there is none.
func member(v any, path ...string) object {
	m, _ := v.(object)
	for _, name := range path {
		m, _ = m[name].(object)
	}
	return m
}

// compact is a document in one line, as it is deployed.
func compact(document []byte) (string, error) {
	var out bytes.Buffer
	err := json.Compact(&out, document)
	return out.String(), err
}
