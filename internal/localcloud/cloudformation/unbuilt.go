package cloudformation

// unbuilt are the operations of AWS CloudFormation that the local cloud does not have.
var unbuilt = []string{
	"ActivateOrganizationsAccess", "ActivateType", "BatchDescribeTypeConfigurations", "CancelUpdateStack",
	"ContinueUpdateRollback", "CreateChangeSet", "CreateGeneratedTemplate", "CreateStackInstances",
	"CreateStackRefactor", "CreateStackSet", "DeactivateOrganizationsAccess", "DeactivateType", "DeleteChangeSet",
	"DeleteGeneratedTemplate", "DeleteStackInstances", "DeleteStackSet", "DeregisterType", "DescribeAccountLimits",
	"DescribeChangeSet", "DescribeChangeSetHooks", "DescribeEvents", "DescribeGeneratedTemplate",
	"DescribeOrganizationsAccess", "DescribePublisher", "DescribeResourceScan", "DescribeStackDriftDetectionStatus",
	"DescribeStackEvents", "DescribeStackInstance", "DescribeStackRefactor", "DescribeStackResourceDrifts",
	"DescribeStackSet", "DescribeStackSetOperation", "DescribeType", "DescribeTypeRegistration", "DetectStackDrift",
	"DetectStackResourceDrift", "DetectStackSetDrift", "EstimateTemplateCost", "ExecuteChangeSet",
	"ExecuteStackRefactor", "GetGeneratedTemplate", "GetHookResult", "GetStackPolicy", "GetTemplateSummary",
	"ImportStacksToStackSet", "ListChangeSets", "ListExports", "ListGeneratedTemplates", "ListHookResults",
	"ListImports", "ListResourceScanRelatedResources", "ListResourceScanResources", "ListResourceScans",
	"ListStackInstanceResourceDrifts", "ListStackInstances", "ListStackRefactorActions", "ListStackRefactors",
	"ListStackSetAutoDeploymentTargets", "ListStackSetOperationResults", "ListStackSetOperations", "ListStackSets",
	"ListTypeRegistrations", "ListTypeVersions", "ListTypes", "PublishType", "RecordHandlerProgress",
	"RegisterPublisher", "RegisterType", "RollbackStack", "SetStackPolicy", "SetTypeConfiguration",
	"SetTypeDefaultVersion", "SignalResource", "StartResourceScan", "StopStackSetOperation", "TestType",
	"UpdateGeneratedTemplate", "UpdateStackInstances", "UpdateStackSet", "UpdateTerminationProtection",
}
