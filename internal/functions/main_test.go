package functions

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
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
	}{{Patient, 30 * time.Second}, {Starting, 30 * time.Second}, {Brisk, 10 * time.Second}} {
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

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// A closed body of a request ends plainly, so that no answer is lost (package plainbody).
func TestFunctionsReadAnswersToTheirEnd(t *testing.T) {
	cfg, err := Brisk.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	cfg.Region, cfg.Credentials = "eu-west-1", credentials.NewStaticCredentialsProvider("test", "test", "")
	cfg.RetryMaxAttempts, cfg.HTTPClient = 1, doer(func(r *http.Request) (*http.Response, error) {
		asked = true
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("a closed body tells net/http of %v", err)
		}
		return nil, errors.New("enough")
	})
	_, err = sns.NewFromConfig(cfg).Publish(t.Context(), &sns.PublishInput{Message: aws.String("x")})
	if err == nil || !asked {
		t.Errorf("asked %v: %v", asked, err)
	}
}

// Many that are refused at once do not come again at once: each waits a time of its own, up to the longest.
func TestThrottledCallsComeAgainAtTimesOfTheirOwn(t *testing.T) {
	busy := &smithy.GenericAPIError{Code: "ThrottlingException"}
	for _, l := range []Limits{Patient, Starting, Brisk} {
		for attempt := 1; attempt < l.Attempts; attempt++ {
			for jitter, want := range map[float64]time.Duration{0: 0, 0.5: l.Backoff / 2, 1: l.Backoff} {
				if got := l.Pause(attempt, busy, jitter); got != want {
					t.Errorf("throttled, attempt %d, %v: %v, want %v", attempt, jitter, got, want)
				}
			}
			if got, want := l.Pause(attempt, io.EOF, 1), min(l.Backoff, 50*time.Millisecond<<attempt); got != want {
				t.Errorf("failed, attempt %d: %v, want %v", attempt, got, want)
			}
		}
		seen := map[time.Duration]bool{}
		for range 20 {
			d, err := l.retryer().RetryDelay(l.Attempts-1, busy)
			if seen[d] = true; err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) < 10 {
			t.Errorf("twenty calls of %+v wait for %v", l, seen)
		}
	}
}
