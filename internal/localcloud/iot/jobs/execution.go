package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// latest returns a thing's latest execution of a job, nil if it has none.
func latest(tx *store.Tx, id, thing string) (*execution, error) {
	for row, err := range executionTable.Scan(tx, store.Query{Prefix: []string{id, thing}, Reverse: true}) {
		if err != nil {
			return nil, err
		}
		return &row.Value, nil
	}
	return nil, nil
}

// numbered returns an execution by its number, the latest for 0, nil if there
// is none.
func numbered(tx *store.Tx, id, thing string, number int64) (*execution, error) {
	if number == 0 {
		return latest(tx, id, thing)
	}
	e, ok, err := executionTable.Get(tx, id, thing, store.Number(uint64(number)))
	if err != nil || !ok {
		return nil, err
	}
	return &e, nil
}

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

// maxRetries is AWS's limit for one thing.
const maxRetries = 10

// retryOf names the criterion under which a failed execution is retried, "" if
// it is not.
func (j *loaded) retryOf(e *execution) string {
	if j.Retry == nil || j.Status != InProgress || j.Ended || e.Attempt >= maxRetries ||
		e.Status != Failed && e.Status != TimedOut {
		return ""
	}
	for _, c := range j.Retry.CriteriaList {
		if (c.FailureType == e.Status || c.FailureType == allFailures) && e.Retries[c.FailureType] < c.NumberOfRetries {
			return c.FailureType
		}
	}
	return ""
}

// pendingHead names the first execution of a thing's pending list, "" if the
// list is empty.
func pendingHead(tx *store.Tx, thing string) (string, error) {
	for row, err := range pendingTable.Scan(tx, store.Query{Prefix: []string{thing}}) {
		if err != nil {
			return "", err
		}
		return row.Key[3] + "/" + string(row.Value), nil
	}
	return "", nil
}

// maxPending is how many pending executions are shown to a device.
const maxPending = 10

// pendingList reads a thing's pending list.
func pendingList(tx *store.Tx, thing string, limit int) ([]execution, error) {
	var keys [][2]string
	for row, err := range pendingTable.Scan(tx, store.Query{Prefix: []string{thing}}) {
		if err != nil {
			return nil, err
		}
		if keys = append(keys, [2]string{row.Key[3], string(row.Value)}); len(keys) == limit {
			break
		}
	}
	var list []execution
	for _, k := range keys {
		e, ok, err := executionTable.Get(tx, k[0], thing, k[1])
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, e)
		}
	}
	return list, nil
}
