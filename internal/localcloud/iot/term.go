package iot

import (
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
)

// The fields that are kept: those of attributes begin with one of these.
const (
	nameField      = "thingName"
	attributeField = "attributes."
)

// termsOf are those of a thing in order, none of one that is not there.
func termsOf(name string, t *thing) []fleetindex.Term {
	if t == nil {
		return nil
	}
	terms := []fleetindex.Term{{Field: nameField, Text: fleetindex.Key(name)}}
	for _, k := range slices.Sorted(maps.Keys(t.Attributes)) {
		terms = append(terms, fleetindex.Term{Field: attributeField + k, Text: fleetindex.Key(t.Attributes[k])})
	}
	return terms
}
