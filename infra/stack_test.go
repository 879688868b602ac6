package infra

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestJobTemplateIsNamedAfterItsContent: AWS changes nothing of a job template, and CloudFormation
// does not replace what keeps its name.
func TestJobTemplateIsNamedAfterItsContent(t *testing.T) {
	properties := maps.Clone(parse(t).Resources["JobTemplate"].Properties)
	name := at(properties, "JobTemplateId", "Fn::Sub")
	delete(properties, "JobTemplateId")
	sum := sha256.Sum256([]byte(text(properties)))
	if want := "${AWS::StackName}-firmware-upgrade-" + hex.EncodeToString(sum[:4]); name != want {
		t.Errorf("the job template is %v, its content has the name %s", name, want)
	}
	if properties["Tags"] != nil {
		t.Error("the job template has tags: a change of them would replace it, and its name does not follow from them")
	}
}

// TestNamesFollowTheStack: two stacks in one account have no name in common, and what
// CloudFormation cannot replace has a name that changes with it.
func TestNamesFollowTheStack(t *testing.T) {
	names := map[string]string{
		"AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName",
		"AWS::CloudWatch::Alarm":     "AlarmName",
		"AWS::CloudWatch::Dashboard": "DashboardName", "AWS::StepFunctions::StateMachine": "StateMachineName",
		"AWS::IoT::JobTemplate": "JobTemplateId", "AWS::IoT::Policy": "PolicyName", "AWS::IoT::TopicRule": "RuleName",
	}
	unnamed := map[string][]string{ // CloudFormation gives the name, with the stack's in it
		"AWS::DynamoDB::Table": {"TableName"}, "AWS::S3::Bucket": {"BucketName"}, "AWS::SQS::Queue": {"QueueName"},
		"AWS::SNS::Topic": {"TopicName"}, "AWS::IAM::Role": {"RoleName"},
	}
	for id, r := range parse(t).Resources {
		if property := names[r.Type]; property != "" {
			name := r.Properties[property]
			sub, _ := at(name, "Fn::Sub").(string)
			if !strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(sub, "/aws/lambda/"),
				"/aws/vendedlogs/states/"), "${AWS::StackName}-") &&
				!strings.Contains(text(name), `"Fn::Split":["-",{"Ref":"AWS::StackName"}]`) {
				t.Errorf("%s: the name %s is the same in every stack", id, text(name))
			}
			continue
		}
		for _, property := range unnamed[r.Type] {
			if r.Properties[property] != nil {
				t.Errorf("%s has a name of its own, %s", id, text(r.Properties[property]))
			}
		}
	}
}

// TestEverythingIsTagged holds the tags by which costs are told apart.
func TestEverythingIsTagged(t *testing.T) {
	want := `[{"Key":"Campaign","Value":{"Ref":"Campaign"}},{"Key":"CostCenter","Value":{"Ref":"CostCenter"}},{"Key":"Stack","Value":{"Ref":"AWS::StackName"}}]`
	untagged := map[string]bool{ // types without tags, and the job template (see above)
		"AWS::Lambda::Permission": true, "AWS::S3::BucketPolicy": true, "AWS::SNS::TopicPolicy": true,
		"AWS::IAM::Policy":           true,
		"AWS::SNS::Subscription":     true,
		"AWS::CloudWatch::Dashboard": true, "AWS::IoT::JobTemplate": true,
		"Custom::IoTAccount":             true,
		"Custom::UspDescriptors":         true,
		"AWS::Lambda::EventInvokeConfig": true, "AWS::Lambda::EventSourceMapping": true,
		"AWS::Lambda::Version": true, "AWS::StepFunctions::StateMachineVersion": true,
		"AWS::StepFunctions::StateMachineAlias": true,
		"AWS::Scheduler::Schedule":              true, // groups have tags, schedules have none
	}
	for id, r := range parse(t).Resources {
		if got := text(r.Properties["Tags"]); !untagged[r.Type] && got != want {
			t.Errorf("%s has the tags %s", id, got)
		}
	}
}

// TestNoPartitionIsMeant: the template deploys to aws-cn and aws-us-gov.
func TestNoPartitionIsMeant(t *testing.T) {
	for _, fixed := range []string{"arn:aws:", "arn:aws-cn:", "amazonaws.com/", ".amazonaws.com.cn", "us-east-1"} {
		if strings.Contains(string(Template), fixed) {
			t.Errorf("the template has %q in it", fixed)
		}
	}
}

