package iam

import (
	"context"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform
}

// Service is IAM.
type Service struct {
	config Config

	mu sync.RWMutex
	// changes counts writes; what was read before a write is not cached
	// after it.
	changes    uint64
	principals map[string]*principalPolicies // by ARN of the role or user
	documents  map[string]*policy.Document   // resource policies by their text

	denials awsapi.Denials
}

// principalPolicies are the compiled policies of a role or user.
type principalPolicies struct {
	docs     []*policy.Document
	boundary []*policy.Document // nil: none
	values   bool               // some document looks at values
	tags     map[string]string
}

// New returns the service.
func New(config Config) *Service {
	return &Service{config: config, principals: map[string]*principalPolicies{},
		documents: map[string]*policy.Document{}}
}

// Start implements the services' life cycle; nothing is ever under way.
func (s *Service) Start(context.Context) error { return nil }

// Residue implements the services' residue check; nothing is ever unfinished.
func (s *Service) Residue(context.Context) []string { return nil }

// update runs a transaction that changes what decisions rest on.
func (s *Service) update(fn func(tx *store.Tx) error) error {
	return s.config.Store.Update(func(tx *store.Tx) error {
		tx.OnCommit(s.clearCache)
		return fn(tx)
	})
}

func (s *Service) clearCache() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	clear(s.principals)
}

// newID draws a unique ID such as AROAIOSFODNN7EXAMPLE1.
func (s *Service) newID(prefix string, length int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, length)
	_, _ = s.config.Scheduler.Read(b) // does not fail
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return prefix + string(b)
}

// arn is the ARN of an IAM entity; path begins and ends with a slash.
func (s *Service) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.config.Account + ":" + kind + path + name
}

// nameOf is the last part of an ARN.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// pathOf is the path in a policy's ARN.
func pathOf(arn string) string {
	_, resource, _ := strings.Cut(arn, ":policy")
	return strings.TrimSuffix(resource, nameOf(arn))
}

// AccessKey returns the secret of a user's access key and the identity behind
// it; ok is false if there is no such key or it is not active.
func (s *Service) AccessKey(_ context.Context, id string) (secret string, who awsapi.Identity, ok bool, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		k, found, err := keyTable.Get(tx, id)
		if err != nil || !found || !k.Active {
			return err
		}
		u, err := users.get(tx, k.User)
		if err != nil {
			return err
		}
		secret, ok = k.Secret, true
		who = awsapi.Identity{Account: s.config.Account, ARN: u.ARN, UserID: u.ID, UserARN: u.ARN}
		return nil
	})
	return secret, who, ok, err
}
