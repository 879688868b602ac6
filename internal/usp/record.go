package usp

import (
	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// Version is the protocol version that our records carry.
const Version = "1.3"

// SupportedVersions are the protocol versions both our sides speak, as
// GetSupportedProtocol lists them.
const SupportedVersions = "1.0,1.1,1.2,1.3"

// Record is the envelope of a message, or a word about the connection. Exactly
// one of the pointers is set.
type Record struct {
	Version  string // of the sender; empty is written as our Version
	From, To EndpointID

	Message          *uspmsg.Msg // in a NoSessionContext record
	MQTTConnect      *usprecord.MQTTConnectRecord
	Disconnect       *usprecord.DisconnectRecord
	SessionContext   *usprecord.SessionContextRecord
	WebSocketConnect *usprecord.WebSocketConnectRecord
	STOMPConnect     *usprecord.STOMPConnectRecord
	UDSConnect       *usprecord.UDSConnectRecord

	// Protection of the payload beyond the transport's; zero behind a broker
	// with TLS.
	Security                 usprecord.Record_PayloadSecurity
	MACSignature, SenderCert []byte
}

// NewRecord puts a message into an envelope.
func NewRecord(from, to EndpointID, message *uspmsg.Msg) *Record {
	return &Record{From: from, To: to, Message: message}
}

// NewMQTTConnect is the record that an agent sends first on each connection
// (R-MTP.6): topic is where it listens.
func NewMQTTConnect(from, to EndpointID, version usprecord.MQTTConnectRecord_MQTTVersion, topic string) *Record {
	return &Record{From: from, To: to, MQTTConnect: &usprecord.MQTTConnectRecord{Version: version,
		SubscribedTopic: topic}}
}

// NewDisconnect announces the end of a connection (R-MTP.7), or refuses a
// record by its code (R-MTP.9).
func NewDisconnect(from, to EndpointID, code Code, reason string) *Record {
	return &Record{From: from, To: to, Disconnect: &usprecord.DisconnectRecord{Reason: reason,
		ReasonCode: uint32(code)}}
}

// Kind is the record's type by its name in the schema, for logs and counts:
// "no_session_context", "mqtt_connect", "disconnect" and so on.
func (r *Record) Kind() string {
	switch {
	case r.Message != nil:
		return "no_session_context"
	case r.MQTTConnect != nil:
		return "mqtt_connect"
	case r.Disconnect != nil:
		return "disconnect"
	case r.SessionContext != nil:
		return "session_context"
	case r.WebSocketConnect != nil:
		return "websocket_connect"
	case r.STOMPConnect != nil:
		return "stomp_connect"
	case r.UDSConnect != nil:
		return "uds_connect"
	}
	return ""
}

// Encode writes the record as one MQTT payload (R-MQTT.18).
func (r *Record) Encode() ([]byte, error) {
	out := &usprecord.Record{
		Version:         r.Version,
		ToId:            string(r.To),
		FromId:          string(r.From),
		PayloadSecurity: r.Security,
		MacSignature:    r.MACSignature,
		SenderCert:      r.SenderCert,
	}
	if out.Version == "" {
		out.Version = Version
	}
	switch {
	case r.Message != nil:
		payload, err := EncodeMessage(r.Message)
		if err != nil {
			return nil, err
		}
		out.RecordType = &usprecord.Record_NoSessionContext{NoSessionContext: &usprecord.NoSessionContextRecord{
			Payload: payload,
		}}
	case r.MQTTConnect != nil:
		out.RecordType = &usprecord.Record_MqttConnect{MqttConnect: r.MQTTConnect}
	case r.Disconnect != nil:
		out.RecordType = &usprecord.Record_Disconnect{Disconnect: r.Disconnect}
	case r.SessionContext != nil:
		out.RecordType = &usprecord.Record_SessionContext{SessionContext: r.SessionContext}
	case r.WebSocketConnect != nil:
		out.RecordType = &usprecord.Record_WebsocketConnect{WebsocketConnect: r.WebSocketConnect}
	case r.STOMPConnect != nil:
		out.RecordType = &usprecord.Record_StompConnect{StompConnect: r.STOMPConnect}
	case r.UDSConnect != nil:
		out.RecordType = &usprecord.Record_UdsConnect{UdsConnect: r.UDSConnect}
	default:
		return nil, &RecordError{Code: InvalidRecordValue, Reason: "the record is of no type", From: r.From, To: r.To}
	}
	return marshal.Marshal(out)
}

// Equal values give equal bytes, which the wire format alone does not promise
// for maps.
var marshal = proto.MarshalOptions{Deterministic: true}

// DecodeRecord reads one MQTT payload (R-MQTT.19), in a NoSessionContext record
// down to the message. Every error is a *RecordError. The IDs are taken as they
// stand: whether From is who it should be, and To the reader (R-E2E.1), is for
// the reader to see. Neither is the version looked at.
func DecodeRecord(payload []byte) (*Record, error) {
	in := &usprecord.Record{}
	if err := proto.Unmarshal(payload, in); err != nil {
		return nil, &RecordError{Code: RecordNotParsed, Reason: err.Error()}
	}
	r := &Record{
		Version:      in.GetVersion(),
		From:         EndpointID(in.GetFromId()),
		To:           EndpointID(in.GetToId()),
		Security:     in.GetPayloadSecurity(),
		MACSignature: in.GetMacSignature(),
		SenderCert:   in.GetSenderCert(),
	}
	refuse := func(reason string) (*Record, error) {
		return nil, &RecordError{Code: InvalidRecordValue, Reason: reason, From: r.From, To: r.To}
	}
	switch body := in.GetRecordType().(type) {
	case *usprecord.Record_NoSessionContext:
		if len(body.NoSessionContext.GetPayload()) == 0 {
			return refuse("the record has no payload")
		}
		message, err := DecodeMessage(body.NoSessionContext.GetPayload())
		if err != nil {
			return refuse("the payload is not a message: " + err.Error())
		}
		r.Message = message
	case *usprecord.Record_MqttConnect:
		r.MQTTConnect = body.MqttConnect
	case *usprecord.Record_Disconnect:
		r.Disconnect = body.Disconnect
	case *usprecord.Record_SessionContext:
		r.SessionContext = body.SessionContext
	case *usprecord.Record_WebsocketConnect:
		r.WebSocketConnect = body.WebsocketConnect
	case *usprecord.Record_StompConnect:
		r.STOMPConnect = body.StompConnect
	case *usprecord.Record_UdsConnect:
		r.UDSConnect = body.UdsConnect
	default: // also a type that a later version may add
		return refuse("the record is of no known type")
	}
	return r, nil
}
