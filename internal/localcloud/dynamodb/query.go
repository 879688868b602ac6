package dynamodb

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// page is what Query and Scan share.
type page struct {
	TableName            string `json:"TableName"`
	IndexName            string `json:"IndexName,omitempty"`
	FilterExpression     string `json:"FilterExpression,omitempty"`
	ProjectionExpression string `json:"ProjectionExpression,omitempty"`
	placeholders
	replaced
	Select                 string    `json:"Select,omitempty"`
	Limit                  *int      `json:"Limit,omitempty"`
	ConsistentRead         bool      `json:"ConsistentRead,omitempty"`
	ExclusiveStartKey      expr.Item `json:"ExclusiveStartKey,omitempty"`
	ReturnConsumedCapacity string    `json:"ReturnConsumedCapacity,omitempty"`
}

type queryIn struct {
	page
	KeyConditionExpression string `json:"KeyConditionExpression"`
	ScanIndexForward       *bool  `json:"ScanIndexForward,omitempty"`
}

type scanIn struct {
	page
	Segment       *int `json:"Segment,omitempty"`
	TotalSegments *int `json:"TotalSegments,omitempty"`
}

type pageOut struct {
	Items            *[]expr.Item `json:"Items,omitempty"`
	Count            int          `json:"Count"`
	ScannedCount     int          `json:"ScannedCount"`
	LastEvaluatedKey expr.Item    `json:"LastEvaluatedKey,omitempty"`
	ConsumedCapacity *consumption `json:"ConsumedCapacity,omitempty"`
}

// plan is a page request with its expressions parsed.
type plan struct {
	names  *expr.Names
	filter *expr.Condition
	paths  []expr.Path
}

func (p *page) plan() (*plan, error) {
	if p.IndexName != "" {
		return nil, awsapi.NotBuilt("secondary indexes (IndexName)")
	}
	if err := p.replaced.check(); err != nil {
		return nil, err
	}
	if err := oneOf("Select", p.Select, "ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"); err != nil {
		return nil, err
	}
	if p.Limit != nil && *p.Limit < 1 {
		return nil, errValidation("Limit: %d must be at least 1", *p.Limit)
	}
	pl := &plan{names: p.names()}
	var err error
	if p.FilterExpression != "" {
		if pl.filter, err = expr.ParseCondition("FilterExpression", p.FilterExpression, pl.names); err != nil {
			return nil, asValidation(err)
		}
	}
	pl.paths, err = projection(p.ProjectionExpression, pl.names)
	return pl, err
}

// collect takes items from a scan until the page is full. It stops the scan
// when next returns false.
type collector struct {
	t     *table
	in    *page
	plan  *plan
	out   *pageOut
	items []expr.Item
	bytes int
	last  expr.Item
}

// take looks at one item and reports whether the page can hold another.
func (c *collector) take(item expr.Item) bool {
	c.out.ScannedCount++
	c.bytes += item.Size()
	c.last = item
	if c.plan.filter == nil || c.plan.filter.Eval(item) {
		c.out.Count++
		if c.in.Select != "COUNT" {
			c.items = append(c.items, expr.Project(item, c.plan.paths))
		}
	}
	if c.in.Limit != nil && c.out.ScannedCount >= *c.in.Limit || c.bytes >= maxPage {
		c.out.LastEvaluatedKey = c.t.key(item)
		return false
	}
	return true
}

func (c *collector) finish() {
	if c.in.Select != "COUNT" {
		if c.items == nil {
			c.items = []expr.Item{}
		}
		c.out.Items = &c.items
	}
	c.out.ConsumedCapacity = consumed(c.in.ReturnConsumedCapacity, c.t, readUnits(c.bytes, c.in.ConsistentRead))
}

