package jobs

// create queues an execution on a thing.
func (c *change) create(j *loaded, thing string) error {
	last, err := latest(c.tx, j.ID, thing)
	if err != nil {
		return err
	}
	e := &execution{Job: j.ID, Thing: thing, Number: 1}
	if last != nil {
		e.Number = last.Number + 1
		j.count(last.Status, -1)
	}
	return c.queue(j, e)
}

func (c *change) queue(j *loaded, e *execution) error {
	e.Status, e.Version, e.Queued, e.Updated = Queued, 1, c.ms, c.ms
	j.count(Queued, 1)
	j.Notified++
	return c.put(nil, e)
}

// start makes a queued execution IN_PROGRESS and sets its timer.
func (c *change) start(j *loaded, e *execution) {
	e.Status, e.Started = InProgress, c.ms
	if j.Timeout != nil {
		e.TimeoutAt = c.ms + j.Timeout.InProgressTimeoutInMinutes*60_000
	}
}

// finish moves an execution to a terminal status, with new details unless they
// are nil, and queues a retry if the job wants one.
func (c *change) finish(e *execution, status string, details map[string]string, forced bool) error {
	j, err := c.job(e.Job)
	if err != nil {
		return err
	}
	old := *e
	e.Status, e.Updated, e.Forced, e.TimeoutAt, e.StepAt = status, c.ms, forced, 0, 0
	e.Version++
	if details != nil {
		e.Details = details
	}
	if err := c.put(&old, e); err != nil {
		return err
	}
	if j == nil {
		return c.executionEvent(e, operationOf(status))
	}
	isLatest, err := c.isLatest(e)
	if err != nil {
		return err
	}
	if isLatest {
		j.count(old.Status, -1)
		j.count(status, 1)
	}
	if err := c.executionEvent(e, operationOf(status)); err != nil {
		return err
	}
	criterion := j.retryOf(e)
	if criterion == "" || !isLatest {
		return nil
	}
	retries := map[string]int{criterion: 1}
	for k, n := range e.Retries {
		retries[k] += n
	}
	j.count(status, -1)
	j.count(Queued, 1)
	return c.put(nil, &execution{
		Job: e.Job, Thing: e.Thing, Number: e.Number + 1, Status: Queued, Version: 1,
		Queued: c.ms, Updated: c.ms, Attempt: e.Attempt + 1, Retries: retries,
	})
}

func (c *change) isLatest(e *execution) (bool, error) {
	last, err := latest(c.tx, e.Job, e.Thing)
	return last != nil && last.Number == e.Number, err
}

// retryOf names the criterion under which a failed execution is retried, "" if it is not.
func (j *loaded) retryOf(e *execution) string {
	if j.Status != InProgress || j.Ended {
		return ""
	}
	return j.Retry.Criterion(e.Status, e.Attempt, e.Retries)
}
