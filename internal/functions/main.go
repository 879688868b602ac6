package functions

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Constructor is the shape of every New<Name>.
type Constructor[H any] func(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (H, error)

// Main runs a function in the Lambda runtime; it does not return. A constructor
// that fails is a function that does not start, and says why.
func Main[H any](construct Constructor[H]) {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		var handler H
		if handler, err = construct(ctx, OS(), cfg, time.Now); err == nil {
			lambda.Start(handler)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
