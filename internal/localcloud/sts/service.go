package sts

import (
	"context"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform

	// Keys knows the access keys of users; iam.Service does.
	Keys Keys
	// Roles decides about AssumeRole; iam.Service does.
	Roles Roles
	// OperatorKey and OperatorSecret are the root's access key; "" stands
	// for "test".
	OperatorKey, OperatorSecret string
	// VirtualDates has the dates of signatures checked on a virtual clock
	// too.
	VirtualDates bool
}

// Keys knows long-term access keys.
type Keys interface {
	// AccessKey returns the secret of an active access key and whose it is;
	// ok is false if there is none.
	AccessKey(ctx context.Context, id string) (secret string, who awsapi.Identity, ok bool, err error)
}

// Roles decides who may assume a role.
type Roles interface {
	// AssumeAs returns the identity of the session and the longest time in
	// seconds that it may last, or AWS's denial.
	AssumeAs(ctx context.Context, caller awsapi.Identity, roleARN, sessionName, externalID, sourceIP string) (
		awsapi.Identity, int, error)
}

// Service is STS.
type Service struct {
	config Config

	mu       sync.RWMutex
	sessions map[string]session    // by access key ID; read through from the store
	keys     map[signingKey][]byte // derived signing keys
}

// New returns the service.
func New(config Config) *Service {
	if config.OperatorKey == "" {
		config.OperatorKey = "test"
	}
	if config.OperatorSecret == "" {
		config.OperatorSecret = "test"
	}
	return &Service{config: config, sessions: map[string]session{}, keys: map[signingKey][]byte{}}
}

// Start implements the services' life cycle; nothing is ever under way.
func (s *Service) Start(context.Context) error { return nil }

// Residue implements the services' residue check; nothing is ever unfinished.
func (s *Service) Residue(context.Context) []string { return nil }

// Issue makes temporary credentials that act as id for ttl.
func (s *Service) Issue(_ context.Context, id awsapi.Identity, ttl time.Duration) (accessKeyID, secret,
	sessionToken string, err error) {
	c, err := s.issue(id, ttl)
	return c.AccessKeyID, c.SecretAccessKey, c.SessionToken, err
}

func (s *Service) issue(id awsapi.Identity, ttl time.Duration) (credentials, error) {
	now := s.config.Scheduler.Now()
	v := session{Secret: s.random(40), Token: s.random(212), Identity: id, Expires: now.Add(ttl)}
	key := "ASIA" + s.letters(16)
	err := s.config.Store.Update(func(tx *store.Tx) error {
		if err := s.prune(tx, now); err != nil {
			return err
		}
		if err := expiryTable.Put(tx, struct{}{}, store.Number(uint64(v.Expires.Unix())), key); err != nil {
			return err
		}
		return sessionTable.Put(tx, v, key)
	})
	if err != nil {
		return credentials{}, err
	}
	return credentials{AccessKeyID: key, SecretAccessKey: v.Secret, SessionToken: v.Token,
		Expiration: awsapi.Time{Time: v.Expires}}, nil
}

// prune forgets a few of the sessions that ended long ago.
func (s *Service) prune(tx *store.Tx, now time.Time) error {
	before := uint64(max(now.Add(-keptAfterExpiry).Unix(), 0))
	var old [][]string
	for row, err := range expiryTable.Scan(tx, store.Query{Before: []string{store.Number(before)}}) {
		if err != nil {
			return err
		}
		if old = append(old, row.Key); len(old) == 8 {
			break
		}
	}
	for _, k := range old {
		if err := expiryTable.Delete(tx, k...); err != nil {
			return err
		}
		if err := sessionTable.Delete(tx, k[1]); err != nil {
			return err
		}
	}
	if len(old) > 0 {
		tx.OnCommit(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, k := range old {
				delete(s.sessions, k[1])
			}
		})
	}
	return nil
}

// maxCached bounds the caches of sessions and of signing keys.
const maxCached = 16384

// session returns temporary credentials by their access key ID.
func (s *Service) session(key string) (v session, ok bool, err error) {
	s.mu.RLock()
	v, ok = s.sessions[key]
	s.mu.RUnlock()
	if ok {
		return v, true, nil
	}
	err = s.config.Store.View(func(tx *store.Tx) error {
		v, ok, err = sessionTable.Get(tx, key)
		return err
	})
	if ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.sessions) >= maxCached {
			clear(s.sessions)
		}
		s.sessions[key] = v
	}
	return v, ok, err
}

func (s *Service) letters(n int) string {
	return s.draw(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

func (s *Service) random(n int) string {
	return s.draw(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}

// draw makes a random string; the number of letters is a power of two.
func (s *Service) draw(n int, letters string) string {
	b := make([]byte, n)
	_, _ = s.config.Scheduler.Read(b) // does not fail
	for i := range b {
		b[i] = letters[int(b[i])&(len(letters)-1)]
	}
	return string(b)
}
