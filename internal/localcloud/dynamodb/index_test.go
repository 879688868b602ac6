package dynamodb

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// createIndexed is the table tbl with an index of each projection: "all" by g and n, "keys" by g alone, "some" by n.
const createIndexed = `{"TableName":"tbl","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[
	{"AttributeName":"PK","AttributeType":"S"},{"AttributeName":"SK","AttributeType":"N"},
	{"AttributeName":"g","AttributeType":"S"},{"AttributeName":"n","AttributeType":"N"}],
	"KeySchema":[{"AttributeName":"PK","KeyType":"HASH"},{"AttributeName":"SK","KeyType":"RANGE"}],
	"GlobalSecondaryIndexes":[
	{"IndexName":"all","KeySchema":[{"AttributeName":"g","KeyType":"HASH"},{"AttributeName":"n","KeyType":"RANGE"}],
		"Projection":{"ProjectionType":"ALL"}},
	{"IndexName":"keys","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}},
	{"IndexName":"some","KeySchema":[{"AttributeName":"n","KeyType":"HASH"},{"AttributeName":"g","KeyType":"RANGE"}],
		"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["v"]}}]}`

func withIndexes(t *testing.T) *cloud {
	t.Helper()
	c := newCloud(t, store.Memory())
	c.must(t, "CreateTable", createIndexed)
	return c
}

// settle lets the indexes catch up.
func (c *cloud) settle() { c.s.RunFor(mostBehind) }

type answer struct {
	Items                   []expr.Item
	LastEvaluatedKey        expr.Item
	TableDescription, Table description
}

type description struct {
	TableStatus            string
	AttributeDefinitions   []attributeDefinition
	GlobalSecondaryIndexes []indexDescription
}

