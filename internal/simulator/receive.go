package simulator

import (
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// receive takes one MQTT message. What is not for this agent, not from its
// controller, or makes no sense, is dropped in silence: neither the version nor
// the content type is looked at.
func (a *Agent) receive(p Publish) {
	r, err := usp.DecodeRecord(p.Payload)
	if err != nil || r.To != a.id.EndpointID || r.From != a.s.Controller { // R-E2E.1
		a.setFacts(func(f *Facts) { f.Refused++ })
		return
	}
	reply := a.to
	if p.ResponseTopic != "" { // R-MQTT.23: wherever that points
		reply = p.ResponseTopic
	}
	if _, topic, ok := usp.SplitReplyTo(p.Topic); ok && a.p.MQTT311 { // R-MQTT.26
		reply = topic
	}
	switch {
	case r.SessionContext != nil: // R-E2E.6a
		a.refuseRecord(reply, r.From, usp.SessionNotAllowed, "session contexts are not supported")
	case r.Security != usprecord.Record_PLAINTEXT: // 11k
		a.refuseRecord(reply, r.From, usp.InvalidRecordValue, "a protected payload without a session context")
	case r.Message != nil && r.Message.GetHeader() != nil:
		a.receiveMessage(r.Message, reply)
	}
}

// refuseRecord says why a record is refused, and ends the connection for it.
func (a *Agent) refuseRecord(reply string, to usp.EndpointID, code usp.Code, why string) {
	a.send(reply, usp.NewDisconnect(a.from(), to, code, why))
	if a.session != nil {
		a.closeSession(a.session, true)
		a.reconnect(a.backoff())
	}
}

func (a *Agent) receiveMessage(m *uspmsg.Msg, reply string) {
	id := usp.ID(m)
	if _, defined := uspmsg.Header_MsgType_name[int32(m.GetHeader().GetMsgType())]; !defined {
		a.powerCut() // the agent aborts, and is started again (11k2)
		return
	}
	body, err := usp.Open(m)
	if err != nil {
		if m.GetBody().GetRequest() != nil {
			a.answer(reply, usp.NewError(id, usp.MessageNotSupported.Errorf(
				"the request is not of the type that its header names")))
		}
		return
	}
	switch b := body.(type) {
	case *uspmsg.NotifyResp:
		a.handleNotifyResp(id)
	case *uspmsg.Get:
		a.answer(reply, usp.New(id, a.handleGet(b)))
	case *uspmsg.GetInstances:
		a.answer(reply, usp.New(id, a.handleGetInstances(b)))
	case *uspmsg.GetSupportedDM:
		a.answer(reply, usp.New(id, a.handleGetSupportedDM(b)))
	case *uspmsg.GetSupportedProtocol:
		a.answer(reply, usp.New(id,
			&uspmsg.GetSupportedProtocolResp{AgentSupportedProtocolVersions: a.versions()}))
	case *uspmsg.Set:
		resp, e := a.handleSet(b)
		answerOr(a, reply, id, resp, e)
	case *uspmsg.Add:
		resp, e := a.handleAdd(b)
		answerOr(a, reply, id, resp, e)
	case *uspmsg.Delete:
		resp, e := a.handleDelete(b)
		answerOr(a, reply, id, resp, e)
	case *uspmsg.Operate:
		a.handleOperate(id, b, reply)
	case *uspmsg.Register, *uspmsg.Deregister: // of no use to an agent
		a.answer(reply, usp.NewError(id, usp.RequestDenied.Errorf("%s is not for agents", usp.Type(m)))) // 11k2
	case *uspmsg.Notify:
		a.answer(reply, usp.NewError(id, usp.MessageNotSupported.Errorf("%s is not supported", usp.Type(m))))
	}
	// Responses and Errors that nobody asked for are dropped.
}

func (a *Agent) answer(reply string, m *uspmsg.Msg) {
	a.send(reply, usp.NewRecord(a.from(), a.s.Controller, m))
}

func answerOr[B usp.Body](a *Agent, reply, id string, resp B, e *usp.Error) {
	if e != nil {
		a.answer(reply, usp.NewError(id, e))
		return
	}
	a.answer(reply, usp.New(id, resp))
}

// --- Add, Set, Delete ----------------------------------------------------------

// writeError is an Error for a whole Add, Set or Delete: 7004, with what was
// wrong where.
func writeError(path string, e *usp.Error) *usp.Error {
	return &usp.Error{Code: usp.InvalidArguments, Message: e.Message,
		Params: []usp.ParamError{{Path: path, Code: e.Code, Message: e.Message}}}
}

func (a *Agent) handleAdd(add *uspmsg.Add) (*uspmsg.AddResp, *usp.Error) {
	before := a.subscriptions
	a.subscriptions = append([]*subscription(nil), before...)
	resp := &uspmsg.AddResp{}
	for _, c := range add.GetCreateObjs() {
		result, param, e := a.addRow(c, add.GetAllowPartial())
		if e != nil && !add.GetAllowPartial() { // R-ADD.1: all or nothing
			a.subscriptions = before
			return nil, writeError(param, e)
		}
		if e != nil {
			result = &uspmsg.AddResp_CreatedObjectResult_OperationStatus{
				OperStatus: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperFailure{
					OperFailure: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperationFailure{
						ErrCode: uint32(e.Code), ErrMsg: e.Message,
					}}}
		}
		resp.CreatedObjResults = append(resp.CreatedObjResults, &uspmsg.AddResp_CreatedObjectResult{
			RequestedPath: c.GetObjPath(), OperStatus: result,
		})
	}
	a.changeSubscriptions()
	a.pollValueChanges()
	return resp, nil
}

// addRow adds one Subscription: the only table that a controller may add to.
func (a *Agent) addRow(c *uspmsg.Add_CreateObject, partial bool) (*uspmsg.AddResp_CreatedObjectResult_OperationStatus,
	string, *usp.Error) {
	if c.GetObjPath() != usp.Subscriptions {
		path, err := usp.ParsePath(c.GetObjPath())
		switch {
		case err != nil:
			return nil, c.GetObjPath(), usp.InvalidPathSyntax.Errorf("%s", err)
		case schemaOf(path.Schema()+"{i}.") == nil:
			return nil, c.GetObjPath(), usp.UnsupportedPath.Errorf("there is no table %s", c.GetObjPath())
		}
		return nil, strings.TrimSuffix(c.GetObjPath(), "."),
			usp.ObjectNotCreatable.Errorf("rows of %s cannot be added", c.GetObjPath())
	}
	instance := 1
	for _, s := range a.subscriptions {
		instance = max(instance, s.instance+1)
	}
	s := &subscription{instance: instance, alias: a.alias(instance), created: a.s.Clock.Now(), dated: a.now()}
	var errs []*uspmsg.AddResp_ParameterError
	tolerate := func(param string, required bool, e *usp.Error) bool {
		if !partial || required {
			return false
		}
		errs = append(errs, &uspmsg.AddResp_ParameterError{Param: param, ErrCode: uint32(e.Code), ErrMsg: e.Message})
		return true
	}
	required := map[string]bool{}
	for _, p := range c.GetParamSettings() {
		required[p.GetParam()] = p.GetRequired()
		if e := s.set(a, p.GetParam(), p.GetValue()); e != nil && !tolerate(p.GetParam(), p.GetRequired(), e) {
			return nil, "Device.LocalAgent.Subscription.{i}." + p.GetParam(), e
		}
	}
	if e := s.check(); e != nil {
		if !tolerate(e.param, required[e.param], e.Error) {
			return nil, "Device.LocalAgent.Subscription.{i}." + e.param, e.Error
		}
		s.ReferenceList, s.references = "", nil
	}
	if s.ID == "" { // the agent makes one, a new one each time
		s.ID = a.alias(instance)
	}
	a.subscriptions = append(a.subscriptions, s)
	return &uspmsg.AddResp_CreatedObjectResult_OperationStatus{
		OperStatus: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperSuccess{
			OperSuccess: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperationSuccess{
				InstantiatedPath: usp.Subscriptions + itoa(instance) + ".",
				ParamErrs:        errs,
				UniqueKeys:       map[string]string{"ID": s.ID, "Recipient": recipient, "Alias": s.alias},
			}}}, "", nil
}

func (a *Agent) handleSet(set *uspmsg.Set) (*uspmsg.SetResp, *usp.Error) {
	a.setFacts(func(f *Facts) { f.Sets++ })
	// For all or nothing the old state is kept; rows are changed in copies.
	boot, images, before, keepAlive := a.boot, slices.Clone(a.images), a.subscriptions, a.keepAlive
	a.subscriptions = make([]*subscription, len(before))
	for i, s := range before {
		row := *s
		a.subscriptions[i] = &row
	}
	undo := func() { a.boot, a.images, a.subscriptions, a.keepAlive = boot, images, before, keepAlive }
	resp := &uspmsg.SetResp{}
	for _, u := range set.GetUpdateObjs() {
		fail := func(e *usp.Error, failures ...*uspmsg.SetResp_UpdatedInstanceFailure) {
			resp.UpdatedObjResults = append(resp.UpdatedObjResults, &uspmsg.SetResp_UpdatedObjectResult{
				RequestedPath: u.GetObjPath(),
				OperStatus: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus{
					OperStatus: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperFailure{
						OperFailure: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperationFailure{
							ErrCode: uint32(e.Code), ErrMsg: e.Message, UpdatedInstFailures: failures,
						}}}})
		}
		targets, e := a.resolve(u.GetObjPath(), usp.ObjectPath)
		if e != nil {
			if !set.GetAllowPartial() {
				undo()
				return nil, e // 11h: the code of the object, not 7004
			}
			fail(e)
			continue
		}
		success := &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperationSuccess{}
		var failures []*uspmsg.SetResp_UpdatedInstanceFailure
		for _, t := range targets {
			done := &uspmsg.SetResp_UpdatedInstanceResult{AffectedPath: t.path, UpdatedParams: map[string]string{}}
			failed := false
			for _, p := range u.GetParamSettings() {
				e := a.setParam(t, p.GetParam(), p.GetValue())
				if e == nil {
					done.UpdatedParams[p.GetParam()] = p.GetValue()
					continue
				}
				if !set.GetAllowPartial() {
					undo()
					return nil, writeError(t.path+p.GetParam(), e)
				}
				done.ParamErrs = append(done.ParamErrs, &uspmsg.SetResp_ParameterError{Param: p.GetParam(),
					ErrCode: uint32(e.Code), ErrMsg: e.Message})
				failed = failed || p.GetRequired()
			}
			if failed {
				failures = append(failures, &uspmsg.SetResp_UpdatedInstanceFailure{AffectedPath: t.path,
					ParamErrs: done.ParamErrs})
				continue
			}
			success.UpdatedInstResults = append(success.UpdatedInstResults, done)
		}
		if len(failures) > 0 {
			fail(usp.RequiredParamFailed.Errorf("a required parameter could not be set"), failures...)
			continue
		}
		resp.UpdatedObjResults = append(resp.UpdatedObjResults, &uspmsg.SetResp_UpdatedObjectResult{
			RequestedPath: u.GetObjPath(),
			OperStatus: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus{
				OperStatus: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperSuccess{OperSuccess: success},
			}})
	}
	a.pollValueChanges()
	return resp, nil
}

// setParam changes one parameter of one object.
func (a *Agent) setParam(t target, name, value string) *usp.Error {
	p := t.object.param(name)
	switch {
	case p == nil:
		return usp.UnsupportedParameter.Errorf("there is no parameter %s%s", t.path, name)
	case p.set == nil:
		return usp.ParameterReadOnly.Errorf("%s%s cannot be set", t.path, name)
	}
	return p.set(a, t.instances, value)
}

func (a *Agent) handleDelete(del *uspmsg.Delete) (*uspmsg.DeleteResp, *usp.Error) {
	resp := &uspmsg.DeleteResp{}
	gone := map[int]bool{}
	for _, path := range del.GetObjPaths() {
		status := &uspmsg.DeleteResp_DeletedObjectResult_OperationStatus{}
		success := &uspmsg.DeleteResp_DeletedObjectResult_OperationStatus_OperationSuccess{}
		targets, e := a.resolve(path, usp.ObjectPath)
		if e != nil && e.Code == usp.ObjectDoesNotExist {
			targets, e = nil, nil // what is not there counts as deleted
		}
		for _, t := range targets {
			if t.object.path != usp.Subscriptions+"{i}." {
				e = usp.DeleteFailure.Errorf("%s cannot be deleted", t.path)
				break
			}
			gone[t.instances[0]] = true
			success.AffectedPaths = append(success.AffectedPaths, t.path)
		}
		switch {
		case e == nil:
			status.OperStatus = &uspmsg.DeleteResp_DeletedObjectResult_OperationStatus_OperSuccess{
				OperSuccess: success,
			}
		case !del.GetAllowPartial(): // R-DEL.2
			return nil, writeError(path, e)
		default:
			status.OperStatus = &uspmsg.DeleteResp_DeletedObjectResult_OperationStatus_OperFailure{
				OperFailure: &uspmsg.DeleteResp_DeletedObjectResult_OperationStatus_OperationFailure{
					ErrCode: uint32(e.Code), ErrMsg: e.Message,
				}}
		}
		resp.DeletedObjResults = append(resp.DeletedObjResults, &uspmsg.DeleteResp_DeletedObjectResult{
			RequestedPath: path, OperStatus: status,
		})
	}
	kept := a.subscriptions[:0:0]
	for _, s := range a.subscriptions {
		if !gone[s.instance] {
			kept = append(kept, s)
		}
	}
	a.subscriptions = kept
	return resp, nil
}
