package sfn

import (
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// machineRecord is a state machine.
type machineRecord struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Created  time.Time         `json:"created"`
	Revision string            `json:"revision"` // key of its newest revision
	Updated  bool              `json:"updated"`  // there is more than the first revision
	Deleting bool              `json:"deleting,omitempty"`
	Versions int               `json:"versions"` // highest version number
	Tags     map[string]string `json:"tags,omitempty"`
}

// revisionRecord is what one revision of a state machine runs.
type revisionRecord struct {
	ID         string          `json:"id"`
	Machine    string          `json:"machine"`
	Definition string          `json:"definition"`
	RoleARN    string          `json:"role"`
	Logging    *LoggingConfig  `json:"logging,omitempty"`
	Tracing    *TracingConfig  `json:"tracing,omitempty"`
	Encryption *EncryptionConf `json:"encryption,omitempty"`
	Updated    time.Time       `json:"updated"`
}

// versionRecord is a published version.
type versionRecord struct {
	Number      int       `json:"number"`
	Revision    string    `json:"revision"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
}

// aliasRecord routes to one or two versions.
type aliasRecord struct {
	Name        string                         `json:"name"`
	Description string                         `json:"description"`
	Routing     []RoutingConfigurationListItem `json:"routing"`
	Created     time.Time                      `json:"created"`
	Updated     time.Time                      `json:"updated"`
}

// executionRecord is what DescribeExecution tells.
type executionRecord struct {
	Machine      string    `json:"machine"`
	Name         string    `json:"name"`
	ARN          string    `json:"arn"`
	Revision     string    `json:"revision"`
	Version      int       `json:"version,omitempty"`
	Alias        string    `json:"alias,omitempty"`
	Type         string    `json:"type"`
	Status       string    `json:"status"`
	Started      time.Time `json:"started"`
	Stopped      time.Time `json:"stopped,omitzero"`
	Input        string    `json:"input"`
	Output       *string   `json:"output,omitempty"`
	Error        *string   `json:"error,omitempty"`
	Cause        *string   `json:"cause,omitempty"`
	RedriveCount int       `json:"redrives,omitempty"`
	Redriven     time.Time `json:"redriven,omitzero"`
	TraceHeader  string    `json:"trace,omitempty"`
	Synchronous  bool      `json:"synchronous,omitempty"` // of StartSyncExecution
	Child        *child    `json:"child,omitempty"`
	// Redrives are the last redrives that came with a token.
	Redrives []redriveToken `json:"redriveTokens,omitempty"`
	Order    time.Time      `json:"order"` // Started, made unique
}

// redriveToken is the client token of a redrive.
type redriveToken struct {
	Token string    `json:"token"`
	At    time.Time `json:"at"`
}

// child says how an execution belongs to a Map Run.
type child struct {
	MapRun  string `json:"run"`
	State   string `json:"state"` // the Map state
	Items   int    `json:"items"`
	Parent  key    `json:"parent"`
	Branch  string `json:"branch"`
	Attempt int    `json:"attempt"`
	Around  []int  `json:"around,omitempty"`
	Redrive int    `json:"redrive,omitempty"` // the last of its Map Run that took it up
}

func (r *executionRecord) key() key { return key{r.Machine, r.Name} }

// list is the first part of the execution's keys in the indices: what lists it.
func (r *executionRecord) list() string {
	if r.Child != nil {
		return r.Child.MapRun
	}
	return r.Machine
}

// machine names the state machine as ARNs do: with the label of the Map Run.
func (r *executionRecord) machine() string {
	if r.Child != nil {
		label, _, _ := strings.Cut(r.Name, "/")
		return r.Machine + "/" + label
	}
	return r.Machine
}

// name is the execution's name without what makes its key unique: the label of
// the Map Run before it, the id of an Express execution behind it.
func (r *executionRecord) name() string {
	if r.Child != nil {
		_, name, _ := strings.Cut(r.Name, "/")
		return name
	}
	name, _, _ := strings.Cut(r.Name, ":")
	return name
}

// openRecord is the live state of an execution that has not ended.
type openRecord struct {
	Snapshot asl.Snapshot `json:"snapshot"`
	LogSeq   int64        `json:"log,omitempty"`
}

// waiterRecord is a task that waits for the end of an execution.
type waiterRecord struct {
	Parent  key    `json:"parent"`
	Branch  string `json:"branch"`
	Attempt int    `json:"attempt"`
}

// activityRecord is an activity.
type activityRecord struct {
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	Tags       map[string]string `json:"tags,omitempty"`
	Encryption *EncryptionConf   `json:"encryption,omitempty"`
}

// activityTask is a task that waits for a worker.
type activityTask struct {
	Execution key    `json:"execution"`
	Branch    string `json:"branch"`
	Attempt   int    `json:"attempt"`
}

// mapRunRecord is a Map Run.
type mapRunRecord struct {
	asl.MapRun
	Execution key       `json:"execution"`
	Started   time.Time `json:"started"`
	Stopped   time.Time `json:"stopped,omitzero"`
	Redriven  time.Time `json:"redriven,omitzero"`
}

// key names an execution: its state machine and its name.
type key struct {
	Machine string `json:"m"`
	Name    string `json:"n"`
}

// The tables. Executions are listed newest first, so their indices hold the
// start time counted backwards. Each has a version of its records: 1, and before
// that 0, the same JSON without a number. An execution's record and a history
// have a first byte of their own for it (record.go; '[' of a JSON array of
// events). testdata/stored has the bytes of each version; to change one, add how
// the version before is read.
var (
	machines   = store.NewTable[machineRecord]("sfn.machine").Versions(store.JSON)   // name
	revisions  = store.NewTable[revisionRecord]("sfn.revision").Versions(store.JSON) // machine, revision
	versions   = store.NewTable[versionRecord]("sfn.version").Versions(store.JSON)   // machine, number
	aliases    = store.NewTable[aliasRecord]("sfn.alias").Versions(store.JSON)       // machine, alias
	executions = store.NewTable[executionRecord]("sfn.execution")                    // machine, name
	open       = store.NewTable[openRecord]("sfn.open").Versions(store.JSON)         // machine, name
	// machine, name, first id: events
	histories = store.NewTable[[]byte]("sfn.history")
	// machine or Map Run, backward start, name
	byStart = store.NewTable[[]byte]("sfn.execution-by-start")
	// machine or Map Run, status, backward start, name
	byStatus = store.NewTable[[]byte]("sfn.execution-by-status")
	// machine, name, parent machine, parent name, attempt
	waiters       = store.NewTable[waiterRecord]("sfn.waiter").Versions(store.JSON)
	activities    = store.NewTable[activityRecord]("sfn.activity").Versions(store.JSON)    // name
	activityTasks = store.NewTable[activityTask]("sfn.activity-task").Versions(store.JSON) // activity, number
	redrivable    = store.NewTable[asl.Snapshot]("sfn.redrivable").Versions(store.JSON)    // machine, name
	// machine, execution, event, Map Run
	mapRuns    = store.NewTable[mapRunRecord]("sfn.map-run").Versions(store.JSON)
	mapRunKeys = store.NewTable[[]string]("sfn.map-run-key").Versions(store.JSON) // Map Run: key in mapRuns
	sequences  = store.NewTable[uint64]("sfn.sequence").Versions(store.JSON)      // name
)

// backward counts a time such that later times sort first.
func backward(t time.Time) string { return store.Number(^uint64(t.UnixNano())) }