func (c *cloud) ask(t testing.TB, operation, in string) (a answer) {
	t.Helper()
	out, err := c.call(operation, in)
	if err != nil {
		t.Fatalf("%s %s: %v", operation, in, err)
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// group are the sort keys of the table in a partition of the index "all", as they are read.
func (c *cloud) group(t testing.TB, g string) string {
	t.Helper()
	a := c.ask(t, "Query", `{"TableName":"tbl","IndexName":"all","KeyConditionExpression":"g = :g",`+
		`"ExpressionAttributeValues":{":g":{"S":"`+g+`"}}}`)
	var keys []string
	for _, item := range a.Items {
		keys = append(keys, item["SK"].Str+":"+item["v"].Str)
	}
	return strings.Join(keys, " ")
}

func TestAnIndexShowsAWriteALittleLater(t *testing.T) {
	c := withIndexes(t)
	want := func(when, group, want string) {
		t.Helper()
		if got := c.group(t, group); got != want {
			t.Errorf("%s, %s holds %q, want %q", when, group, got, want)
		}
	}
	c.must(t, "PutItem", put("a", 1, `,"g":{"S":"x"},"n":{"N":"5"},"v":{"S":"one"}`))
	want("at the moment of the write", "x", "")
	c.settle()
	want("later", "x", "1:one")
	c.must(t, "PutItem", put("a", 2, `,"g":{"S":"x"},"n":{"N":"-5"},"v":{"S":"two"}`))
	c.must(t, "UpdateItem", `{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}},"UpdateExpression":"SET g = :g, `+
		`v = :v","ExpressionAttributeValues":{":g":{"S":"y"},":v":{"S":"moved"}}}`)
	want("at the moment of the move", "x", "1:one")
	want("at the moment of the move", "y", "")
	c.settle()
	want("after the move", "x", "2:two")
	want("after the move", "y", "1:moved")
	c.must(t, "DeleteItem", `{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}}}`)
	want("at the moment of the deletion", "y", "1:moved")
	c.settle()
	want("after the deletion", "y", "")
	if n := len(c.svc.indexLag.items); n != 0 {
		t.Errorf("%d indexes are remembered as behind, with nothing written", n)
	}
}

// TestWritesOfOneItemAreShownInTheirOrder reads after each millisecond: what is shown of an item never goes back.
func TestWritesOfOneItemAreShownInTheirOrder(t *testing.T) {
	c := withIndexes(t)
	last, seen := "", 0
	for v := range 60 {
		if v < 30 {
			c.must(t, "PutItem", put("a", 1, fmt.Sprintf(`,"g":{"S":"x"},"n":{"N":"1"},"v":{"S":"%02d"}`, v)))
		}
		got := c.group(t, "x")
		if got < last {
			t.Fatalf("%q is shown after %q", got, last)
		}
		if got != last {
			seen++
		}
		last = got
		c.s.RunFor(2 * time.Millisecond)
	}
	if last != "1:29" || seen < 2 {
		t.Errorf("in the end %q is shown, after %d states", last, seen)
	}
}

func TestBadWeatherLetsAnIndexLag(t *testing.T) {
	c := withIndexes(t)
	rates, err := weather.Parse("stale=1")
	if err != nil {
		t.Fatal(err)
	}
	c.svc.Weather = weather.New(weather.Config{Scheduler: c.s, Seed: 1, Rates: rates})
	c.svc.Weather.Begin()
	for n := range 50 {
		c.must(t, "PutItem", put("a", n, `,"g":{"S":"x"},"n":{"N":"1"}`))
	}
	scan := func(root bool) (n int) {
		t.Helper()
		err := c.svc.Store.View(func(tx *store.Tx) error {
			tbl, err := c.svc.find(tx, "tbl")
			if err != nil {
				return err
			}
			x := tbl.index("all")
			for _, err := range c.svc.scanIndex(tx, tbl, x, store.Query{Prefix: []string{x.ID}}, root) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	c.settle()
	if n := scan(true); n != 50 {
		t.Errorf("whoever looks on sees %d of 50", n)
	}
	if n := scan(false); n > 5 {
		t.Errorf("after %v of bad weather %d of 50 are shown", mostBehind, n)
	}
	c.s.RunFor(3 * time.Second)
	if n := scan(false); n < 5 || n > 45 {
		t.Errorf("after three seconds %d of 50 are shown", n)
	}
	c.s.RunFor(10 * time.Second)
	if n := scan(false); n != 50 {
		t.Errorf("after thirteen seconds %d of 50 are shown", n)
	}
}

// indexSources are the indexes of createIndexed with their keys and what they project.
var indexSources = map[string]struct{ partition, sort, projected string }{
	"all": {"g", "n", "PK SK g n v w"}, "keys": {"g", "", "PK SK g"}, "some": {"n", "g", "PK SK g n v"},
}

// TestIndexesAgreeWithTheirTable makes random writes, lets the indexes catch up, and reads each index by pages of
// random sizes, forward and backward: the entries are those of the table's items that have the index's keys,
// projected, in the order of the index.
func TestIndexesAgreeWithTheirTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCloud(t, store.Memory())
		c.must(t, "CreateTable", createIndexed)
		for range rapid.IntRange(1, 25).Draw(rt, "writes") {
			c.randomWrite(t, rt)
			if rapid.Bool().Draw(rt, "wait") {
				c.s.RunFor(7 * time.Millisecond)
			}
		}
		c.settle()
		table := c.ask(t, "Scan", `{"TableName":"tbl"}`).Items
		for name, of := range indexSources {
			groups := map[string][]expr.Item{}
			count := 0
			for _, item := range table {
				if _, ok := item[of.partition]; !ok || of.sort != "" && item[of.sort].Kind == "" {
					continue
				}
				e := expr.Item{}
				for attribute, v := range item {
					if slices.Contains(strings.Fields(of.projected), attribute) {
						e[attribute] = v
					}
				}
				p := orderedKey(item[of.partition])
				groups[p], count = append(groups[p], e), count+1
			}
			read := c.pages(t, rt, "Scan", `"IndexName":"`+name+`"`)
			if len(read) != count {
				rt.Fatalf("%s: a scan gives %d of %d", name, len(read), count)
			}
			for _, group := range groups {
				slices.SortStableFunc(group, func(a, b expr.Item) int {
					return strings.Compare(orderOf(a, of.sort), orderOf(b, of.sort))
				})
				value, _ := json.Marshal(group[0][of.partition])
				query := fmt.Sprintf(`"IndexName":"%s","KeyConditionExpression":"%s = :p","ExpressionAttributeValues":{":p":%s}`,
					name, of.partition, value)
				same(rt, name, c.pages(t, rt, "Query", query), group)
				slices.Reverse(group)
				same(rt, name+" backward", c.pages(t, rt, "Query", query+`,"ScanIndexForward":false`), group)
			}
			d := c.ask(t, "DescribeTable", `{"TableName":"tbl"}`).Table
			i := slices.IndexFunc(d.GlobalSecondaryIndexes, func(x indexDescription) bool {
				return x.IndexName == name
			})
			bytes := 0
			for _, e := range read {
				bytes += e.Size()
			}
			if x := d.GlobalSecondaryIndexes[i]; x.ItemCount != int64(count) || x.IndexSizeBytes != int64(bytes) {
				rt.Fatalf("%s: %d items of %d bytes are told, it has %d of %d", name, x.ItemCount, x.IndexSizeBytes,
					count, bytes)
			}
		}
	})
}

// orderOf is how an entry is ordered in its partition: by the index's sort key, then by the table's key.
func orderOf(e expr.Item, sort string) string {
	s := ""
	if sort != "" {
		s = orderedKey(e[sort])
	}
	return strings.Join([]string{s, e["PK"].Str, orderedKey(e["SK"])}, "\x00")
}

func same(rt *rapid.T, what string, got, want []expr.Item) {
	rt.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		rt.Fatalf("%s: got\n%s\nwant\n%s", what, g, w)
	}
}

func (c *cloud) randomWrite(t *testing.T, rt *rapid.T) {
	pk := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(rt, "pk")
	sk := rapid.IntRange(0, 2).Draw(rt, "sk")
	more := ""
	for name, values := range map[string][]string{
		"g": {"", `{"S":"x"}`, `{"S":"y"}`}, "n": {"", `{"N":"-1"}`, `{"N":"10"}`},
	} {
		if v := rapid.SampledFrom(values).Draw(rt, name); v != "" {
			more += `,"` + name + `":` + v
		}
	}
	more += fmt.Sprintf(`,"v":{"N":"%d"},"w":{"S":"other"}`, rapid.IntRange(0, 3).Draw(rt, "v"))
	switch rapid.IntRange(0, 4).Draw(rt, "operation") {
	case 0:
		c.must(t, "DeleteItem", fmt.Sprintf(`{"TableName":"tbl","Key":{"PK":{"S":"%s"},"SK":{"N":"%d"}}}`, pk, sk))
	case 1:
		c.must(t, "UpdateItem", fmt.Sprintf(`{"TableName":"tbl","Key":{"PK":{"S":"%s"},"SK":{"N":"%d"}},`+
			`"UpdateExpression":"SET g = :g REMOVE n","ExpressionAttributeValues":{":g":{"S":"x"}}}`, pk, sk))
	case 2:
		c.must(t, "TransactWriteItems", `{"TransactItems":[{"Put":`+put(pk, sk, more)+`},{"Put":`+put("t", 1, more)+`}]}`)
	default:
		c.must(t, "PutItem", put(pk, sk, more))
	}
}

// pages reads a whole Query or Scan in pages of random sizes.
func (c *cloud) pages(t *testing.T, rt *rapid.T, operation, in string) (all []expr.Item) {
	t.Helper()
	start := ""
	for range 100 {
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		a := c.ask(t, operation, fmt.Sprintf(`{"TableName":"tbl",%s,"Limit":%d%s}`, in, limit, start))
		all = append(all, a.Items...)
		if a.LastEvaluatedKey == nil {
			return all
		}
		b, _ := json.Marshal(a.LastEvaluatedKey)
		start = `,"ExclusiveStartKey":` + string(b)
	}
	rt.Fatal("the pages do not end")
	return nil
}

func TestWhatAnIndexRefuses(t *testing.T) {
	c := withIndexes(t)
	create := func(change ...string) string { return strings.NewReplacer(change...).Replace(createIndexed) }
	const query = `{"TableName":"tbl","IndexName":"keys","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"x"}`
	many := strings.TrimSuffix(createIndexed, "]}")
	for i := range 18 {
		many += fmt.Sprintf(`,{"IndexName":"i%02d","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}`, i)
	}
	for _, r := range []struct{ operation, in, code, text string }{
		{"CreateTable", create(`"tbl"`, `"two"`, `{"AttributeName":"n","AttributeType":"N"}`, `{"AttributeName":"m","AttributeType":"N"}`),
			"ValidationException", `Some AttributeDefinitions are not used. AttributeDefinitions: [PK, SK, g, m], keys used: [PK, SK, g, n]`},
		{"CreateTable", create(`"tbl"`, `"two"`, `,{"AttributeName":"n","AttributeType":"N"}`, ``),
			"ValidationException", `Some index key attributes are not defined in AttributeDefinitions. Keys: [g, n], AttributeDefinitions: [PK, SK, g]`},
		{"CreateTable", create(`"tbl"`, `"two"`, `"IndexName":"keys"`, `"IndexName":"all"`), "ValidationException", "Duplicate index name: all"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"IndexName":"all"`, `"IndexName":"a"`), "ValidationException",
			`Value 'a' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3`},
		{"CreateTable", create(`"tbl"`, `"two"`, `"IndexName":"all"`, `"IndexName":"a;b"`), "ValidationException", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"INCLUDE"`, `"ALL"`), "ValidationException", "ProjectionType is ALL, but NonKeyAttributes is specified"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"KEYS_ONLY"`, `"INCLUDE"`), "ValidationException", "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"KEYS_ONLY"`, `"all"`), "ValidationException", "Member must satisfy enum value set: [ALL, INCLUDE, KEYS_ONLY]"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"Projection":{"ProjectionType":"KEYS_ONLY"}`, `"Projection":{}`), "ValidationException", "Unknown ProjectionType: null"},
		{"CreateTable", create(`"tbl"`, `"two"`, `["v"]`, `["v","v"]`), "ValidationException", "Duplicate element in NonKeyAttributes: v"},
		{"CreateTable", create(`"tbl"`, `"two"`, `["v"]`, `[]`), "ValidationException", "projection.nonKeyAttributes' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"CreateTable", create(`"tbl"`, `"two"`, `"KeySchema":[{"AttributeName":"g","KeyType":"HASH"}]`, `"KeySchema":[{"AttributeName":"g","KeyType":"RANGE"}]`),
			"ValidationException", "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{"CreateTable", create(`"tbl"`, `"two"`, `{"ProjectionType":"KEYS_ONLY"}`, `{"ProjectionType":"KEYS_ONLY"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`),
			"ValidationException", `ProvisionedThroughput should not be specified for index: keys when BillingMode is PAY_PER_REQUEST`},
		{"CreateTable", create(`"tbl"`, `"two"`, `"PAY_PER_REQUEST"`, `"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`),
			"ValidationException", "ProvisionedThroughput is not specified for index: all"},
		{"CreateTable", strings.NewReplacer(`"tbl"`, `"two"`).Replace(many + "]}"), "ValidationException", "GlobalSecondaryIndex count exceeds the per-table limit of 20"},
		{"CreateTable", strings.Replace(createT, `{"TableName":"tbl"`, `{"TableName":"two","GlobalSecondaryIndexes":[]`, 1), "ValidationException", "List of GlobalSecondaryIndexes is empty"},

		{"PutItem", put("a", 1, `,"g":{"N":"1"}`), "ValidationException", "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: all"},
		{"PutItem", put("a", 1, `,"g":{"NULL":true}`), "ValidationException", "Type mismatch for Index Key g Expected: S Actual: NULL IndexName: all"},
		{"PutItem", put("a", 1, `,"g":{"S":""}`), "ValidationException",
			`A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: all, IndexKey: g`},
		{"PutItem", put("a", 1, `,"g":{"S":"`+strings.Repeat("x", 2049)+`"}`), "ValidationException", "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{"UpdateItem", `{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}},"UpdateExpression":"SET g = :g","ExpressionAttributeValues":{":g":{"S":""}}}`,
			"ValidationException", `The update expression attempted to update a secondary index key to a value that is not supported.`},
		{"UpdateItem", `{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}},"UpdateExpression":"SET g = :g","ExpressionAttributeValues":{":g":{"S":"` + strings.Repeat("x", 1025) + `"}}}`,
			"ValidationException", `The update expression attempted to update the secondary index key beyond allowed size limits`},
		{"TransactWriteItems", `{"TransactItems":[{"Put":` + put("a", 1, `,"g":{"N":"1"}`) + `}]}`, "TransactionCanceledException", "[ValidationError]"},
		{"TransactWriteItems", `{"TransactItems":[{"Put":` + put("a", 1, `,"g":{"S":""}`) + `}]}`, "ValidationException", "A value specified for a secondary index key is not supported."},

		{"Query", strings.Replace(query, `"keys"`, `"none"`, 1) + `}}`, "ValidationException", "The table does not have the specified index: none"},
		{"Query", query + `},"ConsistentRead":true}`, "ValidationException", "Consistent reads are not supported on global secondary indexes"},
		{"Scan", `{"TableName":"tbl","IndexName":"keys","ConsistentRead":true}`, "ValidationException", "Consistent reads are not supported on global secondary indexes"},
		{"Query", query + `},"Select":"ALL_ATTRIBUTES"}`, "ValidationException", "Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection type is not ALL"},
		{"Query", query + `},"ProjectionExpression":"PK, v, w"}`, "ValidationException", "One or more parameter values were invalid: Global secondary index keys does not project [v, w]"},
		{"Query", query + `,":v":{"S":"x"}},"FilterExpression":"v = :v"}`, "ValidationException", "Secondary index keys does not project one or more filter attributes: [v]"},
		{"Query", query + `,":v":{"S":"x"}},"FilterExpression":"g = :v"}`, "ValidationException", "Primary key attribute: g"},
		{"Query", query + `},"ExclusiveStartKey":{"g":{"S":"x"}}}`, "ValidationException", "The provided starting key is invalid"},
		{"Query", query + `},"ExclusiveStartKey":{"PK":{"S":"a"},"SK":{"N":"1"}}}`, "ValidationException", "The provided starting key is invalid"},
		{"Query", query + `},"ExclusiveStartKey":{"PK":{"S":"a"},"SK":{"N":"1"},"g":{"S":"y"}}}`, "ValidationException", "The provided starting key is outside query boundaries"},
		{"Query", `{"TableName":"tbl","IndexName":"keys","KeyConditionExpression":"PK = :g","ExpressionAttributeValues":{":g":{"S":"x"}}}`, "ValidationException", "Query condition missed key schema element: g"},
		{"Scan", `{"TableName":"tbl","Select":"ALL_PROJECTED_ATTRIBUTES"}`, "ValidationException", "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"},

		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[]}`, "ValidationException", "List of GlobalSecondaryIndexUpdates is empty"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{}]}`, "ValidationException", "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"all"},"Update":{"IndexName":"all"}}]}`, "ValidationException", "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"all"}},{"Delete":{"IndexName":"all"}}]}`, "ValidationException", "Only one global secondary index update per index is allowed simultaneously. Index: all"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"all"}},{"Delete":{"IndexName":"keys"}}]}`,
			"LimitExceededException", `Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table`},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"none"}}]}`, "ResourceNotFoundException", "Index none for table tbl"},
		{"UpdateTable", `{"TableName":"tbl","DeletionProtectionEnabled":true,"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"all"}}]}`, "ValidationException", "DeletionProtection modification must be the only operation in the request"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"new","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`,
			"ValidationException", "AttributeDefinitions is not specified for index: new"},
		{"UpdateTable", `{"TableName":"tbl","AttributeDefinitions":[{"AttributeName":"g","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"all","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}}]}`,
			"ValidationException", "Attempting to create an index which already exists"},
		{"UpdateTable", `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Update":{"IndexName":"all","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}}]}`,
			"ValidationException", `The only Updates for index: all when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput`},
	} {
		c.refuse(t, r.operation, r.in, r.code, r.text)
	}
	if got := c.must(t, "Scan", `{"TableName":"tbl","Select":"COUNT"}`); got != `{"Count":0,"ScannedCount":0}` {
		t.Errorf("refused writes left %s", got)
	}
	if got := c.must(t, "ListTables", `{}`); got != `{"TableNames":["tbl"]}` {
		t.Errorf("refused tables left %s", got)
	}
	if d := c.ask(t, "DescribeTable", `{"TableName":"tbl"}`).Table; len(d.GlobalSecondaryIndexes) != 3 || d.TableStatus != "ACTIVE" {
		t.Errorf("refused changes left %+v", d)
	}
}

const addIndex = `{"TableName":"tbl","AttributeDefinitions":[{"AttributeName":"g","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[
	{"Create":{"IndexName":"late","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}}]}`

const dropIndex = `{"TableName":"tbl","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"late"}}]}`

// states is how a table and its index stand.
func (c *cloud) states(t *testing.T) string {
	t.Helper()
	d := c.ask(t, "DescribeTable", `{"TableName":"tbl"}`).Table
	s := d.TableStatus
	for _, x := range d.GlobalSecondaryIndexes {
		s += " " + x.IndexStatus
		if x.Backfilling != nil {
			s += fmt.Sprint(" ", *x.Backfilling)
		}
	}
	return s
}

// TestAnIndexIsMadeAndDropped adds an index to a table of some thousand items while it is written to, and drops it;
// the process is replaced again and again meanwhile.
func TestAnIndexIsMadeAndDropped(t *testing.T) {
	db := store.Memory()
	c := newCloud(t, db)
	c.must(t, "CreateTable", createT)
	const n = 2*stepItems + 500
	model := map[string]string{}
	write := func(k int, g string) {
		t.Helper()
		model[fmt.Sprint(k)] = g
		c.must(t, "PutItem", put("a", k, `,"g":{"S":"`+g+`"}`))
	}
	c.must(t, "PutItem", put("b", 1, `,"g":{"N":"1"}`)) // does not fit, and is left out
	c.must(t, "PutItem", put("b", 2, ``))
	for k := range n {
		write(k, "old")
	}
	was := map[string]bool{}
	over := func() { // the next process
		now := c.s.Now()
		c = newCloud(t, db)
		c.s.RunFor(now.Sub(c.s.Now()))
	}
	if a := c.ask(t, "UpdateTable", addIndex).TableDescription; a.TableStatus != "UPDATING" ||
		a.GlobalSecondaryIndexes[0].IndexStatus != "CREATING" {
		t.Fatalf("at first %+v", a)
	}
	c.refuse(t, "UpdateTable", dropIndex, "ResourceInUseException", "Index creation is in resource allocation phase.")
	c.refuse(t, "DeleteTable", `{"TableName":"tbl"}`, "ResourceInUseException", "Cannot delete table while indexes are being created, updated, or deleted.")
	for k := 0; !strings.HasSuffix(c.states(t), "CREATING true"); k++ {
		was[c.states(t)] = true
		if k > 1000 {
			t.Fatal("allocation does not end: ", c.states(t))
		}
		c.s.RunFor(stepPause)
	}
	c.refuse(t, "Scan", `{"TableName":"tbl","IndexName":"late"}`, "ValidationException", "Cannot read from backfilling global secondary index: late")
	c.refuse(t, "UpdateTable", strings.ReplaceAll(addIndex, "late", "other"), "LimitExceededException",
		"Only 1 online index")
	if r := c.svc.Residue(t.Context()); len(r) != 1 {
		t.Errorf("residue: %v", r)
	}
	for k := 0; c.states(t) != "ACTIVE ACTIVE"; k++ {
		was[c.states(t)] = true
		write(k, "new")
		write(n-1-k, "new")
		if k%2 == 0 {
			c.must(t, "DeleteItem", fmt.Sprintf(`{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"%d"}}}`, 1200+k))
			delete(model, fmt.Sprint(1200+k))
		}
		if k > 1000 {
			t.Fatal("backfilling does not end: ", c.states(t))
		}
		over()
		c.s.RunFor(stepPause + time.Millisecond)
	}
	if got := slices.Sorted(maps.Keys(was)); !slices.Equal(got, []string{"ACTIVE CREATING true",
		"UPDATING CREATING false"}) {
		t.Errorf("on the way: %v", got)
	}
	got := map[string]string{}
	start := ""
	for {
		a := c.ask(t, "Scan", `{"TableName":"tbl","IndexName":"late","Limit":1000`+start+`}`)
		for _, e := range a.Items {
			got[e["SK"].Str] = e["g"].Str
		}
		if a.LastEvaluatedKey == nil {
			break
		}
		b, _ := json.Marshal(a.LastEvaluatedKey)
		start = `,"ExclusiveStartKey":` + string(b)
	}
	if !maps.Equal(got, model) {
		t.Errorf("the index has %d entries, want %d", len(got), len(model))
	}
	if d := c.ask(t, "DescribeTable", `{"TableName":"tbl"}`).Table; d.GlobalSecondaryIndexes[0].ItemCount != int64(len(model)) || len(d.AttributeDefinitions) != 3 {
		t.Errorf("told is %+v, it has %d", d, len(model))
	}
	c.refuse(t, "UpdateTable", addIndex, "ValidationException", "Attempting to create an index which already exists")
	c.refuse(t, "PutItem", put("a", 1, `,"g":{"N":"1"}`), "ValidationException", "Type mismatch for Index Key g")
	c.must(t, "UpdateItem", `{"TableName":"tbl","Key":{"PK":{"S":"b"},"SK":{"N":"1"}},"UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":{"S":"x"}}}`)

	if a := c.ask(t, "UpdateTable", dropIndex).TableDescription; a.TableStatus != "UPDATING" ||
		a.GlobalSecondaryIndexes[0].IndexStatus != "DELETING" {
		t.Fatalf("at the deletion %+v", a)
	}
	c.refuse(t, "Scan", `{"TableName":"tbl","IndexName":"late"}`, "ValidationException", "The table does not have the specified index: late")
	over()
	c.s.RunFor(removal / 2)
	over()
	c.s.Run(nil)
	if d := c.ask(t, "DescribeTable", `{"TableName":"tbl"}`).Table; d.TableStatus != "ACTIVE" || len(d.GlobalSecondaryIndexes) != 0 || len(d.AttributeDefinitions) != 2 {
		t.Errorf("after the deletion %+v", d)
	}
	err := db.View(func(tx *store.Tx) error {
		for row, err := range entries.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			t.Fatalf("left behind: %v", row.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExpiredItemsLeaveTheIndexes(t *testing.T) {
	c := withIndexes(t)
	c.must(t, "UpdateTimeToLive", `{"TableName":"tbl","TimeToLiveSpecification":{"AttributeName":"expiresAt","Enabled":true}}`)
	c.must(t, "PutItem", put("a", 1, fmt.Sprintf(`,"g":{"S":"x"},"n":{"N":"1"},"expiresAt":{"N":"%d"}`, start.Add(time.Minute).Unix())))
	c.settle()
	if got := c.group(t, "x"); got != "1:" {
		t.Fatalf("before: %q", got)
	}
	c.s.RunFor(2 * time.Minute)
	if got := c.group(t, "x"); got != "" {
		t.Errorf("after: %q", got)
	}
}

func TestIndexesConsumeUnitsOfTheirOwn(t *testing.T) {
	c := withIndexes(t)
	kilobytes := strings.Repeat("x", 3000)
	put := func(g string) string {
		return put("a", 1, `,"g":{"S":"`+g+`"},"n":{"N":"1"},"w":{"S":"`+kilobytes+`"}`)
	}
	for _, w := range []struct{ in, want string }{
		{put("x"), `{"TableName":"tbl","CapacityUnits":8,"Table":{"CapacityUnits":3},"GlobalSecondaryIndexes":{"all":{"CapacityUnits":3},"keys":{"CapacityUnits":1},"some":{"CapacityUnits":1}}}`},
		{put("x"), `{"TableName":"tbl","CapacityUnits":3,"Table":{"CapacityUnits":3}}`},
		{put("y"), `{"TableName":"tbl","CapacityUnits":13,"Table":{"CapacityUnits":3},"GlobalSecondaryIndexes":{"all":{"CapacityUnits":6},"keys":{"CapacityUnits":2},"some":{"CapacityUnits":2}}}`},
	} {
		in := strings.TrimSuffix(w.in, "}") + `,"ReturnConsumedCapacity":"INDEXES"}`
		if got := c.must(t, "PutItem", in); got != `{"ConsumedCapacity":`+w.want+`}` {
			t.Errorf("got %s, want %s", got, w.want)
		}
	}
	// In a transaction the table's double, and not the indexes'.
	in := put("z")
	in = `{"TransactItems":[{"Put":` + in + `}],"ReturnConsumedCapacity":"INDEXES"}`
	if got, want := c.must(t, "TransactWriteItems", in), `{"ConsumedCapacity":[{"TableName":"tbl","CapacityUnits":16,`+
		`"Table":{"CapacityUnits":6},"GlobalSecondaryIndexes":{"all":{"CapacityUnits":6},"keys":{"CapacityUnits":2},`+
		`"some":{"CapacityUnits":2}}}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.settle()
	got := c.must(t, "Query", `{"TableName":"tbl","IndexName":"all","Select":"COUNT","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"z"}},"ReturnConsumedCapacity":"INDEXES"}`)
	if want := `{"Count":1,"ScannedCount":1,"ConsumedCapacity":{"TableName":"tbl","CapacityUnits":0.5,"Table":{"CapacityUnits":0},"GlobalSecondaryIndexes":{"all":{"CapacityUnits":0.5}}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkPutItemWithAnIndex(b *testing.B) {
	db, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	c := newCloud(b, db)
	if _, err := c.call("CreateTable", createIndexed); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.call("PutItem", put("a", i, `,"g":{"S":"x"}`)); err != nil {
				b.Error(err)
			}
		}
	})
}
