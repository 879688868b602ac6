package awsapi

import (
	"bytes"
	"encoding/xml"
	"hash/crc32"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
)

// answer writes the output of an operation.
func (q *request) answer(op *Operation, out any) error {
	v := reflect.ValueOf(out)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	h := q.w.Header()
	status := op.Status
	if status == 0 {
		status = http.StatusOK
	}
	var body []byte
	var err error
	switch q.protocol {
	case Query:
		h.Set("Content-Type", "text/xml")
		body = q.queryXML(op, v)
	case CBOR:
		h.Set("Content-Type", "application/cbor")
		h.Set("Smithy-Protocol", string(CBOR))
		body, err = cborEncoding.Marshal(out)
		if v.Kind() == reflect.Pointer {
			body = []byte{0xa0}
		}
	case RESTJSON, RESTXML:
		if v.Kind() == reflect.Struct {
			body, status, err = q.restBody(op, v, status)
		}
	default:
		h.Set("Content-Type", string(q.protocol))
		body, err = jsontext.Marshal(out)
		if v.Kind() == reflect.Pointer { // no output at all
			body = []byte("{}")
		}
		if q.service.ID == "dynamodb" {
			h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
		}
	}
	if err != nil {
		return AsError(err)
	}
	q.write(status, body)
	return nil
}

// restBody sets the headers of an answer and makes its body.
func (q *request) restBody(op *Operation, v reflect.Value, status int) (body []byte, _ int, err error) {
	h := q.w.Header()
	s := shapeOf(v.Type())
	for i := range s.members {
		m := &s.members[i]
		f, ok := m.lookup(v)
		if !ok {
			continue
		}
		switch m.bind {
		case inHeader:
			if prefix, ok := strings.CutSuffix(m.wire, "*"); ok {
				for _, k := range sortedKeys(f) {
					h.Set(prefix+k.String(), f.MapIndex(k).String())
				}
				continue
			}
			if text, ok := textOf(f, m.omitEmpty); ok {
				h.Set(m.wire, text)
			}
		case isStatus:
			if n, ok := f.Interface().(int); ok && n != 0 {
				status = n
			} else if p, ok := f.Interface().(*int); ok && p != nil {
				status = *p
			}
		}
	}
	setType := func(t string) {
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", t)
		}
	}
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
	case s.payload != nil && s.payload.bind == isPayload:
		f, _ := s.payload.lookup(v)
		setType("application/octet-stream")
		if f.Kind() == reflect.String {
			body = []byte(f.String())
		} else {
			body = f.Bytes()
		}
	case q.protocol == RESTXML:
		setType("application/xml")
		var b bytes.Buffer
		root := op.Name + "Result"
		if f, ok := v.Type().FieldByName("XMLName"); ok {
			root = f.Tag.Get("xml")
		}
		b.WriteString(xml.Header)
		element(&b, root, func() { xmlMembers(&b, v) })
		body = b.Bytes()
	case s.payload != nil:
		setType("application/json")
		f, _ := s.payload.lookup(v)
		body, err = jsontext.Marshal(f.Interface())
	case s.bound:
		setType("application/json")
		body, err = marshalBody(v, s)
	default:
		setType("application/json")
		body, err = jsontext.Marshal(v.Interface())
	}
	return body, status, err
}

// queryXML is the answer of a Query service.
func (q *request) queryXML(op *Operation, v reflect.Value) []byte {
	var b bytes.Buffer
	b.WriteString("<" + op.Name + "Response xmlns=\"" + q.service.Namespace + "\">")
	if v.Kind() == reflect.Struct && v.NumField() > 0 {
		element(&b, op.Name+"Result", func() { xmlMembers(&b, v) })
	} else if op.EmptyResult {
		element(&b, op.Name+"Result", func() {})
	}
	element(&b, "ResponseMetadata", func() {
		element(&b, "RequestId", func() { b.WriteString(q.call.RequestID) })
	})
	b.WriteString("</" + op.Name + "Response>")
	return b.Bytes()
}

// fail writes an error.
func (q *request) fail(err error) {
	e := AsError(err)
	h := q.w.Header()
	fault := "Sender"
	if e.HTTPStatus() >= 500 {
		fault = "Receiver"
	}
	code := e.Code
	if code == "AccessDeniedException" && (q.protocol == Query || q.protocol == RESTXML) {
		code = "AccessDenied"
	}
	queryCode := e.QueryCode
	if queryCode == "" {
		queryCode = code
	}
	status := e.HTTPStatus()
	var body []byte
	text := func(name, s string) string {
		var b bytes.Buffer
		element(&b, name, func() { _ = xml.EscapeText(&b, []byte(s)) })
		return b.String()
	}
	switch q.protocol {
	case Query:
		h.Set("Content-Type", "text/xml")
		namespace := ""
		if q.service != nil {
			namespace = ` xmlns="` + q.service.Namespace + `"`
		}
		body = []byte("<ErrorResponse" + namespace + "><Error>" + text("Type", fault) + text("Code", queryCode) +
			text("Message", e.Message) + "</Error>" + text("RequestId", q.call.RequestID) + "</ErrorResponse>")
	case RESTXML:
		h.Set("Content-Type", "application/xml")
		body = []byte(xml.Header + "<Error>" + text("Code", code) + text("Message", e.Message) +
			text("RequestId", q.call.RequestID) + "</Error>")
	default:
		members := map[string]any{}
		if q.protocol == RESTJSON || q.protocol == "" {
			h.Set("Content-Type", "application/json")
			if status >= 300 {
				h.Set("X-Amzn-Errortype", code)
			}
		} else {
			h.Set("Content-Type", string(q.protocol))
			members["__type"] = code
			if e.QueryCode != "" {
				h.Set("X-Amzn-Query-Error", queryCode+";"+fault)
			}
			if code == "AccessDeniedException" {
				status = http.StatusBadRequest
			}
		}
		if e.Message != "" && status >= 300 {
			members["message"] = e.Message
		}
		for k, v := range e.Fields {
			members[k] = v
		}
		var err error
		if q.protocol == CBOR {
			h.Set("Content-Type", "application/cbor")
			h.Set("Smithy-Protocol", string(CBOR))
			body, err = cborEncoding.Marshal(members)
		} else {
			body, err = jsontext.Marshal(members)
		}
		if err != nil {
			body = nil // the status and the headers say enough
		}
		if q.service != nil && q.service.ID == "dynamodb" {
			h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
		}
	}
	q.write(status, body)
}

func (q *request) write(status int, body []byte) {
	h := q.w.Header()
	if q.protocol == RESTXML {
		h.Set("X-Amz-Request-Id", q.call.RequestID)
		h.Set("X-Amz-Id-2", q.call.RequestID)
	} else {
		h.Set("X-Amzn-Requestid", q.call.RequestID)
	}
	h.Set("Date", q.door.config.Scheduler.Now().UTC().Format(http.TimeFormat))
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	q.w.WriteHeader(status)
	if q.r.Method != http.MethodHead {
		_, _ = q.w.Write(body) // the client is gone if this fails
	}
}
