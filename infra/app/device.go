package main

import (
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiot"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// device is what the devices touch: the topics that the policy opens to them, the images that they fetch, and the
// rules and the function that hear them.
type device struct {
	scope  constructs.Construct
	bucket awss3.CfnBucket
	policy awsiot.CfnPolicy
	queue  awssqs.CfnQueue // of what the devices say
}

func newDevice(stack awscdk.Stack, p *parameters) *device {
	d := &device{scope: constructs.NewConstruct(stack, jsii.String("Device"))}
	d.bucket = newBucket(d.scope, p)
	d.policy = named("DevicePolicy", awsiot.NewCfnPolicy(d.scope, jsii.String("Policy"), &awsiot.CfnPolicyProps{
		PolicyName:     sub("${AWS::StackName}-device"),
		PolicyDocument: devicePolicy(p),
	}))
	// AWS IoT deletes no policy that is attached to a certificate, and devices are to outlive a stack.
	d.policy.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	return d
}

// newBucket makes the bucket of firmware images.
func newBucket(scope constructs.Construct, p *parameters) awss3.CfnBucket {
	return privateBucket(scope, "FirmwareBucket", "Firmware", "TLSOnly", p)
}

// privateBucket makes a bucket that nobody reads from outside, whose objects keep their versions.
// more are rules of its lifecycle beside the one of all.
func privateBucket(scope constructs.Construct, id, path, policy string, p *parameters, more ...any) awss3.CfnBucket {
	bucket := named(id, awss3.NewCfnBucket(scope, jsii.String(path), &awss3.CfnBucketProps{
		VersioningConfiguration: &awss3.CfnBucket_VersioningConfigurationProperty{Status: jsii.String("Enabled")},
		BucketEncryption: &awss3.CfnBucket_BucketEncryptionProperty{
			ServerSideEncryptionConfiguration: []any{&awss3.CfnBucket_ServerSideEncryptionRuleProperty{
				ServerSideEncryptionByDefault: &awss3.CfnBucket_ServerSideEncryptionByDefaultProperty{
					SseAlgorithm:   awscdk.Token_AsString(p.key.choose("aws:kms", "AES256"), nil),
					KmsMasterKeyId: p.key.orNone(),
				},
				BucketKeyEnabled: p.key.choose(true, awscdk.Aws_NO_VALUE()), // one request to KMS for many objects
			}},
		},
		PublicAccessBlockConfiguration: &awss3.CfnBucket_PublicAccessBlockConfigurationProperty{
			BlockPublicAcls: jsii.Bool(true), BlockPublicPolicy: jsii.Bool(true),
			IgnorePublicAcls: jsii.Bool(true), RestrictPublicBuckets: jsii.Bool(true),
		},
		OwnershipControls: &awss3.CfnBucket_OwnershipControlsProperty{
			Rules: []any{&awss3.CfnBucket_OwnershipControlsRuleProperty{ObjectOwnership: jsii.String(
				"BucketOwnerEnforced")}},
		},
		LifecycleConfiguration: &awss3.CfnBucket_LifecycleConfigurationProperty{
			Rules: append([]any{&awss3.CfnBucket_RuleProperty{
				Id: jsii.String("abandoned-uploads"), Status: jsii.String("Enabled"),
				AbortIncompleteMultipartUpload: &awss3.CfnBucket_AbortIncompleteMultipartUploadProperty{
					DaysAfterInitiation: jsii.Number(7),
				},
			}}, more...),
		},
	}))
	bucket.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)

	named(id+"Policy", awss3.NewCfnBucketPolicy(scope, jsii.String(policy), &awss3.CfnBucketPolicyProps{
		Bucket: bucket.Ref(),
		PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Sid": "TLSOnly", "Effect": "Deny", "Principal": "*",
			"Action":    "s3:*", // a Deny: all of them
			"Resource":  []any{bucket.AttrArn(), *bucket.AttrArn() + "/*"},
			"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
		}}},
	}))
	return bucket
}

