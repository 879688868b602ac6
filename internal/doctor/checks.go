package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

func credentials(ctx context.Context, p *probe) ([]Finding, error) {
	if p.AWS.Region == "" {
		return []Finding{problem("set AWS_REGION, or the region of the profile", "there is no region")}, nil
	}
	out, err := p.sts.GetCallerIdentity(ctx, nil)
	if err != nil {
		return []Finding{problem("check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL: the credentials are "+
			"refused", "%s", DescribeError(err))}, nil
	}
	p.Account, p.Caller = aws.ToString(out.Account), aws.ToString(out.Arn)
	return passed("%s in %s", p.Caller, p.AWS.Region), nil
}

func stack(ctx context.Context, p *probe) ([]Finding, error) {
	out, err := p.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &p.Stack})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "ValidationError" {
		return []Finding{problem("give its name, or deploy it: make deploy", "%s", api.ErrorMessage())}, nil
	}
	if err != nil {
		return nil, err
	}
	s := out.Stacks[0]
	p.Created = aws.ToTime(s.CreationTime)
	p.Status, p.Outputs, p.Parameters = string(s.StackStatus), map[string]string{}, map[string]string{}
	for _, o := range s.Outputs {
		p.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	for _, q := range s.Parameters {
		p.Parameters[aws.ToString(q.ParameterKey)] = aws.ToString(q.ParameterValue)
	}
	p.Resources = map[string]Resource{}
	pages := cloudformation.NewListStackResourcesPaginator(p.cloudformation,
		&cloudformation.ListStackResourcesInput{StackName: &p.Stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.StackResourceSummaries {
			p.Resources[aws.ToString(r.LogicalResourceId)] = Resource{aws.ToString(r.ResourceType),
				aws.ToString(r.PhysicalResourceId)}
		}
	}
	switch {
	case strings.HasSuffix(p.Status, "_IN_PROGRESS"):
		return []Finding{note("wait until it has ended", "%s is %s", p.Stack, p.Status)}, nil
	case strings.Contains(p.Status, "FAILED") || strings.Contains(p.Status, "ROLLBACK"):
		why, err := firstFailure(ctx, p)
		if err != nil {
			return nil, err
		}
		f := problem("remove the cause, and deploy again; delete a stack that is ROLLBACK_COMPLETE first",
			"%s is %s%s", p.Stack, p.Status, why)
		if p.Status == "UPDATE_ROLLBACK_COMPLETE" { // it works, as it was before
			f.Level = Note
		}
		return []Finding{f}, nil
	}
	return passed("%s is %s, %d resources", p.Stack, p.Status, len(p.Resources)), nil
}

// firstFailure is the first event of the stack's last operation that says what failed.
func firstFailure(ctx context.Context, p *probe) (string, error) {
	pages := cloudformation.NewDescribeStackEventsPaginator(p.cloudformation,
		&cloudformation.DescribeStackEventsInput{StackName: &p.Stack})
	why := ""
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, e := range page.StackEvents { // the newest comes first
			status, reason := string(e.ResourceStatus), aws.ToString(e.ResourceStatusReason)
			switch {
			case strings.HasSuffix(status, "_FAILED") && !strings.Contains(reason, "cancelled"):
				why = fmt.Sprintf(": %s: %s", aws.ToString(e.LogicalResourceId), reason)
			case aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId) &&
				slices.Contains([]string{"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}, status):
				return why, nil
			}
		}
	}
	return why, nil
}

// versions compares the stack's template with that of this command, by what they have.
func versions(ctx context.Context, p *probe) ([]Finding, error) {
	if p.Template == nil {
		return passed("nothing to compare with"), nil
	}
	out, err := p.cloudformation.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &p.Stack})
	if err != nil {
		return nil, err
	}
	there, err := contents(json.RawMessage(aws.ToString(out.TemplateBody)))
	if err != nil {
		return []Finding{note("compare by hand: cdk diff", "the stack's template is not JSON: %v", err)}, nil
	}
	here, err := contents(p.Template)
	if err != nil {
		return nil, err
	}
	var differ []string
	for _, id := range slices.Sorted(maps.Keys(here)) {
		switch mine, ok := there[id]; {
		case !ok:
			differ = append(differ, id+" is not in the stack")
		case !bytes.Equal(mine, here[id]):
			differ = append(differ, id+" differs")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if _, ok := here[id]; !ok {
			differ = append(differ, id+" is in the stack only")
		}
	}
	if len(differ) == 0 {
		return passed("the stack is of this command's version"), nil
	}
	more := ""
	if n := len(differ) - 5; n > 0 {
		differ, more = differ[:5], fmt.Sprintf(" and %d more", n)
	}
	return []Finding{note("use the command that was built with the stack, or deploy this version: make deploy",
		"the stack was deployed by another version: %s%s", strings.Join(differ, ", "), more)}, nil
}

