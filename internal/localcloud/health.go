package localcloud

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// full says why there is no room for a request; see Config.MinFree.
func (c *Cloud) full(bytes int64, session bool) error {
	if c.config.MinFree == 0 {
		return nil
	}
	least := c.config.MinFree
	if session {
		least /= 4
	}
	free, err := c.config.Free()
	if err != nil {
		return err
	}
	if free < least || free-least < uint64(max(bytes, 0)) {
		return fmt.Errorf("the disk has %d MiB left, of which %d MiB are kept free; remove something, or free "+
			"space on the disk", free>>20, least>>20)
	}
	return nil
}

// Health is how the cloud is. A client of MQTT that went beyond its limits is
// named with what it did.
type Health struct {
	Status    string                   `json:"status"` // ok, low (on space: soon degraded), or degraded
	Problems  []string                 `json:"problems,omitempty"`
	Free      uint64                   `json:"freeBytes,omitempty"`    // of the disk
	MinFree   uint64                   `json:"minFreeBytes,omitempty"` // see Config.MinFree
	Entrance  entrance.Report          `json:"connections"`
	Throttled []iotdataplane.Throttled `json:"throttled,omitempty"`
}

// Health looks at what an operator would want to know of.
func (c *Cloud) Health() Health {
	h := Health{Status: "ok", MinFree: c.config.MinFree, Entrance: c.entrance.Report(), Throttled: c.data.Throttled()}
	for _, f := range h.Entrance.Failing() {
		h.Problems = append(h.Problems, "listener "+f)
	}
	warning := ""
	if c.config.MinFree > 0 {
		free, err := c.config.Free()
		h.Free = free
		switch {
		case err != nil:
			h.Problems = append(h.Problems, err.Error())
		case free < c.config.MinFree:
			h.Problems = append(h.Problems,
				fmt.Sprintf("the disk has %d MiB left, of which %d MiB are kept free: new work is refused", free>>20,
					c.config.MinFree>>20))
		case free < 2*c.config.MinFree:
			warning = fmt.Sprintf("the disk has %d MiB left; below %d MiB new work is refused", free>>20,
				c.config.MinFree>>20)
		}
	}
	if err := c.config.Store.Failure(); err != nil {
		h.Problems = append(h.Problems, err.Error())
	}
	h.Problems = append(h.Problems, c.config.Store.Damage()...)
	switch {
	case len(h.Problems) > 0:
		h.Status = "degraded"
	case warning != "":
		h.Status, h.Problems = "low", []string{warning}
	}
	return h
}

// inspect serves what is no AWS API: GET /_localcloud/health answers once the
// door is open, 200 if all is well and 503 if something is not, with a Health; GET
// /_localcloud/weather what the weather did and how much of the quotas was used; GET
// /_localcloud/residue a JSON list of what is unfinished, /_localcloud/calls one of
// what roles have called.
func (c *Cloud) inspect(mux *http.ServeMux) {
	write := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			c.config.Log.Debug("answer not sent", "error", err)
		}
	}
	mux.HandleFunc("GET /_localcloud/health", func(w http.ResponseWriter, _ *http.Request) {
		h, status := c.Health(), http.StatusOK
		if h.Status == "degraded" {
			status = http.StatusServiceUnavailable
		}
		write(w, status, h)
	})
	mux.HandleFunc("GET /_localcloud/calls", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, c.Calls())
	})
	mux.HandleFunc("GET /_localcloud/weather", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"weather": c.WeatherReport(), "quotas": c.QuotaReport()})
	})
	mux.HandleFunc("GET /_localcloud/residue", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusOK, c.Residue(r.Context()))
	})
}
