package infra

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/statemachines"
)

type resource struct {
	Type                string
	Properties          map[string]any
	DeletionPolicy      string
	UpdateReplacePolicy string
	Condition           string
}

type template struct {
	Parameters map[string]map[string]any
	Conditions map[string]any
	Resources  map[string]resource
	Outputs    map[string]struct{ Value any }
}

func parse(t *testing.T) template {
	t.Helper()
	var out template
	if err := json.Unmarshal(Template, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// of are the resources of a type.
func (t template) of(kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			found[id] = r
		}
	}
	return found
}

// at follows a path of members and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// list is a value that may stand alone for a list of one.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// chosen are the two values of an Fn::If over a condition.
func chosen(v any, condition string) (with, without any) {
	if at(v, "Fn::If", 0) != condition {
		return nil, nil
	}
	return at(v, "Fn::If", 1), at(v, "Fn::If", 2)
}

// namespace is that of the stack's metrics.
const namespace = metrics.Namespace + "/${AWS::StackName}"

func text(v any) string { b, _ := json.Marshal(v); return string(b) }

// withoutResource are the actions that may be allowed on "*", and why: AWS has no resource to name.
var withoutResource = map[string]string{
	"xray:PutTraceSegments":         "segments have no ARN",
	"xray:PutTelemetryRecords":      "telemetry has no ARN",
	"xray:GetSamplingRules":         "the account's sampling rules",
	"xray:GetSamplingTargets":       "the account's sampling targets",
	"cloudwatch:DescribeAlarms":     "with a narrower scope no composite alarm is told (API reference)",
	"iot:DescribeEndpoint":          "the account's endpoint",
	"iot:ListJobs":                  "a list over the account",
	"iot:GetIndexingConfiguration":  "the account's fleet indexing",
	"iot:UpdateEventConfigurations": "the account's event configurations",
	"logs:CreateLogDelivery":        "deliveries have no ARN",
	"logs:GetLogDelivery":           "deliveries have no ARN",
	"logs:UpdateLogDelivery":        "deliveries have no ARN",
	"logs:DeleteLogDelivery":        "deliveries have no ARN",
	"logs:ListLogDeliveries":        "deliveries have no ARN",
	"logs:PutResourcePolicy":        "the account's policies for log delivery",
	"logs:DescribeResourcePolicies": "the account's policies for log delivery",
	"logs:DescribeLogGroups":        "a list over the account",
}

func TestRolesAllowNoMoreThanTheyName(t *testing.T) {
	used := map[string]bool{}
	for id, role := range parse(t).of("AWS::IAM::Role") {
		if role.Properties["ManagedPolicyArns"] != nil {
			t.Errorf("%s: a managed policy; roles state their permissions themselves", id)
		}
		for _, policy := range list(role.Properties["Policies"]) {
			for _, s := range list(at(policy, "PolicyDocument", "Statement")) {
				if at(s, "Effect") != "Allow" || at(s, "Sid") == nil || at(s, "NotAction") != nil ||
					at(s, "NotResource") != nil {
					t.Errorf("%s: %s: want an Allow with a Sid, of actions and resources", id, text(s))
				}
				for _, a := range list(at(s, "Action")) {
					action := a.(string)
					if strings.Contains(action, "*") {
						t.Errorf("%s allows %s", id, action)
					}
					if slices.Contains(list(at(s, "Resource")), any("*")) {
						if withoutResource[action] == "" {
							t.Errorf("%s allows %s on every resource", id, action)
						}
						used[action] = true
					}
				}
			}
		}
	}
	for action := range withoutResource {
		if !used[action] {
			t.Errorf("withoutResource has %s, which nothing uses", action)
		}
	}
}

