package apimodel

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

//go:embed inputs.zip
var packedInputs []byte

// inputs are the inputs of a service's operations: the number of the shape of each, -1 if it has none. A shape is
// an object, members of a structure to numbers of shapes, or an array with the shape of the elements of a list or map.
type inputs struct {
	Operations map[string]int    `json:"operations"`
	Shapes     []json.RawMessage `json:"shapes"`
}

// inputArchive has a file for each service: all of them take 70 ms to read and 5 MiB to keep.
var inputArchive = sync.OnceValue(func() *zip.Reader {
	r, err := zip.NewReader(bytes.NewReader(packedInputs), int64(len(packedInputs)))
	if err != nil {
		panic("apimodel: the embedded models are broken: " + err.Error())
	}
	return r
})

var inputsRead sync.Map // name of a service to *inputs

// inputsOf are the inputs of a service; nil if it is not known.
func inputsOf(service string) *inputs {
	if in, ok := inputsRead.Load(service); ok {
		return in.(*inputs)
	}
	for _, file := range inputArchive().File {
		if file.Name != service {
			continue
		}
		in := &inputs{}
		f, err := file.Open()
		if err == nil {
			err = errors.Join(json.NewDecoder(f).Decode(in), f.Close())
		}
		if err != nil {
			panic("apimodel: the embedded models are broken: " + err.Error())
		}
		known, _ := inputsRead.LoadOrStore(service, in)
		return known.(*inputs)
	}
	return nil
}

// Unknown is the first member of an action's parameters that the API's model does not have, "" if there is none or the
// action is not known. Where dynamic is set, `Name.$` is a member, too. Deep says that members of members are looked
// at.
func Unknown(service, action string, v any, as Spelling, dynamic, deep bool) string {
	in := inputsOf(service)
	if in == nil {
		return ""
	}
	number, ok := in.Operations[upperFirst(action)]
	if !ok {
		return ""
	}
	if number < 0 { // an operation without members
		in, number = &inputs{Shapes: []json.RawMessage{json.RawMessage(`{}`)}}, 0
	}
	return in.unknown(number, v, as, dynamic, deep)
}

func (in *inputs) unknown(number int, v any, as Spelling, dynamic, deep bool) string {
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
func (in *inputs) unknownElement(number int, v any, as Spelling, dynamic, deep bool) string {
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
