package cloudformation

// unbuilt are the operations of AWS CloudFormation that the local cloud does not have.
var unbuilt = []string{
	"ActivateOrganizationsAccess", "ActivateType", "BatchDescribeTypeConfigurations", "CancelUpdateStack",
	"CreateGeneratedTemplate", "CreateStackInstances", "CreateStackRefactor", "CreateStackSet",
	"DeactivateOrganizationsAccess", "DeactivateType", "DeleteGeneratedTemplate", "DeleteStackInstances",
	"DeleteStackSet", "DeregisterType", "DescribeChangeSetHooks", "DescribeEvents", "DescribeGeneratedTemplate",
	"DescribeOrganizationsAccess", "DescribePublisher", "DescribeResourceScan", "DescribeStackDriftDetectionStatus",
	"DescribeStackInstance", "DescribeStackRefactor", "DescribeStackResourceDrifts", "DescribeStackSet",
	"DescribeStackSetOperation", "DescribeType", "DescribeTypeRegistration", "DetectStackDrift",
	"DetectStackResourceDrift", "DetectStackSetDrift", "EstimateTemplateCost", "ExecuteStackRefactor",
	"GetGeneratedTemplate", "GetHookResult", "ImportStacksToStackSet", "ListGeneratedTemplates", "ListHookResults",
	"ListResourceScanRelatedResources", "ListResourceScanResources", "ListResourceScans",
	"ListStackInstanceResourceDrifts", "ListStackInstances", "ListStackRefactorActions", "ListStackRefactors",
	"ListStackSetAutoDeploymentTargets", "ListStackSetOperationResults", "ListStackSetOperations", "ListStackSets",
	"ListTypeRegistrations", "ListTypeVersions", "ListTypes", "PublishType", "RecordHandlerProgress",
	"RegisterPublisher", "RegisterType", "SetTypeConfiguration", "SetTypeDefaultVersion", "SignalResource",
	"StartResourceScan", "StopStackSetOperation", "TestType", "UpdateGeneratedTemplate", "UpdateStackInstances",
	"UpdateStackSet",
}
