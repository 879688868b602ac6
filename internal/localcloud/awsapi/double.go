package awsapi

import (
	"encoding/json"
	"math"
	"reflect"
)

// Double is a member that clients may send as NaN or as an infinity, for which JSON has strings. A service that
// takes no such value refuses it in its own words.
//
// Source: Smithy 2.0, AWS JSON 1.0 protocol, "Shape serialization": float and double.
type Double float64

// UnmarshalJSON reads a number, "NaN", "Infinity" or "-Infinity".
func (d *Double) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*d = Double(math.NaN())
		return nil
	case `"Infinity"`:
		*d = Double(math.Inf(1))
		return nil
	case `"-Infinity"`:
		*d = Double(math.Inf(-1))
		return nil
	case "null":
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		if e, ok := err.(*json.UnmarshalTypeError); ok {
			e.Type = reflect.TypeFor[float64]()
		}
		return err
	}
	*d = Double(f)
	return nil
}
