package simulator

import (
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// request is a row of Device.LocalAgent.Request.{i}.: a command that runs.
type request struct {
	instance int
	command  string // concrete path
	key      string
	image    int
	download *transfer // nil for Activate()
	foreign  bool      // another controller's
	alias    string    // that somebody has given it
	// canceling is set between a Cancel() and the end that it leads to.
	canceling bool
}

func (r *request) path() string { return usp.Requests + itoa(r.instance) }

// handleOperate runs a command on all that its path names. Nothing is idempotent:
// the same message twice runs twice. With send_resp false nothing is answered,
// errors included.
func (a *Agent) handleOperate(id string, op *uspmsg.Operate, reply string) {
	answer := func(m *uspmsg.Msg) {
		if op.GetSendResp() {
			a.answer(reply, m)
		}
	}
	targets, e := a.resolve(op.GetCommand(), usp.CommandPath)
	if e != nil {
		answer(usp.NewError(id, e))
		return
	}
	a.setFacts(func(f *Facts) { f.Operates++ })
	resp := &uspmsg.OperateResp{}
	var begun []func() // after the answer: what the command then does
	for _, t := range targets {
		result := &uspmsg.OperateResp_OperationResult{ExecutedCommand: t.path + t.only}
		r, then, e := a.operate(t, op)
		switch {
		case e != nil: // R-OPR.1
			result.OperationResp = &uspmsg.OperateResp_OperationResult_CmdFailure{
				CmdFailure: &uspmsg.OperateResp_OperationResult_CommandFailure{
					ErrCode: uint32(e.Code), ErrMsg: e.Message}}
		case r != nil:
			result.OperationResp = &uspmsg.OperateResp_OperationResult_ReqObjPath{ReqObjPath: r.path()}
		default:
			result.OperationResp = &uspmsg.OperateResp_OperationResult_ReqOutputArgs{
				ReqOutputArgs: &uspmsg.OperateResp_OperationResult_OutputArgs{},
			}
		}
		if e == nil {
			begun = append(begun, then)
		}
		resp.OperationResults = append(resp.OperationResults, result)
	}
	answer(usp.New(id, resp)) // of no results, where a search matched nothing
	for _, then := range begun {
		then()
	}
}

// operate begins one command. A request means that it goes on; then is called
// once the answer is on its way.
func (a *Agent) operate(t target, op *uspmsg.Operate) (r *request, then func(), e *usp.Error) {
	args, key := op.GetInputArgs(), op.GetCommandKey()
	if a.fired(Blocked) && strings.HasPrefix(t.object.path, usp.FirmwareImages) {
		return nil, nil, usp.RequestDenied.Errorf("Instance already exists") // for good (11l)
	}
	switch t.object.path + t.only {
	case usp.CommandReboot:
		reason := args["Reason"]
		if reason == "" {
			reason = "Unknown"
		}
		return nil, func() { a.reboot(rebootReason{usp.CauseRemoteReboot, key, reason}) }, nil
	case "Device.FactoryReset()":
		return nil, func() {
			a.factoryReset()
			a.reboot(rebootReason{usp.CauseRemoteFactoryReset, key, "Unknown"})
		}, nil
	case usp.Controllers + "{i}.SendOnBoardRequest()":
		a.sendOnBoardRequest() // before the answer
		return nil, func() {}, nil
	case "Device.MQTT.Client.{i}.ForceReconnect()":
		return nil, func() {
			if a.session != nil {
				a.closeSession(a.session, true)
				a.reconnect(a.s.Timing.ForceReconnect)
			}
		}, nil
	case usp.Requests + "{i}." + usp.CommandCancel:
		r := a.requests[slices.IndexFunc(a.requests, func(r *request) bool { return r.instance == t.instances[0] })]
		if r.canceling || r.download == nil && a.rebootFor != nil {
			return nil, nil, usp.CommandFailure.Errorf("%s cannot be canceled any more", r.command)
		}
		return nil, func() { a.cancel(r) }, nil
	case usp.FirmwareImages + "{i}.Download()":
		if a.fires(Refuses) {
			return nil, nil, usp.RequestDenied.Errorf("Download() is not allowed now")
		}
		if a.downloads() >= a.s.MaxDownloads {
			return nil, nil, usp.ResourcesExceeded.Errorf("%d Download() in progress, as many as may be",
				a.downloads())
		}
		args, e := readDownload(args)
		if e != nil {
			return nil, nil, e
		}
		r := a.begin(t, key)
		r.download = args
		return r, func() { a.created(r); a.download(r) }, nil
	case usp.FirmwareImages + "{i}.Activate()":
		for _, r := range a.requests {
			if r.download == nil {
				return nil, nil, usp.ResourcesExceeded.Errorf("1 Activate() in progress, as many as may be")
			}
		}
		wait, e := a.window(args)
		if e != nil {
			return nil, nil, e
		}
		if img := a.images[t.instances[0]-1]; !img.available {
			return nil, nil, usp.CommandFailure.Errorf("image %d is not available (Status %s)", t.instances[0],
				a.status(t.instances[0]))
		}
		r := a.begin(t, key)
		return r, func() {
			a.created(r)
			back := r.image != a.active && a.running.Version != a.s.Version
			if !back && a.firesOnce(CutBeforeRestart) || back && a.firesOnce(CutInRollback) {
				a.after(a.s.Timing.BeforeReboot/2, a.powerCut)
				return
			}
			a.after(wait+a.s.Timing.BeforeReboot, func() { a.activateNow(r) })
		}, nil
	}
	return nil, nil, usp.InternalError.Errorf("command %s is in the data model and nowhere else", t.path+t.only)
}

// cancel stops a command. TR-181: its Status is Canceling at once, then it is over.
func (a *Agent) cancel(r *request) {
	r.canceling = true
	a.after(a.s.Timing.BeforeReboot, func() {
		stopped := usp.CommandCanceled.Errorf("%s was canceled", r.command)
		if r.download == nil {
			a.finish(r, stopped)
			return
		}
		a.endDownload(r, fetched{status: usp.StatusNoImage, err: stopped})
	})
}

// activateNow reboots into the image of an Activate().
func (a *Agent) activateNow(r *request) {
	if r.canceling {
		return
	}
	if img := a.images[r.image-1]; !img.available { // gone since, by a Download()
		a.finish(r, usp.CommandFailure.Errorf("image %d is not available (Status %s)", r.image, a.status(r.image)))
		return
	}
	a.boot, a.activate = r.image, r
	a.reboot(rebootReason{usp.CauseRemoteReboot, r.key, "Firmware activation"})
}

// downloads is how many run.
func (a *Agent) downloads() int {
	n := 0
	for _, r := range a.requests {
		if r.download != nil {
			n++
		}
	}
	return n
}

// begin adds a row to the Request table, at the lowest free instance.
func (a *Agent) begin(t target, key string) *request {
	return a.addRequest(&request{command: t.path + t.only, key: key, image: t.instances[0]})
}

func (a *Agent) addRequest(r *request) *request {
	taken := map[int]bool{}
	for _, r := range a.requests {
		taken[r.instance] = true
	}
	for r.instance = 1; taken[r.instance]; {
		r.instance++
	}
	a.requests = append(a.requests, r)
	slices.SortFunc(a.requests, func(x, y *request) int { return x.instance - y.instance })
	return r
}

func (a *Agent) created(r *request) {
	a.notify(usp.Notification{Kind: usp.KindObjectCreation, Path: r.path() + ".", Params: map[string]string{
		"Alias": a.alias(r.instance), "Originator": string(a.s.Controller), "Command": r.command, "CommandKey": r.key,
	}})
}

// finish takes a command out of the Request table and reports its end.
func (a *Agent) finish(r *request, failure *usp.Error) {
	a.requests = slices.DeleteFunc(a.requests, func(x *request) bool { return x == r })
	a.complete(r, failure)
	a.notify(usp.Notification{Kind: usp.KindObjectDeletion, Path: r.path() + "."})
}

func (a *Agent) complete(r *request, failure *usp.Error) {
	if failure != nil {
		a.setFacts(func(f *Facts) { f.Failure = failure.Error() })
	}
	a.notify(usp.Notification{Kind: usp.KindOperationComplete, Path: r.command, CommandKey: r.key, Failure: failure})
}

// alias is the Alias of a row that nobody named.
func (a *Agent) alias(instance int) string {
	return strings.TrimSuffix(a.s.AliasPrefix, "-") + "-" + itoa(instance)
}