func TestACustomersKeyEncryptsEverything(t *testing.T) {
	tpl := parse(t)
	key := func(where string, v any, path ...any) {
		with, without := chosen(at(v, path...), "HasKmsKey")
		if text(with) != `{"Ref":"KmsKeyArn"}` || text(without) != `{"Ref":"AWS::NoValue"}` {
			t.Errorf("%s: %s", where, text(at(v, path...)))
		}
	}
	for id, r := range tpl.Resources {
		switch r.Type {
		case "AWS::Lambda::Function":
			key(id, r.Properties, "KmsKeyArn")
		case "AWS::Logs::LogGroup":
			key(id, r.Properties, "KmsKeyId")
		case "AWS::SNS::Topic", "AWS::SQS::Queue":
			key(id, r.Properties, "KmsMasterKeyId")
		case "AWS::S3::Bucket":
			if id == "DescriptorBucket" {
				continue // a public schema, which AWS IoT reads
			}
			key(id, r.Properties, "BucketEncryption", "ServerSideEncryptionConfiguration", 0,
				"ServerSideEncryptionByDefault", "KMSMasterKeyID")
		case "AWS::DynamoDB::Table":
			with, _ := chosen(r.Properties["SSESpecification"], "HasKmsKey")
			if at(with, "SSEEnabled") != true || at(with, "SSEType") != "KMS" ||
				at(with, "KMSMasterKeyId", "Ref") != "KmsKeyArn" {
				t.Errorf("%s: %s", id, text(r.Properties["SSESpecification"]))
			}
		}
	}
}

// TestTheTableCanBeProtected: where the stack says so, DynamoDB refuses to delete what is known of devices.
func TestTheTableCanBeProtected(t *testing.T) {
	tpl := parse(t)
	with, without := chosen(tpl.Resources["DeviceTable"].Properties["DeletionProtectionEnabled"], "IsProtected")
	if with != true || without != false || tpl.Parameters["DeletionProtection"]["Default"] != "false" {
		t.Errorf("protected %v, else %v; the parameter is %v", with, without, tpl.Parameters["DeletionProtection"])
	}
}

// TestSignedAddressesNeedAllOfTheirParameters: CloudFormation refuses a distribution without its key.
func TestSignedAddressesNeedAllOfTheirParameters(t *testing.T) {
	var template struct {
		Rules map[string]struct {
			RuleCondition any
			Assertions    []struct{ Assert any }
		}
	}
	if err := json.Unmarshal(Template, &template); err != nil {
		t.Fatal(err)
	}
	rule := template.Rules["SignedUrls"]
	given := func(parameter string) string {
		return `{"Fn::Not":[{"Fn::Equals":[{"Ref":"` + parameter + `"},""]}]}`
	}
	if text(rule.RuleCondition) != given("ImageBaseUrl") || len(rule.Assertions) != 2 ||
		text(rule.Assertions[0].Assert) != given("ImageKeyPairId") ||
		text(rule.Assertions[1].Assert) != given("ImageKeyParameter") {
		t.Errorf("the rule is %s", text(rule))
	}
}

func TestParametersAreChecked(t *testing.T) {
	parameters := parse(t).Parameters
	for _, c := range []struct {
		parameter string
		good, bad []string
	}{
		{"ControllerEndpointId", []string{"self::fleetstep", strings.Repeat("a", 64)},
			[]string{"", strings.Repeat("a", 65), "a/b", "a+", "#", "a b"}},
		{"AlarmEmail", []string{"", "a@example.com"}, []string{"a", "a@b", "a b@c.d"}},
		{"JobEmail", []string{"", "a@example.com"}, []string{"a"}},
		{"ImageBaseUrl", []string{"", "https://d1.cloudfront.net", "https://images.example.com:8443/firmware/v1"},
			[]string{"http://d1.cloudfront.net", "https://", "https://d1.cloudfront.net/", "https://a.b/c?d", "d1"}},
		{"ImageKeyPairId", []string{"", "K2JCJMDEHXQW5F"}, []string{"k2", "K 2"}},
		{"ImageKeyParameter", []string{"", "/fleetstep/image-key"}, []string{"fleetstep", "/", "/a/", "/*", "/a*"}},
		{"KmsKeyArn", []string{"", "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
			"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1234"},
			[]string{"alias/a", "arn:aws:kms:us-east-1:1:key/x", "1234abcd"}},
		{"CostCenter", []string{"none", "Fleet 7/R&D"[:7]}, []string{"", "a,b", strings.Repeat("a", 257)}},
	} {
		pattern := regexp.MustCompile(fmt.Sprint(parameters[c.parameter]["AllowedPattern"]))
		for _, v := range c.good {
			if !pattern.MatchString(v) {
				t.Errorf("%s refuses %q", c.parameter, v)
			}
		}
		for _, v := range c.bad {
			if pattern.MatchString(v) {
				t.Errorf("%s takes %q", c.parameter, v)
			}
		}
	}
}

