package functions

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// Keys of every log line.
const (
	logRequestID = "requestId"
	logThing     = "thingName"
	logEndpoint  = "endpointId"
	logJob       = "jobId"
	logCampaign  = "campaignId"
	logRule      = "ruleName"
)

// newLog writes JSON lines with the time of a clock. level is a name as slog has it, "" for INFO.
func newLog(out io.Writer, level string, now func() time.Time) (*slog.Logger, error) {
	var least slog.Level
	var err error
	if level != "" {
		if err = least.UnmarshalText([]byte(level)); err != nil {
			err = fmt.Errorf("%s: %w", environment.LogLevel, err)
		}
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level: least,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Time(slog.TimeKey, now().UTC())
			}
			return a
		},
	})), err
}

// whose is the log's word for an owner.
func whose(o event.Owner) slog.Attr {
	if o.Campaign != "" {
		return slog.String(logCampaign, string(o.Campaign))
	}
	return slog.String(logJob, string(o.Job))
}

// logger is the log of one invocation.
func (p *parts) logger(ctx context.Context, attrs ...any) *slog.Logger {
	l := p.log
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		l = l.With(logRequestID, lc.AwsRequestID)
	}
	return l.With(attrs...)
}
