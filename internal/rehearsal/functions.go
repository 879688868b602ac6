package rehearsal

import (
	"context"
	"fmt"
	"sync"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/functions"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// maker makes a function's handler; limits are those of its process.
type maker struct {
	construct func(context.Context, functions.Env, aws.Config, func() time.Time) (localcloud.Handler, error)
	limits    functions.Limits
}

func handler[H any](construct functions.Constructor[H], limits functions.Limits) maker {
	make := func(ctx context.Context, env functions.Env, cfg aws.Config, now func() time.Time) (
		localcloud.Handler, error) {
		h, err := construct(ctx, env, cfg, now)
		if err != nil {
			return nil, err
		}
		return runtime.NewHandler(h), nil
	}
	return maker{make, limits}
}

// makers are the functions by the folder of their code, as lambdas/ has them.
var makers = map[string]maker{
	"create-job":            handler(functions.NewCreateJob, functions.Patient),
	"start-upgrade":         handler(functions.NewStartUpgrade, functions.Starting),
	"send-usp-operate":      handler(functions.NewSendUSPOperate, functions.Patient),
	"await-firmware-report": handler(functions.NewAwaitFirmwareReport, functions.Patient),
	"verify-version":        handler(functions.NewVerifyVersion, functions.Patient),
	"usp-task":              handler(functions.NewUSPTask, functions.Patient),
	"finalize":              handler(functions.NewFinalize, functions.Patient),
	"handle-device-message": handler(functions.NewHandleDeviceMessage, functions.Brisk),
	"handle-job-event":      handler(functions.NewHandleJobEvent, functions.Patient),
	"control":               handler(functions.NewControl, functions.Patient),
	"tick":                  handler(functions.NewTick, functions.Patient),
	"prepare-account":       handler(functions.NewPrepareAccount, functions.Patient),
	"create-campaign":       handler(functions.NewCreateCampaign, functions.Patient),
	"approve-campaign":      handler(functions.NewApproveCampaign, functions.Patient),
	"control-campaign":      handler(functions.NewControlCampaign, functions.Patient),
	"abort-campaign":        handler(functions.NewAbortCampaign, functions.Patient),
	"describe-campaign":     handler(functions.NewDescribeCampaign, functions.Patient),
	"run-campaign":          handler(functions.NewRunCampaign, functions.Patient),
}

// function implements localcloud.Config.InProcess.
func (w *world) function(ctx context.Context, c *localcloud.Cloud, f localcloud.Function, id localcloud.Identity) (
	localcloud.Handler, error) {
	make, ok := makers[f.Asset]
	if !ok {
		return nil, fmt.Errorf("rehearsal: no handler is known for the code %q of function %s", f.Asset, f.Name)
	}
	client := w.client(id)
	if c != w.cloud { // it died, and calls itself to the end
		client.handler, client.door = c.Handler(), nil
	}
	env := functions.Vars(f.Env, localcloud.Output(ctx))
	env.Parallel, env.Operations = w.parallel, w.operations
	cfg := w.discovering(c, client)
	cfg.Retryer = func() aws.Retryer { return patient{aws.NopRetryer{}, w.sched, make.limits} }
	if w.configured != nil {
		w.configured(f.Asset, &cfg)
	}
	h, err := make.construct(ctx, env, cfg, w.sched.Now)
	if err != nil || w.invoked == nil {
		return h, err
	}
	return watched{h, f.Asset, w.invoked}, nil
}

// watched is a function whose invocations a test hears of before it does.
type watched struct {
	localcloud.Handler
	asset   string
	invoked func(asset string, payload []byte)
}

func (h watched) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	h.invoked(h.asset, payload)
	return h.Handler.Invoke(ctx, payload)
}

// parallel is functions.Env's Parallel in virtual time.
func (w *world) parallel(n int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var mu sync.Mutex
	left, over := n, w.sched.NewGate()
	for i := range n {
		w.sched.Go("rehearsal: a function's own parallel work", func() {
			do(i)
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				over.Open()
			}
		})
	}
	// The context has no end: the work may not go on when the function is over.
	if err := over.Wait(context.Background()); err != nil {
		panic(err) // the world has ended, and with it the process of the function
	}
}
