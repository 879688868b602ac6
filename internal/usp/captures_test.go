package usp_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fleetstep/fleetstep/internal/recordings"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// publish is one PUBLISH of a capture.
type publish struct {
	Packet  string          `json:"packet"`
	Dir     string          `json:"dir"`
	Topic   string          `json:"topic"`
	Hex     *string         `json:"payload_hex"`
	Record  json.RawMessage `json:"record"`
	Message json.RawMessage `json:"msg"`

	payload []byte
}

// captures reads the recordings of a real agent.
func captures(t testing.TB) map[string][]publish {
	t.Helper()
	return capturesOf(t, recordings.Dir(t, "captures of a real agent", "usp/captures"))
}

// capturesIfAny is empty where they are not.
func capturesIfAny(t testing.TB) map[string][]publish {
	t.Helper()
	return capturesOf(t, recordings.Find("usp/captures"))
}

func capturesOf(t testing.TB, dir string) map[string][]publish {
	t.Helper()
	if dir == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]publish{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var packets []publish
		if err := json.Unmarshal(text, &packets); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		flow := strings.TrimSuffix(filepath.Base(name), ".json")
		for _, p := range packets {
			if p.Hex == nil {
				continue
			}
			if p.payload, err = hex.DecodeString(*p.Hex); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[flow] = append(all[flow], p)
		}
	}
	return all
}

func undecodable(part json.RawMessage) bool {
	var mark struct{ Undecodable string }
	return json.Unmarshal(part, &mark) == nil && mark.Undecodable != ""
}

// TestCapturesDecodeAndEncodeWithoutLoss decodes every payload, compares it with
// the capture's own decoding in both directions, and encodes it again: equal
// bytes where nothing is a map (whose order is the sender's whim), else an equal
// message of equal length.
func TestCapturesDecodeAndEncodeWithoutLoss(t *testing.T) {
	records, messages, identical, bad := 0, 0, 0, 0
	for flow, packets := range captures(t) {
		for i, p := range packets {
			record := &usprecord.Record{}
			err := proto.Unmarshal(p.payload, record)
			if undecodable(p.Record) {
				bad++
				if err == nil {
					t.Errorf("%s #%d: a record that should not decode does", flow, i)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s #%d: %v", flow, i, err)
				continue
			}
			records++
			if len(record.ProtoReflect().GetUnknown()) > 0 && !byHand(flow, p) {
				t.Errorf("%s #%d: unknown fields in the record", flow, i)
			}
			again, err := proto.Marshal(record)
			if byHand(flow, p) {
				// Its fields are in no order that an encoder has; none may be lost.
				back := &usprecord.Record{}
				if err != nil || len(again) != len(p.payload) || proto.Unmarshal(again, back) != nil ||
					!proto.Equal(back, record) {
					t.Errorf("%s #%d: record encodes to\n%x, want the fields of\n%x (%v)", flow, i, again,
						p.payload, err)
				}
			} else if err != nil || string(again) != string(p.payload) {
				t.Errorf("%s #%d: record encodes to\n%x, want\n%x (%v)", flow, i, again, p.payload, err)
			}
			compareJSON(t, flow, i, p.Record, record, record.GetNoSessionContext() != nil)

			payload := record.GetNoSessionContext().GetPayload()
			if len(payload) == 0 {
				continue
			}
			m := &uspmsg.Msg{}
			err = proto.Unmarshal(payload, m)
			if undecodable(p.Message) {
				bad++
				if err == nil {
					t.Errorf("%s #%d: a message that should not decode does", flow, i)
				}
				if _, err := usp.DecodeRecord(p.payload); err == nil {
					t.Errorf("%s #%d: DecodeRecord takes a message that does not decode", flow, i)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s #%d: %v", flow, i, err)
				continue
			}
			messages++
			compareJSON(t, flow, i, p.Message, m, false)

			// The same through the types that the product uses.
			r, err := usp.DecodeRecord(p.payload)
			if err != nil {
				t.Errorf("%s #%d: DecodeRecord: %v", flow, i, err)
				continue
			}
			if !proto.Equal(r.Message, m) || string(r.From) != record.GetFromId() ||
				string(r.To) != record.GetToId() || r.Version != record.GetVersion() {
				t.Errorf("%s #%d: DecodeRecord gives %+v", flow, i, r)
			}
			encoded, err := usp.EncodeMessage(r.Message)
			if err != nil {
				t.Errorf("%s #%d: %v", flow, i, err)
			}
			back, err := usp.DecodeMessage(encoded)
			if err != nil || !proto.Equal(back, m) || string(normal(t, encoded, m)) != string(normal(t, payload, m)) {
				t.Errorf("%s #%d: message\n%x encodes to\n%x (%v)", flow, i, payload, encoded, err)
			}
			if string(encoded) == string(payload) {
				identical++
			}
		}
	}
	if !t.Failed() {
		recordings.Count(t, "records of a real agent, read and written without loss", records, records)
	}
	t.Logf("%d records, %d messages (%d byte for byte, the others after bringing maps to one form), %d undecodable "+
		"as marked", records, messages, identical, bad)
}

// byHand reports whether a packet was made by hand, to see what the agent does
// with fields and values that its version of USP does not know.
func byHand(flow string, p publish) bool {
	return strings.HasPrefix(flow, "11k") && p.Dir == "controller->agent"
}

// known is a copy without the fields that our version of USP does not know, as
// the captures' JSON is without them.
func known(m proto.Message) proto.Message {
	m = proto.Clone(m)
	if err := protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
		if sub, ok := v.Index(-1).Value.Interface().(protoreflect.Message); ok {
			sub.SetUnknown(nil)
		}
		return nil
	}); err != nil {
		panic(err) // unreachable: the callback never fails
	}
	return m
}

