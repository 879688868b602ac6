// Package proto holds the USP schemas: the .proto files, the Go code generated
// from them (usprecord, uspmsg) and the descriptor set.
//
// The schemas are wire-compatible with TR-369 protocol version 1.4 and earlier. A test
// compares every name, number and type with release 1.4.1. Fields of later versions are kept
// as unknown fields. `make proto` (go generate ./proto/...) rewrites the generated files; `go
// run ./proto/generate -check` fails if one is stale.
package proto

import _ "embed"

//go:generate go run ./generate

// DescriptorSet is usp.desc: a serialized google.protobuf.FileDescriptorSet
// with usp-record.proto and usp-msg.proto, in this order, without source
// information. It is what a topic rule's decode(…, 'proto', …) reads: at most
// 32 KiB there.
//
//go:embed usp.desc
var DescriptorSet []byte
