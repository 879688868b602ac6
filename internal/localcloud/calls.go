package localcloud

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
)

// Calls says how often a role made calls of an operation since the cloud was opened,
// those included that the service then refused. What a function does is by the
// function's name, and so are its own runs, as Service lambda, Operation Invoke.
type Calls struct {
	By        string `json:"by"` // the session's name: a function's, or what the service calls it
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Count     int64  `json:"count"`
}

// Calls are sorted by who made them, service and operation.
func (c *Cloud) Calls() []Calls { return c.calls.list() }

type madeBy struct{ by, service, operation string }

// calls counts.
type calls struct {
	mu    sync.Mutex
	count map[madeBy]int64
}

func newCalls() *calls { return &calls{count: map[madeBy]int64{}} }

func (c *calls) add(k madeBy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[k]++
}

func (c *calls) list() []Calls {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Calls, 0, len(c.count))
	for k, n := range c.count {
		list = append(list, Calls{k.by, k.service, k.operation, n})
	}
	slices.SortFunc(list, func(a, b Calls) int {
		return cmp.Or(cmp.Compare(a.By, b.By), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation,
			b.Operation))
	})
	return list
}

// counted is a Fault that counts the calls of roles before it asks another, if there
// is one.
func (c *calls) counted(next Fault) Fault {
	return func(ctx context.Context, call *Request, in any) error {
		if call.Identity.RoleARN != "" {
			session := call.Identity.ARN[strings.LastIndexByte(call.Identity.ARN, '/')+1:]
			c.add(madeBy{session, call.Service.ID, call.Operation})
		}
		if next == nil {
			return nil
		}
		return next(ctx, call, in)
	}
}

// runs counts what an executor runs.
type runs struct {
	lambda.Executor
	calls *calls
}

// Invoke implements lambda.Executor.
func (r runs) Invoke(ctx context.Context, f lambda.Function, in lambda.Invocation) (lambda.Result, error) {
	r.calls.add(madeBy{f.Name, "lambda", "Invoke"})
	return r.Executor.Invoke(ctx, f, in)
}
