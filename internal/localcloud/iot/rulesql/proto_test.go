package rulesql_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// envelope is a descriptor set with package demo, message Envelope {string
// sender_id = 1; bytes inner = 2; int64 at = 3; Kind kind = 4;}.
func envelope(t *testing.T) []byte {
	t.Helper()
	field := func(name string, n int32, kind descriptorpb.FieldDescriptorProto_Type,
		typeName string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), Number: proto.Int32(n), Type: kind.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if typeName != "" {
			f.TypeName = proto.String(typeName)
		}
		return f
	}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("folder/envelope.proto"), Package: proto.String("demo"), Syntax: proto.String("proto3"),
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Kind"),
			Value: []*descriptorpb.EnumValueDescriptorProto{
				{Name: proto.String("PLAIN"), Number: proto.Int32(0)}, {Name: proto.String("SEALED"),
					Number: proto.Int32(1)},
			}}},
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Envelope"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("sender_id", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
				field("inner", 2, descriptorpb.FieldDescriptorProto_TYPE_BYTES, ""),
				field("at", 3, descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
				field("kind", 4, descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".demo.Kind"),
			}}},
	}}}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wire(sender string, inner []byte, kind uint64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, sender)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, inner)
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, 7)
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	return protowire.AppendVarint(b, kind)
}

func TestDecodeProto(t *testing.T) {
	x := services{set: envelope(t)}
	payload := string(wire("a", wire("b", []byte{0xff}, 0), 1))
	for _, names := range []string{`'envelope', 'Envelope'`, `'envelope.proto', 'demo.Envelope'`, `'folder/envelope.proto', 'Envelope'`} {
		got, err := run(t, `SELECT VALUE decode(*, 'proto', 'bucket', 'key', `+names+`) FROM 't'`, rulesql.Version2016, message(payload), x)
		want := `{"senderId":"a","inner":"` + base64.StdEncoding.EncodeToString(wire("b", []byte{0xff}, 0)) + `","at":"7","kind":"SEALED"}`
		if strings.ReplaceAll(got, " ", "") != want || err != nil {
			t.Errorf("%s:\n got %s, %v\nwant %s", names, got, err, want)
		}
	}
	// The two decodes that a statement may have, one inside the other.
	got, err := run(t, `SET @r = decode(*, 'proto', 'b', 'k', 'envelope', 'Envelope'), @m = decode(@r.inner, 'proto', 'b', 'k', 'envelope', 'Envelope')
		SELECT @m.senderId AS id, @m.kind AS kind FROM 't' WHERE isUndefined(@m.kind) = true`, rulesql.Version2016, message(payload), x)
	if err != nil || got != `{"id":"b"}` {
		t.Errorf("%s, %v", got, err)
	}
	const decode = `decode(*, 'proto', 'b', 'k', 'envelope', 'Envelope')`
	if _, err := rulesql.Compile(`SELECT `+decode+` AS a, `+decode+` AS b FROM 't' WHERE `+decode+`.at > 1`, rulesql.Version2016); err == nil {
		t.Error("three proto decodes were accepted")
	}
	if _, err := run(t, `SELECT `+decode+` AS a FROM 't'`, rulesql.Version2016, message("\xff\xff"), x); err == nil {
		t.Error("a message that does not decode did not fail the evaluation")
	}
	if _, err := run(t, `SELECT decode(*, 'proto', 'b', 'k', 'envelope', 'Nosuch') AS a FROM 't'`, rulesql.Version2016, message(payload), x); err == nil {
		t.Error("an unknown message type did not fail the evaluation")
	}
}

func BenchmarkJSON(b *testing.B) {
	s, err := rulesql.Compile(`SELECT *, topic(2) AS t, round(temperature) AS r, get((SELECT VALUE v FROM list AS q WHERE q.n = 'b'), 0) AS x FROM 't' WHERE temperature > 20 AND regexp_matches(name, '^dev-[0-9]+$')`, rulesql.Version2016)
	if err != nil {
		b.Fatal(err)
	}
	m := message(`{"name":"dev-17","temperature":21.75,"list":[{"n":"a","v":1},{"n":"b","v":2}],"text":"some text of usual length"}`)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := s.Eval(b.Context(), rulesql.NewInput(m, fixed{}, nil)); err != nil || r == nil {
			b.Fatal(err)
		}
	}
}
