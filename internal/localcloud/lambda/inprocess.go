package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Handler is a function's code: aws-lambda-go's lambda.Handler.
type Handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// InProcess is an Executor that calls handlers of this program. It keeps one
// handler for each revision of a function, as a warm environment would.
type InProcess struct {
	Scheduler *scheduler.Scheduler
	Weather   *weather.Weather // nil is fair
	// New makes the handler of a function from its asset's name, its
	// environment variables and the identity of its role; it prints to out.
	New func(ctx context.Context, f Function, id awsapi.Identity, out io.Writer) (Handler, error)

	mu       sync.Mutex
	handlers map[string]*inProcess // by Function.pool
}

type inProcess struct {
	revision string
	handler  Handler
	out      *lineWriter
	stream   string
}

// Invoke implements Executor.
func (p *InProcess) Invoke(ctx context.Context, f Function, inv Invocation) (result Result, err error) {
	h, err := p.handler(ctx, f, inv.Identity)
	if err != nil {
		return failed(&FunctionError{Type: errorType(err), Message: err.Error()}, ""), nil
	}
	defer func() {
		if v := recover(); v != nil {
			result, err = failed(&FunctionError{Type: "Runtime.ExitError",
				Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %v", inv.RequestID, v)},
				h.stream), nil
		}
	}()
	began := p.Scheduler.Now()
	limited, cancel := p.Scheduler.WithTimeout(ctx, f.Timeout)
	defer cancel()
	limited, life := p.Weather.Live(limited)
	invocation := lambdacontext.NewContext(limited, &lambdacontext.LambdaContext{AwsRequestID: inv.RequestID,
		InvokedFunctionArn: inv.FunctionARN})
	h.out.to(inv.Log)
	out, err := h.handler.Invoke(invocation, inv.Payload)
	if life.Ended() {
		result = failed(&FunctionError{
			Type: "Runtime.ExitError", Message: "RequestId: " + inv.RequestID +
				" Error: Runtime exited with error: signal: killed",
		}, h.stream)
		result.Began = began
		return result, nil
	}
	if ended := limited.Err(); ended != nil && errors.Is(err, ended) {
		if ctx.Err() == nil {
			ended = ErrTimedOut
		}
		return Result{Stream: h.stream, Began: began}, ended
	}
	if err != nil {
		result = failed(functionError(err), h.stream)
		result.Began = began
		return result, nil
	}
	if len(out) == 0 {
		out = []byte("null")
	}
	return Result{Payload: out, Stream: h.stream, Began: began}, nil
}

func (p *InProcess) handler(ctx context.Context, f Function, id awsapi.Identity) (*inProcess, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.handlers[f.pool()]; h != nil && h.revision == f.RevisionID {
		return h, nil
	}
	h := &inProcess{revision: f.RevisionID}
	h.stream = p.Scheduler.Now().Format("2006/01/02") + "/[" + f.version() + "]" +
		strings.ReplaceAll(p.Scheduler.UUID(), "-", "")
	h.out = &lineWriter{s: p.Scheduler, stream: h.stream}
	var err error
	if h.handler, err = p.New(ctx, f, id, h.out); err != nil {
		return nil, err
	}
	if p.handlers == nil {
		p.handlers = map[string]*inProcess{}
	}
	p.handlers[f.pool()] = h
	return h, nil
}

// Waiting implements Executor; nothing ever does.
func (p *InProcess) Waiting(string) int { return 0 }

// Retire implements Executor.
func (p *InProcess) Retire(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handlers, version)
}

// Close implements Executor.
func (p *InProcess) Close() {}

// functionError is an error of a handler as the Go runtime of Lambda reports
// it.
func functionError(err error) *FunctionError {
	if m, ok := errors.AsType[messages.InvokeResponse_Error](err); ok {
		return &FunctionError{Type: m.Type, Message: m.Message}
	}
	if m, ok := errors.AsType[*messages.InvokeResponse_Error](err); ok {
		return &FunctionError{Type: m.Type, Message: m.Message}
	}
	return &FunctionError{Type: errorType(err), Message: err.Error()}
}

func errorType(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// lineWriter cuts what a handler prints into lines. Handlers that run at the
// same time share it: a line goes to the invocation that began last.
type lineWriter struct {
	s      *scheduler.Scheduler
	stream string

	mu  sync.Mutex
	cut lines
	log func(LogLine)
}

func (w *lineWriter) to(log func(LogLine)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = log
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	var list []LogLine
	w.cut.line = func(text string) { list = append(list, LogLine{Stream: w.stream, Time: w.s.Now(), Text: text}) }
	w.cut.write(p)
	log := w.log
	w.mu.Unlock()
	if log != nil {
		for _, l := range list {
			log(l)
		}
	}
	return len(p), nil
}
