package sfn

import (
	"bytes"
	"compress/gzip"
	"context"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// objects is an S3 of a few objects; it lists two at a time.
func objects(files map[string]string) awsapi.Service {
	type getIn struct{ Bucket, Key string }
	type getOut struct{ Body []byte }
	type listIn struct{ Bucket, Prefix, ContinuationToken string }
	type listed struct {
		Key          string
		Size         int
		ETag         string
		LastModified awsapi.Time
		StorageClass string
	}
	type listOut struct {
		Contents              []listed
		IsTruncated           bool
		NextContinuationToken string
	}
	return awsapi.Service{ID: "s3", Prefix: "s3", Operations: []awsapi.Operation{
		awsapi.Op("GetObject", func(_ context.Context, _ *awsapi.Call, in *getIn) (*getOut, error) {
			body, ok := files[in.Bucket+"/"+in.Key]
			if !ok {
				return nil, awsapi.Errorf("NoSuchKey", "The specified key does not exist.")
			}
			return &getOut{[]byte(body)}, nil
		}),
		awsapi.Op("ListObjectsV2", func(_ context.Context, _ *awsapi.Call, in *listIn) (*listOut, error) {
			var keys []string
			for name := range files {
				if key, ok := strings.CutPrefix(name, in.Bucket+"/"); ok && strings.HasPrefix(key, in.Prefix) &&
					key > in.ContinuationToken {
					keys = append(keys, key)
				}
			}
			sort.Strings(keys)
			out := &listOut{}
			for i, key := range keys {
				if i == 2 {
					out.IsTruncated, out.NextContinuationToken = true, keys[1]
					break
				}
				out.Contents = append(out.Contents, listed{key, len(files[in.Bucket+"/"+key]), `"e"`, awsapi.Time{Time: time.Unix(9, 0)}, "STANDARD"})
			}
			return out, nil
		}),
	}}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestItemsAreRead(t *testing.T) {
	files := map[string]string{
		"b/rows.csv":      "id;name\n1;\"a;b\"\n2\n3;c;more\n",
		"b/rows.jsonl":    "{\"n\":1}\n\n[2]\n",
		"b/deep.json":     `{"a":{"list/s":[1,2]}}`,
		"b/zip.json":      zipped(`[7]`),
		"b/many/":         "",
		"b/many/1.jsonl":  "1\n2\n",
		"b/many/2.jsonl":  "3\n",
		"b/many/3.jsonl":  "4\n",
		"b/manifest.json": `{"sourceBucket":"src","destinationBucket":"arn:aws:s3:::inv","fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"d/1.csv.gz"}]}`,
		"inv/d/1.csv.gz":  zipped("\"src\",\"k 1\",\"10\"\n\"src\",\"k2\",\"20\"\n"),
		"b/athena.csv":    "s3://b/many/1.jsonl\ns3://b/many/3.jsonl\n",
		"b/bad.json":      `{"a":1}`,
	}
	for _, c := range []struct{ name, reader, parameters, want string }{
		{"CSV with a delimiter",
			`"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW","CSVDelimiter":"SEMICOLON"`, `"Key":"rows.csv"`,
			`[{"name":"a;b","id":"1"},{"name":"","id":"2"},{"name":"c","id":"3"}]`},
		{"CSV with names given", `"InputType":"CSV","CSVHeaderLocation":"GIVEN","CSVHeaders":["x"],"MaxItems":2`, `"Key":"rows.csv"`, `[{"x":"id;name"},{"x":"1;\"a;b\""}]`},
		{"columns in the order of a Java HashMap",
			`"InputType":"CSV","CSVHeaderLocation":"GIVEN","CSVHeaders":["0","True","{}"],"MaxItems":1`, `"Key":"rows.jsonl"`, `[{"0":"{\"n\":1}","{}":"","True":""}]`},
		{"lines", `"InputType":"JSONL"`, `"Key":"rows.jsonl"`, `[{"n":1},[2]]`},
		{"a pointer", `"InputType":"JSON","ItemsPointer":"/a/list~1s"`, `"Key":"deep.json"`, `[1,2]`},
		{"compressed", `"InputType":"JSON"`, `"Key":"zip.json"`, `[7]`},
		{"all objects of a prefix", `"InputType":"JSONL","Transformation":"LOAD_AND_FLATTEN"`, `"Prefix":"many/"`, `[1,2,3,4]`},
		{"an inventory", `"InputType":"MANIFEST"`, `"Key":"manifest.json"`,
			`[{"Bucket":"src","Size":"10","Key":"k 1"},{"Bucket":"src","Size":"20","Key":"k2"}]`},
		{"an unloaded query", `"ManifestType":"ATHENA_DATA","InputType":"JSONL"`, `"Key":"athena.csv"`, `[1,2,4]`},
		{"a listing", `"MaxItems":1`, `"Prefix":"many/"`, `[{"Etag":"\"e\"","Key":"many/","LastModified":9,"Size":0,"StorageClass":"STANDARD"}]`},
		{"no such object", `"InputType":"JSON"`, `"Key":"none"`, `States.ItemReaderFailed: The specified key does not exist.`},
		{"nothing to iterate over", `"InputType":"JSON"`, `"Key":"bad.json"`, `States.ItemReaderFailed: Attempting to map over non-iterable node.`},
		{"a pointer to nothing", `"InputType":"JSON","ItemsPointer":"/x"`, `"Key":"bad.json"`, `States.ItemReaderFailed: The ItemsPointer /x does not exist.`},
		{"a version of a Parquet file", `"InputType":"PARQUET"`, `"Key":"bad.json","VersionId":"v"`,
			`States.ItemReaderFailed: S3 Version ID selection is not currently supported for PARQUET files`},
		{"a format that is not built", `"InputType":"PARQUET"`, `"Key":"bad.json"`, `States.ItemReaderFailed: The InputType PARQUET is not built in this local cloud.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := virtual(t)
			w.door.Add(objects(files))
			action := "getObject"
			if strings.Contains(c.parameters, "Prefix") {
				action = "listObjectsV2"
			}
			e := w.start(w.create("m", distributed("STANDARD", `"ItemReader":{"Resource":"arn:aws:states:::s3:`+action+`","ReaderConfig":{`+c.reader+`},"Parameters":{"Bucket":"b",`+c.parameters+`}},`,
				`"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}`)), "e", `{}`)
			w.sched.RunFor(time.Second)
			d := w.describe(e)
			got, _ := d["output"].(string)
			if d["status"] == "FAILED" {
				got = d["error"].(string) + ": " + d["cause"].(string)
			}
			if got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestItemsKnowTheirSource(t *testing.T) {
	w := virtual(t)
	w.door.Add(objects(map[string]string{"b/1": "1\n2\n", "b/2": "3\n"}))
	reader := `"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2","ReaderConfig":{"InputType":"JSONL","Transformation":"LOAD_AND_FLATTEN"},"Parameters":{"Bucket":"b"}},`
	processor := `"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}`
	e := w.start(w.create("m", distributed("STANDARD", reader+`"ItemSelector":{"s.$":"$$.Map.Item.Source"},`, processor)), "e", `{}`)
	f := w.start(w.create("n", distributed("STANDARD", `"ItemSelector":{"s.$":"$$.Map.Item.Source"},`, processor)), "e", `[1]`)
	w.sched.RunFor(time.Second)
	if d := w.describe(e); d["output"] != `[{"s":"s3://b/1"},{"s":"s3://b/1"},{"s":"s3://b/2"}]` {
		t.Errorf("%v", d)
	}
	if d := w.describe(f); d["output"] != `[{"s":"STATE_DATA"}]` {
		t.Errorf("%v", d)
	}
}

// TestBatchesFitIntoAnInput: without a limit of its own, a batch is as large as an input may be. An item that is
// larger by itself fails.
func TestBatchesFitIntoAnInput(t *testing.T) {
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	many := "[" + strings.TrimSuffix(strings.Repeat(text(10000)+",", 40), ",") + "]"
	for body, want := range map[string]string{
		many:                          `[26,14]`,
		"[" + text(asl.MaxData) + "]": "States.DataLimitExceeded",
	} {
		w := virtual(t)
		w.door.Add(objects(map[string]string{"b/k": body}))
		e := w.start(w.create("m", distributed("STANDARD", `"ItemBatcher":{"MaxItemsPerBatch":100},"ItemReader":{
		 "Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"JSON"},
		 "Parameters":{"Bucket":"b","Key":"k"}},`,
			`"StartAt":"P","States":{"P":{"Type":"Pass","QueryLanguage":"JSONata","End":true,
			 "Output":"{% $count($states.input.Items) %}"}}`)), "e", `{}`)
		w.sched.RunFor(time.Second)
		d := w.describe(e)
		got, _ := d["output"].(string)
		if d["status"] == "FAILED" {
			got = d["error"].(string)
		}
		if got != want {
			t.Errorf("%d bytes: %v instead of %s", len(body), d, want)
		}
	}
}
