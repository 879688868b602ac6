package rulesql

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// External reaches other services for the functions that need them. An error
// makes the evaluation fail, unless get_or_default is around the call. Results
// are JSON.
type External interface {
	// Lambda invokes a function and waits, at most two seconds.
	Lambda(ctx context.Context, functionARN string, payload []byte) ([]byte, error)
	// ThingShadow reads a shadow; name "" is the classic one.
	ThingShadow(ctx context.Context, thing, name, roleARN string) ([]byte, error)
	// DynamoDB reads an item as plain JSON; sortName is "" without sort key.
	DynamoDB(ctx context.Context, table, keyName string, key Value, sortName string, sort Value, roleARN string) (
		[]byte, error)
	// Registry calls DescribeThing or ListThingGroupsForThing.
	Registry(ctx context.Context, operation, thing, roleARN string) ([]byte, error)
	// Secret reads a secret's current version; kind is SecretString or
	// SecretBinary (then the text is base64).
	Secret(ctx context.Context, id, kind, roleARN string) (string, error)
	// Descriptor reads a file descriptor set from S3.
	Descriptor(ctx context.Context, bucket, key string) ([]byte, error)
}

var errNoExternal = errors.New("rulesql: external functions are not available here")

func (f *frame) external() (External, error) {
	if f.in.external == nil {
		return nil, errNoExternal
	}
	return f.in.external, nil
}

// texts evaluates arguments that have to be Strings. ok is false if one is not.
func (f *frame) texts(nodes ...node) (out []string, ok bool, err error) {
	for _, n := range nodes {
		v, err := f.eval(n)
		if err != nil {
			return nil, false, err
		}
		if v.kind != String {
			return nil, false, nil
		}
		out = append(out, v.s)
	}
	return out, true, nil
}

// answer makes a value of what an external function returned.
func (f *frame) answer(b []byte, err error) (Value, error) {
	if err != nil {
		return Value{}, err
	}
	v, err := parseJSON(b, f.modern)
	if err != nil {
		return Value{}, fmt.Errorf("rulesql: the function's answer is not JSON: %w", err)
	}
	return v, nil
}

