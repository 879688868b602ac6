package bench

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// burst asks for more than a quota lets through.
type burst struct {
	name   string
	rate   float64 // asked for a second
	bucket float64 // what passes at once
	pass   float64 // what passes a second
	code   string  // of the refusal
	do     func(any int) error
}

// bursts go beyond quotas of AWS; internal/localcloud/quotas has their sources.
func (s *soak) bursts() []burst {
	_, err := s.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("slow"), Role: &s.w.role, Runtime: lambdatypes.RuntimeProvidedal2023,
		Handler: aws.String("bootstrap"),
		Code:    &lambdatypes.FunctionCode{S3Bucket: aws.String("assets"), S3Key: aws.String("slow.zip")},
	})
	must(s.t, err)
	const reserved, takes = 4, 50 * time.Millisecond
	_, err = s.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{
		FunctionName: aws.String("slow"), ReservedConcurrentExecutions: aws.Int32(reserved)})
	must(s.t, err)
	return []burst{
		{"StartExecution", 3000, 1300, 300, "ThrottlingException", func(int) error { return s.start() }},
		{"DescribeThing", 1500, 350, 350, "ThrottlingException", func(i int) error {
			_, err := s.iot.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(thing(i % s.things))})
			return err
		}},
		{"UpdateThing", 600, 100, 100, "ThrottlingException", func(i int) error {
			return s.updateThing(i % s.things)
		}},
		{"SearchIndex", 300, 15, 15, "ThrottlingException", func(i int) error {
			return s.search("attributes.serial:s", i%s.things, 1)
		}},
		{"GetPendingJobExecutions", 1000, 200, 200, "ThrottlingException", func(i int) error {
			return s.pending(thing(i % s.things))
		}},
		{"Invoke, of 4 at a time that take 50 ms", 400, reserved, reserved / takes.Seconds(),
			"TooManyRequestsException", func(int) error {
				_, err := s.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("slow"),
					Payload: []byte(`{"milliseconds":50}`)})
				return err
			}},
	}
}

// goBeyond goes beyond each limit, while the mix is asked for as before.
func (s *soak) goBeyond(f *fleet, rate float64) {
	bursts := s.bursts()
	if s.long < time.Minute { // no time for as many
		bursts = slices.DeleteFunc(bursts, func(b burst) bool { return b.bucket > 500 })
	}
	beside := newTally(s.mix)
	done := make(chan time.Duration)
	go func() { done <- s.ask(s.beyond*time.Duration(len(bursts)+3), rate, beside) }()
	for _, b := range bursts {
		s.beyondOne(b)
	}
	f.flood()
	f.pester()
	<-done
	if s.long >= time.Minute {
		s.holdReads("beside the bursts ", beside)
	}
}

func (s *soak) beyondOne(b burst) {
	long := s.beyond
	if enough := time.Duration(1.5 * b.bucket / (b.rate - b.pass) * float64(time.Second)); long < enough {
		long = enough
	}
	var passed, refused, others atomic.Int64
	answered := &histogram{}
	begin := time.Now()
	paced(soakClients, long, b.rate, func(k int64, _ time.Duration) bool {
		sent := time.Now()
		switch err := b.do(int(k)); {
		case err == nil:
			passed.Add(1)
		case codeOf(err) == b.code:
			answered.add(time.Since(sent))
			refused.Add(1)
		default:
			s.t.Errorf("%s, beyond what may be: %v", b.name, err)
			others.Add(1)
		}
		return others.Load() < 10
	})
	took := time.Since(begin)
	most := b.bucket + b.pass*(took.Seconds()+1)
	s.t.Logf("beyond %-40s %5d in %4.1f s: %4d passed (at most %4.0f), %5d refused, 99 of 100 of them in %s", b.name,
		passed.Load()+refused.Load(), took.Seconds(), passed.Load(), most, refused.Load(), answered.of(0.99))
	// The mix takes its share of the same quotas. A slow machine may not go beyond them in a short time.
	least := min(float64(passed.Load()+refused.Load()), b.bucket) / 2
	if n := float64(passed.Load()); n > most || n < least || refused.Load() == 0 && s.long >= time.Minute {
		s.t.Errorf("%s: %d passed and %d were refused", b.name, passed.Load(), refused.Load())
	}
}

// flood publishes more from one device than a connection may: 100 messages a second. Those beyond it are discarded,
// and get no PUBACK.
func (f *fleet) flood() {
	const messages = 1000
	d := f.devices[0]
	before, begin := d.acknowledgements.Load(), time.Now()
	for range messages {
		d.mu.Lock()
		d.publish("devices/"+d.name+"/flood", "{}")
		d.mu.Unlock()
	}
	time.Sleep(f.s.beyond / 2) // the last PUBACKs are under way
	took := time.Since(begin)
	passed, most := d.acknowledgements.Load()-before, 100+100*(took.Seconds()+1)
	f.s.t.Logf("beyond %-40s %5d in %4.1f s: %4d have a PUBACK (at most %4.0f)", "messages of a connection", messages,
		took.Seconds(), passed, most)
	if float64(passed) > most || passed < 50 {
		f.s.t.Errorf("%d of %d messages of one connection have a PUBACK", passed, messages)
	}
}

// pester asks over MQTT, from all devices, for more about jobs than the account may: 200 requests a second, which
// HTTP has a share of.
func (f *fleet) pester() {
	accepted, throttled := f.accepted.Load(), f.throttled.Load()
	begin := time.Now()
	paced(8, f.s.beyond, 1500, func(k int64, _ time.Duration) bool {
		d := f.devices[k%int64(len(f.devices))]
		d.mu.Lock()
		d.publish(d.topic("get"), "{}")
		d.mu.Unlock()
		return true
	})
	time.Sleep(f.s.beyond / 2) // the last answers are under way
	took := time.Since(begin)
	accepted, throttled = f.accepted.Load()-accepted, f.throttled.Load()-throttled
	most := 200 + 200*(took.Seconds()+1)
	f.s.t.Logf("beyond %-40s %5d in %4.1f s: %4d passed (at most %4.0f), %5d rejected",
		"GetPendingJobExecutions over MQTT", accepted+throttled, took.Seconds(), accepted, most, throttled)
	if float64(accepted) > most || accepted == 0 || throttled == 0 && f.s.long >= time.Minute {
		f.s.t.Errorf("over MQTT %d requests passed and %d were rejected", accepted, throttled)
	}
}
