package simulator

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// The data model: every object, parameter, command and event that an agent has.
// It is one table for all agents, read only.

const (
	dataModelURI = "urn:broadband-forum-org:tr-181-2-12-0"
	recipient    = "Device.LocalAgent.Controller.1" // of every Subscription
	mqttClient   = "Device.MQTT.Client.1"
)

type object struct {
	path string // "{i}" for instances

	// Made from the path: its segments with "*" for instances, the table at each
	// level that is an instance, and where each level starts in path.
	segments []usp.Segment
	tables   []*object
	starts   []int

	access   uspmsg.GetSupportedDMResp_ObjAccessType
	rows     func(a *Agent, parents []int) []int // of a table; nil if not one
	keys     [][]string
	params   []param
	commands []command
	events   []event
}

type param struct {
	name string
	kind uspmsg.GetSupportedDMResp_ParamValueType
	get  func(a *Agent, instances []int) string
	set  func(a *Agent, instances []int, value string) *usp.Error // nil: read only
}

type command struct {
	name   string
	inputs []string
	async  bool
}

type event struct {
	name string
	args []string
}

// target is one object, and what is meant in it.
type target struct {
	object    *object
	path      string // concrete, with the last dot
	instances []int
	only      string // name of a parameter or command; empty: the object
}

func (o *object) param(name string) *param {
	for i := range o.params {
		if o.params[i].name == name {
			return &o.params[i]
		}
	}
	return nil
}

func (o *object) has(kind usp.PathKind, name string) bool {
	switch kind {
	case usp.ParameterPath:
		return o.param(name) != nil
	case usp.CommandPath:
		return slices.ContainsFunc(o.commands, func(c command) bool { return c.name == name })
	case usp.EventPath:
		return slices.ContainsFunc(o.events, func(e event) bool { return e.name == name })
	}
	return true
}

const (
	tString   = uspmsg.GetSupportedDMResp_PARAM_STRING
	tBoolean  = uspmsg.GetSupportedDMResp_PARAM_BOOLEAN
	tUnsigned = uspmsg.GetSupportedDMResp_PARAM_UNSIGNED_INT
	tDateTime = uspmsg.GetSupportedDMResp_PARAM_DATE_TIME
)

// mostKeepAlive is the longest KeepAliveTime, in seconds. An agent that is set a longer one
// keeps this, and does not say so: what was written is to be read again.
const (
	mostKeepAlive    = 1200
	factoryKeepAlive = 60
)

func oneRow(*Agent, []int) []int { return []int{1} }

func text(s string) func(*Agent, []int) string { return func(*Agent, []int) string { return s } }

func readOnly(name string, kind uspmsg.GetSupportedDMResp_ParamValueType, get func(*Agent, []int) string) param {
	return param{name: name, kind: kind, get: get}
}

func alias(p param) param { p.name, p.kind = "Alias", tString; return p }

var rowAlias = alias(param{get: func(a *Agent, in []int) string { return a.alias(in[len(in)-1]) }})

func rowOf(a *Agent, instance int) *subscription {
	for _, s := range a.subscriptions {
		if s.instance == instance {
			return s
		}
	}
	return &subscription{}
}

func subParam(name string, kind uspmsg.GetSupportedDMResp_ParamValueType, writable bool,
	get func(*subscription) string) param {
	p := param{name: name, kind: kind, get: func(a *Agent, in []int) string { return get(rowOf(a, in[0])) }}
	if writable {
		p.set = func(a *Agent, in []int, value string) *usp.Error {
			row := rowOf(a, in[0])
			before := *row
			if (name == "ReferenceList" || name == "ID") && get(row) != "" && get(row) != a.alias(row.instance) {
				// 11g
				return usp.InvalidArguments.Errorf("%s must not be changed once assigned (it is %q)", name, get(row))
			}
			if e := row.set(a, name, value); e != nil {
				return e
			}
			if name == "NotifType" || name == "ReferenceList" {
				if e := row.check(); e != nil {
					*row = before
					return e.Error
				}
				row.seen = nil
			}
			return nil
		}
	}
	return p
}

