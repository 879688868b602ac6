package sfn

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// Call implements Tasks.
func (in *integrations) Call(ctx context.Context, t Task) Answer {
	if t.Reader {
		return Answer{Result: in.read(ctx, t)}
	}
	if t.Writer {
		return Answer{Result: in.write(ctx, t)}
	}
	id, err := in.identity(ctx, t)
	if err != nil {
		return Answer{Result: in.failure(t, err)}
	}
	switch {
	case t.Resource.Kind == asl.Function:
		return Answer{Result: in.function(ctx, id, t)}
	case t.Resource.Service == "lambda" && t.Resource.Action == "invoke":
		return Answer{Result: in.lambda(ctx, id, t)}
	case t.Resource.Service == "states" && t.Resource.Action == "startExecution":
		return in.startExecution(ctx, id, t)
	}
	return Answer{Result: in.generic(ctx, id, t)}
}
