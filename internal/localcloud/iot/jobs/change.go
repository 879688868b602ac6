package jobs

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/outbox"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const minute = 60_000

// chunk bounds the things one step handles.
const chunk = 1000

// change is one transaction over jobs and executions. It keeps indexes,
// tallies, timers, events and notifications in step with the records, and
// settles every job it touched before it ends.
type change struct {
	s   *Service
	tx  *store.Tx
	now time.Time
	ms  int64

	jobs     map[string]*loaded
	jobOrder []string
	things   map[string]*watched
	order    []string
	events   []outbox.Message // follow what is sent to things
	earliest int64            // earliest due row that was added
	arrivals map[arrival]int
}

// loaded is a job in a change.
type loaded struct {
	job
	tally
	status  string // as stored, "" for a new job
	nextAt  int64  // as stored
	dirty   bool
	counted bool // tally changed
	gone    bool
}

// watched is a thing in a change: the head of its pending list before it, and
// whether the list's members have changed.
type watched struct {
	head    string
	changed bool
}

// job returns a job for changing, nil if there is none.
func (c *change) job(id string) (*loaded, error) {
	if j, ok := c.jobs[id]; ok {
		if j.gone {
			return nil, nil
		}
		return j, nil
	}
	record, ok, err := jobTable.Get(c.tx, id)
	if err != nil || !ok {
		return nil, err
	}
	t, _, err := tallyTable.Get(c.tx, id)
	if err != nil {
		return nil, err
	}
	j := &loaded{job: record, tally: t, status: record.Status, nextAt: record.NextAt}
	c.jobs[id] = j
	c.jobOrder = append(c.jobOrder, id)
	return j, nil
}

// add makes a new job known to the change.
func (c *change) add(record job) *loaded {
	j := &loaded{job: record, dirty: true, counted: true}
	c.jobs[j.ID] = j
	c.jobOrder = append(c.jobOrder, j.ID)
	return j
}

func (j *loaded) count(status string, n int) {
	j.add(status, n)
	j.counted = true
}

// next sets the job's next step and when it is due; time 0 is never. The end
// of the schedule comes first if it is earlier.
func (c *change) next(j *loaded, work string, at int64) {
	if j.End != 0 && !j.Ended && (j.Status == Scheduled || j.Status == InProgress) && (at == 0 || j.End < at) {
		at = j.End
	}
	j.Work, j.NextAt, j.dirty = work, at, true
}

func (c *change) watch(thing string) (*watched, error) {
	if w, ok := c.things[thing]; ok {
		return w, nil
	}
	head, err := pendingHead(c.tx, thing)
	if err != nil {
		return nil, err
	}
	w := &watched{head: head}
	c.things[thing] = w
	c.order = append(c.order, thing)
	return w, nil
}

// put writes an execution in place of its old version (nil: it is new).
func (c *change) put(old, e *execution) error {
	w, err := c.watch(e.Thing)
	if err != nil {
		return err
	}
	number := store.Number(uint64(e.Number))
	if old != nil {
		if old.Status != e.Status {
			if err := executionByStatus.Delete(c.tx, old.Job, old.Status, old.Thing, number); err != nil {
				return err
			}
			if !terminal(old.Status) {
				if err := pendingTable.Delete(c.tx, old.pendingKey()...); err != nil {
					return err
				}
			}
		}
		if old.due() != 0 && old.due() != e.due() {
			if err := dueTable.Delete(c.tx, store.Number(uint64(old.due())), e.Job, e.Thing, number); err != nil {
				return err
			}
		}
	} else if err := executionByThing.Put(c.tx, mark{}, e.Thing, e.Job, number); err != nil {
		return err
	}
	if err := executionTable.Put(c.tx, *e, e.Job, e.Thing, number); err != nil {
		return err
	}
	if old == nil || old.Status != e.Status {
		if c.s.config.Metrics != nil {
			if c.arrivals == nil {
				c.arrivals = map[arrival]int{}
			}
			c.arrivals[arrival{e.Job, e.Status}]++
		}
		if err := executionByStatus.Put(c.tx, mark{}, e.Job, e.Status, e.Thing, number); err != nil {
			return err
		}
		if !terminal(e.Status) {
			if err := pendingTable.Put(c.tx, mark(number), e.pendingKey()...); err != nil {
				return err
			}
		}
	}
	if at := e.due(); at != 0 && (old == nil || old.due() != at) {
		if err := c.schedule(at, e.Job, e.Thing, number); err != nil {
			return err
		}
	}
	was := old != nil && !terminal(old.Status)
	if was == terminal(e.Status) {
		w.changed = true
	}
	return nil
}

// drop removes an execution and all traces of it.
func (c *change) drop(e *execution) error {
	w, err := c.watch(e.Thing)
	if err != nil {
		return err
	}
	number := store.Number(uint64(e.Number))
	if !terminal(e.Status) {
		w.changed = true
		if err := pendingTable.Delete(c.tx, e.pendingKey()...); err != nil {
			return err
		}
		if e.due() != 0 {
			if err := dueTable.Delete(c.tx, store.Number(uint64(e.due())), e.Job, e.Thing, number); err != nil {
				return err
			}
		}
	}
	if err := executionByStatus.Delete(c.tx, e.Job, e.Status, e.Thing, number); err != nil {
		return err
	}
	if err := executionByThing.Delete(c.tx, e.Thing, e.Job, number); err != nil {
		return err
	}
	return executionTable.Delete(c.tx, e.Job, e.Thing, number)
}

func (c *change) schedule(at int64, key ...string) error {
	if c.earliest == 0 || at < c.earliest {
		c.earliest = at
	}
	return dueTable.Put(c.tx, mark{}, append([]string{store.Number(uint64(at))}, key...)...)
}

func (c *change) save(j *loaded) error {
	if j.counted {
		if err := tallyTable.Put(c.tx, j.tally, j.ID); err != nil {
			return err
		}
	}
	if !j.dirty {
		return nil
	}
	if j.status != j.Status {
		if j.status != "" {
			if err := jobByStatus.Delete(c.tx, j.status, newest(j.Created), j.ID); err != nil {
				return err
			}
		}
		if err := jobByStatus.Put(c.tx, mark{}, j.Status, newest(j.Created), j.ID); err != nil {
			return err
		}
		j.status = j.Status
	}
	if j.nextAt != j.NextAt {
		if j.nextAt != 0 {
			if err := dueTable.Delete(c.tx, store.Number(uint64(j.nextAt)), j.ID, "", ""); err != nil {
				return err
			}
		}
		if j.NextAt != 0 {
			if err := c.schedule(j.NextAt, j.ID, "", ""); err != nil {
				return err
			}
		}
		j.nextAt = j.NextAt
	} else if j.NextAt != 0 && (c.earliest == 0 || j.NextAt < c.earliest) {
		c.earliest = j.NextAt
	}
	return jobTable.Put(c.tx, j.job, j.ID)
}
