package main

import (
	"fmt"
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// defaultStackName is the stack's name where the context says nothing else.
const defaultStackName = "fleetstep"

// stackNames are CloudFormation's, but shorter: "<stack>-firmware-upgrade-<hash>" is a job
// template's id, of at most 64 characters, and "<stack>-handle-device-message" a function's.
var stackNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,37}$`)

// stackName is the context value "stackName": stacks of different names live beside each other in one account.
func stackName(app awscdk.App) (string, error) {
	name := defaultStackName
	if v := app.Node().TryGetContext(jsii.String("stackName")); v != nil {
		name = fmt.Sprint(v)
	}
	if !stackNames.MatchString(name) {
		return "", fmt.Errorf("stackName is %q: want at most 38 letters, digits and hyphens, beginning with a letter",
			name)
	}
	return name, nil
}

// parameters are what a deployment chooses; every one has a default.
type parameters struct {
	controllerEndpointID awscdk.CfnParameter
	alarmEmail           awscdk.CfnParameter
	jobEmail             awscdk.CfnParameter
	campaignEmail        awscdk.CfnParameter
	downloadSlow         awscdk.CfnParameter
	downloadFast         awscdk.CfnParameter
	failurePercent       awscdk.CfnParameter
	jobsEndpoint         awscdk.CfnParameter
	rejectedPercent      awscdk.CfnParameter
	campaign             awscdk.CfnParameter
	costCenter           awscdk.CfnParameter
	sourceHosts          awscdk.CfnParameter
	signingKeys          awscdk.CfnParameter
	requireSignature     awscdk.CfnParameter
	messageWindow        awscdk.CfnParameter
	messageConcurrency   awscdk.CfnParameter
	startConcurrency     awscdk.CfnParameter
	startsReserved       choice         // startConcurrency is one
	reserved             map[string]any // the reserved concurrency of functions that may have one, by name
	onboardingPerMinute  awscdk.CfnParameter
	topicLayout          awscdk.CfnParameter
	topics               layout
	jsonNotifications    awscdk.CfnCondition // what agents notify is published again as JSON
	eventsWanted         awscdk.CfnParameter
	domainEvents         awscdk.CfnCondition // other systems are told what becomes of devices
	imageBaseURL         awscdk.CfnParameter
	imageKeyPair         awscdk.CfnParameter
	imageKeyParameter    awscdk.CfnParameter
	distributed          awscdk.CfnCondition // images come from a distribution
	protected            choice              // DeletionProtection
	key                  encryption
}

func newParameters(stack awscdk.Stack) *parameters {
	text := func(name, def, pattern, constraint, description string) awscdk.CfnParameter {
		return awscdk.NewCfnParameter(stack, &name, &awscdk.CfnParameterProps{
			Type: jsii.String("String"), Default: def, AllowedPattern: &pattern, ConstraintDescription: &constraint,
			Description: &description,
		})
	}
	number := func(name string, def, low, high float64, description string) awscdk.CfnParameter {
		return awscdk.NewCfnParameter(stack, &name, &awscdk.CfnParameterProps{
			Type: jsii.String("Number"), Default: def, MinValue: &low, MaxValue: &high, Description: &description,
		})
	}
	const (
		email, emailRule = `^$|^[^@\s]+@[^@\s]+\.[^@\s]+$`, "an e-mail address, or empty"
		tag, tagRule     = `^[A-Za-z0-9 _.:/=+@-]{1,256}$`, "letters, digits, spaces and _ . : / = + - @"
	)
	key := text("KmsKeyArn", "", `^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`,
		"the ARN of a KMS key, or empty",
		"The customer managed key that encrypts table, bucket, topics, queue, logs and environment; empty for "+
			"AWS's own. Its key policy: docs/deploy.md")
	protection := awscdk.NewCfnParameter(stack, jsii.String("DeletionProtection"), &awscdk.CfnParameterProps{
		Type: jsii.String("String"), Default: "false", AllowedValues: jsii.Strings("false", "true"),
		Description: jsii.String(
			"true: DynamoDB refuses to delete the table. Choose it once the stack stands: a first deployment that " +
				"fails could not be rolled back"),
	})
	base := text("ImageBaseUrl", "", `^$|^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~-]+)*$`,
		"https:// and a host, with a path if need be and no slash at the end; or empty",
		"Address of a CloudFront distribution before the firmware bucket, whose signed URLs devices are given; "+
			"empty for S3's own. docs/deploy.md")
	pair := text("ImageKeyPairId", "", `^$|^[A-Z0-9]{5,32}$`, "the id of a public key of CloudFront, or empty",
		"Id of the public key that verifies the signed URLs, in a key group that the distribution trusts")
	secret := text("ImageKeyParameter", "", `^$|^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`,
		"the name of an SSM parameter, beginning with a slash; or empty",
		"SecureString of the SSM Parameter Store with the private key that signs URLs, in PEM")
	given := func(p awscdk.CfnParameter) awscdk.ICfnRuleConditionExpression {
		return awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(p.ValueAsString(), jsii.String("")))
	}
	concurrency := number("MessageConcurrency", 100, 2, 1000,
		"Invocations of handle-device-message at the same time, at most")
	messagesReserved := awscdk.NewCfnParameter(stack, jsii.String("ReserveMessageConcurrency"),
		&awscdk.CfnParameterProps{
			Type: jsii.String("String"), Default: "false", AllowedValues: jsii.Strings("false", "true"),
			Description: jsii.String("true: MessageConcurrency of the account's concurrent executions are kept for " +
				"handle-device-message, whatever else runs. docs/deploy.md"),
		})
	// A mapping starts two invocations at least.
	starts := text("StartReservedConcurrency", "0", `^(0|[2-9]|[1-9][0-9]{1,2}|1000)$`, "0, or from 2 to 1000",
		"Concurrent executions of the account that are kept for start-upgrade; 0 for none")
	steps := number("StepReservedConcurrency", 0, 0, 1000, "Concurrent executions of the account that are kept for "+
		"each of the functions of states (send-usp-operate, await-firmware-report, verify-version, usp-task, "+
		"finalize); 0 for none")
	not := func(p awscdk.CfnParameter, value string) awscdk.ICfnRuleConditionExpression {
		return awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(p.ValueAsString(), jsii.String(value)))
	}
	startsReserved := newChoice(stack, "ReservesStarts", not(starts, "0"))
	reserved := map[string]any{
		"handle-device-message": newChoice(stack, "ReservesMessages", not(messagesReserved, "false")).
			choose(concurrency.ValueAsNumber(), awscdk.Aws_NO_VALUE()),
		"start-upgrade": startsReserved.choose(starts.ValueAsString(), awscdk.Aws_NO_VALUE()),
	}
	stepsReserved := newChoice(stack, "ReservesSteps", not(steps, "0"))
	for _, name := range []string{"send-usp-operate", "await-firmware-report", "verify-version", "usp-task",
		"finalize"} {
		reserved[name] = stepsReserved.choose(steps.ValueAsNumber(), awscdk.Aws_NO_VALUE())
	}
	distributed := awscdk.NewCfnCondition(stack, jsii.String("HasDistribution"),
		&awscdk.CfnConditionProps{Expression: given(base)})
	awscdk.NewCfnRule(stack, jsii.String("SignedUrls"), &awscdk.CfnRuleProps{
		RuleCondition: given(base),
		Assertions: &[]*awscdk.CfnRuleAssertion{
			{Assert: given(pair), AssertDescription: jsii.String("ImageBaseUrl needs ImageKeyPairId")},
			{Assert: given(secret), AssertDescription: jsii.String("ImageBaseUrl needs ImageKeyParameter")},
		},
	})
	events := awscdk.NewCfnParameter(stack, jsii.String("DomainEvents"), &awscdk.CfnParameterProps{
		Type: jsii.String("String"), Default: "false", AllowedValues: jsii.Strings("false", "true"),
		Description: jsii.String("true: events of each device are published on the topic of output EventTopicArn, " +
			"about six messages for an upgrade. docs/events.md"),
	})
	domainEvents := awscdk.NewCfnCondition(stack, jsii.String(hasEvents), &awscdk.CfnConditionProps{
		Expression: awscdk.Fn_ConditionEquals(events.ValueAsString(), jsii.String("true")),
	})
	inJSON := awscdk.NewCfnParameter(stack, jsii.String("JsonNotifications"), &awscdk.CfnParameterProps{
		Type: jsii.String("String"), Default: "false", AllowedValues: jsii.Strings("false", "true"),
		Description: jsii.String("true: a rule decodes what agents notify and publishes it as JSON, on " +
			"<stack>/notifications/<thing>. docs/events.md"),
	})
	jsonNotifications := awscdk.NewCfnCondition(stack, jsii.String("HasJsonNotifications"),
		&awscdk.CfnConditionProps{
			Expression: awscdk.Fn_ConditionEquals(inJSON.ValueAsString(), jsii.String("true")),
		})
	var layouts []*string
	for _, l := range usp.Layouts {
		layouts = append(layouts, jsii.String(l.Name))
	}
	topics := awscdk.NewCfnParameter(stack, jsii.String("TopicLayout"), &awscdk.CfnParameterProps{
		Type: jsii.String("String"), Default: usp.Layouts[0].Name, AllowedValues: &layouts,
		Description: jsii.String("Names of the topics of agents and controller: usp for usp/v1/..., wme for those " +
			"of AWS's sample. Devices must be configured with them: docs/deploy.md"),
	})
	return &parameters{
		topicLayout: topics, topics: layout{newChoice(stack, "HasSampleTopics",
			awscdk.Fn_ConditionEquals(topics.ValueAsString(), jsii.String(usp.Layouts[1].Name)))},
		jsonNotifications: jsonNotifications, eventsWanted: events, domainEvents: domainEvents,
		imageBaseURL: base, imageKeyPair: pair, imageKeyParameter: secret, distributed: distributed,
		// The topic of the controller is a filter of a rule and of a policy: nothing that is a
		// wildcard there. 64 characters leave room for a thing name of 128 in AWS IoT's 256 bytes
		// of a topic.
		controllerEndpointID: text("ControllerEndpointId", "self::fleetstep", `^[A-Za-z0-9_.:%-]{1,64}$`,
			"a USP endpoint id of at most 64 characters without / + # * ?",
			"The USP endpoint id of the controller (TR-369 section 2.2)"),
		alarmEmail: text("AlarmEmail", "", email, emailRule, "E-mail address for alarms; empty for none"),
		jobEmail: text("JobEmail", "", email, emailRule,
			"E-mail address for jobs that ended; empty for none"),
		campaignEmail: text("CampaignEmail", "", email, emailRule,
			"E-mail address for campaigns that ask for approval, halt or end; empty for none"),
		downloadSlow: number("DownloadSlowSeconds", 1800, 1, 604800,
			"Alarm when the slowest tenth of the downloads takes longer than this"),
		downloadFast: number("DownloadFastSeconds", 0, 0, 3600,
			"Alarm when half of the downloads are done faster than this (an image is empty, or agents skip it); 0 "+
				"for never"),
		jobsEndpoint: text("JobsEndpoint", "", `^$|^[A-Za-z0-9.-]+(:[0-9]+)?$`, "a host name, or empty",
			"Host of the AWS IoT jobs data plane; empty to find it among the account's endpoints"),
		failurePercent: number("FailurePercent", 20, 1, 100,
			"Alarm when more than this share of the finished upgrades failed"),
		rejectedPercent: number("RejectedPercent", 20, 1, 100,
			"Alarm when more than this share of the finished upgrades was rejected"),
		messageWindow: number("MessageWindowSeconds", 1, 0, 300,
			"Seconds to gather messages of devices for one invocation. More seconds give fewer invocations and "+
				"later messages"),
		messageConcurrency: concurrency, startConcurrency: starts, startsReserved: startsReserved, reserved: reserved,
		onboardingPerMinute: number("OnboardingPerMinute", 600, 0, 3000,
			"New devices that are onboarded in a minute, at most; 0 for none"),
		campaign:   text("Campaign", "none", tag, tagRule, "Value of the tag Campaign on all resources"),
		costCenter: text("CostCenter", "none", tag, tagRule, "Value of the tag CostCenter on all resources"),
		sourceHosts: text("SourceHosts", "",
			`^$|^(\*|\*?[A-Za-z0-9.-]+(:[0-9]+)?)(,(\*|\*?[A-Za-z0-9.-]+(:[0-9]+)?))*$`,
			"host names with commas between, such as images.example.com,*.cdn.example.com",
			"Hosts that firmware may come from beside the firmware bucket, by https; empty for none, * for any"),
		signingKeys: text("SigningKeys", "", `^$|^[A-Za-z0-9+/=]+(,[A-Za-z0-9+/=]+)*$`, "base64 with commas between",
			"Public keys that verify the signatures of images: the DER of each in base64 (ECDSA P-256 or Ed25519), "+
				"commas between. docs/deploy.md"),
		requireSignature: awscdk.NewCfnParameter(stack, jsii.String("RequireSignature"), &awscdk.CfnParameterProps{
			Type: jsii.String("String"), Default: "false", AllowedValues: jsii.Strings("false", "true"),
			Description: jsii.String("true: create-job refuses an image without a signature by one of SigningKeys"),
		}),
		protected: newChoice(stack, "IsProtected", awscdk.Fn_ConditionEquals(protection.ValueAsString(),
			jsii.String("true"))),
		key: encryption{
			arn: key.ValueAsString(),
			choice: newChoice(stack, "HasKmsKey", awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(key.ValueAsString(),
				jsii.String("")))),
		},
	}
}

// hasEvents is the condition under which there are domain events.
const hasEvents = "HasDomainEvents"

// choice is a condition of the template.
type choice struct{ condition string }

func newChoice(stack awscdk.Stack, name string, when awscdk.ICfnConditionExpression) choice {
	awscdk.NewCfnCondition(stack, &name, &awscdk.CfnConditionProps{Expression: when})
	return choice{name}
}

// choose is a value where the condition holds and one where it does not.
func (c choice) choose(with, without any) awscdk.ICfnRuleConditionExpression {
	return awscdk.Fn_ConditionIf(&c.condition, with, without)
}

// encryption is the customer's key, if there is one.
type encryption struct {
	choice
	arn *string
}

// orNone is the key's ARN, or no property at all.
func (e encryption) orNone() *string {
	return awscdk.Token_AsString(e.choose(e.arn, awscdk.Aws_NO_VALUE()), nil)
}

// tag puts the stack's tags on all resources but the dashboard, for which CloudFormation has none,
// event source mappings, which cost nothing, and the job template: a change of its tags would
// replace it, and its name does not follow from them.
func tag(stack awscdk.Stack, p *parameters) {
	props := &awscdk.TagProps{ExcludeResourceTypes: jsii.Strings("AWS::IoT::JobTemplate", "AWS::CloudWatch::Dashboard",
		"AWS::Lambda::EventSourceMapping", "aws:cdk:stack")}
	tags := awscdk.Tags_Of(stack)
	tags.Add(jsii.String("Stack"), awscdk.Aws_STACK_NAME(), props)
	tags.Add(jsii.String("Campaign"), p.campaign.ValueAsString(), props)
	tags.Add(jsii.String("CostCenter"), p.costCenter.ValueAsString(), props)
}
