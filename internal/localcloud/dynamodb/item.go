package dynamodb

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// placeholders are the members that every operation with expressions has.
type placeholders struct {
	ExpressionAttributeNames  map[string]string     `json:"ExpressionAttributeNames,omitempty" api:"each.max=65535"`
	ExpressionAttributeValues map[string]expr.Value `json:"ExpressionAttributeValues,omitempty"`
}

func (p placeholders) names() *expr.Names {
	return &expr.Names{Attributes: p.ExpressionAttributeNames, Values: p.ExpressionAttributeValues}
}

// replaced are the parameters that expressions replaced.
type replaced struct {
	Expected            any `json:"Expected,omitempty"`
	AttributeUpdates    any `json:"AttributeUpdates,omitempty"`
	AttributesToGet     any `json:"AttributesToGet,omitempty"`
	KeyConditions       any `json:"KeyConditions,omitempty"`
	QueryFilter         any `json:"QueryFilter,omitempty"`
	ScanFilter          any `json:"ScanFilter,omitempty"`
	ConditionalOperator any `json:"ConditionalOperator,omitempty"`
}

// Expressions by their names.
const (
	conditionExpression  = "ConditionExpression"
	projectionExpression = "ProjectionExpression"
)

// mayUse says whether a request may have what it has, beside its expressions.
func (p placeholders) mayUse(r replaced, expressions ...given) error {
	if err := r.check(expressions...); err != nil {
		return err
	}
	return p.check(expressions...)
}

// given is an expression of a request by its name; nil if it has none.
type given struct {
	name  string
	value *string
}

// check refuses these parameters; expressions are those of the request, with which they cannot be mixed.
func (r replaced) check(expressions ...given) error {
	var old []string
	for _, p := range [...]struct {
		name  string
		value any
	}{
		{"Expected", r.Expected}, {"AttributeUpdates", r.AttributeUpdates}, {"AttributesToGet", r.AttributesToGet},
		{"KeyConditions", r.KeyConditions},
		{"QueryFilter", r.QueryFilter}, {"ScanFilter", r.ScanFilter}, {"ConditionalOperator", r.ConditionalOperator},
	} {
		if p.value != nil {
			old = append(old, p.name)
		}
	}
	if old == nil {
		return nil
	}
	var used []string
	for _, e := range expressions {
		if e.value != nil {
			used = append(used, e.name)
		}
	}
	if used != nil {
		return errValidation("Can not use both expression and non-expression parameters in the same request: "+
			"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(old, ", "),
			strings.Join(used, ", "))
	}
	return awsapi.NotBuilt("the DynamoDB parameter " + old[0] + "; use an expression")
}

// check refuses values and names that there is no expression for. Of ProjectionExpression there are no values.
func (p placeholders) check(expressions ...given) error {
	named, valued := false, false
	var absent []string
	for _, e := range expressions {
		named = named || e.value != nil
		if e.name == projectionExpression {
			continue
		}
		valued = valued || e.value != nil
		absent = append(absent, e.name)
	}
	const only = "%s can only be specified when using expressions"
	if p.ExpressionAttributeNames != nil && !named {
		return errValidation(only, "ExpressionAttributeNames")
	}
	if p.ExpressionAttributeValues == nil || valued {
		return nil
	}
	verb := "is"
	if len(absent) > 1 {
		verb = "are"
	}
	return errValidation(only+": %s %s null", "ExpressionAttributeValues", strings.Join(absent, " and "), verb)
}

// consumption is what an operation reports under ReturnConsumedCapacity.
type consumption struct {
	TableName              string              `json:"TableName"`
	CapacityUnits          float64             `json:"CapacityUnits"`
	Table                  *capacity           `json:"Table,omitempty"`
	GlobalSecondaryIndexes map[string]capacity `json:"GlobalSecondaryIndexes,omitempty"`
}

type capacity struct {
	CapacityUnits float64 `json:"CapacityUnits"`
}

// units are the capacity units that an operation consumes: of the table, and of its indexes by name.
type units struct {
	table   float64
	indexes map[string]float64
}

