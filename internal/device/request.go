package device

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// A Request is what a flow asks of an agent, in plain words. Its answer comes as an
// event of kind ANSWER with the same id.
type Request interface {
	message() *uspmsg.Msg
}

// Get reads parameters and objects. A path with a trailing dot is an object with
// all that lies below it.
type Get struct {
	ID    string
	Paths []string
}

// Operate gives a command. Its answer says whether the command was taken; news of
// its end carries Key.
type Operate struct {
	ID      string
	Command string // full path
	Key     string
	Args    map[string]string
	// Files are arguments whose values are the addresses of files: see Addressed.
	Files map[string]File
}

// Add makes objects, each for itself: every one has a result of its own; or all or none.
type Add struct {
	ID      string
	Objects []Object
	All     bool
}

// Set writes parameters, all or none.
type Set struct {
	ID      string
	Objects []Object
}

// Delete removes objects. What is not there is no fault.
type Delete struct {
	ID    string
	Paths []string
}

// Object is an object with the parameters to write: to be added to a table, or to
// be changed.
type Object struct {
	Path     string    `json:"path"`
	Settings []Setting `json:"settings"`
}

// Setting is the value of a parameter.
type Setting struct {
	Param    string `json:"param"`
	Value    string `json:"value"`
	Required bool   `json:"required,omitempty"` // without it the object is not made, or not changed
}

// notifyResp confirms a notification.
type notifyResp struct{ id, subscription string }

func (r *Get) message() *uspmsg.Msg { return usp.NewGet(r.ID, 0, r.Paths...) }
func (r *Operate) message() *uspmsg.Msg {
	return usp.NewOperate(r.ID, r.Command, r.Key, true, r.Args)
}
func (r *Add) message() *uspmsg.Msg        { return usp.NewAdd(r.ID, !r.All, objects(r.Objects)...) }
func (r *Set) message() *uspmsg.Msg        { return usp.NewSet(r.ID, false, objects(r.Objects)...) }
func (r *Delete) message() *uspmsg.Msg     { return usp.NewDelete(r.ID, false, r.Paths...) }
func (r *notifyResp) message() *uspmsg.Msg { return usp.NewNotifyResp(r.id, r.subscription) }

func objects(from []Object) []usp.Object {
	to := make([]usp.Object, len(from))
	for i, o := range from {
		to[i].Path = o.Path
		for _, s := range o.Settings {
			to[i].Settings = append(to[i].Settings, usp.Setting{Param: s.Param, Value: s.Value, Required: s.Required})
		}
	}
	return to
}

// Message puts a message to an agent into USP: a Request, or the Answer of an
// Inbound, Addressed where it names files.
func Message(m event.Outgoing) (*uspmsg.Msg, error) {
	r, ok := m.(Request)
	if !ok {
		return nil, fmt.Errorf("device: %T is no request", m)
	}
	if o, ok := m.(*Operate); ok && len(o.Files) > 0 {
		return nil, fmt.Errorf("device: %s: its files have no addresses", o.Command)
	}
	return r.message(), nil
}
