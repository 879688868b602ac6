package sfn

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// write makes the result of a Map state with a ResultWriter. With a Resource the
// results of the Map Run go to S3: a file for the children that succeeded, one for
// those that failed, and a manifest that names them; else they are the result.
//
// Source: Step Functions Developer Guide, "ResultWriter (Map)".
func (in *integrations) write(ctx context.Context, t Task) asl.Result {
	fail := func(err error) asl.Result {
		return asl.Failing("States.ResultWriterFailed", awsapi.AsError(err).Message)
	}
	id, err := in.identity(ctx, t)
	if err != nil {
		return fail(err)
	}
	o, _ := t.Input.Value().(*document.Object)
	object := func(name string) *document.Object {
		v, _ := o.Get(name)
		out, ok := v.(*document.Object)
		if !ok {
			return &document.Object{}
		}
		return out
	}
	text := func(o *document.Object, name string) string {
		v, _ := o.Get(name)
		s, _ := v.(string)
		return s
	}
	parameters, config, run := object("Parameters"), object("Config"), text(o, "MapRunArn")
	k, ok := in.s.executionKey(t.ExecutionARN)
	if !ok {
		return fail(awsapi.Errorf("InvalidArn", "Invalid Arn: '%s'", t.ExecutionARN))
	}
	children, err := in.s.childrenOf(k.Machine, run)
	if err != nil {
		return fail(err)
	}
	slices.SortStableFunc(children, func(a, b executionRecord) int { return a.Child.index() - b.Child.index() })
	export := t.Resource.Action != ""
	transformation := text(config, "Transformation")
	if transformation == "" {
		transformation = "COMPACT"
		if export {
			transformation = "NONE"
		}
	}
	lines := text(config, "OutputType") == "JSONL"
	if !export {
		all := []any{}
		for i := range children {
			all = append(all, in.s.transformed(&children[i], transformation)...)
		}
		if lines {
			return asl.Result{Output: asl.ValueData(string(formatted(all, true)))}
		}
		return asl.Result{Output: asl.ValueData(all)}
	}
	bucket := text(parameters, "Bucket")
	if t.Resource.Service != "s3" || t.Resource.Action != "putObject" || bucket == "" {
		return fail(awsapi.NotBuilt("a ResultWriter other than arn:aws:states:::s3:putObject with a Bucket"))
	}
	folder := run[strings.LastIndexByte(run, ':')+1:]
	if prefix := strings.TrimSuffix(text(parameters, "Prefix"), "/"); prefix != "" {
		folder = prefix + "/" + folder
	}
	put := func(key string, body []byte) error {
		_, err := in.s.Caller.Call(ctx, id, "s3", "PutObject", map[string]any{"Bucket": bucket, "Key": key,
			"Body": body, "ContentType": "application/json"})
		return err
	}
	files := map[string][]any{}
	for i := range children {
		status := asl.Failed
		if children[i].Status == asl.Succeeded {
			status = asl.Succeeded
		}
		files[status] = append(files[status], in.s.transformed(&children[i], transformation)...)
	}
	listed := map[string][]map[string]any{"SUCCEEDED": {}, "FAILED": {}, "PENDING": {}}
	for _, status := range []string{asl.Succeeded, asl.Failed} {
		if files[status] == nil {
			continue
		}
		key := folder + "/" + status + "_0.json"
		body := formatted(files[status], lines)
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

// index is the child's place among the items, or batches of them.
func (c *child) index() int {
	return number(c.Branch[strings.LastIndexByte(c.Branch, '/')+1:])
}

// formatted writes results as an array or as lines.
func formatted(results []any, lines bool) []byte {
	if !lines {
		return document.Append(nil, results)
	}
	var b []byte
	for _, r := range results {
		b = append(document.Append(b, r), '\n')
	}
	return b
}

// transformed is what a child contributes to the results: its output, the elements
// of its output, or all about it. Of a child that failed it is always the last.
func (s *Service) transformed(rec *executionRecord, transformation string) []any {
	if rec.Status == asl.Succeeded && rec.Output != nil && transformation != "NONE" {
		v, err := document.ParseString(*rec.Output)
		if err == nil {
			if list, ok := v.([]any); ok && transformation == "FLATTEN" {
				return list
			}
			return []any{v}
		}
	}
	o := &document.Object{}
	text := func(name string, v *string) {
		if v != nil {
			o.Set(name, *v)
		}
	}
	data := func(name string, v *string) {
		if v != nil {
			o.Set(name, *v)
			o.Set(name+"Details", document.NewObject(document.Member{Name: "Included", Value: true}))
		}
	}
	text("Cause", rec.Cause)
	text("Error", rec.Error)
	o.Set("ExecutionArn", rec.ARN)
	data("Input", &rec.Input)
	o.Set("Name", rec.name())
	data("Output", rec.Output)
	o.Set("RedriveCount", document.Int(int64(rec.RedriveCount)))
	status, reason := redriveStatus(rec)
	o.Set("RedriveStatus", status)
	if reason != "" {
		o.Set("RedriveStatusReason", reason)
	}
	o.Set("StartDate", timestamp(rec.Started))
	o.Set("StateMachineArn", s.arn("stateMachine", rec.machine()))
	o.Set("Status", rec.Status)
	o.Set("StopDate", timestamp(rec.Stopped))
	return []any{o}
}
