package cloudformation

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	stacks    = store.NewTable[stackRecord]("cloudformation.stack").Versions(store.JSON)       // name
	deleted   = store.NewTable[stackRecord]("cloudformation.deleted").Versions(store.JSON)     // ARN
	resources = store.NewTable[resourceRecord]("cloudformation.resource").Versions(store.JSON) // stack, logical id
	// ARN of the stack, number counted down: the newest first
	events = store.NewTable[eventRecord]("cloudformation.event").Versions(store.JSON)
	// ARN of the stack, name
	changeSets = store.NewTable[changeSetRecord]("cloudformation.changeset").Versions(store.JSON)
)

// stackRecord is a stack.
type stackRecord struct {
	Name     string
	ID       string // ARN
	Status   string
	Reason   string `json:",omitempty"`
	Template json.RawMessage
	// Original is the template's text as it was given, "" where nobody asked for it.
	Original    string            `json:",omitempty"`
	Parameters  map[string]string `json:",omitempty"` // as given
	Fetched     map[string]string `json:",omitempty"` // values of those that name an SSM parameter
	Outputs     []outputRecord    `json:",omitempty"`
	Imports     []string          `json:",omitempty"` // names of exports of other stacks that it uses
	Created     time.Time
	Updated     time.Time // of this record
	Changed     time.Time // LastUpdatedTime: of the last update
	Deleted     time.Time
	Options     options
	Protected   bool   `json:",omitempty"` // against deletion
	Policy      string `json:",omitempty"`
	ChangeSetID string `json:",omitempty"`
	Events      uint64 // number of the newest
	// Before is what the update under way began with, and what a rollback goes back to.
	Before *stackBefore `json:",omitempty"`
	Task   task
}

// options are what a client says of a stack beside template and parameters.
type options struct {
	Tags          map[string]string `json:",omitempty"`
	RoleARN       string            `json:",omitempty"`
	Notifications []string          `json:",omitempty"`
	Capabilities  []string          `json:",omitempty"`
	Description   string            `json:",omitempty"`
	Timeout       time.Duration     `json:",omitempty"` // of the creation
}

// task is the operation under way, as far as a restart must know it.
type task struct {
	Token string `json:",omitempty"` // ClientRequestToken
	// OnFailure is ROLLBACK, DELETE or DO_NOTHING.
	OnFailure string   `json:",omitempty"`
	Retain    []string `json:",omitempty"`
	// Adopt takes resources that exist under the names that the template gives them into the stack.
	Adopt bool `json:",omitempty"`
}

type stackBefore struct {
	Template   json.RawMessage
	Original   string            `json:",omitempty"`
	Parameters map[string]string `json:",omitempty"`
	Fetched    map[string]string `json:",omitempty"`
	Outputs    []outputRecord    `json:",omitempty"`
	Imports    []string          `json:",omitempty"`
	Options    options
}

type outputRecord struct {
	Key, Value, Description string
	Export                  string `json:",omitempty"`
}

// resourceRecord is a resource of a stack.
type resourceRecord struct {
	LogicalID      string
	Type           string
	PhysicalID     string `json:",omitempty"`
	Status         string
	Reason         string          `json:",omitempty"`
	Properties     json.RawMessage `json:",omitempty"` // evaluated, as last made
	Attributes     json.RawMessage `json:",omitempty"`
	Metadata       json.RawMessage `json:",omitempty"`
	DeletionPolicy string          `json:",omitempty"`
	// Position orders deletion: the reverse of creation.
	Position int
	Updated  time.Time
	// Generation counts replacements, so that each has a name of its own.
	Generation int `json:",omitempty"`

	// While an update is under way or may be rolled back:

	New       bool             `json:",omitempty"` // it was not there before
	Before    *resourceVersion `json:",omitempty"` // what it was before; nil where nothing was changed
	Attempted json.RawMessage  `json:",omitempty"` // properties of a change in place that failed
	Replacing bool             `json:",omitempty"` // the next one may exist already
	// Stale are resources that this one has replaced and that are still there.
	Stale []resourceVersion `json:",omitempty"`
}

// resourceVersion is one physical resource behind a logical id.
type resourceVersion struct {
	Type           string
	PhysicalID     string
	Properties     json.RawMessage `json:",omitempty"`
	Attributes     json.RawMessage `json:",omitempty"`
	Metadata       json.RawMessage `json:",omitempty"`
	DeletionPolicy string          `json:",omitempty"`
	Generation     int             `json:",omitempty"`
	Retain         bool            `json:",omitempty"` // it is forgotten, not deleted
}

func (r resourceRecord) version() resourceVersion {
	return resourceVersion{r.Type, r.PhysicalID, r.Properties, r.Attributes, r.Metadata, r.DeletionPolicy,
		r.Generation, false}
}

const (
	reviewInProgress = "REVIEW_IN_PROGRESS"

	createInProgress = "CREATE_IN_PROGRESS"
	createComplete   = "CREATE_COMPLETE"
	createFailed     = "CREATE_FAILED"

	rollbackInProgress = "ROLLBACK_IN_PROGRESS"
	rollbackComplete   = "ROLLBACK_COMPLETE"
	rollbackFailed     = "ROLLBACK_FAILED"

	updateInProgress = "UPDATE_IN_PROGRESS"
	updateCleanup    = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
	updateComplete   = "UPDATE_COMPLETE"
	updateFailed     = "UPDATE_FAILED"

	updateRollbackInProgress = "UPDATE_ROLLBACK_IN_PROGRESS"
	updateRollbackCleanup    = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
	updateRollbackComplete   = "UPDATE_ROLLBACK_COMPLETE"
	updateRollbackFailed     = "UPDATE_ROLLBACK_FAILED"

	deleteInProgress = "DELETE_IN_PROGRESS"
	deleteComplete   = "DELETE_COMPLETE"
	deleteFailed     = "DELETE_FAILED"
	deleteSkipped    = "DELETE_SKIPPED"
)

// underWay tells whether the service works on the stack. A stack in review waits for its change set.
func (s stackRecord) underWay() bool {
	return strings.HasSuffix(s.Status, "_IN_PROGRESS") && s.Status != reviewInProgress
}

// updatable tells whether the stack is in a state from which an update begins. After an operation
// that was told to keep what it had made, an update may go on.
func (s stackRecord) updatable() bool {
	switch s.Status {
	case createComplete, updateComplete, updateRollbackComplete, createFailed, updateFailed:
		return true
	}
	return false
}

// exists tells whether the resource exists as its record says.
func (r resourceRecord) exists() bool {
	switch r.Status {
	case createComplete, updateComplete, updateInProgress, updateFailed, deleteFailed, deleteInProgress:
		return true
	}
	return false
}

// complete tells whether the resource is as its record says, with nothing half done.
func (r resourceRecord) complete() bool {
	return r.Status == createComplete || r.Status == updateComplete
}

// decode reads a stored object as the evaluator has it: with json.Number.
func decode(b json.RawMessage) map[string]any {
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if dec.Decode(&m) != nil || m == nil {
		return map[string]any{}
	}
	return m
}

// encode writes what decode reads; what cannot be written is as if it were not there.
func encode(m map[string]any) json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}

func (s *Service) stack(name string) (rec stackRecord, ok bool, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		rec, ok, err = stacks.Get(tx, name)
		return err
	})
	return rec, ok, err
}

// stackResources are the resources of a stack by logical id.
func (s *Service) stackResources(name string) (map[string]resourceRecord, error) {
	all := map[string]resourceRecord{}
	err := s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range resources.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			all[row.Value.LogicalID] = row.Value
		}
		return nil
	})
	return all, err
}
