package sfn

import (
	"context"
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/distributedmap"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// read fetches what a Map state's ItemReader names: an object of S3, a listing, or the objects that a manifest or a
// listing names. Objects may be compressed by gzip.
//
// Source: Step Functions Developer Guide, "ItemReader (Map)".
func (in *integrations) read(ctx context.Context, t Task) asl.Result {
	out, err := in.fetch(ctx, t)
	if err != nil {
		return asl.Failing("States.ItemReaderFailed", awsapi.AsError(err).Message)
	}
	return asl.Result{Output: asl.ValueData(out)}
}

func (in *integrations) fetch(ctx context.Context, t Task) (*document.Object, error) {
	id, err := in.identity(ctx, t)
	if err != nil {
		return nil, err
	}
	s3 := &itemSource{in: in, id: id}
	args, _ := t.Input.Value().(*document.Object)
	if args == nil {
		return nil, awsapi.Errorf("ValidationException", "The parameters of an ItemReader must be an object.")
	}
	text := func(name string) string {
		v, _ := args.Get(name)
		s, _ := v.(string)
		return s
	}
	bucket := text("Bucket")
	if _, versioned := args.Get("VersionId"); versioned && t.Format == "PARQUET" {
		return nil, awsapi.Errorf("ValidationException",
			"S3 Version ID selection is not currently supported for PARQUET files")
	}
	if t.Resource.Action == "listObjectsV2" {
		return s3.listing(ctx, bucket, args, t.Flatten)
	}
	body, err := s3.get(ctx, args)
	if err != nil {
		return nil, err
	}
	switch t.Manifest {
	case "S3_INVENTORY":
		files, err := distributedmap.Inventory(bucket, body)
		if err != nil {
			return nil, err
		}
		return s3.objects(ctx, files)
	case "ATHENA_DATA":
		files, err := distributedmap.Athena(body)
		if err != nil {
			return nil, err
		}
		return s3.objects(ctx, files)
	}
	return distributedmap.File{Bucket: bucket, Key: text("Key")}.Read(body), nil
}

// itemSource reads from S3 for one ItemReader.
type itemSource struct {
	in   *integrations
	id   awsapi.Identity
	read int
}

func (s *itemSource) call(ctx context.Context, operation string, args any, into any) error {
	out, err := s.in.s.Caller.Call(ctx, s.id, "s3", operation, args)
	if err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// get fetches an object, not compressed.
func (s *itemSource) get(ctx context.Context, args *document.Object) ([]byte, error) {
	var out struct{ Body []byte }
	if err := s.call(ctx, "GetObject", json.RawMessage(document.Text(args)), &out); err != nil {
		return nil, err
	}
	body, err := distributedmap.Unzip(out.Body)
	if err != nil {
		return nil, err
	}
	if s.read += len(body); s.read > distributedmap.MaxRead {
		return nil, awsapi.Errorf("InvalidObject", "The items have more than %d bytes.", distributedmap.MaxRead)
	}
	return body, nil
}

// objects fetches the files that a manifest or a listing names.
func (s *itemSource) objects(ctx context.Context, files []distributedmap.File) (*document.Object, error) {
	var objects []any
	for _, f := range files {
		body, err := s.get(ctx, document.NewObject(
			document.Member{Name: "Bucket", Value: f.Bucket}, document.Member{Name: "Key", Value: f.Key}))
		if err != nil {
			return nil, err
		}
		objects = append(objects, f.Read(body))
	}
	return document.NewObject(document.Member{Name: "Objects", Value: objects}), nil
}

// listing lists objects, or fetches those that are listed.
func (s *itemSource) listing(ctx context.Context, bucket string, args *document.Object,
	fetch bool) (*document.Object, error) {
	listed, err := s.list(ctx, args)
	if err != nil {
		return nil, err
	}
	if fetch {
		var files []distributedmap.File
		for _, e := range listed {
			if !e.Folder() {
				files = append(files, distributedmap.File{Bucket: bucket, Key: e.Key})
			}
		}
		return s.objects(ctx, files)
	}
	items := []any{}
	for _, e := range listed {
		items = append(items, e.Item())
	}
	return document.NewObject(
		document.Member{Name: "Contents", Value: items},
		document.Member{Name: "Source", Value: distributedmap.Source(bucket, "")},
	), nil
}

// list lists objects, all pages of them.
func (s *itemSource) list(ctx context.Context, args *document.Object) ([]distributedmap.Entry, error) {
	var listed []distributedmap.Entry
	for {
		var page struct {
			Contents              []distributedmap.Entry
			IsTruncated           bool
			NextContinuationToken string
		}
		if err := s.call(ctx, "ListObjectsV2", json.RawMessage(document.Text(args)), &page); err != nil {
			return nil, err
		}
		listed = append(listed, page.Contents...)
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return listed, nil
		}
		args = args.With("ContinuationToken", page.NextContinuationToken)
	}
}
