package weather

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Around is for awsapi.Config.Around: it runs a call, or fails in its place.
func (w *Weather) Around(ctx context.Context, c *awsapi.Call, in any, run func() (any, error)) (any, error) {
	if w == nil {
		return run()
	}
	life := lifeFromContext(ctx)
	if life.Ended() {
		return nil, errEnded
	}
	if c.Identity.Root || spared(ctx) {
		return run()
	}
	what := c.Service.ID + ":" + c.Operation
	switch {
	case w.DrawImpaired(c.Service.ID):
		if w.draws.IntN(2) == 0 {
			return nil, c.Service.TooMuch()
		}
		return nil, c.Service.Broken()
	case w.Draw(Throttled, what):
		return nil, c.Service.TooMuch()
	case w.Draw(Failed, what):
		return nil, c.Service.Broken()
	case w.conflicts(in, what):
		return nil, w.config.Conflict(in, w.draws.IntN(100))
	}
	out, err := run()
	if w.drawKill(life, c, what) {
		return nil, errEnded
	}
	if err != nil || !writes(c.Operation) {
		return out, err
	}
	if w.Draw(Unanswered, what) {
		return nil, c.Service.Broken()
	}
	if answersLate[c.Operation] && w.Draw(Late, what) {
		if err := w.config.Scheduler.Sleep(ctx, w.between(0, 2*time.Second)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// conflicts draws whether a call meets another transaction, if it can.
func (w *Weather) conflicts(in any, what string) bool {
	return w.config.Conflict != nil && in != nil && w.config.Conflict(in, 0) != nil && w.Draw(Conflicts, what)
}

// writing are the beginnings of the names of operations that change something.
var writing = []string{
	"Add", "BatchWrite", "Cancel", "ChangeMessage", "Create", "Delete", "Publish", "Put", "Send", "Start", "Stop",
	"TransactWrite", "Update",
}

func writes(operation string) bool {
	for _, begins := range writing {
		if strings.HasPrefix(operation, begins) {
			return true
		}
	}
	return false
}

// answersLate are operations after which others go on, maybe before their answer
// has come: a task's end moves its execution.
var answersLate = map[string]bool{
	"SendTaskSuccess": true, "SendTaskFailure": true, "StartExecution": true, "UpdateJobExecution": true,
}

// errEnded is what a function gets that has been ended and does not know it yet.
// No client tries it again.
var errEnded = &awsapi.Error{Code: "FunctionEnded", Status: 400, Message: "the function that asks has been ended"}

// drawKill draws whether the function that makes a call ends here, and ends it.
func (w *Weather) drawKill(life *Life, c *awsapi.Call, what string) bool {
	if life == nil && (w.config.End == nil || c.AccessKey == "") {
		return false
	}
	if !w.Draw(Killed, what) {
		return false
	}
	if life != nil {
		life.end()
		return true
	}
	return w.config.End(c.AccessKey)
}

// Life is that of an invocation whose function runs in this process. What the
// function asks for after its end is refused, so that it has no effect any more.
type Life struct {
	mu    sync.Mutex
	ended bool
}

// Ended reports whether the function was ended. A nil Life does not end.
func (l *Life) Ended() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *Life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

type lifeKey struct{}

// Live begins an invocation's life: the calls that it makes under the context are
// the function's. It is nil in fair weather.
func (w *Weather) Live(ctx context.Context) (context.Context, *Life) {
	if w == nil {
		return ctx, nil
	}
	life := &Life{}
	return context.WithValue(ctx, lifeKey{}, life), life
}

type spareKey struct{}

// Spare has calls under the context go through. It is for what is tried for the last time,
// and is a dead letter otherwise: that is for an operator, and no workflow's to mend.
func Spare(ctx context.Context) context.Context { return context.WithValue(ctx, spareKey{}, true) }

func spared(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }

func lifeFromContext(ctx context.Context) *Life {
	life, _ := ctx.Value(lifeKey{}).(*Life)
	return life
}
