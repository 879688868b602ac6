//lint:file-ignore SA5008 the options of xml tags are awsapi's: see its package comment

package sqs

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// API returns the operations of SQS.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalFailure", Status: 500},
		Throttled: awsapi.Word{Code: "RequestThrottled", Status: 400},
		ID:        "sqs", Signing: "sqs", Prefix: "sqs", Target: "AmazonSQS",
		Protocols:   []awsapi.Protocol{awsapi.JSON10, awsapi.Query},
		DeniedCode:  "AccessDenied",
		DenialTerms: func(action, resource string) (string, string) { return strings.ToLower(action), resource },
		Namespace:   "http://queue.amazonaws.com/doc/2012-11-05/", Version: "2012-11-05",
		ResourcePolicy: s.resourcePolicy,
		Unbuilt:        []string{"AddPermission", "RemovePermission"},
		Encryption:     s.encryption(),
		Operations: []awsapi.Operation{
			awsapi.Op("CreateQueue", s.createQueue, awsapi.On(func(_ *awsapi.Call, in *createQueueIn) []string {
				return []string{s.arn(in.QueueName)}
			})),
			awsapi.Op("GetQueueUrl", s.getQueueURL, awsapi.On(func(_ *awsapi.Call, in *getQueueURLIn) []string {
				return []string{s.arn(in.QueueName)}
			})),
			awsapi.Op("ListQueues", s.listQueues, awsapi.On(func(_ *awsapi.Call, _ *listQueuesIn) []string {
				return []string{s.arn("*")}
			})),
			awsapi.Op("DeleteQueue", s.deleteQueue, on[queueIn](s)),
			awsapi.Op("PurgeQueue", s.purgeQueue, on[queueIn](s)),
			awsapi.Op("GetQueueAttributes", s.getQueueAttributes, on[getAttributesIn](s)),
			awsapi.Op("SetQueueAttributes", s.setQueueAttributes, on[setAttributesIn](s)),
			awsapi.Op("TagQueue", s.tagQueue, on[tagIn](s)),
			awsapi.Op("UntagQueue", s.untagQueue, on[untagIn](s)),
			awsapi.Op("ListQueueTags", s.listQueueTags, on[queueIn](s)),
			awsapi.Op("ListDeadLetterSourceQueues", s.listSources, on[listSourcesIn](s)),
			awsapi.Op("SendMessage", s.sendMessage, on[sendIn](s)),
			awsapi.Op("SendMessageBatch", s.sendMessageBatch, on[sendBatchIn](s), awsapi.Action("sqs:SendMessage")),
			awsapi.Op("ReceiveMessage", s.receiveMessage, on[receiveIn](s)),
			awsapi.Op("DeleteMessage", s.deleteMessage, on[deleteIn](s)),
			awsapi.Op("DeleteMessageBatch", s.deleteMessageBatch, on[deleteBatchIn](s),
				awsapi.Action("sqs:DeleteMessage")),
			awsapi.Op("ChangeMessageVisibility", s.changeVisibility, on[changeVisibilityIn](s)),
			awsapi.Op("ChangeMessageVisibilityBatch", s.changeVisibilityBatch, on[changeVisibilityBatchIn](s),
				awsapi.Action("sqs:ChangeMessageVisibility")),
			awsapi.Op("StartMessageMoveTask", s.startMove, awsapi.On(func(_ *awsapi.Call, in *startMoveIn) []string {
				return []string{in.SourceARN}
			})),
			awsapi.Op("ListMessageMoveTasks", s.listMoves, awsapi.On(func(_ *awsapi.Call, in *listMovesIn) []string {
				return []string{in.SourceARN}
			})),
			awsapi.Op("CancelMessageMoveTask", s.cancelMove,
				awsapi.On(func(_ *awsapi.Call, in *cancelMoveIn) []string {
					source, _, err := parseMoveHandle(in.TaskHandle)
					if err != nil { // the operation says so
						return []string{s.arn("*")}
					}
					return []string{source}
				})),
		},
	}
}

// on says that an operation touches the queue of its QueueUrl.
func on[In any](s *Service) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string {
		return []string{s.arn(nameOf(any(in).(interface{ url() string }).url()))}
	})
}

// target is the member that names the queue.
type target struct {
	QueueURL string `json:"QueueUrl"`
}

func (t *target) url() string { return t.QueueURL }

