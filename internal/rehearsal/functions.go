package rehearsal

import (
	"context"
	"fmt"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/functions"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

type maker func(context.Context, functions.Env, aws.Config, func() time.Time) (localcloud.Handler, error)

func handler[H any](construct functions.Constructor[H]) maker {
	return func(ctx context.Context, env functions.Env, cfg aws.Config, now func() time.Time) (localcloud.Handler, error) {
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
	"finalize":              handler(functions.NewFinalize),
	"handle-device-message": handler(functions.NewHandleDeviceMessage),
	"handle-job-event":      handler(functions.NewHandleJobEvent),
	"prepare-account":       handler(functions.NewPrepareAccount),
}

// function implements localcloud.Config.InProcess.
func (w *world) function(ctx context.Context, c *localcloud.Cloud, f localcloud.Function, id localcloud.Identity) (localcloud.Handler, error) {
	construct := makers[f.Asset]
	if construct == nil {
		return nil, fmt.Errorf("rehearsal: no handler is known for the code %q of function %s", f.Asset, f.Name)
	}
	client := w.client(id)
	if c != w.cloud { // it died, and calls itself to the end
		client.handler, client.door = c.Handler(), nil
	}
	return construct(ctx, functions.Vars(f.Env, localcloud.Output(ctx)), w.discovering(c, client), w.sched.Now)
}
