package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

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
			awsapi.On(func(c *awsapi.Call, in *associateIn) []string {
				return append(job(c, in.JobID), in.Targets...)
			})),
		awsapi.Op("ListJobExecutionsForJob", s.executionsForJob, awsapi.REST("GET", "/jobs/{jobId}/things"),
			awsapi.On(func(c *awsapi.Call, in *executionsForJobIn) []string { return job(c, in.JobID) })),
		awsapi.Op("ListJobExecutionsForThing", s.executionsForThing, awsapi.REST("GET", "/things/{thingName}/jobs"),
			awsapi.On(func(c *awsapi.Call, in *executionsForThingIn) []string {
				return []string{c.ARN("iot", "thing/"+in.ThingName)}
			})),
		awsapi.Op("DescribeJobExecution", s.describeExecution, awsapi.REST("GET", "/things/{thingName}/jobs/{jobId}"),
			awsapi.On(func(c *awsapi.Call, in *describeExecutionIn) []string {
				return pair(c, in.ThingName, in.JobID)
			})),
		awsapi.Op("CancelJobExecution", s.cancelExecution,
			awsapi.REST("PUT", "/things/{thingName}/jobs/{jobId}/cancel"),
			awsapi.On(func(c *awsapi.Call, in *cancelExecutionIn) []string {
				return pair(c, in.ThingName, in.JobID)
			})),
		awsapi.Op("DeleteJobExecution", s.deleteExecution,
			awsapi.REST("DELETE", "/things/{thingName}/jobs/{jobId}/executionNumber/{executionNumber}"),
			awsapi.On(func(c *awsapi.Call, in *deleteExecutionIn) []string {
				return pair(c, in.ThingName, in.JobID)
			})),
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

// Values that members take, for their tags.
var (
	_ = constraint.Set("job execution states",
		"QUEUED IN_PROGRESS SUCCEEDED FAILED TIMED_OUT REJECTED REMOVED CANCELED")
	_ = constraint.Set("target selections", "CONTINUOUS SNAPSHOT")
)
