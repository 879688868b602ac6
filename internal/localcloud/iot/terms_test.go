package iot

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// names are the things that are found, through pages of three.
func (c *cloud) names(operation string, in map[string]any) (names []string) {
	c.t.Helper()
	in["maxResults"] = 3
	for {
		b, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		out := c.call(operation, string(b))
		for _, x := range out["things"].([]any) {
			names = append(names, x.(map[string]any)["thingName"].(string))
		}
		if in["nextToken"] = out["nextToken"]; in["nextToken"] == nil {
			return names
		}
	}
}

// TestASearchByTermsFindsWhatALookAtAllFinds: the same things in the same order, after changes, removals and a restart
// of what an earlier version has stored.
func TestASearchByTermsFindsWhatALookAtAllFinds(t *testing.T) {
	c := newCloud(t)
	c.call("UpdateIndexingConfiguration", `{"thingIndexingConfiguration":{"thingIndexingMode":"REGISTRY"}}`)
	for i := range 30 {
		c.call("CreateThing", fmt.Sprintf(`{"thingName":"Cpe-%02d","attributePayload":{"attributes":{`+
			`"model":"m%d","version":"%s","odd":"%t"}}}`, i, i%3, []string{"1", "1.0", "2.0", "A", "a"}[i%5], i%2 == 1))
	}
	c.call("UpdateThing", `{"thingName":"Cpe-04","attributePayload":{"attributes":{"model":"m0"},"merge":true}}`)
	c.call("UpdateThing", `{"thingName":"Cpe-07","attributePayload":{"attributes":{"other":"x"}}}`)
	c.call("DeleteThing", `{"thingName":"Cpe-09"}`)
	queries := map[string]int{
		"thingName:cpe-03": 1, "thingName:Cpe-09": 0, "attributes.model:m0": 10, "attributes.model:M0": 10,
		"attributes.version:1": 12, "attributes.version:1.00": 12, "attributes.version:a": 11,
		"attributes.model:m1 AND attributes.odd:true": 4, "attributes.odd:true attributes.version:2": 2,
		"attributes.model:m1 AND NOT attributes.odd:true": 4, "attributes.other:x": 1, "attributes.model:m7": 0,
		"attributes.model:m1 OR attributes.model:m2": 18, "attributes.model:m*": 28,
		"attributes.model:m0 AND thingName:Cpe-1*": 3,
	}
	look := func(when string) {
		t.Helper()
		for q, n := range queries {
			got := c.names("SearchIndex", map[string]any{"queryString": q})
			want := c.names("SearchIndex", map[string]any{"queryString": "(" + q + ") OR thingName:nobody"})
			if !reflect.DeepEqual(got, want) || len(got) != n {
				t.Errorf("%s, %s: %d things %v, a look at all finds %v, want %d", when, q, len(got), got, want, n)
			}
		}
		for _, value := range []string{"m0", "M0", "m7", ""} {
			got := c.names("ListThings", map[string]any{"attributeName": "model", "attributeValue": value})
			var want []string
			for _, x := range c.call("ListThings", `{"maxResults":100}`)["things"].([]any) {
				x := x.(map[string]any)
				if m, ok := x["attributes"].(map[string]any)["model"]; ok && (m == value || value == "") {
					want = append(want, x["thingName"].(string))
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, model %q is listed as %v, want %v", when, value, got, want)
			}
		}
	}
	look("now")
	c.restart()
	look("after a restart")
	if err := c.db.Update(func(tx *store.Tx) error {
		for row, err := range thingTerms.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if err := thingTerms.Delete(tx, row.Key...); err != nil {
				return err
			}
		}
		return termsKept.Delete(tx, single)
	}); err != nil {
		t.Fatal(err)
	}
	c.restart()
	look("of an earlier version")
}
