package localcloud_test

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

// limits are the least and greatest value or length of a member, and its pattern.
type limits struct {
	Min, Max *float64
	Pattern  string
	name     string // that the tag has for the pattern
}

func (l limits) String() string {
	var words []string
	for _, n := range []struct {
		name string
		n    *float64
	}{{"min", l.Min}, {"max", l.Max}} {
		if n.n != nil {
			words = append(words, n.name+"="+strconv.FormatFloat(*n.n, 'f', -1, 64))
		}
	}
	if l.Pattern != "" {
		words = append(words, "pattern="+l.Pattern)
	}
	return strings.Join(words, " ")
}

// limitsElsewhere are members whose limits are checked in words of the service's own, or are none of ours, with the
// reason: by operation and path, or by the last name of a path, which stands for all members of the service that are
// called so.
var limitsElsewhere = map[string]string{
	"iam Marker":               token,
	"iot marker":               token,
	"kms Marker":               token,
	"s3 Key":                   "an empty key is the bucket's address",
	"sns Key":                  ofItsOwn,
	"sns Value":                ofItsOwn,
	"sns ResourceArn":          ofItsOwn,
	"sns TagKeys[]":            ofItsOwn,
	"sts AccessKeyId":          "a pattern that is the alphabet of all keys",
	"lambda FileSystemConfigs": "refused as not built",
	"dynamodb RequestItems":    ofItsOwn,
	"dynamodb RequestItems{}":  ofItsOwn,
	"dynamodb Keys":            ofItsOwn,
	"dynamodb Item{key}":       items,
	"dynamodb Key{key}":        items,

	"dynamodb ExclusiveStartKey{key}": items,
	"dynamodb KeySchema":              ofItsOwn,
	"dynamodb NonKeyAttributes":       ofItsOwn,
	"dynamodb TableName":              "a name has 255 characters and a pattern, which the model has no more",
	"dynamodb Limit":                  ofItsOwn,
	"dynamodb ReplicaUpdates":         "refused as not built",
}

// Reasons.
const (
	token    = "what is no token of the list is refused in the service's words"
	ofItsOwn = "checked by the service"
	items    = "the length of an attribute's name is checked with the item"
)

// TestLimitsAreThoseOfTheModels: each member of an input that has a least or greatest value or length or a pattern in
// AWS's models (testdata/enums.py), at any depth, has it in its tag; and a request that breaks it is refused with
// AWS's words, whatever else is in it.
func TestLimitsAreThoseOfTheModels(t *testing.T) {
	models := readModels[map[string]limits](t, "limits.json.gz")
	door := newRig(t).cloud.Door()
	used := map[string]bool{}
	checked := 0
	for _, service := range slices.Sorted(maps.Keys(models)) {
		for _, op := range door.Lookup(service).Operations {
			for _, path := range slices.Sorted(maps.Keys(models[service][op.Name])) {
				want := models[service][op.Name][path]
				m, ok := limitedMember(op.Input(), path)
				if !ok {
					continue // the local cloud does not know the member
				}
				last := service + " " + path[strings.LastIndexByte(path, '.')+1:]
				if name := service + ":" + op.Name + " " + path; limitsElsewhere[name] != "" {
					last = name
				}
				if limitsElsewhere[last] != "" {
					used[last] = true
					continue
				}
				if m.text && want.Min != nil && *want.Min == 0 {
					want.Min = nil
				}
				if want.Pattern == `[\s\S]*` || want.Pattern == ".*" {
					want.Pattern = "" // anything
				}
				got := limitsOf(m.tag, m.part)
				if got.String() != want.String() {
					t.Errorf("%s:%s: %s has %s, want %s", service, op.Name, path, got, want)
					continue
				}
				for _, breach := range m.breaches(got) {
					in := reflect.New(op.Input())
					m.put(in.Elem(), breach.value)
					_, err := door.Call(t.Context(), awsapi.RootOf(account), service, op.Name, in.Interface())
					checked++
					if err == nil || !strings.Contains(err.Error(), breach.says) {
						t.Errorf("%s:%s: %s is %.60v: %v, want %q", service, op.Name, path, breach.value, err,
							breach.says)
					}
				}
			}
		}
	}
	for name := range limitsElsewhere {
		if !used[name] {
			t.Errorf("%s is not held elsewhere: take it out", name)
		}
	}
	if checked < 1000 {
		t.Errorf("only %d breaches were tried", checked)
	}
}

