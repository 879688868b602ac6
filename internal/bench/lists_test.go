package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type in = map[string]any

// listSizes are how many there are of what is listed; LISTS names others.
func listSizes(b *testing.B) []int {
	if named := os.Getenv("LISTS"); named != "" {
		var sizes []int
		for s := range strings.FieldsSeq(strings.ReplaceAll(named, ",", " ")) {
			n, err := strconv.Atoi(s)
			must(b, err)
			sizes = append(sizes, n)
		}
		return sizes
	}
	return []int{1000, size(100_000)}
}

// BenchmarkLists is the median time of calls that list, describe or search, for accounts of different sizes, and each
// as a ratio to the first: a call may take as long as its page, not as long as there is more behind it. The cloud is
// called in its own process. Things and the job over all of them are made in virtual time, in which a job begins 1,000
// executions a minute. LISTS_OF names what is listed, all without it.
func BenchmarkLists(b *testing.B) {
	first := map[string]time.Duration{}
	parts := []struct {
		name string
		make func(b testing.TB) *world
		fill func(w *world, n int)
		asks func(n int) []ask
	}{
		{"things", newFleet, (*world).fillThings, thingAsks},
		{"jobs", newFleet, (*world).fillJobs, jobAsks},
		{"items", newWorld, (*world).fillItems, itemAsks},
		{"objects", newWorld, (*world).fillObjects, func(int) []ask { return objectAsks }},
		{"executions", newWorld, (*world).fillExecutions, func(int) []ask { return executionAsks }},
	}
	for _, n := range listSizes(b) {
		for _, part := range parts {
			if of := os.Getenv("LISTS_OF"); of != "" && !slices.Contains(strings.Split(of, ","), part.name) {
				continue
			}
			b.Run(fmt.Sprintf("%d/%s", n, part.name), func(b *testing.B) {
				w := part.make(b)
				begin := time.Now()
				part.fill(w, n)
				b.Logf("%d %s in %.0f s, with %d MiB of heap", n, part.name, time.Since(begin).Seconds(), heapMiB())
				for _, a := range part.asks(n) {
					took := w.median(a)
					if first[a.name] == 0 {
						first[a.name] = took
					}
					b.Logf("%-44s %9.0f us %7.1f", a.name, float64(took.Nanoseconds())/1000,
						float64(took)/float64(first[a.name]))
					b.ReportMetric(float64(took)/float64(first[a.name]), a.name+"-ratio")
				}
			})
		}
	}
}

// heapMiB is the size of the live heap.
func heapMiB() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc >> 20
}

// newFleet is a world in virtual time, with a store on disk, and without a listener.
func newFleet(b testing.TB) *world {
	b.Helper()
	db, err := store.Open(b.TempDir())
	must(b, err)
	w := &world{b: b, sched: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	w.cloud, err = localcloud.New(localcloud.Config{Scheduler: w.sched, Store: db, Account: account,
		Region: "us-east-1", Endpoint: "http://cloud.test", MQTTEndpoint: "broker.test", Quotas: localcloud.NoQuotas})
	must(b, err)
	must(b, w.cloud.Start(ctx))
	b.Cleanup(func() { must(b, db.Close()) })
	return w
}

// ask is a call whose page is full, of want entries in a member of its answer where that is named.
type ask struct {
	name, service, operation string
	in                       in
	member                   string
	want                     int
}

// median is that of calls made one after the other, within about a second.
func (w *world) median(a ask) time.Duration {
	w.b.Helper()
	var took []time.Duration
	for began := time.Now(); len(took) < 5 || len(took) < 200 && time.Since(began) < time.Second; {
		var out in
		begin := time.Now()
		err := w.cloud.CallInto(ctx, w.cloud.Root(), a.service, a.operation, a.in, &out)
		took = append(took, time.Since(begin))
		if err != nil {
			w.b.Fatalf("%s: %v", a.name, err)
		}
		if list, _ := out[a.member].([]any); a.member != "" && len(list) != a.want {
			w.b.Fatalf("%s: %d of %d: %.500v", a.name, len(list), a.want, out)
		}
	}
	slices.Sort(took)
	return took[len(took)/2]
}

func (w *world) ask(service, operation string, in in) {
	w.b.Helper()
	must(w.b, w.cloud.CallInto(ctx, w.cloud.Root(), service, operation, in, nil))
}

func thing(i int) string { return fmt.Sprintf("t-%07d", i) }

// fillThings makes things of ten models in a group, and an index of them.
func (w *world) fillThings(n int) {
	w.ask("iot", "UpdateIndexingConfiguration", in{"thingIndexingConfiguration": in{"thingIndexingMode": "REGISTRY"}})
	w.ask("iot", "CreateThingGroup", in{"thingGroupName": "all"})
	crowd(16, n, func(i int64) {
		attributes := map[string]string{"model": fmt.Sprint("m", i%10), "serial": fmt.Sprint("s", i)}
		w.ask("iot", "CreateThing", in{"thingName": thing(int(i)), "attributePayload": in{"attributes": attributes}})
		w.ask("iot", "AddThingToThingGroup", in{"thingName": thing(int(i)), "thingGroupName": "all"})
	})
	if w.sched != nil {
		w.sched.RunFor(time.Minute) // of the index
		return
	}
	for began := time.Now(); !w.indexed(thing(n - 1)); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Minute {
			w.b.Fatal("the index is not there")
		}
	}
}

