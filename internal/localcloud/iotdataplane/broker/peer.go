package broker

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/limit"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// maxUnderWay is how many messages of one client may wait to be accepted
// before its connection is not read any further.
const maxUnderWay = 2048

// maxWrite is how much is written at once.
const maxWrite = 64 << 10

// maxQueued is how many bytes of payload may wait to be written before messages
// of QoS 0 are dropped; those of QoS 1 are bounded by the client's window.
const maxQueued = 4 << 20

// peer is one connection, between the library's client and the core's.
type peer struct {
	b       *Broker
	client  *mqtt.Client
	conn    *iotdataplane.Connection
	version byte
	maxSize uint32 // the largest packet that the client takes; 0 for any

	unanswered *scheduler.Timer // runs until the CONNACK is sent

	// Set by the reading goroutine alone.
	left, withWill bool
	refused        bool // what it still sends is not looked at

	sent limit.Bucket // bytes; drain's

	mu       sync.Mutex
	out      []packets.Packet
	queued   int // bytes of payload in out
	writing  bool
	ended    bool
	packetID uint16
	free     map[uint16]uint64 // packet IDs under way, with the core's token
	underWay int
	room     *scheduler.Gate
	farewell *scheduler.Timer // closes the connection that has been told to end
}

// publish hands a PUBLISH to the core; the PUBACK follows when it is accepted.
func (p *peer) publish(pk packets.Packet) {
	if code := pk.PublishValidate(topicAliases); code != packets.CodeSuccess {
		p.refuse(code, iotdataplane.ReasonClientError)
		return
	}
	if pk.Properties.TopicAliasFlag {
		pk.TopicName = p.client.State.TopicAliases.Inbound.Set(pk.Properties.TopicAlias, pk.TopicName)
		if pk.TopicName == "" {
			p.refuse(packets.ErrTopicAliasInvalid, iotdataplane.ReasonClientError)
			return
		}
	}
	if pk.FixedHeader.Qos > 1 {
		return // AWS does not answer
	}
	m := iotdataplane.Message{Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos,
		Retain: pk.FixedHeader.Retain}
	take(&m, pk.Properties)
	id := pk.PacketID
	p.enterRoom()
	err := p.conn.Submit(context.Background(), m, func(err error) {
		p.messageDone()
		if err != nil {
			p.b.sched.Go("broker refuse", func() {
				p.conn.Lost(context.Background(), iotdataplane.ReasonServerError)
				p.end(packets.ErrImplementationSpecificError)
			})
		} else if m.QoS == 1 {
			p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: id})
		}
	})
	if err == nil {
		return
	}
	p.messageDone()
	if errors.Is(err, iotdataplane.ErrDiscarded) {
		return // and nothing is acknowledged
	}
	if r, ok := errors.AsType[*iotdataplane.Refusal](err); ok {
		p.b.log.Warn("publish refused", "clientId", p.client.ID, "topic", m.Topic, "error", err)
		p.refuse(packets.Code{Code: byte(r.Code), Reason: r.Message}, r.Reason)
		return
	}
	p.client.Stop(err)
}

// enterRoom waits while too many messages are under way.
func (p *peer) enterRoom() {
	p.mu.Lock()
	p.underWay++
	var full *scheduler.Gate
	if p.underWay > maxUnderWay {
		if p.room == nil {
			p.room = p.b.sched.NewGate()
		}
		full = p.room
	}
	p.mu.Unlock()
	if full != nil {
		_ = full.Wait(context.Background())
	}
}

func (p *peer) messageDone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay--; p.underWay < maxUnderWay/2 && p.room != nil {
		p.room.Open()
		p.room = nil
	}
}

// leaveRoom lets a reader go on whose connection has ended.
func (p *peer) leaveRoom() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.farewell.Stop()
	if p.room != nil {
		p.room.Open()
		p.room = nil
	}
}

