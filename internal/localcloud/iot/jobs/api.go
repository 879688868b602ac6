package jobs

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value,omitempty"`
}

type createIn struct {
	JobID                      string            `json:"jobId" uri:"jobId"`
	Targets                    []string          `json:"targets"`
	DocumentSource             string            `json:"documentSource,omitempty"`
	Document                   string            `json:"document,omitempty"`
	Description                string            `json:"description,omitempty"`
	TargetSelection            string            `json:"targetSelection,omitempty"`
	Tags                       []tag             `json:"tags,omitempty"`
	NamespaceID                string            `json:"namespaceId,omitempty"`
	JobTemplateARN             string            `json:"jobTemplateArn,omitempty"`
	DocumentParameters         map[string]string `json:"documentParameters,omitempty"`
	SchedulingConfig           *Scheduling       `json:"schedulingConfig,omitempty"`
	DestinationPackageVersions []string          `json:"destinationPackageVersions,omitempty"`
	settings
}

type jobOut struct {
	JobARN      string `json:"jobArn"`
	JobID       string `json:"jobId"`
	Description string `json:"description,omitempty"`
}

type jobIn struct {
	JobID              string `json:"jobId" uri:"jobId"`
	BeforeSubstitution bool   `json:"beforeSubstitution,omitempty" query:"beforeSubstitution"`
}

type describeOut struct {
	DocumentSource string   `json:"documentSource,omitempty"`
	Job            *jobView `json:"job"`
}

type jobView struct {
	JobARN            string       `json:"jobArn"`
	JobID             string       `json:"jobId"`
	TargetSelection   string       `json:"targetSelection"`
	Status            string       `json:"status"`
	ForceCanceled     bool         `json:"forceCanceled,omitempty"`
	ReasonCode        string       `json:"reasonCode,omitempty"`
	Comment           string       `json:"comment,omitempty"`
	Targets           []string     `json:"targets"`
	Description       string       `json:"description,omitempty"`
	CreatedAt         *awsapi.Time `json:"createdAt,omitempty"`
	LastUpdatedAt     *awsapi.Time `json:"lastUpdatedAt,omitempty"`
	CompletedAt       *awsapi.Time `json:"completedAt,omitempty"`
	JobProcessDetails *processView `json:"jobProcessDetails"`
	JobTemplateARN    string       `json:"jobTemplateArn,omitempty"`
	IsConcurrent      bool         `json:"isConcurrent"`
	SchedulingConfig  *Scheduling  `json:"schedulingConfig,omitempty"`
	settings
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
	Status          string `json:"status,omitempty" query:"status"`
	TargetSelection string `json:"targetSelection,omitempty" query:"targetSelection"`
	MaxResults      int    `json:"maxResults,omitempty" query:"maxResults"`
	NextToken       string `json:"nextToken,omitempty" query:"nextToken"`
	ThingGroupName  string `json:"thingGroupName,omitempty" query:"thingGroupName"`
	ThingGroupID    string `json:"thingGroupId,omitempty" query:"thingGroupId"`
	NamespaceID     string `json:"namespaceId,omitempty" query:"namespaceId"`
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
	JobID       string  `json:"jobId" uri:"jobId"`
	Description *string `json:"description,omitempty"`
	NamespaceID string  `json:"namespaceId,omitempty" query:"namespaceId"`
	settings
}

type empty struct{}

type cancelIn struct {
	JobID      string `json:"jobId" uri:"jobId"`
	ReasonCode string `json:"reasonCode,omitempty"`
	Comment    string `json:"comment,omitempty"`
	Force      bool   `json:"force,omitempty" query:"force"`
}

type deleteIn struct {
	JobID       string `json:"jobId" uri:"jobId"`
	Force       bool   `json:"force,omitempty" query:"force"`
	NamespaceID string `json:"namespaceId,omitempty" query:"namespaceId"`
}

type documentOut struct {
	Document string `json:"document"`
}

