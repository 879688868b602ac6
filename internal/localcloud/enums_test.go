package localcloud_test

import (
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

// heldElsewhere are members whose values are checked in words of the service's own, or are none of ours, with the
// reason: by their path, or by a name that stands for all members of the service that are called so.
var heldElsewhere = map[string]string{
	"sqs AttributeNames":                              "Unknown Attribute, a code of SQS's own",
	"sqs MessageSystemAttributeNames":                 "Unknown Attribute, a code of SQS's own",
	"s3 SSEAlgorithm":                                 "S3 has errors of its own: MalformedXML",
	"s3 Status":                                       "S3 has errors of its own: MalformedXML",
	"cloudwatch MetricData[].Unit":                    "InvalidParameterValue, in words of its own",
	"cloudwatch EntityMetricData[].MetricData[].Unit": "InvalidParameterValue, in words of its own",
	"cloudwatch Statistics":                           "InvalidParameterValue, in words of its own",
	"cloudwatch RecentlyActive":                       "InvalidParameterValue, in words of its own",
	"lambda InvocationType":                           "InvalidParameterValueException, in words of its own",
	"lambda Runtime":                                  "InvalidParameterValueException, in words of its own",
	"iotdataplane payloadFormatIndicator":             "a header, in words of its own",
}

// newer are values that AWS has since the models were written.
var newer = map[string]string{"cloudwatch AlarmTypes": "LogAlarm"}

// readModels reads what testdata/enums.py has written: by service and operation.
func readModels[T any](t *testing.T, file string) (models map[string]map[string]T) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&models); err != nil {
		t.Fatal(err)
	}
	return models
}

// TestEnumsAreThoseOfTheModels: each member of an input that takes certain values, at any depth, has them in its tag,
// as AWS's models have them (testdata/enums.py).
func TestEnumsAreThoseOfTheModels(t *testing.T) {
	models := readModels[map[string][]string](t, "enums.json.gz")
	door := newRig(t).cloud.Door()
	used := map[string]bool{}
	checked := 0
	for _, service := range slices.Sorted(maps.Keys(models)) {
		s := door.Lookup(service)
		if s == nil {
			t.Fatalf("no service %s", service)
		}
		for _, op := range s.Operations {
			for path, want := range models[service][op.Name] {
				tag, ok := tagOf(op.Input(), path)
				if !ok {
					continue // the local cloud does not know the member
				}
				name := service + " " + strings.Trim(path[strings.LastIndexByte(path, '.')+1:], "[]{}")
				if heldElsewhere[service+" "+path] != "" {
					name = service + " " + path
				}
				if heldElsewhere[name] != "" {
					used[name] = true
					continue
				}
				got := slices.DeleteFunc(valuesOf(tag), func(v string) bool { return v == newer[name] })
				slices.Sort(got)
				slices.Sort(want)
				if checked++; !slices.Equal(got, want) {
					t.Errorf("%s:%s: %s takes %q, want %q", service, op.Name, path, got, want)
				}
			}
		}
	}
	for name := range heldElsewhere {
		if !used[name] {
			t.Errorf("%s is not held elsewhere: take it out", name)
		}
	}
	if checked < 100 {
		t.Errorf("only %d members were compared", checked)
	}
}

// tagOf finds the tag of a text by its path; ok is false if there is none.
func tagOf(t reflect.Type, path string) (tag string, ok bool) {
	t, tag, ok = memberOf(t, path)
	for ok && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
		t = t.Elem()
	}
	return tag, ok && t.Kind() == reflect.String
}

// memberOf finds a member by its path.
func memberOf(t reflect.Type, path string) (of reflect.Type, tag string, ok bool) {
	for name := range strings.SplitSeq(path, ".") {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil, "", false
		}
		ok = false
		for _, f := range reflect.VisibleFields(t) {
			json, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if json == "" || json == "-" {
				json = f.Name
			}
			if f.IsExported() && !f.Anonymous && strings.EqualFold(json, strings.Trim(name, "[]{}")) {
				t, tag, ok = f.Type, f.Tag.Get("api"), true
				break
			}
		}
		if !ok {
			return nil, "", false
		}
	}
	return t, tag, true
}

// valuesOf are the values in a tag.
func valuesOf(tag string) []string {
	for word := range strings.SplitSeq(tag, ",") {
		word = strings.TrimPrefix(word, "each.")
		if list, ok := strings.CutPrefix(word, "values="); ok {
			return strings.Split(list, "|")
		}
		if name, ok := strings.CutPrefix(word, "set="); ok {
			return constraint.Named(name)
		}
	}
	return nil
}
