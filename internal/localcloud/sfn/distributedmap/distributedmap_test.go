package distributedmap

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

func TestObjectsMayBeCompressed(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte("rows")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ body, want string }{
		{"rows", "rows"}, {b.String(), "rows"}, {"", ""}, {"\x1f\x8b nothing", ""}, {b.String()[:b.Len()-2], ""},
	} {
		got, err := Unzip([]byte(tt.body))
		if string(got) != tt.want || (err != nil) != (tt.want == "" && tt.body != "") {
			t.Errorf("%q: got %q, %v", tt.body, got, err)
		}
	}
}

func TestManifestsNameFiles(t *testing.T) {
	inventory := func(m string) ([]File, error) { return Inventory("own", []byte(m)) }
	athena := func(m string) ([]File, error) { return Athena([]byte(m)) }
	for _, tt := range []struct {
		read     func(string) ([]File, error)
		manifest string
		want     string // bucket/key[headers], "" for a refusal
	}{
		{inventory, `{"fileSchema":"Bucket, Key","files":[{"key":"a"},{"key":"b"}]}`,
			"own/a[Bucket Key] own/b[Bucket Key]"},
		{inventory, `{"destinationBucket":"arn:aws:s3:::other","fileFormat":"CSV","fileSchema":"K",` +
			`"files":[{"key":"a"}]}`, "other/a[K]"},
		{inventory, `{"fileFormat":"ORC"}`, ""},
		{inventory, `[`, ""},
		{athena, "s3://b/x/1.csv\ns3://c/2\n", "b/x/1.csv[] c/2[]"},
		{athena, "https://b/x\n", ""},
		{athena, "s3://b\n", ""},
		{athena, "\"s3://b\n", ""},
	} {
		files, err := tt.read(tt.manifest)
		var got []string
		for _, f := range files {
			var headers []string
			for _, h := range f.Headers {
				headers = append(headers, h.(string))
			}
			got = append(got, f.Bucket+"/"+f.Key+"["+strings.Join(headers, " ")+"]")
		}
		if strings.Join(got, " ") != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: got %v, %v", tt.manifest, got, err)
		}
	}
	f := File{"b", "k", []any{"H"}}
	if got := document.Text(f.Read([]byte("x"))); got != `{"Body":"x","Source":"s3://b/k","Headers":["H"]}` {
		t.Errorf("got %s", got)
	}
}

func TestListedObjectsAreItems(t *testing.T) {
	e := Entry{"folder/", `"e"`, 0, awsapi.Time{Time: time.Unix(9, 0)}, "STANDARD"}
	if !e.Folder() {
		t.Error("a folder of the console is taken for an object")
	}
	e.Size = 1
	want := `{"Etag":"\"e\"","Key":"folder/","LastModified":9,"Size":1,"StorageClass":"STANDARD"}`
	if got := document.Text(e.Item()); e.Folder() || got != want {
		t.Errorf("got %s", got)
	}
}

func TestResults(t *testing.T) {
	one, list, cause := `{"n":1}`, `[2,3]`, "why"
	children := []integration.Execution{
		{ARN: "a", Name: "1", MachineARN: "m", Status: "SUCCEEDED", Input: "0", Output: &one},
		{ARN: "b", Name: "2", MachineARN: "m", Status: "SUCCEEDED", Input: "0", Output: &list},
		{ARN: "c", Name: "3", MachineARN: "m", Status: "FAILED", Input: "0", Cause: &cause,
			Redrive: &integration.Redrive{Status: "NOT_REDRIVABLE", Reason: "r"}},
	}
	writer := func(config string, export bool) Writer {
		in, err := document.ParseString(`{"MapRunArn":"arn:aws:states:r:1:mapRun:m/l:7","Config":` + config +
			`,"Parameters":{"Bucket":"out","Prefix":"p/"}}`)
		if err != nil {
			t.Fatal(err)
		}
		return NewWriter(in.(*document.Object), export)
	}
	failed := `{"Cause":"why","ExecutionArn":"c","Input":"0","InputDetails":{"Included":true},"Name":"3",` +
		`"RedriveCount":0,"RedriveStatus":"NOT_REDRIVABLE","RedriveStatusReason":"r",` +
		`"StartDate":"0001-01-01T00:00:00.000Z","StateMachineArn":"m","Status":"FAILED",` +
		`"StopDate":"0001-01-01T00:00:00.000Z"}`
	for _, tt := range []struct{ config, want string }{
		{`{}`, `[{"n":1},[2,3],` + failed + `]`},
		{`{"Transformation":"FLATTEN"}`, `[{"n":1},2,3,` + failed + `]`},
		{`{"Transformation":"FLATTEN","OutputType":"JSONL"}`, "{\"n\":1}\n2\n3\n" + failed + "\n"},
	} {
		got := writer(tt.config, false).Result(children)
		text, ok := got.(string)
		if !ok {
			text = document.Text(got)
		}
		if text != tt.want {
			t.Errorf("%s: got %s, want %s", tt.config, text, tt.want)
		}
	}

	files, result, err := writer(`{"Transformation":"COMPACT"}`, true).Export(children)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, want := range []Output{
		{"p/7/SUCCEEDED_0.json", []byte(`[{"n":1},[2,3]]`)},
		{"p/7/FAILED_0.json", []byte("[" + failed + "]")},
		{"p/7/manifest.json", []byte(`{"DestinationBucket":"out","MapRunArn":"arn:aws:states:r:1:mapRun:m/l:7",` +
			`"ResultFiles":{"FAILED":[{"Key":"p/7/FAILED_0.json","Size":` +
			strconv.Itoa(len(failed)+2) + `}],"PENDING":[],"SUCCEEDED":[{"Key":"p/7/SUCCEEDED_0.json","Size":15}]}}`)},
	} {
		if files[i].Key != want.Key || !bytes.Equal(files[i].Body, want.Body) {
			t.Errorf("file %d: got %s %s, want %s %s", i, files[i].Key, files[i].Body, want.Key, want.Body)
		}
	}
	want := `{"MapRunArn":"arn:aws:states:r:1:mapRun:m/l:7","ResultWriterDetails":{"Bucket":"out",` +
		`"Key":"p/7/manifest.json"}}`
	if got := document.Text(result); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if w := writer(`{}`, true); w.Transformation != "NONE" {
		t.Errorf("exported results are transformed: %+v", w)
	}
}
