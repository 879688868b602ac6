package simulator

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// unanswered is a notification that is repeated until a NotifyResp comes.
type unanswered struct {
	out     outgoing
	attempt int
	expires time.Time // zero: never
	stop    func() bool
}

// notify sends a notification to each Subscription that it matches, on its own
// (R-NOT.1), with its own message id.
func (a *Agent) notify(n usp.Notification) {
	if n.Kind == usp.KindOperationComplete && a.p.NoOperationComplete ||
		n.Path == usp.EventTransferComplete && a.p.NoTransferComplete ||
		n.Kind == usp.KindOperationComplete && a.fires(LosesOperComplete) ||
		n.Path == usp.EventTransferComplete && a.fires(LosesTransferComplete) {
		return
	}
	path, err := usp.ParsePath(n.Path)
	if err != nil {
		return
	}
	for _, s := range a.subscribed() {
		if s.Enable && s.NotifType == n.Kind && s.covers(a, path) {
			n.SubscriptionID, n.SendResp = s.ID, s.NotifRetry
			a.sendNotification(n, s.NotifExpiration)
		}
	}
}

// sendNotification sends one, and repeats it if it wants an answer. The message
// id is "<Type>-<time>-<count since boot>", as other agents send it too.
func (a *Agent) sendNotification(n usp.Notification, expiration uint32) {
	a.counters[n.Kind]++
	now := a.s.Clock.Now()
	n.ID = fmt.Sprintf("%s-%s-%d", n.Kind, usp.FormatTime(a.now()), a.counters[n.Kind])
	payload, err := a.encode(usp.NewRecord(a.from(), a.s.Controller, n.Message()))
	if err != nil {
		return
	}
	out := outgoing{topic: a.to, payload: payload}
	if n.SendResp {
		u := &unanswered{out: out}
		if expiration > 0 {
			u.expires = now.Add(time.Duration(expiration) * time.Second)
		}
		if a.waiting == nil {
			a.waiting = map[string]*unanswered{}
		}
		a.waiting[n.ID] = u
		a.repeatLater(n.ID, u)
	}
	a.outbox = append(a.outbox, out)
	a.flush()
}

// repeatLater waits 5 to 10 s, then 10 to 20, … up to 2^10 times that (R-NOT.2,
// R-NOT.3); the repeat is byte for byte the same.
func (a *Agent) repeatLater(id string, u *unanswered) {
	low := a.s.Timing.NotifRetry << min(u.attempt, 9)
	u.attempt++
	u.stop = a.after(a.between(low, 2*low), func() {
		if a.waiting[id] != u {
			return
		}
		if !u.expires.IsZero() && !a.s.Clock.Now().Before(u.expires) {
			delete(a.waiting, id)
			return
		}
		a.repeatLater(id, u)
		if a.session != nil { // else the first one may still be queued
			a.outbox = append(a.outbox, u.out)
			a.flush()
		}
	})
}

// handleNotifyResp takes a NotifyResp. Its subscription_id is not looked at.
func (a *Agent) handleNotifyResp(id string) {
	if u := a.waiting[id]; u != nil {
		if a.has(OldNews) && u.attempt < 3 {
			return // lost: it tells it twice more
		}
		u.stop()
		delete(a.waiting, id)
	}
}

// sendOnBoardRequest introduces the device; it needs no Subscription.
func (a *Agent) sendOnBoardRequest() {
	a.sendNotification(usp.Notification{
		Kind: usp.KindOnBoardRequest, SendResp: true,
		OnBoard: &uspmsg.Notify_OnBoardRequest{
			Oui: a.s.OUI, ProductClass: a.s.ProductClass, SerialNumber: a.id.Serial,
			AgentSupportedProtocolVersions: a.versions(),
		},
	}, 0)
}

// bootParameters is the ParameterMap of Boot!, a JSON object in a string.
func (a *Agent) bootParameters() string {
	all := map[string]string{}
	for _, path := range a.s.BootParameters {
		if found, e := a.get(path, 0); e == nil {
			for _, o := range found {
				for _, p := range o.object.params {
					if p.name == o.only || o.only == "" {
						all[o.path+p.name] = p.get(a, o.instances)
					}
				}
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// pollValueChanges looks at the parameters of ValueChange Subscriptions every so often.
// Like the real agent's it is a poll: a value that comes and goes between two
// looks is never reported.
func (a *Agent) pollValueChanges() {
	if a.pollingValues {
		return
	}
	any := false
	for _, s := range a.subscriptions {
		any = any || s.Enable && s.NotifType == usp.KindValueChange
	}
	if !any {
		return
	}
	a.pollingValues = true
	for _, s := range a.subscriptions {
		if s.NotifType == usp.KindValueChange && s.seen == nil {
			s.seen = a.currentValues(s)
		}
	}
	a.after(a.s.Timing.ValueChange, func() {
		a.pollingValues = false
		for _, s := range a.subscribed() {
			if !s.Enable || s.NotifType != usp.KindValueChange {
				continue
			}
			now := a.currentValues(s)
			for _, v := range now {
				for _, old := range s.seen {
					if old[0] == v[0] && old[1] != v[1] {
						a.sendNotification(usp.Notification{
							Kind: usp.KindValueChange, SubscriptionID: s.ID, SendResp: s.NotifRetry, Path: v[0],
							Value: v[1],
						}, s.NotifExpiration)
					}
				}
			}
			s.seen = now
		}
		a.pollValueChanges()
	})
}

// currentValues is the present value of each parameter that a Subscription is about,
// in the order of the data model.
func (a *Agent) currentValues(s *subscription) [][2]string {
	var all [][2]string
	for _, reference := range s.references {
		found, e := a.get(reference.String(), 0)
		if e != nil {
			continue
		}
		for _, o := range found {
			for _, p := range o.object.params {
				if o.only == "" || o.only == p.name {
					all = append(all, [2]string{o.path + p.name, p.get(a, o.instances)})
				}
			}
		}
	}
	return all
}
