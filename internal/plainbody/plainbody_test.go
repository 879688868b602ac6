package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/fleetstep/fleetstep/internal/cli"
)

type client func(*http.Request) (*http.Response, error)

func (c client) Do(r *http.Request) (*http.Response, error) { return c(r) }

// TestBodiesEndPlainly holds what net/http sees of a body when the SDK has closed it: its end, and no error.
func TestBodiesEndPlainly(t *testing.T) {
	for _, plain := range []bool{true, false} {
		var whole []byte
		var length int64
		var end error
		cfg := aws.Config{Region: "eu-west-1",
			Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			HTTPClient: client(func(r *http.Request) (*http.Response, error) {
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
			})}
		if plain {
			cli.WithPlainBodies(&cfg)
		}
		_, err := cloudformation.NewFromConfig(cfg).DescribeStacks(context.Background(), nil)
		if err != nil || length != int64(len(whole)) || !bytes.Contains(whole, []byte("Action=DescribeStacks")) {
			t.Errorf("sent %d bytes of %d, %q: %v", len(whole), length, whole, err)
		}
		if plain && end != nil {
			t.Errorf("a closed body tells net/http of %v", end)
		}
		if !plain && end == nil {
			t.Log("the SDK's own bodies end plainly now: WithPlainBodies is not needed any more")
		}
	}
}