// versionID is the logical id of a function's version, whose end follows from code and properties.
var versionID = regexp.MustCompile(`(Version)(?:[0-9a-f]{8}|Current)"`)

// contents are the resources of a template without what a deployment alone decides: where code lies, which version of
// a function that makes, and what the CDK notes for itself.
func contents(template []byte) (map[string]json.RawMessage, error) {
	var t struct {
		Resources map[string]map[string]any `json:"Resources"`
	}
	if err := json.Unmarshal(versionID.ReplaceAll(template, []byte(`$1"`)), &t); err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	for id, r := range t.Resources {
		if r["Type"] == "AWS::CDK::Metadata" {
			continue
		}
		delete(r, "Metadata")
		if properties, ok := r["Properties"].(map[string]any); ok && r["Type"] == "AWS::Lambda::Function" {
			delete(properties, "Code")
		}
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		all[id] = b
	}
	return all, nil
}

func events(ctx context.Context, p *probe) ([]Finding, error) {
	out, err := p.iot.DescribeEventConfigurations(ctx, nil)
	if err != nil {
		return nil, err
	}
	var off []string
	for _, kind := range []iottypes.EventType{iottypes.EventTypeJob, iottypes.EventTypeJobExecution} {
		if !out.EventConfigurations[string(kind)].Enabled {
			off = append(off, string(kind))
		}
	}
	if off == nil {
		return passed("AWS IoT tells of jobs and job executions"), nil
	}
	return []Finding{problem("aws iot update-event-configurations --event-configurations "+
			"'JOB={Enabled=true},JOB_EXECUTION={Enabled=true}'",
			"AWS IoT does not tell of %s: workflows of jobs that are cancelled or time out do not end",
			strings.Join(off, ", "))},
		nil
}

func indexing(ctx context.Context, p *probe) ([]Finding, error) {
	out, err := p.iot.GetIndexingConfiguration(ctx, nil)
	if err != nil {
		return nil, err
	}
	mode := iottypes.ThingIndexingModeOff
	if c := out.ThingIndexingConfiguration; c != nil && c.ThingIndexingMode != "" {
		mode = c.ThingIndexingMode
	}
	if mode == iottypes.ThingIndexingModeOff {
		return []Finding{note("aws iot update-indexing-configuration --thing-indexing-configuration "+
				"thingIndexingMode=REGISTRY",
				"fleet indexing is off: dynamic thing groups, by firmware say, stay empty")},
			nil
	}
	return passed("fleet indexing is %s", mode), nil
}

// function is the physical name of one of the stack's functions.
func (p *probe) function(name string) string { return p.Stack + "-" + name }

func endpoint(ctx context.Context, p *probe) ([]Finding, error) {
	config, err := p.lambda.GetFunctionConfiguration(ctx,
		&lambda.GetFunctionConfigurationInput{FunctionName: aws.String(p.function("start-upgrade"))})
	if err != nil {
		return nil, err
	}
	address := ""
	if config.Environment != nil {
		address = config.Environment.Variables["IOT_JOBS_ENDPOINT"]
	}
	const do = "deploy with JobsEndpoint=<host of aws iot describe-endpoint --endpoint-type iot:Data-ATS>"
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return []Finding{problem(do, "the functions have %q as endpoint of AWS IoT jobs", address)}, nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "443"
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return []Finding{problem(do, "the functions call AWS IoT jobs at %s, which does not answer: %v", address,
				err)},
			nil
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	return passed("the functions call AWS IoT jobs at %s", address), nil
}

