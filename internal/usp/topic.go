package usp

import (
	"fmt"
	"strings"
)

// ContentType is the MQTT 5 content type of a USP publish (R-MQTT.27).
const ContentType = "usp.msg"

// IsContentType tells whether a publish of this content type is USP's; the
// longer name is accepted too (R-MQTT.27a), and none at all, as from MQTT 3.1.1.
func IsContentType(s string) bool {
	return s == ContentType || s == "application/vnd.bbf.usp.msg" || s == ""
}

const replyTo = "/reply-to="

// JoinReplyTo appends the reply topic to a topic, as a publisher without MQTT 5
// properties must (R-MQTT.24): "/" in it becomes "%2F".
func JoinReplyTo(topic, reply string) string {
	return topic + replyTo + strings.ReplaceAll(reply, "/", "%2F") // R-MQTT.25
}

// SplitReplyTo takes it off again: what follows the last "/reply-to="
// (R-MQTT.26). ok is false where there is none; then base is the topic.
func SplitReplyTo(topic string) (base, reply string, ok bool) {
	i := strings.LastIndex(topic, replyTo)
	if i < 0 {
		return topic, "", false
	}
	reply = strings.NewReplacer("%2F", "/", "%2f", "/").Replace(topic[i+len(replyTo):])
	return topic[:i], reply, true
}

// TopicTemplate is a topic with {thing} and {controller} for the names of the
// device's thing and of the controller's endpoint ID.
type TopicTemplate string

// Layout is how the topics of a stack are named.
type Layout struct {
	Name              string
	Agent, Controller TopicTemplate // where an agent, and the controller, is reached
}

// Layouts are those that a stack may have (infra/app's parameter TopicLayout); the first
// is the default.
var Layouts = []Layout{
	{"usp", "usp/v1/agent/{thing}", "usp/v1/controller/{controller}/from/{thing}"},
	// of AWS's sample "IoT Workflow Management and Execution"
	{"wme", "agents/{thing}/usp/request", "controllers/{controller}/agents/{thing}/response"},
}

// Expand fills in the names.
func (t TopicTemplate) Expand(thing string, controller EndpointID) string {
	return strings.NewReplacer("{thing}", thing, "{controller}", string(controller)).Replace(string(t))
}

// Match finds the names in a topic that the template could have given, with
// whatever follows it, "/reply-to=…" above all. Names are whole levels.
func (t TopicTemplate) Match(topic string) (thing string, controller EndpointID, ok bool) {
	want, have := strings.Split(string(t), "/"), strings.Split(topic, "/")
	if len(have) < len(want) {
		return "", "", false
	}
	for i, level := range want {
		switch level {
		case "{thing}":
			thing = have[i]
		case "{controller}":
			controller = EndpointID(have[i])
		default:
			if level != have[i] {
				return "", "", false
			}
		}
	}
	return thing, controller, true
}

// Validate wants each placeholder at most once and as a whole level, and
// nothing that a topic to publish on may not hold.
func (t TopicTemplate) Validate() error {
	for _, level := range strings.Split(string(t), "/") {
		switch {
		case level == "{thing}" || level == "{controller}":
			if strings.Count(string(t), level) > 1 {
				return fmt.Errorf("usp: topic template %q: %s occurs twice", string(t), level)
			}
		case strings.ContainsAny(level, "{}+#\x00"):
			return fmt.Errorf("usp: topic template %q: bad level %q", string(t), level)
		}
	}
	return nil
}
