package broker

import (
	"bytes"
	"encoding/hex"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2/packets"
)

// wirePackets are packets of a client after its CONNECT, with what is wrong with each by MQTT 3.1.1 and 5: 0 if
// nothing is.
var wirePackets = []struct {
	name, packet string
	v4, v5       byte
}{
	{"no kind", "0000", 0x81, 0x81},
	{"CONNECT", "100f00044d5154540402003c0003626164", 0x82, 0x82},
	{"CONNACK", "20020000", 0x82, 0x82},
	{"PUBLISH of 3.1.1", "300400016178", 0, 0x81}, // of 5 it has a length of properties that is not there
	{"PUBLISH of 5", "30050001610078", 0, 0},
	{"PUBLISH without a payload", "300400016100", 0, 0},
	{"PUBLISH of QoS 1", "320700016100010078", 0, 0},
	{"PUBLISH of QoS 1, again", "3a0700016100010078", 0, 0},
	{"PUBLISH of QoS 0, again", "38050001610078", 0x81, 0x81},
	{"PUBLISH of QoS 3", "360700016100010078", 0x81, 0x81},
	{"PUBLISH that ends in its topic", "3003000561", 0x81, 0x81},
	{"PUBLISH that ends before its id", "3203000161", 0x81, 0x81},
	{"PUBLISH to what is no UTF-8", "3006000266ff0078", 0x81, 0x81},
	{"PUBLISH to U+0000", "30050002610000", 0x81, 0x81},
	{"PUBLISH to a surrogate", "30060003eda08000", 0x81, 0x81},
	{"PUBLISH with a format twice", "300a00016104010101017878", 0, 0x82},
	{"PUBLISH with a format of 2", "300700016102010278", 0, 0x82},
	{"PUBLISH with a property of CONNECT", "30080001610321000178", 0, 0x81},
	{"PUBLISH with a property that is cut off", "300700016102080078", 0, 0x81},
	{"PUBLISH with properties longer than it is", "30060001617f0101", 0, 0x81},
	{"PUBLISH with a length of properties of five bytes", "3009000161808080800178", 0, 0x81},
	{"PUBACK", "40020001", 0, 0},
	{"PUBACK with flags", "42020001", 0x81, 0x81},
	{"PUBACK that is cut off", "400100", 0x81, 0x81},
	{"PUBACK with a reason", "4003000110", 0x81, 0},
	{"PUBACK with a reason that there is not", "4003000142", 0x81, 0x82},
	{"PUBACK with properties", "400b000110061f000361616100", 0x81, 0x81}, // one byte too many
	{"PUBACK with a text", "400a000110061f0003616161", 0x81, 0},
	{"PUBREL", "62020001", 0, 0},
	{"PUBREL with its reserved bits", "60020001", 0x81, 0x81},
	{"PUBREL with other bits", "64020001", 0x81, 0x81},
	{"PUBREL that is too long", "620400010000", 0x81, 0},
	{"PUBREC", "50020001", 0, 0},
	{"PUBCOMP", "70020001", 0, 0},
	{"PUBCOMP with a reason of PUBREC", "7003000110", 0x81, 0x82},
	{"SUBSCRIBE of 3.1.1", "8206000100016100", 0, 0x81},
	{"SUBSCRIBE of 5", "820700010000016101", 0x81, 0},
	{"SUBSCRIBE without its bits", "800700010000016101", 0x81, 0x81},
	{"SUBSCRIBE with one bit more", "830700010000016101", 0x81, 0x81},
	{"SUBSCRIBE without options", "8206000100000161", 0x81, 0x81},
	{"SUBSCRIBE without options, 3.1.1", "82050001000161", 0x81, 0x81},
	{"SUBSCRIBE with reserved options", "820700010000016141", 0x81, 0x81},
	{"SUBSCRIBE with reserved options, 3.1.1", "8206000100016104", 0x81, 0x81},
	{"SUBSCRIBE to nothing", "8203000100", 0x81, 0x82},
	{"SUBSCRIBE to nothing, 3.1.1", "82020001", 0x82, 0x81},
	{"SUBSCRIBE of QoS 3", "820700010000016103", 0x81, 0x82},
	{"SUBSCRIBE with an identifier", "82090001020b0100016100", 0x81, 0},
	{"SUBSCRIBE with an identifier of 0", "82090001020b0000016100", 0x81, 0x82},
	{"UNSUBSCRIBE of 3.1.1", "a2050001000161", 0, 0x81},
	{"UNSUBSCRIBE of 5", "a206000100000161", 0x81, 0},
	{"UNSUBSCRIBE without its bits", "a006000100000161", 0x81, 0x81},
	{"UNSUBSCRIBE of nothing", "a203000100", 0x81, 0x82},
	{"UNSUBSCRIBE that is cut off", "a206000100000361", 0x81, 0x81},
	{"UNSUBACK", "b0020001", 0x82, 0x82},
	{"PINGREQ", "c000", 0, 0},
	{"PINGREQ with a body", "c00178", 0x81, 0x81},
	{"PINGREQ with flags", "c100", 0x81, 0x81},
	{"PINGRESP", "d000", 0x82, 0x82},
	{"DISCONNECT", "e000", 0, 0},
	{"DISCONNECT with flags", "e100", 0x81, 0x81},
	{"DISCONNECT with a reason", "e00104", 0x81, 0},
	{"DISCONNECT with a reason of a server", "e0018b", 0x81, 0x82},
	{"DISCONNECT with an expiry", "e00700051100000010", 0x81, 0},
	{"DISCONNECT with properties that are cut off", "e006000511000000", 0x81, 0x81},
	{"DISCONNECT with a server's property", "e00604041c000161", 0x81, 0x81},
	{"AUTH", "f000", 0x81, 0x82},
}