func functions(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	all := p.Of("AWS::Lambda::Function")
	for _, name := range all {
		out, err := p.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if missing, ok := errors.AsType[*lambdatypes.ResourceNotFoundException](err); ok {
			list = append(list, problem("deploy again: make deploy", "%s", aws.ToString(missing.Message)))
			continue
		}
		if err != nil {
			return list, err
		}
		if out.State != "" && out.State != lambdatypes.StateActive && out.State != lambdatypes.StateInactive {
			list = append(list, problem("remove the cause, or deploy again", "%s is %s: %s", name, out.State,
				aws.ToString(out.StateReason)))
		}
		reserved, err := p.lambda.GetFunctionConcurrency(ctx,
			&lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil {
			return list, err
		}
		if reserved.ReservedConcurrentExecutions != nil && *reserved.ReservedConcurrentExecutions == 0 {
			list = append(list, problem("aws lambda delete-function-concurrency --function-name "+name,
				"%s has a reserved concurrency of 0: it never runs", name))
		}
	}
	if list == nil {
		list = passed("%d functions are ready", len(all))
	}
	return list, nil
}

func rules(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	all := p.Of("AWS::IoT::TopicRule")
	for _, name := range all {
		out, err := p.iot.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: &name})
		switch api, ok := errors.AsType[smithy.APIError](err); {
		case ok && (api.ErrorCode() == "UnauthorizedException" || api.ErrorCode() == "ResourceNotFoundException"):
			// AWS IoT says "Access to topic rule '…' was denied" of a rule that is not there, too.
			list = append(list, problem("deploy again: make deploy", "rule %s: %s", name, api.ErrorMessage()))
		case err != nil:
			return list, err
		case aws.ToBool(out.Rule.RuleDisabled):
			list = append(list, problem("aws iot enable-topic-rule --rule-name "+name,
				"rule %s is disabled: what it should hand on is lost", name))
		}
	}
	if list == nil {
		list = passed("%d topic rules are enabled", len(all))
	}
	return list, nil
}

func queues(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	all := p.Of("AWS::Lambda::EventSourceMapping")
	for _, id := range all {
		out, err := p.lambda.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: &id})
		if missing, ok := errors.AsType[*lambdatypes.ResourceNotFoundException](err); ok {
			list = append(list, problem("deploy again: make deploy", "%s", aws.ToString(missing.Message)))
			continue
		}
		if err != nil {
			return list, err
		}
		if state := aws.ToString(out.State); state != "Enabled" && state != "Enabling" && state != "Updating" {
			list = append(list, problem("aws lambda update-event-source-mapping --enabled --uuid "+id,
				"the queue of %s is not read: its mapping is %s", last(aws.ToString(out.FunctionArn), ":"), state))
		}
	}
	waiting, err := p.depth(ctx, p.Outputs["MessageQueueUrl"])
	if err != nil {
		return list, err
	}
	if list == nil {
		list = passed("%d queues are read; %d messages of devices wait", len(all), waiting)
	}
	return list, nil
}

// depth is about how many messages a queue has.
func (p *probe) depth(ctx context.Context, queue string) (int, error) {
	out, err := p.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue,
		AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages}})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessages)])
}

func policy(ctx context.Context, p *probe) ([]Finding, error) {
	name := p.Outputs["DevicePolicyName"]
	out, err := p.iot.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &name})
	if missing, ok := errors.AsType[*iottypes.ResourceNotFoundException](err); ok {
		return []Finding{problem("deploy again: make deploy", "the device policy %s: %s", name,
			aws.ToString(missing.Message))}, nil
	}
	if err != nil {
		return nil, err
	}
	topic := "/controller/" + p.Outputs["ControllerEndpointId"] + "/from/"
	if named := p.Outputs["ControllerTopic"]; named != "" {
		topic, _, _ = strings.Cut(named, "{thing}")
		topic = strings.ReplaceAll(topic, "{controller}", p.Outputs["ControllerEndpointId"])
	}
	if !strings.Contains(aws.ToString(out.PolicyDocument), topic) {
		return []Finding{problem("set the version of the stack as default (aws iot list-policy-versions, "+
			"set-default-policy-version)",
			"version %s of the device policy %s does not allow devices to publish to …%s…",
			aws.ToString(out.DefaultVersionId), name, topic)}, nil
	}
	return passed("the device policy %s allows devices to publish to %s", name, p.Outputs["ControllerEndpointId"]), nil
}