func (s *Service) query(_ context.Context, _ *awsapi.Call, in *queryIn) (*pageOut, error) {
	pl, err := in.plan()
	if err != nil {
		return nil, err
	}
	out := &pageOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, err := s.findShared(tx, in.TableName)
		if err != nil {
			return err
		}
		if in.KeyConditionExpression == "" {
			return errValidation("Either the KeyConditions or KeyConditionExpression parameter must be specified " +
				"in the request.")
		}
		k, err := expr.ParseKeyCondition(in.KeyConditionExpression, pl.names, t.Partition.Name, t.Sort.Name)
		if err != nil {
			return asValidation(err)
		}
		if err := pl.names.Unused(); err != nil {
			return asValidation(err)
		}
		if err := checkCondition(t, k); err != nil {
			return err
		}
		q := store.Query{Prefix: []string{t.ID, orderedKey(k.Partition)}}
		q.Reverse = in.ScanIndexForward != nil && !*in.ScanIndexForward
		if k.Op == "begins_with" {
			q.Begins = k.Values[0].Str
		}
		// "=" reads one place; a lower bound lets a forward scan begin there.
		if k.Op == "=" {
			q.From = []string{orderedKey(k.Values[0])}
		} else if !q.Reverse && (k.Op == ">" || k.Op == ">=" || k.Op == "BETWEEN") {
			q.From = []string{orderedKey(k.Values[0])}
		}
		if start := in.ExclusiveStartKey; start != nil {
			if err := t.checkKey(start, true); err != nil {
				return errValidation("The provided starting key is invalid: %s", awsapi.AsError(err).Message)
			}
			if !start[t.Partition.Name].Equal(k.Partition) {
				return errValidation("The provided starting key is outside query boundaries based on provided " +
					"conditions")
			}
			q.After = t.itemKey(start)[2:]
		}
		c := &collector{t: t, in: &in.page, plan: pl, out: out}
		passed := false
		for row, err := range items.Scan(tx, q) {
			if err != nil {
				return err
			}
			if t.Sort.Name != "" && !k.Matches(row.Value[t.Sort.Name]) {
				if passed { // the matching keys lie together
					break
				}
				continue
			}
			passed = true
			if !c.take(row.Value) {
				break
			}
		}
		c.finish()
		return nil
	})
}

func checkCondition(t *table, k *expr.KeyCondition) error {
	mismatch := errValidation(
		"One or more parameter values were invalid: Condition parameter type does not match schema type")
	if k.Partition.Kind != t.Partition.Kind {
		return mismatch
	}
	for _, v := range k.Values {
		if v.Kind != t.Sort.Kind || k.Op == "begins_with" && v.Kind == expr.N {
			return mismatch
		}
	}
	return nil
}

func (s *Service) scan(_ context.Context, _ *awsapi.Call, in *scanIn) (*pageOut, error) {
	pl, err := in.plan()
	if err != nil {
		return nil, err
	}
	if err := pl.names.Unused(); err != nil {
		return nil, asValidation(err)
	}
	segment, segments := 0, 1
	if (in.Segment == nil) != (in.TotalSegments == nil) {
		return nil, errValidation("Segment and TotalSegments must be given together")
	}
	if in.Segment != nil {
		segment, segments = *in.Segment, *in.TotalSegments
		if segments < 1 || segments > 1000000 || segment < 0 || segment >= segments {
			return nil, errValidation(
				"The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is "+
					"not less than TotalSegments: %d", segment, segments)
		}
	}
	out := &pageOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, err := s.findShared(tx, in.TableName)
		if err != nil {
			return err
		}
		q := store.Query{Prefix: []string{t.ID}}
		if start := in.ExclusiveStartKey; start != nil {
			if err := t.checkKey(start, true); err != nil {
				return errValidation("The provided starting key is invalid: %s", awsapi.AsError(err).Message)
			}
			q.After = t.itemKey(start)[1:]
		}
		c := &collector{t: t, in: &in.page, plan: pl, out: out}
		for row, err := range items.Scan(tx, q) {
			if err != nil {
				return err
			}
			if segments > 1 && int(hash(row.Key[1])%uint32(segments)) != segment {
				continue
			}
			if !c.take(row.Value) {
				break
			}
		}
		c.finish()
		return nil
	})
}