func (u *units) add(v units) {
	u.table += v.table
	for _, name := range slices.Sorted(maps.Keys(v.indexes)) {
		u.addIndex(name, v.indexes[name])
	}
}

func (u *units) addIndex(name string, n float64) {
	if u.indexes == nil {
		u.indexes = map[string]float64{}
	}
	u.indexes[name] += n
}

func wants(capacity string) bool { return capacity == "TOTAL" || capacity == "INDEXES" }

// consumed reports what was consumed. A transaction consumes the table's units times a factor, and of its indexes what
// any write does.
func consumed(want string, t *table, u units, times float64) *consumption {
	if !wants(want) {
		return nil
	}
	c := &consumption{TableName: t.Name, CapacityUnits: times * u.table}
	for _, name := range slices.Sorted(maps.Keys(u.indexes)) {
		n := u.indexes[name]
		c.CapacityUnits += n
		if want == "INDEXES" {
			if c.GlobalSecondaryIndexes == nil {
				c.GlobalSecondaryIndexes = map[string]capacity{}
			}
			c.GlobalSecondaryIndexes[name] = capacity{n}
		}
	}
	if want == "INDEXES" {
		c.Table = &capacity{times * u.table}
	}
	return c
}

// written are the units of a write, if anybody wants to know.
func written(want string, t *table, old, item expr.Item) (u units) {
	if !wants(want) {
		return u
	}
	u.table = writeUnits(old, item)
	for i := range t.Indexes {
		x := &t.Indexes[i]
		before, after := x.entry(t, old), x.entry(t, item)
		switch {
		case !x.acceptsWrites() || x.same(t, before, after):
		case before != nil && after != nil && !slices.Equal(x.entryKey(t, before), x.entryKey(t, after)):
			u.addIndex(x.Name, writeUnits(before, nil)+writeUnits(nil, after)) // one is deleted, one is put
		default:
			u.addIndex(x.Name, writeUnits(before, after))
		}
	}
	return u
}

func writeUnits(old, item expr.Item) float64 {
	return float64(max(1, (max(old.Size(), item.Size())+1023)/1024))
}

func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if !consistent {
		units /= 2
	}
	return units
}

// checkKey checks that item has the table's key attributes; only says that it
// may have no others.
func (t *table) checkKey(item expr.Item, only bool) error {
	keys := []keyAttribute{t.Partition}
	if t.Sort.Name != "" {
		keys = append(keys, t.Sort)
	}
	if only && len(item) != len(keys) {
		return errValidation("The provided key element does not match the schema")
	}
	for i, k := range keys {
		v, ok := item[k.Name]
		switch {
		case !ok && only:
			return errValidation("The provided key element does not match the schema")
		case !ok:
			return errValidation("One or more parameter values were invalid: Missing the key %s in the item", k.Name)
		case v.Kind != k.Kind && only:
			return errValidation("The provided key element does not match the schema")
		case v.Kind != k.Kind:
			return errValidation("One or more parameter values were invalid: Type mismatch for key %s expected: %s "+
				"actual: %s", k.Name, k.Kind, v.Kind)
		case v.Kind != expr.N && v.Str == "":
			return ofTheRequest(errValidation("One or more parameter values are not valid. The AttributeValue for a "+
				"key attribute cannot contain an empty string value. Key: %s", k.Name))
		}
		if limit := keyLimits[i]; len(v.Str) > limit {
			return errValidation("One or more parameter values were invalid: Size of %s has exceeded the maximum "+
				"size limit of %d bytes", []string{"hashkey", "rangekey"}[i], limit)
		}
	}
	return nil
}

// checkItem tells of the first attribute, by name, that is not valid.
func checkItem(item expr.Item) error {
	var wrong error
	first := ""
	for name, v := range item {
		if err := v.Check(); err != nil && (wrong == nil || name < first) {
			first, wrong = name, err
		}
		if len(name) > maxAttributeName {
			return errValidation("1 validation error detected: Value at 'item' failed to satisfy constraint: Map " +
				"keys must satisfy constraint: [Member must have length less than or equal to 65535]")
		}
	}
	if wrong != nil {
		return asValidation(wrong)
	}
	return nil
}

