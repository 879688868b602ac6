package usp

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// NotificationKind says what a notification is about.
type NotificationKind string

// The kinds, by their names in Device.LocalAgent.Subscription.{i}.NotifType;
// OnBoardRequest needs no Subscription.
const (
	KindEvent             NotificationKind = "Event"
	KindValueChange       NotificationKind = "ValueChange"
	KindObjectCreation    NotificationKind = "ObjectCreation"
	KindObjectDeletion    NotificationKind = "ObjectDeletion"
	KindOperationComplete NotificationKind = "OperationComplete"
	KindOnBoardRequest    NotificationKind = "OnBoardRequest"
)

// Notification is a Notify in plain values. The same news may come several
// times: repeated until answered, and once for each Subscription that matches.
type Notification struct {
	ID             string // of the message; for the NotifyResp, not for telling news apart
	SubscriptionID string
	SendResp       bool // answer by NotifyResp; again for each repeat
	Kind           NotificationKind

	// Path is the whole name of what the news is about: "Device.Boot!",
	// "Device.DeviceInfo.FirmwareImage.2.Download()", the parameter of a
	// ValueChange, the object created or deleted.
	Path string

	Params     map[string]string // Event: its arguments; ObjectCreation: unique keys
	Value      string            // ValueChange
	CommandKey string            // OperationComplete
	Output     map[string]string // OperationComplete that succeeded
	Failure    *Error            // OperationComplete that failed
	OnBoard    *uspmsg.Notify_OnBoardRequest
}

// ReadNotify reads a notification.
func ReadNotify(m *uspmsg.Msg) (Notification, bool) {
	body, ok := As[*uspmsg.Notify](m)
	if !ok {
		return Notification{}, false
	}
	n := Notification{ID: ID(m), SubscriptionID: body.GetSubscriptionId(), SendResp: body.GetSendResp()}
	switch news := body.GetNotification().(type) {
	case *uspmsg.Notify_Event_:
		n.Kind = KindEvent
		n.Path = news.Event.GetObjPath() + news.Event.GetEventName()
		n.Params = news.Event.GetParams()
	case *uspmsg.Notify_ValueChange_:
		n.Kind = KindValueChange
		n.Path, n.Value = news.ValueChange.GetParamPath(), news.ValueChange.GetParamValue()
	case *uspmsg.Notify_ObjCreation:
		n.Kind = KindObjectCreation
		n.Path, n.Params = news.ObjCreation.GetObjPath(), news.ObjCreation.GetUniqueKeys()
	case *uspmsg.Notify_ObjDeletion:
		n.Kind = KindObjectDeletion
		n.Path = news.ObjDeletion.GetObjPath()
	case *uspmsg.Notify_OperComplete:
		n.Kind = KindOperationComplete
		n.Path = news.OperComplete.GetObjPath() + news.OperComplete.GetCommandName()
		n.CommandKey = news.OperComplete.GetCommandKey()
		n.Output = news.OperComplete.GetReqOutputArgs().GetOutputArgs()
		if f := news.OperComplete.GetCmdFailure(); f != nil {
			n.Failure = &Error{Code: Code(f.GetErrCode()), Message: f.GetErrMsg()}
		}
	case *uspmsg.Notify_OnBoardReq:
		n.Kind = KindOnBoardRequest
		n.OnBoard = news.OnBoardReq
	default:
		return Notification{}, false
	}
	return n, true
}

// Message is the Notify that ReadNotify reads: the agent's side.
func (n Notification) Message() *uspmsg.Msg {
	body := &uspmsg.Notify{SubscriptionId: n.SubscriptionID, SendResp: n.SendResp}
	object, name := SplitPath(n.Path)
	switch n.Kind {
	case KindEvent:
		body.Notification = &uspmsg.Notify_Event_{Event: &uspmsg.Notify_Event{ObjPath: object, EventName: name,
			Params: n.Params}}
	case KindValueChange:
		body.Notification = &uspmsg.Notify_ValueChange_{ValueChange: &uspmsg.Notify_ValueChange{ParamPath: n.Path,
			ParamValue: n.Value}}
	case KindObjectCreation:
		body.Notification = &uspmsg.Notify_ObjCreation{ObjCreation: &uspmsg.Notify_ObjectCreation{ObjPath: n.Path,
			UniqueKeys: n.Params}}
	case KindObjectDeletion:
		body.Notification = &uspmsg.Notify_ObjDeletion{ObjDeletion: &uspmsg.Notify_ObjectDeletion{ObjPath: n.Path}}
	case KindOperationComplete:
		done := &uspmsg.Notify_OperationComplete{ObjPath: object, CommandName: name, CommandKey: n.CommandKey}
		if n.Failure != nil {
			done.OperationResp = &uspmsg.Notify_OperationComplete_CmdFailure{
				CmdFailure: &uspmsg.Notify_OperationComplete_CommandFailure{
					ErrCode: uint32(n.Failure.Code), ErrMsg: n.Failure.Message}}
		} else {
			done.OperationResp = &uspmsg.Notify_OperationComplete_ReqOutputArgs{
				ReqOutputArgs: &uspmsg.Notify_OperationComplete_OutputArgs{
					OutputArgs: n.Output}}
		}
		body.Notification = &uspmsg.Notify_OperComplete{OperComplete: done}
	case KindOnBoardRequest:
		body.Notification = &uspmsg.Notify_OnBoardReq{OnBoardReq: n.OnBoard}
	}
	return New(n.ID, body)
}

