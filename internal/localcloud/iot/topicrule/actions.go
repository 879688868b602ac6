package topicrule

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// principal is the service that assumes the roles of actions.
const principal = "iot.amazonaws.com"

// action is one action of a rule, ready to run.
type action interface {
	// kind names the action as metrics and error messages do, without
	// "Action" at the end.
	kind() string
	// role is the ARN of the role it runs under; "" for lambda.
	role() string
	// run does it and returns the resource it went to.
	run(ctx context.Context, d *delivery) (resource string, err error)
}

// maker makes an action of its parameters.
type maker func(s *Service, r *rule, parameters json.RawMessage) (action, error)

var makers = map[string]maker{
	"lambda": makeLambda, "sqs": makeSQS, "sns": makeSNS, "stepFunctions": makeStepFunctions,
	"republish": makeRepublish, "s3": makeS3, "cloudwatchMetric": makeMetric, "cloudwatchLogs": makeLogs,
	"dynamoDB": makeDynamoDB, "dynamoDBv2": makeDynamoDBv2,
}

func (s *Service) parseAction(r *rule, spec actionSpec) (action, error) {
	if len(spec) != 1 {
		return nil, invalid("An action has exactly one type, this one has %d", len(spec))
	}
	for name, parameters := range spec {
		make, ok := makers[name]
		if !ok {
			return nil, awsapi.NotBuilt("the topic rule action " + name)
		}
		a, err := make(s, r, parameters)
		if err != nil {
			if _, ours := errors.AsType[*awsapi.Error](err); ours {
				return nil, err
			}
			return nil, invalid("Action %s: %v", name, err)
		}
		return a, nil
	}
	return nil, nil
}

// read decodes parameters and refuses unknown ones.
func read(parameters json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(parameters))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// templates compiles fields; those named after a "!" are required.
func templates(r *rule, fields ...any) error {
	for i := 0; i < len(fields); i += 3 {
		name, source, into := fields[i].(string), fields[i+1].(string), fields[i+2].(**rulesql.Template)
		required := strings.HasPrefix(name, "!")
		if source == "" {
			if required {
				return fmt.Errorf("%s is missing", name[1:])
			}
			continue
		}
		t, err := r.statement.CompileTemplate(source)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "!"), err)
		}
		*into = t
	}
	return nil
}

// roled is the part that most actions share.
type roled struct{ roleARN string }

func (r roled) role() string { return r.roleARN }

func checkRole(arn string) error {
	if !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":role/") {
		return fmt.Errorf("roleArn %q is not the ARN of a role", arn)
	}
	return nil
}

// assumeFor is how long an assumed role is used before the trust policy is
// asked again.
const assumeFor = time.Minute

// identity assumes a role for a rule.
func (s *Service) identity(ctx context.Context, roleARN, ruleARN string) (awsapi.Identity, error) {
	if s.Roles == nil {
		return awsapi.RootOf(s.Account), nil
	}
	key := roleARN + " " + ruleARN
	now := s.Scheduler.Now()
	s.roles.Lock()
	have, ok := s.roles.assumed[key]
	s.roles.Unlock()
	if ok && now.Before(have.until) {
		return have.identity, nil
	}
	id, err := s.Roles.Assume(ctx, roleARN, principal, ruleARN, "iot-rule")
	if err != nil {
		return awsapi.Identity{}, err
	}
	s.roles.Lock()
	s.roles.assumed[key] = assumed{id, now.Add(assumeFor)}
	s.roles.Unlock()
	return id, nil
}

// call calls a service under an action's role.
func (d *delivery) call(ctx context.Context, roleARN, service, operation string, input any) error {
	id, err := d.s.identity(ctx, roleARN, d.rule.arn)
	if err != nil {
		return err
	}
	_, err = d.s.Caller.Call(ctx, id, service, operation, input)
	return err
}

// lambdaAction invokes a function asynchronously.
type lambdaAction struct{ function *rulesql.Template }

func makeLambda(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		FunctionARN string `json:"functionArn"`
	}
	a := &lambdaAction{}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	return a, templates(r, "!functionArn", p.FunctionARN, &a.function)
}

func (a *lambdaAction) kind() string { return "Lambda" }
func (a *lambdaAction) role() string { return "" }

