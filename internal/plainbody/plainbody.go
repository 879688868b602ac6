package cli

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// WithPlainBodies makes the SDK send bodies as readers and nothing else. The SDK closes a request's body as soon as
// the head of the answer is there, and its closed io.WriterTo (smithy-go 1.28.8, safeWriteToReadCloser) tells net/http
// of an error where a closed reader tells of an end: the connection then ends in the middle of the answer.
func WithPlainBodies(cfg *aws.Config) {
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
