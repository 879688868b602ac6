package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetstep/fleetstep/internal/simulator"
)

// legacy is a connection of MQTT 3.1.1, whose packets have no properties. The library of
// the other version writes none of them.
// Source: MQTT 3.1.1, OASIS standard.
type legacy struct {
	conn    net.Conn
	reader  *bufio.Reader
	timeout time.Duration
	ping    *time.Timer

	mu     sync.Mutex // of what follows, and of writing
	closed bool
	last   uint16 // packet identifier
}

const (
	version311 = 4
	// most is how long a packet may be that is read: as long as AWS IoT's, and more.
	most = 256 << 10
)

// connectLegacy is Connect for a client of MQTT 3.1.1.
func (t *Transport) connectLegacy(ctx context.Context, conn net.Conn, c simulator.Connection, by Credentials,
	h simulator.Handler) (simulator.Session, error) {
	l := &legacy{conn: conn, reader: bufio.NewReader(conn), timeout: t.config.Timeout}
	fail := func(err error) (simulator.Session, error) {
		return nil, errors.Join(err, unlessClosed(conn.Close()))
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return fail(err)
		}
	}
	connect := packets.Packet{ProtocolVersion: version311, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	connect.Connect = packets.ConnectParams{
		ProtocolName: []byte("MQTT"), Clean: true, Keepalive: uint16(t.config.KeepAlive / time.Second),
		ClientIdentifier: c.ClientID,
		UsernameFlag:     by.Username != "", Username: []byte(by.Username),
		PasswordFlag: by.Password != "", Password: []byte(by.Password),
	}
	if err := l.write(&connect, connect.ConnectEncode); err != nil {
		return fail(fmt.Errorf("mqtt: connect %s: %w", c.ClientID, err))
	}
	ack, err := l.read()
	switch {
	case err != nil:
	case ack.FixedHeader.Type != packets.Connack:
		err = fmt.Errorf("packet type %d instead of CONNACK", ack.FixedHeader.Type)
	case ack.ReasonCode != 0:
		err = fmt.Errorf("return code %d", ack.ReasonCode)
	}
	if err != nil {
		return fail(fmt.Errorf("mqtt: connect %s: %w", c.ClientID, err))
	}
	subscribe := packets.Packet{ProtocolVersion: version311, PacketID: l.next(),
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, // the reserved bits
		Filters:     packets.Subscriptions{{Filter: c.Topic}}}
	if err := l.write(&subscribe, subscribe.SubscribeEncode); err != nil {
		return fail(fmt.Errorf("mqtt: %s subscribes %s: %w", c.ClientID, c.Topic, err))
	}
	var early []packets.Packet // what arrives before the SUBACK
	for {
		ack, err := l.read()
		if err == nil && ack.FixedHeader.Type == packets.Publish {
			early = append(early, ack)
			continue
		}
		if err == nil && ack.FixedHeader.Type == packets.Suback && len(ack.ReasonCodes) == 1 &&
			ack.ReasonCodes[0] < 0x80 {
			break
		}
		if err == nil {
			err = fmt.Errorf("packet type %d, codes %v", ack.FixedHeader.Type, ack.ReasonCodes)
		}
		return fail(fmt.Errorf("mqtt: %s subscribes %s: %w", c.ClientID, c.Topic, err))
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	l.keepAlive(t.config.KeepAlive)
	go l.listen(h, early, t.config.KeepAlive*2)
	return l, nil
}

func (l *legacy) next() uint16 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last++; l.last == 0 {
		l.last = 1
	}
	return l.last
}

// write sends a packet that encode writes.
func (l *legacy) write(p *packets.Packet, encode func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && p.FixedHeader.Type != packets.Disconnect {
		return errors.New("mqtt: the session is closed")
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.timeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(b.Bytes())
	return err
}

// read waits for a packet.
func (l *legacy) read() (p packets.Packet, err error) {
	first, err := l.reader.ReadByte()
	if err != nil {
		return p, err
	}
	p.ProtocolVersion = version311
	if err := p.FixedHeader.Decode(first); err != nil {
		return p, err
	}
	length, _, err := packets.DecodeLength(l.reader)
	if err == nil && length > most {
		err = fmt.Errorf("mqtt: a packet of %d bytes", length)
	}
	if err != nil {
		return p, err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(l.reader, body); err != nil {
		return p, err
	}
	p.FixedHeader.Remaining = length
	switch p.FixedHeader.Type {
	case packets.Connack:
		err = p.ConnackDecode(body)
	case packets.Suback:
		err = p.SubackDecode(body)
	case packets.Publish:
		err = p.PublishDecode(body)
	}
	return p, err
}

// keepAlive sends a PINGREQ each period. That nothing comes back, listen finds.
func (l *legacy) keepAlive(period time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.ping = time.AfterFunc(period, func() {
		p := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}
		if l.write(&p, p.PingreqEncode) == nil {
			l.keepAlive(period)
		}
	})
}

// listen hands on what arrives until the connection ends.
func (l *legacy) listen(h simulator.Handler, early []packets.Packet, silence time.Duration) {
	for {
		var p packets.Packet
		var err error
		if len(early) > 0 {
			p, early = early[0], early[1:]
		} else if err = l.conn.SetReadDeadline(time.Now().Add(silence)); err == nil {
			p, err = l.read()
		}
		if err != nil {
			if l.end() {
				h.Lost(errors.Join(err, unlessClosed(l.conn.Close())))
			}
			return
		}
		if p.FixedHeader.Type != packets.Publish {
			continue // acknowledgements, and answers to pings
		}
		h.Received(simulator.Publish{Topic: p.TopicName, Payload: p.Payload, QoS: p.FixedHeader.Qos})
		if p.FixedHeader.Qos > 0 {
			ack := packets.Packet{ProtocolVersion: version311, PacketID: p.PacketID,
				FixedHeader: packets.FixedHeader{Type: packets.Puback}}
			if err := l.write(&ack, ack.PubackEncode); err != nil {
				continue // reading fails next
			}
		}
	}
}

// end tells whether the session was open until now.
func (l *legacy) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := !l.closed
	l.closed = true
	if l.ping != nil {
		l.ping.Stop()
	}
	return was
}

// Publish implements simulator.Session.
func (l *legacy) Publish(m simulator.Publish) error {
	p := packets.Packet{ProtocolVersion: version311, TopicName: m.Topic, Payload: m.Payload,
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS}}
	if m.QoS > 0 {
		p.PacketID = l.next()
	}
	return l.write(&p, p.PublishEncode)
}

// Close implements simulator.Session.
func (l *legacy) Close(clean bool) error {
	if !l.end() {
		return nil
	}
	var err error
	if clean {
		p := packets.Packet{ProtocolVersion: version311, FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}
		if err = l.write(&p, p.DisconnectEncode); err != nil {
			err = fmt.Errorf("mqtt: DISCONNECT: %w", err)
		}
	}
	closed := unlessClosed(l.conn.Close())
	if !clean {
		return nil
	}
	return errors.Join(err, closed)
}