type invokeInput struct {
	FunctionName   string `json:"FunctionName"`
	InvocationType string `json:"InvocationType"`
	Payload        []byte `json:"Payload"`
}

func (a *lambdaAction) run(ctx context.Context, d *delivery) (string, error) {
	arn, err := d.text(ctx, a.function)
	if err != nil {
		return a.function.Source(), err
	}
	body, err := d.json("lambda")
	if err != nil {
		return arn, err
	}
	id := awsapi.ServiceOf(principal, d.s.Account, d.rule.arn)
	_, err = d.s.Caller.Call(ctx, id, "lambda", "Invoke", invokeInput{arn, "Event", body})
	return arn, err
}

// sqsAction sends the result to a queue.
type sqsAction struct {
	roled
	queue  *rulesql.Template
	base64 bool
}

func makeSQS(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		QueueURL  string `json:"queueUrl"`
		UseBase64 bool   `json:"useBase64"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if strings.HasSuffix(p.QueueURL, ".fifo") {
		return nil, errors.New("FIFO queues are not supported")
	}
	a := &sqsAction{roled: roled{p.RoleARN}, base64: p.UseBase64}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!queueUrl", p.QueueURL, &a.queue))
}

func (a *sqsAction) kind() string { return "Sqs" }

func (a *sqsAction) run(ctx context.Context, d *delivery) (string, error) {
	url, err := d.text(ctx, a.queue)
	if err != nil {
		return a.queue.Source(), err
	}
	body := string(d.body)
	if a.base64 {
		body = base64.StdEncoding.EncodeToString(d.body)
	}
	return url, d.call(ctx, a.roleARN, "sqs", "SendMessage", map[string]string{"QueueUrl": url, "MessageBody": body})
}

// snsAction publishes the result to a topic.
type snsAction struct {
	roled
	target *rulesql.Template
	json   bool
}

func makeSNS(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN       string `json:"roleArn"`
		TargetARN     string `json:"targetArn"`
		MessageFormat string `json:"messageFormat"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if p.MessageFormat != "" && p.MessageFormat != "RAW" && p.MessageFormat != "JSON" {
		return nil, fmt.Errorf("messageFormat %q is neither RAW nor JSON", p.MessageFormat)
	}
	if strings.HasSuffix(p.TargetARN, ".fifo") {
		return nil, errors.New("FIFO topics are not supported")
	}
	a := &snsAction{roled: roled{p.RoleARN}, json: p.MessageFormat == "JSON"}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!targetArn", p.TargetARN, &a.target))
}

func (a *snsAction) kind() string { return "Sns" }

func (a *snsAction) run(ctx context.Context, d *delivery) (string, error) {
	arn, err := d.text(ctx, a.target)
	if err != nil {
		return a.target.Source(), err
	}
	in := map[string]string{"TargetArn": arn, "Message": string(d.body)}
	if a.json {
		in["MessageStructure"] = "json"
	}
	return arn, d.call(ctx, a.roleARN, "sns", "Publish", in)
}

// stepFunctionsAction starts an execution with a name of its own, so that a
// message delivered twice starts two, as on AWS.
type stepFunctionsAction struct {
	roled
	machine, prefix *rulesql.Template
}

