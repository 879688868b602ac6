package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Tables, buckets, queues and topics.

const unusedEncryption = "what is stored is as safe as the data folder; functions and logs do not use keys"

var keySchema = listOf(object(members{"AttributeName": text, "KeyType": text}))

var projection = object(members{"NonKeyAttributes": texts, "ProjectionType": text})

var throughput = object(members{"ReadCapacityUnits": number, "WriteCapacityUnits": number})

var secondaryIndex = members{
	"IndexName": text, "KeySchema": keySchema, "Projection": projection, "ProvisionedThroughput": throughput,
}

// table: attributes and indexes are changed by tableProvider.
var table = kind{
	service: "dynamodb", create: "CreateTable", key: "TableName", name: naming{property: "TableName", max: 255},
	required: []string{"KeySchema"},
	properties: members{
		"TableName": text,
		"AttributeDefinitions": listOf(object(members{"AttributeName": text, "AttributeType": text})).
			by("UpdateTable").orElse([]any{}),
		"KeySchema":              keySchema,
		"BillingMode":            text.by("UpdateTable"),
		"ProvisionedThroughput":  throughput.by("UpdateTable"),
		"GlobalSecondaryIndexes": listOf(object(secondaryIndex)).by("UpdateTable").orElse([]any{}),
		"LocalSecondaryIndexes": listOf(object(members{"IndexName": text, "KeySchema": keySchema,
			"Projection": projection})),
		"StreamSpecification": object(members{"StreamViewType": text}).unbuiltInPlace(),
		"TimeToLiveSpecification": object(members{"AttributeName": text, "Enabled": boolean}).
			set("UpdateTimeToLive"),
		"PointInTimeRecoverySpecification": object(members{"PointInTimeRecoveryEnabled": boolean}).
			set("UpdateContinuousBackups"),
		"DeletionProtectionEnabled": boolean.by("UpdateTable").orElse(false),
		"TableClass":                unused("there is one kind of storage"),
		"SSESpecification": object(members{"SSEEnabled": boolean.as("Enabled"), "SSEType": text,
			"KMSMasterKeyId": text}).by("UpdateTable").orElse(map[string]any{"Enabled": false}),
		"Tags": tagList,
	},
	build: map[string]func(Request, map[string]any) error{
		"CreateTable": func(_ Request, in map[string]any) error {
			if stream, ok := in["StreamSpecification"].(map[string]any); ok {
				stream["StreamEnabled"] = true
			}
			return nil
		},
		"UpdateTable": func(_ Request, in map[string]any) error {
			delete(in, indexes)
			delete(in, definitions)
			return nil
		},
	},
	awaitUsable: tableActive,
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("dynamodb", "table/"+name) },
		"StreamArn": func(_ environment, _ string, out map[string]any) any {
			description, ok := out["TableDescription"].(map[string]any)
			if !ok {
				description, _ = out["Table"].(map[string]any)
			}
			return description["LatestStreamArn"]
		},
	},
	describe: "DescribeTable",
	tagging:  &tagging{set: "TagResource", unset: "UntagResource", key: "ResourceArn", value: ofAttribute("Arn")},
	already:  map[string]string{"UpdateTimeToLive": "TimeToLive is already enabled"},
	remove:   "DeleteTable", exists: []string{"ResourceInUseException"},
	notFound: []string{"ResourceNotFoundException"},
}

