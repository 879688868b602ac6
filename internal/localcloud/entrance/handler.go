package entrance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// How long an HTTP request's body may take: every read within idle, the whole
// within grace and a second more for each rate bytes. Amazon S3 answers
// RequestTimeout to a client that sends nothing for about twenty seconds.
const (
	idle  = 20 * time.Second
	grace = 60 * time.Second
	rate  = 1024
)

// sending is how long a client may take to read what it is sent at a time.
const sending = 60 * time.Second

var contextBackground = context.Background()

type turnedKey struct{}

// ConnContext is for http.Server.ConnContext: it lets Handler know a connection
// that was turned away.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if TurnedAway(c) {
		return context.WithValue(ctx, turnedKey{}, true)
	}
	return ctx
}

// Handler serves h. Requests of a connection that was turned away are answered
// with 503 Service Unavailable, which AWS's SDKs try again. A body that does not
// come on ends with os.ErrDeadlineExceeded; if h has not answered by then, the
// answer is 408 RequestTimeout. A client that does not read its answer loses its
// connection.
func (e *Entrance) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(turnedKey{}) != nil {
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "Too many connections are open; try again.")
			return
		}
		control := http.NewResponseController(w)
		out := &answer{ResponseWriter: w, e: e, control: control}
		if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
			w.WriteHeader(http.StatusContinue) // net/http says so when a body is read, and here is none
		}
		if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body, e: e, control: control, start: e.sched.Now()}
			b.allow(b.start)
			r.Body = b
			defer func() {
				if b.late && !out.begun {
					refuse(out, http.StatusRequestTimeout, "RequestTimeout",
						"The body of the request was not sent within the time allowed.")
				}
			}()
		}
		out.allow() // what an earlier request of the connection was given may be over
		h.ServeHTTP(out, r)
		out.allow()
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	text := `{"__type":"` + code + `","message":"` + message + `"}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that is gone needs no answer
}

// body is a request's body with a deadline for each read.
type body struct {
	io.ReadCloser
	e       *Entrance
	control *http.ResponseController
	start   time.Time
	set     time.Time
	read    int64
	late    bool
}

// allow gives the next read its time.
func (b *body) allow(now time.Time) {
	if now.Sub(b.set) < idle/4 { // set again only when it matters
		return
	}
	b.set = now
	whole := b.start.Add(grace + time.Duration(b.read/rate)*time.Second)
	next := now.Add(idle)
	if whole.Before(next) {
		next = whole
	}
	b.deadline(next)
}

// deadline is without effect where the connection is no network's.
func (b *body) deadline(t time.Time) {
	if err := b.control.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
		b.e.sched.Failed("http body: deadline", err)
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.allow(b.e.sched.Now())
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.deadline(time.Time{}) // the handler may take its time
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late = true
	}
	return n, err
}

// answer gives each write its time.
type answer struct {
	http.ResponseWriter
	e       *Entrance
	control *http.ResponseController
	begun   bool
	until   time.Time
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) allow() {
	now := a.e.sched.Now()
	if a.until.Sub(now) > sending*3/4 {
		return
	}
	a.until = now.Add(sending)
	if err := a.control.SetWriteDeadline(a.until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		a.e.sched.Failed("http answer: deadline", err)
	}
}

func (a *answer) WriteHeader(status int) {
	a.begun = a.begun || status >= 200
	a.allow()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	a.allow()
	return a.ResponseWriter.Write(p)
}
