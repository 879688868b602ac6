package simulator

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// value is a parameter for search expressions.
func (a *Agent) value(object, name string) (string, bool) {
	path, err := parse(object + name)
	if err != nil {
		return "", false
	}
	full := path.Schema()
	o := schemaOf(full[:len(full)-len(path.Name)])
	if o == nil || o.param(path.Name) == nil {
		return "", false
	}
	var instances []int
	for _, seg := range path.Segments {
		if seg.Instance > 0 {
			instances = append(instances, seg.Instance)
		}
	}
	return o.param(path.Name).get(a, instances), true
}

// parse is usp.ParsePath; controllers ask for the same few paths again and again.
func parse(text string) (usp.Path, error) {
	if p, ok := parsed.Load(text); ok {
		return p.(usp.Path), nil
	}
	p, err := usp.ParsePath(text)
	if err == nil && len(text) < 256 && parsedCount.Add(1) < 1024 {
		parsed.Store(text, p)
	}
	return p, err
}

var parsed sync.Map // string to usp.Path, which nobody changes
var parsedCount atomic.Int32

// resolve finds the objects that a path names. A path that is not in the model
// is 7026; an instance that is not there, 7016.
func (a *Agent) resolve(text string, kind usp.PathKind) ([]target, *usp.Error) {
	path, err := parse(text)
	if err != nil {
		return nil, usp.InvalidPathSyntax.Errorf("%s", err)
	}
	full := path.Schema()
	o := schemaOf(full[:len(full)-len(path.Name)])
	if o == nil || path.Kind != kind || !o.has(a.p, kind, path.Name) {
		return nil, usp.UnsupportedPath.Errorf("%s is not in the data model", text)
	}
	found := a.expand(o, path.Segments, []target{{only: path.Name}}, 0)
	if len(found) == 0 && path.Concrete() {
		return nil, usp.ObjectDoesNotExist.Errorf("%s is in the data model, this instance is not there", text)
	}
	return found, nil
}

// expand leads each target on from its level into o, or towards it: a level for
// each further segment. Where a segment is not one name or one row, it chooses
// among the rows there are.
func (a *Agent) expand(o *object, segments []usp.Segment, found []target, level int) []target {
	for ; level < len(segments); level++ {
		seg, table := segments[level], o.tables[level]
		if table == nil { // a name, and more names after it
			first := level
			for level+1 < len(segments) && o.tables[level+1] == nil {
				level++
			}
			names := o.path[o.starts[first]:o.starts[level+1]]
			for i := range found {
				found[i].path += names
			}
			continue
		}
		var next []target
		for _, t := range found {
			for _, row := range table.rows(a, t.instances) {
				if seg.Instance != 0 && seg.Instance != row {
					continue
				}
				path := t.path + itoa(row) + "."
				if seg.Search != nil && !usp.SearchHolds(seg.Search, func(p string) (string, bool) {
					return a.value(path, p)
				}) {
					continue
				}
				next = append(next, target{path: path, only: t.only,
					instances: append(t.instances[:len(t.instances):len(t.instances)], row)})
			}
		}
		found = next
	}
	if len(segments) == len(o.segments) {
		for i := range found {
			found[i].object = o
		}
	}
	return found
}

