package functions

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

func TestHandlerHearsOfTheDeadlineBeforeItsProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		h := early{lambda.NewHandler(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })}
		if _, err := h.Invoke(ctx, []byte(`{}`)); err == nil || time.Since(began) != 29*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

// A call that hangs at every attempt is over, with its waits, within a function's
// time.
func TestHangingCallsEndWithinAFunctionsTime(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		time   time.Duration // infra/app says which function has which
	}{{Patient, 30 * time.Second}, {Brisk, 10 * time.Second}} {
		l := c.limits
		if worst := time.Duration(l.Attempts)*l.Answer +
			time.Duration(l.Attempts-1)*l.Backoff; worst > c.time-lastWords {
			t.Errorf("of %v, a call may take %v", c.time, worst)
		}
		r := l.retryer()
		if r.MaxAttempts() != l.Attempts {
			t.Errorf("%d attempts", r.MaxAttempts())
		}
		for attempt := range l.Attempts {
			if d, err := r.RetryDelay(attempt, nil); err != nil || d > l.Backoff {
				t.Errorf("attempt %d waits %v, %v", attempt, d, err)
			}
		}
		var tr *http.Transport = l.httpClient().GetTransport()
		if tr.ResponseHeaderTimeout != l.Answer || tr.TLSHandshakeTimeout != min(dialTimeout, l.Answer) {
			t.Errorf("answer %v, handshake %v", tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout)
		}
	}
}