// NewNotifyResp acknowledges a notification: the agent stops repeating it. It
// looks at the id only.
func NewNotifyResp(id, subscriptionID string) *uspmsg.Msg {
	return New(id, &uspmsg.NotifyResp{SubscriptionId: subscriptionID})
}

// Boot is the argument list of Device.Boot!. None of it proves that an upgrade
// succeeded: read the running version.
type Boot struct {
	Cause           string // LocalReboot, RemoteReboot, LocalFactoryReset, RemoteFactoryReset
	CommandKey      string // of the command that caused it, else empty
	FirmwareUpdated bool   // the version string differs from the last boot's
	Reason          string
	ParameterMap    string // a JSON object
}

// ReadBoot reads the arguments of Device.Boot!.
func ReadBoot(params map[string]string) (Boot, error) {
	updated, err := ParseBool(params["FirmwareUpdated"])
	if err != nil && params["FirmwareUpdated"] != "" {
		return Boot{}, fmt.Errorf("usp: Boot! FirmwareUpdated: %w", err)
	}
	return Boot{
		Cause:           params["Cause"],
		CommandKey:      params["CommandKey"],
		FirmwareUpdated: updated,
		Reason:          params["Reason"],
		ParameterMap:    params["ParameterMap"],
	}, nil
}

// Params is the argument list that ReadBoot reads.
func (b Boot) Params() map[string]string {
	return map[string]string{
		"Cause":           b.Cause,
		"CommandKey":      b.CommandKey,
		"FirmwareUpdated": strconv.FormatBool(b.FirmwareUpdated),
		"Reason":          b.Reason,
		"ParameterMap":    b.ParameterMap,
	}
}

// TransferComplete is the argument list of Device.LocalAgent.TransferComplete!.
type TransferComplete struct {
	Command      string // path of the command, "Device.DeviceInfo.FirmwareImage.2.Download()"
	CommandKey   string
	Requestor    EndpointID
	TransferType string // Download or Upload
	Affected     string // path of the image, without the last dot
	TransferURL  string
	StartTime    time.Time // zero if unknown
	CompleteTime time.Time
	FaultCode    Code // 0 is success; which code a failure has differs by vendor
	FaultString  string
}

// Failure is the fault as an error, nil if the transfer succeeded.
func (t TransferComplete) Failure() *Error { return errorOf(uint32(t.FaultCode), t.FaultString) }

// ReadTransferComplete reads the arguments of TransferComplete!. A FaultCode
// that is not a number is an error; a time that is not one is zero.
func ReadTransferComplete(params map[string]string) (TransferComplete, error) {
	var fault uint64
	if s := params["FaultCode"]; s != "" {
		var err error
		if fault, err = strconv.ParseUint(s, 10, 32); err != nil {
			return TransferComplete{}, fmt.Errorf("usp: TransferComplete! FaultCode: %w", err)
		}
	}
	return TransferComplete{
		Command:      params["Command"],
		CommandKey:   params["CommandKey"],
		Requestor:    EndpointID(params["Requestor"]),
		TransferType: params["TransferType"],
		Affected:     params["Affected"],
		TransferURL:  params["TransferURL"],
		StartTime:    parseTime(params["StartTime"]),
		CompleteTime: parseTime(params["CompleteTime"]),
		FaultCode:    Code(fault),
		FaultString:  params["FaultString"],
	}, nil
}

// Params is the argument list that ReadTransferComplete reads.
func (t TransferComplete) Params() map[string]string {
	return map[string]string{
		"Command":      t.Command,
		"CommandKey":   t.CommandKey,
		"Requestor":    string(t.Requestor),
		"TransferType": t.TransferType,
		"Affected":     t.Affected,
		"TransferURL":  t.TransferURL,
		"StartTime":    FormatTime(t.StartTime),
		"CompleteTime": FormatTime(t.CompleteTime),
		"FaultCode":    strconv.Itoa(int(t.FaultCode)),
		"FaultString":  t.FaultString,
	}
}

// FormatTime writes a dateTime: UTC, whole seconds, the zero time as TR-106's
// unknown time.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ParseBool reads a boolean: true, false, 1 or 0.
func ParseBool(s string) (bool, error) {
	switch s {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is not a boolean", s)
}