// TestWhatOutlivesTheStack: data, and the policy that devices are attached to; AWS IoT would refuse
// to delete that one. Versions outlive their place in the template, as executions may run on them.
func TestWhatOutlivesTheStack(t *testing.T) {
	var kept []string
	for id, r := range parse(t).Resources {
		if r.DeletionPolicy != "" {
			if r.Type != "AWS::Lambda::Version" && r.Type != "AWS::StepFunctions::StateMachineVersion" {
				kept = append(kept, id)
			}
			if r.DeletionPolicy != "RetainExceptOnCreate" || r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s: %s, %s", id, r.DeletionPolicy, r.UpdateReplacePolicy)
			}
		}
	}
	slices.Sort(kept)
	if want := []string{"DescriptorBucket", "DevicePolicy", "DeviceTable", "FirmwareBucket",
		"ResultsBucket"}; !slices.Equal(kept, want) {
		t.Errorf("kept are %v, want %v", kept, want)
	}
}

// TestRolloutBeginsSlowly: before the first device has an answer, few have begun.
func TestRolloutBeginsSlowly(t *testing.T) {
	p := parse(t).Resources["JobTemplate"].Properties
	rate, _ := at(p, "JobExecutionsRolloutConfig", "ExponentialRolloutRate", "BaseRatePerMinute").(float64)
	if rate < 10 || rate > 20 {
		t.Errorf("%v devices a minute at first, want 10 to 20", rate)
	}
	if at(p, "JobExecutionsRolloutConfig", "ExponentialRolloutRate", "RateIncreaseCriteria",
		"NumberOfSucceededThings") == nil {
		t.Error("the rate rises without successes")
	}
	var stops []string
	for _, c := range list(at(p, "AbortConfig", "CriteriaList")) {
		stops = append(stops, fmt.Sprint(at(c, "FailureType")))
	}
	if want := []string{"FAILED", "REJECTED", "TIMED_OUT"}; !slices.Equal(stops, want) {
		t.Errorf("the job stops on %v, want %v", stops, want)
	}
}

// TestOnlyPresenceIsTakenForPresence: AWS IoT may publish other events below the same topic.
func TestOnlyPresenceIsTakenForPresence(t *testing.T) {
	sql := fmt.Sprint(at(parse(t).Resources["PresenceRule"].Properties, "TopicRulePayload", "Sql"))
	if !strings.HasSuffix(sql,
		"FROM '$aws/events/presence/+/+' WHERE topic(4) = 'connected' OR topic(4) = 'disconnected'") {
		t.Errorf("the rule is %s", sql)
	}
}

// TestNobodyGetsAnEmailForEachDevice: e-mail is for alarms, for jobs that ended, and for campaigns.
func TestNobodyGetsAnEmailForEachDevice(t *testing.T) {
	got := map[string]any{}
	for id, s := range parse(t).of("AWS::SNS::Subscription") {
		got[id] = at(s.Properties, "TopicArn", "Ref")
	}
	want := map[string]any{"AlarmEmailSubscription": "AlarmTopic", "JobEmailSubscription": "JobTopic",
		"CampaignEmailSubscription": "CampaignTopic"}
	if text(got) != text(want) {
		t.Errorf("subscriptions are %v, want %v", got, want)
	}
}