// aMember is a member of an input by its path.
type aMember struct {
	path []string // names, with [], {} and {key} for parts of lists and maps between them
	tag  string
	part string // the prefix of words in the tag that are about it
	of   reflect.Type
	text bool // or a list or a map: of a length
}

// limitedMember finds a member; ok is false if the input does not have it, or has it as anything.
func limitedMember(t reflect.Type, path string) (m aMember, ok bool) {
	m.path = strings.Split(strings.NewReplacer("[]", ".[]", "{}", ".{}", "{key}", ".{key}").Replace(path), ".")
	depth := 0
	for _, name := range m.path {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case name == "[]" && t.Kind() == reflect.Slice, name == "{}" && t.Kind() == reflect.Map:
			t, m.part, depth = t.Elem(), m.part+"each.", depth+1
		case name == "{key}" && t.Kind() == reflect.Map:
			t, m.part, depth = t.Key(), m.part+"key.", depth+1
		case t.Kind() != reflect.Struct:
			return m, false
		default:
			f, ok := fieldOf(t, name)
			if !ok {
				return m, false
			}
			t, m.tag, m.part, depth = f.Type, f.Tag.Get("api"), "", 0
		}
	}
	m.of = t
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	m.text = t.Kind() == reflect.String || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
	return m, depth < 2 && t.Kind() != reflect.Interface && t.Kind() != reflect.Struct &&
		t.String() != "json.RawMessage"
}

// fieldOf is the field of a member.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		json, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if json == "" || json == "-" {
			json = f.Name
		}
		if f.IsExported() && !f.Anonymous && strings.EqualFold(json, name) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// limitsOf reads a tag.
func limitsOf(tag, part string) (l limits) {
	for word := range strings.SplitSeq(tag, ",") {
		word, mine := strings.CutPrefix(word, part)
		name, value, _ := strings.Cut(word, "=")
		if !mine {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case name == "min" && err == nil:
			l.Min = &n
		case name == "max" && err == nil:
			l.Max = &n
		case name == "pattern":
			l.Pattern, l.name = constraint.Patterns[value].Text, value
		}
	}
	return l
}

// breach is a value that breaks a limit, and what is said of it.
type breach struct {
	value any // a text, a number, or how many of a list or a map
	says  string
}

// breaches are values that break the limits of a member. An empty text and a 0 that are no pointers count as absent.
func (m aMember) breaches(l limits) (list []breach) {
	what, t := "value", m.of
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if m.text {
		what = "length"
	}
	name := strings.ToLower(m.path[0][:1]) + m.path[0][1:]
	if len(m.path) > 1 {
		name = ""
	}
	add := func(n float64, than string, limit float64) {
		says := "Member must have " + what + " " + than + " than or equal to " +
			strconv.FormatFloat(limit, 'f', -1, 64)
		if t.Kind() == reflect.Float64 && limit == math.Trunc(limit) {
			says += ".0"
		}
		if name != "" {
			says = "at '" + name + "' failed to satisfy constraint: " + says
		}
		if n < 0 && m.text || n == 0 && m.of.Kind() != reflect.Pointer && m.part == "" && t.Kind() != reflect.Slice &&
			t.Kind() != reflect.Map {
			return
		}
		var value any = n
		if t.Kind() == reflect.String {
			value = strings.Repeat("a", int(n))
		}
		list = append(list, breach{value, says})
	}
	if l.Min != nil {
		add(*l.Min-1, "greater", *l.Min)
	}
	if l.Max != nil {
		add(*l.Max+1, "less", *l.Max)
	}
	if l.Pattern == "" {
		return list
	}
	p := constraint.Patterns[l.name]
	says := "Member must satisfy regular expression pattern: " + p.Text
	if p.Says != "" {
		says = fmt.Sprintf(p.Says, name)
	}
	for _, s := range []string{" ", "!", "é", "a b", "\n", "\x00", "世", ":", "$x", "0"} {
		if !p.Matches(s) {
			return append(list, breach{s, says})
		}
	}
	return append(list, breach{"", "a text that breaks " + l.Pattern})
}

