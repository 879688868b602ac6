//lint:file-ignore SA5008 the options of xml tags are awsapi's: see its package comment

package sns

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// API returns the operations of SNS.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalError", Status: 500},
		Throttled: awsapi.Word{Code: "Throttled", Status: 429},
		ID:        "sns", Signing: "sns", Prefix: "sns", Protocols: []awsapi.Protocol{awsapi.Query},
		Namespace: "http://sns.amazonaws.com/doc/2010-03-31/", Version: "2010-03-31", DeniedCode: "AuthorizationError",
		DenialTerms: func(action, resource string) (string, string) {
			return "SNS:" + strings.TrimPrefix(action, "sns:"), resource
		},
		ResourcePolicy: s.resourcePolicy,
		Encryption:     s.encryption(),
		Unbuilt: strings.Fields(`AddPermission RemovePermission CheckIfPhoneNumberIsOptedOut CreatePlatformApplication CreatePlatformEndpoint
			CreateSMSSandboxPhoneNumber DeleteEndpoint DeletePlatformApplication DeleteSMSSandboxPhoneNumber GetDataProtectionPolicy
			GetEndpointAttributes GetPlatformApplicationAttributes GetSMSAttributes GetSMSSandboxAccountStatus
			ListEndpointsByPlatformApplication ListOriginationNumbers ListPhoneNumbersOptedOut ListPlatformApplications
			ListSMSSandboxPhoneNumbers OptInPhoneNumber PutDataProtectionPolicy SetEndpointAttributes SetPlatformApplicationAttributes
			SetSMSAttributes VerifySMSSandboxPhoneNumber`),
		Operations: []awsapi.Operation{
			awsapi.Op("CreateTopic", s.createTopic, awsapi.On(func(_ *awsapi.Call, in *createTopicIn) []string {
				return []string{s.topicARN(in.Name)}
			})),
			op("DeleteTopic", s.deleteTopic),
			op("GetTopicAttributes", s.getTopicAttributes),
			op("SetTopicAttributes", s.setTopicAttributes),
			awsapi.Op("ListTopics", s.listTopics),
			op("Subscribe", s.subscribe),
			// The token is the permission.
			awsapi.Op("ConfirmSubscription", s.confirmSubscription, awsapi.Action("-"), awsapi.AllowAnonymous()),
			op("Unsubscribe", s.unsubscribe),
			op("GetSubscriptionAttributes", s.getSubscriptionAttributes),
			op("SetSubscriptionAttributes", s.setSubscriptionAttributes),
			awsapi.Op("ListSubscriptions", s.listSubscriptions),
			op("ListSubscriptionsByTopic", s.listSubscriptionsByTopic),
			op("Publish", s.publish),
			op("PublishBatch", s.publishBatch, awsapi.Action("sns:Publish")),
			op("TagResource", s.tagResource, awsapi.EmptyResult()),
			op("UntagResource", s.untagResource, awsapi.EmptyResult()),
			op("ListTagsForResource", s.listTags),
		},
	}
}

