package weather_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// TestARareTroubleIsNoEndlessOne: the calm between two spells of a tiny rate is longer than a time.Duration can be.
func TestARareTroubleIsNoEndlessOne(t *testing.T) {
	sched := scheduler.NewVirtual(1, time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))
	rates, err := weather.Parse("impaired=1e-300")
	if err != nil {
		t.Fatal(err)
	}
	w := weather.New(weather.Config{Scheduler: sched, Seed: 1, Rates: rates})
	w.Begin()
	for range 10 {
		if w.DrawImpaired("sqs") || len(w.Events()) > 0 {
			t.Fatalf("in trouble: %v", w.Events())
		}
	}
}

func TestWeatherIsDescribed(t *testing.T) {
	bad, err := weather.Parse("bad")
	if err != nil {
		t.Fatal(err)
	}
	with := func(r weather.Rates, k weather.Kind, rate float64) weather.Rates {
		r[k] = rate
		return r
	}
	for text, want := range map[string]weather.Rates{
		"": {}, "none": {}, "bad": bad,
		"lost":               with(weather.Rates{}, weather.Lost, bad[weather.Lost]),
		"lost=0.5, cut=1":    with(with(weather.Rates{}, weather.Lost, 0.5), weather.Cut, 1),
		"bad,cut=0.1":        with(bad, weather.Cut, 0.1),
		"bad,cut=0,stale=0":  with(with(bad, weather.Cut, 0), weather.Stale, 0),
		"bad,impaired":       bad,
		"throttled=0,lost=0": {},
	} {
		got, err := weather.Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		if again, err := weather.Parse(got.String()); err != nil || again != got {
			t.Errorf("%q is described as %q: %v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"rain": `"rain" is no kind of weather`, "lost=2": `lost: "2" is no rate`, "lost=x": "no rate",
		"cut=0.1,bad": `"bad" is no kind`, "bad,": `"" is no kind`, "none,lost": `"none" is no kind`, "lost=NaN": "no rate",
	} {
		if _, err := weather.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
