package cloudformation

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	stacks    = store.NewTable[stackRecord]("cloudformation.stack")       // name
	resources = store.NewTable[resourceRecord]("cloudformation.resource") // stack, logical id
)

// stackRecord is a stack. Deleted stacks are forgotten.
type stackRecord struct {
	Name       string
	ID         string // ARN
	Status     string
	Reason     string `json:",omitempty"`
	Template   json.RawMessage
	Parameters map[string]string `json:",omitempty"` // as given
	Outputs    []outputRecord    `json:",omitempty"`
	Created    time.Time
	Updated    time.Time
}

type outputRecord struct{ Key, Value, Description string }

// resourceRecord is a resource of a stack.
type resourceRecord struct {
	LogicalID      string
	Type           string
	PhysicalID     string `json:",omitempty"`
	Status         string
	Reason         string          `json:",omitempty"`
	Properties     json.RawMessage `json:",omitempty"` // evaluated, as last made
	Attributes     json.RawMessage `json:",omitempty"`
	DeletionPolicy string          `json:",omitempty"`
	// Position orders deletion: the reverse of creation.
	Position int
	Updated  time.Time
}

const (
	createInProgress = "CREATE_IN_PROGRESS"
	createComplete   = "CREATE_COMPLETE"
	createFailed     = "CREATE_FAILED"
	updateInProgress = "UPDATE_IN_PROGRESS"
	updateComplete   = "UPDATE_COMPLETE"
	updateFailed     = "UPDATE_FAILED"
	deleteInProgress = "DELETE_IN_PROGRESS"
	deleteFailed     = "DELETE_FAILED"
)

// made tells whether the resource exists as its record says.
func (r resourceRecord) made() bool {
	switch r.Status {
	case createComplete, updateComplete, updateInProgress, updateFailed, deleteFailed, deleteInProgress:
		return true
	}
	return false
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