// devicePolicy lets a device connect as the thing that its certificate is attached to, and use that thing's topics.
// What agents and controller append to topics with MQTT 3.1.1 (/reply-to=..., TR-369 R-MQTT.24) is below its own name,
// and so is what such an agent subscribes to (R-MQTT.15).
func devicePolicy(p *parameters) map[string]any {
	const (
		prefix = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:"
		thing  = "${!iot:Connection.Thing.ThingName}" // ${! is a literal ${ to Fn::Sub
	)
	allow := func(sid, action string, resources ...any) map[string]any {
		return map[string]any{"Sid": sid, "Effect": "Allow", "Action": []string{action}, "Resource": resources}
	}
	// own is a resource of the thing's own topics: agent's or controller's of a layout, with what comes before and
	// after.
	own := func(template func(usp.Layout) usp.TopicTemplate, kind, below string) *string {
		return p.topics.either(func(l usp.Layout) string {
			return prefix + kind + "/" + template(l).Expand(thing, "${ControllerEndpointId}") + below
		})
	}
	agent := func(l usp.Layout) usp.TopicTemplate { return l.Agent }
	to := func(l usp.Layout) usp.TopicTemplate { return l.Controller }
	connect := allow("ConnectAsItself", "iot:Connect", sub(prefix+"client/"+thing))
	connect["Condition"] = map[string]any{"Bool": map[string]any{"iot:Connection.Thing.IsAttached": "true"}}
	return map[string]any{"Version": "2012-10-17", "Statement": []any{
		connect,
		allow("SubscribeOwnTopic", "iot:Subscribe", own(agent, "topicfilter", ""), own(agent, "topicfilter", "/#")),
		allow("ReceiveOwnTopic", "iot:Receive", own(agent, "topic", ""), own(agent, "topic", "/*")),
		allow("PublishAsItself", "iot:Publish", own(to, "topic", ""), own(to, "topic", "/*")),
	}}
}

// layout is which of the layouts a stack's topics have.
type layout struct{ choice }

// either is a text with parameters, as each layout has it.
func (c layout) either(of func(usp.Layout) string) *string {
	return awscdk.Token_AsString(c.choose(sub(of(usp.Layouts[1])), sub(of(usp.Layouts[0]))), nil)
}

// fixed is either for a text without parameters.
func (c layout) fixed(of func(usp.Layout) string) *string {
	return awscdk.Token_AsString(c.choose(of(usp.Layouts[1]), of(usp.Layouts[0])), nil)
}

// agents is the ARN of the topics of all agents: what comes before the thing's name.
func (c layout) agents() *string {
	return c.either(func(l usp.Layout) string {
		before, _, _ := strings.Cut(string(l.Agent), "{thing}")
		return "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/" + before + "*"
	})
}

// records is the statement that hears agents. The record travels as base64: a rule cannot put binary payloads into
// JSON. What MQTT 3.1.1 appends to a topic is heard, too.
func (c layout) records() *string {
	return c.either(func(l usp.Layout) string {
		return fmt.Sprintf("SELECT encode(*, 'base64') AS record, topic() AS topic, topic(%d) AS thingName,"+
			" clientid() AS clientId, principal() AS principal, timestamp() AS receivedAt,"+
			" get_mqtt_property('content_type') AS contentType,"+
			" get_mqtt_property('response_topic') AS responseTopic FROM '%s'", thingLevel(l), from(l))
	})
}

// images is the ARN of every object of the bucket.
func (d *device) images() *string { return jsii.String(*d.bucket.AttrArn() + "/*") }

// readImages is for functions that tell agents to download. The URL that they presign is worth what their role may do.
// create-job names the version of every image, so it is always a version that is read.
func (d *device) readImages() statement {
	return allow("ReadFirmware", []string{"s3:GetObjectVersion"}, d.images())
}

// addresses tells a function where images are, and how to make their addresses.
func (d *device) addresses(p *parameters) map[string]*string {
	return map[string]*string{
		environment.FirmwareBucket: d.bucket.Ref(), environment.ImageBaseURL: p.imageBaseURL.ValueAsString(),
		environment.ImageKeyPair:      p.imageKeyPair.ValueAsString(),
		environment.ImageKeyParameter: p.imageKeyParameter.ValueAsString(),
	}
}

// signAddresses lets the functions that tell agents to download read the key that signs addresses, where there is one.
// Without a key of its own a SecureString is under alias/aws/ssm, whose policy has what the Parameter Store needs.
func (d *device) signAddresses(p *parameters) {
	named("ImageKeyPolicy", awsiam.NewCfnPolicy(d.scope, jsii.String("ImageKey"), &awsiam.CfnPolicyProps{
		PolicyName: jsii.String("image-key"),
		PolicyDocument: document(allow("ReadImageKey", []string{"ssm:GetParameter"}, *sub(
			"arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${ImageKeyParameter}"))),
		Roles: &[]*string{
			awscdk.Fn_Ref(jsii.String("SendUspOperateRole")), awscdk.Fn_Ref(jsii.String("HandleDeviceMessageRole")),
		},
	})).CfnOptions().SetCondition(p.distributed)
}

// environment tells a function how to reach agents.
func (d *device) environment(account *account, p *parameters) map[string]*string {
	return map[string]*string{
		environment.ControllerEndpoint: p.controllerEndpointID.ValueAsString(),
		environment.AgentTopic:         p.topics.fixed(func(l usp.Layout) string { return string(l.Agent) }),
		environment.ControllerTopic:    p.topics.fixed(func(l usp.Layout) string { return string(l.Controller) }),
		environment.DataEndpoint:       account.data,
	}
}