func makeStepFunctions(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN string `json:"roleArn"`
		Machine string `json:"stateMachineName"`
		Prefix  string `json:"executionNamePrefix"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &stepFunctionsAction{roled: roled{p.RoleARN}}
	return a, errors.Join(checkRole(p.RoleARN),
		templates(r, "!stateMachineName", p.Machine, &a.machine, "executionNamePrefix", p.Prefix, &a.prefix))
}

func (a *stepFunctionsAction) kind() string { return "StepFunctions" }

func (a *stepFunctionsAction) run(ctx context.Context, d *delivery) (string, error) {
	machine, err := d.text(ctx, a.machine)
	if err != nil {
		return a.machine.Source(), err
	}
	arn := "arn:aws:states:" + d.s.Region + ":" + d.s.Account + ":stateMachine:" + machine
	body, err := d.json("stepFunctions")
	if err != nil {
		return arn, err
	}
	in := map[string]string{"stateMachineArn": arn, "input": string(body)}
	if a.prefix != nil {
		prefix, err := d.text(ctx, a.prefix)
		if err != nil {
			return arn, err
		}
		in["name"] = prefix + d.s.Scheduler.UUID()
	}
	return arn, d.call(ctx, a.roleARN, "sfn", "StartExecution", in)
}

// republishAction publishes the result as another message.
type republishAction struct {
	roled
	topic                               *rulesql.Template
	qos                                 int
	format, contentType, response, data *rulesql.Template
	expiry                              *rulesql.Template
	keys, values                        []*rulesql.Template
}

func makeRepublish(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN string `json:"roleArn"`
		Topic   string `json:"topic"`
		QoS     int    `json:"qos"`
		Headers struct {
			PayloadFormatIndicator string `json:"payloadFormatIndicator"`
			ContentType            string `json:"contentType"`
			ResponseTopic          string `json:"responseTopic"`
			CorrelationData        string `json:"correlationData"`
			MessageExpiry          string `json:"messageExpiry"`
			UserProperties         []struct {
				Key   string `json:"key"`
				Value string `json:"value"`
			} `json:"userProperties"`
		} `json:"headers"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if p.QoS != 0 && p.QoS != 1 {
		return nil, errors.New("qos must be 0 or 1")
	}
	if strings.HasPrefix(p.Topic, "$") && !strings.HasPrefix(p.Topic, "$$") && !strings.HasPrefix(p.Topic, "${") {
		return nil, errors.New("a reserved topic is written with $$")
	}
	a := &republishAction{roled: roled{p.RoleARN}, qos: p.QoS}
	h := p.Headers
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!topic", p.Topic, &a.topic,
		"payloadFormatIndicator", h.PayloadFormatIndicator, &a.format, "contentType", h.ContentType, &a.contentType,
		"responseTopic", h.ResponseTopic, &a.response, "correlationData", h.CorrelationData, &a.data,
		"messageExpiry", h.MessageExpiry, &a.expiry))
	for _, u := range h.UserProperties {
		var k, v *rulesql.Template
		err = errors.Join(err, templates(r, "!userProperties key", u.Key, &k, "userProperties value", u.Value, &v))
		a.keys, a.values = append(a.keys, k), append(a.values, v)
	}
	return a, err
}

func (a *republishAction) kind() string { return "Republish" }

func (a *republishAction) run(ctx context.Context, d *delivery) (string, error) {
	name, err := d.text(ctx, a.topic)
	if err != nil {
		return a.topic.Source(), err
	}
	name = strings.Replace(name, "$$", "$", 1)
	if strings.HasPrefix(name, "$aws/things/") && strings.Contains(name, "/jobs/") {
		return name, errors.New("the topics of AWS IoT Jobs cannot be republished to")
	}
	in := map[string]any{"topic": name, "payload": d.body, "qos": a.qos}
	for _, header := range []struct {
		name string
		text *rulesql.Template
	}{
		{"payloadFormatIndicator", a.format}, {"contentType", a.contentType}, {"responseTopic", a.response}, {"correlationData", a.data},
	} {
		if header.text == nil {
			continue
		}
		if in[header.name], err = d.text(ctx, header.text); err != nil {
			return name, err
		}
	}
	if a.expiry != nil {
		text, err := d.text(ctx, a.expiry)
		if err != nil {
			return name, err
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return name, fmt.Errorf("messageExpiry %q is not a number of seconds", text)
		}
		in["messageExpiry"] = seconds
	}
	var properties []map[string]string
	for i := range a.keys {
		k, err := d.text(ctx, a.keys[i])
		if err != nil {
			return name, err
		}
		v, err := d.text(ctx, a.values[i])
		if err != nil {
			return name, err
		}
		properties = append(properties, map[string]string{k: v})
	}
	if properties != nil {
		b, err := json.Marshal(properties)
		if err != nil {
			return name, err
		}
		in["userProperties"] = base64.StdEncoding.EncodeToString(b)
	}
	return name, d.call(ctx, a.roleARN, "iotdataplane", "Publish", in)
}

// s3Action writes the result to an object.
type s3Action struct {
	roled
	bucket, key *rulesql.Template
	acl         string
}

