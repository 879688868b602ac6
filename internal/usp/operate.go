package usp

import "github.com/fleetstep/fleetstep/proto/uspmsg"

// NewOperate runs a command. With sendResp false the agent never answers, not
// even that it refuses. Operate is not idempotent: sent twice, it runs twice.
func NewOperate(id, command, commandKey string, sendResp bool, args map[string]string) *uspmsg.Msg {
	return New(id, &uspmsg.Operate{Command: command, CommandKey: commandKey, SendResp: sendResp, InputArgs: args})
}

// OperateResult is how one command fared. If Failure is nil and RequestPath is
// empty, the command was synchronous and is done. RequestPath is a row of
// Device.LocalAgent.Request. without its last dot: the command has begun. Row
// numbers are used again, so never correlate by them.
type OperateResult struct {
	Command     string
	RequestPath string
	Output      map[string]string
	Failure     *Error
}

// ReadOperateResp reads the answer to an Operate: one result for each command
// that its path led to, none at all when a search matched nothing.
func ReadOperateResp(m *uspmsg.Msg) ([]OperateResult, bool) {
	body, ok := As[*uspmsg.OperateResp](m)
	if !ok {
		return nil, false
	}
	results := make([]OperateResult, 0, len(body.GetOperationResults()))
	for _, r := range body.GetOperationResults() {
		out := OperateResult{
			Command:     r.GetExecutedCommand(),
			RequestPath: r.GetReqObjPath(),
			Output:      r.GetReqOutputArgs().GetOutputArgs(),
		}
		if f := r.GetCmdFailure(); f != nil { // R-OPR.1: never an Error message
			out.Failure = &Error{Code: Code(f.GetErrCode()), Message: f.GetErrMsg()}
		}
		results = append(results, out)
	}
	return results, true
}
