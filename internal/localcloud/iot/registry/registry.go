// Package registry has AWS IoT's rules for the thing registry: the names of things, thing
// types and thing groups, their descriptions and attributes. It keeps no state and does no
// I/O.
//
// Lengths are characters. An error names every fault, in the order of the
// attributes' names; callers answer it as InvalidRequestException.
//
// Sources: shapes ThingName, ThingTypeName, ThingGroupName, AttributeName,
// AttributeValue and ThingGroupDescription of the API model iot, botocore 1.44.8;
// the numbers of attributes from "AWS IoT Core thing management limits and
// quotas".
package registry

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits.
const (
	AttributesWithType    = 50
	AttributesWithoutType = 3
	AttributesOfGroup     = 50
	SearchableAttributes  = 3
	MaxDescription        = 2028
	maxName               = 128
	maxAttributeName      = 128
	maxAttributeValue     = 800
)

var (
	namePattern           = regexp.MustCompile(`^[a-zA-Z0-9:_-]+$`)
	attributeNamePattern  = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]+$`)
	attributeValuePattern = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#=\[\]-]*$`)
	// descriptionPattern is Java's [\p{Graph}\x20]*.
	descriptionPattern = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// CheckName checks the name of a thing, a thing type or a thing group, which
// the request has in the member.
func CheckName(member, name string) error {
	if n := len(name); n < 1 || n > maxName || !namePattern.MatchString(name) {
		return fmt.Errorf("%s %q must be 1 to %d characters of a-z, A-Z, 0-9, :, _ and -", member, name, maxName)
	}
	return nil
}

// CheckDescription checks the description of a thing type or a thing group.
func CheckDescription(member, text string) error {
	if n := utf8.RuneCountInString(text); n > MaxDescription {
		return fmt.Errorf("%s has %d characters; at most %d are allowed", member, n, MaxDescription)
	}
	if !descriptionPattern.MatchString(text) {
		return fmt.Errorf(`%s must match [\p{Graph}\x20]*`, member)
	}
	return nil
}

// CheckAttributeName checks the name of an attribute.
func CheckAttributeName(name string) error {
	if n := utf8.RuneCountInString(name); n > maxAttributeName {
		return fmt.Errorf("an attribute name has %d characters; at most %d are allowed", n, maxAttributeName)
	}
	if !attributeNamePattern.MatchString(name) {
		return fmt.Errorf("the attribute name %q must match [a-zA-Z0-9_.,@/:#-]+", name)
	}
	return nil
}

func checkAttributeValue(name, value string) error {
	if n := utf8.RuneCountInString(value); n > maxAttributeValue {
		return fmt.Errorf("the value of attribute %s has %d characters; at most %d are allowed", name, n,
			maxAttributeValue)
	}
	if !attributeValuePattern.MatchString(value) {
		return fmt.Errorf(`the value %q of attribute %s must match [a-zA-Z0-9_.,@/:#=\[\]-]*`, value, name)
	}
	return nil
}

// Changed returns the attributes have with those of a request in their place,
// or merged in; an empty value takes an attribute away.
func Changed(have, request map[string]string, merge bool) (map[string]string, error) {
	out := map[string]string{}
	if merge {
		maps.Copy(out, have)
	}
	var faults []string
	for _, k := range slices.Sorted(maps.Keys(request)) {
		v := request[k]
		for _, err := range []error{CheckAttributeName(k), checkAttributeValue(k, v)} {
			if err != nil {
				faults = append(faults, err.Error())
			}
		}
		if v == "" {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	if faults != nil {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return out, nil
}

// CheckThing checks how many attributes a thing of a type, or of none, has.
func CheckThing(thingType string, attributes map[string]string) error {
	limit, of := AttributesWithoutType, "without a thing type"
	if thingType != "" {
		limit, of = AttributesWithType, "of the thing type "+thingType
	}
	if n := len(attributes); n > limit {
		return fmt.Errorf("the thing has %d attributes; at most %d are allowed for a thing %s", n, limit, of)
	}
	return nil
}

// CheckGroup checks how many attributes a thing group has.
func CheckGroup(attributes map[string]string) error {
	if n := len(attributes); n > AttributesOfGroup {
		return fmt.Errorf("the thing group has %d attributes; at most %d are allowed", n, AttributesOfGroup)
	}
	return nil
}

// CheckSearchable checks the searchable attributes of a thing type.
func CheckSearchable(names []string) error {
	if n := len(names); n > SearchableAttributes {
		return fmt.Errorf("searchableAttributes has %d entries; at most %d are allowed", n, SearchableAttributes)
	}
	for _, name := range names {
		if err := CheckAttributeName(name); err != nil {
			return err
		}
	}
	return nil
}
