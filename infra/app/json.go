package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiot"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto"
)

// newNotificationRule makes what publishes the notifications of agents again, as JSON, for systems that know no USP.
// All of it is there only if the parameter JsonNotifications says so: AWS IoT meters each decode as an action. Nothing
// of ours depends on it.
//
// A rule decodes by a descriptor set in S3, of which it keeps what it read for 15 minutes: another set has another
// key.
// Source: AWS IoT Developer Guide, "decode(value, decodingScheme)" and "SET" (read 2026-11).
func newNotificationRule(stack awscdk.Stack, notify *notifications, p *parameters) {
	scope := constructs.NewConstruct(stack, jsii.String("NotificationsAsJson"))
	bucket, policy := descriptorBucket(scope)
	sum := sha256.Sum256(proto.DescriptorSet)
	key := "usp-" + hex.EncodeToString(sum[:4]) + ".desc"

	put := named("DescriptorPolicy", awsiam.NewCfnPolicy(scope, jsii.String("DescriptorPolicy"),
		&awsiam.CfnPolicyProps{
			PolicyName:     jsii.String("descriptor-set"),
			PolicyDocument: document(allow("PutDescriptors", []string{"s3:PutObject"}, *bucket.AttrArn()+"/*")),
			Roles:          &[]*string{awscdk.Fn_Ref(jsii.String(specOf("prepare-account").id + "Role"))},
		}))
	set := named("Descriptors", awscdk.NewCfnResource(scope, jsii.String("Descriptors"), &awscdk.CfnResourceProps{
		Type: jsii.String("Custom::UspDescriptors"),
		Properties: &map[string]any{
			"ServiceToken": awscdk.Fn_GetAtt(jsii.String("PrepareAccountFunction"),
				jsii.String("Arn")),
			"ServiceTimeout":             jsii.Number(120),
			environment.DescriptorBucket: bucket.Ref(),
			environment.DescriptorKey:    key,
		},
	}))
	set.AddDependency(put)
	publisher := role(scope, "NotificationRole", "iot.amazonaws.com", "What the rule may do that publishes JSON",
		allow("PublishJSON", []string{"iot:Publish"}, *sub(
			"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/${AWS::StackName}/notifications/*")))
	rule := notify.topicRule(scope, "UspNotification", "usp_notification", "Notifications of agents, again as JSON",
		&awsiot.CfnTopicRule_ActionProperty{Republish: &awsiot.CfnTopicRule_RepublishActionProperty{
			RoleArn: publisher.AttrArn(), Qos: jsii.Number(1),
			Topic: p.topics.either(func(l usp.Layout) string {
				return fmt.Sprintf("${AWS::StackName}/notifications/${!topic(%d)}", thingLevel(l))
			}),
		}}, p.topics.notifications(key))
	rule.AddDependency(set)
	rule.AddDependency(policy)
	dimensions := map[string]string{"RuleName": "${UspNotificationRule}"}
	failing := newAlarm(scope, notify, alarm{
		id: "JsonNotificationAlarm", name: "json-notifications", periods: 1, comparison: "GreaterThanThreshold",
		description: "Notifications of agents could not be decoded, or published as JSON. Nothing of ours waits " +
			"for them.",
		metrics: total("failed", "messages", []any{
			query("m1", "AWS/IoT", "ParseError", "Sum", minutes5, dimensions),
			query("m2", "AWS/IoT", "Failure", "Sum", minutes5,
				map[string]string{"ActionType": "Republish", "RuleName": "${UspNotificationRule}"}),
		}),
		threshold: jsii.Number(0),
	})
	for _, r := range []awscdk.CfnResource{bucket, policy, put, set, publisher, rule, failing} {
		r.CfnOptions().SetCondition(p.jsonNotifications)
	}
}

// descriptorBucket is a bucket that AWS IoT reads, and nobody else. It holds a public schema.
func descriptorBucket(scope constructs.Construct) (awss3.CfnBucket, awss3.CfnBucketPolicy) {
	bucket := named("DescriptorBucket", awss3.NewCfnBucket(scope, jsii.String("Bucket"), &awss3.CfnBucketProps{
		VersioningConfiguration: &awss3.CfnBucket_VersioningConfigurationProperty{Status: jsii.String("Enabled")},
		BucketEncryption: &awss3.CfnBucket_BucketEncryptionProperty{
			ServerSideEncryptionConfiguration: []any{&awss3.CfnBucket_ServerSideEncryptionRuleProperty{
				ServerSideEncryptionByDefault: &awss3.CfnBucket_ServerSideEncryptionByDefaultProperty{
					SseAlgorithm: jsii.String("AES256"),
				},
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
	}))
	bucket.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	policy := named("DescriptorBucketPolicy", awss3.NewCfnBucketPolicy(scope, jsii.String("BucketPolicy"),
		&awss3.CfnBucketPolicyProps{
			Bucket: bucket.Ref(),
			PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{
				map[string]any{
					"Sid": "TLSOnly", "Effect": "Deny", "Principal": "*",
					"Action":    "s3:*", // a Deny: all of them
					"Resource":  []any{bucket.AttrArn(), *bucket.AttrArn() + "/*"},
					"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
				},
				// AWS asks for this principal, and names no condition that its call has.
				map[string]any{
					"Sid": "RulesDecode", "Effect": "Allow",
					"Principal": map[string]any{"Service": "iot.amazonaws.com"},
					"Action":    "s3:GetObject", "Resource": []any{*bucket.AttrArn() + "/*"},
				},
			}},
		}))
	return bucket, policy
}

// thingLevel is the level of the controller's topic that is the thing's name, counted from 1 as rule SQL does.
func thingLevel(l usp.Layout) int {
	return slices.Index(strings.Split(string(l.Controller), "/"), "{thing}") + 1
}

// from is what a rule listens to that hears all agents.
func from(l usp.Layout) string {
	levels := strings.Split(string(l.Controller), "/")[:thingLevel(l)-1]
	return strings.ReplaceAll(strings.Join(levels, "/"), "{controller}", "${ControllerEndpointId}") + "/#"
}

// notifications is the statement that decodes: the record, then the message in it, which are the two decodes that a
// statement may have.
func (c layout) notifications(key string) *string {
	return c.either(func(l usp.Layout) string {
		decode := func(value, file, message string) string {
			return fmt.Sprintf("decode(%s, 'proto', '${DescriptorBucket}', '%s', '%s', '%s')", value, key, file,
				message)
		}
		return "SET @record = " + decode("*", "usp-record", "Record") +
			", @message = " + decode("@record.noSessionContext.payload", "usp-msg", "Msg") +
			fmt.Sprintf(" SELECT topic(%d) AS thingName, @record.fromId AS endpointId, timestamp() AS receivedAt,"+
				" @message.header.msgId AS messageId, @message.body.request.notify AS notify FROM '%s'"+
				" WHERE isUndefined(@message.body.request.notify) = false", thingLevel(l), from(l))
	})
}
