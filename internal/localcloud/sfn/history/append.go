package history

import (
	"bytes"
	"maps"
	"slices"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// Append writes an event in the form of the API.
func Append(b []byte, e *asl.Event) []byte {
	b = append(b, `{"timestamp":`...)
	b = appendSeconds(b, e.Time.UnixMilli())
	b = append(b, `,"type":"`...)
	b = append(b, e.Type...)
	b = append(b, `","id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"previousEventId":`...)
	b = strconv.AppendInt(b, e.Previous, 10)
	kind, member := asl.Details(e.Type)
	if kind == asl.NoDetails {
		return append(b, '}')
	}
	b = append(b, ',', '"')
	b = append(b, member...)
	b = append(b, `":{`...)
	first := true
	name := func(n string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, n...)
		b = append(b, '"', ':')
	}
	text := func(n, v string) {
		if v != "" {
			name(n)
			b = jsontext.AppendString(b, v)
		}
	}
	optional := func(n string, v *string) {
		if v != nil {
			name(n)
			b = jsontext.AppendString(b, *v)
		}
	}
	number := func(n string, v int64) {
		name(n)
		b = strconv.AppendInt(b, v, 10)
	}
	data := func(n string, d *asl.Data) {
		if d == nil {
			return
		}
		name(n)
		b = jsontext.AppendString(b, d.Text())
		name(n + "Details")
		b = append(b, `{"truncated":false}`...)
	}
	limits := func() {
		if e.Timeout > 0 {
			number("timeoutInSeconds", e.Timeout)
		}
		if e.Heartbeat > 0 {
			number("heartbeatInSeconds", e.Heartbeat)
		}
		if e.Credentials != "" {
			name("taskCredentials")
			b = append(b, `{"roleArn":`...)
			b = jsontext.AppendString(b, e.Credentials)
			b = append(b, '}')
		}
	}
	switch kind {
	case asl.ExecutionStarted:
		data("input", e.Input)
		text("roleArn", e.RoleARN)
		text("stateMachineAliasArn", e.AliasARN)
		text("stateMachineVersionArn", e.VersionARN)
	case asl.ExecutionEnded, asl.OnlyOutput:
		data("output", e.Output)
	case asl.OnlyError:
		optional("error", e.Error)
		optional("cause", e.Cause)
	case asl.ExecutionRedriven:
		number("redriveCount", int64(e.RedriveCount))
	case asl.StateEntered:
		text("name", e.Name)
		data("input", e.Input)
	case asl.StateExited:
		text("name", e.Name)
		data("output", e.Output)
		if e.Assigned != nil {
			name("assignedVariables")
			b = append(b, '{')
			comma := false
			for _, k := range slices.Sorted(maps.Keys(e.Assigned)) {
				v := e.Assigned[k]
				if comma {
					b = append(b, ',')
				}
				comma = true
				b = jsontext.AppendString(b, k)
				b = append(b, ':')
				b = jsontext.AppendString(b, v)
			}
			b = append(b, '}')
			name("assignedVariablesDetails")
			b = append(b, `{"truncated":false}`...)
		}
	case asl.TaskScheduled:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		text("region", e.Region)
		name("parameters")
		b = jsontext.AppendString(b, e.Parameters.Text())
		limits()
	case asl.TaskStarted:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
	case asl.TaskOutput:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		data("output", e.Output)
	case asl.TaskFailed:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		optional("error", e.Error)
		optional("cause", e.Cause)
	case asl.LambdaScheduled, asl.ActivityScheduled:
		text("resource", e.Resource)
		data("input", e.Input)
		limits()
	case asl.ActivityStarted:
		text("workerName", e.Worker)
	case asl.MapStarted:
		number("length", int64(e.Length))
	case asl.MapIteration:
		text("name", e.Name)
		number("index", int64(e.Index))
	case asl.MapRunStarted:
		text("mapRunArn", e.MapRunARN)
	case asl.MapRunRedriven:
		text("mapRunArn", e.MapRunARN)
		number("redriveCount", int64(e.RedriveCount))
	case asl.Evaluation:
		optional("error", e.Error)
		optional("cause", e.Cause)
		text("location", e.Location)
		text("state", e.State)
	}
	return append(b, '}', '}')
}

// appendSeconds writes milliseconds as seconds.
func appendSeconds(b []byte, millis int64) []byte {
	if millis < 0 {
		return strconv.AppendFloat(b, float64(millis)/1000, 'f', -1, 64)
	}
	b = strconv.AppendInt(b, millis/1000, 10)
	if millis %= 1000; millis == 0 {
		return b
	}
	b = append(b, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10))
	return bytes.TrimRight(b, "0")
}
