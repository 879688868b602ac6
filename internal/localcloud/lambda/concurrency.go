package lambda

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// admit counts an invocation against the account's and the function's
// concurrency.
func (s *Service) admit(f Function) error {
	if s.Weather.Draw(weather.Short, f.Name) {
		return errThrottled("ConcurrentInvocationLimitExceeded")
	}
	s.Weather.Invoked()
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.Quotas.Concurrency()
	if f.Reserved != nil {
		if s.running[f.Name]-s.Executor.Waiting(f.Name) >= *f.Reserved {
			return errThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
		}
	} else {
		// What is reserved is there for nobody else. Those that wait for an
		// environment do not run, whichever function they are of.
		left := limit
		for _, n := range s.reserved {
			left -= n
		}
		if s.free-s.Executor.Waiting("") >= left || s.total-s.Executor.Waiting("") >= limit {
			s.Quotas.Refused()
			return errThrottled("ConcurrentInvocationLimitExceeded")
		}
		s.free++
	}
	s.running[f.Name]++
	s.total++
	s.Quotas.Running(s.total - s.Executor.Waiting(""))
	return nil
}

// reserve notes a function's reserved concurrency.
func (s *Service) reserve(f Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reserved, f.Name)
	if f.Reserved != nil {
		s.reserved[f.Name] = *f.Reserved
	}
}

func (s *Service) release(f Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[f.Name]--; s.running[f.Name] == 0 {
		delete(s.running, f.Name)
	}
	s.total--
	if f.Reserved == nil {
		s.free--
	}
}
