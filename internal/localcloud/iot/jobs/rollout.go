package jobs

import (
	"math"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	minute = 60_000
	// defaultRate is the rate without a rollout configuration.
	defaultRate = 1000
	// chunk bounds the things one step handles.
	chunk = 1000
)

// rate is how many things a job notifies a minute, when so many were notified
// and have succeeded. Each time the criterion is met once more, the base rate
// is multiplied; fractions of a thing are dropped.
func (r *Rollout) rate(notified, succeeded int) int {
	if r == nil {
		return defaultRate
	}
	ceiling := defaultRate
	if r.MaximumPerMinute != nil {
		ceiling = *r.MaximumPerMinute
	}
	x := r.ExponentialRate
	if x == nil {
		return ceiling
	}
	steps := 0
	if n := x.RateIncreaseCriteria.NumberOfNotifiedThings; n != nil {
		steps = notified / *n
	} else if n := x.RateIncreaseCriteria.NumberOfSucceededThings; n != nil {
		steps = succeeded / *n
	}
	rate := float64(x.BaseRatePerMinute) * math.Pow(x.IncrementFactor, float64(steps))
	return int(min(rate+1e-9, float64(ceiling)))
}

// advance does a job's due step.
func (c *change) advance(j *loaded) error {
	running := j.Status == Scheduled || j.Status == InProgress
	if running && j.End != 0 && !j.Ended && c.ms >= j.End {
		c.endSchedule(j)
		return nil
	}
	switch j.Work {
	case starting:
		j.Status, j.Updated = InProgress, c.ms
		c.next(j, resolving, c.ms)
		return nil
	case resolving:
		return c.resolve(j)
	case rollingOut:
		return c.rollOut(j)
	case canceling, ending:
		return c.cancelSome(j)
	case deleting:
		return c.deleteSome(j)
	}
	c.next(j, resting, 0)
	return nil
}

// resolve writes down members of the targets, at most a chunk of them.
func (c *change) resolve(j *loaded) error {
	for budget := chunk; budget > 0; {
		if j.ResolveTarget == len(j.Targets) {
			c.next(j, rollingOut, c.ms)
			return nil
		}
		kind, name := resourceOf(j.Targets[j.ResolveTarget])
		if kind == "thing" {
			if err := c.await(j, name); err != nil {
				return err
			}
			j.ResolveTarget++
			budget--
			continue
		}
		if j.ResolvePending == nil {
			j.ResolvePending = []string{name}
		}
		group := j.ResolvePending[0]
		members, err := c.s.config.Registry.Members(c.tx, group, j.ResolveAfter, budget)
		if err != nil {
			return err
		}
		for _, thing := range members {
			if err := c.await(j, thing); err != nil {
				return err
			}
			j.ResolveAfter = thing
		}
		if len(members) == budget {
			break
		}
		budget -= max(len(members), 1)
		children, err := c.s.config.Registry.Children(c.tx, group)
		if err != nil {
			return err
		}
		j.ResolvePending, j.ResolveAfter = append(j.ResolvePending[1:], children...), ""
		if len(j.ResolvePending) == 0 {
			j.ResolvePending = nil
			j.ResolveTarget++
		}
	}
	c.next(j, resolving, c.ms)
	return nil
}

// await adds a thing to those that wait for their execution.
func (c *change) await(j *loaded, thing string) error {
	_, waits, err := waiting.Get(c.tx, j.ID, thing)
	if err != nil || waits {
		return err
	}
	last, err := latest(c.tx, j.ID, thing)
	if err != nil || last != nil {
		return err
	}
	j.Waiting++
	j.counted = true
	return waiting.Put(c.tx, mark{}, j.ID, thing)
}

// rollOut gives the next minute's things their execution.
func (c *change) rollOut(j *loaded) error {
	limit := j.Rollout.rate(j.Notified, j.By[Succeeded])
	var things []string
	for row, err := range waiting.Scan(c.tx, store.Query{Prefix: []string{j.ID}}) {
		if err != nil {
			return err
		}
		if len(things) == limit {
			break
		}
		things = append(things, row.Key[1])
	}
	for _, thing := range things {
		if err := waiting.Delete(c.tx, j.ID, thing); err != nil {
			return err
		}
		j.Waiting--
		j.counted = true
		ok, err := c.s.config.Registry.HasThing(c.tx, thing)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := c.create(j, thing); err != nil {
			return err
		}
	}
	if j.Waiting > 0 {
		c.next(j, rollingOut, c.ms+minute)
		return nil
	}
	c.next(j, resting, 0)
	return nil
}