// tableActive waits until a table takes further operations.
func tableActive(ctx context.Context, s *Service, name string) error {
	for range 300 {
		out, err := s.call(ctx, "dynamodb", "DescribeTable", map[string]any{"TableName": name})
		if err != nil {
			return err
		}
		description, _ := out["Table"].(map[string]any)
		if status := description["TableStatus"]; status == "ACTIVE" || status == nil {
			return nil
		}
		if err := s.config.Scheduler.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("table %s does not become ACTIVE", name)
}

var bucket = kind{
	service: "s3", create: "CreateBucket", key: "Bucket", name: naming{property: "BucketName", max: 63, lower: true},
	properties: members{
		"BucketName": text.as("Bucket"),
		"VersioningConfiguration": object(members{"Status": text}).
			set("PutBucketVersioning").orElse(map[string]any{"Status": "Suspended"}),
		"BucketEncryption": object(members{"ServerSideEncryptionConfiguration": listOf(object(members{
			"BucketKeyEnabled": boolean,
			"ServerSideEncryptionByDefault": object(members{"SSEAlgorithm": text, "KMSMasterKeyID": text}).as(
				"ApplyServerSideEncryptionByDefault"),
		})).as("Rules")}).as("ServerSideEncryptionConfiguration").set("PutBucketEncryption").
			orElse(map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{
				"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}}}}),
		"PublicAccessBlockConfiguration": unused("nobody without credentials or a presigned URL gets in"),
		"OwnershipControls":              unused("there are no ACLs"),
		"LifecycleConfiguration": object(members{"Rules": listOf(object(members{
			"Id": text.as("ID"), "Status": text, "Prefix": text,
			"AbortIncompleteMultipartUpload": object(members{"DaysAfterInitiation": number}),
			"ExpirationInDays":               number, "ExpiredObjectDeleteMarker": boolean,
			"NoncurrentVersionExpiration": object(members{"NoncurrentDays": number}),
		}))}).set("PutBucketLifecycleConfiguration").drop("DeleteBucketLifecycle"),
		"AccessControl": unused("there are no ACLs"),
		"Tags":          unused("bucket tags are not read by anything here"),
	},
	build: map[string]func(Request, map[string]any) error{"PutBucketLifecycleConfiguration": lifecycleRules},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn":        func(_ environment, name string, _ map[string]any) any { return "arn:aws:s3:::" + name },
		"DomainName": func(_ environment, name string, _ map[string]any) any { return name + ".s3.amazonaws.com" },
		"RegionalDomainName": func(e environment, name string, _ map[string]any) any {
			return name + ".s3." + e.region + ".amazonaws.com"
		},
	},
	remove: "DeleteBucket", exists: []string{"BucketAlreadyOwnedByYou", "BucketAlreadyExists"},
	notFound: []string{"NoSuchBucket"},
}

// lifecycleRules makes of a template's rules those of the API, where expiration is an object.
func lifecycleRules(_ Request, in map[string]any) error {
	configuration, _ := in["LifecycleConfiguration"].(map[string]any)
	rules, _ := configuration["Rules"].([]any)
	for _, one := range rules {
		rule, _ := one.(map[string]any)
		expiration := map[string]any{}
		for property, member := range map[string]string{
			"ExpirationInDays": "Days", "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
		} {
			if v, ok := rule[property]; ok {
				expiration[member] = v
				delete(rule, property)
			}
		}
		if len(expiration) > 0 {
			rule["Expiration"] = expiration
		}
	}
	return nil
}

var bucketPolicy = kind{
	service: "s3", create: "PutBucketPolicy", key: "Bucket", name: naming{property: "Bucket", borrowed: true},
	required: []string{"Bucket", "PolicyDocument"},
	properties: members{
		"Bucket":         text,
		"PolicyDocument": jsonText.as("Policy").by("PutBucketPolicy"),
	},
	remove: "DeleteBucketPolicy", notFound: []string{"NoSuchBucket", "NoSuchBucketPolicy"},
}

// attributesAsMap moves all but the named members of an SQS or SNS input into Attributes, as texts.
func attributesAsMap(in map[string]any, keep ...string) error {
	attributes := map[string]any{}
next:
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v := in[name]
		for _, k := range keep {
			if name == k {
				continue next
			}
		}
		t, err := asText(v)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		attributes[name] = t
		delete(in, name)
	}
	if len(attributes) > 0 {
		in["Attributes"] = attributes
	}
	return nil
}

var queue = kind{
	service: "sqs", create: "CreateQueue", key: "QueueUrl", name: naming{property: "QueueName", max: 80},
	properties: members{
		"QueueName":                     text,
		"DelaySeconds":                  number.by("SetQueueAttributes").orElse(json.Number("0")),
		"MaximumMessageSize":            number.by("SetQueueAttributes").orElse(json.Number("262144")),
		"MessageRetentionPeriod":        number.by("SetQueueAttributes").orElse(json.Number("345600")),
		"ReceiveMessageWaitTimeSeconds": number.by("SetQueueAttributes").orElse(json.Number("0")),
		"VisibilityTimeout":             number.by("SetQueueAttributes").orElse(json.Number("30")),
		"RedrivePolicy":                 jsonText.by("SetQueueAttributes").orElse(""),
		"RedriveAllowPolicy":            jsonText.by("SetQueueAttributes").orElse(""),
		"SqsManagedSseEnabled":          boolean.by("SetQueueAttributes").orElse(true),
		"KmsMasterKeyId":                text.by("SetQueueAttributes").orElse(""),
		"Tags":                          tagMap.as("tags"),
	},
	build: map[string]func(Request, map[string]any) error{
		"CreateQueue": func(_ Request, in map[string]any) error {
			return attributesAsMap(in, "QueueName", "tags")
		},
		"SetQueueAttributes": func(_ Request, in map[string]any) error { return attributesAsMap(in, "QueueUrl") },
	},
	physical: func(_ environment, _ string, out map[string]any) string {
		url, _ := out["QueueUrl"].(string)
		return url
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn":       func(e environment, name string, _ map[string]any) any { return e.arn("sqs", name) },
		"QueueName": func(_ environment, name string, _ map[string]any) any { return name },
		"QueueUrl":  func(_ environment, _ string, out map[string]any) any { return out["QueueUrl"] },
	},
	tagging: &tagging{set: "TagQueue", unset: "UntagQueue", key: "QueueUrl", value: ofPhysical, tags: "Tags"},
	remove:  "DeleteQueue", notFound: []string{"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"},
}

var topic = kind{
	service: "sns", create: "CreateTopic", key: "TopicArn", name: naming{property: "TopicName", max: 256},
	properties: members{
		"TopicName":        text.as("Name"),
		"DisplayName":      text.by("SetTopicAttributes").orElse(""),
		"SignatureVersion": text.unbuiltInPlace(),
		"TracingConfig":    unused("there is no X-Ray"),
		"KmsMasterKeyId":   text.by("SetTopicAttributes").orElse(""),
		"Tags":             tagList,
	},
	build: map[string]func(Request, map[string]any) error{
		"CreateTopic": func(_ Request, in map[string]any) error { return attributesAsMap(in, "Name", "Tags") },
		"SetTopicAttributes": func(_ Request, in map[string]any) error {
			set := false
			for _, name := range []string{"DisplayName", "KmsMasterKeyId"} {
				value, ok := in[name]
				switch {
				case ok && set:
					return awsapi.NotBuilt("a change of a topic's DisplayName and KmsMasterKeyId at once")
				case ok:
					in["AttributeName"], in["AttributeValue"], set = name, value, true
				}
				delete(in, name)
			}
			return nil
		},
	},
	physical: func(e environment, name string, _ map[string]any) string { return e.arn("sns", name) },
	attributes: map[string]func(environment, string, map[string]any) any{
		"TopicArn":  func(e environment, name string, _ map[string]any) any { return e.arn("sns", name) },
		"TopicName": func(_ environment, name string, _ map[string]any) any { return name },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "ResourceArn", value: ofPhysical},
	remove:  "DeleteTopic", notFound: []string{"NotFound"},
}

var subscription = kind{
	service: "sns", create: "Subscribe", key: "SubscriptionArn",
	required: []string{"TopicArn", "Protocol"},
	properties: members{
		"TopicArn":            text,
		"Protocol":            text,
		"Endpoint":            text,
		"FilterPolicy":        jsonText,
		"FilterPolicyScope":   text,
		"RawMessageDelivery":  boolean,
		"RedrivePolicy":       jsonText,
		"SubscriptionRoleArn": text,
	},
	build: map[string]func(Request, map[string]any) error{
		"Subscribe": func(_ Request, in map[string]any) error {
			delete(in, "SubscriptionArn")
			if err := attributesAsMap(in, "TopicArn", "Protocol", "Endpoint"); err != nil {
				return err
			}
			in["ReturnSubscriptionArn"] = true
			return nil
		},
	},
	physical: func(_ environment, _ string, out map[string]any) string {
		arn, _ := out["SubscriptionArn"].(string)
		return arn
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(_ environment, _ string, out map[string]any) any { return out["SubscriptionArn"] },
	},
	remove: "Unsubscribe", notFound: []string{"NotFound"},
}

// subscriptionProvider is the Provider of AWS::SNS::Subscription, whose attributes are set one by one.
type subscriptionProvider struct{ bound }

// subscriptionAttributes are those that change in place, with what they are when they are not given.
var subscriptionAttributes = map[string]string{
	"FilterPolicy": "{}", "FilterPolicyScope": "MessageAttributes", "RawMessageDelivery": "false",
	"RedrivePolicy": "{}",
}

// Update implements Provider.
func (p subscriptionProvider) Update(ctx context.Context, r Request) (Resource, error) {
	made := Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(p.properties)) {
		if equalJSON(r.Old[name], r.Properties[name]) {
			continue
		}
		if _, ok := subscriptionAttributes[name]; !ok {
			return Resource{}, ErrReplace
		}
		changed = append(changed, name)
	}
	for _, name := range changed {
		value := any(subscriptionAttributes[name])
		if v, ok := r.Properties[name]; ok {
			var err error
			if value, err = p.properties[name].convert("Properties."+name, v, asSpelled); err != nil {
				return made, err
			}
		}
		text, err := asText(value)
		if err != nil {
			return made, err
		}
		in := map[string]any{"SubscriptionArn": r.PhysicalID, "AttributeName": name, "AttributeValue": text}
		if _, err := p.s.call(ctx, "sns", "SetSubscriptionAttributes", in); err != nil {
			return made, err
		}
	}
	return made, nil
}

