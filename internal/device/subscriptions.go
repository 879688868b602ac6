package device

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// subscription is one that the workflow needs.
type subscription struct{ id, notifType, reference string }

// subscriptions are all that the workflow needs. Their IDs are fixed for a
// controller, so that adding them again is refused (7025) and not doubled; they
// differ between controllers, since one agent may have several.
func subscriptions(controller usp.EndpointID) []subscription {
	sum := sha256.Sum256([]byte(controller))
	prefix := "fleetstep-" + hex.EncodeToString(sum[:4]) + "-"
	return []subscription{
		{prefix + "boot", string(usp.KindEvent), usp.EventBoot},
		{prefix + "transfer", string(usp.KindEvent), usp.EventTransferComplete},
		// Command paths: an object path is refused by Add (03f).
		{prefix + "download", string(usp.KindOperationComplete), usp.FirmwareImages + "*." + usp.CommandDownload},
		{prefix + "activate", string(usp.KindOperationComplete), usp.FirmwareImages + "*." + usp.CommandActivate},
	}
}

// settings are what makes a Subscription of use: the defaults are not. Persistent
// outlives the restart that an upgrade is about; NotifRetry repeats until answered.
func (s subscription) settings() []usp.Setting {
	return []usp.Setting{
		{Param: "Enable", Value: "true", Required: true},
		{Param: "ID", Value: s.id, Required: true},
		{Param: "NotifType", Value: s.notifType, Required: true},
		{Param: "ReferenceList", Value: s.reference, Required: true},
		{Param: "Persistent", Value: "true", Required: true},
		{Param: "NotifRetry", Value: "true", Required: true},
	}
}

// lacking compares what is there with what is needed.
func lacking(controller usp.EndpointID, rows []usp.Row) (add, repair []usp.Object) {
	there := map[string]usp.Row{}
	for _, row := range rows {
		there[row.Params["ID"]] = row
	}
	for _, s := range subscriptions(controller) {
		row, ok := there[s.id]
		if !ok {
			add = append(add, usp.Object{Path: usp.Subscriptions, Settings: s.settings()})
			continue
		}
		var wrong []usp.Setting
		for _, want := range s.settings() {
			have := row.Params[want.Param]
			if yes, err := usp.ParseBool(have); err == nil && yes {
				have = "true"
			}
			// ID and NotifType cannot be changed, and with our ID are ours.
			if have != want.Value && want.Param != "ID" && want.Param != "NotifType" {
				wrong = append(wrong, want)
			}
		}
		if len(wrong) > 0 {
			repair = append(repair, usp.Object{Path: row.Path, Settings: wrong})
		}
	}
	return add, repair
}