type associateIn struct {
	JobID       string   `json:"jobId" uri:"jobId"`
	Targets     []string `json:"targets"`
	Comment     string   `json:"comment,omitempty"`
	NamespaceID string   `json:"namespaceId,omitempty" query:"namespaceId"`
}

type executionsForJobIn struct {
	JobID      string `json:"jobId" uri:"jobId"`
	Status     string `json:"status,omitempty" query:"status"`
	MaxResults int    `json:"maxResults,omitempty" query:"maxResults"`
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
	ThingName   string `json:"thingName" uri:"thingName"`
	Status      string `json:"status,omitempty" query:"status"`
	NamespaceID string `json:"namespaceId,omitempty" query:"namespaceId"`
	MaxResults  int    `json:"maxResults,omitempty" query:"maxResults"`
	NextToken   string `json:"nextToken,omitempty" query:"nextToken"`
	JobID       string `json:"jobId,omitempty" query:"jobId"`
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
	JobID           string `json:"jobId" uri:"jobId"`
	ThingName       string `json:"thingName" uri:"thingName"`
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
	JobID           string            `json:"jobId" uri:"jobId"`
	ThingName       string            `json:"thingName" uri:"thingName"`
	Force           bool              `json:"force,omitempty" query:"force"`
	ExpectedVersion *int64            `json:"expectedVersion,omitempty"`
	StatusDetails   map[string]string `json:"statusDetails,omitempty"`
}

type deleteExecutionIn struct {
	JobID           string `json:"jobId" uri:"jobId"`
	ThingName       string `json:"thingName" uri:"thingName"`
	ExecutionNumber int64  `json:"executionNumber" uri:"executionNumber"`
	Force           bool   `json:"force,omitempty" query:"force"`
	NamespaceID     string `json:"namespaceId,omitempty" query:"namespaceId"`
}

type createTemplateIn struct {
	JobTemplateID              string   `json:"jobTemplateId" uri:"jobTemplateId"`
	JobARN                     string   `json:"jobArn,omitempty"`
	DocumentSource             string   `json:"documentSource,omitempty"`
	Document                   string   `json:"document,omitempty"`
	Description                string   `json:"description"`
	Tags                       []tag    `json:"tags,omitempty"`
	MaintenanceWindows         []Window `json:"maintenanceWindows,omitempty"`
	DestinationPackageVersions []string `json:"destinationPackageVersions,omitempty"`
	settings
}

type createTemplateOut struct {
	JobTemplateARN string `json:"jobTemplateArn"`
	JobTemplateID  string `json:"jobTemplateId"`
}

type templateIn struct {
	JobTemplateID string `json:"jobTemplateId" uri:"jobTemplateId"`
}

type templateView struct {
	JobTemplateARN string       `json:"jobTemplateArn"`
	JobTemplateID  string       `json:"jobTemplateId"`
	Description    string       `json:"description,omitempty"`
	DocumentSource string       `json:"documentSource,omitempty"`
	Document       string       `json:"document,omitempty"`
	CreatedAt      *awsapi.Time `json:"createdAt,omitempty"`
	settings
}

