package integration

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"reflect"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// textMembers are the members that may be given as JSON and are sent as text.
var textMembers = map[string][]string{
	"sns": {"Message"}, "sqs": {"MessageBody"}, "sfn": {"Input", "Output"},
}

// Parameters are the parameters of a task as the operation takes them.
func (t Target) Parameters(parameters any) any {
	service := t.Service
	if t.SDK && service == "dynamodb" {
		parameters = attributes(parameters, ownAttributes)
	}
	o, ok := parameters.(*document.Object)
	if !ok {
		return parameters
	}
	for _, name := range textMembers[service] {
		v, has := o.Get(name)
		if _, isText := v.(string); !has || isText {
			continue
		}
		if v == nil { // no value, as if it were not there
			o = o.Without(name)
			continue
		}
		o = o.With(name, document.Text(v))
	}
	if service == "sqs" || service == "sns" {
		o = o.Without("SdkHttpMetadata")
	}
	return o
}

// Unreachable says why the SDK behind an integration cannot even send its request, "" if it can: SQS is called at the
// address of the queue, which then must be one. A host of one word without a path is the address of no queue.
func (t Target) Unreachable(parameters any) string {
	o, ok := parameters.(*document.Object)
	if t.SDK || t.Service != "sqs" || !ok {
		return ""
	}
	v, _ := o.Get("QueueUrl")
	address, ok := v.(string)
	_, host, absolute := strings.Cut(address, "://")
	if !absolute {
		host = address
	}
	if !ok || absolute && strings.ContainsAny(host, "./:") {
		return ""
	}
	return "Unable to execute HTTP request: " + host + ": Name or service not known"
}

// isBlob reports whether a type is a blob of the API.
func isBlob(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && t != reflect.TypeFor[json.RawMessage]()
}

// memberName is the name of a field on the wire, as it is declared.
func memberName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name
	}
	return f.Name
}

// Blobs reports whether blobs are given and shown as text. DynamoDB's are in base64.
func (t Target) Blobs() bool { return t.SDK && t.Service != "dynamodb" }

// Uploaded are the parameters of an upload to S3 with what the SDK for Java adds to it: the checksum of the body,
// which is in base64 here, and the type of a text.
func (t Target) Uploaded(parameters any) any {
	o, ok := parameters.(*document.Object)
	if !ok || !t.SDK || t.Service != "s3" || t.Operation != "PutObject" {
		return parameters
	}
	v, _ := o.Get("Body")
	text, given := v.(string)
	body, err := base64.StdEncoding.DecodeString(text)
	if !given || err != nil {
		return parameters
	}
	for _, m := range []document.Member{
		{Name: "ChecksumCRC32", Value: base64.StdEncoding.EncodeToString(
			binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))},
		{Name: "ContentType", Value: "text/plain; charset=UTF-8"},
	} {
		if _, given := o.Get(m.Name); !given {
			o = o.With(m.Name, m.Value)
		}
	}
	return o
}

// Blobs turns parameters that are blobs into base64 as an operation with an input of type t reads them. A blob is the
// JSON of what is given, also of a text: with its quotes.
func Blobs(t reflect.Type, v any) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isBlob(t):
		return base64.StdEncoding.EncodeToString([]byte(document.Text(v)))
	case t.Kind() == reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return v
		}
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = Blobs(t.Elem(), e)
		}
		return out
	case t.Kind() == reflect.Struct:
		o, ok := v.(*document.Object)
		if !ok {
			return v
		}
		out := &document.Object{}
		for _, m := range o.Members() {
			w := m.Value
			for _, f := range reflect.VisibleFields(t) {
				if strings.EqualFold(memberName(f), m.Name) && !f.Anonymous {
					w = Blobs(f.Type, w)
					break
				}
			}
			out.Set(m.Name, w)
		}
		return out
	}
	return v
}
