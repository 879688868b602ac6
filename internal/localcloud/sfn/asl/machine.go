package asl

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// Machine is a compiled definition.
type Machine struct {
	*Flow
	Express bool
	// Timeout is the limit of an execution; 0 means none.
	Timeout time.Duration
	// Activities and Functions are the ARNs that Resource fields name.
	Activities []string

	references map[string][]string
}

// Child is the machine of the executions that a distributed Map state starts.
func (m *Machine) Child(state string) *Machine {
	st, _ := m.Find(state)
	if st == nil || st.processor == nil {
		return nil
	}
	return &Machine{Flow: st.processor, Express: st.childExpress, Activities: m.Activities, references: m.references}
}

// Flow is a set of states with a start: a state machine, a branch of a Parallel
// state or the processor of a Map state.
type Flow struct {
	StartAt string
	States  map[string]*State
	names   []string
}

// State is a planned state.
type State struct {
	Name    string
	Type    string
	JSONata bool
	stuck   bool // says neither how it goes on nor that it ends
	Next    string

	entered, exited       string // types of its events
	inputPath, outputPath *pathField
	parameters            node
	resultSelector        node
	resultPath            *pathField
	arguments             node
	output                node
	assign                node
	assignNames           []string

	result    *Data // Pass
	errorNode node  // Fail
	causeNode node
	hasError  bool
	hasCause  bool

	seconds       node // Wait
	timestamp     node
	secondsPath   *pathField
	timestampPath *pathField

	choices  []*choice
	fallback string

	// Resource is the task's resource as written.
	Resource    string
	resource    Resource
	timeout     numberField
	heartbeat   numberField
	credentials node

	retry []*Retrier
	catch []*Catcher

	branches []*Flow // Parallel

	processor      *Flow // Map
	processorField string
	distributed    bool
	childExpress   bool
	items          node
	itemsPath      *pathField
	itemSelector   node
	maxConcurrency numberField
	toleratedCount numberField
	toleratedShare numberField
	reader         *reader
	batcher        *batcher
	writer         *writer
	label          string
}

// pathField is a field that holds a path, or null.
type pathField struct {
	null bool
	node node // pathNode or callNode
	path *jsonpath.Path
}

// numberField is a number that is fixed, at a path, or an expression.
type numberField struct {
	set  bool
	name string // of the field, as errors name it
	node node
	path *jsonpath.Path
}

// Retrier is an element of Retry.
type Retrier struct {
	Errors   []string
	Interval float64
	Attempts int
	Backoff  float64
	MaxDelay float64
	Full     bool // jitter
}

// Catcher is an element of Catch.
type Catcher struct {
	Errors      []string
	Next        string
	resultPath  *pathField
	output      node
	assign      node
	assignNames []string
}

type reader struct {
	resource   Resource
	parameters node
	config     *document.Object
	maxItems   numberField
	inputType  string
	manifest   string // ATHENA_DATA or S3_INVENTORY
	flatten    bool   // the objects of a listing are read
	pointer    string
}

type batcher struct {
	input             node
	maxItems, maxSize numberField
}

type writer struct {
	resource   Resource
	parameters node
	config     *document.Object
}

// Pattern is how a task waits for its result.
type Pattern string

// The patterns.
const (
	Request  Pattern = ""
	Sync     Pattern = ".sync"
	Sync2    Pattern = ".sync:2"
	Callback Pattern = ".waitForTaskToken"
)

// ResourceKind says which events a task makes.
type ResourceKind int

// The kinds of resources.
const (
	Integration ResourceKind = iota
	Function
	Activity
)

// Resource is a task's Resource taken apart.
type Resource struct {
	ARN     string
	Kind    ResourceKind
	Service string // "lambda", "aws-sdk:dynamodb"
	Action  string // "invoke", without the pattern
	Pattern Pattern
}

// EventType is the resourceType of events.
func (r Resource) EventType() string { return r.Service }

// EventResource is the resource of events: "invoke.waitForTaskToken".
func (r Resource) EventResource() string { return r.Action + string(r.Pattern) }
