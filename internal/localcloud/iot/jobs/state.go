package jobs

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Statuses of a job.
const (
	Scheduled          = "SCHEDULED"
	InProgress         = "IN_PROGRESS" // of an execution too
	Completed          = "COMPLETED"
	Canceled           = "CANCELED" // of an execution too
	DeletionInProgress = "DELETION_IN_PROGRESS"
)

// Statuses of an execution.
const (
	Queued    = "QUEUED"
	Succeeded = "SUCCEEDED"
	Failed    = "FAILED"
	TimedOut  = "TIMED_OUT"
	Rejected  = "REJECTED"
	Removed   = "REMOVED"
)

func terminal(status string) bool { return status != Queued && status != InProgress }

// Steps that a job may be at.
const (
	resting    = ""
	starting   = "start" // waits for startTime
	resolving  = "resolve"
	rollingOut = "rollout"
	canceling  = "cancel"
	ending     = "end" // executions are canceled because endTime has passed
	deleting   = "delete"
)

// Values of targetSelection.
const (
	snapshotSelection   = "SNAPSHOT"
	continuousSelection = "CONTINUOUS"
)

// template is a job template's record.
type template struct {
	Description    string `json:"description"`
	DocumentSource string `json:"source,omitempty"`
	Document       string `json:"document"`
	Created        int64  `json:"created"`
	configuration.Settings
}

// job is a job's record; its document is kept apart.
type job struct {
	ID             string                      `json:"id"`
	Status         string                      `json:"status"`
	Selection      string                      `json:"selection"`
	Targets        []string                    `json:"targets"`
	ForceCanceled  bool                        `json:"force,omitempty"`
	ReasonCode     string                      `json:"reason,omitempty"`
	Comment        string                      `json:"comment,omitempty"`
	Description    string                      `json:"description,omitempty"`
	DocumentSource string                      `json:"source,omitempty"`
	Presigned      *configuration.PresignedURL `json:"presigned,omitempty"`
	Rollout        *configuration.Rollout      `json:"rollout,omitempty"`
	Abort          *configuration.Abort        `json:"abort,omitempty"`
	Timeout        *configuration.Timeout      `json:"timeout,omitempty"`
	Retry          *configuration.Retry        `json:"retry,omitempty"`
	Scheduling     *configuration.Scheduling   `json:"scheduling,omitempty"`
	TemplateARN    string                      `json:"template,omitempty"`
	Created        int64                       `json:"created"`
	Updated        int64                       `json:"updated"`
	Completed      int64                       `json:"completed,omitempty"`
	Start          int64                       `json:"start,omitempty"` // of the schedule
	End            int64                       `json:"end,omitempty"`
	Ended          bool                        `json:"ended,omitempty"`
	Work           string                      `json:"work,omitempty"`
	NextAt         int64                       `json:"nextAt,omitempty"` // key of the job's row in due
	ResolveTarget  int                         `json:"resolveTarget,omitempty"`
	ResolvePending []string                    `json:"resolvePending,omitempty"` // groups below the target still to be read
	ResolveAfter   string                      `json:"resolveAfter,omitempty"`
}

// settings are the job's configurations, configure sets them.
func (j *job) settings() configuration.Settings {
	return configuration.Settings{
		PresignedURLConfig: j.Presigned, JobExecutionsRolloutConfig: j.Rollout, AbortConfig: j.Abort,
		TimeoutConfig: j.Timeout, JobExecutionsRetryConfig: j.Retry,
	}
}

func (j *job) configure(c configuration.Settings) {
	j.Presigned, j.Rollout, j.Abort = c.PresignedURLConfig, c.JobExecutionsRolloutConfig, c.AbortConfig
	j.Timeout, j.Retry = c.TimeoutConfig, c.JobExecutionsRetryConfig
}

func (j *job) continuous() bool { return j.Selection == continuousSelection }

// tally counts what a job has. By status it counts things, by their latest
// execution.
type tally struct {
	By       map[string]int `json:"s"`
	Waiting  int            `json:"w,omitempty"` // targets that have no execution yet
	Notified int            `json:"n,omitempty"`
}

func (t *tally) add(status string, n int) {
	if t.By == nil {
		t.By = map[string]int{}
	}
	t.By[status] += n
}

func (t *tally) active() int { return t.By[Queued] + t.By[InProgress] }

// execution is one execution of a job on a thing.
type execution struct {
	Job       string            `json:"j"`
	Thing     string            `json:"t"`
	Number    int64             `json:"n"`
	Status    string            `json:"s"`
	Details   map[string]string `json:"d,omitempty"`
	Forced    bool              `json:"f,omitempty"`
	Version   int64             `json:"v"`
	Queued    int64             `json:"q"`
	Started   int64             `json:"b,omitempty"`
	Updated   int64             `json:"u"`
	Attempt   int               `json:"a,omitempty"` // retries before this one
	Retries   map[string]int    `json:"r,omitempty"` // of them, by the failure retried
	TimeoutAt int64             `json:"to,omitempty"`
	StepAt    int64             `json:"st,omitempty"`
}

// due is when the execution times out; 0 for never.
func (e *execution) due() int64 {
	if e.TimeoutAt == 0 || e.StepAt != 0 && e.StepAt < e.TimeoutAt {
		return e.StepAt
	}
	return e.TimeoutAt
}

// pendingKey places the execution in its thing's list: in progress first, then
// by age.
func (e *execution) pendingKey() []string {
	if e.Status == InProgress {
		return []string{e.Thing, "0", store.Number(uint64(e.Started)), e.Job}
	}
	return []string{e.Thing, "1", store.Number(uint64(e.Queued)), e.Job}
}

type mark = []byte // a row of an index: the key says all

var (
	jobTable      = store.NewTable[job]("iot.job").Versions(store.JSON)
	tallyTable    = store.NewTable[tally]("iot.jobtally").Versions(store.JSON)
	documentTable = store.NewTable[[]byte]("iot.jobdocument")
	// newest first: ^created, job
	jobOrder    = store.NewTable[mark]("iot.joborder")
	jobByStatus = store.NewTable[mark]("iot.jobbystatus") // status, ^created, job
	jobByGroup  = store.NewTable[mark]("iot.jobbygroup")  // group, job: continuous jobs that take new members
	waiting     = store.NewTable[mark]("iot.jobtarget")   // job, thing

	executionTable = store.NewTable[execution]("iot.jobexecution").Versions(store.JSON) // job, thing, number
	// job, status, thing, number
	executionByStatus = store.NewTable[mark]("iot.jobexecutionbystatus")
	executionByThing  = store.NewTable[mark]("iot.jobexecutionbything") // thing, job, number
	// see pendingKey; the value is the number
	pendingTable = store.NewTable[mark]("iot.jobexecutionpending")
	// time, job, thing, number; thing is "" for the job itself
	dueTable      = store.NewTable[mark]("iot.jobdue")
	templateTable = store.NewTable[template]("iot.jobtemplate").Versions(store.JSON) // template
)

// millis is a time as it is stored, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func newest(ms int64) string { return store.Number(^uint64(ms)) }
