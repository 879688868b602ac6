// Package environment names the environment variables of the Lambda functions: the
// stack sets them (infra/app), the functions' constructors read them. Each function
// is given only those that it needs; one that is missing makes its constructor fail.
package environment

// Names of variables.
const (
	Table              = "TABLE_NAME"
	StateMachines      = "STATE_MACHINES" // what their ARNs begin with; the operation's name is the rest
	Operations         = "OPERATIONS"     // that are only a state machine, with commas between
	StartQueue         = "START_QUEUE_URL"
	FirmwareBucket     = "FIRMWARE_BUCKET"
	JobTemplate        = "JOB_TEMPLATE_ID"
	ControllerEndpoint = "CONTROLLER_ENDPOINT_ID"
	AgentTopic         = "AGENT_TOPIC"
	ControllerTopic    = "CONTROLLER_TOPIC"
	OutcomeTopic       = "OUTCOME_TOPIC_ARN"
	EventTopic         = "EVENT_TOPIC_ARN" // of domain events; "" for none
	CampaignTopic      = "CAMPAIGN_TOPIC_ARN"
	CampaignBucket     = "CAMPAIGN_BUCKET"   // of manifests, plans and reports
	MessageQueue       = "MESSAGE_QUEUE_URL" // of what devices say
	DataEndpoint       = "IOT_DATA_ENDPOINT" // URL
	JobsEndpoint       = "IOT_JOBS_ENDPOINT" // URL
	StackName          = "STACK_NAME"        // whose jobs are ours; "" for everybody's
	SourceHosts        = "SOURCE_HOSTS"      // beside S3, with commas between
	SigningKeys        = "SIGNING_KEYS"      // see upgrade.ParseKeys
	RequireSignature   = "REQUIRE_SIGNATURE" // true or false
	MetricsNamespace   = "METRICS_NAMESPACE"
	JobTags            = "JOB_TAGS"            // key=value, with commas between
	ImageBaseURL       = "IMAGE_BASE_URL"      // of a distribution before the bucket; "" for none
	ImageKeyPair       = "IMAGE_KEY_PAIR_ID"   // with it
	ImageKeyParameter  = "IMAGE_KEY_PARAMETER" // with it
	LogLevel           = "LOG_LEVEL"

	OnboardingPerMinute = "ONBOARDING_PER_MINUTE" // how many devices that appear are onboarded; 0 for none
)

// Live is the alias of every state machine by which executions are started: a deployment moves it to the new version.
const Live = "live"

// What prepare-account takes and gives, as property and attributes of its custom
// resource.
const (
	AccountJobsEndpoint = "JobsEndpoint" // property: a host, "" to find it; attribute: a URL
	AccountDataEndpoint = "DataEndpoint" // attribute: a URL

	DescriptorBucket = "DescriptorBucket" // properties of another custom resource: where USP's descriptor set goes
	DescriptorKey    = "DescriptorKey"
)
