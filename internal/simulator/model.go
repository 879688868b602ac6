package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

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
	only   func(*Profile) bool // of which models it is; nil: of all
}

func (c command) of(p *Profile) bool { return c.only == nil || c.only(p) }

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

func (o *object) has(p *Profile, kind usp.PathKind, name string) bool {
	switch kind {
	case usp.ParameterPath:
		return o.param(name) != nil
	case usp.CommandPath:
		return slices.ContainsFunc(o.commands, func(c command) bool { return c.name == name && c.of(p) })
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

// requestAlias is that of a row of the Request table, which can be Set (11j).
var requestAlias = func() param {
	p := alias(requestParam("", func(a *Agent, r *request) string { return cmp.Or(r.alias, a.alias(r.instance)) }))
	p.set = func(a *Agent, in []int, value string) *usp.Error {
		for _, r := range a.requests {
			if r.instance == in[0] {
				r.alias = value
			}
		}
		return nil
	}
	return p
}()

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
				{name: "ProvisioningCode", kind: tString,
					get: func(a *Agent, _ []int) string { return a.provisioning },
					set: func(a *Agent, _ []int, value string) *usp.Error { a.provisioning = value; return nil }},
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
			params: []param{requestAlias,
				requestParam("Originator", func(a *Agent, _ *request) string { return string(a.s.Controller) }),
				requestParam("Command", func(_ *Agent, r *request) string { return r.command }),
				requestParam("CommandKey", func(_ *Agent, r *request) string { return r.key }),
				requestParam("Status", func(_ *Agent, r *request) string {
					if r.canceling {
						return "Canceling"
					}
					return "Active"
				}),
			},
			commands: []command{{name: usp.CommandCancel, only: func(p *Profile) bool { return p.Cancels }}}},
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
				return itoa(a.p.timeWindows())
			}),
			readOnly("FirmwareImageNumberOfEntries", tUnsigned, func(a *Agent, _ []int) string {
				return itoa(len(a.images))
			}),
		}},
		{path: usp.FirmwareImages + "{i}.", keys: [][]string{{"Alias"}},
			rows: func(a *Agent, _ []int) []int { return count(len(a.images)) },
			commands: []command{
				{name: "Download()", inputs: []string{"URL", "AutoActivate", "Username", "Password", "FileSize",
					"CheckSumAlgorithm", "CheckSum", "CommandKey"}, async: true},
				{name: "Activate()", inputs: []string{"TimeWindow.{i}.Start", "TimeWindow.{i}.End",
					"TimeWindow.{i}.Mode", "TimeWindow.{i}.UserMessage", "TimeWindow.{i}.MaxRetries"}, async: true},
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
