package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiot"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// notifications is where messages go that leave the workflow: outcomes to programs, ends of jobs and alarms to people,
// and what could not be processed to the dead-letter queue. Nobody gets an e-mail for each device: SNS suspends an
// address at such a rate.
type notifications struct {
	outcomes awssns.CfnTopic
	jobs     awssns.CfnTopic
	alarms   awssns.CfnTopic
	events   awssns.CfnTopic // of domain events, where they are asked for
	// campaigns has approvals to give, halts and ends of campaigns, for people.
	campaigns awssns.CfnTopic
	// deadLetters are what rules could not deliver and functions could not process,
	// messageDeadLetters what was received from the queue of messages too often: AWS moves letters
	// back only from a queue that has them from a queue.
	deadLetters        awssqs.CfnQueue
	messageDeadLetters awssqs.CfnQueue
	errorRole          awsiam.CfnRole // of the rules' error actions
	key                encryption
	scope              constructs.Construct
}

func newNotifications(stack awscdk.Stack, p *parameters) *notifications {
	scope := constructs.NewConstruct(stack, jsii.String("Notifications"))
	// Topics carry no secrets, and CloudWatch cannot publish to a topic under the AWS-managed key:
	// encrypted only with a customer's.
	topic := func(id, display string) awssns.CfnTopic {
		return named(id, awssns.NewCfnTopic(scope, &id, &awssns.CfnTopicProps{DisplayName: &display,
			KmsMasterKeyId: p.key.orNone()}))
	}
	n := &notifications{
		outcomes: topic("OutcomeTopic", "Fleetstep upgrades"),
		jobs:     topic("JobTopic", "Fleetstep jobs"),
		alarms:   topic("AlarmTopic", "Fleetstep alarms"),
		events:   topic("EventTopic", "Fleetstep domain events"),
		key:      p.key,
		scope:    scope,

		campaigns: topic("CampaignTopic", "Fleetstep campaigns"),
	}
	n.events.CfnOptions().SetCondition(p.domainEvents)
	n.deadLetters = n.queue(scope, "DeadLetterQueue", "DeadLetters", &awssqs.CfnQueueProps{})
	n.messageDeadLetters = n.queue(scope, "MessageDeadLetterQueue", "MessageDeadLetters", &awssqs.CfnQueueProps{})
	named("AlarmTopicPolicy", awssns.NewCfnTopicPolicy(scope, jsii.String("AlarmTopicPolicy"),
		&awssns.CfnTopicPolicyProps{
			Topics: &[]*string{n.alarms.Ref()},
			PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
				"Sid": "AlarmsOfThisStack", "Effect": "Allow", "Action": "sns:Publish", "Resource": n.alarms.Ref(),
				"Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
				"Condition": map[string]any{
					"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
					"ArnLike": map[string]any{"aws:SourceArn": sub(
						"arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${AWS::StackName}-*")},
				},
			}}},
		}))
	n.errorRole = role(scope, "RuleErrorRole", "iot.amazonaws.com", "What the error actions of the rules may do",
		allow("DeadLetters", []string{"sqs:SendMessage"}, n.deadLetters.AttrArn()))

	email := func(id string, topic awssns.CfnTopic, address awscdk.CfnParameter) {
		wanted := awscdk.NewCfnCondition(stack, jsii.String("Has"+id), &awscdk.CfnConditionProps{
			Expression: awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(address.ValueAsString(), jsii.String(""))),
		})
		named(id+"Subscription", awssns.NewCfnSubscription(scope, jsii.String(id+"Subscription"),
			&awssns.CfnSubscriptionProps{
				TopicArn: topic.Ref(), Protocol: jsii.String("email"), Endpoint: address.ValueAsString(),
			})).CfnOptions().SetCondition(wanted)
	}
	email("AlarmEmail", n.alarms, p.alarmEmail)
	email("JobEmail", n.jobs, p.jobEmail)
	email("CampaignEmail", n.campaigns, p.campaignEmail)
	return n
}

// publishOutcome is for functions that may end an upgrade, or find one that nobody ended.
func (n *notifications) publishOutcome() statement {
	return allow("PublishOutcome", []string{"sns:Publish"}, n.outcomes.Ref())
}

// tellEvents lets the functions that hear of what becomes of devices tell other systems. It is beside their roles, as
// nobody pays for the events of a stack that are not asked for.
func (n *notifications) tellEvents(scope constructs.Construct, p *parameters) {
	var roles []*string
	for _, name := range []string{"send-usp-operate", "await-firmware-report", "start-upgrade",
		"handle-device-message", "handle-job-event", "finalize"} {
		roles = append(roles, awscdk.Fn_Ref(jsii.String(specOf(name).id+"Role")))
	}
	named("EventPolicy", awsiam.NewCfnPolicy(scope, jsii.String("EventPolicy"), &awsiam.CfnPolicyProps{
		PolicyName:     jsii.String("domain-events"),
		PolicyDocument: document(allow("TellEvents", []string{"sns:Publish"}, n.events.Ref())),
		Roles:          &roles,
	})).CfnOptions().SetCondition(p.domainEvents)
}

