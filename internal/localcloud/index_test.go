package localcloud_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// tableTemplate is a table with indexes, each of them "name attribute projection".
func tableTemplate(indexes ...string) []byte {
	definitions, list := []any{map[string]any{"AttributeName": "PK", "AttributeType": "S"}}, []any{}
	seen := map[string]bool{"PK": true}
	for _, x := range indexes {
		f := strings.Fields(x)
		if !seen[f[1]] {
			seen[f[1]] = true
			definitions = append(definitions, map[string]any{"AttributeName": f[1], "AttributeType": "S"})
		}
		list = append(list, map[string]any{"IndexName": f[0], "Projection": map[string]any{"ProjectionType": f[2]},
			"KeySchema": []any{map[string]any{"AttributeName": f[1], "KeyType": "HASH"}}})
	}
	properties := map[string]any{"TableName": "things", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": definitions,
		"KeySchema":            []any{map[string]any{"AttributeName": "PK", "KeyType": "HASH"}}}
	if len(list) > 0 {
		properties["GlobalSecondaryIndexes"] = list
	}
	b, err := json.Marshal(map[string]any{"Resources": map[string]any{"T": map[string]any{
		"Type": "AWS::DynamoDB::Table", "Properties": properties}}})
	if err != nil {
		panic(err)
	}
	return b
}

func TestAStackChangesTheIndexesOfItsTable(t *testing.T) {
	l := newLives(t)
	indexes := func() (all string) {
		t.Helper()
		var out struct {
			Table struct {
				AttributeDefinitions   []struct{ AttributeName string }
				GlobalSecondaryIndexes []struct{ IndexName, IndexStatus string }
			}
		}
		l.call("dynamodb", "DescribeTable", map[string]any{"TableName": "things"}, &out)
		for _, a := range out.Table.AttributeDefinitions {
			all += a.AttributeName + " "
		}
		for _, x := range out.Table.GlobalSecondaryIndexes {
			all += x.IndexName + ":" + x.IndexStatus + " "
		}
		return strings.TrimSpace(all)
	}
	for _, step := range []struct {
		indexes         []string
		wrong, now, end string
	}{
		{[]string{"one g ALL", "two h KEYS_ONLY"}, "", "PK g h one:ACTIVE two:ACTIVE", "PK g h one:ACTIVE two:ACTIVE"},
		{[]string{"one g KEYS_ONLY", "two h KEYS_ONLY"},
			"Cannot update GSI's properties other than Provisioned Throughput", "", "PK g h one:ACTIVE two:ACTIVE"},
		{[]string{"one g ALL", "two h KEYS_ONLY", "three g ALL", "four g ALL"},
			"Cannot perform more than one GSI creation or deletion in a single update", "",
			"PK g h one:ACTIVE two:ACTIVE"},
		// The stack does not wait for an index to be backfilled.
		{[]string{"one g ALL", "two h KEYS_ONLY", "three k ALL"}, "", "PK g h k one:ACTIVE two:ACTIVE three:CREATING",
			"PK g h k one:ACTIVE two:ACTIVE three:ACTIVE"},
		{[]string{"one g ALL", "three k ALL"}, "", "PK g k one:ACTIVE three:ACTIVE", "PK g k one:ACTIVE three:ACTIVE"},
		{[]string{"one g ALL"}, "", "PK g one:ACTIVE", "PK g one:ACTIVE"},
		{nil, "", "PK", "PK"},
	} {
		_, err := l.cloud.Deploy(t.Context(), "s", tableTemplate(step.indexes...), nil)
		if got := fmt.Sprint(err); step.wrong == "" && err != nil || !strings.Contains(got, step.wrong) {
			t.Fatalf("%v: got %v, want %q", step.indexes, err, step.wrong)
		}
		if got := indexes(); step.now != "" && got != step.now {
			t.Errorf("%v: at the end of the update there is %s, want %s", step.indexes, got, step.now)
		}
		l.sched.RunFor(time.Minute)
		if got := indexes(); got != step.end {
			t.Errorf("%v: there is %s, want %s", step.indexes, got, step.end)
		}
	}
}

// indexed makes a table with an index by g.
func (l *lives) indexed() {
	l.t.Helper()
	if _, err := l.cloud.Deploy(l.t.Context(), "s", tableTemplate("byG g KEYS_ONLY"), nil); err != nil {
		l.t.Fatal(err)
	}
}

func byG(more ...any) map[string]any {
	in := map[string]any{"TableName": "things", "IndexName": "byG", "KeyConditionExpression": "g = :g",
		"ExpressionAttributeValues": map[string]any{":g": text("x")}}
	for i := 0; i+1 < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	return in
}

func putG(n int) map[string]any {
	return map[string]any{"TableName": "things", "Item": map[string]any{"PK": text(fmt.Sprint(n)), "g": text("x"),
		"v": text("v")}}
}