// Wire shapes.
type (
	none struct{}

	tag struct {
		Key   string `json:"Key"`
		Value string `json:"Value"`
	}
	attributeValue struct {
		DataType    string `json:"DataType"`
		StringValue string `json:"StringValue,omitempty"`
		BinaryValue []byte `json:"BinaryValue,omitempty"`
	}
	onTopic struct {
		TopicArn string `json:"TopicArn"`
	}
	onSubscription struct {
		SubscriptionArn string `json:"SubscriptionArn"`
	}
	onResource struct {
		ResourceArn string `json:"ResourceArn"`
	}

	createTopicIn struct {
		Name                 string            `json:"Name"`
		Attributes           map[string]string `json:"Attributes"`
		Tags                 []tag             `json:"Tags"`
		DataProtectionPolicy string            `json:"DataProtectionPolicy"`
	}
	createTopicOut struct {
		TopicArn string `json:"TopicArn"`
	}
	topicIn struct {
		onTopic
	}
	attributesOut struct {
		Attributes map[string]string `json:"Attributes"`
	}
	setTopicAttributesIn struct {
		onTopic
		AttributeName  string `json:"AttributeName"`
		AttributeValue string `json:"AttributeValue"`
	}
	listIn struct {
		NextToken string `json:"NextToken"`
	}
	listTopicsOut struct {
		Topics    []onTopic `json:"Topics"`
		NextToken string    `json:"NextToken,omitempty"`
	}
	subscribeIn struct {
		onTopic
		Protocol              string            `json:"Protocol"`
		Endpoint              string            `json:"Endpoint"`
		Attributes            map[string]string `json:"Attributes"`
		ReturnSubscriptionArn bool              `json:"ReturnSubscriptionArn"`
	}
	subscriptionOut struct {
		SubscriptionArn string `json:"SubscriptionArn"`
	}
	confirmIn struct {
		onTopic
		Token                     string `json:"Token"`
		AuthenticateOnUnsubscribe string `json:"AuthenticateOnUnsubscribe"`
	}
	subscriptionIn struct {
		onSubscription
	}
	setSubscriptionAttributesIn struct {
		onSubscription
		AttributeName  string `json:"AttributeName"`
		AttributeValue string `json:"AttributeValue"`
	}
	listByTopicIn struct {
		onTopic
		NextToken string `json:"NextToken"`
	}
	subscriptionShape struct {
		SubscriptionArn string `json:"SubscriptionArn"`
		Owner           string `json:"Owner"`
		Protocol        string `json:"Protocol"`
		Endpoint        string `json:"Endpoint"`
		TopicArn        string `json:"TopicArn"`
	}
	listSubscriptionsOut struct {
		Subscriptions []subscriptionShape `json:"Subscriptions"`
		NextToken     string              `json:"NextToken,omitempty"`
	}
	publishEntry struct {
		Message           string                    `json:"Message"`
		Subject           string                    `json:"Subject"`
		MessageStructure  string                    `json:"MessageStructure"`
		MessageAttributes map[string]attributeValue `json:"MessageAttributes" xml:",key=Name,value=Value"`
		DeduplicationID   string                    `json:"MessageDeduplicationId"`
		GroupID           string                    `json:"MessageGroupId"`
	}
	publishIn struct {
		onTopic
		TargetArn   string `json:"TargetArn"`
		PhoneNumber string `json:"PhoneNumber"`
		publishEntry
	}
	publishOut struct {
		MessageID string `json:"MessageId"`
	}
	publishBatchIn struct {
		onTopic
		Entries []struct {
			ID string `json:"Id"`
			publishEntry
		} `json:"PublishBatchRequestEntries"`
	}
	publishedEntry struct {
		ID        string `json:"Id"`
		MessageID string `json:"MessageId"`
	}
	failedEntry struct {
		ID          string `json:"Id"`
		Code        string `json:"Code"`
		Message     string `json:"Message,omitempty"`
		SenderFault bool   `json:"SenderFault"`
	}
	publishBatchOut struct {
		Successful []publishedEntry `json:"Successful"`
		Failed     []failedEntry    `json:"Failed"`
	}
	tagIn struct {
		onResource
		Tags []tag `json:"Tags"`
	}
	untagIn struct {
		onResource
		TagKeys []string `json:"TagKeys"`
	}
	resourceIn struct {
		onResource
	}
	tagsOut struct {
		Tags []tag `json:"Tags"`
	}
)

func (in *onTopic) arn() string        { return in.TopicArn }
func (in *onSubscription) arn() string { return in.SubscriptionArn }
func (in *onResource) arn() string     { return in.ResourceArn }

// arn is the topic, which may be given as TargetArn.
func (in *publishIn) arn() string {
	if in.TopicArn == "" {
		return in.TargetArn
	}
	return in.TopicArn
}
