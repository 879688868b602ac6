package s3

import (
	"context"
	"net/http"
	"os"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform

	BlobDir string // folder of the bodies, made if missing; "" keeps them in the store
}

// Service is Amazon S3. Its methods are safe for concurrent use.
type Service struct {
	Config
	library  http.Handler
	midnight *midnight
}

// New returns the service over what the store holds.
func New(c Config) (*Service, error) {
	s := &Service{Config: c, midnight: &midnight{}}
	if c.BlobDir != "" {
		if err := os.MkdirAll(c.BlobDir, 0o700); err != nil {
			return nil, err
		}
	}
	s.library = gofakes3.New(&backend{s}, gofakes3.WithTimeSource(clock{c.Scheduler}),
		gofakes3.WithTimeSkewLimit(0), gofakes3.WithMetadataSizeLimit(0),
		gofakes3.WithLogger(gofakes3.DiscardLog()), gofakes3.WithUnimplementedPageError()).Server()
	return s, nil
}

// Start resumes lifecycle rules, and removes bodies that belong to no object and no part of one: uploads that a crash
// cut off.
func (s *Service) Start(context.Context) error {
	ruled, err := s.ruled()
	if err != nil {
		return err
	}
	if len(ruled) > 0 {
		s.expireAtMidnight()
	}
	if s.BlobDir == "" {
		return nil
	}
	used := map[string]bool{}
	err = s.Store.View(func(tx *store.Tx) error {
		for row, err := range versions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			used[row.Value.Blob] = true
		}
		for row, err := range parts.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			used[row.Value.Blob] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	files, err := os.ReadDir(s.BlobDir)
	for _, f := range files {
		if !used[f.Name()] {
			s.discard(f.Name())
		}
	}
	return err
}

// Residue is empty: nothing here is ever under way.
func (s *Service) Residue(context.Context) []string { return nil }