func (w *world) indexed(thing string) bool {
	var out struct{ Things []any }
	err := w.cloud.CallInto(ctx, w.cloud.Root(), "iot", "SearchIndex", in{"queryString": "thingName:" + thing}, &out)
	return err == nil && len(out.Things) == 1
}

// fillJobs makes things, a job over all of them, and a page of jobs of one thing each.
func (w *world) fillJobs(n int) {
	w.ask("iot", "CreateThingGroup", in{"thingGroupName": "all"})
	crowd(16, n, func(i int64) {
		w.ask("iot", "CreateThing", in{"thingName": thing(int(i))})
		w.ask("iot", "AddThingToThingGroup", in{"thingName": thing(int(i)), "thingGroupName": "all"})
	})
	arn := "arn:aws:iot:us-east-1:" + account + ":"
	job := func(id, target string) {
		w.ask("iot", "CreateJob", in{"jobId": id, "targets": []string{arn + target}, "document": "{}"})
	}
	for i := range 200 {
		job(fmt.Sprint("one-", i), "thing/"+thing(i))
	}
	job("all", "thinggroup/all")
	w.sched.RunFor(time.Duration(n/1000+5) * time.Minute)
	w.ask("iotjobsdataplane", "StartNextPendingJobExecution", in{"thingName": thing(n / 2)})
}

func jobAsks(n int) []ask {
	all, one := in{"jobId": "all", "maxResults": 100}, thing(n/2)
	status := func(status string) in { return in{"jobId": "all", "maxResults": 100, "status": status} }
	const ofJob, list = "ListJobExecutionsForJob", "executionSummaries"
	return []ask{
		{"ListJobs", "iot", "ListJobs", in{"maxResults": 100}, "jobs", 100},
		{"ListJobs-in-progress", "iot", "ListJobs", in{"maxResults": 100, "status": "IN_PROGRESS"}, "jobs", 100},
		{"ListJobs-completed", "iot", "ListJobs", in{"status": "COMPLETED"}, "jobs", 0},
		{"DescribeJob", "iot", "DescribeJob", in{"jobId": "all"}, "", 0},
		{ofJob, "iot", ofJob, all, list, 100},
		{ofJob + "-queued", "iot", ofJob, status("QUEUED"), list, 100},
		{ofJob + "-in-progress", "iot", ofJob, status("IN_PROGRESS"), list, 1},
		{ofJob + "-failed", "iot", ofJob, status("FAILED"), list, 0},
		{"ListJobExecutionsForThing", "iot", "ListJobExecutionsForThing", in{"thingName": one}, list, 1},
		{"DescribeJobExecution", "iot", "DescribeJobExecution", in{"thingName": one, "jobId": "all"}, "", 0},
		{"GetPendingJobExecutions", "iotjobsdataplane", "GetPendingJobExecutions", in{"thingName": one},
			"inProgressJobs", 1},
		{"UpdateJobExecution", "iotjobsdataplane", "UpdateJobExecution", in{"thingName": one, "jobId": "all",
			"status": "IN_PROGRESS"}, "", 0},
	}
}

func thingAsks(n int) []ask {
	return []ask{
		{"ListThings", "iot", "ListThings", in{"maxResults": 100}, "things", 100},
		{"ListThings-of-a-model", "iot", "ListThings", in{"maxResults": 100, "attributeName": "model",
			"attributeValue": "m3"}, "things", 100},
		{"ListThings-of-a-serial", "iot", "ListThings", in{"maxResults": 100, "attributeName": "serial",
			"attributeValue": fmt.Sprint("s", n-1)}, "", 0},
		{"ListThingsInThingGroup", "iot", "ListThingsInThingGroup", in{"thingGroupName": "all", "maxResults": 100},
			"things", 100},
		{"ListThingGroups", "iot", "ListThingGroups", in{}, "thingGroups", 1},
		{"ListThingGroupsForThing", "iot", "ListThingGroupsForThing", in{"thingName": thing(n / 2)}, "thingGroups", 1},
		{"DescribeThing", "iot", "DescribeThing", in{"thingName": thing(n / 2)}, "", 0},
		{"SearchIndex-one", "iot", "SearchIndex", in{"queryString": "thingName:" + thing(n/2)}, "things", 1},
		{"SearchIndex-serial", "iot", "SearchIndex", in{"queryString": "attributes.serial:s" + strconv.Itoa(n/2)},
			"things", 1},
		{"SearchIndex-model", "iot", "SearchIndex", in{"queryString": "attributes.model:m3", "maxResults": 100},
			"things", 100},
	}
}

