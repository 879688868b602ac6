package usp

import (
	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Body is any body of a message: a request, a response, or an error.
type Body interface {
	*uspmsg.Error |
		*uspmsg.Get | *uspmsg.GetResp |
		*uspmsg.GetSupportedDM | *uspmsg.GetSupportedDMResp |
		*uspmsg.GetInstances | *uspmsg.GetInstancesResp |
		*uspmsg.Set | *uspmsg.SetResp |
		*uspmsg.Add | *uspmsg.AddResp |
		*uspmsg.Delete | *uspmsg.DeleteResp |
		*uspmsg.Operate | *uspmsg.OperateResp |
		*uspmsg.Notify | *uspmsg.NotifyResp |
		*uspmsg.GetSupportedProtocol | *uspmsg.GetSupportedProtocolResp |
		*uspmsg.Register | *uspmsg.RegisterResp |
		*uspmsg.Deregister | *uspmsg.DeregisterResp

	proto.Message
}

// New builds a message around a body. The id of a request is the sender's
// choice, unique among its outstanding ones (R-MSG.2); that of a response is
// the request's.
func New[B Body](id string, body B) *uspmsg.Msg {
	m := &uspmsg.Msg{Header: &uspmsg.Header{MsgId: id}, Body: &uspmsg.Body{}}
	request := func(t uspmsg.Header_MsgType, r *uspmsg.Request) {
		m.Header.MsgType, m.Body.MsgBody = t, &uspmsg.Body_Request{Request: r}
	}
	response := func(t uspmsg.Header_MsgType, r *uspmsg.Response) {
		m.Header.MsgType, m.Body.MsgBody = t, &uspmsg.Body_Response{Response: r}
	}
	switch b := any(body).(type) {
	case *uspmsg.Error:
		m.Header.MsgType, m.Body.MsgBody = uspmsg.Header_ERROR, &uspmsg.Body_Error{Error: b}
	case *uspmsg.Get:
		request(uspmsg.Header_GET, &uspmsg.Request{ReqType: &uspmsg.Request_Get{Get: b}})
	case *uspmsg.GetSupportedDM:
		request(uspmsg.Header_GET_SUPPORTED_DM,
			&uspmsg.Request{ReqType: &uspmsg.Request_GetSupportedDm{GetSupportedDm: b}})
	case *uspmsg.GetInstances:
		request(uspmsg.Header_GET_INSTANCES, &uspmsg.Request{ReqType: &uspmsg.Request_GetInstances{GetInstances: b}})
	case *uspmsg.Set:
		request(uspmsg.Header_SET, &uspmsg.Request{ReqType: &uspmsg.Request_Set{Set: b}})
	case *uspmsg.Add:
		request(uspmsg.Header_ADD, &uspmsg.Request{ReqType: &uspmsg.Request_Add{Add: b}})
	case *uspmsg.Delete:
		request(uspmsg.Header_DELETE, &uspmsg.Request{ReqType: &uspmsg.Request_Delete{Delete: b}})
	case *uspmsg.Operate:
		request(uspmsg.Header_OPERATE, &uspmsg.Request{ReqType: &uspmsg.Request_Operate{Operate: b}})
	case *uspmsg.Notify:
		request(uspmsg.Header_NOTIFY, &uspmsg.Request{ReqType: &uspmsg.Request_Notify{Notify: b}})
	case *uspmsg.GetSupportedProtocol:
		request(uspmsg.Header_GET_SUPPORTED_PROTO,
			&uspmsg.Request{ReqType: &uspmsg.Request_GetSupportedProtocol{GetSupportedProtocol: b}})
	case *uspmsg.Register:
		request(uspmsg.Header_REGISTER, &uspmsg.Request{ReqType: &uspmsg.Request_Register{Register: b}})
	case *uspmsg.Deregister:
		request(uspmsg.Header_DEREGISTER, &uspmsg.Request{ReqType: &uspmsg.Request_Deregister{Deregister: b}})
	case *uspmsg.GetResp:
		response(uspmsg.Header_GET_RESP, &uspmsg.Response{RespType: &uspmsg.Response_GetResp{GetResp: b}})
	case *uspmsg.GetSupportedDMResp:
		response(uspmsg.Header_GET_SUPPORTED_DM_RESP,
			&uspmsg.Response{RespType: &uspmsg.Response_GetSupportedDmResp{GetSupportedDmResp: b}})
	case *uspmsg.GetInstancesResp:
		response(uspmsg.Header_GET_INSTANCES_RESP,
			&uspmsg.Response{RespType: &uspmsg.Response_GetInstancesResp{GetInstancesResp: b}})
	case *uspmsg.SetResp:
		response(uspmsg.Header_SET_RESP, &uspmsg.Response{RespType: &uspmsg.Response_SetResp{SetResp: b}})
	case *uspmsg.AddResp:
		response(uspmsg.Header_ADD_RESP, &uspmsg.Response{RespType: &uspmsg.Response_AddResp{AddResp: b}})
	case *uspmsg.DeleteResp:
		response(uspmsg.Header_DELETE_RESP, &uspmsg.Response{RespType: &uspmsg.Response_DeleteResp{DeleteResp: b}})
	case *uspmsg.OperateResp:
		response(uspmsg.Header_OPERATE_RESP, &uspmsg.Response{RespType: &uspmsg.Response_OperateResp{OperateResp: b}})
	case *uspmsg.NotifyResp:
		response(uspmsg.Header_NOTIFY_RESP, &uspmsg.Response{RespType: &uspmsg.Response_NotifyResp{NotifyResp: b}})
	case *uspmsg.GetSupportedProtocolResp:
		response(uspmsg.Header_GET_SUPPORTED_PROTO_RESP,
			&uspmsg.Response{RespType: &uspmsg.Response_GetSupportedProtocolResp{GetSupportedProtocolResp: b}})
	case *uspmsg.RegisterResp:
		response(uspmsg.Header_REGISTER_RESP,
			&uspmsg.Response{RespType: &uspmsg.Response_RegisterResp{RegisterResp: b}})
	case *uspmsg.DeregisterResp:
		response(uspmsg.Header_DEREGISTER_RESP,
			&uspmsg.Response{RespType: &uspmsg.Response_DeregisterResp{DeregisterResp: b}})
	}
	return m
}

// Open takes the body out of a message after checking that there is one, that
// the message has a header, and that both say the same; else the error is 7001,
// as agents answer it. The body is one of the types of Body.
func Open(m *uspmsg.Msg) (proto.Message, error) {
	if m.GetHeader() == nil {
		return nil, MessageNotSupported.Errorf("the message has no header")
	}
	var body proto.Message
	var t uspmsg.Header_MsgType
	switch {
	case m.GetBody().GetError() != nil:
		body, t = m.GetBody().GetError(), uspmsg.Header_ERROR
	case m.GetBody().GetRequest() != nil:
		switch r := m.GetBody().GetRequest().GetReqType().(type) {
		case *uspmsg.Request_Get:
			body, t = r.Get, uspmsg.Header_GET
		case *uspmsg.Request_GetSupportedDm:
			body, t = r.GetSupportedDm, uspmsg.Header_GET_SUPPORTED_DM
		case *uspmsg.Request_GetInstances:
			body, t = r.GetInstances, uspmsg.Header_GET_INSTANCES
		case *uspmsg.Request_Set:
			body, t = r.Set, uspmsg.Header_SET
		case *uspmsg.Request_Add:
			body, t = r.Add, uspmsg.Header_ADD
		case *uspmsg.Request_Delete:
			body, t = r.Delete, uspmsg.Header_DELETE
		case *uspmsg.Request_Operate:
			body, t = r.Operate, uspmsg.Header_OPERATE
		case *uspmsg.Request_Notify:
			body, t = r.Notify, uspmsg.Header_NOTIFY
		case *uspmsg.Request_GetSupportedProtocol:
			body, t = r.GetSupportedProtocol, uspmsg.Header_GET_SUPPORTED_PROTO
		case *uspmsg.Request_Register:
			body, t = r.Register, uspmsg.Header_REGISTER
		case *uspmsg.Request_Deregister:
			body, t = r.Deregister, uspmsg.Header_DEREGISTER
		}
	case m.GetBody().GetResponse() != nil:
		switch r := m.GetBody().GetResponse().GetRespType().(type) {
		case *uspmsg.Response_GetResp:
			body, t = r.GetResp, uspmsg.Header_GET_RESP
		case *uspmsg.Response_GetSupportedDmResp:
			body, t = r.GetSupportedDmResp, uspmsg.Header_GET_SUPPORTED_DM_RESP
		case *uspmsg.Response_GetInstancesResp:
			body, t = r.GetInstancesResp, uspmsg.Header_GET_INSTANCES_RESP
		case *uspmsg.Response_SetResp:
			body, t = r.SetResp, uspmsg.Header_SET_RESP
		case *uspmsg.Response_AddResp:
			body, t = r.AddResp, uspmsg.Header_ADD_RESP
		case *uspmsg.Response_DeleteResp:
			body, t = r.DeleteResp, uspmsg.Header_DELETE_RESP
		case *uspmsg.Response_OperateResp:
			body, t = r.OperateResp, uspmsg.Header_OPERATE_RESP
		case *uspmsg.Response_NotifyResp:
			body, t = r.NotifyResp, uspmsg.Header_NOTIFY_RESP
		case *uspmsg.Response_GetSupportedProtocolResp:
			body, t = r.GetSupportedProtocolResp, uspmsg.Header_GET_SUPPORTED_PROTO_RESP
		case *uspmsg.Response_RegisterResp:
			body, t = r.RegisterResp, uspmsg.Header_REGISTER_RESP
		case *uspmsg.Response_DeregisterResp:
			body, t = r.DeregisterResp, uspmsg.Header_DEREGISTER_RESP
		}
	}
	if body == nil {
		return nil, MessageNotSupported.Errorf("the message has no known body")
	}
	if t != m.GetHeader().GetMsgType() {
		return nil, MessageNotSupported.Errorf("the header says %s, the body is %s", m.GetHeader().GetMsgType(), t)
	}
	return body, nil
}

// As is the body of a message if it is a well-formed one of this type.
func As[B Body](m *uspmsg.Msg) (B, bool) {
	var none B
	body, err := Open(m)
	if err != nil {
		return none, false
	}
	b, ok := body.(B)
	return b, ok
}

// Type is the message's type by its name in the schema, "OPERATE_RESP".
func Type(m *uspmsg.Msg) string { return m.GetHeader().GetMsgType().String() }

// ID is the message's id.
func ID(m *uspmsg.Msg) string { return m.GetHeader().GetMsgId() }

// EncodeMessage writes a message; equal messages give equal bytes.
func EncodeMessage(m *uspmsg.Msg) ([]byte, error) { return marshal.Marshal(m) }

// DecodeMessage reads a message; whether it makes sense is for Open to say.
func DecodeMessage(payload []byte) (*uspmsg.Msg, error) {
	m := &uspmsg.Msg{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, err
	}
	return m, nil
}

// ReadError is the error in an Error message, nil in any other.
func ReadError(m *uspmsg.Msg) *Error {
	if e, ok := As[*uspmsg.Error](m); ok {
		return readError(e)
	}
	return nil
}

// NewError answers a request by an Error message: none of it was done.
func NewError(id string, e *Error) *uspmsg.Msg {
	body := &uspmsg.Error{ErrCode: uint32(e.Code), ErrMsg: e.Message}
	for _, p := range e.Params {
		body.ParamErrs = append(body.ParamErrs, &uspmsg.Error_ParamError{ParamPath: p.Path, ErrCode: uint32(p.Code),
			ErrMsg: p.Message})
	}
	return New(id, body)
}

// Setting is one parameter of an Add or a Set.
type Setting struct {
	Param, Value string
	Required     bool // if it cannot be set, the object is not
}

// Object is a row to add (Path is the table) or an object to change (Path may
// hold "*" or a search).
type Object struct {
	Path     string
	Settings []Setting
}

// NewAdd creates objects; without allowPartial all or, by an Error, none.
func NewAdd(id string, allowPartial bool, objects ...Object) *uspmsg.Msg {
	body := &uspmsg.Add{AllowPartial: allowPartial}
	for _, o := range objects {
		c := &uspmsg.Add_CreateObject{ObjPath: o.Path}
		for _, s := range o.Settings {
			c.ParamSettings = append(c.ParamSettings, &uspmsg.Add_CreateParamSetting{Param: s.Param, Value: s.Value,
				Required: s.Required})
		}
		body.CreateObjs = append(body.CreateObjs, c)
	}
	return New(id, body)
}

// NewSet changes parameters; without allowPartial all or, by an Error, none.
func NewSet(id string, allowPartial bool, objects ...Object) *uspmsg.Msg {
	body := &uspmsg.Set{AllowPartial: allowPartial}
	for _, o := range objects {
		u := &uspmsg.Set_UpdateObject{ObjPath: o.Path}
		for _, s := range o.Settings {
			u.ParamSettings = append(u.ParamSettings, &uspmsg.Set_UpdateParamSetting{Param: s.Param, Value: s.Value,
				Required: s.Required})
		}
		body.UpdateObjs = append(body.UpdateObjs, u)
	}
	return New(id, body)
}

// NewDelete deletes objects; what is not there counts as deleted.
func NewDelete(id string, allowPartial bool, paths ...string) *uspmsg.Msg {
	return New(id, &uspmsg.Delete{AllowPartial: allowPartial, ObjPaths: paths})
}

// NewGetSupportedProtocol asks for the agent's protocol versions.
func NewGetSupportedProtocol(id string) *uspmsg.Msg {
	return New(id, &uspmsg.GetSupportedProtocol{ControllerSupportedProtocolVersions: SupportedVersions})
}

// NewGetSupportedCommands asks which commands the objects below these paths have.
func NewGetSupportedCommands(id string, paths ...string) *uspmsg.Msg {
	return New(id, &uspmsg.GetSupportedDM{ObjPaths: paths, ReturnCommands: true})
}

// ReadSupportedCommands are the paths of the commands, with {i} for instances; ok is false
// where the answer is another, or does not tell of a path.
func ReadSupportedCommands(m *uspmsg.Msg) (commands []string, ok bool) {
	body, ok := As[*uspmsg.GetSupportedDMResp](m)
	if !ok {
		return nil, false
	}
	for _, requested := range body.GetReqObjResults() {
		ok = ok && requested.GetErrCode() == 0
		for _, o := range requested.GetSupportedObjs() {
			for _, c := range o.GetSupportedCommands() {
				commands = append(commands, o.GetSupportedObjPath()+c.GetCommandName())
			}
		}
	}
	return commands, ok
}

// NewGetInstances asks which rows there are.
func NewGetInstances(id string, firstLevelOnly bool, paths ...string) *uspmsg.Msg {
	return New(id, &uspmsg.GetInstances{ObjPaths: paths, FirstLevelOnly: firstLevelOnly})
}

// ReadAddResp is the path of each created object, in the order of the request,
// "" where that one failed, and the errors by requested path.
func ReadAddResp(m *uspmsg.Msg) (created []string, failed map[string]*Error, ok bool) {
	body, ok := As[*uspmsg.AddResp](m)
	if !ok {
		return nil, nil, false
	}
	failed = map[string]*Error{}
	for _, r := range body.GetCreatedObjResults() {
		created = append(created, r.GetOperStatus().GetOperSuccess().GetInstantiatedPath())
		if f := r.GetOperStatus().GetOperFailure(); f != nil {
			failed[r.GetRequestedPath()] = errorOf(f.GetErrCode(), f.GetErrMsg())
		}
	}
	return created, failed, true
}
