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

func noJob(id string) error { return notFound("Job %s cannot be found.", id) }

// read gives a job and its tally.
func (s *Service) read(id string) (j job, t tally, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		var ok bool
		if j, ok, err = jobTable.Get(tx, id); err != nil {
			return err
		}
		if !ok {
			return noJob(id)
		}
		t, _, err = tallyTable.Get(tx, id)
		return err
	})
	return j, t, err
}

func (s *Service) templateByARN(arn string) (template, error) {
	var t template
	kind, id := resourceOf(arn)
	if kind != "jobtemplate" {
		return t, invalid("jobTemplateArn %q is not the ARN of a job template of this account.", arn)
	}
	err := s.db.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if t, ok, err = templateTable.Get(tx, id); err == nil && (!ok || arn != s.arn("jobtemplate/"+id)) {
			return notFound("Job template %s cannot be found.", arn)
		}
		return err
	})
	return t, err
}
