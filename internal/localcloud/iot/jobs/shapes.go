package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
)

// shown is a stored time as the API shows it, nil for none.
func shown(ms int64) *awsapi.Time { return awsapi.TimeOf(moment(ms)) }

type tag struct {
	Key   string `json:"Key" api:"min=1,max=128,pattern=tag text"`
	Value string `json:"Value,omitempty" api:"max=256"`
}

type createIn struct {
	JobID                      string                    `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Targets                    []string                  `json:"targets" api:"min=1,each.max=2048"`
	DocumentSource             string                    `json:"documentSource,omitempty" api:"min=1,max=1350"`
	Document                   string                    `json:"document,omitempty" api:"max=32768"`
	Description                string                    `json:"description,omitempty" api:"max=2028,pattern=printable"`
	TargetSelection            string                    `json:"targetSelection,omitempty" api:"set=target selections"`
	Tags                       []tag                     `json:"tags,omitempty"`
	NamespaceID                string                    `json:"namespaceId,omitempty" api:"pattern=job id"`
	JobTemplateARN             string                    `json:"jobTemplateArn,omitempty" api:"min=1,max=1600,pattern=iot arn"`
	DocumentParameters         map[string]string         `json:"documentParameters,omitempty" api:"each.min=1,each.max=30720,each.pattern=printable,key.min=1,key.max=128,key.pattern=job id"`
	SchedulingConfig           *configuration.Scheduling `json:"schedulingConfig,omitempty"`
	DestinationPackageVersions []string                  `json:"destinationPackageVersions,omitempty" api:"each.min=1,each.max=1600,each.pattern=iot arn"`
	configuration.Settings
}

type jobOut struct {
	JobARN      string `json:"jobArn"`
	JobID       string `json:"jobId"`
	Description string `json:"description,omitempty"`
}

type jobIn struct {
	JobID              string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	BeforeSubstitution bool   `json:"beforeSubstitution,omitempty" query:"beforeSubstitution"`
}

type describeOut struct {
	DocumentSource string   `json:"documentSource,omitempty"`
	Job            *jobView `json:"job"`
}

type jobView struct {
	JobARN            string                    `json:"jobArn"`
	JobID             string                    `json:"jobId"`
	TargetSelection   string                    `json:"targetSelection"`
	Status            string                    `json:"status"`
	ForceCanceled     bool                      `json:"forceCanceled,omitempty"`
	ReasonCode        string                    `json:"reasonCode,omitempty"`
	Comment           string                    `json:"comment,omitempty"`
	Targets           []string                  `json:"targets"`
	Description       string                    `json:"description,omitempty"`
	CreatedAt         *awsapi.Time              `json:"createdAt,omitempty"`
	LastUpdatedAt     *awsapi.Time              `json:"lastUpdatedAt,omitempty"`
	CompletedAt       *awsapi.Time              `json:"completedAt,omitempty"`
	JobProcessDetails *processView              `json:"jobProcessDetails"`
	JobTemplateARN    string                    `json:"jobTemplateArn,omitempty"`
	IsConcurrent      bool                      `json:"isConcurrent"`
	SchedulingConfig  *configuration.Scheduling `json:"schedulingConfig,omitempty"`
	configuration.Settings
}

type processView struct {
	ProcessingTargets        []string `json:"processingTargets,omitempty"`
	NumberOfCanceledThings   int      `json:"numberOfCanceledThings"`
	NumberOfSucceededThings  int      `json:"numberOfSucceededThings"`
	NumberOfFailedThings     int      `json:"numberOfFailedThings"`
	NumberOfRejectedThings   int      `json:"numberOfRejectedThings"`
	NumberOfQueuedThings     int      `json:"numberOfQueuedThings"`
	NumberOfInProgressThings int      `json:"numberOfInProgressThings"`
	NumberOfRemovedThings    int      `json:"numberOfRemovedThings"`
	NumberOfTimedOutThings   int      `json:"numberOfTimedOutThings"`
}

type listJobsIn struct {
	Status          string `json:"status,omitempty" query:"status" api:"values=IN_PROGRESS|CANCELED|COMPLETED|DELETION_IN_PROGRESS|SCHEDULED"`
	TargetSelection string `json:"targetSelection,omitempty" query:"targetSelection" api:"set=target selections"`
	MaxResults      *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	NextToken       string `json:"nextToken,omitempty" query:"nextToken"`
	ThingGroupName  string `json:"thingGroupName,omitempty" query:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	ThingGroupID    string `json:"thingGroupId,omitempty" query:"thingGroupId" api:"min=1,max=128,pattern=thing group id"`
	NamespaceID     string `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
}

type listJobsOut struct {
	Jobs      []jobSummary `json:"jobs"`
	NextToken string       `json:"nextToken,omitempty"`
}

type jobSummary struct {
	JobARN          string       `json:"jobArn"`
	JobID           string       `json:"jobId"`
	TargetSelection string       `json:"targetSelection"`
	Status          string       `json:"status"`
	CreatedAt       *awsapi.Time `json:"createdAt,omitempty"`
	LastUpdatedAt   *awsapi.Time `json:"lastUpdatedAt,omitempty"`
	CompletedAt     *awsapi.Time `json:"completedAt,omitempty"`
	IsConcurrent    bool         `json:"isConcurrent"`
}

type updateIn struct {
	JobID       string  `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Description *string `json:"description,omitempty" api:"max=2028,pattern=printable"`
	NamespaceID string  `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
	configuration.Settings
}

type empty struct{}

type cancelIn struct {
	JobID      string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	ReasonCode string `json:"reasonCode,omitempty" api:"max=128,pattern=reason code"`
	Comment    string `json:"comment,omitempty" api:"max=2028,pattern=printable"`
	Force      bool   `json:"force,omitempty" query:"force"`
}

type deleteIn struct {
	JobID       string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Force       bool   `json:"force,omitempty" query:"force"`
	NamespaceID string `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
}

