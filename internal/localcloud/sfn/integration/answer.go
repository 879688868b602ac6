package integration

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// Shown is an output as the task's result has it: times in ISO 8601 and, of an SDK integration, members as the SDK for
// Java spells them, and blobs that are text as text. The value d is the output's JSON.
func (t Target) Shown(v reflect.Value, d any) any {
	d = t.shown(v, d)
	if t.SDK && t.Service == "dynamodb" {
		d = attributes(d, javaAttributes)
	}
	return d
}

func (t Target) shown(v reflect.Value, d any) any {
	for (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || d == nil {
		return d
	}
	switch v.Kind() {
	case reflect.Struct:
		return t.shownStruct(v, d)
	case reflect.Map:
		o, ok := d.(*document.Object)
		if !ok || v.Type().Key().Kind() != reflect.String {
			return d
		}
		for it := v.MapRange(); it.Next(); {
			name := it.Key().String()
			if w, ok := o.Get(name); ok {
				if e := t.shown(it.Value(), w); !document.Equal(e, w) {
					o = o.With(name, e)
				}
			}
		}
		return o
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if text, ok := d.(string); ok && t.Blobs() && isBlob(v.Type()) && utf8.Valid(v.Bytes()) {
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil && string(raw) == string(v.Bytes()) {
					return string(raw)
				}
			}
			return d
		}
		list, ok := d.([]any)
		if !ok || len(list) != v.Len() {
			return d
		}
		out := make([]any, len(list))
		for i := range list {
			out[i] = t.shown(v.Index(i), list[i])
		}
		return out
	}
	return d
}

func (t Target) shownStruct(v reflect.Value, d any) any {
	if at, ok := v.Interface().(awsapi.Time); ok {
		return Timestamp(at.Time)
	}
	o, ok := d.(*document.Object)
	if _, own := v.Interface().(json.Marshaler); !ok || own {
		return d
	}
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if !f.Anonymous && f.IsExported() {
			fields[upperFirst(memberName(f))] = f
		}
	}
	out := &document.Object{}
	for _, m := range o.Members() {
		f, known := fields[m.Name]
		if !known {
			out.Set(m.Name, m.Value)
			continue
		}
		out.Set(t.Member(memberName(f)), t.shown(v.FieldByIndex(f.Index), m.Value))
	}
	return out
}

// Timestamp is a time as results show it.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Metadata is what every optimized integration shows of the HTTP response.
type Metadata struct {
	Status      int // 0 is 200
	Length      int // of the body, in bytes
	ContentType string
	RequestID   string
	Date        time.Time
	Connection  string      // the name of this header, as the service spells it
	Headers     [][2]string // further ones
}

// MetadataOf is what the answers of an optimized integration have of their own.
func (t Target) MetadataOf(body []byte) Metadata {
	m := Metadata{Length: len(body), ContentType: "application/x-amz-json-1.0", Connection: "connection"}
	switch t.Service {
	case "dynamodb":
		m.Connection = "Connection"
		m.Headers = [][2]string{{"Server", "Server"},
			{"x-amz-crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}}
	case "sns":
		m.ContentType = "text/xml"
		m.Length = publishedLength
	case "sfn":
		m.Length += startDateLonger(body)
	}
	return m
}

// publishedLength is the length of SNS's answer to Publish in XML, with a message ID and a request ID of 36 bytes.
const publishedLength = 294

// startDateLonger is how much longer the answer to StartExecution is on AWS, where times are doubles of Java
// (1.7E9).
func startDateLonger(body []byte) int {
	v, err := document.Parse(body)
	o, ok := v.(*document.Object)
	if err != nil || !ok {
		return 0
	}
	date, _ := o.Get("StartDate")
	f, ok := document.Number(date)
	if !ok {
		return 0
	}
	return len(java.AppendDouble(nil, f)) - len(document.Text(date))
}

// AddMetadata adds it to a result.
func AddMetadata(o *document.Object, m Metadata) {
	if m.Status == 0 {
		m.Status = http.StatusOK
	}
	headers := append([][2]string{
		{m.Connection, "keep-alive"}, {"Content-Length", strconv.Itoa(m.Length)}, {"Content-Type", m.ContentType},
		{"Date", m.Date.Format(http.TimeFormat)}, {"x-amzn-RequestId", m.RequestID},
	}, m.Headers...)
	all, one := &document.Object{}, &document.Object{}
	for _, h := range headers {
		all.Set(h[0], []any{h[1]})
		one.Set(h[0], h[1])
	}
	o.Set("SdkHttpMetadata", document.NewObject(
		document.Member{Name: "AllHttpHeaders", Value: all},
		document.Member{Name: "HttpHeaders", Value: one},
		document.Member{Name: "HttpStatusCode", Value: document.Int(int64(m.Status))},
	))
	o.Set("SdkResponseMetadata", document.NewObject(document.Member{Name: "RequestId", Value: m.RequestID}))
}

// Payload is what a Lambda function returned: JSON, or text that is none.
func Payload(payload []byte) *asl.Data {
	if len(payload) == 0 {
		return asl.ValueData(nil)
	}
	if d, err := asl.ParseData(string(payload)); err == nil {
		return d
	}
	return asl.ValueData(string(payload))
}
