package apimodel

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

//go:embed inputs.json.gz
var packedInputs []byte

// inputs are the inputs of a service's operations: the number of the shape of each, -1 if it has none. A shape is
// an object, members of a structure to numbers of shapes, or an array with the shape of the elements of a list or map.
type inputs struct {
	Operations map[string]int    `json:"operations"`
	Shapes     []json.RawMessage `json:"shapes"`
}

var serviceInputs = sync.OnceValue(func() map[string]inputs {
	out := map[string]inputs{}
	unpack(packedInputs, &out)
	return out
})

// Unknown is the first member of an action's parameters that the API's model does not have, "" if there is none or the
// action is not known. Where dynamic is set, `Name.$` is a member, too. Deep says that members of members are looked
// at.
func Unknown(service, action string, v any, as Spelling, dynamic, deep bool) string {
	in, ok := serviceInputs()[service]
	if !ok {
		return ""
	}
	number, ok := in.Operations[upperFirst(action)]
	if !ok {
		return ""
	}
	if number < 0 { // an operation without members
		in.Shapes, number = []json.RawMessage{json.RawMessage(`{}`)}, 0
	}
	return in.unknown(number, v, as, dynamic, deep)
}

func (in inputs) unknown(number int, v any, as Spelling, dynamic, deep bool) string {
	if number < 0 {
		return ""
	}
	var elements []int
	if json.Unmarshal(in.Shapes[number], &elements) == nil {
		return in.unknownElement(elements[0], v, as, dynamic, deep)
	}
	var members map[string]int
	o, ok := v.(*document.Object)
	if !ok || json.Unmarshal(in.Shapes[number], &members) != nil {
		return ""
	}
	if _, attribute := members["BOOL"]; attribute {
		return "" // DynamoDB's attribute values, whose types are taken in both spellings
	}
	known := make(map[string]int, len(members))
	for name, shape := range members {
		known[as(name)] = shape
	}
	for _, m := range o.Members() {
		name := m.Name
		if base, path := strings.CutSuffix(name, ".$"); path && dynamic {
			name = base
		}
		shape, ok := known[name]
		if !ok {
			return m.Name
		}
		if !deep {
			continue
		}
		if problem := in.unknown(shape, m.Value, as, dynamic, deep); problem != "" {
			return problem
		}
	}
	return ""
}

// unknownElement looks at the elements of a list or map.
func (in inputs) unknownElement(number int, v any, as Spelling, dynamic, deep bool) string {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if problem := in.unknown(number, e, as, dynamic, deep); problem != "" {
				return problem
			}
		}
	case *document.Object:
		for _, m := range v.Members() {
			if problem := in.unknown(number, m.Value, as, dynamic, deep); problem != "" {
				return problem
			}
		}
	}
	return ""
}