// needsReplacement implements replacementRules.
func (p subscriptionProvider) needsReplacement(property string, _ bool) bool {
	_, inPlace := subscriptionAttributes[property]
	return !inPlace
}

// resourcePolicy is the policy of a list of queues or topics: a resource of its own to CloudFormation, an attribute to
// the services.
type resourcePolicy struct {
	s                  *Service
	list               string // the property that names the queues or topics
	service, operation string
	input              func(target, document string) map[string]any
	// empty is the policy that takes its place when it is deleted.
	empty func(e environment, target string) string
}

func (p resourcePolicy) Check(path string, properties map[string]any) []Problem {
	return bound{kind{properties: members{p.list: texts, "PolicyDocument": jsonText}, required: []string{p.list,
		"PolicyDocument"}}, p.s}.
		Check(path, properties)
}

func (p resourcePolicy) Attributes() []string { return []string{"Id"} }

func (p resourcePolicy) Create(ctx context.Context, r Request) (Resource, error) {
	name := naming{max: 128}.physicalName(p.s.environment, r)
	made := Resource{PhysicalID: name, Attributes: map[string]any{"Id": name}}
	document, err := jsonText.convert("Properties.PolicyDocument", r.Properties["PolicyDocument"], asSpelled)
	if err != nil {
		return Resource{}, err
	}
	return made, p.put(ctx, r.Properties[p.list], func(string) string { return document.(string) })
}