// wide are the resources with a wildcard that statements may name, and why a name does not do.
var wide = map[string]string{
	"*": "where AWS has no resource to name: see withoutResource",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thing/*":      "devices come and go after deployment",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thinggroup/*": "an operator chooses the target",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:job/*":        "an operator may name the job",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/usp/v1/" +
		"agent/*": "one topic for each device",
	"arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:" +
		"${AWS::StackName}-firmware-upgrade:*": "the executions of this state machine",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/usp/v1/agent/" +
		"${!iot:Connection.Thing.ThingName}/*": "what MQTT 3.1.1 appends",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/usp/v1/controller/${ControllerEndpointId}/" +
		"from/" +
		"${!iot:Connection.Thing.ThingName}/*": "what MQTT 3.1.1 appends",
	"${FirmwareBucket}/*":   "the objects of the bucket",
	"${ResultsBucket}/*":    "the objects of the bucket",
	"${DescriptorBucket}/*": "the objects of the bucket",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/${AWS::StackName}/" +
		"notifications/*": "one topic for each device",
	"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:jobtemplate/" +
		"${AWS::StackName}-firmware-upgrade-*": "its name changes with its content",
}

// wildcards are those of wide, and what the operations have of their own.
func wildcards(t *testing.T) map[string]string {
	all := maps.Clone(wide)
	for _, name := range append(operations(t), "device-onboarding", "firmware-campaign") {
		all["arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-"+name+":*"] =
			"the executions of this state machine"
	}
	for _, name := range []string{
		"send-usp-operate", "await-firmware-report", "verify-version", "finalize", "usp-task", "run-campaign",
	} {
		all["arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-"+name+":*"] =
			"the versions of this function: an execution ends with the one that it began with"
	}
	all["${ResultsBucket}/campaigns/*"] = "manifests, plans and reports, which are kept by campaign"
	all["${ResultsBucket.Arn}/collect/*"] = "what this operation leaves, one object for each device"
	return all
}

// operations are the names of those that are only ASL.
func operations(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(statemachines.Files(), "*.schema.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, ".schema.json"))
	}
	return names
}

// TestEveryWildcardHasAReason looks at the policies of all resources, not of roles only.
func TestEveryWildcardHasAReason(t *testing.T) {
	wide := wildcards(t)
	seen := map[string]bool{}
	statements := 0
	for id, r := range parse(t).Resources {
		documents := []any{r.Properties["PolicyDocument"]}
		for _, p := range list(r.Properties["Policies"]) {
			documents = append(documents, at(p, "PolicyDocument"))
		}
		for _, d := range documents {
			for _, s := range list(at(d, "Statement")) {
				statements++
				for _, resource := range list(at(s, "Resource")) {
					name := arn(resource)
					if name == "" {
						t.Errorf("%s: %s is no resource that this test can read", id, text(resource))
					}
					if !strings.ContainsAny(name, "*?") {
						continue
					}
					seen[name] = true
					if wide[name] == "" {
						t.Errorf("%s: %v on %s", id, at(s, "Action"), name)
					}
				}
			}
		}
	}
	for name := range wide {
		if !seen[name] {
			t.Errorf("wide has %s, which no statement names", name)
		}
	}
	if statements < 50 {
		t.Errorf("only %d statements were found", statements)
	}
}

// arn is a resource of a statement as text, "" if it is of a form that the template does not have.
func arn(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if s, ok := v["Fn::Sub"].(string); ok {
			return s
		}
		if id, ok := v["Ref"].(string); ok {
			return "${" + id + "}"
		}
		if _, usual := chosen(v, "HasSampleTopics"); usual != nil {
			return arn(usual) // the other is held to it by TestTopicsAreThoseOfALayout
		}
		if id, ok := at(v, "Fn::GetAtt", 0).(string); ok {
			return "${" + id + "}"
		}
		if at(v, "Fn::Join", 0) == "" {
			var b strings.Builder
			for _, part := range list(at(v, "Fn::Join", 1)) {
				b.WriteString(arn(part))
			}
			return b.String()
		}
	}
	return ""
}

func TestRolesAreForOneServiceAndThisAccount(t *testing.T) {
	for id, role := range parse(t).of("AWS::IAM::Role") {
		trust := at(role.Properties, "AssumeRolePolicyDocument", "Statement", 0)
		service, _ := at(trust, "Principal", "Service").(string)
		switch service {
		case "lambda.amazonaws.com":
		case "iot.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com":
			if at(trust, "Condition", "StringEquals", "aws:SourceAccount", "Ref") != "AWS::AccountId" {
				t.Errorf("%s: %s may be sent here by another account", id, service)
			}
		default:
			t.Errorf("%s may be assumed by %s", id, text(at(trust, "Principal")))
		}
	}
}

func TestEveryFunctionIsComplete(t *testing.T) {
	tpl := parse(t)
	functions := tpl.of("AWS::Lambda::Function")
	want := []string{
		"abort-campaign", "approve-campaign", "await-firmware-report", "control", "control-campaign",
		"create-campaign", "create-job", "describe-campaign", "finalize", "handle-device-message",
		"handle-job-event", "prepare-account", "run-campaign", "send-usp-operate", "start-upgrade", "tick", "usp-task",
		"verify-version",
	}
	var got []string
	for id, f := range functions {
		p := f.Properties
		name, _ := strings.CutPrefix(fmt.Sprint(at(p, "FunctionName", "Fn::Sub")), "${AWS::StackName}-")
		got = append(got, name)
		if at(p, "Code", "S3Key") != name+".zip" {
			t.Errorf("%s: code %v", id, at(p, "Code"))
		}
		if p["Runtime"] != "provided.al2023" || text(p["Architectures"]) != `["arm64"]` ||
			p["Handler"] != "bootstrap" {
			t.Errorf("%s: not a static arm64 binary", id)
		}
		if at(p, "TracingConfig", "Mode") != "Active" {
			t.Errorf("%s: no tracing", id)
		}
		most := 300.0
		if name == "create-campaign" { // it reads a page of the index for each 100 devices
			most = 900
		}
		if s, _ := p["Timeout"].(float64); s < 10 || s > most {
			t.Errorf("%s: timeout %v s", id, p["Timeout"])
		}
		if at(p, "Environment", "Variables", environment.MetricsNamespace, "Fn::Sub") != namespace ||
			at(p, "Environment", "Variables", environment.LogLevel) != "info" {
			t.Errorf("%s: environment %s", id, text(p["Environment"]))
		}
		group := tpl.Resources[fmt.Sprint(at(p, "LoggingConfig", "LogGroup", "Ref"))]
		if group.Type != "AWS::Logs::LogGroup" || group.Properties["RetentionInDays"] == nil {
			t.Errorf("%s: no log group with a retention", id)
		}
		role := fmt.Sprint(at(p, "Role", "Fn::GetAtt", 0))
		if tpl.Resources[role].Type != "AWS::IAM::Role" || strings.TrimSuffix(role, "Role") != strings.TrimSuffix(id,
			"Function") {
			t.Errorf("%s: the role is %s; every function has its own", id, role)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
	for id, r := range tpl.of("AWS::Logs::LogGroup") {
		if r.Properties["RetentionInDays"] == nil {
			t.Errorf("%s is kept for ever", id)
		}
	}
}

// TestFunctionsHaveTheirEnvironment names the variables that each function reads, apart from those that all have.
func TestFunctionsHaveTheirEnvironment(t *testing.T) {
	talk := []string{environment.DataEndpoint, environment.Table, environment.ControllerEndpoint,
		environment.AgentTopic, environment.ControllerTopic}
	images := func() []string {
		return []string{environment.FirmwareBucket, environment.ImageBaseURL, environment.ImageKeyPair,
			environment.ImageKeyParameter}
	}
	want := map[string][]string{
		"CreateJobFunction": {environment.FirmwareBucket, environment.JobTemplate, environment.SourceHosts,
			environment.SigningKeys, environment.RequireSignature, environment.JobTags},
		"StartUpgradeFunction": {environment.Table, environment.Operations, environment.StateMachines,
			environment.OutcomeTopic, environment.JobsEndpoint, environment.EventTopic},
		"SendUspOperateFunction":      append(append(images(), environment.EventTopic), talk...),
		"AwaitFirmwareReportFunction": append([]string{environment.EventTopic}, talk...),
		"VerifyVersionFunction":       talk,
		"UspTaskFunction":             append([]string{environment.Operations}, talk...),
		"FinalizeFunction": {environment.Table, environment.Operations, environment.OutcomeTopic,
			environment.JobsEndpoint, environment.EventTopic},
		"HandleDeviceMessageFunction": append(append(images(), environment.Operations,
			environment.StateMachines, environment.OutcomeTopic, environment.JobsEndpoint, environment.MessageQueue,
			environment.OnboardingPerMinute, environment.EventTopic), talk...),
		"HandleJobEventFunction": {environment.Table, environment.Operations, environment.StateMachines,
			environment.OutcomeTopic, environment.JobsEndpoint, environment.EventTopic},
		"TickFunction": {environment.Table, environment.StartQueue, environment.StateMachines,
			environment.OnboardingPerMinute,
			environment.Operations, environment.CampaignBucket},
		"CreateCampaignFunction": {environment.Table, environment.StateMachines, environment.FirmwareBucket,
			environment.SourceHosts, environment.SigningKeys, environment.RequireSignature,
			environment.CampaignBucket},
		"ApproveCampaignFunction": {environment.Table},
		"AbortCampaignFunction":   {environment.Table},
		"ControlCampaignFunction": {environment.Table, environment.StartQueue, environment.Operations,
			environment.CampaignBucket},
		"DescribeCampaignFunction": {environment.Table, environment.CampaignBucket},
		"RunCampaignFunction":      {environment.Table, environment.CampaignBucket, environment.CampaignTopic},
		"ControlFunction":          {environment.Table},
		"PrepareAccountFunction":   nil,
	}
	for id, f := range parse(t).of("AWS::Lambda::Function") {
		variables, _ := at(f.Properties, "Environment", "Variables").(map[string]any)
		names := append([]string{environment.LogLevel, environment.MetricsNamespace, environment.StackName},
			want[id]...)
		slices.Sort(names)
		if got := slices.Sorted(maps.Keys(variables)); !slices.Equal(got, names) {
			t.Errorf("%s has %v, want %v", id, got, names)
		}
	}
}

func TestEveryRuleHasADeadLetterQueueAndMayInvoke(t *testing.T) {
	tpl := parse(t)
	rules := tpl.of("AWS::IoT::TopicRule")
	if len(rules) != 7 {
		t.Errorf("%d rules, want 7", len(rules))
	}
	queued := 0
	for id, rule := range rules {
		payload := rule.Properties["TopicRulePayload"]
		if at(payload, "AwsIotSqlVersion") != "2016-03-23" {
			t.Errorf("%s: SQL version %v", id, at(payload, "AwsIotSqlVersion"))
		}
		queue := fmt.Sprint(at(payload, "ErrorAction", "Sqs", "QueueUrl", "Ref"))
		if tpl.Resources[queue].Type != "AWS::SQS::Queue" {
			t.Errorf("%s: no dead-letter queue", id)
		}
		if topic := at(payload, "Actions", 0, "Sns", "TargetArn", "Ref"); topic != nil {
			if id != "JobEndRule" || topic != "JobTopic" {
				t.Errorf("%s tells %v: people are told of jobs that ended only", id, topic)
			}
			continue
		}
		if url := at(payload, "Actions", 0, "Sqs", "QueueUrl", "Ref"); url != nil {
			if id != "UspMessageRule" && id != "PresenceRule" || url != "MessageQueue" {
				t.Errorf("%s fills %v: only what devices say is queued", id, url)
			}
			queued++
			continue
		}
		if at(payload, "Actions", 0, "Republish") != nil {
			if id != "UspNotificationRule" || rule.Condition != "HasJsonNotifications" {
				t.Errorf("%s publishes messages again, though nobody asked for it", id)
			}
			continue
		}
		function := fmt.Sprint(at(payload, "Actions", 0, "Lambda", "FunctionArn", "Fn::GetAtt", 0))
		if at(tpl.Resources[function].Properties, "DeadLetterConfig", "TargetArn") == nil {
			t.Errorf("%s: what %s cannot process is lost", id, function)
		}
		permitted := false
		for _, p := range tpl.of("AWS::Lambda::Permission") {
			permitted = permitted || at(p.Properties, "FunctionName", "Ref") == function &&
				at(p.Properties, "Principal") == "iot.amazonaws.com" && at(p.Properties, "SourceArn", "Fn::GetAtt",
				0) == id &&
				at(p.Properties, "SourceAccount", "Ref") == "AWS::AccountId"
		}
		if !permitted {
			t.Errorf("%s may not invoke %s", id, function)
		}
	}
	if queued != 2 {
		t.Errorf("%d rules fill the queue of messages, want 2", queued)
	}
	queues := tpl.of("AWS::SQS::Queue")
	for id, q := range queues {
		if with, without := chosen(q.Properties["SqsManagedSseEnabled"], "HasKmsKey"); with != false ||
			without != true || q.Properties["MessageRetentionPeriod"] != float64(1209600) {
			t.Errorf("%s: want encryption and 14 days", id)
		}
	}
}

// TestMessagesComeInBatches holds what the queue of messages depends on. AWS advises a visibility
// timeout of six times the function's, and without ReportBatchItemFailures one message that fails
// has its whole batch played again.
func TestMessagesComeInBatches(t *testing.T) {
	tpl := parse(t)
	sources := tpl.of("AWS::Lambda::EventSourceMapping")
	if len(sources) != 2 {
		t.Fatalf("%d event source mappings, want 2", len(sources))
	}
	if s := sources["StartMapping"].Properties; at(s, "EventSourceArn", "Fn::GetAtt", 0) != "StartQueue" ||
		text(s["FunctionResponseTypes"]) != `["ReportBatchItemFailures"]` || s["BatchSize"] != float64(10) {
		t.Errorf("the mapping of starts is %s", text(s))
	}
	if visible, timeout := tpl.Resources["StartQueue"].Properties["VisibilityTimeout"],
		tpl.Resources["StartUpgradeFunction"].Properties["Timeout"]; visible.(float64) < 6*timeout.(float64) {
		t.Errorf("starts come again after %v s, the function has %v s", visible, timeout)
	}
	p := sources["MessageSource"].Properties
	if at(p, "EventSourceArn", "Fn::GetAtt", 0) != "MessageQueue" ||
		text(p["FunctionResponseTypes"]) != `["ReportBatchItemFailures"]` ||
		p["BatchSize"] != float64(10) || at(p, "MaximumBatchingWindowInSeconds", "Ref") != "MessageWindowSeconds" ||
		at(p, "ScalingConfig", "MaximumConcurrency", "Ref") != "MessageConcurrency" {
		t.Errorf("the mapping is %s", text(p))
	}
	if low := tpl.Parameters["MessageConcurrency"]["MinValue"]; low != float64(2) {
		t.Errorf("MaximumConcurrency is at least 2, the parameter %v", low)
	}
	// No poller is throttled: what is reserved is what the mapping may start.
	for function, want := range map[string]any{
		"HandleDeviceMessageFunction": []any{"ReservesMessages", "MessageConcurrency"},
		"StartUpgradeFunction":        []any{"ReservesStarts", "StartReservedConcurrency"},
		"FinalizeFunction":            []any{"ReservesSteps", "StepReservedConcurrency"},
		"SendUspOperateFunction":      []any{"ReservesSteps", "StepReservedConcurrency"},
	} {
		p := tpl.Resources[function].Properties
		if got := []any{at(p, "ReservedConcurrentExecutions", "Fn::If", 0),
			at(p, "ReservedConcurrentExecutions", "Fn::If", 1, "Ref")}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s reserves %v, want %v", function, got, want)
		}
	}
	if s := sources["StartMapping"].Properties; at(s, "ScalingConfig", "Fn::If", 0) != "ReservesStarts" ||
		at(s, "ScalingConfig", "Fn::If", 1, "MaximumConcurrency", "Ref") != "StartReservedConcurrency" {
		t.Errorf("the mapping of starts scales by %s", text(s["ScalingConfig"]))
	}
	queue := tpl.Resources["MessageQueue"].Properties
	visible, _ := queue["VisibilityTimeout"].(float64)
	timeout, _ := tpl.Resources["HandleDeviceMessageFunction"].Properties["Timeout"].(float64)
	if timeout == 0 || visible < 6*timeout {
		t.Errorf("messages come again after %v s, the function has %v s", visible, timeout)
	}
	if at(queue, "RedrivePolicy", "maxReceiveCount") != float64(20) ||
		at(queue, "RedrivePolicy", "deadLetterTargetArn", "Fn::GetAtt", 0) != "MessageDeadLetterQueue" {
		t.Errorf("what fails for good goes to %s", text(queue["RedrivePolicy"]))
	}
}

// TestMetricsAreOurs holds every metric of an alarm or a widget to the names in internal/functions/metrics.
func TestMetricsAreOurs(t *testing.T) {
	tpl := parse(t)
	dimensions := map[string]string{ // dimension
		metrics.Ticks: "", metrics.UpgradesStarted: "", metrics.UpgradesPending: "", metrics.UpgradeDuration: "",
		metrics.UpgradesParked: "", metrics.UpgradesFound: "", metrics.UpgradesOver: "", metrics.ReportsFailing: "",
		metrics.DetailsRefused: "", metrics.ThingsNotUpdated: "", metrics.DevicesOnboarded: metrics.Result,
		metrics.EventsUntold:       "",
		metrics.UpgradesUnreported: "", metrics.DroppedNews: "",
		metrics.DevicesFinished: metrics.Result, metrics.Failures: metrics.Reason,
		metrics.PhaseReached: metrics.Phase, metrics.PhaseDuration: metrics.Phase,
		metrics.JobExecutions: metrics.Status, metrics.RefusedRecords: metrics.Reason,
		metrics.CampaignsHalted: "", metrics.CampaignsStopped: "",
	}
	values := map[string][]string{
		metrics.Result: metrics.Results,
		metrics.Phase:  upgrade.Phases(),
		metrics.Status: append(slices.Clone(metrics.Results), string(event.StatusRemoved)),
		metrics.Reason: append(slices.Clone(upgrade.Reasons()), event.RefusedTopic, event.RefusedClient,
			event.RefusedSender,
			event.RefusedOwner, event.RefusedRecipient, event.RefusedUnreadable, event.RefusedSession),
	}
	seen := map[string]bool{}
	check := func(where, metric, dimension, value string) {
		want, ok := dimensions[metric]
		if !ok || dimension != want || want != "" && !slices.Contains(values[want], value) {
			t.Errorf("%s: metric %s with %s=%s is not published", where, metric, dimension, value)
		}
		seen[metric] = true
	}
	for id, alarm := range tpl.of("AWS::CloudWatch::Alarm") {
		for _, q := range list(alarm.Properties["Metrics"]) {
			if m := at(q, "MetricStat", "Metric"); at(m, "Namespace", "Fn::Sub") == namespace {
				dimension, _ := at(m, "Dimensions", 0, "Name").(string)
				value, _ := at(m, "Dimensions", 0, "Value").(string)
				check(id, at(m, "MetricName").(string), dimension, value)
			}
		}
	}
	body := fmt.Sprint(at(tpl.Resources["Dashboard"].Properties, "DashboardBody", "Fn::Sub"))
	var dashboard any
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, w := range list(at(dashboard, "widgets")) {
		for _, r := range list(at(w, "properties", "metrics")) {
			if at(r, 0) != namespace {
				continue
			}
			dimension, _ := at(r, 2).(string)
			value, _ := at(r, 3).(string)
			check(fmt.Sprint(at(w, "properties", "title")), at(r, 1).(string), dimension, value)
		}
	}
	for m := range dimensions {
		if !seen[m] {
			t.Errorf("metric %s is on no chart", m)
		}
	}
}

func TestAlarmsReachSomebodyAndStayQuietWithoutData(t *testing.T) {
	for id, alarm := range parse(t).of("AWS::CloudWatch::Alarm") {
		p := alarm.Properties
		missing := "notBreaching"
		if id == "TickAlarm" {
			missing = "breaching" // the clock ticks whether anything is upgraded or not
		}
		if at(p, "AlarmActions", 0, "Ref") != "AlarmTopic" || p["TreatMissingData"] != missing ||
			p["AlarmDescription"] == nil {
			t.Errorf("%s: actions %s, missing data %v", id, text(p["AlarmActions"]), p["TreatMissingData"])
		}
		returned := 0
		for _, q := range list(p["Metrics"]) {
			if at(q, "ReturnData") == true {
				returned++
			}
		}
		if returned != 1 {
			t.Errorf("%s returns %d series", id, returned)
		}
	}
}

func TestBucketIsPrivateEncryptedAndTLSOnly(t *testing.T) {
	tpl := parse(t)
	for id, b := range tpl.of("AWS::S3::Bucket") {
		p := b.Properties
		if at(p, "VersioningConfiguration", "Status") != "Enabled" ||
			at(p, "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault",
				"SSEAlgorithm") == nil {
			t.Errorf("%s: want versions and encryption", id)
		}
		for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls",
			"RestrictPublicBuckets"} {
			if at(p, "PublicAccessBlockConfiguration", block) != true {
				t.Errorf("%s: %s is not set", id, block)
			}
		}
		if b.DeletionPolicy != "RetainExceptOnCreate" || b.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s goes with the stack", id)
		}
		found := false
		for _, policy := range tpl.of("AWS::S3::BucketPolicy") {
			for _, s := range list(at(policy.Properties, "PolicyDocument", "Statement")) {
				found = found || at(policy.Properties, "Bucket", "Ref") == id && at(s, "Effect") == "Deny" &&
					at(s, "Principal") == "*" &&
					at(s, "Action") == "s3:*" && at(s, "Condition", "Bool", "aws:SecureTransport") == "false" &&
					len(list(at(s, "Resource"))) == 2
			}
		}
		if !found {
			t.Errorf("%s: may be used without TLS", id)
		}
	}
	table := tpl.Resources["DeviceTable"]
	if at(table.Properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") != true ||
		at(table.Properties, "TimeToLiveSpecification", "AttributeName") != "expiresAt" ||
		table.Properties["BillingMode"] != "PAY_PER_REQUEST" || table.DeletionPolicy != "RetainExceptOnCreate" ||
		table.UpdateReplacePolicy != "Retain" {
		t.Errorf("table: %s", text(table))
	}
}

// TestWhatASearchFoundExpires: package campaign/s3 keeps it under this prefix. Its versions and what marks them as
// deleted go, too, and nothing else does.
func TestWhatASearchFoundExpires(t *testing.T) {
	rules := list(at(parse(t).Resources["ResultsBucket"].Properties, "LifecycleConfiguration", "Rules"))
	expiring := 0
	for _, r := range rules {
		if at(r, "ExpirationInDays") == nil && at(r, "NoncurrentVersionExpiration") == nil {
			continue
		}
		expiring++
		if at(r, "Status") != "Enabled" || at(r, "Prefix") != "campaigns/.found/" ||
			at(r, "ExpirationInDays") != 1.0 || at(r, "NoncurrentVersionExpiration", "NoncurrentDays") != 1.0 {
			t.Errorf("rule %s", text(r))
		}
	}
	if expiring != 1 {
		t.Errorf("%d rules expire objects", expiring)
	}
}

// TestDeviceUsesOnlyItsOwnTopics allows wildcards below the device's own name only.
func TestDeviceUsesOnlyItsOwnTopics(t *testing.T) {
	const prefix = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:"
	const own = "${!iot:Connection.Thing.ThingName}"
	allowed := map[string][]string{"iot:Connect": {"client/" + own}}
	for _, l := range usp.Layouts {
		agent, to := l.Agent.Expand(own, ""), l.Controller.Expand(own, "${ControllerEndpointId}")
		for action, topics := range map[string][]string{
			"iot:Subscribe": {"topicfilter/" + agent, "topicfilter/" + agent + "/#"},
			"iot:Receive":   {"topic/" + agent, "topic/" + agent + "/*"},
			"iot:Publish":   {"topic/" + to, "topic/" + to + "/*"},
		} {
			allowed[action] = append(allowed[action], topics...)
		}
	}
	statements := list(at(parse(t).Resources["DevicePolicy"].Properties, "PolicyDocument", "Statement"))
	if len(statements) != len(allowed) {
		t.Errorf("%d statements, want %d", len(statements), len(allowed))
	}
	for _, s := range statements {
		for _, a := range list(at(s, "Action")) {
			for _, r := range list(at(s, "Resource")) {
				arms := []any{r}
				if with, without := chosen(r, "HasSampleTopics"); without != nil {
					arms = []any{with, without}
				}
				for i, arm := range arms {
					resource, _ := strings.CutPrefix(fmt.Sprint(at(arm, "Fn::Sub")), prefix)
					of := usp.Layouts[len(usp.Layouts)-1-i]
					if !slices.Contains(allowed[a.(string)], resource) ||
						len(arms) > 1 && !strings.Contains(resource, strings.Split(string(of.Agent), "{")[0]) &&
							!strings.Contains(resource, strings.Split(string(of.Controller), "{")[0]) {
						t.Errorf("a device may %v on %s", a, resource)
					}
				}
			}
			if a == "iot:Connect" && at(s, "Condition", "Bool", "iot:Connection.Thing.IsAttached") != "true" {
				t.Error("a device may connect as a thing that its certificate is not attached to")
			}
		}
	}
}

func TestStateMachineIsTheCommittedOne(t *testing.T) {
	machine := parse(t).Resources["StateMachine"].Properties
	var got, want any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(machine["DefinitionString"].(string), "arn:${Partition}:",
		"arn:aws:")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &want); err != nil {
		t.Fatal(err)
	}
	if text(got) != text(want) {
		t.Error("the template has another state machine than statemachines/: run `make synth`")
	}
	names := []string{"Partition"}
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(statemachines.FirmwareUpgrade, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	substitutions, _ := machine["DefinitionSubstitutions"].(map[string]any)
	if given := slices.Sorted(maps.Keys(substitutions)); !slices.Equal(slices.Compact(names), given) {
		t.Errorf("the definition has %v, the template substitutes %v", slices.Compact(names), given)
	}
	for name, v := range substitutions {
		version, _ := at(v, "Ref").(string)
		if parse(t).Resources[version].Type != "AWS::Lambda::Version" && (name != "Partition" ||
			version != "AWS::Partition") {
			t.Errorf("%s is %s, want the ARN of a version of a function", name, text(v))
		}
	}
	if at(machine, "LoggingConfiguration", "Level") != "ERROR" ||
		at(machine, "LoggingConfiguration", "IncludeExecutionData") != false ||
		at(machine, "TracingConfiguration", "Enabled") != true {
		t.Errorf("logging %s", text(machine["LoggingConfiguration"]))
	}
}

// TestExecutionsEndWithTheVersionsTheyBeganWith: a state machine calls versions of functions, and is started by an
// alias, which the newest version of the machine has.
func TestExecutionsEndWithTheVersionsTheyBeganWith(t *testing.T) {
	tpl := parse(t)
	for id, r := range tpl.of("AWS::Lambda::Version") {
		function, _ := at(r.Properties, "FunctionName", "Ref").(string)
		if id != strings.TrimSuffix(function, "Function")+"VersionCurrent" ||
			tpl.Resources[function].Type != "AWS::Lambda::Function" {
			t.Errorf("%s is a version of %s", id, function)
		}
		// What a parameter changes in a function is in the description of its version, or it would not be published.
		description := text(r.Properties["Description"])
		for _, value := range at(tpl.Resources[function].Properties, "Environment", "Variables").(map[string]any) {
			name, _ := at(value, "Ref").(string)
			if _, parameter := tpl.Parameters[name]; parameter && !strings.Contains(description, text(value)) {
				t.Errorf("%s does not follow parameter %s: %s", id, name, description)
			}
			if at(value, "Fn::GetAtt", 1) == environment.AccountJobsEndpoint && !strings.Contains(description,
				text(value)) {
				t.Errorf("%s does not follow %s: %s", id, text(value), description)
			}
		}
	}
	machines := tpl.of("AWS::StepFunctions::StateMachine")
	for id, m := range machines {
		for name, v := range m.Properties["DefinitionSubstitutions"].(map[string]any) {
			ref, _ := at(v, "Ref").(string)
			if strings.HasSuffix(name, "Arn") && tpl.Resources[ref].Type != "AWS::Lambda::Version" {
				t.Errorf("%s calls %s", id, text(v))
			}
		}
		version, alias := tpl.Resources[id+"Version"].Properties, tpl.Resources[id+"Alias"].Properties
		if at(version, "StateMachineArn", "Ref") != id || at(version, "StateMachineRevisionId", "Fn::GetAtt",
			0) != id {
			t.Errorf("the version of %s is %s", id, text(version))
		}
		if alias["Name"] != environment.Live ||
			at(alias, "RoutingConfiguration", 0, "StateMachineVersionArn", "Ref") != id+"Version" {
			t.Errorf("the alias of %s is %s", id, text(alias))
		}
	}
	if len(machines) < 2 {
		t.Errorf("%d state machines", len(machines))
	}
}

func TestVersionsHaveIDsThatFollowTheTemplate(t *testing.T) {
	first, again := Versioned(Template), Versioned(Template)
	second := Versioned([]byte(strings.Replace(string(Template), `"Timeout": 30`, `"Timeout": 31`, 1)))
	ids := regexp.MustCompile(`"FinalizeVersion[0-9a-f]{8}"`)
	if string(first) != string(again) || ids.Find(first) == nil ||
		string(ids.Find(first)) == string(ids.Find(second)) ||
		strings.Contains(string(first), "VersionCurrent") {
		t.Errorf("%s, then %s", ids.Find(first), ids.Find(second))
	}
}

func TestTemplateNeedsNothingButItsParameters(t *testing.T) {
	tpl := parse(t)
	for name, p := range tpl.Parameters {
		if p["Default"] == nil {
			t.Errorf("parameter %s has no default", name)
		}
		if strings.HasPrefix(fmt.Sprint(p["Type"]), "AWS::SSM") {
			t.Errorf("parameter %s is looked up", name)
		}
	}
	for id, r := range tpl.Resources {
		switch {
		case r.Type == "AWS::CDK::Metadata", strings.HasPrefix(r.Type, "Custom::") && r.Type != "Custom::IoTAccount" &&
			r.Type != "Custom::UspDescriptors":
			t.Errorf("%s: a %s of the CDK's own", id, r.Type)
		case r.Type == "AWS::SNS::Subscription" && r.Condition == "":
			t.Errorf("%s is made although nobody asked for it", id)
		}
	}
	for _, place := range []string{"/home/", "/root/", "/tmp/", "/Users/"} {
		if strings.Contains(string(Template), place) {
			t.Errorf("the template names a path of the machine that made it: %s", place)
		}
	}
	want := []string{
		"AgentTopic", "AlarmTopicArn", "CampaignStateMachineArn", "CampaignTopicArn", "ControllerEndpointId",
		"ControllerTopic", "CreateJobFunctionName", "DashboardName", "DeadLetterQueueUrl", "DevicePolicyName",
		"EventTopicArn", "FirmwareBucketName", "JobTopicArn", "MessageDeadLetterQueueUrl", "MessageQueueUrl",
		"OutcomeTopicArn", "ResultsBucketName", "StateMachineArn", "TableName",
	}
	if got := slices.Sorted(maps.Keys(tpl.Outputs)); !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
}

// TestAnAnswerSurvivesOneRedelivery: a message whose function died comes again when the
// queue's visibility timeout has passed, before the step that waits for it gives up.
func TestAnAnswerSurvivesOneRedelivery(t *testing.T) {
	tpl := parse(t)
	number := func(of map[string]any, name string) time.Duration {
		n, ok := of[name].(float64)
		if !ok {
			t.Fatalf("%s is %v", name, of[name])
		}
		return time.Duration(n) * time.Second
	}
	window := number(tpl.Parameters["MessageWindowSeconds"], "Default")
	again := window + number(tpl.Resources["MessageQueue"].Properties, "VisibilityTimeout") + window +
		number(tpl.Resources["HandleDeviceMessageFunction"].Properties, "Timeout")
	const device = 15 * time.Second // for itself, and for the network
	answers := map[string]time.Duration{"an upgrade": upgrade.DefaultAnswer}
	for _, name := range []string{"collect", "reboot", "set-parameters"} {
		b, err := fs.ReadFile(statemachines.Files(), name+".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Properties struct{ AnswerSeconds map[string]any }
		}
		if err := json.Unmarshal(b, &schema); err != nil {
			t.Fatal(err)
		}
		answers[name] = number(schema.Properties.AnswerSeconds, "default")
	}
	for what, has := range answers {
		if has < again+device {
			t.Errorf("%s waits %v for an answer, which may take %v in the queue and %v of the device", what, has,
				again, device)
		}
	}
}

// TestTopicsAreThoseOfALayout: what is chosen by the parameter TopicLayout is a layout's as a whole, the same text but
// for that.
func TestTopicsAreThoseOfALayout(t *testing.T) {
	tpl := parse(t)
	for _, name := range []string{"AgentTopic", "ControllerTopic"} {
		sample, usual := chosen(tpl.Outputs[name].Value, "HasSampleTopics")
		of := func(l usp.Layout) any {
			if name == "AgentTopic" {
				return string(l.Agent)
			}
			return string(l.Controller)
		}
		if usual != of(usp.Layouts[0]) || sample != of(usp.Layouts[1]) {
			t.Errorf("%s is %v or %v", name, usual, sample)
		}
	}
	sql := at(tpl.Resources["UspMessageRule"].Properties, "TopicRulePayload", "Sql")
	sample, usual := chosen(sql, "HasSampleTopics")
	for _, c := range []struct{ sql, thing, from string }{
		{fmt.Sprint(at(usual, "Fn::Sub")), "topic(6)", "usp/v1/controller/${ControllerEndpointId}/from/#"},
		{fmt.Sprint(at(sample, "Fn::Sub")), "topic(4)", "controllers/${ControllerEndpointId}/agents/#"},
	} {
		if !strings.Contains(c.sql, c.thing+" AS thingName") || !strings.HasSuffix(c.sql, " FROM '"+c.from+"'") {
			t.Errorf("the rule is %s", c.sql)
		}
	}
	seen := 0
	for id, r := range tpl.Resources {
		for _, p := range list(r.Properties["Policies"]) {
			for _, s := range list(at(p, "PolicyDocument", "Statement")) {
				if at(s, "Sid") != "SendToAgent" {
					continue
				}
				seen++
				sample, usual := chosen(at(s, "Resource", 0), "HasSampleTopics")
				if !strings.HasSuffix(arn(usual), ":topic/usp/v1/agent/*") ||
					!strings.HasSuffix(arn(sample), ":topic/agents/*") {
					t.Errorf("%s sends to %s or %s", id, arn(usual), arn(sample))
				}
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d functions send to agents", seen)
	}
}
