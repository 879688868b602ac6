package plainbody_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"github.com/fleetstep/fleetstep/internal/plainbody"
)

type client func(*http.Request) (*http.Response, error)

func (c client) Do(r *http.Request) (*http.Response, error) { return c(r) }

func config(c aws.HTTPClient) aws.Config {
	return aws.Config{Region: "eu-west-1", HTTPClient: c,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

// TestBodiesEndPlainly holds what net/http sees of a body when the SDK has closed it: its end, and no error.
func TestBodiesEndPlainly(t *testing.T) {
	for _, plain := range []bool{true, false} {
		var whole []byte
		var length int64
		var end error
		cfg := config(client(func(r *http.Request) (*http.Response, error) {
			var err error
			if whole, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
			length = r.ContentLength
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
			_, end = io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte(
				`<DescribeStacksResponse><DescribeStacksResult/></DescribeStacksResponse>`)))}, nil
		}))
		if plain {
			plainbody.Use(&cfg)
		}
		_, err := cloudformation.NewFromConfig(cfg).DescribeStacks(context.Background(), nil)
		if err != nil || length != int64(len(whole)) || !bytes.Contains(whole, []byte("Action=DescribeStacks")) {
			t.Errorf("sent %d bytes of %d, %q: %v", len(whole), length, whole, err)
		}
		if plain && end != nil {
			t.Errorf("a closed body tells net/http of %v", end)
		}
		if !plain && end == nil {
			t.Log("the SDK's own bodies end plainly now: this package is not needed any more")
		}
	}
}

// lateConn comes back from a write only when the head of the answer has been read.
type lateConn struct {
	net.Conn
	answered chan struct{}
	once     sync.Once
}

func (c *lateConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil && bytes.HasSuffix(p, []byte("Version=2010-05-15")) {
		<-c.answered
		time.Sleep(20 * time.Millisecond) // for the SDK to close the body
	}
	return n, err
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.once.Do(func() { close(c.answered) })
	return n, err
}

// TestAnswersAreReadToTheirEnd holds the same at a real connection: a server answers as soon as it has the body, and
// its answer takes a moment.
func TestAnswersAreReadToTheirEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(w, `<CreateStackResponse><CreateStackResult><StackId>made</StackId></CreateStackResult>`+
			`</CreateStackResponse>`)
	}))
	defer server.Close()
	for _, plain := range []bool{true, false} {
		transport := &http.Transport{}
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &lateConn{Conn: conn, answered: make(chan struct{})}, err
		}
		cfg := config(&http.Client{Transport: transport})
		cfg.BaseEndpoint, cfg.RetryMaxAttempts = &server.URL, 1
		if plain {
			plainbody.Use(&cfg)
		}
		out, err := cloudformation.NewFromConfig(cfg).CreateStack(t.Context(), &cloudformation.CreateStackInput{
			StackName: aws.String("s"), TemplateBody: aws.String(strings.Repeat("x", 40_000)),
		})
		switch {
		case plain && (err != nil || aws.ToString(out.StackId) != "made"):
			t.Errorf("the answer is lost: %v", err)
		case !plain && err == nil:
			t.Log("the SDK's own bodies do no harm now: this package is not needed any more")
		}
		transport.CloseIdleConnections()
	}
}