func (p resourcePolicy) put(ctx context.Context, targets any, document func(target string) string) error {
	list, ok := targets.([]any)
	if !ok {
		return awsapi.Errorf("ValidationError", "%s must be a list", p.list)
	}
	for _, e := range list {
		target, err := asText(e)
		if err != nil {
			return err
		}
		if _, err := p.s.call(ctx, p.service, p.operation, p.input(target, document(target))); err != nil {
			return err
		}
	}
	return nil
}

func (p resourcePolicy) Update(ctx context.Context, r Request) (Resource, error) {
	made, err := p.Create(ctx, r)
	if err != nil {
		return made, err
	}
	made.PhysicalID, made.Attributes = r.PhysicalID, r.Attributes
	stays := textList(r.Properties[p.list])
	old := slices.DeleteFunc(textList(r.Old[p.list]), func(target string) bool {
		return slices.Contains(stays, target)
	})
	return made, p.clear(ctx, anyList(old))
}

func (p resourcePolicy) Delete(ctx context.Context, r Request) error {
	return p.clear(ctx, r.Properties[p.list])
}

// clear puts back the policy that a queue or topic has without one.
func (p resourcePolicy) clear(ctx context.Context, targets any) error {
	err := p.put(ctx, targets, func(target string) string { return p.empty(p.s.environment, target) })
	switch awsapi.Code(err) {
	case "NotFound", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist":
		return nil
	}
	return err
}

func newTopicPolicy(s *Service) Provider {
	return resourcePolicy{
		s: s, list: "Topics", service: "sns", operation: "SetTopicAttributes",
		input: func(target, document string) map[string]any {
			return map[string]any{"TopicArn": target, "AttributeName": "Policy", "AttributeValue": document}
		},
		// The policy that a topic has when it is made: its owner may use it.
		empty: func(e environment, target string) string {
			return fmt.Sprintf(`{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID",`+
				`"Effect":"Allow","Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes",`+
				`"SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic",`+
				`"SNS:Publish"],"Resource":%q,"Condition":{"StringEquals":{"AWS:SourceOwner":%q}}}]}`, target, e.account)
		},
	}
}

func newQueuePolicy(s *Service) Provider {
	return resourcePolicy{
		s: s, list: "Queues", service: "sqs", operation: "SetQueueAttributes",
		input: func(target, document string) map[string]any {
			return map[string]any{"QueueUrl": target, "Attributes": map[string]any{"Policy": document}}
		},
		empty: func(environment, string) string { return "" },
	}
}