// justCreated tells whether the stack is so new that its clock need not have ticked, nor its alarm have heard of it.
func (p *probe) justCreated() bool { return p.Now().Sub(p.Created) < 6*time.Minute }

func tick(ctx context.Context, p *probe) ([]Finding, error) {
	now := p.Now()
	out, err := p.cloudwatch.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Fleetstep/" + p.Stack), MetricName: aws.String("Ticks"),
		StartTime: aws.Time(now.Add(-10 * time.Minute)), EndTime: aws.Time(now.Add(time.Minute)),
		Period:     aws.Int32(60),
		Statistics: []cloudwatchtypes.Statistic{cloudwatchtypes.StatisticSum},
	})
	if err != nil {
		return nil, err
	}
	var newest time.Time
	for _, d := range out.Datapoints {
		if aws.ToFloat64(d.Sum) > 0 && d.Timestamp.After(newest) {
			newest = *d.Timestamp
		}
	}
	switch {
	case newest.IsZero() && p.justCreated():
		return []Finding{note("look again in a few minutes", "the clock has not ticked yet; the stack is new")}, nil
	case newest.IsZero():
		return []Finding{problem("look at the schedule "+p.function("tick")+
			" (aws scheduler get-schedule) and at the log of the function of that name",
			"the clock has not ticked for ten minutes: no waiting device continues")}, nil
	}
	return passed("the clock ticked at %s", newest.UTC().Format("15:04")), nil
}

func alarms(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	n := 0
	pages := cloudwatch.NewDescribeAlarmsPaginator(p.cloudwatch, &cloudwatch.DescribeAlarmsInput{
		AlarmNamePrefix: aws.String(p.Stack + "-"), AlarmTypes: []cloudwatchtypes.AlarmType{
			cloudwatchtypes.AlarmTypeMetricAlarm},
	})
	own := p.Of("AWS::CloudWatch::Alarm")
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return list, err
		}
		for _, a := range page.MetricAlarms {
			if name := aws.ToString(a.AlarmName); slices.Contains(own, name) {
				n++
				if a.StateValue != cloudwatchtypes.StateValueAlarm {
					continue
				}
				short := strings.TrimPrefix(name, p.Stack+"-")
				f := problem("docs/operations.md, alarm "+short, "alarm %s: %s", name,
					aws.ToString(a.AlarmDescription))
				if short == "tick-missing" && p.justCreated() {
					f.Level, f.Do = Note, "look again in some minutes"
				}
				list = append(list, f)
			}
		}
	}
	if list == nil {
		list = passed("%d alarms, none in alarm", n)
	}
	return list, nil
}

func deadLetters(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	for _, output := range []string{"DeadLetterQueueUrl", "MessageDeadLetterQueueUrl"} {
		n, err := p.depth(ctx, p.Outputs[output])
		if err != nil {
			return list, err
		}
		if n > 0 {
			list = append(list, problem("docs/operations.md, alarm dead-letters", "%d messages lie in %s", n,
				last(p.Outputs[output], "/")))
		}
	}
	if list == nil {
		list = passed("there are no dead letters")
	}
	return list, nil
}

const (
	soon    = 60 * 24 * time.Hour // before a certificate's end
	looksAt = 100                 // certificates: AWS describes ten a second
)

