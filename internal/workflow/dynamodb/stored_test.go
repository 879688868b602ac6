package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// BatchGetItem makes oneItem a table of one flag.
func (o oneItem) BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (
	*dynamodb.BatchGetItemOutput, error) {
	return &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{
		"t": {o.item},
	}}, nil
}

// UpdateItem refuses, and shows what is there.
func (o oneItem) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (
	*dynamodb.UpdateItemOutput, error) {
	return nil, &types.ConditionalCheckFailedException{Item: o.item}
}

// itemOf is an item as DynamoDB's JSON has it.
func itemOf(t *testing.T, raw map[string]struct {
	S    *string
	N    *string
	BOOL *bool
}) item {
	t.Helper()
	i := item{}
	for name, v := range raw {
		switch {
		case v.S != nil:
			i[name] = s(*v.S)
		case v.N != nil:
			i[name] = &types.AttributeValueMemberN{Value: *v.N}
		case v.BOOL != nil:
			i[name] = flag(*v.BOOL)
		default:
			t.Fatalf("attribute %s has another type", name)
		}
	}
	return i
}

// understood is what this program makes of an item, by the method that reads its kind.
func understood(i item) (any, error) {
	st, ctx := New(oneItem{item: i}, "t"), context.Background()
	pk, _, _ := strings.Cut(text(i, "PK"), "#")
	switch {
	case pk == "DEVICE":
		return st.Load(ctx, "rg")
	case pk == "ENDPOINT":
		_, err := known(i)
		return text(i, "thing"), err
	case pk == "CONTROL" || pk == "STOP":
		return st.Flags(ctx, event.JobOwner("j"))
	case pk == "KNOCK":
		knocks, _, err := st.Knocks(ctx, event.JobOwner("j"), 1)
		return knocks, err
	case pk == "DUE":
		due, _, err := st.Due(ctx, time.Unix(0, 0), 1)
		return due, err
	case pk == "ARRIVAL":
		arrivals, _, err := st.Arrivals(ctx, "", 1)
		return arrivals, err
	case text(i, "SK") == skLease:
		// Its own attributes are read after an update; see workflowtest's contract.
		_, err := st.Lease(ctx, "me", time.Unix(0, 0), time.Unix(1, 0))
		if errors.Is(err, workflow.ErrLeased) {
			err = nil
		}
		return "leased", err
	}
	return st.Lifted(ctx)
}

// TestStoredItemsAreRead reads items that this version and those before it have written,
// while jobs ran, and finds in them what the version found that wrote them. They are from
// make stored-forms; whoever changes what is stored leaves those that are there as they are.
func TestStoredItemsAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/stored/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var stored map[string]map[string]struct {
			S    *string
			N    *string
			BOOL *bool
		}
		if err := json.Unmarshal(b, &stored); err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(stored)) {
			i := itemOf(t, stored[name])
			read, err := understood(i)
			if err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
			}
			got[name], kinds[name] = read, true

			i["v"] = n(form + 1)
			var unknown *event.FormError
			if _, err := understood(i); !errors.As(err, &unknown) || unknown.Form != form+1 ||
				!strings.Contains(unknown.What, text(i, "SK")) {
				t.Errorf("%s of a later version: %v", name, err)
			}
		}
		held(t, strings.TrimSuffix(file, ".json")+".read", got)
	}
	for _, kind := range []string{"DEVICE STATE", "DEVICE CLAIM", "DEVICE PENDING", "DEVICE PENDING parked",
		"DEVICE AWAIT", "ENDPOINT OWNER", "STOP CONTROL", "TICK LEASE", "TICK LIFTED", "DUE ", "KNOCK ", "ARRIVAL "} {
		if !kinds[kind] {
			t.Errorf("no version has stored %s: %q", kind, slices.Sorted(maps.Keys(kinds)))
		}
	}
}

// held compares with a file, which it writes if FLEETSTEP_STORED is set and there is none.
func held(t *testing.T, file string, got any) {
	t.Helper()
	now, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("FLEETSTEP_STORED") != "" {
		was, err = now, os.WriteFile(file, append(now, '\n'), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Members that came later are no difference: what was found is found again.
	var before, after any
	if json.Unmarshal(was, &before) != nil || json.Unmarshal(now, &after) != nil {
		t.Fatal("no JSON")
	}
	if path, same := contains(after, before); !same {
		t.Errorf("%s: another value is read at %s\n%s", file, path, now)
	}
}

// contains reports whether all that was there before is there; else where it is not.
func contains(now, was any) (path string, same bool) {
	switch was := was.(type) {
	case map[string]any:
		of, _ := now.(map[string]any)
		for name, v := range was {
			if path, same := contains(of[name], v); !same {
				return "." + name + path, false
			}
		}
		return "", of != nil
	case []any:
		of, _ := now.([]any)
		if len(of) != len(was) {
			return "", false
		}
		for i := range was {
			if path, same := contains(of[i], was[i]); !same {
				return "[]" + path, false
			}
		}
		return "", true
	}
	return "", reflect.DeepEqual(now, was)
}
