package asl

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

func (c *compiler) task(s *State, o *document.Object, at string) {
	v, ok := o.Get("Resource")
	if !ok {
		c.fail(at, "These fields are required: [Resource]")
		return
	}
	s.Resource = c.text(v, at+"/Resource")
	s.resource = c.resource(s.Resource, at+"/Resource")
	c.required(s, o, at)
	s.timeout = c.number(s, o, "TimeoutSeconds", at, 1, maxSeconds, true)
	s.heartbeat = c.number(s, o, "HeartbeatSeconds", at, 1, maxSeconds, true)
	if t, ok := s.timeout.fixed(); ok {
		if h, ok := s.heartbeat.fixed(); ok && h >= t {
			c.fail(at, "HeartbeatSeconds must be smaller than TimeoutSeconds")
		}
	}
	if v, ok := o.Get("Credentials"); ok {
		object, isObject := v.(*document.Object)
		if !isObject {
			c.wrongType(at+"/Credentials", "OBJECT")
			return
		}
		_, plain := object.Get("RoleArn")
		_, dynamic := object.Get("RoleArn.$")
		if !plain && !(dynamic && !s.JSONata) {
			c.fail(at+"/Credentials", "The field 'RoleArn' is required but was missing")
			return
		}
		if s.JSONata {
			s.credentials = c.jsonataTemplate(v, at+"/Credentials", "Credentials")
		} else {
			s.credentials = c.pathTemplate(v, at+"/Credentials")
		}
	}
}

// required checks that what a task sends has the members that the operation must
// have. Without Parameters or Arguments, or with an expression in their place, it
// is known only when the task runs.
func (c *compiler) required(s *State, o *document.Object, at string) {
	if s.resource.Kind != Integration {
		return
	}
	where := "Parameters"
	if s.JSONata {
		where = "Arguments"
		if _, ok := o.Get(where); !ok && strings.HasPrefix(s.resource.Service, "aws-sdk:") {
			c.fail(at, "The field 'Arguments' is required but was missing")
		}
	}
	c.requiredIn(o, where, s.resource.required(), s.JSONata, at)
	if sent, ok := o.Get(where); ok {
		if name := s.resource.unknown(sent, s.JSONata); name != "" {
			c.fail(at+"/"+where, "The field %q is not supported by Step Functions", name)
		}
	}
}

// requiredIn checks the members that the object in a field must have.
func (c *compiler) requiredIn(o *document.Object, field string, names []string, jsonata bool, at string) {
	v, _ := o.Get(field)
	sent, ok := v.(*document.Object)
	if !ok {
		return
	}
	for _, name := range names {
		_, plain := sent.Get(name)
		_, dynamic := sent.Get(name + ".$")
		if !plain && !(dynamic && !jsonata) {
			c.fail(at+"/"+field, "The field '%s' is required but was missing", name)
		}
	}
}

func (c *compiler) resource(arn, at string) Resource {
	r, problem := ParseResource(arn)
	if problem != "" {
		c.fail(at, "%s", problem)
		return r
	}
	if r.Kind == Activity {
		if c.machine.Express {
			c.fail(at, "Express state machine does not support Activity ARN")
		}
		c.machine.Activities = append(c.machine.Activities, arn)
	}
	if c.machine.Express && r.Pattern != Request {
		end := ""
		if r.Pattern == Callback {
			end = " " // as AWS has it
		}
		c.fail(at, "Express state machine does not support '%s' service integration%s", r.Pattern, end)
	}
	return r
}

// ParseResource takes a Resource ARN apart; problem says what is wrong with it.
func ParseResource(arn string) (r Resource, problem string) {
	r.ARN = arn
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") {
		return r, "Value is not a valid resource ARN"
	}
	switch {
	case parts[2] == "lambda" && parts[5] == "function" && len(parts) >= 7:
		r.Kind = Function
		return r, ""
	case parts[2] == "states" && parts[5] == "activity" && len(parts) == 7:
		r.Kind = Activity
		return r, ""
	case parts[2] == "states" && parts[3] == "" && parts[4] == "" && len(parts) >= 7:
		rest := parts[5:]
		r.Service = rest[0]
		rest = rest[1:]
		if r.Service == "aws-sdk" && len(rest) >= 2 {
			r.Service += ":" + rest[0]
			rest = rest[1:]
		}
		action := strings.Join(rest, ":")
		for _, p := range []Pattern{Sync2, Sync, Callback} {
			if a, ok := strings.CutSuffix(action, string(p)); ok {
				r.Action, r.Pattern = a, p
				break
			}
		}
		if r.Pattern == Request {
			r.Action = action
		}
		if !r.exists() {
			return r, "The resource provided " + arn +
				" is not recognized. The value is not a valid resource ARN, or the resource is not available in " +
				"this region."
		}
		return r, ""
	}
	return r, "Value is not a valid resource ARN"
}
