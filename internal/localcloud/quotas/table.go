package quotas

// Pages that quotas are from, as they stood in the middle of 2026.
const (
	stepFunctions = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"
	lambdaLimits  = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
	lambdaScaling = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"
	iotCore       = "https://docs.aws.amazon.com/general/latest/gr/iot-core.html"
	iotManagement = "https://docs.aws.amazon.com/general/latest/gr/iot_device_management.html"
	iotJobs       = "https://docs.aws.amazon.com/iot/latest/developerguide/job-limits.html"
	snsLimits     = "https://docs.aws.amazon.com/general/latest/gr/sns.html"
	ssmLimits     = "https://docs.aws.amazon.com/general/latest/gr/ssm.html"
	metricLimits  = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html"
	logLimits     = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"
)

// quota is how often operations of a service, together, may be called in a second.
type quota struct {
	name       string
	service    string // awsapi.Service.ID
	operations []string
	rate       float64 // refilled each second
	burst      float64 // what the bucket holds; 0 is the rate
	source     string

	// Those of a new account, 0 if they are the same.
	newRate, newBurst float64
}

// The rates of Step Functions are those of the large regions. AWS says that new
// accounts have lower ones and not which: they are taken for those of the other
// regions.
var table = []quota{
	{name: "states:StartExecution", service: "sfn", operations: []string{"StartExecution"},
		rate: 300, burst: 1300, source: stepFunctions, newRate: 150, newBurst: 800},
	{name: "states:SendTaskSuccess", service: "sfn", operations: []string{"SendTaskSuccess"},
		rate: 500, burst: 3000, source: stepFunctions, newRate: 300, newBurst: 1500},
	{name: "states:SendTaskFailure", service: "sfn", operations: []string{"SendTaskFailure"},
		rate: 500, burst: 3000, source: stepFunctions, newRate: 300, newBurst: 1500},
	{name: "states:SendTaskHeartbeat", service: "sfn", operations: []string{"SendTaskHeartbeat"},
		rate: 500, burst: 3000, source: stepFunctions, newRate: 300, newBurst: 1500},
	{name: "states:GetActivityTask", service: "sfn", operations: []string{"GetActivityTask"},
		rate: 500, burst: 3000, source: stepFunctions, newRate: 300, newBurst: 1500},
	{name: "states:DescribeExecution", service: "sfn", operations: []string{"DescribeExecution"},
		rate: 15, burst: 300, source: stepFunctions, newRate: 10, newBurst: 250},
	{name: "states:GetExecutionHistory", service: "sfn", operations: []string{"GetExecutionHistory"},
		rate: 20, burst: 400, source: stepFunctions},
	{name: "states:ListExecutions", service: "sfn", operations: []string{"ListExecutions"},
		rate: 5, burst: 200, source: stepFunctions, newRate: 2, newBurst: 100},
	{name: "states:StopExecution", service: "sfn", operations: []string{"StopExecution"},
		rate: 200, burst: 1000, source: stepFunctions, newRate: 25, newBurst: 500},
	{name: "states:RedriveExecution", service: "sfn", operations: []string{"RedriveExecution"},
		rate: 300, burst: 1300, source: stepFunctions, newRate: 150, newBurst: 800},
	{name: "states:DescribeStateMachine", service: "sfn", operations: []string{"DescribeStateMachine"},
		rate: 20, burst: 200, source: stepFunctions},
	{name: "states:ListStateMachines", service: "sfn", operations: []string{"ListStateMachines"},
		rate: 5, burst: 100, source: stepFunctions},
	{name: "states:CreateStateMachine", service: "sfn", operations: []string{"CreateStateMachine"},
		rate: 1, burst: 100, source: stepFunctions},
	{name: "states:UpdateStateMachine", service: "sfn", operations: []string{"UpdateStateMachine"},
		rate: 1, burst: 100, source: stepFunctions},

	// 10 requests a second for each of the concurrent executions.
	{name: "lambda:Invoke", service: "lambda", operations: []string{"Invoke"},
		rate: 10_000, source: lambdaScaling, newRate: 100},

	// Shared by the two that write, and by the two that read, for the whole account; not to be raised.
	{name: "iotjobsdata writes", service: "iotjobsdataplane",
		operations: []string{"UpdateJobExecution", "StartNextPendingJobExecution"}, rate: 200, source: iotJobs},
	{name: "iotjobsdata reads", service: "iotjobsdataplane",
		operations: []string{"DescribeJobExecution", "GetPendingJobExecutions"}, rate: 200, source: iotJobs},
	{name: "iot:CreateJob", service: "iot", operations: []string{"CreateJob"}, rate: 10, source: iotManagement},
	{name: "iot:DescribeJob", service: "iot", operations: []string{"DescribeJob"}, rate: 10, source: iotManagement},
	{name: "iot:CancelJob", service: "iot", operations: []string{"CancelJob"}, rate: 10, source: iotManagement},
	{name: "iot:DescribeJobExecution", service: "iot", operations: []string{"DescribeJobExecution"},
		rate: 10, source: iotManagement},
	{name: "iot:CancelJobExecution", service: "iot", operations: []string{"CancelJobExecution"},
		rate: 10, source: iotManagement},
	{name: "iot:ListJobExecutionsForJob", service: "iot", operations: []string{"ListJobExecutionsForJob"},
		rate: 10, source: iotManagement},
	{name: "iot:ListJobExecutionsForThing", service: "iot", operations: []string{"ListJobExecutionsForThing"},
		rate: 10, source: iotManagement},
	{name: "iot:ListJobs", service: "iot", operations: []string{"ListJobs"}, rate: 10, source: iotManagement},
	{name: "iot:SearchIndex", service: "iot", operations: []string{"SearchIndex"}, rate: 15, source: iotManagement},

	{name: "iot:DescribeThing", service: "iot", operations: []string{"DescribeThing"}, rate: 350, source: iotCore},
	{name: "iot:UpdateThing", service: "iot", operations: []string{"UpdateThing"}, rate: 100, source: iotCore},
	{name: "iot:CreateThing", service: "iot", operations: []string{"CreateThing"}, rate: 100, source: iotCore},
	{name: "iot:DeleteThing", service: "iot", operations: []string{"DeleteThing"}, rate: 100, source: iotCore},
	{name: "iot:AttachThingPrincipal", service: "iot", operations: []string{"AttachThingPrincipal"},
		rate: 100, source: iotCore},
	{name: "iot:AddThingToThingGroup", service: "iot", operations: []string{"AddThingToThingGroup"},
		rate: 100, source: iotCore},
	{name: "iot:ListThings", service: "iot", operations: []string{"ListThings"}, rate: 10, source: iotCore},
	{name: "iot:ListThingsInThingGroup", service: "iot", operations: []string{"ListThingsInThingGroup"},
		rate: 25, source: iotCore},
	{name: "iot:CreateThingGroup", service: "iot", operations: []string{"CreateThingGroup"}, rate: 25,
		source: iotCore},
	{name: "iot:CreateTopicRule", service: "iot", operations: []string{"CreateTopicRule"}, rate: 5, source: iotCore},
	{name: "iot:Publish", service: "iotdataplane", operations: []string{"Publish"}, rate: 20_000, source: iotCore},

	// A standard topic in us-east-1.
	{name: "sns:Publish", service: "sns", operations: []string{"Publish", "PublishBatch"}, rate: 30_000,
		source: snsLimits},
	{name: "ssm:GetParameter", service: "ssm", operations: []string{"GetParameter", "GetParameters",
		"GetParametersByPath"},
		rate: 40, source: ssmLimits},
	{name: "cloudwatch:PutMetricData", service: "cloudwatch", operations: []string{"PutMetricData"},
		rate: 500, source: metricLimits},
	{name: "logs:PutLogEvents", service: "cloudwatchlogs", operations: []string{"PutLogEvents"},
		rate: 5000, source: logLimits},
}

// The concurrent executions of Lambda, of which there are 1,000 by default. A new
// account has fewer, and AWS does not say how many; 10 is what is seen.
const (
	Concurrency    = 1000 // source: lambdaLimits
	newConcurrency = 10   // source: lambdaScaling, "New AWS accounts have reduced concurrency and memory quotas"
)

// concurrency is the quota's name.
const concurrency = "lambda concurrent executions"