// fillItems makes items of one partition and of many.
func (w *world) fillItems(n int) {
	w.ask("dynamodb", "CreateTable", in{"TableName": "table", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []in{{"AttributeName": "p", "AttributeType": "S"},
			{"AttributeName": "s", "AttributeType": "S"},
			{"AttributeName": "i", "AttributeType": "S"}},
		"KeySchema": []in{{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}},
		"GlobalSecondaryIndexes": []in{{"IndexName": "index",
			"KeySchema":  []in{{"AttributeName": "i", "KeyType": "HASH"}},
			"Projection": in{"ProjectionType": "ALL"}}}})
	text := func(s string) in { return in{"S": s} }
	crowd(16, n, func(i int64) {
		p := "one"
		if i%2 == 0 {
			p = thing(int(i))
		}
		w.ask("dynamodb", "PutItem", in{"TableName": "table", "Item": in{"p": text(p), "s": text(thing(int(i))),
			"i": text(fmt.Sprint(i / 100)), "v": text(strings.Repeat("v", 100))}})
	})
}

func itemAsks(n int) []ask {
	of := func(name, value string) in {
		return in{"TableName": "table", "Limit": 100, "KeyConditionExpression": name + " = :v",
			"ExpressionAttributeValues": in{":v": in{"S": value}}}
	}
	index := of("i", strconv.Itoa(n/200))
	index["IndexName"] = "index"
	last := of("p", "one")
	last["ScanIndexForward"] = false
	after := in{"TableName": "table", "Limit": 100, "KeyConditionExpression": "p = :v AND s > :s",
		"ExpressionAttributeValues": in{":v": in{"S": "one"}, ":s": in{"S": thing(n / 2)}}}
	return []ask{
		{"Scan", "dynamodb", "Scan", in{"TableName": "table", "Limit": 100}, "Items", 100},
		{"Query", "dynamodb", "Query", of("p", "one"), "Items", 100},
		{"Query-from-the-end", "dynamodb", "Query", last, "Items", 100},
		{"Query-from-the-middle", "dynamodb", "Query", after, "Items", 100},
		{"Query-of-an-index", "dynamodb", "Query", index, "Items", 100},
		{"GetItem", "dynamodb", "GetItem", in{"TableName": "table",
			"Key": in{"p": in{"S": "one"}, "s": in{"S": thing(1)}}},
			"", 0},
		{"DescribeTable", "dynamodb", "DescribeTable", in{"TableName": "table"}, "", 0},
	}
}

// fillObjects makes objects under two prefixes.
func (w *world) fillObjects(n int) {
	w.ask("s3", "CreateBucket", in{"Bucket": "bucket"})
	crowd(16, n, func(i int64) {
		w.ask("s3", "PutObject", in{"Bucket": "bucket", "Key": fmt.Sprintf("half-%d/%s", i%2, thing(int(i))),
			"Body": []byte("x")})
	})
}

var objectAsks = []ask{
	{"ListObjectsV2", "s3", "ListObjectsV2", in{"Bucket": "bucket", "MaxKeys": 100}, "Contents", 100},
	{"ListObjectsV2-prefix", "s3", "ListObjectsV2", in{"Bucket": "bucket", "Prefix": "half-1/", "MaxKeys": 100},
		"Contents", 100},
	{"ListObjectsV2-delimiter", "s3", "ListObjectsV2", in{"Bucket": "bucket", "Delimiter": "/"}, "CommonPrefixes", 2},
	{"HeadObject", "s3", "HeadObject", in{"Bucket": "bucket", "Key": "half-0/" + thing(500)}, "", 0},
}

// fillExecutions runs executions, of which the first has failed.
func (w *world) fillExecutions(n int) {
	m := w.machine(`{"StartAt":"S","States":{"S":{"Type":"Choice","Choices":[{"Variable":"$.fail","IsPresent":true,` +
		`"Next":"F"}],"Default":"P"},"P":{"Type":"Pass","End":true},"F":{"Type":"Fail","Error":"E"}}}`)
	w.ask("sfn", "StartExecution", in{"stateMachineArn": m, "input": `{"fail":1}`, "name": "failed"})
	w.waitForEnd(m)
	crowd(16, n, func(int64) { w.ask("sfn", "StartExecution", in{"stateMachineArn": m}) })
	w.waitForEnd(m)
}

const benchMachine = "arn:aws:states:us-east-1:" + account + ":stateMachine:m"

var executionAsks = []ask{
	{"ListExecutions", "sfn", "ListExecutions", in{"stateMachineArn": benchMachine, "maxResults": 100}, "executions",
		100},
	{"ListExecutions-failed", "sfn", "ListExecutions", in{"stateMachineArn": benchMachine, "statusFilter": "FAILED"},
		"executions", 1},
	{"ListExecutions-running", "sfn", "ListExecutions", in{"stateMachineArn": benchMachine, "statusFilter": "RUNNING"},
		"executions", 0},
	{"DescribeExecution", "sfn", "DescribeExecution", in{"executionArn": "arn:aws:states:us-east-1:" + account +
		":execution:m:failed"}, "", 0},
	{"GetExecutionHistory", "sfn", "GetExecutionHistory", in{"executionArn": "arn:aws:states:us-east-1:" + account +
		":execution:m:failed"}, "events", 5},
	{"ListStateMachines", "sfn", "ListStateMachines", in{}, "stateMachines", 1},
}