// eventTopic is what functions are told of the topic of domain events: nothing where there is none.
func (n *notifications) eventTopic(p *parameters) *string {
	return awscdk.Token_AsString(awscdk.Fn_ConditionIf(jsii.String(hasEvents), n.events.Ref(), jsii.String("")), nil)
}

// queue is a queue that keeps what nobody gets to for as long as SQS can.
func (n *notifications) queue(scope constructs.Construct, id, name string,
	props *awssqs.CfnQueueProps) awssqs.CfnQueue {
	props.MessageRetentionPeriod = jsii.Number(14 * 24 * 3600) // seconds; SQS's maximum
	props.SqsManagedSseEnabled = n.key.choose(false, true)
	props.KmsMasterKeyId = n.key.orNone()
	return named(id, awssqs.NewCfnQueue(scope, &name, props))
}

// jobEnds tells the job topic of every job that ended, completed, canceled or deleted: the events of "$aws/events/job"
// (AWS IoT Developer Guide, "Jobs events").
func (n *notifications) jobEnds(scope constructs.Construct) {
	publisher := role(scope, "JobEndRole", "iot.amazonaws.com", "What the rule may do that tells of jobs which ended",
		allow("PublishJobEnd", []string{"sns:Publish"}, n.jobs.Ref()))
	n.topicRule(scope, "JobEnd", "job_end", "Ends of jobs, for people", &awsiot.CfnTopicRule_ActionProperty{
		Sns: &awsiot.CfnTopicRule_SnsActionProperty{TargetArn: n.jobs.Ref(), RoleArn: publisher.AttrArn(),
			MessageFormat: jsii.String("RAW")},
	}, jsii.String("SELECT jobId AS jobId, status AS status, description AS description, targets AS targets,"+
		" completedAt AS completedAt,"+
		" jobProcessDetails AS devices FROM '$aws/events/job/+/+'"+
		" WHERE topic(5) = 'completed' OR topic(5) = 'canceled' OR topic(5) = 'deleted'"))
}

// rule is a topic rule that invokes a function.
func (n *notifications) rule(scope constructs.Construct, id, suffix, description string,
	function awslambda.CfnFunction, sql string) {
	rule := n.topicRule(scope, id, suffix, description, &awsiot.CfnTopicRule_ActionProperty{
		Lambda: &awsiot.CfnTopicRule_LambdaActionProperty{FunctionArn: function.AttrArn()},
	}, sqlText(sql))
	named(id+"Permission", awslambda.NewCfnPermission(scope, jsii.String(id+"Permission"),
		&awslambda.CfnPermissionProps{
			Action:        jsii.String("lambda:InvokeFunction"),
			FunctionName:  function.Ref(),
			Principal:     jsii.String("iot.amazonaws.com"),
			SourceAccount: awscdk.Aws_ACCOUNT_ID(),
			SourceArn:     rule.AttrArn(),
		}))
}

// topicRule is a topic rule with one action, and the dead-letter queue for what cannot be delivered. Its name is the
// stack's, with _ for - as rule names have it, and the suffix.
func (n *notifications) topicRule(scope constructs.Construct, id, suffix, description string,
	action *awsiot.CfnTopicRule_ActionProperty, sql *string) awsiot.CfnTopicRule {
	return named(id+"Rule", awsiot.NewCfnTopicRule(scope, jsii.String(id), &awsiot.CfnTopicRuleProps{
		RuleName: ruleName(suffix),
		TopicRulePayload: &awsiot.CfnTopicRule_TopicRulePayloadProperty{
			Description:      &description,
			AwsIotSqlVersion: jsii.String("2016-03-23"),
			Sql:              sql,
			RuleDisabled:     jsii.Bool(false),
			Actions:          []any{action},
			ErrorAction: &awsiot.CfnTopicRule_ActionProperty{
				Sqs: &awsiot.CfnTopicRule_SqsActionProperty{
					QueueUrl: n.deadLetters.Ref(), RoleArn: n.errorRole.AttrArn(), UseBase64: jsii.Bool(false),
				},
			},
		},
	}))
}

func ruleName(suffix string) *string {
	stack := awscdk.Fn_Join(jsii.String("_"), awscdk.Fn_Split(jsii.String("-"), awscdk.Aws_STACK_NAME(), nil))
	return awscdk.Fn_Join(jsii.String(""), &[]*string{stack, jsii.String("_" + suffix)})
}

// sqlText is the statement; only one that names a parameter goes through Fn::Sub.
func sqlText(sql string) *string {
	if hasSubstitution(sql) {
		return sub(sql)
	}
	return &sql
}

func hasSubstitution(text string) bool { return strings.Contains(text, "${") }

// compact is a JSON document without white space.
func compact(document []byte) string {
	var out bytes.Buffer
	if err := json.Compact(&out, document); err != nil {
		panic("the state machine is not JSON: " + err.Error())
	}
	return out.String()
}