// get resolves a path of a Get: a parameter, or an object with what is in it,
// parents before children. depth limits how many levels of names below an object
// path are shown; 0 is all of them.
func (a *Agent) get(text string, depth uint32) ([]target, *usp.Error) {
	path, err := parse(text)
	if err != nil {
		return nil, usp.InvalidPathSyntax.Errorf("%s", err)
	}
	full := path.Schema()
	above := full[:len(full)-len(path.Name)]
	noInstance := func() ([]target, *usp.Error) {
		return nil, usp.UnsupportedPath.Errorf("%s: no such instance", text)
	}
	switch path.Kind {
	case usp.ParameterPath:
		o := schemaOf(above)
		if o == nil || o.param(path.Name) == nil {
			return nil, usp.UnsupportedPath.Errorf("%s is not in the data model", text)
		}
		found := a.expand(o, path.Segments, []target{{only: path.Name}}, 0)
		if len(found) == 0 && path.Concrete() {
			return noInstance()
		}
		return found, nil
	case usp.ObjectPath:
		if exists(above) {
			break
		}
		fallthrough
	default:
		return nil, usp.UnsupportedPath.Errorf("%s is not in the data model", text)
	}
	roots := a.roots(path, above)
	if len(roots) == 0 && path.Concrete() {
		return noInstance()
	}
	var all []target
	for _, root := range roots {
		for _, o := range model {
			rest, ok := strings.CutPrefix(o.path, above)
			if !ok {
				continue
			}
			// A table stands for its rows: instances are no level.
			if levels := strings.Count(rest, ".") - strings.Count(rest, "{i}.") + 1; depth > 0 && levels > int(depth) {
				continue
			}
			all = append(all, a.expand(o, o.segments, []target{root}, len(path.Segments))...)
		}
	}
	return all, nil
}

// roots are the instances of an object path that is known, but may be only the
// way to an object of the model.
func (a *Agent) roots(path usp.Path, above string) []target {
	for _, o := range model {
		if strings.HasPrefix(o.path, above) {
			return a.expand(o, path.Segments, []target{{}}, 0)
		}
	}
	return nil
}

func (a *Agent) handleGet(get *uspmsg.Get) *uspmsg.GetResp {
	resp := &uspmsg.GetResp{}
	if slices.ContainsFunc(a.requests, func(r *request) bool { return r.foreign }) &&
		slices.Contains(get.GetParamPaths(), usp.Requests) && a.firesOnce(BusyWithAnother) {
		a.after(a.s.Timing.Busy, func() {
			a.requests = slices.DeleteFunc(a.requests, func(r *request) bool { return r.foreign })
			a.updatePhase()
		})
	}
	for _, path := range get.GetParamPaths() {
		result := &uspmsg.GetResp_RequestedPathResult{RequestedPath: path}
		resp.ReqPathResults = append(resp.ReqPathResults, result)
		found, e := a.get(path, get.GetMaxDepth())
		if e != nil { // of this path alone
			result.ErrCode, result.ErrMsg = uint32(e.Code), e.Message
			continue
		}
		for _, t := range found {
			if len(t.object.params) == 0 {
				continue
			}
			values := map[string]string{}
			for _, p := range t.object.params {
				if t.only == "" || t.only == p.name {
					values[p.name] = p.get(a, t.instances)
				}
			}
			result.ResolvedPathResults = append(result.ResolvedPathResults, &uspmsg.GetResp_ResolvedPathResult{
				ResolvedPath: t.path, ResultParams: values,
			})
		}
	}
	return resp
}

func (a *Agent) handleGetInstances(get *uspmsg.GetInstances) *uspmsg.GetInstancesResp {
	resp := &uspmsg.GetInstancesResp{}
	for _, text := range get.GetObjPaths() {
		result := &uspmsg.GetInstancesResp_RequestedPathResult{RequestedPath: text}
		resp.ReqPathResults = append(resp.ReqPathResults, result)
		fail := func(e *usp.Error) { result.ErrCode, result.ErrMsg = uint32(e.Code), e.Message }
		path, err := parse(text)
		if err != nil {
			fail(usp.InvalidPathSyntax.Errorf("%s", err))
			continue
		}
		above := path.Schema()
		if path.Kind != usp.ObjectPath || !exists(above) {
			fail(usp.UnsupportedPath.Errorf("%s is not in the data model", text))
			continue
		}
		table := schemaOf(above + "{i}.")
		if get.GetFirstLevelOnly() && table == nil {
			fail(usp.NotATable.Errorf("%s is not a table", text))
			continue
		}
		for _, root := range a.roots(path, above) {
			for _, o := range model {
				rest, ok := strings.CutPrefix(o.path, above)
				if !ok || o.rows == nil || rest == "" || get.GetFirstLevelOnly() && o != table {
					continue
				}
				for _, t := range a.expand(o, o.segments, []target{root}, len(path.Segments)) {
					keys := map[string]string{}
					for _, set := range o.keys {
						for _, name := range set {
							if p := o.param(name); p != nil {
								keys[name] = p.get(a, t.instances)
							}
						}
					}
					result.CurrInsts = append(result.CurrInsts, &uspmsg.GetInstancesResp_CurrInstance{
						InstantiatedObjPath: t.path, UniqueKeys: keys,
					})
				}
			}
		}
	}
	return resp
}

