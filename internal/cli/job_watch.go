package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func jobWatch(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "watch JOB",
		Short: "Show a job's progress until it ends",
		Long: `Shows a job's progress until it ends: a bar on a terminal, otherwise a line whenever
a number changes. Exit code 0 if every device succeeded; 1 if not, after a list of
the devices that did not; 3 if there was no device.`,
		Example: "  fleetstep job watch fw-2-0-0-7a57f8c2b3c01f4e",
		Args:    oneJob,
		RunE:    func(c *cobra.Command, args []string) error { return watchJob(c.Context(), env, args[0]) },
	}
}

// watchEvery keeps far below AWS's 10 job calls a second.
const watchEvery = time.Second

func watchJob(ctx context.Context, env *Env, job string) error {
	api, err := env.iot(ctx)
	if err != nil {
		return err
	}
	p := NewProgress(env)
	for {
		s, err := Describe(ctx, api, job)
		if err != nil {
			p.Close()
			return err
		}
		p.Show(s)
		if s.Ended() {
			p.Close()
			if s.Counts.Total() == 0 {
				return NobodyError{fmt.Errorf("job %s is %s, and no device was in its target", job, s.Status)}
			}
			if s.Counts.Unsuccessful() == 0 && s.Status == "COMPLETED" {
				return nil
			}
			list, err := Failures(ctx, api, job, 100)
			if err != nil {
				return err
			}
			if err := printFailures(env, list); err != nil {
				return err
			}
			return ErrFailed
		}
		if err := env.Sleep(ctx, watchEvery); err != nil {
			p.Close()
			return err
		}
	}
}

// Ended reports whether the job and all its executions have come to their end.
func (s *State) Ended() bool {
	return s.Status != "IN_PROGRESS" && s.Status != "SCHEDULED" && s.Counts.Queued == 0 && s.Counts.InProgress == 0
}

// Progress shows states of a job one after another.
type Progress struct {
	env   *Env
	start time.Time
	last  string
	drawn bool
}

// NewProgress begins a display.
func NewProgress(env *Env) *Progress { return &Progress{env: env, start: env.Now()} }

const barWidth = 32

// Show displays a state: redrawn in place on a terminal, otherwise as a line if
// it differs from the one before.
func (p *Progress) Show(s *State) {
	took := p.env.Now().Sub(p.start).Round(time.Second)
	total, done := s.Counts.Total(), s.Counts.Done()
	if !p.env.Terminal {
		line := fmt.Sprintf("%s %d/%d: %s", s.Status, done, total, s.Counts)
		if line != p.last {
			fmt.Fprintf(p.env.Out, "%6s  %s\n", took, line)
			p.last = line
		}
		return
	}
	filled := 0
	if total > 0 {
		filled = barWidth * done / total
	}
	bar := strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled)
	fmt.Fprintf(p.env.Out, "\r\x1b[K%s %d/%d  %s  %s", bar, done, total, s.Counts, took)
	p.drawn = true
}

// Close ends the display's last line.
func (p *Progress) Close() {
	if p.drawn {
		fmt.Fprintln(p.env.Out)
		p.drawn = false
	}
}
