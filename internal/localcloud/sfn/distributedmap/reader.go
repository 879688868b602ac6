package distributedmap

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// MaxRead is how many bytes an ItemReader may fetch in all.
const MaxRead = 1 << 30

// Unzip is the body of an object, which may be compressed by gzip.
func Unzip(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(r, MaxRead+1))
	}
	if err != nil {
		return nil, awsapi.Errorf("InvalidObject", "The object is not valid gzip: %v", err)
	}
	return body, nil
}

// File is an object that holds items.
type File struct {
	Bucket, Key string
	Headers     []any // of its columns, if the manifest has them
}

// Source is the address of an object, or of a bucket, as the context object shows it.
func Source(bucket, key string) string {
	if key == "" {
		return "s3://" + bucket
	}
	return "s3://" + bucket + "/" + key
}

// Read is a file that was fetched, as a Map state takes it.
func (f File) Read(body []byte) *document.Object {
	o := document.NewObject(
		document.Member{Name: "Body", Value: string(body)},
		document.Member{Name: "Source", Value: Source(f.Bucket, f.Key)},
	)
	if f.Headers != nil {
		o.Set("Headers", f.Headers)
	}
	return o
}

// Inventory are the files of an S3 inventory whose manifest lies in a bucket.
func Inventory(bucket string, manifest []byte) ([]File, error) {
	var m struct {
		DestinationBucket string `json:"destinationBucket"`
		FileFormat        string `json:"fileFormat"`
		FileSchema        string `json:"fileSchema"`
		Files             []struct {
			Key string `json:"key"`
		} `json:"files"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, awsapi.Errorf("InvalidManifest", "The manifest of the S3 inventory is not valid JSON.")
	}
	if m.FileFormat != "" && m.FileFormat != "CSV" {
		return nil, awsapi.NotBuilt("an S3 inventory in the format " + m.FileFormat)
	}
	if _, name, ok := strings.Cut(m.DestinationBucket, ":::"); ok {
		bucket = name
	}
	headers := []any{}
	for _, h := range strings.Split(m.FileSchema, ",") {
		headers = append(headers, strings.TrimSpace(h))
	}
	var files []File
	for _, f := range m.Files {
		files = append(files, File{bucket, f.Key, headers})
	}
	return files, nil
}

// Athena are the files that an Athena query has unloaded: their addresses are the lines of the manifest.
func Athena(manifest []byte) ([]File, error) {
	rows, err := csv.NewReader(bytes.NewReader(manifest)).ReadAll()
	if err != nil {
		return nil, awsapi.Errorf("InvalidManifest", "The manifest of the Athena query is not valid.")
	}
	var files []File
	for _, row := range rows {
		address, ok := strings.CutPrefix(row[0], "s3://")
		bucket, key, found := strings.Cut(address, "/")
		if !ok || !found {
			return nil, awsapi.Errorf("InvalidManifest",
				"The manifest of the Athena query has no S3 URI in the line '%s'.", row[0])
		}
		files = append(files, File{Bucket: bucket, Key: key})
	}
	return files, nil
}

// Entry is an object of a listing.
type Entry struct {
	Key          string
	ETag         string
	Size         int64
	LastModified awsapi.Time
	StorageClass string
}

// Folder reports whether the entry is a folder that the console has made, and holds no items.
func (e Entry) Folder() bool { return strings.HasSuffix(e.Key, "/") && e.Size == 0 }

// Item is the entry as an item.
func (e Entry) Item() *document.Object {
	return document.NewObject(
		document.Member{Name: "Etag", Value: e.ETag},
		document.Member{Name: "Key", Value: e.Key},
		document.Member{Name: "LastModified", Value: document.Int(e.LastModified.Unix())},
		document.Member{Name: "Size", Value: document.Int(e.Size)},
		document.Member{Name: "StorageClass", Value: e.StorageClass},
	)
}
