package topicrule

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Message is a message that the broker has accepted. It has the fields of the
// broker's own type.
type Message struct {
	Topic   string `json:"t"`
	Payload []byte `json:"p,omitempty"`
	QoS     byte   `json:"q,omitempty"`
	Retain  bool   `json:"r,omitempty"`

	PayloadFormat   byte        `json:"pf,omitempty"`
	ContentType     string      `json:"ct,omitempty"`
	ResponseTopic   string      `json:"rt,omitempty"`
	CorrelationData []byte      `json:"cd,omitempty"`
	UserProperties  [][2]string `json:"up,omitempty"`
	MessageExpiry   uint32      `json:"me,omitempty"`

	ClientID    string `json:"c,omitempty"`
	Principal   string `json:"id,omitempty"`
	SourceIP    string `json:"ip,omitempty"`
	FromService bool   `json:"fs,omitempty"`

	ReceivedAt time.Time `json:"at,omitzero"`
	TraceID    string    `json:"x,omitempty"`
}

// Roles lets the engine act under a role; sts is it.
type Roles interface {
	// Assume checks the role's trust policy; the error is AWS's.
	Assume(ctx context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (awsapi.Identity, error)
}

// Objects reads and writes S3 objects; S3's adapter is it.
type Objects interface {
	PutObject(ctx context.Context, id awsapi.Identity, bucket, key string, body []byte, cannedACL string) error
	GetObject(ctx context.Context, id awsapi.Identity, bucket, key string) ([]byte, error)
}

// Metrics takes the counts of the namespace AWS/IoT.
type Metrics interface {
	Count(ctx context.Context, namespace, metric string, dimensions map[string]string, n float64)
}

// Config is what the engine needs.
type Config struct {
	platform.Platform

	Roles   Roles   // nil in tests: actions run as the root user
	Objects Objects // nil: rules with S3 actions are refused
	Metrics Metrics // may be nil
}

// Service is the rules engine.
type Service struct {
	Config
	log *slog.Logger

	mu     sync.RWMutex
	rules  map[string]*rule
	topics topic.Tree[*rule]

	outbox struct {
		sync.Mutex
		last     uint64
		pending  []uint64 // rows to remove
		removing bool
	}
	roles struct {
		sync.Mutex
		assumed map[string]assumed
	}
	counters struct {
		sync.Mutex
		counts map[counter]float64
	}
	files struct {
		sync.Mutex
		read map[[2]string]descriptor
	}
}

type assumed struct {
	identity awsapi.Identity
	until    time.Time
}

type descriptor struct {
	set   []byte
	until time.Time
}

// rule is a rule ready to run.
type rule struct {
	ruleRecord
	arn       string
	statement *rulesql.Statement
	actions   []action
	onError   action // nil if there is none
}

// New returns the engine with the rules of the store.
func New(c Config) (*Service, error) {
	s := &Service{Config: c, log: c.Log, rules: map[string]*rule{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.roles.assumed = map[string]assumed{}
	s.counters.counts = map[counter]float64{}
	s.files.read = map[[2]string]descriptor{}
	err := c.Store.View(func(tx *store.Tx) error {
		for row, err := range ruleTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			r, err := s.compile(row.Value)
			if err != nil {
				return fmt.Errorf("rule %s: %w", row.Key[0], err)
			}
			s.install(r)
		}
		for row, err := range outboxTable.Scan(tx, store.Query{Reverse: true}) {
			if err != nil {
				return err
			}
			s.outbox.last = store.ParseNumber(row.Key[0])
			break
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("topicrule: load: %w", err)
	}
	return s, nil
}

// install makes a rule take effect; one of the same name is replaced. s.mu is
// held or not yet needed.
func (s *Service) install(r *rule) {
	s.uninstall(r.Name)
	s.rules[r.Name] = r
	if filter, ok := r.statement.Topic(); ok && !r.Disabled {
		s.topics.Add(filter, r)
	}
}

func (s *Service) uninstall(name string) {
	old := s.rules[name]
	if old == nil {
		return
	}
	if filter, ok := old.statement.Topic(); ok {
		s.topics.Remove(filter, old)
	}
	delete(s.rules, name)
}

// Start runs the actions that the store says have not ended.
func (s *Service) Start(ctx context.Context) error {
	var left []*Execution
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range outboxTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			e := s.execution(row.Value.Message)
			e.number, e.saved = store.ParseNumber(row.Key[0]), true
			for _, name := range row.Value.Rules {
				s.mu.RLock()
				r := s.rules[name]
				s.mu.RUnlock()
				if r != nil { // deleted rules have nothing more to do
					e.runs = append(e.runs, run{rule: r})
				}
			}
			left = append(left, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range left {
		e.Start()
	}
	return nil
}

// Residue lists the messages whose actions have not ended.
func (s *Service) Residue(context.Context) []string {
	var out []string
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range outboxTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("topicrule: actions of rules %v wait for the message on %s", row.Value.Rules,
				row.Value.Message.Topic))
		}
		return nil
	})
	if err != nil {
		out = append(out, "topicrule: "+err.Error())
	}
	return out
}

func (s *Service) arn(name string) string {
	return "arn:aws:iot:" + s.Region + ":" + s.Account + ":rule/" + name
}