func awsLambda(f *frame, n *call) (Value, error) {
	if len(n.args) != 2 {
		return Value{}, nil
	}
	arn, ok, err := f.texts(n.args[0])
	if err != nil || !ok {
		return Value{}, err
	}
	v, err := f.eval(n.args[1])
	if err != nil || v.undefined() {
		return Value{}, err
	}
	if v.kind == Binary {
		return Value{}, errors.New("rulesql: aws_lambda needs a JSON payload")
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	return f.answer(x.Lambda(f.ctx, arn[0], v.AppendJSON(nil)))
}

func getThingShadow(f *frame, n *call) (Value, error) {
	if len(n.args) != 2 && len(n.args) != 3 {
		return Value{}, nil
	}
	a, ok, err := f.texts(n.args...)
	if err != nil || !ok {
		return Value{}, err
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	if len(a) == 2 {
		return f.answer(x.ThingShadow(f.ctx, a[0], "", a[1]))
	}
	return f.answer(x.ThingShadow(f.ctx, a[0], a[1], a[2]))
}

func getDynamoDB(f *frame, n *call) (Value, error) {
	if len(n.args) != 4 && len(n.args) != 6 {
		return Value{}, nil
	}
	role, ok, err := f.texts(n.args[len(n.args)-1])
	if err != nil || !ok {
		return Value{}, err
	}
	names, ok, err := f.texts(n.args[0], n.args[1])
	if err != nil || !ok {
		return Value{}, err
	}
	key, err := f.eval(n.args[2])
	if err != nil || key.undefined() {
		return Value{}, err
	}
	sortName, sort := "", Value{}
	if len(n.args) == 6 {
		s, ok, err := f.texts(n.args[3])
		if err != nil || !ok {
			return Value{}, err
		}
		if sort, err = f.eval(n.args[4]); err != nil || sort.undefined() {
			return Value{}, err
		}
		sortName = s[0]
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	return f.answer(x.DynamoDB(f.ctx, names[0], names[1], key, sortName, sort, role[0]))
}

func getRegistryData(f *frame, n *call) (Value, error) {
	if len(n.args) != 3 {
		return Value{}, nil
	}
	a, ok, err := f.texts(n.args...)
	if err != nil || !ok {
		return Value{}, err
	}
	if a[0] != "DescribeThing" && a[0] != "ListThingGroupsForThing" {
		return Value{}, fmt.Errorf(
			"rulesql: get_registry_data knows DescribeThing and ListThingGroupsForThing, not %q", a[0])
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	return f.answer(x.Registry(f.ctx, a[0], a[1], a[2]))
}

func getSecret(f *frame, n *call) (Value, error) {
	if len(n.args) != 3 && len(n.args) != 4 {
		return Value{}, nil
	}
	a, ok, err := f.texts(n.args...)
	if err != nil || !ok {
		return Value{}, err
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	text, err := x.Secret(f.ctx, a[0], a[1], a[len(a)-1])
	if err != nil || len(a) == 3 {
		return StringValue(text), err
	}
	if a[1] == "SecretBinary" {
		return Value{}, errors.New("rulesql: get_secret: SecretBinary has no keys")
	}
	v, err := parseJSON([]byte(text), f.modern)
	if err != nil || v.kind != Object {
		return Value{}, errors.New("rulesql: get_secret: the secret has no keys, it is not a JSON object")
	}
	return v.Member(a[2]), nil
}

// Limits of proto decodes.
const maxDescriptor = 32 << 10

func decode(f *frame, n *call) (Value, error) {
	if len(n.args) < 2 {
		return Value{}, nil
	}
	v, err := f.eval(n.args[0])
	if err != nil {
		return Value{}, err
	}
	mode, ok, err := f.texts(n.args[1])
	if err != nil || !ok {
		return Value{}, err
	}
	switch {
	case strings.EqualFold(mode[0], "base64") && len(n.args) == 2:
		return decodeBase64(f, v), nil
	case strings.EqualFold(mode[0], "proto") && len(n.args) == 6:
		if constantMode, _ := constant(n.args, 1); constantMode == "" {
			return Value{}, errors.New("rulesql: decode: the scheme 'proto' has to be written out")
		}
		return decodeProto(f, v, n.args[2:])
	}
	return Value{}, nil
}

func decodeProto(f *frame, v Value, args []node) (Value, error) {
	a, ok, err := f.texts(args...)
	if err != nil || !ok {
		return Value{}, err
	}
	var wire []byte
	switch v.kind {
	case Binary:
		wire = []byte(v.s)
	case String:
		if wire, err = base64.StdEncoding.DecodeString(v.s); err != nil {
			return Value{}, fmt.Errorf("rulesql: decode: the value is not base64: %w", err)
		}
	case Undefined, Null:
		return Value{}, nil
	default:
		return Value{}, errors.New("rulesql: decode: the value is neither a binary payload nor base64 text")
	}
	if len(wire) > maxSize {
		return Value{}, fmt.Errorf("%w: a message to decode has at most 128 KiB", ErrLimit)
	}
	x, err := f.external()
	if err != nil {
		return Value{}, err
	}
	set, err := x.Descriptor(f.ctx, a[0], a[1])
	if err != nil {
		return Value{}, err
	}
	kind, err := findMessage(set, a[2], a[3])
	if err != nil {
		return Value{}, err
	}
	m := dynamicpb.NewMessage(kind)
	if err := proto.Unmarshal(wire, m); err != nil {
		return Value{}, fmt.Errorf("rulesql: decode: not a %s: %w", a[3], err)
	}
	out, err := protojson.Marshal(m)
	if err != nil {
		return Value{}, fmt.Errorf("rulesql: decode: %w", err)
	}
	if len(out) > maxSize {
		return Value{}, fmt.Errorf("%w: a decoded message has at most 128 KiB", ErrLimit)
	}
	return f.answer(out, nil)
}

// findMessage finds a message type by its name, with or without package, in
// the file of that name, with or without folder and extension.
func findMessage(set []byte, file, message string) (protoreflect.MessageDescriptor, error) {
	files, err := descriptors(set)
	if err != nil {
		return nil, err
	}
	var found protoreflect.MessageDescriptor
	files.RangeFiles(func(d protoreflect.FileDescriptor) bool {
		path := d.Path()
		base := path[strings.LastIndexByte(path, '/')+1:]
		if file != path && file != base && file != strings.TrimSuffix(path, ".proto") &&
			file != strings.TrimSuffix(base, ".proto") {
			return true
		}
		if m := messageIn(d.Messages(), message); m != nil {
			found = m
		}
		return found == nil
	})
	if found == nil {
		return nil, fmt.Errorf("rulesql: decode: the descriptor set has no message %s in %s", message, file)
	}
	return found, nil
}

func messageIn(list protoreflect.MessageDescriptors, message string) protoreflect.MessageDescriptor {
	for i := range list.Len() {
		m := list.Get(i)
		if string(m.Name()) == message || string(m.FullName()) == message {
			return m
		}
		if inner := messageIn(m.Messages(), message); inner != nil {
			return inner
		}
	}
	return nil
}

func descriptors(set []byte) (*protoregistry.Files, error) {
	if files, ok := descriptorCache.get(set); ok {
		return files, nil
	}
	if len(set) > maxDescriptor {
		return nil, fmt.Errorf("%w: a descriptor set has at most 32 KiB", ErrLimit)
	}
	fds := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(set, fds); err != nil {
		return nil, fmt.Errorf("rulesql: decode: not a file descriptor set: %w", err)
	}
	files, err := protodesc.NewFiles(fds)
	if err != nil {
		return nil, fmt.Errorf("rulesql: decode: descriptor set: %w", err)
	}
	descriptorCache.put(set, files)
	return files, nil
}
