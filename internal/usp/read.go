package usp

import (
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// NewGet asks for parameters and objects. maxDepth limits the levels of objects
// below an object path, 1 is the object alone; 0 is everything. Answers come in
// one message of any size, so ask for what is needed.
func NewGet(id string, maxDepth uint32, paths ...string) *uspmsg.Msg {
	return New(id, &uspmsg.Get{ParamPaths: paths, MaxDepth: maxDepth})
}

// Values is what a GetResp told: parameters by full path,
// "Device.DeviceInfo.SoftwareVersion".
type Values struct {
	Params map[string]string
	// Objects that were found, even those without parameters, in the order of
	// the answer.
	Objects []string
	// Failed holds an error for each requested path that had one (R-GET.1:
	// the others are not affected). A search without a match is no error.
	Failed map[string]*Error
}

// Get is one parameter, "" if the answer does not have it.
func (v Values) Get(path string) string { return v.Params[path] }

// Rows are the objects directly below a table, "Device.LocalAgent.Request.",
// in order of their instance numbers, each with its parameters by relative name.
func (v Values) Rows(table string) []Row {
	found := map[int]map[string]string{}
	for path, value := range v.Params {
		rest, ok := strings.CutPrefix(path, table)
		if !ok {
			continue
		}
		instance, name, ok := strings.Cut(rest, ".")
		n, isNumber := instanceNumber(instance)
		if !ok || !isNumber {
			continue
		}
		if found[n] == nil {
			found[n] = map[string]string{}
		}
		found[n][name] = value
	}
	for _, path := range v.Objects {
		if rest, ok := strings.CutPrefix(path, table); ok {
			instance, name, _ := strings.Cut(rest, ".")
			if n, isNumber := instanceNumber(instance); isNumber && name == "" && found[n] == nil {
				found[n] = map[string]string{}
			}
		}
	}
	rows := make([]Row, 0, len(found))
	for _, n := range slices.Sorted(maps.Keys(found)) {
		rows = append(rows, Row{Instance: n, Path: table + itoa(n) + ".", Params: found[n]})
	}
	return rows
}

// Row is one instance of a table.
type Row struct {
	Instance int
	Path     string // with the trailing dot
	Params   map[string]string
}

// ReadGetResp reads the answer to a Get.
func ReadGetResp(m *uspmsg.Msg) (Values, bool) {
	body, ok := As[*uspmsg.GetResp](m)
	if !ok {
		return Values{}, false
	}
	v := Values{Params: map[string]string{}, Failed: map[string]*Error{}}
	for _, requested := range body.GetReqPathResults() {
		if e := errorOf(requested.GetErrCode(), requested.GetErrMsg()); e != nil {
			v.Failed[requested.GetRequestedPath()] = e
		}
		for _, resolved := range requested.GetResolvedPathResults() {
			v.Objects = append(v.Objects, resolved.GetResolvedPath())
			for name, value := range resolved.GetResultParams() {
				v.Params[resolved.GetResolvedPath()+name] = value
			}
		}
	}
	return v, true
}