func TestPacketsAreChecked(t *testing.T) {
	for _, tt := range wirePackets {
		packet, err := hex.DecodeString(tt.packet)
		if err != nil {
			t.Fatal(err)
		}
		if size, code := packetSize(packet); size != len(packet) || code != mqtt.CodeSuccess {
			t.Errorf("%s has %d bytes, and says %d: %v", tt.name, len(packet), size, code)
		}
		for version, want := range map[byte]byte{4: tt.v4, 5: tt.v5} {
			if got := checkPacket(version, packet).Code; got != want {
				t.Errorf("%s, version %d: %#x, want %#x", tt.name, version, got, want)
			}
		}
	}
}

// FuzzPacketsThatTheLibraryGets: what is not refused the library reads, without a panic and without an error of its
// own; from any bytes come whole packets, and the rest is kept.
func FuzzPacketsThatTheLibraryGets(f *testing.F) {
	for _, tt := range wirePackets {
		packet, err := hex.DecodeString(tt.packet)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(4), packet)
		f.Add(byte(5), packet)
	}
	f.Fuzz(func(t *testing.T, version byte, stream []byte) {
		if version = 4 + version&1; len(stream) > maxPacketSize {
			return
		}
		g := &guard{version: version, kept: bytes.Clone(stream)}
		code := g.look()
		if g.whole > len(stream) || code != mqtt.CodeSuccess && g.whole > 0 {
			t.Fatalf("%d of %d bytes are whole, and %v", g.whole, len(stream), code)
		}
		for rest := stream[:g.whole]; len(rest) > 0; {
			size, code := packetSize(rest)
			if code != mqtt.CodeSuccess || size == 0 || size > len(rest) {
				t.Fatalf("%x is no whole packet: %d, %v", rest, size, code)
			}
			decode(t, version, rest[:size])
			rest = rest[size:]
		}
	})
}

// decode has the library read a packet.
func decode(t *testing.T, version byte, packet []byte) {
	t.Helper()
	pk := mqtt.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(packet[0]); err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	n, bytesOfLength, err := mqtt.DecodeLength(bytes.NewBuffer(packet[1:]))
	if err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	pk.FixedHeader.Remaining = n
	body := packet[1+bytesOfLength:]
	switch pk.FixedHeader.Type {
	case mqtt.Publish:
		err = pk.PublishDecode(body)
	case mqtt.Puback:
		err = pk.PubackDecode(body)
	case mqtt.Pubrec:
		err = pk.PubrecDecode(body)
	case mqtt.Pubrel:
		err = pk.PubrelDecode(body)
	case mqtt.Pubcomp:
		err = pk.PubcompDecode(body)
	case mqtt.Subscribe:
		err = pk.SubscribeDecode(body)
	case mqtt.Unsubscribe:
		err = pk.UnsubscribeDecode(body)
	case mqtt.Pingreq:
	case mqtt.Disconnect:
		err = pk.DisconnectDecode(body)
	default:
		t.Fatalf("%x is a packet of kind %d", packet, pk.FixedHeader.Type)
	}
	if err != nil {
		t.Fatalf("version %d: %x: the library says %v", version, packet, err)
	}
}