// normal rewrites an encoded message with the entries of its maps sorted, and
// keys and values in them always written; everything else stays as it is.
func normal(t *testing.T, payload []byte, of proto.Message) []byte {
	t.Helper()
	return normalFields(t, payload, of.ProtoReflect().Descriptor())
}

func normalFields(t *testing.T, payload []byte, message protoreflect.MessageDescriptor) []byte {
	var out []byte
	entries := map[protowire.Number][]string{}
	flush := func(number protowire.Number) {
		slices.Sort(entries[number])
		for _, entry := range entries[number] {
			out = protowire.AppendTag(out, number, protowire.BytesType)
			out = protowire.AppendString(out, entry)
		}
		delete(entries, number)
	}
	last := protowire.Number(0)
	for len(payload) > 0 {
		number, kind, tag := protowire.ConsumeTag(payload)
		length := protowire.ConsumeFieldValue(number, kind, payload[max(tag, 0):])
		if tag < 0 || length < 0 {
			t.Fatal("not a message")
		}
		if last != number {
			flush(last)
		}
		last = number
		whole, value := payload[:tag+length], payload[tag:tag+length]
		payload = payload[tag+length:]
		field := message.Fields().ByNumber(number)
		switch {
		case field == nil || field.Kind() != protoreflect.MessageKind:
			out = append(out, whole...)
		case field.IsMap():
			inner, _ := protowire.ConsumeBytes(value)
			var pair [2][]byte
			for len(inner) > 0 {
				n, _, tag := protowire.ConsumeTag(inner)
				v, length := protowire.ConsumeBytes(inner[tag:])
				pair[n-1], inner = v, inner[tag+length:]
			}
			entry := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), pair[0])
			entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), pair[1])
			entries[number] = append(entries[number], string(entry))
		default:
			inner, _ := protowire.ConsumeBytes(value)
			out = protowire.AppendTag(out, number, protowire.BytesType)
			out = protowire.AppendBytes(out, normalFields(t, inner, field.Message()))
		}
	}
	flush(last)
	return out
}

