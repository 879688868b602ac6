// Package plainbody keeps the AWS SDK from ending a connection in the middle of an answer. Commands and functions use
// it, for every client that they make: Use changes a configuration, before clients are made of it.
//
// The SDK closes a request's body as soon as the head of the answer is there. When net/http has sent a body whose
// length it knows, it looks whether there is more of it. What the SDK sends is an io.WriterTo, which tells of an error
// once it is closed, where a closed reader tells of an end (smithy-go 1.28.9, safeWriteToReadCloser). If the answer is
// there before net/http has looked, it takes that for a body that failed, and closes the connection while the answer
// is read. That needs a request of more than 4 KiB, whose end is on the wire before net/http flushes.
package plainbody

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Use makes the SDK send bodies as readers and nothing else.
func Use(cfg *aws.Config) {
	cfg.APIOptions = append(cfg.APIOptions, func(s *middleware.Stack) error {
		return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("fleetstep:PlainBodies", plainBody), middleware.After)
	})
}

func plainBody(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	if req, ok := in.Request.(*smithyhttp.Request); ok {
		if body, ok := req.GetStream().(io.ReadSeeker); ok {
			if in.Request, err = req.SetStream(struct{ io.ReadSeeker }{body}); err != nil {
				return out, metadata, err
			}
		}
	}
	return next.HandleFinalize(ctx, in)
}
