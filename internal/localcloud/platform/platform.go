// Package platform has what every service of the local cloud needs. It is declared once, so
// that all services have the same names for the same things. What only one service needs is in
// that service's Config.
package platform

import (
	"log/slog"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/quotas"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Platform is one account in one region.
type Platform struct {
	Scheduler *scheduler.Scheduler // time, tasks and randomness
	Store     *store.DB            // what outlasts the process
	Account   string               // twelve digits
	Region    string
	Caller    awsapi.Caller // reaches the other services; nil for a service that needs none, or is tested without
	Log       *slog.Logger  // nil: nothing is logged
	// Weather is what AWS does on bad days; nil is fair.
	Weather *weather.Weather
	// Quotas are what the account may do; nil is everything.
	Quotas *quotas.Quotas
}
