package archtest

import (
	"slices"
	"strings"
	"testing"
)

const (
	sdk     = "github.com/aws/aws-sdk-go-v2/..."
	smithy  = "github.com/aws/smithy-go/..."
	event   = "internal/event"
	cloud   = "internal/localcloud/..."
	proto   = "proto/..."
	pblib   = "google.golang.org/protobuf/..."
	iotSQL  = "internal/localcloud/iot/rulesql"
	jobsAPI = "internal/localcloud/iotjobsdataplane"
)

// only says what packages may import, beside the standard library and, where
// below is set, what lies under them.
var only = []struct {
	who     string
	may     []string
	because string
}{
	{event, nil, "it is the vocabulary that everything else shares"},
	{"internal/payload", []string{event}, "it checks values, and knows nobody's payload"},
	{"internal/jobs", []string{event, "internal/payload"},
		"a context decides about plain values; adapters do the calls"},
	{"internal/version", nil, "it compares texts"},
	{"internal/campaign", []string{event, "internal/payload", "internal/version"},
		"a context decides about plain values; adapters do the calls"},
	{"internal/workflow", []string{event}, "a context decides about plain values; adapters do the calls"},
	{"internal/device", []string{event, "internal/usp", proto},
		"a context decides about plain values; USP is this one's subject"},
	{"internal/flow/upgrade",
		[]string{event, "internal/payload", "internal/device", "internal/quirk", "internal/version", "statemachines"},
		"an operation speaks in device's plain words, and nobody's else; it counts its own states"},
	{"internal/flow/script", []string{event, "internal/device"},
		"an operation speaks in device's plain words, and nobody's else"},
	{"internal/flow/onboard", []string{event, "internal/device"},
		"an operation speaks in device's plain words, and nobody's else"},
	{"internal/operation",
		[]string{event, "events/schema", "internal/payload", "internal/device",
			"github.com/santhosh-tekuri/jsonschema/..."},
		"it reads two files, and does no I/O; what a path names it asks device"},
	{"infra/operation", []string{"internal/operation"}, "resources are data, of what a folder has"},
	{"internal/functions/environment", nil, "the stack and the functions share it"},
	{"internal/functions/metrics", []string{event}, "the stack and the functions share it"},
	{"internal/usp", []string{proto, pblib}, "controller and agent share it, so it knows neither"},
	{"internal/quirk", nil, "it is words that models of devices, who examines them and who upgrades them share"},
	{"internal/simulator", []string{"internal/usp", "internal/quirk", proto,
		"google.golang.org/protobuf/encoding/protowire"}, "an agent knows USP and nothing of whoever controls it"},
	{"internal/simulator/mqtt", []string{"internal/simulator", "github.com/eclipse/paho.golang/...",
		"github.com/mochi-mqtt/server/v2/packets"},
		"it is a transport"},
	{"internal/agentdoctor", []string{"internal/usp", "internal/quirk", proto},
		"it speaks USP by a line that it is given"},
	{"internal/agentdoctor/line", []string{sdk, "internal/agentdoctor", "internal/simulator",
		"internal/simulator/mqtt", "internal/usp"}, "it is an adapter, over the one client of MQTT that there is"},
	{"internal/provision", []string{sdk, event, "golang.org/x/sync/errgroup"},
		"it makes the same calls on AWS and on a local cloud"},
	{"internal/plainbody", []string{"github.com/aws/aws-sdk-go-v2/aws", smithy}, "it changes how any client sends"},
	{"internal/cli", []string{sdk, smithy, event, "internal/operation", "internal/plainbody", "statemachines",
		"github.com/spf13/cobra"},
		"the same calls reach AWS and the local cloud"},
	{"statemachines", nil, "the documents are data"},
	{"infra", nil, "the template is data"},
	{"infra/app", []string{"github.com/aws/aws-cdk-go/...", "github.com/aws/constructs-go/...",
		"github.com/aws/jsii-runtime-go", "statemachines", event, "infra/operation", "internal/operation",
		"internal/flow/onboard", "internal/flow/upgrade", "internal/functions/environment",
		"internal/functions/metrics", "internal/usp", "proto"},
		"the stack needs the CDK, the state machines, and the names of rules, variables, metrics and a dashboard's " +
			"phases, topics"},
	{"proto", nil, "the descriptor set is data"},
	{"proto/uspmsg", []string{pblib}, "it is generated"},
	{"proto/usprecord", []string{pblib}, "it is generated"},
}

