package awsapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// A token for the place where a list goes on is sealed: it is good for the operation that returned it
// and, of a service with OneList, with the same other members, whatever the length of the page. Any
// other is given to the operation as noToken, which it refuses in its own words. Clients do change
// other members, where they are others' names for the same: the CDK's goes on with the ARN of a
// change set that it began to describe by name.

// noToken is no PageToken, and no number.
const noToken = "!"

// sealLength is the number of characters in front of a token.
const sealLength = 12

var (
	tokensIn  = []string{"nexttoken", "marker"}
	tokensOut = []string{"nexttoken", "nextmarker", "marker"}
	// PageSizes are the names of members that say how long a page may be, in lower case.
	PageSizes = []string{"maxresults", "pagesize", "maxitems", "maxrecords", "limit"}
)

// tokens are the members of an operation that lists, by their places in its input and its output.
type tokens struct {
	in, out []int
	sizes   [][]int
}

// tokensOf finds them; nil if an operation has none.
func tokensOf(in, out reflect.Type) *tokens {
	t := &tokens{in: textAt(in, tokensIn), out: textAt(out, tokensOut)}
	if t.in == nil || t.out == nil {
		return nil
	}
	for _, f := range reflect.VisibleFields(in) {
		if slices.Contains(PageSizes, nameOf(f)) {
			t.sizes = append(t.sizes, f.Index)
		}
	}
	return t
}

func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return strings.ToLower(name)
}

// textAt is the place of the first text in a struct that has one of these names.
func textAt(t reflect.Type, names []string) []int {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, name := range names {
		for _, f := range reflect.VisibleFields(t) {
			if of := f.Type; nameOf(f) == name && (of.Kind() == reflect.String ||
				of.Kind() == reflect.Pointer && of.Elem().Kind() == reflect.String) {
				return f.Index
			}
		}
	}
	return nil
}

// seal is what stands before a token of a call.
func (t *tokens) seal(s *Service, operation string, in reflect.Value, token string) string {
	var others []byte
	if s.OneList {
		asked := reflect.New(in.Type()).Elem()
		asked.Set(in)
		for _, at := range append(t.sizes, t.in) {
			asked.FieldByIndex(at).SetZero()
		}
		var err error
		if others, err = json.Marshal(asked.Interface()); err != nil {
			others = nil // of members that no JSON has, it holds all alike
		}
	}
	sum := sha256.Sum256([]byte(s.ID + ":" + operation + "\x00" + string(others) + "\x00" + token))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:sealLength]
}

// open is the input with the operation's own token.
func (t *tokens) open(s *Service, operation string, in any) any {
	v := reflect.ValueOf(in).Elem()
	given := text(v.FieldByIndex(t.in)).String()
	if given == "" {
		return in
	}
	own := noToken
	if len(given) > sealLength && t.seal(s, operation, v, given[sealLength:]) == given[:sealLength] {
		own = given[sealLength:]
	}
	opened := reflect.New(v.Type())
	opened.Elem().Set(v)
	if to := opened.Elem().FieldByIndex(t.in); to.Kind() == reflect.Pointer {
		to.Set(reflect.ValueOf(&own))
	} else {
		to.SetString(own)
	}
	return opened.Interface()
}

// text is a text, also behind a pointer; "" for one that there is not.
func text(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		return reflect.ValueOf("")
	}
	return v.Elem()
}

// close seals the token of an output.
func (t *tokens) close(s *Service, operation string, in, out any) {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if next := text(v.Elem().FieldByIndex(t.out)); next.String() != "" {
		next.SetString(t.seal(s, operation, reflect.ValueOf(in).Elem(), next.String()) + next.String())
	}
}