type listTemplatesIn struct {
	MaxResults int    `json:"maxResults,omitempty" query:"maxResults"`
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

// Operations are the operations of AWS IoT Jobs, to be served under iot.
func (s *Service) Operations() []awsapi.Operation {
	job := func(c *awsapi.Call, id string) []string { return []string{c.ARN("iot", "job/"+id)} }
	pair := func(c *awsapi.Call, thing, id string) []string {
		return []string{c.ARN("iot", "job/"+id), c.ARN("iot", "thing/"+thing)}
	}
	return []awsapi.Operation{
		awsapi.Op("CreateJob", s.createJob, awsapi.REST("PUT", "/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *createIn) []string {
				arns := append(job(c, in.JobID), in.Targets...)
				if in.JobTemplateARN != "" {
					arns = append(arns, in.JobTemplateARN)
				}
				return arns
			})),
		awsapi.Op("DescribeJob", s.describeJob, awsapi.REST("GET", "/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *jobIn) []string { return job(c, in.JobID) })),
		awsapi.Op("ListJobs", s.listJobs, awsapi.REST("GET", "/jobs")),
		awsapi.Op("UpdateJob", s.updateJob, awsapi.REST("PATCH", "/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *updateIn) []string { return job(c, in.JobID) })),
		awsapi.Op("CancelJob", s.cancelJob, awsapi.REST("PUT", "/jobs/{jobId}/cancel"),
			awsapi.On(func(c *awsapi.Call, in *cancelIn) []string { return job(c, in.JobID) })),
		awsapi.Op("DeleteJob", s.deleteJob, awsapi.REST("DELETE", "/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *deleteIn) []string { return job(c, in.JobID) })),
		awsapi.Op("GetJobDocument", s.getJobDocument, awsapi.REST("GET", "/jobs/{jobId}/job-document"),
			awsapi.On(func(c *awsapi.Call, in *jobIn) []string { return job(c, in.JobID) })),
		awsapi.Op("AssociateTargetsWithJob", s.associateTargets, awsapi.REST("POST", "/jobs/{jobId}/targets"),
			awsapi.On(func(c *awsapi.Call, in *associateIn) []string { return append(job(c, in.JobID), in.Targets...) })),
		awsapi.Op("ListJobExecutionsForJob", s.executionsForJob, awsapi.REST("GET", "/jobs/{jobId}/things"),
			awsapi.On(func(c *awsapi.Call, in *executionsForJobIn) []string { return job(c, in.JobID) })),
		awsapi.Op("ListJobExecutionsForThing", s.executionsForThing, awsapi.REST("GET", "/things/{thingName}/jobs"),
			awsapi.On(func(c *awsapi.Call, in *executionsForThingIn) []string {
				return []string{c.ARN("iot", "thing/"+in.ThingName)}
			})),
		awsapi.Op("DescribeJobExecution", s.describeExecution, awsapi.REST("GET", "/things/{thingName}/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *describeExecutionIn) []string { return pair(c, in.ThingName, in.JobID) })),
		awsapi.Op("CancelJobExecution", s.cancelExecution, awsapi.REST("PUT", "/things/{thingName}/jobs/{jobId}/cancel"),
			awsapi.On(func(c *awsapi.Call, in *cancelExecutionIn) []string { return pair(c, in.ThingName, in.JobID) })),
		awsapi.Op("DeleteJobExecution", s.deleteExecution, awsapi.REST("DELETE", "/things/{thingName}/jobs/{jobId}/executionNumber/{executionNumber}"),
			awsapi.On(func(c *awsapi.Call, in *deleteExecutionIn) []string { return pair(c, in.ThingName, in.JobID) })),
		awsapi.Op("CreateJobTemplate", s.createTemplate, awsapi.REST("PUT", "/job-templates/{jobTemplateId}"),
			awsapi.On(func(c *awsapi.Call, in *createTemplateIn) []string {
				arns := []string{c.ARN("iot", "jobtemplate/"+in.JobTemplateID)}
				if in.JobARN != "" {
					arns = append(arns, in.JobARN)
				}
				return arns
			})),
		awsapi.Op("DescribeJobTemplate", s.describeTemplate, awsapi.REST("GET", "/job-templates/{jobTemplateId}"),
			awsapi.On(func(c *awsapi.Call, in *templateIn) []string {
				return []string{c.ARN("iot", "jobtemplate/"+in.JobTemplateID)}
			})),
		awsapi.Op("ListJobTemplates", s.listTemplates, awsapi.REST("GET", "/job-templates")),
		awsapi.Op("DeleteJobTemplate", s.deleteTemplate, awsapi.REST("DELETE", "/job-templates/{jobTemplateId}"),
			awsapi.On(func(c *awsapi.Call, in *templateIn) []string {
				return []string{c.ARN("iot", "jobtemplate/"+in.JobTemplateID)}
			})),
	}
}
