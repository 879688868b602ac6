package dynamodb

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	tables = store.NewTable[table]("dynamodb.table").Versions(store.JSON) // key: name
	// key: table id, partition key, sort key
	items = store.NewTable[expr.Item]("dynamodb.item")
	// key: index id, partition and sort key of the index, partition and sort key of the table
	entries = store.NewTable[expr.Item]("dynamodb.entry")
	// key: epoch seconds, table id, partition key, sort key
	expiries = store.NewTable[[]byte]("dynamodb.expiry")
	requests = store.NewTable[request]("dynamodb.request").Versions(store.JSON) // key: client request token
	counters = store.NewTable[counter]("dynamodb.count")                        // key: table or index id
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
	Indexes     []index `json:",omitempty"`
}

type keyAttribute struct {
	Name string
	Kind expr.Kind
}

type counter struct {
	Items int64
	Bytes int64
}

// AppendRecord implements store.Record: both numbers as varints.
func (c *counter) AppendRecord(b []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(append(b, 1), c.Items), c.Bytes)
}

// DecodeRecord implements store.Record. It reads the older form, JSON, too.
func (c *counter) DecodeRecord(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, (*struct{ Items, Bytes int64 })(c))
	}
	if len(b) > 0 && b[0] == 1 {
		items, n := binary.Varint(b[1:])
		if n > 0 {
			bytes, m := binary.Varint(b[1+n:])
			if m > 0 && 1+n+m == len(b) {
				c.Items, c.Bytes = items, bytes
				return nil
			}
		}
	}
	return fmt.Errorf("a count of items and bytes is damaged: %x", b)
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
