package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// subscription is a row of Device.LocalAgent.Subscription.{i}.
type subscription struct {
	Subscription
	instance   int
	alias      string
	created    time.Time // zero: from the factory
	dated      time.Time // the same by its own clock
	references []usp.Path
	seen       [][2]string // ValueChange: the values last looked at
}

// factoryReset puts the Subscriptions back to the factory's. One that is invalid
// is dropped without a word, as the real agent drops it.
func (a *Agent) factoryReset() {
	a.subscriptions, a.keepAlive = nil, factoryKeepAlive
	for i, factory := range a.s.Subscriptions {
		s := &subscription{Subscription: factory, instance: i + 1, alias: a.alias(i + 1)}
		if s.check() == nil && s.NotifType != "" {
			a.subscriptions = append(a.subscriptions, s)
		}
	}
}

// dropVolatile deletes what is not persistent, as each boot does.
func (a *Agent) dropVolatile() {
	a.subscriptions = slices.DeleteFunc(a.subscriptions, func(s *subscription) bool { return !s.Persistent })
	for _, s := range a.subscriptions {
		s.seen = nil
	}
}

// subscribed is the table without what has outlived its TimeToLive. The slice is
// the caller's.
func (a *Agent) subscribed() []*subscription {
	now := a.s.Clock.Now()
	a.subscriptions = slices.DeleteFunc(a.subscriptions, func(s *subscription) bool {
		return s.TimeToLive > 0 && !s.created.IsZero() && now.Sub(s.created) >= time.Duration(s.TimeToLive)*time.Second
	})
	return slices.Clone(a.subscriptions)
}

// covers tells whether something at path concerns the Subscription.
func (s *subscription) covers(a *Agent, path usp.Path) bool {
	for _, r := range s.references {
		if r.Kind == usp.ObjectPath && path.Kind != usp.ObjectPath && len(r.Segments) > 1 {
			continue // commands and events only by their own path, or by "Device."
		}
		if r.Kind == usp.ObjectPath && path.Kind == usp.ObjectPath {
			// A table stands for its rows.
			if r.Match(path, a.value) || len(path.Segments) == len(r.Segments)+1 && r.Covers(path, a.value) {
				return true
			}
			continue
		}
		if r.Covers(path, a.value) {
			return true
		}
	}
	return false
}

// paramError is what is wrong with one parameter of a row.
type paramError struct {
	param string
	*usp.Error
}

// check validates type and references together, and takes the references apart.
func (s *subscription) check() *paramError {
	s.references = nil
	if s.ReferenceList == "" {
		return nil
	}
	for _, text := range splitReferences(s.ReferenceList) {
		path, err := usp.ParsePath(text)
		if err != nil {
			return &paramError{"ReferenceList", usp.UnsupportedPath.Errorf("%q is not a path", text)}
		}
		want := ""
		whole := path.Kind == usp.ObjectPath && len(path.Segments) == 1 // "Device."
		switch s.NotifType {
		case usp.KindEvent:
			if path.Kind != usp.EventPath && !whole {
				want = "an event, with its !"
			}
		case usp.KindOperationComplete:
			if path.Kind != usp.CommandPath && !whole {
				want = "a command, with its ()"
			}
		case usp.KindObjectCreation, usp.KindObjectDeletion:
			if path.Kind != usp.ObjectPath {
				want = "an object, with its last dot"
			}
		case usp.KindValueChange:
			if path.Kind != usp.ObjectPath && path.Kind != usp.ParameterPath {
				want = "a parameter or an object"
			}
		}
		if want != "" {
			return &paramError{"ReferenceList", usp.UnsupportedPath.Errorf("%q is not %s, as NotifType %s needs it",
				text, want, s.NotifType)}
		}
		s.references = append(s.references, path)
	}
	return nil
}

// splitReferences splits at commas outside brackets.
func splitReferences(list string) []string {
	var all []string
	depth, start := 0, 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				all, start = append(all, strings.TrimSpace(list[start:i])), i+1
			}
		}
	}
	return append(all, strings.TrimSpace(list[start:]))
}

// set changes one parameter of the row.
func (s *subscription) set(a *Agent, param, value string) *usp.Error {
	boolean := func(to *bool) *usp.Error {
		v, err := usp.ParseBool(value)
		if err != nil {
			return usp.InvalidType.Errorf("%s", err)
		}
		*to = v
		return nil
	}
	number := func(to *uint32) *usp.Error {
		v, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return usp.InvalidType.Errorf("%q is not an unsigned number", value)
		}
		*to = uint32(v)
		return nil
	}
	switch param {
	case "Alias":
		s.alias = value
	case "Enable":
		return boolean(&s.Enable)
	case "Persistent":
		return boolean(&s.Persistent)
	case "NotifRetry":
		return boolean(&s.NotifRetry)
	case "TimeToLive":
		return number(&s.TimeToLive)
	case "NotifExpiration":
		return number(&s.NotifExpiration)
	case "ReferenceList":
		s.ReferenceList = value
	case "ID":
		for _, other := range a.subscriptions {
			if other != s && other.instance != s.instance && other.ID == value {
				return usp.DuplicateUniqueKey.Errorf("ID %q is that of Subscription %d", value, other.instance)
			}
		}
		s.ID = value
	case "NotifType":
		switch k := usp.NotificationKind(value); k {
		case usp.KindEvent, usp.KindValueChange, usp.KindObjectCreation, usp.KindObjectDeletion,
			usp.KindOperationComplete:
			s.NotifType = k
		default:
			return usp.InvalidValue.Errorf("NotifType %q is unknown", value)
		}
	case "Recipient", "CreationDate":
		return usp.ParameterReadOnly.Errorf("%s cannot be set", param)
	default:
		return usp.UnsupportedParameter.Errorf("there is no parameter %s", param)
	}
	return nil
}
