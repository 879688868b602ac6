package sfn

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// maxRead is how many bytes an ItemReader may fetch in all.
const maxRead = 1 << 30

// read fetches what a Map state's ItemReader names: an object of S3, a listing, or
// the objects that a manifest or a listing names. Objects may be compressed by
// gzip.
//
// Source: Step Functions Developer Guide, "ItemReader (Map)"; Amazon S3 User Guide,
// "Inventory manifest".
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
	bucket, _ := args.Get("Bucket")
	from, _ := bucket.(string)
	if t.Resource.Action == "listObjectsV2" {
		listed, err := s3.list(ctx, args)
		if err != nil || !t.Flatten {
			return document.NewObject(document.Member{Name: "Contents", Value: listed}, document.Member{Name: "Source",
				Value: "S3://" + from}), err
		}
		var objects []any
		for _, e := range listed {
			entry, _ := e.(*document.Object)
			key, _ := entry.Get("Key")
			name, _ := key.(string)
			if size, _ := entry.Get("Size"); strings.HasSuffix(name, "/") && document.Equal(size, document.Int(0)) {
				continue // a folder of the console
			}
			o, err := s3.object(ctx, from, name)
			if err != nil {
				return nil, err
			}
			objects = append(objects, o)
		}
		return document.NewObject(document.Member{Name: "Objects", Value: objects}), nil
	}
	body, err := s3.get(ctx, args)
	if err != nil {
		return nil, err
	}
	switch t.Manifest {
	case "S3_INVENTORY":
		return s3.inventory(ctx, from, body)
	case "ATHENA_DATA":
		return s3.athena(ctx, body)
	}
	key, _ := args.Get("Key")
	return document.NewObject(document.Member{Name: "Body", Value: string(body)}, document.Member{Name: "Source",
		Value: fmt.Sprintf("S3://%s/%v", from, key)}), nil
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
	body := out.Body
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(io.LimitReader(r, maxRead+1))
		}
		if err != nil {
			return nil, awsapi.Errorf("InvalidObject", "The object is not valid gzip: %v", err)
		}
	}
	if s.read += len(body); s.read > maxRead {
		return nil, awsapi.Errorf("InvalidObject", "The items have more than %d bytes.", maxRead)
	}
	return body, nil
}

// object fetches an object that a manifest or a listing names.
func (s *itemSource) object(ctx context.Context, bucket, key string) (*document.Object, error) {
	body, err := s.get(ctx, document.NewObject(document.Member{Name: "Bucket", Value: bucket},
		document.Member{Name: "Key", Value: key}))
	return document.NewObject(document.Member{Name: "Body", Value: string(body)}, document.Member{Name: "Source",
		Value: "S3://" + bucket + "/" + key}), err
}

// list lists objects, all pages of them.
func (s *itemSource) list(ctx context.Context, args *document.Object) ([]any, error) {
	listed := []any{}
	for {
		var page struct {
			Contents []struct {
				Key          string
				ETag         string
				Size         int64
				LastModified awsapi.Time
				StorageClass string
			}
			IsTruncated           bool
			NextContinuationToken string
		}
		if err := s.call(ctx, "ListObjectsV2", json.RawMessage(document.Text(args)), &page); err != nil {
			return nil, err
		}
		for _, c := range page.Contents {
			listed = append(listed, document.NewObject(
				document.Member{Name: "Etag", Value: c.ETag},
				document.Member{Name: "Key", Value: c.Key},
				document.Member{Name: "LastModified", Value: document.Int(c.LastModified.Unix())},
				document.Member{Name: "Size", Value: document.Int(c.Size)},
				document.Member{Name: "StorageClass", Value: c.StorageClass},
			))
		}
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return listed, nil
		}
		args = args.With("ContinuationToken", page.NextContinuationToken)
	}
}

// inventory fetches the files of an S3 inventory.
func (s *itemSource) inventory(ctx context.Context, bucket string, body []byte) (*document.Object, error) {
	var manifest struct {
		DestinationBucket string `json:"destinationBucket"`
		FileFormat        string `json:"fileFormat"`
		FileSchema        string `json:"fileSchema"`
		Files             []struct {
			Key string `json:"key"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &manifest); err != nil {
		return nil, awsapi.Errorf("InvalidManifest", "The manifest of the S3 inventory is not valid JSON.")
	}
	if manifest.FileFormat != "" && manifest.FileFormat != "CSV" {
		return nil, awsapi.NotBuilt("an S3 inventory in the format " + manifest.FileFormat)
	}
	if _, name, ok := strings.Cut(manifest.DestinationBucket, ":::"); ok {
		bucket = name
	}
	headers := []any{}
	for _, h := range strings.Split(manifest.FileSchema, ",") {
		headers = append(headers, strings.TrimSpace(h))
	}
	var objects []any
	for _, f := range manifest.Files {
		o, err := s.object(ctx, bucket, f.Key)
		if err != nil {
			return nil, err
		}
		o.Set("Headers", headers)
		objects = append(objects, o)
	}
	return document.NewObject(document.Member{Name: "Objects", Value: objects}), nil
}

// athena fetches the files that an Athena query has unloaded: their addresses are
// the lines of the manifest.
func (s *itemSource) athena(ctx context.Context, body []byte) (*document.Object, error) {
	rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil {
		return nil, awsapi.Errorf("InvalidManifest", "The manifest of the Athena query is not valid.")
	}
	var objects []any
	for _, row := range rows {
		address, ok := strings.CutPrefix(row[0], "s3://")
		bucket, key, found := strings.Cut(address, "/")
		if !ok || !found {
			return nil, awsapi.Errorf("InvalidManifest",
				"The manifest of the Athena query has no S3 URI in the line '%s'.", row[0])
		}
		o, err := s.object(ctx, bucket, key)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return document.NewObject(document.Member{Name: "Objects", Value: objects}), nil
}