// never says what packages may not reach: not by an import, not by an import
// of an import, and not by the imports of their own tests.
var never = []struct {
	who     string
	not     []string
	because string
}{
	{"internal/jobs/...", []string{"internal/campaign/...", "internal/workflow/...", "internal/device/...",
		"internal/flow/..."}, "contexts meet in internal/functions"},
	{"internal/campaign/...", []string{"internal/jobs/...", "internal/workflow/...", "internal/device/...",
		"internal/flow/..."}, "contexts meet in internal/functions"},
	{"internal/workflow/...", []string{"internal/campaign/...", "internal/jobs/...", "internal/device/...",
		"internal/flow/..."}, "contexts meet in internal/functions"},
	{"internal/device/...", []string{"internal/campaign/...", "internal/jobs/...", "internal/workflow/...",
		"internal/flow/..."}, "contexts meet in internal/functions"},
	{"internal/flow/...", []string{"internal/jobs/...", "internal/workflow/...", "internal/functions"},
		"an operation knows what it says to a device, not who plays it"},
	{"internal/flow/upgrade/s3", []string{"internal/device/iotdataplane", "internal/device/s3"},
		"an adapter knows one outside system"},

	{"internal/device/sqs", []string{"internal/device/iotdataplane", "internal/device/s3"},
		"an adapter knows one outside system"},
	{"internal/device/iotdataplane", []string{"internal/device/sqs", "internal/device/s3"},
		"an adapter knows one outside system"},
	{"internal/device/cloudfront", []string{"internal/device/s3", "internal/device/ssm", "internal/device/sqs",
		"internal/device/iotdataplane"}, "an adapter knows one outside system"},
	{"internal/jobs/iotjobs", []string{"internal/jobs/sns"},
		"an adapter knows one outside system"},
	{"internal/jobs/sns", []string{"internal/jobs/iotjobs"},
		"an adapter knows one outside system"},
	{"internal/campaign/dynamodb", []string{"internal/campaign/s3", "internal/campaign/iot", "internal/campaign/sns",
		"internal/campaign/stepfunctions", "internal/campaign/cloudwatch"}, "an adapter knows one outside system"},
	{"internal/campaign/cloudwatch", []string{"internal/campaign/s3", "internal/campaign/iot",
		"internal/campaign/sns", "internal/campaign/stepfunctions"}, "an adapter knows one outside system"},
	{"internal/campaign/s3", []string{"internal/campaign/iot", "internal/campaign/sns",
		"internal/campaign/stepfunctions"}, "an adapter knows one outside system"},
	{"internal/workflow/dynamodb", []string{"internal/workflow/stepfunctions", "internal/workflow/iot"},
		"an adapter knows one outside system"},
	{"internal/workflow/stepfunctions", []string{"internal/workflow/dynamodb", "internal/workflow/iot"},
		"an adapter knows one outside system"},
	{"internal/workflow/sqs", []string{"internal/workflow/dynamodb", "internal/workflow/stepfunctions",
		"internal/workflow/iot"}, "an adapter knows one outside system"},
	{"internal/workflow/sns", []string{"internal/workflow/dynamodb", "internal/workflow/stepfunctions",
		"internal/workflow/sqs", "internal/workflow/iot"}, "an adapter knows one outside system"},
	{"internal/workflow/iot", []string{"internal/workflow/dynamodb", "internal/workflow/stepfunctions"},
		"an adapter knows one outside system"},

	{"internal/functions", []string{cloud, "internal/simulator/...", "internal/cli", "internal/trial"},
		"the functions do not know where they run"},
	{"internal/simulator/...", []string{"internal/device/...", cloud, sdk},
		"an agent is neither a controller nor a cloud"},
	{"internal/cli", []string{cloud, "internal/functions", "internal/simulator/..."},
		"the command reaches any account by its endpoint alone"},
	{"internal/trial", []string{cloud, "internal/functions"}, "a trial reaches a cloud by its endpoint alone"},
	{"internal/smoke", []string{cloud, "internal/functions", "infra"}, "it reaches any account by its endpoint alone"},
	{"internal/doctor", []string{cloud, "internal/functions", "internal/simulator/...", "infra"},
		"it looks at what is installed, wherever that is"},
	{"internal/provision", []string{cloud, "internal/simulator/..."},
		"it makes the same calls on AWS and on a local cloud"},
	{"lambdas/...", []string{cloud, "internal/cli", "internal/simulator/..."},
		"the functions do not know where they run"},
	{"infra/...", []string{cloud, "internal/functions"}, "the stack does not know where it runs"},

	{cloud, []string{event, "internal/usp", proto, "statemachines", "internal/campaign/...", "internal/jobs/...",
		"internal/workflow/...", "internal/device/...", "internal/flow/...", "internal/functions/...",
		"internal/simulator/...", "internal/cli", "internal/trial", "internal/smoke", "internal/doctor",
		"internal/provision", "infra/...", "lambdas/..."},
		"the local cloud knows nothing of firmware"},
	{"internal/localcloud/scheduler", []string{"internal/localcloud/store", "internal/localcloud/awsapi"},
		"it lies under everything"},
	{"internal/localcloud/store", []string{"internal/localcloud/scheduler", "internal/localcloud/awsapi"},
		"it lies under every service"},
	{"internal/localcloud/awsapi", []string{"internal/localcloud/store"}, "the wire keeps no state"},
	{"internal/localcloud/sfn/asl", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/sfn/jsonata", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/sfn/jsonpath", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/sfn/intrinsic", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/dynamodb/expr", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{iotSQL, []string{"internal/localcloud/awsapi", "internal/localcloud/store", "internal/localcloud/scheduler"},
		"a language does no I/O"},
	{"internal/localcloud/iot/fleetindex", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/sns/filterpolicy", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/eventbridgescheduler/expression", []string{"internal/localcloud/awsapi",
		"internal/localcloud/store", "internal/localcloud/scheduler"}, "a language does no I/O"},
	{"internal/localcloud/cloudwatch/metricmath", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a language does no I/O"},

	{"internal/localcloud/iot/authority", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a part of a service that does no I/O"},
	{"internal/localcloud/iot/policyvariables", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a part of a service that does no I/O"},
	{"internal/localcloud/iot/jobs/configuration", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a part of a service that does no I/O"},
	{"internal/localcloud/iot/jobs/document", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a part of a service that does no I/O"},
	{"internal/localcloud/sfn/names", []string{"internal/localcloud/awsapi", "internal/localcloud/store",
		"internal/localcloud/scheduler"}, "a part of a service that does no I/O"},
	{"internal/localcloud/sfn/history", []string{"internal/localcloud/store"},
		"a part of a service that does no I/O"},
	{"internal/localcloud/sfn/integration", []string{"internal/localcloud/store"},
		"a part of a service that does no I/O"},
	{"internal/localcloud/sfn/distributedmap", []string{"internal/localcloud/store"},
		"a part of a service that does no I/O"},
	{"internal/localcloud/sfn/teststate", []string{"internal/localcloud/store"},
		"a part of a service that does no I/O"},
}

// alone says which packages a library, or a part of the tree, is reserved for;
// tests may use it everywhere.
var alone = []struct {
	what    string
	users   []string
	because string
}{
	{"github.com/cockroachdb/pebble/...", []string{"internal/localcloud/store"},
		"one package knows the embedded database"},
	{"github.com/tidwall/btree", []string{"internal/localcloud/store"}, "one package knows how state is kept"},
	{"github.com/mochi-mqtt/server/...", []string{"internal/localcloud/iotdataplane/broker",
		"internal/simulator/mqtt"}, "the broker library is its network face; its packets are those of MQTT 3.1.1 too"},
	{"github.com/eclipse/paho.golang/...", []string{"internal/simulator/mqtt"}, "agents reach MQTT by one transport"},
	{"github.com/johannesboyne/gofakes3/...", []string{"internal/localcloud/s3"},
		"one service speaks S3's REST API by it"},
	{"github.com/fxamacker/cbor/...", []string{"internal/localcloud/awsapi"}, "the wire is one package's"},
	{"github.com/dlclark/regexp2/...", []string{iotSQL}, "only rule SQL has expressions that Go's own do not know"},
	{"github.com/cockroachdb/apd/...", []string{iotSQL}, "only rule SQL calculates with 34 digits"},
	{"github.com/aws/aws-lambda-go/...", []string{"internal/functions", "internal/localcloud/lambda",
		"internal/rehearsal/...", "lambdas/..."}, "one side of the Runtime API, and the other"},
	{"github.com/santhosh-tekuri/jsonschema/...", []string{"internal/operation"},
		"an operation's input is held to a schema, all other payloads to Go"},
	{"github.com/aws/aws-cdk-go/...", []string{"infra/app"}, "nothing else may need Node.js"},
	{"github.com/spf13/cobra", []string{"internal/cli", "cmd/..."}, "commands are one place's business"},
	{sdk, []string{
		"internal/campaign/dynamodb", "internal/campaign/s3", "internal/campaign/iot", "internal/campaign/sns",
		"internal/campaign/stepfunctions", "internal/campaign/cloudwatch",
		"internal/jobs/iotjobs", "internal/jobs/sns", "internal/workflow/dynamodb",
		"internal/workflow/stepfunctions", "internal/workflow/iot", "internal/workflow/sqs", "internal/workflow/sns",
		"internal/workflow/sts",
		"internal/device/iotdataplane", "internal/device/sqs", "internal/device/s3",
		"internal/device/cloudfront", "internal/device/ssm",
		"internal/flow/upgrade/s3",
		"internal/functions", "internal/plainbody", "internal/cli", "internal/provision", "internal/trial",
		"internal/smoke",
		"internal/doctor", "internal/agentdoctor/line", "internal/rehearsal/...",
		"cmd/...",
		"internal/localcloud", // signs the URLs in job documents
	}, "adapters call AWS; the local cloud is what is called"},
	{"internal/functions", []string{"lambdas/...", "internal/rehearsal/..."},
		"the wiring is for whoever runs the functions"},
	{cloud, []string{cloud, "cmd/...", "internal/rehearsal/..."}, "only these see both worlds"},
	{"infra", []string{"cmd/...", "internal/rehearsal/..."}, "whoever starts the stack reads its template"},
}

// behind says who may import what lies below internal/localcloud, its tests included,
// and why it does not enter by that package, which is the door for everybody else
// (internal/localcloud/inside.go).
var behind = []struct{ who, what, because string }{
	{cloud, cloud, "they are its own parts"},
	{"cmd/fleetstep", "internal/localcloud/store",
		"it opens the data folder, and says what is wrong with a damaged one"},
	{"cmd/fleetstep", "internal/localcloud/scheduler", "it runs the cloud in real time"},
	{"internal/ablation", "internal/localcloud/iotdataplane",
		"intruders do what a decent MQTT client does not: wills, retained messages, other ids"},
	{"internal/ablation", "internal/localcloud/iam", "it asks the judge of permissions alone, without a cloud"},
	{"internal/ablation", "internal/localcloud/awsapi", "what that judge is asked is a request of the wire"},
	{"internal/ablation", "internal/localcloud/scheduler", "that judge has a clock"},
	{"internal/ablation", "internal/localcloud/store", "that judge has a store"},
	{"internal/workflow/dynamodb", "internal/localcloud/dynamodb",
		"its tests hold the item store to DynamoDB alone, and meet conflicts there"},
	{"internal/workflow/dynamodb", "internal/localcloud/awsapi", "the wire to it"},
	{"internal/campaign/dynamodb", "internal/localcloud/dynamodb", "its test holds records to DynamoDB alone"},
	{"internal/campaign/dynamodb", "internal/localcloud/awsapi", "the wire to it"},
	{"internal/campaign/dynamodb", "internal/localcloud/scheduler", "its clock"},
	{"internal/campaign/dynamodb", "internal/localcloud/store", "where it keeps its tables"},
	{"internal/workflow/dynamodb", "internal/localcloud/scheduler", "its clock"},
	{"internal/workflow/dynamodb", "internal/localcloud/store", "where it keeps its tables"},
	{"internal/badinput", "internal/localcloud/store", "it counts the changes that refused requests make"},
	{"internal/badinput", "internal/localcloud/scheduler", "its clouds have clocks, and its MQTT clients real time"},
	{"internal/bench", "internal/localcloud/store", "it measures a store on disk"},
	{"internal/bench", "internal/localcloud/scheduler", "it measures in real time"},
}

// between is the local cloud's services that know another's package, and why
// that is no knowledge of the other service.
var between = []struct{ who, whom, because string }{
	{"internal/localcloud", cloud, "it builds the services"},
	{cloud, "internal/localcloud/scheduler", "it lies under everything"},
	{cloud, "internal/localcloud/store", "it lies under every service"},
	{cloud, "internal/localcloud/awsapi", "it is the wire"},
	{cloud, "internal/localcloud/awsapi/constraint", "it has the sets of values that tags name"},
	{cloud, "internal/localcloud/platform", "it is what every service is given"},
	{cloud, "internal/localcloud/weather", "it is what befalls every service"},
	{"internal/localcloud/platform", "internal/localcloud/quotas", "it is what the account may do"},
	{cloud, "internal/localcloud/jsontext", "it is how JSON is written, on the wire and in the languages"},
	{"internal/localcloud/iotdataplane/broker", "internal/localcloud/entrance", "it is the way in of every listener"},
	{cloud, "internal/localcloud/iam/policy", "the language of policies has no state"},
	{"internal/localcloud/iot/...", "internal/localcloud/iotdataplane/topic",
		"one idea of what a topic filter matches"},
	{"internal/localcloud/lambda", "internal/localcloud/sns/filterpolicy",
		"event filters are written in that language, which has no state"},
	{"internal/localcloud/iot/jobs", jobsAPI, "it implements that package's port, in its words"},
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	tr := theTree(t)
	for _, r := range only {
		if !tr.ours(r.who) {
			t.Errorf("table only: there is no package %s any more", r.who)
			continue
		}
		for _, p := range tr.imports[r.who] {
			if !standard(p) && !anyMatches(r.may, p) || tr.ours(p) && !anyMatches(r.may, p) {
				t.Errorf("%s imports %s, which it may not: %s", r.who, p, r.because)
			}
		}
		for _, pattern := range r.may {
			if !tr.known(pattern) {
				t.Errorf("table only: %s may import %s, which nobody does", r.who, pattern)
			}
		}
	}
}

func TestPackagesNeverReachWhatIsForbidden(t *testing.T) {
	tr := theTree(t)
	for _, r := range never {
		who := tr.matching(r.who)
		if len(who) == 0 {
			t.Errorf("table never: there is no package %s any more", r.who)
		}
		for _, pattern := range r.not {
			if !tr.known(pattern) {
				t.Errorf("table never: there is no package %s any more, which %s must not import", pattern, r.who)
			}
		}
		for _, p := range who {
			if path := tr.reach(p, tr.imports[p], r.not); path != nil {
				t.Errorf("%s, and may not: %s", strings.Join(path, " imports "), r.because)
			}
			for _, q := range tr.tests[p] {
				if anyMatches(r.not, q) {
					t.Errorf("a test of %s imports %s, and may not: %s", p, q, r.because)
				}
			}
		}
	}
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	tr := theTree(t)
	for _, r := range alone {
		if !tr.known(r.what) {
			t.Errorf("table alone: nobody imports %s any more", r.what)
		}
		for _, p := range tr.packages() {
			for _, q := range tr.imports[p] {
				if matches(r.what, q) && !anyMatches(r.users, p) {
					t.Errorf("%s imports %s, which is for %s: %s", p, q, strings.Join(r.users, ", "), r.because)
				}
			}
		}
	}
}

// TestTheLocalCloudHasOneDoor: who is not listed in behind enters the local cloud by
// package localcloud alone, or by AWS's APIs.
func TestTheLocalCloudHasOneDoor(t *testing.T) {
	tr := theTree(t)
	used := make([]bool, len(behind))
	for _, p := range tr.packages() {
		for _, q := range append(slices.Clone(tr.imports[p]), tr.tests[p]...) {
			if !strings.HasPrefix(q, "internal/localcloud/") {
				continue
			}
			allowed := false
			for i, b := range behind {
				if matches(b.who, p) && matches(b.what, q) {
					allowed, used[i] = true, true
				}
			}
			if !allowed {
				t.Errorf("%s imports %s: what is inside the local cloud is reached by package localcloud", p, q)
			}
		}
	}
	for i, b := range behind {
		if !used[i] {
			t.Errorf("table behind: %s does not import %s any more", b.who, b.what)
		}
	}
}

// TestServicesDoNotKnowEachOther: a service of the local cloud reaches another
// by awsapi.Caller or by an interface that it declares itself.
func TestServicesDoNotKnowEachOther(t *testing.T) {
	tr := theTree(t)
	used := make([]bool, len(between))
	for _, p := range tr.matching(cloud) {
		for _, q := range tr.imports[p] {
			if !matches(cloud, q) {
				continue
			}
			allowed := p != "internal/localcloud" && service(p) == service(q)
			for i, b := range between {
				if matches(b.who, p) && matches(b.whom, q) {
					allowed, used[i] = true, true
				}
			}
			if !allowed {
				t.Errorf("%s imports %s: a service reaches another by awsapi.Caller or an interface of its own", p, q)
			}
		}
	}
	for i, b := range between {
		if !used[i] {
			t.Errorf("table between: %s does not import %s any more", b.who, b.whom)
		}
	}
}

// service is the service folder that a package of the local cloud is in.
func service(p string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(p, "internal/localcloud/"), "/")
	return name
}

// matching are our packages that a pattern means.
func (tr *tree) matching(pattern string) []string {
	return slices.DeleteFunc(tr.packages(), func(p string) bool { return !matches(pattern, p) })
}

// known tells whether a pattern means something: a package of ours, or one
// that we import.
func (tr *tree) known(pattern string) bool {
	for p, imports := range tr.imports {
		if matches(pattern, p) || slices.ContainsFunc(imports, func(q string) bool { return matches(pattern, q) }) {
			return true
		}
	}
	return false
}

// reach is the way from a package to one that a pattern forbids, nil if there
// is none. The shortest way comes first.
func (tr *tree) reach(from string, imports, forbidden []string) []string {
	type step struct {
		pkg  string
		from *step
	}
	start := &step{pkg: from}
	seen := map[string]bool{from: true}
	var queue []*step
	add := func(at *step, imports []string) {
		for _, p := range imports {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, &step{p, at})
			}
		}
	}
	add(start, imports)
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if anyMatches(forbidden, at.pkg) {
			var path []string
			for s := at; s != nil; s = s.from {
				path = append([]string{s.pkg}, path...)
			}
			return path
		}
		add(at, tr.imports[at.pkg])
	}
	return nil
}
