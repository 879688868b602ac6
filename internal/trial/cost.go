package trial

import "math"

// List prices of us-east-1 in dollars, read 2026-11 (docs/performance.md, "What an upgrade costs").
const (
	priceTransition = 25e-6
	PriceWriteUnit  = 0.625e-6
	PriceReadUnit   = 0.125e-6
	priceInvocation = 0.2e-6
	priceGBSecond   = 13.3334e-6 // arm64
	priceMessage    = 1e-6       // of AWS IoT, to or from a device
	priceRule       = 0.15e-6
	priceQueue      = 0.4e-6 // a request of SQS
	priceNotice     = 0.5e-6 // SNS
	priceTrace      = 5e-6   // X-Ray, of traces that are recorded
	priceJob        = 0.003  // a job execution
)

// What is not counted is assumed: how long an invocation takes, how many units of DynamoDB the requests of one upgrade
// consume on average, with what the index and the clock consume for it (package rehearsal's
// TestACampaignsUpgradesCostWhatTheyMay measures them), which share of invocations X-Ray records (its default is one a
// second and a twentieth of the rest).
const (
	invocationSeconds = 0.05
	functionGB        = 0.25
	UnitsOfWrite      = 7.7 // transactions have about three items, and count twice
	UnitsOfRead       = 1.3 // a device's partition has 4 kB to 8 kB
	tracedShare       = 0.05
)

// costs is what 1,000 upgrades cost beside egress, by carrier, from the calls that were
// counted and the list prices. With jobs each device has a job execution beside.
func costs(before, after []Calls, upgrades int, p PerUpgrade, transitions int) map[string]float64 {
	if upgrades == 0 {
		return nil
	}
	rules, publishes, starts, notices := 0.0, 0.0, 0.0, 0.0
	add := func(all []Calls, sign float64) {
		for _, c := range all {
			n := sign * float64(c.Count)
			switch {
			case c.By == ruleSession:
				rules += n
			case c.Service == "iotdataplane" && c.Operation == "Publish", c.Service == "iotdata" &&
				c.Operation == "Publish":
				publishes += n
			case c.Service == "sqs" && c.Operation != "ReceiveMessage":
				starts += n
			case c.Service == "sns":
				notices += n
			}
		}
	}
	add(after, 1)
	add(before, -1)
	each := 1 / float64(upgrades)
	direct := float64(transitions)*each*priceTransition +
		p.Invocations*(priceInvocation+functionGB*invocationSeconds*priceGBSecond+tracedShare*priceTrace) +
		p.Writes*UnitsOfWrite*PriceWriteUnit + p.Reads*UnitsOfRead*PriceReadUnit +
		// In, a rule and its action; sent one by one, received and deleted in batches.
		rules*each*(priceMessage+2*priceRule+(1+2/max(1, p.Batch))*priceQueue) +
		publishes*each*2*priceMessage + // and its PUBACK
		starts*each*priceQueue + notices*each*priceNotice
	round := func(x float64) float64 { return math.Round(1e6*x) / 1e3 } // of a thousand, to a thousandth
	return map[string]float64{"direct": round(direct), "jobs": round(direct + priceJob)}
}
