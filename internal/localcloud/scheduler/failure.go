package scheduler

import "log/slog"

// Failed takes the error of work that nobody waits for: that of a timer, or of
// a task whose caller has gone on. It is the only end of such an error, so that
// none is lost; nil is no failure. what names the work, as the name of its task
// does.
func (s *Scheduler) Failed(what string, err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	tell := s.report
	s.mu.Unlock()
	if tell == nil {
		slog.Error("work in the background failed", "what", what, "error", err)
		return
	}
	tell(what, err)
}

// OnFailure names who is told of failures, in place of the program's log. A
// later call replaces an earlier one.
func (s *Scheduler) OnFailure(tell func(what string, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report = tell
}
