package dynamodb

import (
	"context"
	"iter"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// page is what Query and Scan share.
type page struct {
	TableName            string  `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	IndexName            string  `json:"IndexName,omitempty" api:"min=3,max=255,pattern=table name"`
	FilterExpression     *string `json:"FilterExpression,omitempty"`
	ProjectionExpression *string `json:"ProjectionExpression,omitempty"`
	placeholders
	replaced
	Select                 string    `json:"Select,omitempty" api:"values=SPECIFIC_ATTRIBUTES|COUNT|ALL_ATTRIBUTES|ALL_PROJECTED_ATTRIBUTES"`
	Limit                  *int      `json:"Limit,omitempty"`
	ConsistentRead         bool      `json:"ConsistentRead,omitempty"`
	ExclusiveStartKey      expr.Item `json:"ExclusiveStartKey,omitempty"`
	ReturnConsumedCapacity string    `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type queryIn struct {
	page
	KeyConditionExpression *string `json:"KeyConditionExpression"`
	ScanIndexForward       *bool   `json:"ScanIndexForward,omitempty"`
}

type scanIn struct {
	page
	Segment       *int `json:"Segment,omitempty" api:"min=0,max=999999"`
	TotalSegments *int `json:"TotalSegments,omitempty" api:"min=1,max=1000000"`
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

// plan reads a request; keyed is the KeyConditionExpression of a Query.
func (p *page) plan(query bool, keyed *string) (*plan, error) {
	expressions := []given{{projectionExpression, p.ProjectionExpression}, {"FilterExpression", p.FilterExpression}}
	if query {
		expressions = append(expressions, given{"KeyConditionExpression", keyed})
	}
	if err := p.mayUse(p.replaced, expressions...); err != nil {
		return nil, err
	}
	if p.Select == "ALL_PROJECTED_ATTRIBUTES" && p.IndexName == "" {
		return nil, errValidation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	switch p.Select {
	case "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES":
		if p.ProjectionExpression != nil {
			return nil, errValidation("Cannot specify the ProjectionExpression when choosing to get %s", p.Select)
		}
	case "COUNT":
		if p.ProjectionExpression != nil {
			return nil, errValidation("Cannot specify the ProjectionExpression when choosing to get only the Count")
		}
	case "SPECIFIC_ATTRIBUTES":
		if p.ProjectionExpression == nil {
			return nil, errValidation(
				"Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
		}
	}
	pl := &plan{names: p.names()}
	var err error
	if p.FilterExpression != nil {
		if pl.filter, err = expr.ParseCondition("FilterExpression", *p.FilterExpression, pl.names); err != nil {
			return nil, asValidation(err)
		}
	}
	pl.paths, err = projection(p.ProjectionExpression, pl.names)
	return pl, err
}

// source is what a page is read from: a table, or one of its indexes.
type source struct {
	t               *table
	x               *index // nil: the table itself
	partition, sort keyAttribute
}

// source finds what a request reads, and checks that it may be read so.
func (s *Service) source(tx *store.Tx, in *page, pl *plan) (src source, err error) {
	t, err := s.findShared(tx, in.TableName)
	if err != nil {
		return src, err
	}
	if in.IndexName == "" {
		return source{t, nil, t.Partition, t.Sort}, nil
	}
	x := t.index(in.IndexName)
	switch {
	case x == nil || x.Phase == deleting:
		return src, errValidation("The table does not have the specified index: %s", in.IndexName)
	case in.ConsistentRead:
		return src, errValidation("Consistent reads are not supported on global secondary indexes")
	case x.Phase != active:
		return src, errValidation("Cannot read from backfilling global secondary index: %s", x.Name)
	case in.Select == "ALL_ATTRIBUTES" && x.Projection != "ALL":
		return src, invalid("Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its "+
			"projection type is not ALL", x.Name)
	}
	var missing []string
	for _, p := range pl.paths {
		if !x.projects(t, p.Root()) {
			missing = append(missing, p.Root())
		}
	}
	if len(missing) > 0 {
		return src, invalid("Global secondary index %s does not project %s", x.Name, list(missing))
	}
	if pl.filter != nil {
		for _, name := range pl.filter.Attributes() {
			if !x.projects(t, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return src, invalid("Secondary index %s does not project one or more filter attributes: %s", x.Name,
			list(missing))
	}
	return source{t, x, x.Partition, x.Sort}, nil
}

// key are the attributes of a LastEvaluatedKey: of an index's, its keys and the table's.
func (src source) key(item expr.Item) expr.Item {
	k := src.t.key(item)
	if src.x != nil {
		for _, a := range src.x.keys() {
			k[a.Name] = item[a.Name]
		}
	}
	return k
}

// storeKey is where an item lies in the source, without the id that all of it have.
func (src source) storeKey(item expr.Item) []string {
	if src.x != nil {
		return src.x.entryKey(src.t, item)[1:]
	}
	return src.t.itemKey(item)[1:]
}

// checkStart checks an ExclusiveStartKey.
func (src source) checkStart(start expr.Item) error {
	if src.x == nil {
		return src.t.checkKey(start, true)
	}
	own := expr.Item{}
	for _, k := range src.x.keys() {
		v, ok := start[k.Name]
		if !ok || v.Kind != k.Kind || v.Str == "" {
			return errValidation("The provided key element does not match the schema")
		}
		own[k.Name] = v
	}
	rest := expr.Item{}
	for name, v := range start {
		if _, is := own[name]; !is || name == src.t.Partition.Name || name == src.t.Sort.Name {
			rest[name] = v
		}
	}
	return src.t.checkKey(rest, true)
}

func (s *Service) rows(tx *store.Tx, c *awsapi.Call, src source,
	q store.Query) iter.Seq2[store.Row[expr.Item], error] {
	if src.x == nil {
		q.Prefix = append([]string{src.t.ID}, q.Prefix...)
		return items.Scan(tx, q)
	}
	q.Prefix = append([]string{src.x.ID}, q.Prefix...)
	return s.scanIndex(tx, src.t, src.x, q, c.Identity.Root)
}

// collect takes items from a scan until the page is full. It stops the scan
// when next returns false.
type collector struct {
	source
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
		c.out.LastEvaluatedKey = c.key(item)
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
	used := units{}
	if n := readUnits(c.bytes, c.in.ConsistentRead); c.x == nil {
		used.table = n
	} else {
		used.addIndex(c.x.Name, n)
	}
	c.out.ConsumedCapacity = consumed(c.in.ReturnConsumedCapacity, c.t, used, 1)
}

func (s *Service) query(_ context.Context, call *awsapi.Call, in *queryIn) (*pageOut, error) {
	if in.Limit != nil && *in.Limit < 1 {
		return nil, errValidation("1 validation error detected: Value at 'Limit' failed to satisfy constraint: " +
			"Member must have value greater than or equal to 1")
	}
	pl, err := in.plan(true, in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	out := &pageOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		src, err := s.source(tx, &in.page, pl)
		if err != nil {
			return err
		}
		if in.KeyConditionExpression == nil {
			return errValidation("Either the KeyConditions or KeyConditionExpression parameter must be specified " +
				"in the request.")
		}
		k, err := expr.ParseKeyCondition(*in.KeyConditionExpression, pl.names, src.partition.Name, src.sort.Name)
		if err != nil {
			return asValidation(err)
		}
		if err := pl.names.Unused(); err != nil {
			return asValidation(err)
		}
		if pl.filter != nil {
			for _, name := range pl.filter.Attributes() {
				if name == src.partition.Name || name == src.sort.Name {
					return errValidation("Filter Expression can only contain non-primary key attributes: Primary key "+
						"attribute: %s", name)
				}
			}
		}
		if err := checkCondition(src, k); err != nil {
			return err
		}
		q := store.Query{Prefix: []string{orderedKey(k.Partition)}}
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
			if err := src.checkStart(start); err != nil {
				return errStart(err)
			}
			if !start[src.partition.Name].Equal(k.Partition) {
				return errValidation("The provided starting key is outside query boundaries based on provided " +
					"conditions")
			}
			q.After = src.storeKey(start)[1:]
		}
		c := &collector{source: src, in: &in.page, plan: pl, out: out}
		passed := false
		for row, err := range s.rows(tx, call, src, q) {
			if err != nil {
				return err
			}
			if src.sort.Name != "" && !k.Matches(row.Value[src.sort.Name]) {
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

func errStart(err error) error {
	return errValidation("The provided starting key is invalid: %s", awsapi.AsError(err).Message)
}

func checkCondition(src source, k *expr.KeyCondition) error {
	mismatch := errValidation(
		"One or more parameter values were invalid: Condition parameter type does not match schema type")
	if k.Partition.Kind != src.partition.Kind {
		return mismatch
	}
	for _, v := range k.Values {
		if v.Kind != src.sort.Kind || k.Op == "begins_with" && v.Kind == expr.N {
			return mismatch
		}
	}
	return nil
}

func (s *Service) scan(_ context.Context, call *awsapi.Call, in *scanIn) (*pageOut, error) {
	if in.Limit != nil && *in.Limit < 1 {
		return nil, errValidation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value greater than or equal to 1", *in.Limit)
	}
	pl, err := in.plan(false, nil)
	if err != nil {
		return nil, err
	}
	if err := pl.names.Unused(); err != nil {
		return nil, asValidation(err)
	}
	segment, segments := 0, 1
	const alone = "The %s parameter is required but was not present in the request when %s is present"
	switch {
	case in.Segment != nil && in.TotalSegments == nil:
		return nil, errValidation(alone, "TotalSegments", "Segment parameter")
	case in.Segment == nil && in.TotalSegments != nil:
		return nil, errValidation(alone, "Segment", "parameter TotalSegments")
	}
	if in.Segment != nil {
		segment, segments = *in.Segment, *in.TotalSegments
		if segment >= segments {
			return nil, errValidation(
				"The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is "+
					"not less than TotalSegments: %d", segment, segments)
		}
	}
	out := &pageOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		src, err := s.source(tx, &in.page, pl)
		if err != nil {
			return err
		}
		q := store.Query{}
		if start := in.ExclusiveStartKey; start != nil {
			if err := src.checkStart(start); err != nil {
				return errStart(err)
			}
			q.After = src.storeKey(start)
		}
		c := &collector{source: src, in: &in.page, plan: pl, out: out}
		for row, err := range s.rows(tx, call, src, q) {
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
