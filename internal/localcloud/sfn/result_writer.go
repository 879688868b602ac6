package sfn

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// write exports the results of a Map Run to S3: a file for the children that
// succeeded, one for those that failed, and a manifest that names them.
func (in *integrations) write(ctx context.Context, t Task) asl.Result {
	fail := func(err error) asl.Result {
		return asl.Failing("States.ResultWriterFailed", awsapi.AsError(err).Message)
	}
	id, err := in.identity(ctx, t)
	if err != nil {
		return fail(err)
	}
	o, _ := t.Input.Value().(*document.Object)
	text := func(o *document.Object, name string) string {
		v, _ := o.Get(name)
		s, _ := v.(string)
		return s
	}
	v, _ := o.Get("Parameters")
	parameters, ok := v.(*document.Object)
	bucket := ""
	if ok {
		bucket = text(parameters, "Bucket")
	}
	if t.Resource.Service != "s3" || t.Resource.Action != "putObject" || bucket == "" {
		return fail(awsapi.NotBuilt("a ResultWriter other than arn:aws:states:::s3:putObject with a Bucket"))
	}
	run := text(o, "MapRunArn")
	label := run[strings.LastIndexByte(run, ':')+1:]
	folder := label
	if prefix := strings.TrimSuffix(text(parameters, "Prefix"), "/"); prefix != "" {
		folder = prefix + "/" + label
	}
	put := func(key string, body []byte) error {
		_, err := in.s.Caller.Call(ctx, id, "s3", "PutObject", map[string]any{"Bucket": bucket, "Key": key, "Body": body, "ContentType": "application/json"})
		return err
	}
	now := timestamp(in.s.sched.Now())
	files := map[string][]any{asl.Succeeded: nil, asl.Failed: nil}
	v, _ = o.Get("Children")
	children, _ := v.([]any)
	for i, child := range children {
		c, _ := child.(*document.Object)
		name := fmt.Sprintf("%s-%d", label, i)
		out := document.NewObject(
			document.Member{Name: "ExecutionArn", Value: strings.Replace(run, ":mapRun:", ":execution:", 1) + ":" + name},
			document.Member{Name: "Name", Value: name},
			document.Member{Name: "StateMachineArn", Value: t.MachineARN},
			document.Member{Name: "StopDate", Value: now},
		)
		for _, m := range c.Members() {
			switch m.Name {
			case "Input", "Output":
				out.Set(m.Name, document.Text(m.Value))
				out.Set(m.Name+"Details", document.NewObject(document.Member{Name: "Included", Value: true}))
			default:
				out.Set(m.Name, m.Value)
			}
		}
		status := text(c, "Status")
		files[status] = append(files[status], out)
	}
	listed := map[string][]map[string]any{"SUCCEEDED": {}, "FAILED": {}, "PENDING": {}}
	for _, status := range []string{asl.Succeeded, asl.Failed} {
		if len(files[status]) == 0 {
			continue
		}
		key := folder + "/" + status + "_0.json"
		body := document.Append(nil, files[status])
		if err := put(key, body); err != nil {
			return fail(err)
		}
		listed[status] = append(listed[status], map[string]any{"Key": key, "Size": len(body)})
	}
	manifest, err := json.Marshal(map[string]any{"DestinationBucket": bucket, "MapRunArn": run, "ResultFiles": listed})
	if err != nil {
		return fail(err)
	}
	key := folder + "/manifest.json"
	if err := put(key, manifest); err != nil {
		return fail(err)
	}
	return asl.Result{Output: asl.ValueData(document.NewObject(
		document.Member{Name: "MapRunArn", Value: run},
		document.Member{Name: "ResultWriterDetails", Value: document.NewObject(
			document.Member{Name: "Bucket", Value: bucket},
			document.Member{Name: "Key", Value: key},
		)},
	))}
}