// What the queue of messages is set to. A message that its function does not get to, because Lambda
// has no concurrency or the function died, comes again after the visibility timeout, six times the
// function's as AWS advises; one that failed comes again sooner, by the function's own word.
// Source: Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping"
// (read 2026-11).
const (
	visibilitySeconds = 60
	maxReceives       = 20
	batchSize         = 10
)

// receive makes the function that hears the devices, the queue that it is fed from, and the rules
// that fill it. Rules do not invoke the function: Lambda tries an asynchronous event again after
// one minute and after two, which no step of an upgrade survives, and a storm of reconnecting
// devices would take the concurrency of everything else.
func (d *device) receive(lambdas *functions, account *account, w *workflow, notify *notifications, p *parameters) {
	d.queue = notify.queue(d.scope, "MessageQueue", "Messages", &awssqs.CfnQueueProps{
		VisibilityTimeout: jsii.Number(visibilitySeconds),
		RedrivePolicy: map[string]any{
			"deadLetterTargetArn": notify.messageDeadLetters.AttrArn(), "maxReceiveCount": maxReceives,
		},
	})
	variables := d.environment(account, p)
	variables[environment.JobsEndpoint] = account.jobs
	variables[environment.Table] = w.table.Ref()
	variables[environment.StateMachines] = sub(stateMachines)
	variables[environment.Operations] = w.names()
	variables[environment.OutcomeTopic] = notify.outcomes.Ref()
	variables[environment.EventTopic] = notify.eventTopic(p)
	variables[environment.MessageQueue] = d.queue.Ref()
	variables[environment.OnboardingPerMinute] = p.onboardingPerMinute.ValueAsString()
	maps.Copy(variables, d.addresses(p))
	handle := lambdas.add("handle-device-message", variables, append(append(startUpgrade(), jobExecutions()...),
		w.items(), w.readFlags(),
		// A command is given again only while its task waits.
		resumeTask("states:SendTaskHeartbeat"),
		allow("SendToAgent", []string{"iot:Publish"}, p.topics.agents()),
		// To whom it sends Download() again, it gives a new address.
		d.readImages(),
		// Of an upgrade that was ended while nobody heard of it, found as its device appears for the next.
		notify.publishOutcome(),
		// Which endpoint the registry says that a thing is, at its first greeting.
		allow("KnowEndpoint", []string{"iot:DescribeThing"}, *sub(anyThing)),
		// What a device says that it runs while no upgrade is at work on it.
		allow("RecordReportedVersion", []string{"iot:UpdateThing"}, *sub(anyThing)),
		allow("TakeMessages", []string{
			"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility",
		}, d.queue.AttrArn()))...)
	d.signAddresses(p)
	named("MessageSource", awslambda.NewCfnEventSourceMapping(d.scope, jsii.String("MessageSource"),
		&awslambda.CfnEventSourceMappingProps{
			EventSourceArn:                 d.queue.AttrArn(),
			FunctionName:                   handle.Ref(),
			BatchSize:                      jsii.Number(batchSize),
			MaximumBatchingWindowInSeconds: p.messageWindow.ValueAsNumber(),
			FunctionResponseTypes:          jsii.Strings("ReportBatchItemFailures"),
			ScalingConfig: &awslambda.CfnEventSourceMapping_ScalingConfigProperty{
				MaximumConcurrency: p.messageConcurrency.ValueAsNumber(),
			},
		}))
	send := role(d.scope, "MessageRuleRole", "iot.amazonaws.com", "What the rules may do that hear the devices",
		allow("QueueMessage", []string{"sqs:SendMessage"}, d.queue.AttrArn()))
	rule := func(id, suffix, description string, sql *string) {
		notify.topicRule(d.scope, id, suffix, description, &awsiot.CfnTopicRule_ActionProperty{
			Sqs: &awsiot.CfnTopicRule_SqsActionProperty{QueueUrl: d.queue.Ref(), RoleArn: send.AttrArn(),
				UseBase64: jsii.Bool(false)},
		}, sql)
	}
	rule("UspMessage", "usp_message", "USP records from agents", p.topics.records())
	rule("Presence", "presence", "Devices that connect and disconnect", jsii.String(
		"SELECT clientId AS clientId, thingName AS thingName, eventType AS presence, timestamp AS receivedAt,"+
			" versionNumber AS versionNumber, disconnectReason AS disconnectReason, topic() AS topic"+
			" FROM '$aws/events/presence/+/+' WHERE topic(4) = 'connected' OR topic(4) = 'disconnected'"))
}