func (a *Agent) handleGetSupportedDM(get *uspmsg.GetSupportedDM) *uspmsg.GetSupportedDMResp {
	resp := &uspmsg.GetSupportedDMResp{}
	for _, text := range get.GetObjPaths() {
		result := &uspmsg.GetSupportedDMResp_RequestedObjectResult{ReqObjPath: text, DataModelInstUri: dataModelURI}
		resp.ReqObjResults = append(resp.ReqObjResults, result)
		path, err := usp.ParsePath(strings.ReplaceAll(text, "{i}", "*"))
		if err != nil || path.Kind != usp.ObjectPath || !exists(path.Schema()) {
			result.ErrCode, result.ErrMsg = uint32(usp.UnsupportedPath), text+" is not in the data model"
			continue
		}
		for _, o := range model {
			rest, ok := strings.CutPrefix(o.path, path.Schema())
			if !ok || get.GetFirstLevelOnly() && strings.Count(strings.ReplaceAll(rest, "{i}.", ""), ".") > 1 {
				continue
			}
			result.SupportedObjs = append(result.SupportedObjs, o.describe(a.p, get))
		}
	}
	return resp
}

func (o *object) describe(p *Profile, get *uspmsg.GetSupportedDM) *uspmsg.GetSupportedDMResp_SupportedObjectResult {
	out := &uspmsg.GetSupportedDMResp_SupportedObjectResult{SupportedObjPath: o.path, Access: o.access,
		IsMultiInstance: o.rows != nil}
	if get.GetReturnParams() {
		for _, param := range o.params {
			d := &uspmsg.GetSupportedDMResp_SupportedParamResult{ParamName: param.name, ValueType: param.kind,
				ValueChange: uspmsg.GetSupportedDMResp_VALUE_CHANGE_ALLOWED}
			if param.set != nil {
				d.Access = uspmsg.GetSupportedDMResp_PARAM_READ_WRITE
			}
			out.SupportedParams = append(out.SupportedParams, d)
		}
	}
	if get.GetReturnCommands() {
		for _, c := range o.commands {
			if !c.of(p) {
				continue
			}
			kind := uspmsg.GetSupportedDMResp_CMD_SYNC
			if c.async {
				kind = uspmsg.GetSupportedDMResp_CMD_ASYNC
			}
			out.SupportedCommands = append(out.SupportedCommands, &uspmsg.GetSupportedDMResp_SupportedCommandResult{
				CommandName: c.name, InputArgNames: c.inputs, CommandType: kind,
			})
		}
	}
	if get.GetReturnEvents() {
		for _, e := range o.events {
			out.SupportedEvents = append(out.SupportedEvents, &uspmsg.GetSupportedDMResp_SupportedEventResult{
				EventName: e.name, ArgNames: e.args,
			})
		}
	}
	if get.GetReturnUniqueKeySets() {
		for _, set := range o.keys {
			out.UniqueKeySets = append(out.UniqueKeySets, &uspmsg.GetSupportedDMResp_SupportedUniqueKeySet{
				KeyNames: set,
			})
		}
	}
	return out
}
