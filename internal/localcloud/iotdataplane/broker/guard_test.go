package broker

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
)

// endless is a connection with a CONNECT and the same message again and again.
type endless struct {
	net.Conn
	next, message []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.next) == 0 {
		e.next = e.message
	}
	n := copy(p, e.next)
	e.next = e.next[n:]
	return n, nil
}

// Thousands of connections wait for their next message: each keeps one small buffer, and a message needs no other,
// unless it is larger.
func TestAConnectionReadsIntoOneBuffer(t *testing.T) {
	connect := append([]byte{0x10, 13}, "\x00\x04MQTT\x04\x02\x04\xb0\x00\x01a"...)
	small := append([]byte{0x30, 42, 0, 1, 'a'}, make([]byte, 39)...)
	large := append([]byte{0x30, 0x80, 0x80, 0x08, 0, 1, 'a'}, bytes.Repeat([]byte("x"), 128<<10-3)...)
	e := &endless{next: connect, message: small}
	g := &guard{Conn: e}
	read := func(packet []byte) {
		t.Helper()
		got := make([]byte, len(packet))
		if _, err := io.ReadFull(g, got); err != nil || !bytes.Equal(got, packet) {
			t.Fatalf("%d bytes were read otherwise: %v", len(packet), err)
		}
	}
	read(connect)
	read(small)
	e.next = append(bytes.Clone(e.next), large...)
	for len(g.kept) > 0 || len(e.next) > len(large) {
		read(small)
	}
	read(large)
	read(small)
	var before, after runtime.MemStats
	const messages = 1000
	runtime.ReadMemStats(&before)
	p := make([]byte, len(small))
	for range messages {
		if _, err := io.ReadFull(g, p); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / messages; each > 200 {
		t.Errorf("%d bytes are allocated for a message of %d", each, len(small))
	}
	if cap(g.kept) > readSize {
		t.Errorf("after a large message %d bytes are kept", cap(g.kept))
	}
}
