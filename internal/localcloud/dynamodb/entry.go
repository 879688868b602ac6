package dynamodb

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Entries of indexes. They are written in the transaction of the item that they are of; that a reader sees them late
// is of behind.go.

// acceptsWrites reports whether writes to the table are written to the index.
func (x *index) acceptsWrites() bool { return x.Phase == active || x.Phase == backfilling }

func (x *index) keys() []keyAttribute {
	if x.Sort.Name == "" {
		return []keyAttribute{x.Partition}
	}
	return []keyAttribute{x.Partition, x.Sort}
}

// entry is what an index has of an item; nil if the item is not in it. An item is if it has the index's key attributes
// in their types: indexes are sparse.
func (x *index) entry(t *table, item expr.Item) expr.Item {
	if item == nil {
		return nil
	}
	for i, k := range x.keys() {
		v, ok := item[k.Name]
		if !ok || v.Kind != k.Kind || v.Str == "" || len(v.Str) > keyLimits[i] {
			return nil
		}
	}
	if x.Projection == "ALL" {
		return item
	}
	e := make(expr.Item, 4+len(x.NonKey))
	for _, name := range [...]string{t.Partition.Name, t.Sort.Name, x.Partition.Name, x.Sort.Name} {
		if name != "" {
			e[name] = item[name]
		}
	}
	for _, name := range x.NonKey {
		if v, ok := item[name]; ok {
			e[name] = v
		}
	}
	return e
}

// projects reports whether entries have an attribute.
func (x *index) projects(t *table, name string) bool {
	switch name {
	case t.Partition.Name, t.Sort.Name, x.Partition.Name, x.Sort.Name:
		return true
	}
	if x.Projection == "ALL" {
		return true
	}
	for _, n := range x.NonKey {
		if n == name {
			return true
		}
	}
	return false
}

// entryKey is the store key of an entry: the index's key, which need not be of one item alone, and the table's.
func (x *index) entryKey(t *table, e expr.Item) []string {
	k := []string{x.ID, orderedKey(e[x.Partition.Name]), "", "", ""}
	if x.Sort.Name != "" {
		k[2] = orderedKey(e[x.Sort.Name])
	}
	copy(k[3:], t.itemKey(e)[1:])
	return k
}

// reindex brings the indexes of a table to what a write has made of an item.
func (s *Service) reindex(tx *store.Tx, t *table, old, item expr.Item) error {
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if !x.acceptsWrites() {
			continue
		}
		if err := s.reenter(tx, t, x, old, item); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) reenter(tx *store.Tx, t *table, x *index, old, item expr.Item) error {
	before, after := x.entry(t, old), x.entry(t, item)
	if x.same(t, before, after) {
		return nil
	}
	var from []string
	had := before != nil
	if had {
		from = x.entryKey(t, before)
		if x.Phase == backfilling { // it may not have been added yet
			var err error
			if had, err = entries.Has(tx, from...); err != nil {
				return err
			}
		}
	}
	c, _, err := counters.Get(tx, x.ID)
	if err != nil {
		return err
	}
	if had {
		c.Items--
		c.Bytes -= int64(before.Size())
		if err := entries.Delete(tx, from...); err != nil {
			return err
		}
	}
	if after != nil {
		c.Items++
		c.Bytes += int64(after.Size())
		if err := entries.Put(tx, after, x.entryKey(t, after)...); err != nil {
			return err
		}
	}
	if x.Phase == active {
		of := before
		if of == nil {
			of = after
		}
		s.shownLater(tx, x.ID, itemID(t.itemKey(of)[1:]), before)
	}
	return counters.Put(tx, c, x.ID)
}

// same reports whether a write leaves the entry of an item as it is. Of an index that is being backfilled it is not
// known whether there is one.
func (x *index) same(t *table, before, after expr.Item) bool {
	if before == nil || after == nil {
		return before == nil && after == nil
	}
	if x.Phase == backfilling || len(before) != len(after) {
		return false
	}
	for name, v := range before {
		if w, ok := after[name]; !ok || !v.Equal(w) {
			return false
		}
	}
	return true
}

// keyLimits are how long the parts of a key may be.
var keyLimits = [...]int{maxPartitionKey, maxSortKey}

// checkIndexKeys checks the attributes of an item that are keys of indexes, those that are changed. Where an
// attribute is the key of several, the index is named whose name is first.
func (t *table) checkIndexKeys(item expr.Item, update bool, changed func(name string) bool) error {
	var wrong error
	of := ""
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if !x.acceptsWrites() || of != "" && of < x.Name {
			continue
		}
		if err := x.checkKeys(item, update, changed); err != nil {
			wrong, of = err, x.Name
		}
	}
	return wrong
}

func (x *index) checkKeys(item expr.Item, update bool, changed func(name string) bool) error {
	for i, k := range x.keys() {
		v, ok := item[k.Name]
		if !ok || !changed(k.Name) {
			continue
		}
		switch {
		case v.Kind != k.Kind:
			return invalid("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", k.Name, k.Kind,
				v.Kind, x.Name)
		case v.Str == "":
			what := map[expr.Kind]string{expr.S: "string", expr.B: "binary"}[v.Kind]
			if update {
				return ofTheRequest(errValidation("One or more parameter values are not valid. The update expression "+
					"attempted to update a secondary index key to a value that is not supported. The AttributeValue "+
					"for a key attribute cannot contain an empty %s value.", what))
			}
			return ofTheRequest(errValidation("One or more parameter values are not valid. A value specified for a "+
				"secondary index key is not supported. The AttributeValue for a key attribute cannot contain an "+
				"empty %s value. IndexName: %s, IndexKey: %s", what, x.Name, k.Name))
		case len(v.Str) <= keyLimits[i]:
		case update:
			return errValidation("The update expression attempted to update the secondary index key beyond allowed " +
				"size limits")
		case i == 0:
			return invalid("Size of hashkey has exceeded the maximum size limit of%d bytes", maxPartitionKey)
		default:
			return invalid("Aggregated size of all range keys has exceeded the size limit of %d bytes", maxSortKey)
		}
	}
	return nil
}