func boolean(b bool) string    { return strconv.FormatBool(b) }
func itoa(n int) string        { return strconv.Itoa(n) }
func unsigned(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func imageParam(name string, kind uspmsg.GetSupportedDMResp_ParamValueType, get func(*Agent, int) string) param {
	return readOnly(name, kind, func(a *Agent, in []int) string { return get(a, in[0]) })
}

func imagePath(instance int) string { return strings.TrimSuffix(usp.FirmwareImage(instance), ".") }

func upTime(a *Agent, _ []int) string {
	return strconv.FormatInt(int64(a.s.Clock.Now().Sub(a.booted).Seconds()), 10)
}

func requestParam(name string, get func(*Agent, *request) string) param {
	return readOnly(name, tString, func(a *Agent, in []int) string {
		for _, r := range a.requests {
			if r.instance == in[0] {
				return get(a, r)
			}
		}
		return ""
	})
}

var model = func() []*object {
	available := imageParam("Available", tBoolean, func(a *Agent, i int) string {
		return boolean(a.images[i-1].available)
	})
	available.set = func(a *Agent, in []int, value string) *usp.Error {
		v, err := usp.ParseBool(value)
		if err != nil {
			return usp.InvalidType.Errorf("%s", err)
		}
		if v && a.images[in[0]-1].header.Version == "" {
			return usp.InvalidValue.Errorf("there is no image %d", in[0])
		}
		a.images[in[0]-1].available = v
		return nil
	}
	bootImage := readOnly("BootFirmwareImage", tString, func(a *Agent, _ []int) string { return imagePath(a.boot) })
	bootImage.set = func(a *Agent, _ []int, value string) *usp.Error {
		for i := range a.images {
			if strings.TrimSuffix(value, ".") == imagePath(i+1) {
				if !a.images[i].available {
					return usp.InvalidValue.Errorf("image %d is not available", i+1)
				}
				a.boot = i + 1
				return nil
			}
		}
		return usp.InvalidValue.Errorf("%q is not a firmware image", value)
	}
	keepAlive := readOnly("KeepAliveTime", tUnsigned, func(a *Agent, _ []int) string { return unsigned(a.keepAlive) })
	keepAlive.set = func(a *Agent, _ []int, value string) *usp.Error {
		v, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return usp.InvalidValue.Errorf("%q is not a number up to 65535", value)
		}
		a.keepAlive = min(uint32(v), mostKeepAlive)
		return nil
	}
	return []*object{
		{path: "Device.",
			commands: []command{{name: "Reboot()", inputs: []string{"Cause", "Reason"}},
				{name: "FactoryReset()", inputs: []string{"Cause", "Reason"}}},
			events: []event{{"Boot!", []string{"CommandKey", "Cause", "Reason", "FirmwareUpdated", "ParameterMap"}}}},
		{path: usp.LocalAgent,
			events: []event{{"TransferComplete!", []string{"Command", "CommandKey", "Requestor", "TransferType",
				"Affected", "TransferURL", "StartTime", "CompleteTime", "FaultCode", "FaultString"}}},
			params: []param{
				readOnly("UpTime", tUnsigned, upTime),
				readOnly("SupportedProtocols", tString, text("MQTT")),
				readOnly("SoftwareVersion", tString, text("1.0")),
				readOnly("EndpointID", tString, func(a *Agent, _ []int) string { return string(a.id.EndpointID) }),
				readOnly("ControllerNumberOfEntries", tUnsigned, text("1")),
				readOnly("MTPNumberOfEntries", tUnsigned, text("1")),
				readOnly("SubscriptionNumberOfEntries", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(len(a.subscribed()))
				}),
				readOnly("RequestNumberOfEntries", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(len(a.requests))
				}),
			}},
		{path: usp.LocalAgent + "MTP.{i}.", rows: oneRow, keys: [][]string{{"Alias"}},
			params: []param{rowAlias, readOnly("Enable", tBoolean, text("true")),
				readOnly("Protocol", tString, text("MQTT")),
				readOnly("Status", tString, text("Up"))}},
		{path: usp.LocalAgent + "MTP.{i}.MQTT.", params: []param{
			readOnly("Reference", tString, text(mqttClient)),
			readOnly("ResponseTopicConfigured", tString, func(a *Agent, _ []int) string { return a.topic }),
			readOnly("ResponseTopicDiscovered", tString, text("")),
			readOnly("PublishQoS", tUnsigned, func(a *Agent, _ []int) string { return itoa(int(a.s.PublishQoS)) }),
		}},
		{path: usp.Controllers + "{i}.", rows: oneRow, keys: [][]string{{"EndpointID"}, {"Alias"}},
			commands: []command{{name: "SendOnBoardRequest()"}},
			params: []param{rowAlias, readOnly("Enable", tBoolean, text("true")),
				readOnly("EndpointID", tString, func(a *Agent, _ []int) string { return string(a.s.Controller) }),
				readOnly("MTPNumberOfEntries", tUnsigned, text("1")),
				readOnly("USPNotifRetryMinimumWaitInterval", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(int(a.s.Timing.NotifRetry.Seconds()))
				}),
				readOnly("USPNotifRetryIntervalMultiplier", tUnsigned, text("2000")),
				readOnly("BootParameterNumberOfEntries", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(len(a.s.BootParameters))
				}),
			}},
		{path: usp.Controllers + "{i}.BootParameter.{i}.", keys: [][]string{{"ParameterName"}, {"Alias"}},
			rows: func(a *Agent, _ []int) []int { return count(len(a.s.BootParameters)) },
			params: []param{rowAlias, readOnly("Enable", tBoolean, text("true")),
				readOnly("ParameterName", tString, func(a *Agent, in []int) string {
					return a.s.BootParameters[in[1]-1]
				})}},
		{path: usp.Controllers + "{i}.MTP.{i}.", rows: oneRow, keys: [][]string{{"Alias"}},
			params: []param{rowAlias, readOnly("Enable", tBoolean, text("true")),
				readOnly("Protocol", tString, text("MQTT"))}},
		{path: usp.Controllers + "{i}.MTP.{i}.MQTT.", params: []param{
			readOnly("Reference", tString, text(mqttClient)),
			readOnly("Topic", tString, func(a *Agent, _ []int) string { return a.to }),
		}},
		{path: usp.Subscriptions + "{i}.", access: uspmsg.GetSupportedDMResp_OBJ_ADD_DELETE,
			keys: [][]string{{"Recipient", "ID"}, {"Alias"}},
			rows: func(a *Agent, _ []int) []int {
				var all []int
				for _, s := range a.subscribed() {
					all = append(all, s.instance)
				}
				return all
			},
			params: []param{
				subParam("Alias", tString, true, func(s *subscription) string { return s.alias }),
				subParam("Enable", tBoolean, true, func(s *subscription) string { return boolean(s.Enable) }),
				subParam("Recipient", tString, false, func(*subscription) string { return recipient }),
				subParam("ID", tString, true, func(s *subscription) string { return s.ID }),
				subParam("CreationDate", tDateTime, false, func(s *subscription) string {
					if s.created.IsZero() {
						return ""
					}
					return usp.FormatTime(s.dated)
				}),
				subParam("NotifType", tString, true, func(s *subscription) string { return string(s.NotifType) }),
				subParam("ReferenceList", tString, true, func(s *subscription) string { return s.ReferenceList }),
				subParam("Persistent", tBoolean, true, func(s *subscription) string { return boolean(s.Persistent) }),
				subParam("TimeToLive", tUnsigned, true, func(s *subscription) string {
					return unsigned(s.TimeToLive)
				}),
				subParam("NotifRetry", tBoolean, true, func(s *subscription) string { return boolean(s.NotifRetry) }),
				subParam("NotifExpiration", tUnsigned, true, func(s *subscription) string {
					return unsigned(s.NotifExpiration)
				}),
			}},
		{path: usp.Requests + "{i}.", keys: [][]string{{"Originator", "Command", "CommandKey"}, {"Alias"}},
			rows: func(a *Agent, _ []int) []int {
				var all []int
				for _, r := range a.requests {
					all = append(all, r.instance)
				}
				return all
			},
			params: []param{rowAlias,
				requestParam("Originator", func(a *Agent, _ *request) string { return string(a.s.Controller) }),
				requestParam("Command", func(_ *Agent, r *request) string { return r.command }),
				requestParam("CommandKey", func(_ *Agent, r *request) string { return r.key }),
				requestParam("Status", func(*Agent, *request) string { return "Active" }),
			}},
		{path: usp.DeviceInfo, params: []param{
			readOnly("SoftwareVersion", tString, func(a *Agent, _ []int) string { return a.running.Version }),
			readOnly("ProductClass", tString, func(a *Agent, _ []int) string { return a.s.ProductClass }),
			readOnly("Manufacturer", tString, func(a *Agent, _ []int) string { return a.s.Manufacturer }),
			readOnly("ModelName", tString, func(a *Agent, _ []int) string { return a.s.ModelName }),
			readOnly("HardwareVersion", tString, func(a *Agent, _ []int) string { return a.s.HardwareVersion }),
			readOnly("UpTime", tUnsigned, upTime),
			readOnly("ManufacturerOUI", tString, func(a *Agent, _ []int) string { return a.s.OUI }),
			readOnly("SerialNumber", tString, func(a *Agent, _ []int) string { return a.id.Serial }),
			readOnly("ActiveFirmwareImage", tString, func(a *Agent, _ []int) string { return imagePath(a.active) }),
			bootImage,
			readOnly("MaxNumberOfActivateTimeWindows", tUnsigned, func(a *Agent, _ []int) string {
				if a.p.NoTimeWindow {
					return "0"
				}
				return "1"
			}),
			readOnly("FirmwareImageNumberOfEntries", tUnsigned, func(a *Agent, _ []int) string {
				return itoa(len(a.images))
			}),
		}},
		{path: usp.FirmwareImages + "{i}.", keys: [][]string{{"Alias"}},
			rows: func(a *Agent, _ []int) []int { return count(len(a.images)) },
			commands: []command{
				{"Download()", []string{"URL", "AutoActivate", "Username", "Password", "FileSize", "CheckSumAlgorithm",
					"CheckSum", "CommandKey"}, true},
				{"Activate()", []string{"TimeWindow.{i}.Start", "TimeWindow.{i}.End", "TimeWindow.{i}.Mode",
					"TimeWindow.{i}.UserMessage", "TimeWindow.{i}.MaxRetries"}, true},
			},
			params: []param{rowAlias,
				imageParam("Name", tString, func(a *Agent, i int) string { return a.images[i-1].name }),
				imageParam("Version", tString, func(a *Agent, i int) string { return a.images[i-1].header.Version }),
				available,
				imageParam("Status", tString, func(a *Agent, i int) string { return a.status(i) }),
				imageParam("BootFailureLog", tString, func(a *Agent, i int) string { return a.images[i-1].bootLog }),
			}},
		{path: "Device.Time.", params: []param{readOnly("LocalTimeZone", tString, func(a *Agent, _ []int) string {
			return a.s.Zone(a.id.Thing)
		})}},
		{path: "Device.MQTT.", params: []param{readOnly("ClientNumberOfEntries", tUnsigned, text("1"))}},
		{path: "Device.MQTT.Client.{i}.", rows: oneRow, keys: [][]string{{"Alias"}},
			commands: []command{{name: "ForceReconnect()"}},
			params: []param{rowAlias, readOnly("Enable", tBoolean, text("true")),
				readOnly("ClientID", tString, func(a *Agent, _ []int) string { return a.id.Thing }),
				readOnly("ProtocolVersion", tString, func(a *Agent, _ []int) string {
					if a.p.MQTT311 {
						return "3.1.1"
					}
					return "5.0"
				}),
				readOnly("ConnectRetryTime", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(int(a.s.Timing.ConnectRetry.Seconds()))
				}),
				readOnly("ConnectRetryIntervalMultiplier", tUnsigned, text("2000")),
				readOnly("ConnectRetryMaxInterval", tUnsigned, func(a *Agent, _ []int) string {
					return itoa(int(a.s.Timing.MaxRetry.Seconds()))
				}),
				keepAlive,
				readOnly("Status", tString, text("Connected")), // who could read another?
			}},
	}
}()

