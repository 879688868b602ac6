package topicrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// attribute is a value in DynamoDB's JSON: {"S": "text"} and so on.
type attribute map[string]any

// attributeOf writes a value as an attribute.
func attributeOf(v rulesql.Value) attribute {
	switch v.Kind() {
	case rulesql.Boolean:
		return attribute{"BOOL": string(v.JSON()) == "true"}
	case rulesql.Int, rulesql.Decimal:
		return attribute{"N": string(v.JSON())}
	case rulesql.String:
		return attribute{"S": textOf(v)}
	case rulesql.Binary:
		return attribute{"B": v.JSON()}
	case rulesql.Array:
		list := []attribute{}
		for _, x := range v.Items() {
			if x.Kind() != rulesql.Undefined {
				list = append(list, attributeOf(x))
			}
		}
		return attribute{"L": list}
	case rulesql.Object:
		return attribute{"M": itemOf(v)}
	default:
		return attribute{"NULL": true}
	}
}

func itemOf(v rulesql.Value) map[string]attribute {
	item := map[string]attribute{}
	v.Each(func(key string, x rulesql.Value) {
		if x.Kind() != rulesql.Undefined {
			item[key] = attributeOf(x)
		}
	})
	return item
}

// textOf is the text of a String.
func textOf(v rulesql.Value) string {
	var s string
	_ = json.Unmarshal(v.JSON(), &s)
	return s
}

// plain writes attributes as ordinary JSON; numbers stay as they are written.
func plain(a map[string]any) (any, error) {
	if len(a) != 1 {
		return nil, fmt.Errorf("an attribute value has exactly one type, this one has %d", len(a))
	}
	for kind, v := range a {
		switch kind {
		case "S", "BOOL", "B", "SS", "BS":
			return v, nil
		case "N":
			s, _ := v.(string)
			return json.Number(s), nil
		case "NS":
			var out []json.Number
			for _, n := range v.([]any) {
				s, _ := n.(string)
				out = append(out, json.Number(s))
			}
			return out, nil
		case "NULL":
			return nil, nil
		case "L":
			list, _ := v.([]any)
			out := []any{}
			for _, x := range list {
				m, _ := x.(map[string]any)
				p, err := plain(m)
				if err != nil {
					return nil, err
				}
				out = append(out, p)
			}
			return out, nil
		case "M":
			m, _ := v.(map[string]any)
			return plainItem(m)
		}
	}
	return nil, errors.New("unknown attribute type")
}

func plainItem(item map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(item)) {
		v := item[k]
		m, _ := v.(map[string]any)
		p, err := plain(m)
		if err != nil {
			return nil, err
		}
		out[k] = p
	}
	return out, nil
}

// dynamoDBv2Action writes the result's members as an item.
type dynamoDBv2Action struct {
	roled
	table *rulesql.Template
}

func makeDynamoDBv2(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN string `json:"roleArn"`
		PutItem struct {
			TableName string `json:"tableName"`
		} `json:"putItem"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &dynamoDBv2Action{roled: roled{p.RoleARN}}
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!putItem.tableName", p.PutItem.TableName, &a.table))
	return a, errors.Join(err, plainly("tableName", a.table, tableName, "the name of a table"))
}

func (a *dynamoDBv2Action) kind() string { return "DynamoDBv2" }

func (a *dynamoDBv2Action) run(ctx context.Context, d *delivery) (string, error) {
	table, err := d.text(ctx, a.table)
	if err != nil {
		return a.table.Source(), err
	}
	if d.value.Kind() != rulesql.Object {
		return table, errors.New("dynamoDBv2: the result of the statement is not an object")
	}
	return table, d.call(ctx, a.roleARN, "dynamodb", "PutItem", map[string]any{"TableName": table,
		"Item": itemOf(d.value)})
}

// dynamoDBAction writes the whole result into one column.
type dynamoDBAction struct {
	roled
	table, hash, rangeValue, operation *rulesql.Template
	hashField, rangeField, field       string
	hashType, rangeType                string
}

func makeDynamoDB(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN       string `json:"roleArn"`
		TableName     string `json:"tableName"`
		Operation     string `json:"operation"`
		HashKeyField  string `json:"hashKeyField"`
		HashKeyValue  string `json:"hashKeyValue"`
		HashKeyType   string `json:"hashKeyType"`
		RangeKeyField string `json:"rangeKeyField"`
		RangeKeyValue string `json:"rangeKeyValue"`
		RangeKeyType  string `json:"rangeKeyType"`
		PayloadField  string `json:"payloadField"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if p.HashKeyField == "" {
		return nil, errors.New("hashKeyField is missing")
	}
	for _, t := range []string{p.HashKeyType, p.RangeKeyType} {
		if t != "" && t != "STRING" && t != "NUMBER" {
			return nil, fmt.Errorf("a key's type is STRING or NUMBER, not %q", t)
		}
	}
	if p.PayloadField == "" {
		p.PayloadField = "payload"
	}
	a := &dynamoDBAction{roled: roled{p.RoleARN}, hashField: p.HashKeyField, rangeField: p.RangeKeyField,
		field: p.PayloadField, hashType: p.HashKeyType, rangeType: p.RangeKeyType}
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!tableName", p.TableName, &a.table, "operation",
		p.Operation, &a.operation,
		"!hashKeyValue", p.HashKeyValue, &a.hash, "rangeKeyValue", p.RangeKeyValue, &a.rangeValue))
	return a, errors.Join(err, plainly("tableName", a.table, tableName, "the name of a table"))
}

func (a *dynamoDBAction) kind() string { return "DynamoDB" }

func (a *dynamoDBAction) run(ctx context.Context, d *delivery) (string, error) {
	table, err := d.text(ctx, a.table)
	if err != nil {
		return a.table.Source(), err
	}
	key := map[string]attribute{}
	for _, k := range []struct {
		field, kind string
		value       *rulesql.Template
	}{{a.hashField, a.hashType, a.hash}, {a.rangeField, a.rangeType, a.rangeValue}} {
		if k.field == "" {
			continue
		}
		text, err := d.text(ctx, k.value)
		if err != nil {
			return table, err
		}
		if k.kind == "NUMBER" {
			key[k.field] = attribute{"N": text}
		} else {
			key[k.field] = attribute{"S": text}
		}
	}
	operation, err := d.text(ctx, a.operation)
	if err != nil {
		return table, err
	}
	payload := attributeOf(d.value)
	switch strings.ToUpper(operation) {
	case "", "INSERT":
		key[a.field] = payload
		return table, d.call(ctx, a.roleARN, "dynamodb", "PutItem", map[string]any{"TableName": table, "Item": key})
	case "UPDATE":
		return table, d.call(ctx, a.roleARN, "dynamodb", "UpdateItem", map[string]any{
			"TableName": table, "Key": key, "UpdateExpression": "SET #p = :p",
			"ExpressionAttributeNames":  map[string]string{"#p": a.field},
			"ExpressionAttributeValues": map[string]attribute{":p": payload},
		})
	case "DELETE":
		return table, d.call(ctx, a.roleARN, "dynamodb", "DeleteItem", map[string]any{"TableName": table, "Key": key})
	}
	return table, fmt.Errorf("operation %q is none of INSERT, UPDATE and DELETE", operation)
}