// Wire shapes. Query clients know lists and maps under other names.
type (
	none struct{}

	paging struct {
		NextToken  string `json:"NextToken"`
		MaxResults *int   `json:"MaxResults"`
	}
	queueIn struct {
		target
	}
	createQueueIn struct {
		QueueName  string            `json:"QueueName"`
		Attributes map[string]string `json:"Attributes" xml:"Attribute,flat,key=Name,value=Value"`
		Tags       map[string]string `json:"tags" xml:"Tag,flat,key=Key,value=Value"`
	}
	queueURLOut struct {
		QueueURL string `json:"QueueUrl"`
	}
	getQueueURLIn struct {
		QueueName string `json:"QueueName"`
		Owner     string `json:"QueueOwnerAWSAccountId"`
	}
	listQueuesIn struct {
		Prefix string `json:"QueueNamePrefix"`
		paging
	}
	listQueuesOut struct {
		QueueURLs []string `json:"QueueUrls,omitempty" xml:"QueueUrl,flat"`
		NextToken string   `json:"NextToken,omitempty"`
	}
	listSourcesIn struct {
		target
		paging
	}
	listSourcesOut struct {
		QueueURLs []string `json:"queueUrls" xml:"QueueUrl,flat"`
		NextToken string   `json:"NextToken,omitempty"`
	}
	getAttributesIn struct {
		target
		AttributeNames []string `json:"AttributeNames" xml:"AttributeName,flat"`
	}
	attributesOut struct {
		Attributes map[string]string `json:"Attributes,omitempty" xml:"Attribute,flat,key=Name,value=Value"`
	}
	setAttributesIn struct {
		target
		Attributes map[string]string `json:"Attributes" xml:"Attribute,flat,key=Name,value=Value"`
	}
	tagIn struct {
		target
		Tags map[string]string `json:"Tags" xml:"Tag,flat,key=Key,value=Value"`
	}
	untagIn struct {
		target
		TagKeys []string `json:"TagKeys" xml:"TagKey,flat"`
	}
	tagsOut struct {
		Tags map[string]string `json:"Tags,omitempty" xml:"Tag,flat,key=Key,value=Value"`
	}

	attributeValue struct {
		DataType    string `json:"DataType"`
		StringValue string `json:"StringValue,omitempty"`
		BinaryValue []byte `json:"BinaryValue,omitempty"`
	}
	sendEntry struct {
		Body             string                    `json:"MessageBody"`
		DelaySeconds     *int                      `json:"DelaySeconds"`
		Attributes       map[string]attributeValue `json:"MessageAttributes" xml:"MessageAttribute,flat,key=Name,value=Value"`
		SystemAttributes map[string]attributeValue `json:"MessageSystemAttributes" xml:"MessageSystemAttribute,flat,key=Name,value=Value"`
		DeduplicationID  string                    `json:"MessageDeduplicationId"`
		GroupID          string                    `json:"MessageGroupId"`
	}
	sendIn struct {
		target
		sendEntry
	}
	sendOut struct {
		MessageID             string `json:"MessageId"`
		MD5OfBody             string `json:"MD5OfMessageBody"`
		MD5OfAttributes       string `json:"MD5OfMessageAttributes,omitempty"`
		MD5OfSystemAttributes string `json:"MD5OfMessageSystemAttributes,omitempty"`
	}
	sendBatchIn struct {
		target
		Entries []struct {
			ID string `json:"Id"`
			sendEntry
		} `json:"Entries" xml:"SendMessageBatchRequestEntry,flat"`
	}
	sentEntry struct {
		ID string `json:"Id"`
		sendOut
	}
	sendBatchOut struct {
		Successful []sentEntry    `json:"Successful" xml:"SendMessageBatchResultEntry,flat"`
		Failed     []batchFailure `json:"Failed" xml:"BatchResultErrorEntry,flat"`
	}
	batchFailure struct {
		ID          string `json:"Id"`
		SenderFault bool   `json:"SenderFault"`
		Code        string `json:"Code"`
		Message     string `json:"Message"`
	}
	batchEntry struct {
		ID string `json:"Id"`
	}
	// batchOut and changeBatchOut differ in what Query clients call an entry.
	changeBatchOut struct {
		Successful []batchEntry   `json:"Successful" xml:"ChangeMessageVisibilityBatchResultEntry,flat"`
		Failed     []batchFailure `json:"Failed" xml:"BatchResultErrorEntry,flat"`
	}
	batchOut struct {
		Successful []batchEntry   `json:"Successful" xml:"DeleteMessageBatchResultEntry,flat"`
		Failed     []batchFailure `json:"Failed" xml:"BatchResultErrorEntry,flat"`
	}
	receiveIn struct {
		target
		AttributeNames        []string `json:"AttributeNames" xml:"AttributeName,flat"`
		SystemAttributeNames  []string `json:"MessageSystemAttributeNames" xml:"MessageSystemAttributeName,flat"`
		MessageAttributeNames []string `json:"MessageAttributeNames" xml:"MessageAttributeName,flat"`
		Max                   *int     `json:"MaxNumberOfMessages"`
		VisibilityTimeout     *int     `json:"VisibilityTimeout"`
		WaitTimeSeconds       *int     `json:"WaitTimeSeconds"`
	}
	messageShape struct {
		MessageID              string                    `json:"MessageId"`
		ReceiptHandle          string                    `json:"ReceiptHandle"`
		MD5OfBody              string                    `json:"MD5OfBody"`
		Body                   string                    `json:"Body"`
		Attributes             map[string]string         `json:"Attributes,omitempty" xml:"Attribute,flat,key=Name,value=Value"`
		MD5OfMessageAttributes string                    `json:"MD5OfMessageAttributes,omitempty"`
		MessageAttributes      map[string]attributeValue `json:"MessageAttributes,omitempty" xml:"MessageAttribute,flat,key=Name,value=Value"`
	}
	receiveOut struct {
		Messages []messageShape `json:"Messages,omitempty" xml:"Message,flat"`
	}
	deleteIn struct {
		target
		ReceiptHandle string `json:"ReceiptHandle"`
	}
	deleteBatchIn struct {
		target
		Entries []struct {
			ID            string `json:"Id"`
			ReceiptHandle string `json:"ReceiptHandle"`
		} `json:"Entries" xml:"DeleteMessageBatchRequestEntry,flat"`
	}
	changeVisibilityIn struct {
		target
		ReceiptHandle     string `json:"ReceiptHandle"`
		VisibilityTimeout *int   `json:"VisibilityTimeout"`
	}
	changeVisibilityBatchIn struct {
		target
		Entries []struct {
			ID                string `json:"Id"`
			ReceiptHandle     string `json:"ReceiptHandle"`
			VisibilityTimeout *int   `json:"VisibilityTimeout"`
		} `json:"Entries" xml:"ChangeMessageVisibilityBatchRequestEntry,flat"`
	}
)