// refuse ends the connection for something the client did.
func (p *peer) refuse(code packets.Code, reason string) {
	if p.refused {
		return
	}
	p.refused = true
	p.conn.Lost(context.Background(), reason)
	p.end(code)
}

// end writes a DISCONNECT, which MQTT 3.1.1 does not have, and closes; the latter soon also if the client does not
// read.
func (p *peer) end(code packets.Code) {
	p.mu.Lock()
	if !p.ended && p.farewell == nil {
		p.farewell = p.b.sched.After(farewellTime, "broker farewell", func() {
			p.leaveRoom()
			p.client.Stop(code)
		})
	}
	p.mu.Unlock()
	p.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: code.Code,
		Properties: packets.Properties{ReasonString: code.Reason},
	})
}

func (p *peer) subscribe(pk packets.Packet) {
	if code := pk.SubscribeValidate(); code != packets.CodeSuccess {
		p.refuse(code, iotdataplane.ReasonClientError)
		return
	}
	wants := make([]iotdataplane.Subscription, len(pk.Filters))
	for i, f := range pk.Filters {
		if f.Identifier != 0 {
			p.refuse(packets.ErrSubscriptionIdentifiersNotSupported, iotdataplane.ReasonClientError)
			return
		}
		if f.RetainHandling > 2 || f.NoLocal && strings.HasPrefix(f.Filter, "$share/") { // [MQTT-3.8.3-4]
			p.refuse(packets.ErrProtocolViolation, iotdataplane.ReasonClientError)
			return
		}
		if f.Qos > 1 {
			return // AWS does not answer
		}
		wants[i] = iotdataplane.Subscription{
			Filter: f.Filter, QoS: f.Qos, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: f.RetainHandling,
		}
	}
	results, err := p.conn.Subscribe(context.Background(), wants...)
	if err != nil {
		p.client.Stop(err)
		return
	}
	codes := make([]byte, len(wants))
	var throttled *iotdataplane.Refusal
	for i, err := range results {
		codes[i] = wants[i].QoS
		if r, ok := errors.AsType[*iotdataplane.Refusal](err); ok {
			if r.Reason == iotdataplane.ReasonThrottled {
				throttled = r
			}
			p.b.log.Warn("subscription refused", "clientId", p.client.ID, "filter", wants[i].Filter, "error", err)
			if codes[i] = 0x80; p.version == 5 {
				codes[i] = byte(r.Code)
			}
		}
	}
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID,
		ReasonCodes: codes})
	if throttled != nil {
		p.refuse(packets.Code{Code: byte(throttled.Code), Reason: throttled.Message}, throttled.Reason)
	}
}

func (p *peer) unsubscribe(pk packets.Packet) {
	if code := pk.UnsubscribeValidate(); code != packets.CodeSuccess {
		p.refuse(code, iotdataplane.ReasonClientError)
		return
	}
	filters := make([]string, len(pk.Filters))
	for i, f := range pk.Filters {
		filters[i] = f.Filter
	}
	existed, err := p.conn.Unsubscribe(context.Background(), filters...)
	if err != nil {
		p.client.Stop(err)
		return
	}
	codes := make([]byte, len(filters))
	for i, was := range existed {
		if !was {
			codes[i] = packets.CodeNoSubscriptionExisted.Code
		}
	}
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID,
		ReasonCodes: codes})
}

// Deliver implements iotdataplane.Receiver.
func (p *peer) Deliver(m iotdataplane.Message, token uint64, again bool) {
	pk := packets.Packet{
		// [MQTT-3.3.1-1]
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS, Retain: m.Retain, Dup: again},
		TopicName:   m.Topic, Payload: m.Payload,
		Properties: packets.Properties{
			PayloadFormat: m.PayloadFormat, PayloadFormatFlag: m.PayloadFormat != 0, ContentType: m.ContentType,
			ResponseTopic: m.ResponseTopic, CorrelationData: m.CorrelationData, MessageExpiryInterval: m.MessageExpiry,
		},
	}
	for _, u := range m.UserProperties {
		pk.Properties.User = append(pk.Properties.User, packets.UserProperty{Key: u[0], Val: u[1]})
	}
	p.mu.Lock()
	if token != 0 {
		// The core's window is far smaller than the space of IDs.
		for taken := true; taken; _, taken = p.free[p.packetID] {
			if p.packetID++; p.packetID == 0 {
				p.packetID = 1
			}
		}
		pk.PacketID = p.packetID
		p.free[pk.PacketID] = token
	}
	p.mu.Unlock()
	p.write(pk)
}

