package sfn

import (
	"context"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/distributedmap"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

// write makes the result of a Map state with a ResultWriter. With a Resource the results of the Map Run go to S3: a
// file for the children that succeeded, one for those that failed, and a manifest that names them; else they are the
// result.
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
	input, ok := t.Input.Value().(*document.Object)
	if !ok {
		input = &document.Object{}
	}
	export := t.Resource.Action != ""
	w := distributedmap.NewWriter(input, export)
	children, err := in.results(t.ExecutionARN, w.MapRunARN)
	if err != nil {
		return fail(err)
	}
	if !export {
		return asl.Result{Output: asl.ValueData(w.Result(children))}
	}
	if t.Resource.Service != "s3" || t.Resource.Action != "putObject" || w.Bucket == "" {
		return fail(awsapi.NotBuilt("a ResultWriter other than arn:aws:states:::s3:putObject with a Bucket"))
	}
	files, result, err := w.Export(children)
	if err != nil {
		return fail(err)
	}
	for _, f := range files {
		if _, err := in.s.Caller.Call(ctx, id, "s3", "PutObject", map[string]any{
			"Bucket": w.Bucket, "Key": f.Key, "Body": f.Body, "ContentType": "application/json",
		}); err != nil {
			return fail(err)
		}
	}
	return asl.Result{Output: asl.ValueData(result)}
}

// results are the children of a Map Run, in the order of their items.
func (in *integrations) results(executionARN, mapRunARN string) ([]integration.Execution, error) {
	k, err := executionOf(executionARN)
	if err != nil {
		return nil, err
	}
	children, err := in.s.childrenOf(k.Machine, mapRunARN)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(children, func(a, b executionRecord) int { return a.Child.index() - b.Child.index() })
	var out []integration.Execution
	for i := range children {
		rec := &children[i]
		e, err := in.s.shownExecution(rec)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// index is the child's place among the items, or batches of them.
func (c *child) index() int {
	return number(c.Branch[strings.LastIndexByte(c.Branch, '/')+1:])
}