func certificates(ctx context.Context, p *probe) ([]Finding, error) {
	var list []Finding
	until := p.Now().Add(soon)
	ends := func(kind, id string, v *iottypes.CertificateValidity) {
		if v != nil && v.NotAfter != nil && v.NotAfter.Before(until) {
			list = append(list, problem("give its devices another before that day",
				"%s %s ends on %s", kind, id, v.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	authorities, err := p.iot.ListCACertificates(ctx, &iot.ListCACertificatesInput{})
	if err != nil {
		return nil, err
	}
	for _, c := range authorities.Certificates {
		out, err := p.iot.DescribeCACertificate(ctx, &iot.DescribeCACertificateInput{CertificateId: c.CertificateId})
		if err != nil {
			return list, err
		}
		ends("the CA certificate", aws.ToString(c.CertificateId), out.CertificateDescription.Validity)
	}
	devices, err := p.iot.ListCertificates(ctx, &iot.ListCertificatesInput{PageSize: aws.Int32(looksAt)})
	if err != nil {
		return list, err
	}
	for _, c := range devices.Certificates {
		out, err := p.iot.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: c.CertificateId})
		if err != nil {
			return list, err
		}
		ends("certificate", aws.ToString(c.CertificateId), out.CertificateDescription.Validity)
	}
	if list == nil {
		first := ""
		if devices.NextMarker != nil {
			first = "the first "
		}
		list = passed("none of %s%d certificates of devices and %d of CAs ends within %d days", first,
			len(devices.Certificates), len(authorities.Certificates), int(soon.Hours()/24))
	}
	return list, nil
}

// What an upgrade needs, and what AWS gives. Sources: docs/operations.md, "Before a large job".
const (
	invocations   = 20    // of functions for one upgrade
	seconds       = 0.25  // of an invocation, about
	jobCalls      = 5     // UpdateJobExecution and StartNextPendingJobExecution for one upgrade
	jobQuota      = 200   // of those a second; fixed
	startQuota    = 300   // StartExecution a second
	publishes     = 20    // of a device, for one upgrade
	publishQuota  = 20000 // a second
	transitions   = 6     // of the state machine, for one upgrade
	transitionMax = 5000  // a second
)

func quotas(ctx context.Context, p *probe) ([]Finding, error) {
	out, err := p.lambda.GetAccountSettings(ctx, nil)
	if err != nil {
		return nil, err
	}
	concurrency := 0
	if out.AccountLimit != nil {
		concurrency = int(aws.ToInt32(out.AccountLimit.UnreservedConcurrentExecutions))
		if concurrency == 0 {
			concurrency = int(out.AccountLimit.ConcurrentExecutions)
		}
	}
	var list []Finding
	if concurrency < 100 {
		list = append(list, note("request more: Service Quotas, Lambda, concurrent executions",
			"the account has %d concurrent executions of functions to share; a new one has 10", concurrency))
	}
	if p.Rate == 0 {
		if list == nil {
			list = passed("%d concurrent executions; with --rate it is compared with what you plan", concurrency)
		}
		return list, nil
	}
	rate := float64(p.Rate) / 60
	for _, q := range []struct {
		what         string
		needed, have float64
		fixed        bool
	}{
		{"concurrent executions of Lambda", invocations * seconds * rate, float64(concurrency), false},
		{"calls of AWS IoT's UpdateJobExecution a second", jobCalls * rate, jobQuota, true},
		{"calls of StartExecution a second", rate, startQuota, false},
		{"state transitions a second", transitions * rate, transitionMax, false},
		{"messages to AWS IoT a second", publishes * rate, publishQuota, false},
	} {
		if q.needed <= q.have {
			continue
		}
		do := fmt.Sprintf("request more in Service Quotas, or run at %d devices a minute",
			int(float64(p.Rate)*q.have/q.needed))
		if q.fixed {
			do = fmt.Sprintf("it is fixed: run at %d devices a minute", int(float64(p.Rate)*q.have/q.needed))
		}
		list = append(list, problem(do, "%d devices a minute need %.0f %s; the quota is %.0f", p.Rate,
			q.needed, q.what,
			q.have))
	}
	if list == nil {
		list = passed("%d devices a minute fit the account's concurrency and the default quotas", p.Rate)
	}
	return list, nil
}

func last(s, separator string) string { return s[strings.LastIndex(s, separator)+1:] }