// cancelSome cancels the executions of a canceled job, or of one whose time is
// over, a chunk a minute.
func (c *change) cancelSome(j *loaded) error {
	force := j.ForceCanceled
	if j.Work == ending {
		force = j.Scheduling != nil && j.Scheduling.EndBehavior == forceCancel
	}
	statuses := []string{Queued}
	if force {
		statuses = append(statuses, InProgress)
	}
	var keys [][]string
	for _, status := range statuses {
		for row, err := range executionByStatus.Scan(c.tx, store.Query{Prefix: []string{j.ID, status}}) {
			if err != nil {
				return err
			}
			if len(keys) == chunk {
				c.next(j, j.Work, c.ms+minute)
				return c.cancelAll(keys, force)
			}
			keys = append(keys, []string{row.Key[0], row.Key[2], row.Key[3]})
		}
	}
	if err := c.cancelAll(keys, force); err != nil {
		return err
	}
	work := j.Work
	c.next(j, resting, 0)
	if work == canceling {
		j.Completed, j.Updated = c.ms, c.ms
		return c.jobEvent(j, "canceled")
	}
	return nil
}

func (c *change) cancelAll(keys [][]string, force bool) error {
	for _, key := range keys {
		e, ok, err := executionTable.Get(c.tx, key...)
		if err != nil {
			return err
		}
		if !ok || terminal(e.Status) {
			continue
		}
		if err := c.finish(&e, Canceled, nil, force); err != nil {
			return err
		}
	}
	return nil
}

// cancel makes a job CANCELED; its executions follow in steps.
func (c *change) cancel(j *loaded, reason, comment string, force bool) error {
	j.Status, j.ReasonCode, j.Comment, j.ForceCanceled, j.Updated = Canceled, reason, comment, force, c.ms
	c.next(j, canceling, c.ms)
	if err := c.stopTaking(j); err != nil {
		return err
	}
	return c.jobEvent(j, "cancellation_in_progress")
}

// stopTaking forgets the things that wait, and closes the job to new members.
func (c *change) stopTaking(j *loaded) error {
	j.Waiting, j.counted = 0, true
	return c.closeGroups(j)
}

func (c *change) closeGroups(j *loaded) error {
	for _, target := range j.Targets {
		if kind, name := resourceOf(target); kind == "thinggroup" {
			if err := jobByGroup.Delete(c.tx, name, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) openGroups(j *loaded) error {
	if !j.continuous() {
		return nil
	}
	for _, target := range j.Targets {
		if kind, name := resourceOf(target); kind == "thinggroup" {
			if err := jobByGroup.Put(c.tx, mark{}, name, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// endSchedule does what endBehavior says once endTime has come.
func (c *change) endSchedule(j *loaded) {
	j.Ended, j.Updated, j.Status = true, c.ms, InProgress
	j.Waiting, j.counted = 0, true
	if j.Scheduling.EndBehavior == stopRollout {
		c.next(j, resting, 0)
		return
	}
	c.next(j, ending, c.ms)
}

func (c *change) deleteSome(j *loaded) error {
	var list []execution
	for row, err := range executionTable.Scan(c.tx, store.Query{Prefix: []string{j.ID}}) {
		if err != nil {
			return err
		}
		list = append(list, row.Value)
		if len(list) == chunk {
			break
		}
	}
	for i := range list {
		if err := c.drop(&list[i]); err != nil {
			return err
		}
	}
	if len(list) == chunk {
		c.next(j, deleting, c.ms)
		return nil
	}
	if err := c.jobEvent(j, "deleted"); err != nil {
		return err
	}
	return c.remove(j)
}

// settle aborts or completes a job that has come to it.
func (c *change) settle(j *loaded) error {
	if j.Status != InProgress {
		return nil
	}
	if j.counted && j.aborts(c.s.config.AbortShare) {
		return c.cancel(j, abortReason, "The job was canceled because its abort criteria were met.", false)
	}
	over := !j.continuous() || j.Ended
	if j.Work == resting && over && j.Waiting == 0 && j.active() == 0 {
		j.Status, j.Completed, j.Updated = Completed, c.ms, c.ms
		c.next(j, resting, 0)
		if err := c.stopTaking(j); err != nil {
			return err
		}
		return c.jobEvent(j, "completed")
	}
	return nil
}

const abortReason = "ABORT_CRITERIA_MET"

// aborts reports whether one of the job's abort criteria is met.
func (j *loaded) aborts(share AbortShare) bool {
	if j.Abort == nil {
		return false
	}
	of := j.Notified
	if share == OfFinished {
		of = 0
		for status, n := range j.By {
			if terminal(status) {
				of += n
			}
		}
	}
	for _, c := range j.Abort.CriteriaList {
		if j.Notified < c.MinNumberOfExecutedThings || of == 0 {
			continue
		}
		failed := j.By[c.FailureType]
		if c.FailureType == allFailures {
			failed = j.By[Failed] + j.By[Rejected] + j.By[TimedOut]
		}
		if failed > 0 && float64(failed)*100 >= c.ThresholdPercentage*float64(of) {
			return true
		}
	}
	return false
}

// resourceOf takes an ARN's last part apart: "thing", "thinggroup" and a name.
func resourceOf(arn string) (kind, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return "", ""
	}
	kind, name, _ = strings.Cut(parts[5], "/")
	return kind, name
}
