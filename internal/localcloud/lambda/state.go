package lambda

import (
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	functions = store.NewTable[Function]("lambda.function").Versions(store.JSON) // key: name
	// policies: function name; of a version or alias: function name, qualifier.
	policies = store.NewTable[policy]("lambda.policy").Versions(store.JSON)
	events   = store.NewTable[event]("lambda.event").Versions(store.JSON) // key: request id
	// versions: function name, number.
	versions = store.NewTable[Function]("lambda.version").Versions(store.JSON)
	aliases  = store.NewTable[alias]("lambda.alias").Versions(store.JSON) // key: function name, name
	// invokeConfigs: function name, qualifier; that of $LATEST is in Function.
	invokeConfigs = store.NewTable[invokeConfig]("lambda.invokeconfig").Versions(store.JSON)
	mappings      = store.NewTable[mapping]("lambda.mapping").Versions(store.JSON) // key: UUID
)

// Function is a function's configuration.
type Function struct {
	Name         string
	ARN          string
	RoleARN      string
	Runtime      string
	Handler      string
	Description  string
	Architecture string
	Package      string
	MemoryMB     int
	StorageMB    int
	Timeout      time.Duration
	Env          map[string]string
	LogGroup     string
	LogFormat    string
	Tracing      string
	DeadLetter   string // ARN
	Tags         map[string]string
	Modified     time.Time
	RevisionID   string
	// Asset names prepared code (see Config.Assets); otherwise CodeDir holds
	// the unpacked deployment package.
	Asset      string
	CodeDir    string
	CodeSHA256 string
	CodeSize   int64
	Reserved   *int // reserved concurrency
	// Version is the number of a published version, "" for $LATEST.
	Version string `json:",omitempty"`
	// Published is the number of the newest version ever published; of
	// $LATEST only.
	Published int `json:",omitempty"`
	// Recursion is RecursiveLoop, "" for Terminate.
	Recursion string `json:",omitempty"`
	// Qualifier is the version, alias or $LATEST by which the function was
	// named; "" if by none.
	Qualifier string `json:"-"`
	// Event invoke configuration.
	MaxRetries *int
	MaxAge     time.Duration
	OnSuccess  string // ARN
	OnFailure  string // ARN
}

// version is the number of the version, or $LATEST.
func (f Function) version() string {
	if f.Version == "" {
		return latest
	}
	return f.Version
}

// named is the ARN by which the function was named.
func (f Function) named() string {
	if f.Qualifier == "" {
		return f.ARN
	}
	return f.ARN + ":" + f.Qualifier
}

// pool names the environments of a version.
func (f Function) pool() string {
	if f.Version == "" {
		return f.Name
	}
	return f.Name + ":" + f.Version
}

// policy is a function's resource policy, by statement in order of creation.
type policy struct {
	RevisionID string
	Statements []statement
}

type statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

// policyText is a policy's document; it is made once for each revision.
func (s *Service) policyText(function string, p policy) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.policyTexts[function]; known.revision == p.RevisionID && p.RevisionID != "" {
		return known.text
	}
	text := p.document()
	s.policyTexts[function] = revisionText{p.RevisionID, text}
	return text
}

type revisionText struct{ revision, text string }

func (p policy) document() string {
	if len(p.Statements) == 0 {
		return ""
	}
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Id": "default", "Statement": p.Statements})
	if err != nil {
		return ""
	}
	return string(b)
}

// event is an asynchronous invocation that has not come to its end.
type event struct {
	Function  string
	Qualifier string `json:",omitempty"`
	Payload   []byte
	Received  time.Time
	Attempts  int       // runs that ended with an error of the function
	Next      time.Time // not to be run before
	Copy      bool      `json:"-"` // it has succeeded once; a restart forgets that
}
