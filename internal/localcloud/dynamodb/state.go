package dynamodb

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	tables   = store.NewTable[table]("dynamodb.table")     // key: name
	items    = store.NewTable[expr.Item]("dynamodb.item")  // key: table id, partition key, sort key
	expiries = store.NewTable[[]byte]("dynamodb.expiry")   // key: epoch seconds, table id, partition key, sort key
	requests = store.NewTable[request]("dynamodb.request") // key: client request token
	counters = store.NewTable[counter]("dynamodb.count")   // key: table id
)

// table is a table's description. Its items lie under its ID, so that a new
// table of the same name begins empty.
type table struct {
	Name        string
	ID          string
	Created     time.Time
	Partition   keyAttribute
	Sort        keyAttribute // Name "" if there is none
	BillingMode string
	Read, Write int64
	TTL         string // attribute, "" if off
	Recovery    bool   // point-in-time recovery
	Protected   bool
	Class       string
	SSE         *sseDescription
	Tags        map[string]string
}

type keyAttribute struct {
	Name string
	Kind expr.Kind
}

type counter struct {
	Items int64
	Bytes int64
}

// request is a transaction that was made under a client request token.
type request struct {
	Hash    []byte
	Expires time.Time
}

// orderedKey writes a key attribute such that keys sort as DynamoDB sorts.
func orderedKey(v expr.Value) string {
	if v.Kind == expr.N {
		return expr.OrderedNumber(v.Str)
	}
	return v.Str
}

// itemKey is the store key of an item.
func (t *table) itemKey(item expr.Item) []string {
	k := []string{t.ID, orderedKey(item[t.Partition.Name]), ""}
	if t.Sort.Name != "" {
		k[2] = orderedKey(item[t.Sort.Name])
	}
	return k
}

// key returns only the key attributes of an item.
func (t *table) key(item expr.Item) expr.Item {
	k := expr.Item{t.Partition.Name: item[t.Partition.Name]}
	if t.Sort.Name != "" {
		k[t.Sort.Name] = item[t.Sort.Name]
	}
	return k
}