// maxAttributeName is the length of an attribute's name in bytes.
const maxAttributeName = 65535

// change is one write, alone, in a batch or in a transaction.
type change struct {
	table     string
	key       expr.Item // of update, delete, check
	item      expr.Item // of put
	delete    bool
	condition *expr.Condition
	update    *expr.Update
	check     bool // only the condition
	returnOld bool // ReturnValuesOnConditionCheckFailure is ALL_OLD
}

// condition parses a condition, "" being none.
func condition(src *string, names *expr.Names) (*expr.Condition, error) {
	if src == nil {
		return nil, nil
	}
	c, err := expr.ParseCondition("ConditionExpression", *src, names)
	return c, asValidation(err)
}

// apply makes the change in a transaction and returns the item before and
// after it (nil: none).
func (s *Service) apply(tx *store.Tx, c *change) (t *table, old, now expr.Item, err error) {
	if t, err = s.findShared(tx, c.table); err != nil {
		return t, nil, nil, err
	}
	key, only := c.key, true
	if c.item != nil {
		key, only = c.item, false
	}
	if err := t.checkKey(key, only); err != nil {
		return t, nil, nil, err
	}
	if c.item != nil {
		if err := t.checkIndexKeys(c.item, false, func(string) bool { return true }); err != nil {
			return t, nil, nil, err
		}
	}
	old, ok, err := items.Get(tx, t.itemKey(key)...)
	if err != nil {
		return t, nil, nil, err
	}
	if !ok {
		old = nil
	}
	if c.condition != nil && !c.condition.Eval(old) {
		shown := expr.Item(nil)
		if c.returnOld {
			shown = old
		}
		return t, old, nil, errConditionFailed(shown)
	}
	switch {
	case c.check:
		return t, old, old, nil
	case c.delete:
		if old == nil {
			return t, nil, nil, nil
		}
		return t, old, nil, s.remove(tx, t, old)
	case c.item != nil:
		return t, old, c.item, s.write(tx, t, old, c.item)
	}
	base := old
	if base == nil {
		base = c.key
	}
	now = base.Clone()
	if c.update != nil {
		for _, p := range c.update.Paths() {
			if p.Root() == t.Partition.Name || p.Root() == t.Sort.Name {
				return t, nil, nil, errValidation(
					"One or more parameter values were invalid: Cannot update attribute %s. This attribute is part "+
						"of the key", p.Root())
			}
		}
		if now, err = c.update.Apply(base); err != nil {
			return t, nil, nil, asValidation(err)
		}
		if err := checkItem(now); err != nil {
			return t, nil, nil, err
		}
		if err := t.checkIndexKeys(now, true, c.update.Changes); err != nil {
			return t, nil, nil, err
		}
	}
	if now.Size() > maxItem {
		return t, nil, nil, errValidation("Item size to update has exceeded the maximum allowed size")
	}
	return t, old, now, s.write(tx, t, old, now)
}

type writeOut struct {
	Attributes       expr.Item    `json:"Attributes,omitempty"`
	ConsumedCapacity *consumption `json:"ConsumedCapacity,omitempty"`
}

type putIn struct {
	TableName           string    `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	Item                expr.Item `json:"Item" api:"required"`
	ConditionExpression *string   `json:"ConditionExpression,omitempty"`
	placeholders
	replaced
	ReturnValues           string `json:"ReturnValues,omitempty" api:"values=ALL_NEW|UPDATED_OLD|ALL_OLD|NONE|UPDATED_NEW"`
	ReturnConsumedCapacity string `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
	OnFailure              string `json:"ReturnValuesOnConditionCheckFailure,omitempty" api:"values=ALL_OLD|NONE"`
	ItemCollectionMetrics  string `json:"ReturnItemCollectionMetrics,omitempty" api:"values=SIZE|NONE"`
}

