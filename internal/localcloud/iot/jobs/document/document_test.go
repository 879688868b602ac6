package document

import (
	"errors"
	"strings"
	"testing"
)

func TestObjectURLs(t *testing.T) {
	for _, tt := range []struct {
		url     string
		encoded bool
		want    Object // none for an error
	}{
		{"https://s3.eu-west-1.amazonaws.com/fw/v2/a.bin", false, Object{"fw", "v2/a.bin", ""}},
		{"https://fw.s3.eu-west-1.amazonaws.com/v2/a.bin", false, Object{"fw", "v2/a.bin", ""}},
		{"https://fw.s3-eu-west-1.amazonaws.com/a", false, Object{"fw", "a", ""}},
		{"http://127.0.0.1:4566/fw/a", false, Object{"fw", "a", ""}},
		{"https://s3.amazonaws.com/fw/a%20b", false, Object{"fw", "a%20b", ""}},
		{"https://s3.amazonaws.com/fw/a%20b%3FversionId%3Dx1", true, Object{"fw", "a b", "x1"}},
		{"https://s3.amazonaws.com/fw", false, Object{}},
		{"https://s3.amazonaws.com/", false, Object{}},
		{"s3://fw/a", false, Object{}},
		{"https://s3.amazonaws.com/fw/%zz", true, Object{}},
	} {
		got, err := ParseURL(tt.url, tt.encoded)
		if got != tt.want || (err == nil) != (tt.want != Object{}) {
			t.Errorf("%s: got %q, %v; want %q", tt.url, got, err, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	download := `{"url":"${aws:iot:s3-presigned-url:https://s3.amazonaws.com/fw/a}"}`
	for _, tt := range []struct {
		text    string
		signs   bool
		refusal string // part of it, "" for none
	}{
		{`{}`, false, ""},
		{``, true, "has 0 bytes"},
		{`"` + strings.Repeat("a", maxSize) + `"`, true, "allowed are 1 to 32768"},
		{`{`, true, "not valid JSON"},
		{download, true, ""},
		{download, false, "no roleArn"},
		{`"${aws:iot:s3-presigned-url:https://s3.amazonaws.com/fw"`, true, "not closed"},
		{`"${aws:iot:parameter:x}"`, true, "unknown placeholder ${aws:iot:parameter}"},
		{`"${aws:iot:code-sign-signature:s3://r/b/k}"`, true, "is not built"},
	} {
		err := Check(tt.text, tt.signs)
		if (err == nil) != (tt.refusal == "") || err != nil && !strings.Contains(err.Error(), tt.refusal) {
			t.Errorf("%.60s: got %v, want %q", tt.text, err, tt.refusal)
		}
	}
}

func TestPlaceholdersBecomeURLs(t *testing.T) {
	pieces, err := Split(`{"a":"${aws:iot:s3-presigned-url-v2:https://b.s3.amazonaws.com/k%3FversionId%3D1}",` +
		`"b":"${aws:iot:s3-presigned-url-upload:https://s3.amazonaws.com/b/${thingName}/log}"}`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Join(pieces, func(p Piece) (string, error) {
		method := "get"
		if p.Upload {
			method = "put"
		}
		return method + " " + p.Object.Bucket + "/" + p.Object.Key + ` "` + p.Object.Version + `"`, nil
	})
	if want := `{"a":"get b/k \"1\"","b":"put b/${thingName}/log \"\""}`; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	sentinel := errors.New("no signature")
	if got, err := Join(pieces, func(Piece) (string, error) { return "", sentinel }); got != "" ||
		!errors.Is(err, sentinel) {
		t.Errorf("got %q, %v", got, err)
	}
}

// FuzzPlaceholders: what is split goes together again, and placeholders name a bucket and a key.
func FuzzPlaceholders(f *testing.F) {
	for _, s := range []string{
		`{"u":"${aws:iot:s3-presigned-url:https://s3.eu-west-1.amazonaws.com/b/k}"}`,
		`${aws:iot:s3-presigned-url-upload:https://s3.amazonaws.com/b/${thingName}/${jobId}} tail`,
		`${aws:iot:s3-presigned-url-v2:https://b.s3.amazonaws.com/k%3FversionId%3D1}`,
		`${aws:iot:code-sign-signature:s3://r/b/k}`, `${aws:iot:x`, `${thingName}`, ``,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pieces, err := Split(text)
		if err != nil {
			if pieces != nil {
				t.Fatalf("%q: %v with %v", text, pieces, err)
			}
			return
		}
		rest := text
		for _, p := range pieces {
			if p.Object != nil {
				if p.Object.Bucket == "" || p.Object.Key == "" || p.Text != "" {
					t.Fatalf("%q: %+v", text, p)
				}
				continue
			}
			i := strings.Index(rest, p.Text)
			if i < 0 || strings.Contains(p.Text, opening) {
				t.Fatalf("%q: piece %q", text, p.Text)
			}
			rest = rest[i+len(p.Text):]
		}
	})
}
