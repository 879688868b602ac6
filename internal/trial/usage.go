package trial

import (
	"math"
	"strings"
)

// PerUpgrade is the average for one device of the job, counted from the moment at which
// the job was created. Functions that run each minute (tick) or for an operator
// (create-job, control) do not count.
type PerUpgrade struct {
	Invocations float64 `json:"invocations"` // of functions
	// Requests to DynamoDB, each attempt and each transaction being one.
	Reads       float64 `json:"reads"`
	Writes      float64 `json:"writes"`
	Transitions float64 `json:"transitions"` // of the state machine; see Transitions
	// Batch is how many messages of devices an invocation of handle-device-message
	// gets; one that comes again counts once.
	Batch float64 `json:"batch"`
}

// Calls is how often a role called an operation, or a function ran (service lambda,
// operation Invoke).
type Calls struct {
	By        string `json:"by"`
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Count     int64  `json:"count"`
}

// forNoDevice are the functions of a stack that run for no device.
var forNoDevice = map[string]bool{
	"tick": true, "create-job": true, "control": true, "prepare-account": true, "create-campaign": true,
	"approve-campaign": true, "control-campaign": true, "abort-campaign": true, "describe-campaign": true,
	"run-campaign": true,
}

var reads = map[string]bool{"GetItem": true, "BatchGetItem": true, "Query": true, "Scan": true,
	"TransactGetItems": true}

var writes = map[string]bool{
	"PutItem": true, "UpdateItem": true, "DeleteItem": true, "BatchWriteItem": true, "TransactWriteItems": true,
}

// ruleSession is the name under which the rules of AWS IoT call.
const ruleSession = "iot-rule"

// perUpgrade compares the counts of calls before a job with those after it.
func perUpgrade(before, after []Calls, stack string, devices int) (out PerUpgrade) {
	if devices == 0 {
		return out
	}
	type key struct{ by, service, operation string }
	was := map[key]int64{}
	for _, c := range before {
		was[key{c.By, c.Service, c.Operation}] = c.Count
	}
	messages, batches := 0.0, 0.0
	for _, c := range after {
		n := float64(c.Count - was[key{c.By, c.Service, c.Operation}])
		function, ours := strings.CutPrefix(c.By, stack+"-")
		switch {
		case c.By == ruleSession && c.Service == "sqs" && c.Operation == "SendMessage":
			messages += n
		case !ours || forNoDevice[function]:
		case c.Service == "lambda" && c.Operation == "Invoke":
			out.Invocations += n
			if function == "handle-device-message" {
				batches += n
			}
		case c.Service == "dynamodb" && reads[c.Operation]:
			out.Reads += n
		case c.Service == "dynamodb" && writes[c.Operation]:
			out.Writes += n
		}
	}
	each := func(n float64) float64 { return twoPlaces(n / float64(devices)) }
	out.Invocations, out.Reads, out.Writes = each(out.Invocations), each(out.Reads), each(out.Writes)
	if batches > 0 {
		out.Batch = twoPlaces(messages / batches)
	}
	return out
}

func twoPlaces(x float64) float64 { return math.Round(100*x) / 100 }
