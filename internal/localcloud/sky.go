package localcloud

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
	"github.com/fleetstep/fleetstep/internal/localcloud/quotas"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Weather is what AWS does on bad days; see package weather.
type Weather struct {
	Seed  uint64
	Rates weather.Rates
	Only  []int // numbers of the events that happen; nil: all that are drawn
}

// Words of the weather and of quotas, for who is outside of the local cloud.
type (
	WeatherReport = weather.Report
	WeatherEvent  = weather.Event
	WeatherKind   = weather.Kind
	Quotas        = quotas.Account
	QuotaReport   = quotas.Report
	QuotaUse      = quotas.Use
)

// The accounts whose quotas may hold.
const (
	NoQuotas      = quotas.None
	DefaultQuotas = quotas.Default
	NewAccount    = quotas.NewAccount
)

// Kinds of weather that are spoken of outside.
const (
	WeatherThrottled = weather.Throttled
	WeatherLost      = weather.Lost
	WeatherCut       = weather.Cut
	WeatherImpaired  = weather.Impaired
)

// ParseWeather reads what the weather is like (none, bad, or kinds of it) and the
// numbers of the events that happen ("" is all).
func ParseWeather(kinds, events string, seed uint64) (Weather, error) {
	rates, err := weather.Parse(kinds)
	if err != nil {
		return Weather{}, fmt.Errorf("weather: %w", err)
	}
	only, err := weather.ParseEvents(events)
	if err != nil {
		return Weather{}, fmt.Errorf("weather events: %w", err)
	}
	return Weather{seed, rates, only}, nil
}

// ParseQuotas reads whose quotas hold.
func ParseQuotas(s string) (Quotas, error) { return quotas.Parse(s) }

// Fair reports whether nothing ever happens.
func (w Weather) Fair() bool { return w.Rates.Fair() }

// String is what ParseWeather reads as kinds, Events what it reads as events.
func (w Weather) String() string { return w.Rates.String() }

// Events are the numbers of those that happen, as ParseWeather reads them.
func (w Weather) Events() string { return weather.FormatEvents(w.Only) }

// newWeather is the cloud's weather, nil where it is always fair.
func (c *Cloud) newWeather() *weather.Weather {
	w := c.config.Weather
	return weather.New(weather.Config{
		Scheduler: c.config.Scheduler, Seed: w.Seed, Rates: w.Rates, Only: w.Only, Conflict: dynamodb.Conflict,
		End: c.endFunction(),
	})
}

// endFunction ends the process of the function that has an access key; nil where
// functions are no processes.
func (c *Cloud) endFunction() func(accessKey string) bool {
	if c.config.InProcess != nil {
		return nil
	}
	return func(accessKey string) bool {
		p, ok := c.lambda.Executor.(*lambda.Process)
		return ok && p.End(accessKey)
	}
}

// around is what stands around every call: the account's quotas, then the weather.
func (c *Cloud) around() awsapi.Around {
	if c.weather == nil && c.quotas == nil {
		return nil
	}
	return func(ctx context.Context, call *awsapi.Call, in any, run func() (any, error)) (any, error) {
		if !c.quotas.Allow(call, in) {
			return nil, call.Service.TooMuch()
		}
		if takes := c.quotas.Takes(call); takes > 0 {
			if err := c.config.Scheduler.Sleep(ctx, takes); err != nil {
				return nil, err
			}
		}
		return c.weather.Around(ctx, call, in, run)
	}
}

// BeginWeather ends the calm in which the account was furnished: from here on the
// weather is drawn and the quotas hold.
func (c *Cloud) BeginWeather() {
	c.weather.Begin()
	c.quotas.Begin()
}

// WeatherReport counts what the weather has done; nil in fair weather.
func (c *Cloud) WeatherReport() *weather.Report { return c.weather.Report() }

// WeatherEvents are what has happened, in order.
func (c *Cloud) WeatherEvents() []weather.Event { return c.weather.Events() }

// QuotaReport tells how much of its quotas the account has used; nil where it has
// none.
func (c *Cloud) QuotaReport() *quotas.Report { return c.quotas.Report() }

// Kinds are those that may happen.
func (w Weather) Kinds() (list []WeatherKind) {
	for k, rate := range w.Rates {
		if rate > 0 {
			list = append(list, WeatherKind(k))
		}
	}
	return list
}

// Without is the weather without a kind.
func (w Weather) Without(k WeatherKind) Weather {
	w.Rates[k] = 0
	return w
}
