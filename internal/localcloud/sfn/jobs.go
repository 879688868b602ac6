package sfn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

// startExecution runs states:startExecution in all its patterns.
//
// An execution without a name gets one that follows from the task, so that a
// call made again after a restart does not start a second one.
func (in *integrations) startExecution(ctx context.Context, id awsapi.Identity, t Task) Answer {
	if o, ok := t.Input.Value().(*document.Object); ok {
		if _, named := o.Get("Name"); !named {
			name := derivedName(t)
			t.Input = asl.ValueData(o.With("Name", name))
			machine, _ := o.Get("StateMachineArn")
			arn, _ := machine.(string)
			if machineName, _, err := machineName(arn); err == nil {
				k := key{machineName, name}
				if rec, _, _, err := in.s.load(k); err == nil && rec != nil {
					return in.started(t, rec)
				}
			}
		}
	}
	res := in.generic(ctx, id, t)
	if res.Failed || t.Resource.Pattern == asl.Request || t.Resource.Pattern == asl.Callback {
		return Answer{Result: res}
	}
	o, _ := res.Output.Value().(*document.Object)
	v, _ := o.Get("ExecutionArn")
	arn, _ := v.(string)
	return Answer{Result: res, Job: arn}
}

// derivedName is a name in the form of a UUID for what a task starts.
func derivedName(t Task) string {
	h := sha256.Sum256([]byte(t.ExecutionARN + "\x00" + t.Branch + "\x00" + strconv.Itoa(t.Attempt)))
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// started answers for an execution that the task had started before.
func (in *integrations) started(t Task, rec *executionRecord) Answer {
	o := document.NewObject(document.Member{Name: "ExecutionArn", Value: rec.ARN},
		document.Member{Name: "StartDate", Value: integration.Timestamp(rec.Started)})
	in.metadata(o, integration.TargetOf(t.Resource).MetadataOf(nil))
	a := Answer{Result: asl.Result{Output: asl.ValueData(o)}}
	if t.Resource.Pattern == asl.Sync || t.Resource.Pattern == asl.Sync2 {
		a.Job = rec.ARN
	}
	return a
}

// jobResult is the result of a .sync task: the execution as DescribeExecution shows it.
func jobResult(e integration.Execution, p asl.Pattern) asl.Result {
	data := integration.AsText
	if p == asl.Sync2 {
		data = integration.AsJSON
	}
	o := e.Document(data, integration.InMilliseconds)
	if e.Status == asl.Succeeded {
		return asl.Result{Output: asl.ValueData(o)}
	}
	return asl.Failing("States.TaskFailed", document.Text(o))
}
