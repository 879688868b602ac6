package distributedmap

import (
	"encoding/json"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

// Writer is a ResultWriter: where the results of a Map Run go, and in which form.
type Writer struct {
	MapRunARN      string
	Bucket, Prefix string
	Transformation string // NONE, COMPACT or FLATTEN
	Lines          bool   // JSONL
}

// NewWriter reads what a Map state says of its ResultWriter. export says that the results go to S3; otherwise they are
// the state's result.
func NewWriter(input *document.Object, export bool) Writer {
	parameters, config := object(input, "Parameters"), object(input, "Config")
	w := Writer{
		MapRunARN: text(input, "MapRunArn"), Bucket: text(parameters, "Bucket"),
		Prefix: strings.TrimSuffix(text(parameters, "Prefix"), "/"), Transformation: text(config, "Transformation"),
		Lines: text(config, "OutputType") == "JSONL",
	}
	if w.Transformation == "" {
		w.Transformation = "COMPACT"
		if export {
			w.Transformation = "NONE"
		}
	}
	return w
}

func object(o *document.Object, name string) *document.Object {
	v, _ := o.Get(name)
	if out, ok := v.(*document.Object); ok {
		return out
	}
	return &document.Object{}
}

func text(o *document.Object, name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

// transformed is what a child contributes to the results: its output, the elements of its output, or all about it. Of
// a child that failed it is always the last.
func (w Writer) transformed(e *integration.Execution) []any {
	if e.Status == asl.Succeeded && e.Output != nil && w.Transformation != "NONE" {
		if v, err := document.ParseString(*e.Output); err == nil {
			if list, ok := v.([]any); ok && w.Transformation == "FLATTEN" {
				return list
			}
			return []any{v}
		}
	}
	return []any{e.Document(integration.AsText, integration.InISO8601)}
}

// formatted writes results as an array or as lines.
func (w Writer) formatted(results []any) []byte {
	if !w.Lines {
		return document.Append(nil, results)
	}
	var b []byte
	for _, r := range results {
		b = append(document.Append(b, r), '\n')
	}
	return b
}

// Result is the result of a Map state whose results go nowhere else, from its children in order.
func (w Writer) Result(children []integration.Execution) any {
	all := []any{}
	for i := range children {
		all = append(all, w.transformed(&children[i])...)
	}
	if w.Lines {
		return string(w.formatted(all))
	}
	return all
}

// Output is a file of results.
type Output struct {
	Key  string
	Body []byte
}

// Export makes the files of the children that succeeded and of those that failed, and the manifest that names them,
// which is the last. The state's result names the manifest.
func (w Writer) Export(children []integration.Execution) (files []Output, result *document.Object, err error) {
	folder := w.MapRunARN[strings.LastIndexByte(w.MapRunARN, ':')+1:]
	if w.Prefix != "" {
		folder = w.Prefix + "/" + folder
	}
	var succeeded, failed []any
	for i := range children {
		if children[i].Status == asl.Succeeded {
			succeeded = append(succeeded, w.transformed(&children[i])...)
		} else {
			failed = append(failed, w.transformed(&children[i])...)
		}
	}
	type listed struct {
		Key  string
		Size int
	}
	list := map[string][]listed{"SUCCEEDED": {}, "FAILED": {}, "PENDING": {}}
	for _, f := range []struct {
		status  string
		results []any
	}{{asl.Succeeded, succeeded}, {asl.Failed, failed}} {
		if f.results == nil {
			continue
		}
		out := Output{folder + "/" + f.status + "_0.json", w.formatted(f.results)}
		files = append(files, out)
		list[f.status] = append(list[f.status], listed{out.Key, len(out.Body)})
	}
	manifest, err := json.Marshal(struct {
		DestinationBucket string
		MapRunArn         string
		ResultFiles       map[string][]listed
	}{w.Bucket, w.MapRunARN, list})
	if err != nil {
		return nil, nil, err
	}
	files = append(files, Output{folder + "/manifest.json", manifest})
	return files, document.NewObject(
		document.Member{Name: "MapRunArn", Value: w.MapRunARN},
		document.Member{Name: "ResultWriterDetails", Value: document.NewObject(
			document.Member{Name: "Bucket", Value: w.Bucket},
			document.Member{Name: "Key", Value: folder + "/manifest.json"},
		)},
	), nil
}