func makeS3(s *Service, r *rule, parameters json.RawMessage) (action, error) {
	if s.Objects == nil {
		return nil, awsapi.NotBuilt("the topic rule action s3")
	}
	var p struct {
		RoleARN    string `json:"roleArn"`
		BucketName string `json:"bucketName"`
		Key        string `json:"key"`
		CannedACL  string `json:"cannedAcl"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &s3Action{roled: roled{p.RoleARN}, acl: p.CannedACL}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!bucketName", p.BucketName, &a.bucket, "!key", p.Key, &a.key))
}

func (a *s3Action) kind() string { return "S3" }

func (a *s3Action) run(ctx context.Context, d *delivery) (string, error) {
	bucket, err := d.text(ctx, a.bucket)
	if err != nil {
		return a.bucket.Source(), err
	}
	key, err := d.text(ctx, a.key)
	if err != nil {
		return bucket, err
	}
	id, err := d.s.identity(ctx, a.roleARN, d.rule.arn)
	if err != nil {
		return bucket, err
	}
	return bucket, d.s.Objects.PutObject(ctx, id, bucket, key, d.body, a.acl)
}

// metricAction puts one value of a metric.
type metricAction struct {
	roled
	namespace, name, value, unit, timestamp *rulesql.Template
}

func makeMetric(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		Namespace string `json:"metricNamespace"`
		Name      string `json:"metricName"`
		Value     string `json:"metricValue"`
		Unit      string `json:"metricUnit"`
		Timestamp string `json:"metricTimestamp"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &metricAction{roled: roled{p.RoleARN}}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!metricNamespace", p.Namespace, &a.namespace, "!metricName", p.Name, &a.name,
		"!metricValue", p.Value, &a.value, "!metricUnit", p.Unit, &a.unit, "metricTimestamp", p.Timestamp, &a.timestamp))
}

func (a *metricAction) kind() string { return "CloudwatchMetric" }

func (a *metricAction) run(ctx context.Context, d *delivery) (string, error) {
	var text [5]string
	for i, t := range []*rulesql.Template{a.name, a.namespace, a.value, a.unit, a.timestamp} {
		var err error
		if text[i], err = d.text(ctx, t); err != nil {
			return a.name.Source(), err
		}
	}
	value, err := strconv.ParseFloat(text[2], 64)
	if err != nil {
		return text[0], fmt.Errorf("metricValue %q is not a number", text[2])
	}
	at := float64(d.s.Scheduler.Now().Unix())
	if text[4] != "" {
		if at, err = strconv.ParseFloat(text[4], 64); err != nil {
			return text[0], fmt.Errorf("metricTimestamp %q is not a number of seconds", text[4])
		}
	}
	return text[0], d.call(ctx, a.roleARN, "cloudwatch", "PutMetricData", map[string]any{
		"Namespace":  text[1],
		"MetricData": []map[string]any{{"MetricName": text[0], "Value": value, "Unit": text[3], "Timestamp": at}},
	})
}

// logsAction writes the result to a log group, in a stream named for the rule.
type logsAction struct {
	roled
	group *rulesql.Template
	batch bool
}

func makeLogs(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		GroupName string `json:"logGroupName"`
		BatchMode bool   `json:"batchMode"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &logsAction{roled: roled{p.RoleARN}, batch: p.BatchMode}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!logGroupName", p.GroupName, &a.group))
}

func (a *logsAction) kind() string { return "CloudwatchLogs" }

type logEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

func (a *logsAction) run(ctx context.Context, d *delivery) (string, error) {
	group, err := d.text(ctx, a.group)
	if err != nil {
		return a.group.Source(), err
	}
	events := []logEvent{{d.s.Scheduler.Now().UnixMilli(), string(d.body)}}
	if a.batch {
		events = nil
		if err := json.Unmarshal(d.body, &events); err != nil || len(events) == 0 {
			return group, errors.New("batchMode needs an array of objects with timestamp and message")
		}
	}
	stream := map[string]any{"logGroupName": group, "logStreamName": d.rule.Name}
	if err := d.call(ctx, a.roleARN, "cloudwatchlogs", "CreateLogStream", stream); err != nil && awsapi.Code(err) != "ResourceAlreadyExistsException" {
		return group, err
	}
	stream["logEvents"] = events
	return group, d.call(ctx, a.roleARN, "cloudwatchlogs", "PutLogEvents", stream)
}
