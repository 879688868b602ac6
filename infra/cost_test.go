package infra

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Prices of us-east-1 a month, as docs/deploy.md has them: AWS's pages on pricing, 2026-11.
const (
	alarmMetric = 0.10
	dashboard   = 3.00
	metric      = 0.30       // one custom metric: Ticks
	receive     = 0.40 / 1e6 // of SQS
	invocation  = 0.20 / 1e6
	second      = 0.128 * 13.3334e-6 // of a function with 128 MB on arm64
	minutes     = 30 * 24 * 60
	// Lambda keeps five pollers at a queue, each of which asks for 20 seconds.
	pollers, polls = 5, 3
	// Taken for a tick that finds nothing: 60 ms, 26 reads and 2 writes of the table: one of lifted flags, 16 of
	// hints, eight of arrivals.
	tickSeconds, tickReads, tickWrites = 0.06, 26, 2
	readUnit, writeUnit                = 0.125 / 1e6, 0.625 / 1e6
)

// TestWhatAnIdleStackCosts: what the docs say is what comes of the template.
func TestWhatAnIdleStackCosts(t *testing.T) {
	tpl := parse(t)
	metrics := 0
	alarms := tpl.of("AWS::CloudWatch::Alarm")
	for id, a := range alarms {
		if a.Condition != "" {
			delete(alarms, id) // nobody has asked for it
			continue
		}
		list, _ := a.Properties["Metrics"].([]any)
		if list == nil {
			metrics++
		}
		for _, m := range list {
			if at(m, "MetricStat") != nil {
				metrics++
			}
		}
	}
	dashboards, schedules := len(tpl.of("AWS::CloudWatch::Dashboard")), len(tpl.of("AWS::Scheduler::Schedule"))
	if dashboards != 1 || schedules != 1 {
		t.Fatalf("%d dashboards and %d schedules: the docs have one of each", dashboards, schedules)
	}
	mappings := len(tpl.of("AWS::Lambda::EventSourceMapping"))
	receives := float64(mappings * pollers * polls * minutes)
	ticks := minutes * (invocation + tickSeconds*second + tickReads*readUnit + tickWrites*writeUnit)
	watching, polling := float64(metrics)*alarmMetric, receives*receive
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("About $%.0f a month in us-east-1", watching+dashboard+metric+ticks+polling),
		fmt.Sprintf("| %d metrics in %d alarms, $0.10 each | $%.2f, the first ten free |", metrics, len(alarms),
			watching),
		"| one dashboard | $3.00 ",
		"| the metric `Ticks` | $0.30 |",
		fmt.Sprintf("| 43,200 calls of `tick`, with reads and writes of the table | $%.2f |", ticks),
		fmt.Sprintf("| the polling of %d queues by Lambda, about %.1f million receives | $%.2f, the first million "+
			"free |", mappings, receives/1e6, polling),
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("docs/deploy.md, \"What an idle stack costs\", lacks: %s", line)
		}
	}
}
