package simulator

import (
	"context"
	"net/http"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// Clock is an agent's time. AfterFunc and Go call f on some goroutine, or on the
// one that drives virtual time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, after d. stop tells whether it prevented that.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
	// Go runs f, which may block: a connection being opened, a download.
	Go(f func())
}

// RealClock is the machine's time; within testing/synctest, the bubble's.
func RealClock() Clock { return realClock{} }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }
func (realClock) Go(f func())    { go f() }
func (realClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// HTTPClient fetches firmware; *http.Client is one.
type HTTPClient interface {
	Do(*http.Request) (*http.Response, error)
}

// Transport opens MQTT connections.
type Transport interface {
	// Connect connects and subscribes, and may block. Until Close, or until the
	// connection is lost, h gets what arrives; it may do so before Connect returns.
	Connect(ctx context.Context, c Connection, h Handler) (Session, error)
}

// Connection is what an agent tells the broker. There is no last will: real
// agents have none.
type Connection struct {
	ClientID   string
	EndpointID usp.EndpointID // as the user property usp-endpoint-id (R-MQTT.13); empty: not sent
	Topic      string         // to subscribe to, at QoS 0
	MQTT311    bool           // it speaks MQTT 3.1.1
}

// Session is an open connection.
type Session interface {
	// Publish hands a message on, in order. It may be dropped when the
	// connection breaks; an error says that it certainly was.
	Publish(Publish) error
	// Close ends the connection, with DISCONNECT if clean, else as a power cut
	// would. h hears nothing more. An error says that the broker was not told of a
	// clean end. Further calls do nothing.
	Close(clean bool) error
}

// Publish is an MQTT message with the MQTT 5 properties that USP uses.
type Publish struct {
	Topic         string
	Payload       []byte
	QoS           byte
	ContentType   string
	ResponseTopic string
}

// Handler gets what happens on a connection. Lost is called at most once, and
// not after Close, nor when Connect failed.
type Handler interface {
	Received(Publish)
	Lost(error)
}
