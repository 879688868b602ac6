package proto_test

import (
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

// Names, numbers and types that other implementations depend on, beyond what
// recordings show: a sample of each kind, by hand from TR-369.
func TestNumbersAreTheStandards(t *testing.T) {
	for _, c := range []struct {
		message protoreflect.ProtoMessage
		field   protoreflect.Name
		number  protoreflect.FieldNumber
		kind    protoreflect.Kind
	}{
		{&usprecord.Record{}, "mqtt_connect", 10, protoreflect.MessageKind},
		{&usprecord.Record{}, "uds_connect", 13, protoreflect.MessageKind},
		{&usprecord.NoSessionContextRecord{}, "payload", 2, protoreflect.BytesKind},
		{&usprecord.SessionContextRecord{}, "payloadrec_sar_state", 6, protoreflect.EnumKind},
		{&usprecord.DisconnectRecord{}, "reason_code", 2, protoreflect.Fixed32Kind},
		{&uspmsg.Request{}, "deregister", 11, protoreflect.MessageKind},
		{&uspmsg.Response{}, "get_supported_protocol_resp", 9, protoreflect.MessageKind},
		{&uspmsg.Error{}, "err_code", 1, protoreflect.Fixed32Kind},
		{&uspmsg.Get{}, "max_depth", 2, protoreflect.Fixed32Kind},
		{&uspmsg.GetSupportedDM{}, "return_unique_key_sets", 6, protoreflect.BoolKind},
		{&uspmsg.GetSupportedDMResp_SupportedObjectResult{}, "divergent_paths", 7, protoreflect.StringKind},
		{&uspmsg.GetSupportedDMResp_SupportedObjectResult{}, "unique_key_sets", 8, protoreflect.MessageKind},
		{&uspmsg.GetSupportedDMResp_SupportedCommandResult{}, "command_type", 4, protoreflect.EnumKind},
		{&uspmsg.Notify_OnBoardRequest{}, "agent_supported_protocol_versions", 4, protoreflect.StringKind},
		{&uspmsg.Notify_OperationComplete{}, "cmd_failure", 5, protoreflect.MessageKind},
		{&uspmsg.OperateResp_OperationResult{}, "cmd_failure", 4, protoreflect.MessageKind},
		{&uspmsg.RegisterResp_RegisteredPathResult_OperationStatus_OperationSuccess{}, "registered_path", 1,
			protoreflect.StringKind},
	} {
		f := c.message.ProtoReflect().Descriptor().Fields().ByName(c.field)
		if f == nil || f.Number() != c.number || f.Kind() != c.kind {
			t.Errorf("%s.%s is %v", c.message.ProtoReflect().Descriptor().FullName(), c.field, f)
		}
	}
	if uspmsg.Header_NOTIFY_RESP != 16 || uspmsg.Header_DEREGISTER_RESP != 22 ||
		usprecord.MQTTConnectRecord_V3_1_1 != 0 {
		t.Error("enum numbers")
	}
}