// compareJSON holds a decoded record or message to the capture's decoding.
func compareJSON(t *testing.T, flow string, i int, text json.RawMessage, have proto.Message, payloadElsewhere bool) {
	t.Helper()
	if len(text) == 0 || string(text) == "null" {
		if proto.Size(have) != 0 {
			t.Errorf("%s #%d: the capture decodes to nothing, we to %v", flow, i, have)
		}
		return
	}
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	have = proto.Clone(have)
	if payloadElsewhere {
		have.(*usprecord.Record).GetNoSessionContext().Payload = nil
		want["no_session_context"] = map[string]any{}
	}
	// The one default that captures spell out.
	if m, ok := have.(*uspmsg.Msg); ok && m.GetHeader() != nil && m.GetHeader().GetMsgType() == uspmsg.Header_ERROR {
		delete(want["header"].(map[string]any), "msg_type")
	}
	out, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s #%d:\ngot  %s\nwant %s", flow, i, out, text)
	}
	plain, _ := json.Marshal(want)
	back := have.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(plain, back); err != nil || !proto.Equal(back, known(have)) {
		t.Errorf("%s #%d: the capture's JSON reads as %v (%v)", flow, i, back, err)
	}
}

// TestCapturesReadAsPlainValues sends every answer and notification of the real
// agent through the readers that the controller uses.
func TestCapturesReadAsPlainValues(t *testing.T) {
	var notifications, results, gets, errs int
	for flow, packets := range captures(t) {
		for i, p := range packets {
			r, err := usp.DecodeRecord(p.payload)
			if err != nil || r.Message == nil || p.Dir != "agent->controller" {
				continue
			}
			if _, err := usp.ParseEndpointID(string(r.From)); err != nil {
				t.Errorf("%s #%d: %v", flow, i, err)
			}
			if _, err := usp.Open(r.Message); err != nil {
				t.Errorf("%s #%d: %v", flow, i, err)
			}
			if n, ok := usp.ReadNotify(r.Message); ok {
				notifications++
				if !proto.Equal(n.Message(), r.Message) {
					t.Errorf("%s #%d: %v reads and writes as\n%v", flow, i, r.Message, n.Message())
				}
				switch n.Path {
				case usp.EventBoot:
					boot, err := usp.ReadBoot(n.Params)
					if err != nil || !reflect.DeepEqual(boot.Params(), n.Params) {
						t.Errorf("%s #%d: Boot! %v reads as %+v (%v)", flow, i, n.Params, boot, err)
					}
				case usp.EventTransferComplete:
					done, err := usp.ReadTransferComplete(n.Params)
					if err != nil || !reflect.DeepEqual(done.Params(), n.Params) {
						t.Errorf("%s #%d: TransferComplete! %v reads as %+v (%v)", flow, i, n.Params, done, err)
					}
				}
			}
			if rs, ok := usp.ReadOperateResp(r.Message); ok {
				results += len(rs)
				for _, r := range rs {
					if _, err := usp.ParsePath(r.Command); err != nil {
						t.Errorf("%s #%d: %v", flow, i, err)
					}
				}
			}
			if v, ok := usp.ReadGetResp(r.Message); ok {
				gets += len(v.Params)
				for path := range v.Params {
					parsed, err := usp.ParsePath(path)
					if err != nil || parsed.String() != path || parsed.Kind != usp.ParameterPath {
						t.Errorf("%s #%d: parameter %q parses as %+v (%v)", flow, i, path, parsed, err)
					}
				}
			}
			if e := usp.ReadError(r.Message); e != nil {
				errs++
				if !proto.Equal(usp.NewError(usp.ID(r.Message), e), r.Message) {
					t.Errorf("%s #%d: %v reads and writes as another error", flow, i, r.Message)
				}
			}
		}
	}
	t.Logf("%d notifications, %d operation results, %d parameters, %d errors", notifications, results, gets, errs)
}