type documentOut struct {
	Document string `json:"document"`
}

type associateIn struct {
	JobID       string   `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Targets     []string `json:"targets" api:"min=1,each.max=2048"`
	Comment     string   `json:"comment,omitempty" api:"max=2028,pattern=printable"`
	NamespaceID string   `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
}

type executionsForJobIn struct {
	JobID      string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Status     string `json:"status,omitempty" query:"status" api:"set=job execution states"`
	MaxResults *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	NextToken  string `json:"nextToken,omitempty" query:"nextToken"`
}

type executionsForJobOut struct {
	ExecutionSummaries []executionForJob `json:"executionSummaries"`
	NextToken          string            `json:"nextToken,omitempty"`
}

type executionForJob struct {
	ThingARN            string           `json:"thingArn"`
	JobExecutionSummary executionSummary `json:"jobExecutionSummary"`
}

type executionSummary struct {
	Status          string       `json:"status"`
	QueuedAt        *awsapi.Time `json:"queuedAt,omitempty"`
	StartedAt       *awsapi.Time `json:"startedAt,omitempty"`
	LastUpdatedAt   *awsapi.Time `json:"lastUpdatedAt,omitempty"`
	ExecutionNumber int64        `json:"executionNumber"`
	RetryAttempt    int          `json:"retryAttempt,omitempty"`
}

