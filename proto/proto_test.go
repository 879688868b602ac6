package proto_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	gproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fleetstep/fleetstep/proto"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// The descriptor set is what the Go code was made from, complete in itself, and
// small enough for a topic rule.
func TestDescriptorSetIsThatOfTheGoCode(t *testing.T) {
	if len(proto.DescriptorSet) > 32<<10 {
		t.Errorf("%d bytes are more than a topic rule takes", len(proto.DescriptorSet))
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := gproto.Unmarshal(proto.DescriptorSet, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []protoreflect.FileDescriptor{usprecord.File_usp_record_proto, uspmsg.File_usp_msg_proto} {
		got, err := files.FindFileByPath(want.Path())
		if err != nil {
			t.Errorf("%s: %v", want.Path(), err)
			continue
		}
		if !gproto.Equal(protodesc.ToFileDescriptorProto(got), protodesc.ToFileDescriptorProto(want)) {
			t.Errorf("%s differs between usp.desc and the Go code", want.Path())
		}
	}
	if set.File[0].GetSourceCodeInfo() != nil {
		t.Error("the descriptor set holds source information")
	}
}

// Every name, number and type is that of USP release 1.4.1, and there is no other.
func TestNumbersAreTheStandards(t *testing.T) {
	text, err := os.ReadFile("testdata/usp-1.4.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	standards := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			standards[line] = true
		}
	}
	if len(standards) < 380 {
		t.Fatalf("only %d lines", len(standards))
	}
	ours := map[string]bool{}
	for _, f := range []protoreflect.FileDescriptor{usprecord.File_usp_record_proto, uspmsg.File_usp_msg_proto} {
		describe(ours, f.Messages(), f.Enums())
	}
	for line := range standards {
		if !ours[line] {
			t.Errorf("we lack %s", line)
		}
	}
	for line := range ours {
		if !standards[line] {
			t.Errorf("the standard has no %s", line)
		}
	}
}

// describe writes down messages and enums as the table has them.
func describe(lines map[string]bool, messages protoreflect.MessageDescriptors, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		lines["enum "+string(e.FullName())] = true
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			lines[fmt.Sprintf("%s.%s = %d", e.FullName(), v.Name(), v.Number())] = true
		}
	}
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		lines["message "+string(m.FullName())] = true
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			what := typeOf(f)
			switch {
			case f.IsMap():
				what = fmt.Sprintf("map<%s, %s>", typeOf(f.MapKey()), typeOf(f.MapValue()))
			case f.IsList():
				what = "repeated " + what
			}
			if of := f.ContainingOneof(); of != nil {
				what += " in " + string(of.Name())
			}
			lines[fmt.Sprintf("%s = %d %s", f.FullName(), f.Number(), what)] = true
		}
		describe(lines, m.Messages(), m.Enums())
	}
}

func typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}
