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

type maker func(context.Context, functions.Env, aws.Config, func() time.Time) (localcloud.Handler, error)

func handler[H any](construct functions.Constructor[H]) maker {
	return func(ctx context.Context, env functions.Env, cfg aws.Config, now func() time.Time) (localcloud.Handler,
		error) {
		h, err := construct(ctx, env, cfg, now)
		if err != nil {
			return nil, err
		}
		return runtime.NewHandler(h), nil
	}
}

// makers are the functions by the folder of their code, as lambdas/ has them.
var makers = map[string]maker{
	"create-job":            handler(functions.NewCreateJob),
	"start-upgrade":         handler(functions.NewStartUpgrade),
	"send-usp-operate":      handler(functions.NewSendUSPOperate),
	"await-firmware-report": handler(functions.NewAwaitFirmwareReport),
	"verify-version":        handler(functions.NewVerifyVersion),
	"usp-task":              handler(functions.NewUSPTask),
	"finalize":              handler(functions.NewFinalize),
	"handle-device-message": handler(functions.NewHandleDeviceMessage),
	"handle-job-event":      handler(functions.NewHandleJobEvent),
	"control":               handler(functions.NewControl),
	"tick":                  handler(functions.NewTick),
	"prepare-account":       handler(functions.NewPrepareAccount),
	"create-campaign":       handler(functions.NewCreateCampaign),
	"approve-campaign":      handler(functions.NewApproveCampaign),
	"control-campaign":      handler(functions.NewControlCampaign),
	"abort-campaign":        handler(functions.NewAbortCampaign),
	"describe-campaign":     handler(functions.NewDescribeCampaign),
	"run-campaign":          handler(functions.NewRunCampaign),
}

// function implements localcloud.Config.InProcess.
func (w *world) function(ctx context.Context, c *localcloud.Cloud, f localcloud.Function, id localcloud.Identity) (
	localcloud.Handler, error) {
	construct := makers[f.Asset]
	if construct == nil {
		return nil, fmt.Errorf("rehearsal: no handler is known for the code %q of function %s", f.Asset, f.Name)
	}
	client := w.client(id)
	if c != w.cloud { // it died, and calls itself to the end
		client.handler, client.door = c.Handler(), nil
	}
	env := functions.Vars(f.Env, localcloud.Output(ctx))
	env.Parallel, env.Operations = w.parallel, w.operations
	h, err := construct(ctx, env, w.discovering(c, client), w.sched.Now)
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