type executionsForThingIn struct {
	ThingName   string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	Status      string `json:"status,omitempty" query:"status" api:"set=job execution states"`
	NamespaceID string `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
	MaxResults  *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	NextToken   string `json:"nextToken,omitempty" query:"nextToken"`
	JobID       string `json:"jobId,omitempty" query:"jobId" api:"min=1,max=64,pattern=job id"`
}

type executionsForThingOut struct {
	ExecutionSummaries []executionForThing `json:"executionSummaries"`
	NextToken          string              `json:"nextToken,omitempty"`
}

type executionForThing struct {
	JobID               string           `json:"jobId"`
	JobExecutionSummary executionSummary `json:"jobExecutionSummary"`
}

type describeExecutionIn struct {
	JobID           string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	ThingName       string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	ExecutionNumber int64  `json:"executionNumber,omitempty" query:"executionNumber"`
}

type describeExecutionOut struct {
	Execution executionView `json:"execution"`
}

type executionView struct {
	JobID                            string       `json:"jobId"`
	Status                           string       `json:"status"`
	ForceCanceled                    bool         `json:"forceCanceled"`
	StatusDetails                    detailsView  `json:"statusDetails"`
	ThingARN                         string       `json:"thingArn"`
	QueuedAt                         *awsapi.Time `json:"queuedAt,omitempty"`
	StartedAt                        *awsapi.Time `json:"startedAt,omitempty"`
	LastUpdatedAt                    *awsapi.Time `json:"lastUpdatedAt,omitempty"`
	ExecutionNumber                  int64        `json:"executionNumber"`
	VersionNumber                    int64        `json:"versionNumber"`
	ApproximateSecondsBeforeTimedOut *int64       `json:"approximateSecondsBeforeTimedOut,omitempty"`
}

type detailsView struct {
	DetailsMap map[string]string `json:"detailsMap"`
}

type cancelExecutionIn struct {
	JobID           string            `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	ThingName       string            `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	Force           bool              `json:"force,omitempty" query:"force"`
	ExpectedVersion *int64            `json:"expectedVersion,omitempty"`
	StatusDetails   map[string]string `json:"statusDetails,omitempty" api:"each.min=1,each.pattern=printable,key.min=1,key.max=128,key.pattern=thing name"`
}

type deleteExecutionIn struct {
	JobID           string `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	ThingName       string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	ExecutionNumber int64  `json:"executionNumber" uri:"executionNumber"`
	Force           bool   `json:"force,omitempty" query:"force"`
	NamespaceID     string `json:"namespaceId,omitempty" query:"namespaceId" api:"pattern=job id"`
}

type createTemplateIn struct {
	JobTemplateID              string                 `json:"jobTemplateId" uri:"jobTemplateId" api:"min=1,max=64,pattern=job id"`
	JobARN                     string                 `json:"jobArn,omitempty"`
	DocumentSource             string                 `json:"documentSource,omitempty" api:"min=1,max=1350"`
	Document                   string                 `json:"document,omitempty" api:"max=32768"`
	Description                string                 `json:"description" api:"max=2028,pattern=printable"`
	Tags                       []tag                  `json:"tags,omitempty"`
	MaintenanceWindows         []configuration.Window `json:"maintenanceWindows,omitempty"`
	DestinationPackageVersions []string               `json:"destinationPackageVersions,omitempty" api:"each.min=1,each.max=1600,each.pattern=iot arn"`
	configuration.Settings
}

type createTemplateOut struct {
	JobTemplateARN string `json:"jobTemplateArn"`
	JobTemplateID  string `json:"jobTemplateId"`
}

type templateIn struct {
	JobTemplateID string `json:"jobTemplateId" uri:"jobTemplateId" api:"min=1,max=64,pattern=job id"`
}

type templateView struct {
	JobTemplateARN string       `json:"jobTemplateArn"`
	JobTemplateID  string       `json:"jobTemplateId"`
	Description    string       `json:"description,omitempty"`
	DocumentSource string       `json:"documentSource,omitempty"`
	Document       string       `json:"document,omitempty"`
	CreatedAt      *awsapi.Time `json:"createdAt,omitempty"`
	configuration.Settings
}

type listTemplatesIn struct {
	MaxResults *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	NextToken  string `json:"nextToken,omitempty" query:"nextToken"`
}

type templateSummary struct {
	JobTemplateARN string       `json:"jobTemplateArn"`
	JobTemplateID  string       `json:"jobTemplateId"`
	Description    string       `json:"description,omitempty"`
	CreatedAt      *awsapi.Time `json:"createdAt,omitempty"`
}

type listTemplatesOut struct {
	JobTemplates []templateSummary `json:"jobTemplates"`
	NextToken    string            `json:"nextToken,omitempty"`
}