func (in *putIn) change() (*change, error) {
	if in.Item == nil {
		in.Item = expr.Item{}
	}
	if err := in.mayUse(in.replaced, given{conditionExpression, in.ConditionExpression}); err != nil {
		return nil, err
	}
	if err := checkItem(in.Item); err != nil {
		return nil, err
	}
	names := in.names()
	cond, err := condition(in.ConditionExpression, names)
	if err != nil {
		return nil, err
	}
	return &change{table: in.TableName, item: in.Item, condition: cond, returnOld: in.OnFailure == "ALL_OLD"},
		asValidation(names.Unused())
}

// changeAlone makes one change in a transaction of its own.
func (s *Service) changeAlone(c *change, capacity string) (out *writeOut, old, now expr.Item, err error) {
	out = &writeOut{}
	err = s.Store.Update(func(tx *store.Tx) error {
		var t *table
		var err error
		if t, old, now, err = s.apply(tx, c); err == nil {
			out.ConsumedCapacity = consumed(capacity, t, written(capacity, t, old, now), 1)
		}
		return err
	})
	return out, old, now, err
}

// replace does the change of an operation that can return the item before it.
func (s *Service) replace(change func() (*change, error), returnValues, capacity string) (*writeOut, error) {
	if returnValues != "" && returnValues != "NONE" && returnValues != "ALL_OLD" {
		return nil, errValidation("ReturnValues can only be ALL_OLD or NONE")
	}
	c, err := change()
	if err != nil {
		return nil, err
	}
	out, old, _, err := s.changeAlone(c, capacity)
	if err == nil && returnValues == "ALL_OLD" {
		out.Attributes = old
	}
	return out, err
}

func (s *Service) putItem(_ context.Context, _ *awsapi.Call, in *putIn) (*writeOut, error) {
	return s.replace(in.change, in.ReturnValues, in.ReturnConsumedCapacity)
}

type deleteIn struct {
	TableName           string    `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	Key                 expr.Item `json:"Key" api:"required"`
	ConditionExpression *string   `json:"ConditionExpression,omitempty"`
	placeholders
	replaced
	ReturnValues           string `json:"ReturnValues,omitempty" api:"values=ALL_NEW|UPDATED_OLD|ALL_OLD|NONE|UPDATED_NEW"`
	ReturnConsumedCapacity string `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
	OnFailure              string `json:"ReturnValuesOnConditionCheckFailure,omitempty" api:"values=ALL_OLD|NONE"`
	ItemCollectionMetrics  string `json:"ReturnItemCollectionMetrics,omitempty" api:"values=SIZE|NONE"`
}

func (in *deleteIn) change() (*change, error) {
	if err := in.mayUse(in.replaced, given{conditionExpression, in.ConditionExpression}); err != nil {
		return nil, err
	}
	names := in.names()
	cond, err := condition(in.ConditionExpression, names)
	if err != nil {
		return nil, err
	}
	return &change{table: in.TableName, key: in.Key, delete: true, condition: cond,
		returnOld: in.OnFailure == "ALL_OLD"}, asValidation(names.Unused())
}

func (s *Service) deleteItem(_ context.Context, _ *awsapi.Call, in *deleteIn) (*writeOut, error) {
	return s.replace(in.change, in.ReturnValues, in.ReturnConsumedCapacity)
}

type updateIn struct {
	TableName           string    `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	Key                 expr.Item `json:"Key" api:"required"`
	UpdateExpression    *string   `json:"UpdateExpression,omitempty"`
	ConditionExpression *string   `json:"ConditionExpression,omitempty"`
	placeholders
	replaced
	ReturnValues           string `json:"ReturnValues,omitempty" api:"values=ALL_NEW|UPDATED_OLD|ALL_OLD|NONE|UPDATED_NEW"`
	ReturnConsumedCapacity string `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
	OnFailure              string `json:"ReturnValuesOnConditionCheckFailure,omitempty" api:"values=ALL_OLD|NONE"`
	ItemCollectionMetrics  string `json:"ReturnItemCollectionMetrics,omitempty" api:"values=SIZE|NONE"`
}

