package apimodel

import (
	_ "embed"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

//go:embed required.json.gz
var packedRequired []byte

var required = sync.OnceValue(func() map[string]map[string][]string {
	out := map[string]map[string][]string{}
	unpack(packedRequired, &out)
	return out
})

// Required are the members that the input of an action must have, as Step
// Functions spells them and in the order of the API's model; nil if there are
// none, or the action is not known. Those that an SDK fills in are left out.
func Required(service, action string) []string {
	var out []string
	for _, name := range required()[service][upperFirst(action)] {
		out = append(out, java.Member(name))
	}
	return out
}
