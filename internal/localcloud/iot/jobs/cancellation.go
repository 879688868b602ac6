package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// cancelSome cancels the executions of a canceled job, or of one whose time is
// over, a chunk a minute.
func (c *change) cancelSome(j *loaded) error {
	force := j.ForceCanceled
	if j.Work == ending {
		force = j.Scheduling != nil && j.Scheduling.EndBehavior == configuration.ForceCancel
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

// endSchedule does what endBehavior says once endTime has come.
func (c *change) endSchedule(j *loaded) {
	j.Ended, j.Updated, j.Status = true, c.ms, InProgress
	j.Waiting, j.counted = 0, true
	if j.Scheduling.EndBehavior == configuration.StopRollout {
		c.next(j, resting, 0)
		return
	}
	c.next(j, ending, c.ms)
}

func (c *change) deleteSome(j *loaded) error {
	var targets []string // that have no execution yet
	for row, err := range waiting.Scan(c.tx, store.Query{Prefix: []string{j.ID}}) {
		if err != nil {
			return err
		}
		if targets = append(targets, row.Key[1]); len(targets) == chunk {
			break
		}
	}
	for _, thing := range targets {
		if err := waiting.Delete(c.tx, j.ID, thing); err != nil {
			return err
		}
	}
	if len(targets) == chunk {
		c.next(j, deleting, c.ms)
		return nil
	}
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

// abortOrComplete ends a job whose abort criteria are met or that has nothing left to do.
func (c *change) abortOrComplete(j *loaded) error {
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
	base := j.Notified
	if share == OfFinished {
		base = 0
		for status, n := range j.By {
			if terminal(status) {
				base += n
			}
		}
	}
	return j.Abort.Met(j.Notified, base, j.By)
}

// remove deletes a job's own records; its executions are gone already.
func (c *change) remove(j *loaded) error {
	j.gone = true
	if j.nextAt != 0 {
		if err := dueTable.Delete(c.tx, store.Number(uint64(j.nextAt)), j.ID, "", ""); err != nil {
			return err
		}
	}
	if err := c.closeGroups(j); err != nil {
		return err
	}
	for _, err := range []error{
		jobTable.Delete(c.tx, j.ID),
		tallyTable.Delete(c.tx, j.ID),
		documentTable.Delete(c.tx, j.ID),
		jobOrder.Delete(c.tx, newest(j.Created), j.ID),
		jobByStatus.Delete(c.tx, j.status, newest(j.Created), j.ID),
		c.s.config.Registry.Untag(c.tx, c.s.jobARN(j.ID)),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
