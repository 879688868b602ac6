package dynamodb

import (
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault: awsapi.Word{Code: "InternalServerError", Status: 500},
		ID:    "dynamodb", Signing: "dynamodb", Prefix: "dynamodb", Target: "DynamoDB_20120810",
		Protocols: []awsapi.Protocol{awsapi.JSON10}, Encryption: s.encryption(),
		Operations: []awsapi.Operation{
			awsapi.Op("CreateTable", s.createTable, on(s, func(in *createTableIn) string { return in.TableName })),
			awsapi.Op("DescribeTable", s.describeTable, on(s, func(in *tableRef) string { return in.TableName })),
			awsapi.Op("DeleteTable", s.deleteTable, on(s, func(in *tableRef) string { return in.TableName })),
			awsapi.Op("UpdateTable", s.updateTable, on(s, func(in *updateTableIn) string { return in.TableName })),
			awsapi.Op("ListTables", s.listTables),
			awsapi.Op("UpdateTimeToLive", s.updateTimeToLive, on(s, func(in *timeToLiveIn) string {
				return in.TableName
			})),
			awsapi.Op("DescribeTimeToLive", s.describeTimeToLive, on(s, func(in *tableRef) string {
				return in.TableName
			})),
			awsapi.Op("UpdateContinuousBackups", s.updateBackups, on(s, func(in *backupsIn) string {
				return in.TableName
			})),
			awsapi.Op("DescribeContinuousBackups", s.describeBackups, on(s, func(in *tableRef) string {
				return in.TableName
			})),
			awsapi.Op("TagResource", s.tagResource, on(s, func(in *tagIn) string { return in.ResourceArn })),
			awsapi.Op("UntagResource", s.untagResource, on(s, func(in *tagIn) string { return in.ResourceArn })),
			awsapi.Op("ListTagsOfResource", s.listTags, on(s, func(in *tagIn) string { return in.ResourceArn })),
			awsapi.Op("PutItem", s.putItem, on(s, func(in *putIn) string { return in.TableName })),
			awsapi.Op("GetItem", s.getItem, on(s, func(in *getIn) string { return in.TableName })),
			awsapi.Op("UpdateItem", s.updateItem, on(s, func(in *updateIn) string { return in.TableName })),
			awsapi.Op("DeleteItem", s.deleteItem, on(s, func(in *deleteIn) string { return in.TableName })),
			awsapi.Op("Query", s.query, onPage(s, func(in *queryIn) *page { return &in.page })),
			awsapi.Op("Scan", s.scan, onPage(s, func(in *scanIn) *page { return &in.page })),
			awsapi.Op("BatchGetItem", s.batchGet, awsapi.On(func(_ *awsapi.Call, in *batchGetIn) []string {
				var arns []string
				for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
					arns = append(arns, s.arn(tableName(name)))
				}
				return arns
			})),
			awsapi.Op("BatchWriteItem", s.batchWrite, awsapi.On(func(_ *awsapi.Call, in *batchWriteIn) []string {
				var arns []string
				for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
					arns = append(arns, s.arn(tableName(name)))
				}
				return arns
			})),
			// Transactions need the permissions of their actions.
			awsapi.Op("TransactWriteItems", s.transactWrite, awsapi.Action("-")),
			awsapi.Op("TransactGetItems", s.transactGet, awsapi.Action("-")),
		},
		Unbuilt: strings.Fields(`BatchExecuteStatement CreateBackup CreateGlobalTable DeleteBackup DeleteResourcePolicy
			DescribeBackup DescribeContributorInsights DescribeEndpoints DescribeExport DescribeGlobalTable DescribeGlobalTableSettings
			DescribeImport DescribeKinesisStreamingDestination DescribeLimits DescribeTableReplicaAutoScaling DisableKinesisStreamingDestination
			EnableKinesisStreamingDestination ExecuteStatement ExecuteTransaction ExportTableToPointInTime GetResourcePolicy ImportTable
			ListBackups ListContributorInsights ListExports ListGlobalTables ListImports PutResourcePolicy RestoreTableFromBackup
			RestoreTableToPointInTime UpdateContributorInsights UpdateGlobalTable UpdateGlobalTableSettings
			UpdateKinesisStreamingDestination UpdateTableReplicaAutoScaling`),
	}
}

// on names the table an operation touches.
func on[In any](s *Service, name func(in *In) string) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string { return []string{s.arn(tableName(name(in)))} })
}

// onPage names the table, or the index of it, that a page is read from.
func onPage[In any](s *Service, of func(in *In) *page) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string {
		p := of(in)
		arn := s.arn(tableName(p.TableName))
		if p.IndexName != "" {
			arn += "/index/" + p.IndexName
		}
		return []string{arn}
	})
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("billing modes", "PAY_PER_REQUEST PROVISIONED")
	_ = constraint.Set("table classes", "STANDARD STANDARD_INFREQUENT_ACCESS")
)