func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

var schema = func() map[string]*object {
	byPath := map[string]*object{}
	for _, o := range model {
		byPath[o.path] = o
		at := 0
		for level := range strings.SplitSeq(strings.TrimSuffix(o.path, "."), ".") {
			seg, table := usp.Segment{Name: level}, (*object)(nil)
			if level == "{i}" {
				seg, table = usp.Segment{Wildcard: true}, byPath[o.path[:at]+"{i}."]
			}
			o.segments, o.tables, o.starts = append(o.segments, seg), append(o.tables, table), append(o.starts, at)
			at += len(level) + 1
		}
		o.starts = append(o.starts, at)
	}
	return byPath
}()

func schemaOf(path string) *object { return schema[path] }

// exists tells whether an object path, as Path.Schema gives it, exists, be it
// only as the way to another.
func exists(path string) bool {
	return slices.ContainsFunc(model, func(o *object) bool { return strings.HasPrefix(o.path, path) })
}

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
	if o == nil || path.Kind != kind || !o.has(kind, path.Name) {
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
	if len(a.requests) > 0 && a.requests[0].foreign && slices.Contains(get.GetParamPaths(), usp.Requests) &&
		a.firesOnce(BusyWithAnother) {
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

func handleGetSupportedDM(get *uspmsg.GetSupportedDM) *uspmsg.GetSupportedDMResp {
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
			result.SupportedObjs = append(result.SupportedObjs, o.describe(get))
		}
	}
	return resp
}

func (o *object) describe(get *uspmsg.GetSupportedDM) *uspmsg.GetSupportedDMResp_SupportedObjectResult {
	out := &uspmsg.GetSupportedDMResp_SupportedObjectResult{SupportedObjPath: o.path, Access: o.access,
		IsMultiInstance: o.rows != nil}
	if get.GetReturnParams() {
		for _, p := range o.params {
			d := &uspmsg.GetSupportedDMResp_SupportedParamResult{ParamName: p.name, ValueType: p.kind,
				ValueChange: uspmsg.GetSupportedDMResp_VALUE_CHANGE_ALLOWED}
			if p.set != nil {
				d.Access = uspmsg.GetSupportedDMResp_PARAM_READ_WRITE
			}
			out.SupportedParams = append(out.SupportedParams, d)
		}
	}
	if get.GetReturnCommands() {
		for _, c := range o.commands {
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