// TestEveryAlarmIsInTheRunbook: who is called at night finds the alarm's name in docs/operations.md.
func TestEveryAlarmIsInTheRunbook(t *testing.T) {
	book, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z<>-]+)` \\|.*\\|.*\\S.*\\|$").FindAllStringSubmatch(
		string(book), -1) {
		rows = append(rows, m[1])
	}
	var alarms []string
	for _, a := range parse(t).of("AWS::CloudWatch::Alarm") {
		name := strings.TrimPrefix(fmt.Sprint(at(a.Properties, "AlarmName", "Fn::Sub")), "${AWS::StackName}-")
		if o, ok := strings.CutSuffix(name, "-stuck"); ok && slices.Contains(operations(t), o) {
			name = "<operation>-stuck"
		}
		alarms = append(alarms, name)
	}
	slices.Sort(rows)
	slices.Sort(alarms)
	alarms = slices.Compact(alarms)
	if !slices.Equal(rows, alarms) {
		t.Errorf("the runbook has %v, the template %v", rows, alarms)
	}
}

// TestMetricsAreAWSs holds the metrics of AWS's services that alarms read to the names and sets of
// dimensions under which they are published: a metric that is asked for by other dimensions is
// another one, without data. Sources, read 2026-11: AWS IoT Developer Guide, "AWS IoT metrics and
// dimensions" (rule, rule action and message broker metrics); AWS Lambda Developer Guide, "Types of metrics
// for Lambda functions"; AWS Step Functions Developer Guide, "Monitoring Step Functions metrics
// using CloudWatch"; Amazon DynamoDB Developer Guide, "DynamoDB metrics and dimensions"; Amazon SQS
// Developer Guide, "Available CloudWatch metrics for Amazon SQS".
func TestMetricsAreAWSs(t *testing.T) {
	published := map[string]string{ // dimensions
		"AWS/IoT ParseError": "RuleName", "AWS/IoT RuleMessageThrottled": "RuleName",
		"AWS/IoT Failure":   "ActionType RuleName",
		"AWS/Lambda Errors": "FunctionName", "AWS/Lambda Throttles": "FunctionName",
		"AWS/Lambda AsyncEventAge":      "FunctionName",
		"AWS/Lambda AsyncEventsDropped": "FunctionName", "AWS/Lambda DeadLetterErrors": "FunctionName",
		"AWS/States ExecutionsTimedOut": "StateMachineArn", "AWS/States ExecutionsAborted": "StateMachineArn",
		"AWS/States ExecutionThrottled": "StateMachineArn", "AWS/States ThrottledEvents": "APIName",
		"AWS/DynamoDB ReadThrottleEvents": "TableName", "AWS/DynamoDB WriteThrottleEvents": "TableName",
		"AWS/IoT PublishIn.Throttle":                 "Protocol",
		"AWS/SQS ApproximateNumberOfMessagesVisible": "QueueName",
		"AWS/SQS ApproximateAgeOfOldestMessage":      "QueueName",
	}
	tpl := parse(t)
	used := map[string]bool{}
	for id, alarm := range tpl.of("AWS::CloudWatch::Alarm") {
		metrics := 0
		for _, q := range list(alarm.Properties["Metrics"]) {
			m := at(q, "MetricStat", "Metric")
			if m == nil {
				continue
			}
			if metrics++; metrics > 10 {
				t.Errorf("%s reads more than 10 metrics, which AWS refuses", id)
			}
			service, ok := at(m, "Namespace").(string)
			if !ok {
				continue // ours: TestMetricsAreOurs
			}
			name := service + " " + at(m, "MetricName").(string)
			used[name] = true
			var dimensions []string
			for _, d := range list(at(m, "Dimensions")) {
				dimensions = append(dimensions, at(d, "Name").(string))
				value := text(at(d, "Value"))
				for _, ref := range regexp.MustCompile(`\$\{(\w+)(\.\w+)?\}`).FindAllStringSubmatch(value, -1) {
					if tpl.Resources[ref[1]].Type == "" {
						t.Errorf("%s: %s names %s, which the template has not", id, value, ref[1])
					}
				}
			}
			if want, ok := published[name]; !ok || strings.Join(dimensions, " ") != want {
				t.Errorf("%s reads %s by %v, which is not published", id, name, dimensions)
			}
		}
	}
	for name := range published {
		if !used[name] {
			t.Errorf("no alarm reads %s", name)
		}
	}
	for id, rule := range tpl.of("AWS::IoT::TopicRule") {
		alarm := "RuleErrorAlarm"
		if rule.Condition != "" {
			alarm = "JsonNotificationAlarm"
		}
		if !strings.Contains(text(tpl.Resources[alarm].Properties["Metrics"]), "${"+id+"}") {
			t.Errorf("no alarm for errors of %s (%s)", id, text(rule.Properties["RuleName"]))
		}
	}
	for id, f := range tpl.of("AWS::Lambda::Function") {
		name, _ := at(f.Properties, "FunctionName", "Fn::Sub").(string)
		watches := func(alarm string) bool {
			return strings.Contains(text(tpl.Resources[alarm].Properties["Metrics"]), `"`+name+`"`)
		}
		for _, of := range []string{"ErrorAlarm", "ThrottleAlarm"} {
			n := 0
			for _, which := range []string{"Function", "Verb", "Campaign"} {
				if watches(which + of) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("want one of Function%s, Verb%s and Campaign%s to watch %s, not %d", of, of, of, id, n)
			}
		}
	}
}