func (p *peer) acknowledged(id uint16) {
	p.mu.Lock()
	token, ok := p.free[id]
	delete(p.free, id)
	p.mu.Unlock()
	if ok {
		p.conn.Ack(token)
	}
}

// Ended implements iotdataplane.Receiver.
func (p *peer) Ended(reason string) {
	code := packets.ErrServerShuttingDown
	switch reason {
	case iotdataplane.ReasonDuplicateClient:
		code = packets.ErrSessionTakenOver
	case iotdataplane.ReasonAPIInitiated:
		code = packets.ErrAdministrativeAction
	}
	p.end(code)
}

// write queues a packet; a task writes what has gathered in one go.
func (p *peer) write(pk packets.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if pk.FixedHeader.Type == packets.Publish {
		if pk.FixedHeader.Qos == 0 && p.queued+len(pk.Payload) > maxQueued {
			p.b.log.Warn("message dropped: the client does not read", "clientId", p.client.ID, "topic", pk.TopicName)
			return
		}
		p.queued += len(pk.Payload)
	}
	p.out = append(p.out, pk)
	if !p.writing {
		p.writing = true
		p.b.sched.Go("broker write", p.drain)
	}
}

func (p *peer) drain() {
	var buf bytes.Buffer
	for {
		p.mu.Lock()
		batch := p.out
		p.out, p.queued = nil, 0
		if len(batch) == 0 || p.ended {
			p.writing = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for i := range batch {
			last := batch[i].FixedHeader.Type == packets.Disconnect
			if !last || p.version == 5 {
				p.encode(&buf, &batch[i])
			}
			if last || i == len(batch)-1 || buf.Len() > maxWrite {
				err := p.flush(&buf)
				if last || err != nil {
					p.leaveRoom()
					p.client.Stop(err)
					return
				}
			}
		}
	}
}

// encode appends a packet; one that the client does not take is passed over.
func (p *peer) encode(buf *bytes.Buffer, pk *packets.Packet) {
	pk.ProtocolVersion = p.version
	pk.Mods.AllowResponseInfo = true
	start := buf.Len()
	var err error
	switch pk.FixedHeader.Type {
	case packets.Publish:
		err = pk.PublishEncode(buf)
	case packets.Puback:
		err = pk.PubackEncode(buf)
	case packets.Suback:
		err = pk.SubackEncode(buf)
	case packets.Unsuback:
		err = pk.UnsubackEncode(buf)
	default:
		err = pk.DisconnectEncode(buf)
	}
	if err != nil || (p.maxSize > 0 && uint32(buf.Len()-start) > p.maxSize) { // [MQTT-3.1.2-24]
		buf.Truncate(start)
		p.b.log.Warn("packet not sent", "clientId", p.client.ID, "topic", pk.TopicName, "error", err)
		if pk.PacketID != 0 && pk.FixedHeader.Type == packets.Publish {
			p.acknowledged(pk.PacketID)
		}
	}
}

func (p *peer) flush(buf *bytes.Buffer) error {
	if wait := p.sent.Wait(p.b.sched.Now(), buf.Len()); wait > 0 {
		if err := p.b.sched.Sleep(context.Background(), wait); err != nil {
			return err
		}
	}
	p.client.Lock()
	defer p.client.Unlock()
	_, err := p.client.Net.Conn.Write(buf.Bytes())
	buf.Reset()
	return err
}