func (in *updateIn) change() (*change, error) {
	if err := in.mayUse(in.replaced, given{"UpdateExpression", in.UpdateExpression},
		given{conditionExpression, in.ConditionExpression}); err != nil {
		return nil, err
	}
	names := in.names()
	c := &change{table: in.TableName, key: in.Key, returnOld: in.OnFailure == "ALL_OLD"}
	var err error
	if in.UpdateExpression != nil {
		if c.update, err = expr.ParseUpdate(*in.UpdateExpression, names); err != nil {
			return nil, asValidation(err)
		}
	}
	if c.condition, err = condition(in.ConditionExpression, names); err != nil {
		return nil, err
	}
	return c, asValidation(names.Unused())
}

func (s *Service) updateItem(_ context.Context, _ *awsapi.Call, in *updateIn) (*writeOut, error) {
	c, err := in.change()
	if err != nil {
		return nil, err
	}
	out, old, now, err := s.changeAlone(c, in.ReturnConsumedCapacity)
	if err != nil {
		return nil, err
	}
	var paths []expr.Path
	if c.update != nil {
		paths = c.update.Paths()
	}
	switch in.ReturnValues {
	case "ALL_OLD":
		out.Attributes = old
	case "ALL_NEW":
		out.Attributes = now
	case "UPDATED_OLD":
		out.Attributes = expr.Project(old, append([]expr.Path{}, paths...))
	case "UPDATED_NEW":
		out.Attributes = expr.Project(now, append([]expr.Path{}, paths...))
	}
	return out, nil
}

type getIn struct {
	TableName                string            `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	Key                      expr.Item         `json:"Key" api:"required"`
	ConsistentRead           bool              `json:"ConsistentRead,omitempty"`
	ProjectionExpression     *string           `json:"ProjectionExpression,omitempty"`
	ExpressionAttributeNames map[string]string `json:"ExpressionAttributeNames,omitempty" api:"each.max=65535"`
	replaced
	ReturnConsumedCapacity string `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type getOut struct {
	Item             expr.Item    `json:"Item,omitempty"`
	ConsumedCapacity *consumption `json:"ConsumedCapacity,omitempty"`
}

func projection(src *string, names *expr.Names) ([]expr.Path, error) {
	if src == nil {
		return nil, nil
	}
	paths, err := expr.ParseProjection(*src, names)
	return paths, asValidation(err)
}

// read gets one item; item is nil if there is none.
func (s *Service) read(tx *store.Tx, c *awsapi.Call, in *getIn) (t *table, item expr.Item, size int, err error) {
	names := placeholders{ExpressionAttributeNames: in.ExpressionAttributeNames}
	if err := names.mayUse(in.replaced, given{projectionExpression, in.ProjectionExpression}); err != nil {
		return nil, nil, 0, err
	}
	parsed := names.names()
	paths, err := projection(in.ProjectionExpression, parsed)
	if err != nil {
		return nil, nil, 0, err
	}
	if err := parsed.Unused(); err != nil {
		return nil, nil, 0, asValidation(err)
	}
	if t, err = s.findShared(tx, in.TableName); err != nil {
		return nil, nil, 0, err
	}
	if err := t.checkKey(in.Key, true); err != nil {
		return t, nil, 0, err
	}
	item, ok, err := items.Get(tx, t.itemKey(in.Key)...)
	if err != nil {
		return t, nil, 0, err
	}
	if !in.ConsistentRead {
		if old, stale := s.drawStaleItem(c, t.itemKey(in.Key)); stale {
			item, ok = old, old != nil
		}
	}
	if !ok {
		return t, nil, 0, nil
	}
	return t, expr.Project(item, paths), item.Size(), nil
}

func (s *Service) getItem(_ context.Context, c *awsapi.Call, in *getIn) (*getOut, error) {
	out := &getOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, item, size, err := s.read(tx, c, in)
		if err == nil {
			out.Item = item
			out.ConsumedCapacity = consumed(in.ReturnConsumedCapacity, t,
				units{table: readUnits(size, in.ConsistentRead)}, 1)
		}
		return err
	})
}
