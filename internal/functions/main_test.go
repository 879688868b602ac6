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

// A call that hangs at every attempt is over, with its waits, within a function's 30
// seconds.
func TestHangingCallsEndWithinAFunctionsTime(t *testing.T) {
	r := retryer()
	if worst := time.Duration(callAttempts)*answerTimeout + time.Duration(callAttempts-1)*longestBackoff; worst > 30*time.Second-lastWords {
		t.Errorf("a call may take %v", worst)
	}
	if r.MaxAttempts() != callAttempts {
		t.Errorf("%d attempts", r.MaxAttempts())
	}
	for attempt := range callAttempts {
		if d, err := r.RetryDelay(attempt, nil); err != nil || d > longestBackoff {
			t.Errorf("attempt %d waits %v, %v", attempt, d, err)
		}
	}
	var tr *http.Transport = httpClient().GetTransport()
	if tr.ResponseHeaderTimeout != answerTimeout || tr.TLSHandshakeTimeout != dialTimeout {
		t.Errorf("answer %v, handshake %v", tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout)
	}
}
