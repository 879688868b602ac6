package asl

import "time"

// Event is an event of an execution's history. Which fields count follows from
// the type; texts are JSON as in the API.
type Event struct {
	ID       int64
	Previous int64
	Type     string
	Time     time.Time

	Name         string // of the state
	Input        *Data
	Output       *Data
	Assigned     map[string]string // variables as JSON text
	Error, Cause *string
	Resource     string
	ResourceType string
	Region       string
	Parameters   *Data
	Timeout      int64 // seconds, 0 = none
	Heartbeat    int64 // seconds, 0 = none
	Credentials  string
	Length       int
	Index        int
	Worker       string
	Location     string
	State        string
	RoleARN      string
	VersionARN   string
	AliasARN     string
	MapRunARN    string
	RedriveCount int
}

// Kind is the group that AWS gives an event's details.
type Kind int

// The kinds of details.
const (
	NoDetails Kind = iota
	ExecutionStarted
	ExecutionEnded
	ExecutionFailed
	ExecutionRedriven
	StateEntered
	StateExited
	TaskScheduled
	TaskStarted
	TaskOutput
	TaskFailed
	LambdaScheduled
	LambdaSucceeded
	ActivityScheduled
	ActivityStarted
	OnlyOutput
	OnlyError
	MapStarted
	MapIteration
	MapRunStarted
	MapRunRedriven
	Evaluation
)

var kinds = map[string]struct {
	kind   Kind
	member string
}{
	"ExecutionStarted":             {ExecutionStarted, "executionStartedEventDetails"},
	"ExecutionSucceeded":           {ExecutionEnded, "executionSucceededEventDetails"},
	"ExecutionFailed":              {OnlyError, "executionFailedEventDetails"},
	"ExecutionAborted":             {OnlyError, "executionAbortedEventDetails"},
	"ExecutionTimedOut":            {OnlyError, "executionTimedOutEventDetails"},
	"ExecutionRedriven":            {ExecutionRedriven, "executionRedrivenEventDetails"},
	"TaskScheduled":                {TaskScheduled, "taskScheduledEventDetails"},
	"TaskStarted":                  {TaskStarted, "taskStartedEventDetails"},
	"TaskSubmitted":                {TaskOutput, "taskSubmittedEventDetails"},
	"TaskSucceeded":                {TaskOutput, "taskSucceededEventDetails"},
	"TaskFailed":                   {TaskFailed, "taskFailedEventDetails"},
	"TaskSubmitFailed":             {TaskFailed, "taskSubmitFailedEventDetails"},
	"TaskStartFailed":              {TaskFailed, "taskStartFailedEventDetails"},
	"TaskTimedOut":                 {TaskFailed, "taskTimedOutEventDetails"},
	"LambdaFunctionScheduled":      {LambdaScheduled, "lambdaFunctionScheduledEventDetails"},
	"LambdaFunctionSucceeded":      {OnlyOutput, "lambdaFunctionSucceededEventDetails"},
	"LambdaFunctionFailed":         {OnlyError, "lambdaFunctionFailedEventDetails"},
	"LambdaFunctionScheduleFailed": {OnlyError, "lambdaFunctionScheduleFailedEventDetails"},
	"LambdaFunctionStartFailed":    {OnlyError, "lambdaFunctionStartFailedEventDetails"},
	"LambdaFunctionTimedOut":       {OnlyError, "lambdaFunctionTimedOutEventDetails"},
	"ActivityScheduled":            {ActivityScheduled, "activityScheduledEventDetails"},
	"ActivityStarted":              {ActivityStarted, "activityStartedEventDetails"},
	"ActivitySucceeded":            {OnlyOutput, "activitySucceededEventDetails"},
	"ActivityFailed":               {OnlyError, "activityFailedEventDetails"},
	"ActivityScheduleFailed":       {OnlyError, "activityScheduleFailedEventDetails"},
	"ActivityTimedOut":             {OnlyError, "activityTimedOutEventDetails"},
	"MapStateStarted":              {MapStarted, "mapStateStartedEventDetails"},
	"MapIterationStarted":          {MapIteration, "mapIterationStartedEventDetails"},
	"MapIterationSucceeded":        {MapIteration, "mapIterationSucceededEventDetails"},
	"MapIterationFailed":           {MapIteration, "mapIterationFailedEventDetails"},
	"MapIterationAborted":          {MapIteration, "mapIterationAbortedEventDetails"},
	"MapRunStarted":                {MapRunStarted, "mapRunStartedEventDetails"},
	"MapRunRedriven":               {MapRunRedriven, "mapRunRedrivenEventDetails"},
	"MapRunFailed":                 {OnlyError, "mapRunFailedEventDetails"},
	"EvaluationFailed":             {Evaluation, "evaluationFailedEventDetails"},
}

func init() {
	for _, t := range []string{"Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"} {
		kinds[t+"StateEntered"] = struct {
			kind   Kind
			member string
		}{StateEntered, "stateEnteredEventDetails"}
		kinds[t+"StateExited"] = struct {
			kind   Kind
			member string
		}{StateExited, "stateExitedEventDetails"}
	}
}

// Details returns the kind of an event's details and the member that holds them.
func Details(eventType string) (Kind, string) {
	k := kinds[eventType]
	return k.kind, k.member
}