// put makes a request with a value for the member and nothing else, but what is around it.
func (m aMember) put(v reflect.Value, value any) {
	for i, name := range m.path {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		switch name {
		case "[]":
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v = v.Index(0)
		case "{}", "{key}":
			key, e := reflect.ValueOf("9").Convert(v.Type().Key()), reflect.New(v.Type().Elem()).Elem()
			if name == "{key}" {
				key = reflect.ValueOf(value).Convert(v.Type().Key())
			} else {
				(aMember{path: m.path[i+1:]}).put(e, value)
			}
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, e)
			return
		default:
			f, _ := fieldOf(v.Type(), name)
			v = v.FieldByIndex(f.Index)
		}
	}
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		n := int(value.(float64))
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range int(value.(float64)) {
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint(i)).Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		}
	default:
		v.Set(reflect.ValueOf(value).Convert(v.Type()))
	}
}

// TestServicesCheckTheRest: what is held elsewhere is refused as well, in the service's own words.
func TestServicesCheckTheRest(t *testing.T) {
	r := newRig(t)
	type m = map[string]any
	schema := []any{m{"AttributeName": "k", "KeyType": "HASH"}}
	r.must("dynamodb", "CreateTable", m{"TableName": "things", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{m{"AttributeName": "k", "AttributeType": "S"}}, "KeySchema": schema})
	r.sched.RunFor(10e9)
	topic := r.must("sns", "CreateTopic", m{"Name": "t"})["TopicArn"]
	item := m{"k": m{"S": "a"}}
	times := func(n int, v any) []any { return slices.Repeat([]any{v}, n) }
	keys := func(n int) (list []any) {
		for i := range n {
			list = append(list, m{"k": m{"S": fmt.Sprint(i)}})
		}
		return list
	}
	batch := func(name string, n int) m {
		var list []any
		for _, k := range keys(n) {
			list = append(list, m{"PutRequest": m{"Item": k}})
		}
		return m{"RequestItems": m{name: append([]any{}, list...)}}
	}
	index := func(nonKey []any, keySchema []any) m {
		return m{"TableName": "indexed", "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema,
			"AttributeDefinitions": []any{m{"AttributeName": "k", "AttributeType": "S"}},
			"GlobalSecondaryIndexes": []any{m{"IndexName": "idx", "KeySchema": keySchema,
				"Projection": m{"ProjectionType": "INCLUDE", "NonKeyAttributes": nonKey}}}}
	}
	long := strings.Repeat("a", 65536)
	tags := func(key, value string) m {
		return m{"ResourceArn": topic, "Tags": []any{m{"Key": key, "Value": value}}}
	}
	const invalid = "ValidationException"
	for _, row := range []struct {
		service, operation string
		in                 m
		code               string // "" if it is taken
	}{
		{"dynamodb", "BatchGetItem", m{"RequestItems": m{}}, invalid},
		{"dynamodb", "BatchGetItem", m{"RequestItems": m{"things": m{"Keys": []any{}}}}, invalid},
		{"dynamodb", "BatchGetItem", m{"RequestItems": m{"things": m{"Keys": keys(101)}}}, invalid},
		{"dynamodb", "BatchGetItem", m{"RequestItems": m{"things": m{"Keys": keys(100)}}}, ""},
		{"dynamodb", "BatchGetItem", m{"RequestItems": m{long[:1025]: m{"Keys": keys(1)}}}, invalid},
		{"dynamodb", "BatchWriteItem", m{"RequestItems": m{}}, invalid},
		{"dynamodb", "BatchWriteItem", batch("things", 0), invalid},
		{"dynamodb", "BatchWriteItem", batch("things", 26), invalid},
		{"dynamodb", "BatchWriteItem", batch("things", 25), ""},
		{"dynamodb", "BatchWriteItem", batch(long[:1025], 1), invalid},
		{"dynamodb", "TransactWriteItems", m{"TransactItems": []any{}}, invalid},
		{"dynamodb", "TransactWriteItems", m{"TransactItems": times(101, m{"Put": m{"TableName": "things",
			"Item": item}})}, invalid},
		{"dynamodb", "TransactGetItems", m{"TransactItems": []any{}}, invalid},
		{"dynamodb", "TransactGetItems", m{"TransactItems": times(101, m{"Get": m{"TableName": "things",
			"Key": item}})}, invalid},
		{"dynamodb", "Query", m{"TableName": "things", "Limit": 0, "KeyConditionExpression": "k = :k",
			"ExpressionAttributeValues": m{":k": m{"S": "a"}}}, invalid},
		{"dynamodb", "Scan", m{"TableName": "things", "Limit": 0}, invalid},
		{"dynamodb", "PutItem", m{"TableName": "things", "Item": m{"k": m{"S": "a"}, long: m{"S": "a"}}}, invalid},
		{"dynamodb", "GetItem", m{"TableName": "things", "Key": m{long: m{"S": "a"}}}, invalid},
		{"dynamodb", "Scan", m{"TableName": "things", "ExclusiveStartKey": m{long: m{"S": "a"}}}, invalid},
		{"dynamodb", "CreateTable", m{"TableName": "other", "BillingMode": "PAY_PER_REQUEST", "KeySchema": []any{},
			"AttributeDefinitions": []any{m{"AttributeName": "k", "AttributeType": "S"}}}, invalid},
		{"dynamodb", "CreateTable", index([]any{}, schema), invalid},
		{"dynamodb", "CreateTable", index(times(21, "a"), schema), invalid},
		{"dynamodb", "CreateTable", index([]any{long[:256]}, schema), invalid},
		{"dynamodb", "CreateTable", index([]any{""}, schema), invalid},
		{"dynamodb", "CreateTable", index([]any{"a"}, []any{}), invalid},
		{"dynamodb", "CreateTable", index([]any{"a"}, schema), ""},
		{"sns", "TagResource", tags(long[:129], "v"), "InvalidParameter"},
		{"sns", "TagResource", tags("k", long[:257]), "InvalidParameter"},
		{"sns", "TagResource", tags("", "v"), "InvalidParameter"},
		{"sns", "TagResource", tags(long[:128], long[:256]), ""},
		{"sns", "CreateTopic", m{"Name": "u", "Tags": []any{m{"Key": long[:129], "Value": "v"}}}, "InvalidParameter"},
		{"sns", "UntagResource", m{"ResourceArn": topic, "TagKeys": []any{long[:129]}}, "InvalidParameter"},
		{"sns", "UntagResource", m{"ResourceArn": topic, "TagKeys": []any{""}}, "InvalidParameter"},
		{"sns", "ListTagsForResource", m{"ResourceArn": long[:1012]}, "InvalidParameter"},
		{"sns", "TagResource", m{"ResourceArn": long[:1012], "Tags": []any{m{"Key": "k", "Value": "v"}}},
			"InvalidParameter"},
		{"iam", "ListRoles", m{"Marker": "\t"}, "ValidationError"},
		{"kms", "ListKeys", m{"Marker": "\t"}, "InvalidMarkerException"},
		{"iot", "ListPolicies", m{"marker": "!"}, "InvalidRequestException"},
		{"sts", "GetAccessKeyInfo", m{"AccessKeyId": "AKIA 12345678901"}, "ValidationError"},
	} {
		_, err := r.cloud.Door().Call(t.Context(), awsapi.RootOf(account), row.service, row.operation, row.in)
		if awsapi.Code(err) != row.code {
			t.Errorf("%s:%s %.200v: %.300v, want %q", row.service, row.operation, row.in, err, row.code)
		}
	}
}
