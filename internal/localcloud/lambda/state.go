package lambda

import (
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	functions = store.NewTable[Function]("lambda.function") // key: name
	policies  = store.NewTable[policy]("lambda.policy")     // key: function name
	events    = store.NewTable[event]("lambda.event")       // key: request id
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
	// Event invoke configuration.
	MaxRetries *int
	MaxAge     time.Duration
	OnSuccess  string // ARN
	OnFailure  string // ARN
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
	Function string
	Payload  []byte
	Received time.Time
	Attempts int       // runs that ended with an error of the function
	Next     time.Time // not to be run before
}
