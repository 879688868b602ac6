package cloudwatchlogs

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

type nothing struct{}

type groupRef struct {
	LogGroupName string `json:"logGroupName" api:"min=1,max=512,pattern=log group name"`
}

// fromToken is the key after which a list goes on.
func fromToken(token string) ([]string, error) {
	key, ok := awsapi.PageAfter(token, 1)
	if !ok {
		return nil, errInvalid("The specified nextToken is invalid.")
	}
	return key, nil
}

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	// AWS's log group ARNs in policies end in ":*" for what is inside.
	onGroup := func(name string) []string { return []string{s.arn(groupName(name)) + ":*"} }
	onStream := func(group, stream string) []string {
		return []string{s.arn(groupName(group)) + ":log-stream:" + stream}
	}
	return awsapi.Service{
		Fault: awsapi.Word{Code: "ServiceUnavailableException", Status: 500}, Invalid: "InvalidParameterException",
		ID: "cloudwatchlogs", Signing: "logs", Prefix: "logs", Target: "Logs_20140328",
		Protocols: []awsapi.Protocol{awsapi.JSON11},
		Operations: []awsapi.Operation{
			awsapi.Op("CreateLogGroup", s.createGroup, awsapi.On(func(_ *awsapi.Call, in *createGroupIn) []string {
				return onGroup(in.LogGroupName)
			})),
			awsapi.Op("DeleteLogGroup", s.deleteGroup, awsapi.On(func(_ *awsapi.Call, in *groupRef) []string {
				return onGroup(in.LogGroupName)
			})),
			awsapi.Op("DescribeLogGroups", s.describeGroups),
			awsapi.Op("PutRetentionPolicy", s.putRetention, awsapi.On(func(_ *awsapi.Call, in *retentionIn) []string {
				return onGroup(in.LogGroupName)
			})),
			awsapi.Op("DeleteRetentionPolicy", s.deleteRetention,
				awsapi.On(func(_ *awsapi.Call, in *groupRef) []string {
					return onGroup(in.LogGroupName)
				})),
			awsapi.Op("CreateLogStream", s.createStream, awsapi.On(func(_ *awsapi.Call, in *streamRef) []string {
				return onStream(in.LogGroupName, in.LogStreamName)
			})),
			awsapi.Op("DeleteLogStream", s.deleteStream, awsapi.On(func(_ *awsapi.Call, in *streamRef) []string {
				return onStream(in.LogGroupName, in.LogStreamName)
			})),
			awsapi.Op("DescribeLogStreams", s.describeStreams,
				awsapi.On(func(_ *awsapi.Call, in *describeStreamsIn) []string {
					return onGroup(in.LogGroupName + in.LogGroupIdentifier)
				})),
			awsapi.Op("PutLogEvents", s.putEvents, awsapi.On(func(_ *awsapi.Call, in *putEventsIn) []string {
				return onStream(in.LogGroupName, in.LogStreamName)
			})),
			awsapi.Op("GetLogEvents", s.getEvents, awsapi.On(func(_ *awsapi.Call, in *getEventsIn) []string {
				return onStream(in.LogGroupName+in.LogGroupIdentifier, in.LogStreamName)
			})),
			awsapi.Op("FilterLogEvents", s.filterEvents, awsapi.On(func(_ *awsapi.Call, in *filterIn) []string {
				return onGroup(in.LogGroupName + in.LogGroupIdentifier)
			})),
			awsapi.Op("TagLogGroup", s.tag, awsapi.On(func(_ *awsapi.Call, in *tagIn) []string {
				return onGroup(in.LogGroupName)
			})),
			awsapi.Op("TagResource", s.tag, awsapi.On(func(_ *awsapi.Call, in *tagIn) []string {
				return onGroup(in.ResourceArn)
			})),
			awsapi.Op("UntagResource", s.untag, awsapi.On(func(_ *awsapi.Call, in *untagIn) []string {
				return onGroup(in.ResourceArn)
			})),
			awsapi.Op("ListTagsForResource", s.listTags, awsapi.On(func(_ *awsapi.Call, in *untagIn) []string {
				return onGroup(in.ResourceArn)
			})),
		},
		Unbuilt: strings.Fields(`AssociateKmsKey CancelExportTask CreateDelivery CreateExportTask CreateLogAnomalyDetector DeleteAccountPolicy
			DeleteDataProtectionPolicy DeleteDelivery DeleteDeliveryDestination DeleteDeliverySource DeleteDestination DeleteIndexPolicy
			DeleteLogAnomalyDetector DeleteMetricFilter DeleteQueryDefinition DeleteResourcePolicy DeleteSubscriptionFilter DeleteTransformer
			DescribeAccountPolicies DescribeDeliveries DescribeDestinations DescribeExportTasks DescribeFieldIndexes DescribeIndexPolicies
			DescribeMetricFilters DescribeQueries DescribeQueryDefinitions DescribeResourcePolicies DescribeSubscriptionFilters
			DisassociateKmsKey GetDataProtectionPolicy GetDelivery GetLogAnomalyDetector GetLogGroupFields GetLogRecord GetQueryResults
			GetTransformer ListAnomalies ListLogAnomalyDetectors ListLogGroups ListLogGroupsForQuery ListTagsLogGroup PutAccountPolicy
			PutDataProtectionPolicy PutDeliveryDestination PutDeliverySource PutDestination PutIndexPolicy PutMetricFilter PutQueryDefinition
			PutResourcePolicy PutSubscriptionFilter PutTransformer StartLiveTail StartQuery StopQuery TestMetricFilter TestTransformer
			UntagLogGroup UpdateAnomaly UpdateLogAnomalyDetector`),
	}
}
