package smoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/doctor"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/provision"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// watched is a transport that remembers why it could not connect.
type watched struct {
	simulator.Transport
	mu   sync.Mutex
	last error
}

func (w *watched) Connect(ctx context.Context, c simulator.Connection, h simulator.Handler) (simulator.Session,
	error) {
	s, err := w.Transport.Connect(ctx, c, h)
	w.mu.Lock()
	w.last = err
	w.mu.Unlock()
	return s, err
}

func (w *watched) why() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return "its connection was closed"
	}
	return w.last.Error()
}

func (r *run) arn(resource string) string {
	partition := "aws"
	if parts := strings.SplitN(r.stack.Caller, ":", 3); len(parts) == 3 {
		partition = parts[1]
	}
	return fmt.Sprintf("arn:%s:iot:%s:%s:%s", partition, r.AWS.Region, r.report.Account, resource)
}

// device makes the thing, its certificate and its agent.
func (r *run) device(ctx context.Context) (string, error) {
	policy := r.stack.Outputs["DevicePolicyName"]
	if r.Existing { // the last thing to be removed
		r.made("items of "+r.thing, r.removeItems)
	}
	r.made("thing "+r.thing, r.removeThing)
	endpoint := simulator.EndpointIDOf(simulator.OUI, r.thing)
	made, err := provision.Devices(ctx, r.iot, provision.Fleet{Things: []string{r.thing}, Policy: policy,
		Endpoint: func(string) event.EndpointID { return event.EndpointID(endpoint) }})
	if err != nil {
		return "", err
	}
	if r.Broker == "" {
		out, err := r.iot.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
		if err != nil {
			return "", err
		}
		address := aws.ToString(out.EndpointAddress)
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(address, "8883")
		}
		r.Broker = "mqtts://" + address
	}
	transport, err := mqtt.New(mqtt.Config{Broker: r.Broker, RootCAs: r.RootCAs,
		Credentials: func(thing string) (mqtt.Credentials, error) {
			c := made.Certificates[thing]
			return mqtt.Credentials{Certificate: &c}, nil
		}})
	if err != nil {
		return "", err
	}
	r.transport = &watched{Transport: transport}
	r.fleet, err = simulator.NewFleet(simulator.FleetConfig{Things: []string{r.thing}, Seed: 1,
		Settings: simulator.Settings{Transport: r.transport, HTTP: http.DefaultClient, PublishQoS: 1,
			Controller:      usp.EndpointID(r.stack.Outputs["ControllerEndpointId"]),
			AgentTopic:      usp.TopicTemplate(r.stack.Outputs["AgentTopic"]),
			ControllerTopic: usp.TopicTemplate(r.stack.Outputs["ControllerTopic"])}})
	return fmt.Sprintf("thing %s with a certificate under policy %s", r.thing, policy), err
}

// removeThing deletes thing and certificate.
func (r *run) removeThing(ctx context.Context) error {
	out, err := r.iot.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: &r.thing})
	if err != nil {
		return gone(err)
	}
	policy := r.stack.Outputs["DevicePolicyName"]
	for _, principal := range out.Principals {
		id := principal[strings.LastIndexByte(principal, '/')+1:]
		for _, step := range []func() error{
			func() error {
				_, err := r.iot.DetachThingPrincipal(ctx, &iot.DetachThingPrincipalInput{ThingName: &r.thing,
					Principal: &principal})
				return err
			},
			func() error {
				_, err := r.iot.DetachPolicy(ctx, &iot.DetachPolicyInput{PolicyName: &policy, Target: &principal})
				return gone(err)
			},
			func() error {
				_, err := r.iot.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &id,
					NewStatus: iottypes.CertificateStatusInactive})
				return err
			},
			func() error {
				_, err := r.iot.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id,
					ForceDelete: true})
				return err
			},
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	if _, err := r.iot.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: &r.thing}); err != nil {
		return err
	}
	return nil
}

// lastNews is how long AWS IoT may take to tell the stack that the device is gone, and that its job is: the stack
// writes both into the table. Of the job it tells twice: that it is being deleted, and that it is.
const lastNews = 30 * time.Second

// quiet is for how many seconds nothing more is to come of a job whose flag is removed. AWS IoT and Lambda promise no
// order: that a job is being deleted may be heard after that it is, and sets the flag again.
const quiet = 3

// removeItems deletes what the table of a stack that stays has of the device and of its job.
func (r *run) removeItems(ctx context.Context) error {
	flag := "CONTROL#" + r.job
	limited, cancel := context.WithTimeout(ctx, lastNews)
	defer cancel()
	if err := r.await(limited, func(ctx context.Context) (bool, error) {
		state, err := r.item(ctx, r.deviceKey(), "STATE")
		connected, _ := state["connected"].(*dynamodbtypes.AttributeValueMemberBOOL)
		if err != nil || connected != nil && connected.Value {
			return false, err
		}
		ended, err := r.item(ctx, flag, "CONTROL")
		why, _ := ended["why"].(*dynamodbtypes.AttributeValueMemberS)
		return r.job == "" || why != nil && why.Value == event.WhyJobDeleted, err
	}, func(context.Context) error { return nil }); err != nil {
		return err
	}
	endpoint := string(simulator.EndpointIDOf(simulator.OUI, r.thing))
	return errors.Join(r.removePartition(ctx, r.deviceKey()), r.removeItem(ctx, "ENDPOINT#"+endpoint, "OWNER"),
		r.removeFlag(ctx, flag))
}

// removeFlag deletes the flag of the job, if there is one, until it stays away.
func (r *run) removeFlag(ctx context.Context, flag string) error {
	remove := func() error {
		return errors.Join(r.removeItem(ctx, flag, "CONTROL"), r.removeItem(ctx, "TICK", "LIFTED#"+flag))
	}
	err := remove()
	for away := 0; r.job != "" && err == nil && away < quiet; away++ {
		if err := r.Sleep(ctx, time.Second); err != nil {
			return err
		}
		again, lookErr := r.item(ctx, flag, "CONTROL")
		if err = lookErr; err == nil && again != nil {
			away, err = -1, remove()
		}
	}
	return err
}

type item = map[string]dynamodbtypes.AttributeValue

func (r *run) key(pk, sk string) item {
	return item{"PK": &dynamodbtypes.AttributeValueMemberS{Value: pk},
		"SK": &dynamodbtypes.AttributeValueMemberS{Value: sk}}
}

// item reads an item of the stack's table.
func (r *run) item(ctx context.Context, pk, sk string) (item, error) {
	out, err := r.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(r.stack.Outputs["TableName"]),
		ConsistentRead: aws.Bool(true), Key: r.key(pk, sk)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

func (r *run) removeItem(ctx context.Context, pk, sk string) error {
	_, err := r.dynamodb.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(r.stack.Outputs["TableName"]), Key: r.key(pk, sk)})
	return err
}

// removePartition deletes what the table has under a key.
func (r *run) removePartition(ctx context.Context, pk string) error {
	table := r.stack.Outputs["TableName"]
	pages := dynamodb.NewQueryPaginator(r.dynamodb, &dynamodb.QueryInput{TableName: &table,
		KeyConditionExpression: aws.String("PK = :pk"), ProjectionExpression: aws.String("PK, SK"),
		ExpressionAttributeValues: map[string]dynamodbtypes.AttributeValue{
			":pk": &dynamodbtypes.AttributeValueMemberS{Value: pk}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if _, err := r.dynamodb.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table,
				Key: item}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) deviceKey() string { return "DEVICE#" + r.thing }

// connect switches the agent on.
func (r *run) connect(ctx context.Context) (string, error) {
	r.fleet.Start()
	err := r.await(ctx, func(context.Context) (bool, error) {
		return r.fleet.Progress().Connected == 1, nil
	}, func(context.Context) error {
		return &trouble{fmt.Sprintf("the agent cannot connect to %s as %s: %s", r.Broker, r.thing, r.transport.why()),
			"compare the certificate's policies (aws iot list-attached-policies) with the device policy of " +
				"docs/deploy.md"}
	})
	return fmt.Sprintf("the agent is connected to %s and has subscribed", r.Broker), err
}

// greeting waits until the controller has heard the device.
func (r *run) greeting(ctx context.Context) (string, error) {
	err := r.await(ctx, func(ctx context.Context) (bool, error) {
		state, err := r.item(ctx, r.deviceKey(), "STATE")
		if err != nil {
			return false, err
		}
		connected, _ := state["connected"].(*dynamodbtypes.AttributeValueMemberBOOL)
		endpoint, _ := state["endpointId"].(*dynamodbtypes.AttributeValueMemberS)
		return connected != nil && connected.Value && endpoint != nil && endpoint.Value != "", nil
	}, func(ctx context.Context) error {
		return r.explain(ctx, "the device has greeted, and the table has no item of it", "handle-device-message")
	})
	return "the device's greeting reached the table, by rule, queue and function", err
}

func (r *run) image(ctx context.Context) (string, error) {
	bucket, key := r.stack.Outputs["FirmwareBucketName"], r.version+"/agent.bin"
	r.made("image s3://"+bucket+"/"+key, func(ctx context.Context) error {
		return gone(r.removeObjects(ctx, bucket, key))
	})
	if err := r.put(ctx, bucket, key, simulator.MakeImage(r.version, 64<<10, 1)); err != nil {
		return "", err
	}
	return "s3://" + bucket + "/" + key, nil
}

func (r *run) createJob(ctx context.Context) (string, error) {
	payload, err := json.Marshal(map[string]any{"firmwareVersion": r.version, "upgradeTrigger": "IMMEDIATE",
		"targetArn": r.arn("thing/" + r.thing)})
	if err != nil {
		return "", err
	}
	created, err := cli.CreateJob(ctx, r.lambda, r.Stack, payload)
	if err != nil {
		return "", r.explain(context.WithoutCancel(ctx), doctor.DescribeError(err), "create-job")
	}
	r.job, r.owner = created.JobID, event.JobOwner(event.JobID(created.JobID))
	r.made("job "+r.job, r.removeJob)
	return "job " + r.job, nil
}

// removeJob ends what may still be under way, and deletes the job.
func (r *run) removeJob(ctx context.Context) error {
	s, err := cli.Describe(ctx, r.iot, r.job)
	if err != nil {
		return gone(err)
	}
	if !s.Ended() {
		if _, err := r.iot.CancelJob(ctx, &iot.CancelJobInput{JobId: &r.job, Force: true}); err != nil {
			return err
		}
	}
	if err := r.stop(ctx, r.stack.Outputs["StateMachineArn"],
		r.executionOf(event.JobOwner(event.JobID(r.job)))); err != nil {
		return err
	}
	_, err = r.iot.DeleteJob(ctx, &iot.DeleteJobInput{JobId: &r.job, Force: true})
	return gone(err)
}

// stop stops an execution, if there is one. It may have begun after it was looked for before.
func (r *run) stop(ctx context.Context, machine, name string) error {
	arn, err := r.find(ctx, machine, name)
	if err != nil || arn == "" {
		return err
	}
	_, err = r.sfn.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn})
	return gone(err)
}

// executionOf is the name of the execution of an owner's upgrade.
func (r *run) executionOf(owner event.Owner) string {
	return event.ExecutionName(owner, event.ThingName(r.thing), 1, 0)
}

// find looks for an execution among the newest of a state machine; "" if it is not there.
func (r *run) find(ctx context.Context, machine, name string) (arn string, err error) {
	out, err := r.sfn.ListExecutions(ctx, &sfn.ListExecutionsInput{MaxResults: 100, StateMachineArn: &machine})
	if err != nil {
		return "", err
	}
	for _, e := range out.Executions {
		if aws.ToString(e.Name) == name {
			return aws.ToString(e.ExecutionArn), nil
		}
	}
	return "", nil
}

// found looks for the execution of our upgrade.
func (r *run) found(ctx context.Context) (_ bool, err error) {
	r.execution, err = r.find(ctx, r.stack.Outputs["StateMachineArn"], r.executionOf(r.owner))
	return r.execution != "", err
}

func (r *run) executionName() string {
	return "execution " + r.execution[strings.LastIndexByte(r.execution, ':')+1:]
}

// start waits for the upgrade's execution.
func (r *run) start(ctx context.Context) (string, error) {
	err := r.await(ctx, r.found, func(ctx context.Context) error {
		return r.explain(ctx, "AWS IoT has the job, but no workflow was started for the device", "start-upgrade")
	})
	return r.executionName(), err
}

// upgrade follows the execution. Each of its states is a hop.
func (r *run) upgrade(ctx context.Context) error {
	told := 0
	for {
		waits := r.Now()
		states, err := r.history(ctx)
		for ; err == nil && (told >= len(states) || !states[told].over); states, err = r.history(ctx) {
			if told == len(states) {
				if out, err := r.sfn.DescribeExecution(ctx,
					&sfn.DescribeExecutionInput{ExecutionArn: &r.execution}); err != nil ||
					out.Status != sfntypes.ExecutionStatusRunning {
					return r.ended(ctx, out, err)
				}
			}
			if r.Now().Sub(waits) > r.Patience {
				return r.stuck(ctx, states, told)
			}
			if err := r.Sleep(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
		if err != nil {
			return r.hop(ctx, "history", r.Patience, func(context.Context) (string, error) { return "", err })
		}
		s := states[told]
		told++
		if s.failed == "" {
			r.tell(Hop{Name: s.name, Level: doctor.OK, Seen: "done"})
			continue
		}
		if strings.HasPrefix(s.failed, "Next.") {
			// A signpost, and no failure; but the straight way has none.
			r.tell(Hop{Name: s.name, Level: doctor.Note, Seen: "extra step: " + s.failed + ": " + s.cause + r.agent(),
				Do: "find the reason: for example, Next.Renewal is a refused address of the image (the role of " +
					"send-usp-operate, or the distribution)"})
			continue
		}
		return r.hop(ctx, s.name, r.Patience, func(ctx context.Context) (string, error) {
			return "", r.explain(ctx, s.failed+": "+s.cause+r.agent(), functions...)
		})
	}
}

// functions are those that an upgrade goes through, in this order.
var functions = []string{"send-usp-operate", "await-firmware-report", "verify-version", "handle-device-message",
	"finalize"}

// stuck is the hop of a state that does not end.
func (r *run) stuck(ctx context.Context, states []state, i int) error {
	name, seen := "upgrade", "no further state is entered"
	if i < len(states) {
		name, seen = states[i].name, "the upgrade waits here for the device, or for a function that handles its news"
		if states[i].failed != "" {
			seen = "it is tried again and again: " + states[i].failed + ": " + states[i].cause
		}
	}
	return r.hop(ctx, name, r.Patience, func(ctx context.Context) (string, error) {
		return "", r.explain(ctx, seen+r.agent(), functions...)
	})
}

// agent is what the agent itself says went wrong.
func (r *run) agent() string {
	for _, f := range r.fleet.Facts() {
		if f.Failure != "" {
			return "; the agent says: " + f.Failure
		}
	}
	return ""
}

// ended is the hop of the execution's end.
func (r *run) ended(ctx context.Context, out *sfn.DescribeExecutionOutput, err error) error {
	return r.hop(ctx, "upgrade", r.Patience, func(context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		if out.Status != sfntypes.ExecutionStatusSucceeded {
			return "", &trouble{fmt.Sprintf("the execution is %s: %s: %s", out.Status, aws.ToString(out.Error),
				aws.ToString(out.Cause)), "docs/errors.md has the error's name"}
		}
		return fmt.Sprintf("the execution succeeded after %.1f s", out.StopDate.Sub(*out.StartDate).Seconds()), nil
	})
}

// state is a state that was entered.
type state struct {
	name, failed, cause string
	over                bool
}

// history are the Task states of the execution in the order in which they were entered.
func (r *run) history(ctx context.Context) ([]state, error) {
	var list []state
	pages := sfn.NewGetExecutionHistoryPaginator(r.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: &r.execution})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			fail := func(name, cause *string) {
				if n := len(list); n > 0 && !list[n-1].over {
					list[n-1].failed, list[n-1].cause = aws.ToString(name), aws.ToString(cause)
				}
			}
			switch {
			case e.StateEnteredEventDetails != nil && e.Type == sfntypes.HistoryEventTypeTaskStateEntered:
				list = append(list, state{name: aws.ToString(e.StateEnteredEventDetails.Name)})
			case e.StateExitedEventDetails != nil && len(list) > 0:
				list[len(list)-1].over = true
			case e.TaskSucceededEventDetails != nil:
				fail(nil, nil)
			case e.TaskFailedEventDetails != nil:
				fail(e.TaskFailedEventDetails.Error, e.TaskFailedEventDetails.Cause)
			case e.TaskTimedOutEventDetails != nil:
				fail(e.TaskTimedOutEventDetails.Error, e.TaskTimedOutEventDetails.Cause)
			case e.TaskStartFailedEventDetails != nil:
				fail(e.TaskStartFailedEventDetails.Error, e.TaskStartFailedEventDetails.Cause)
			case e.TaskSubmitFailedEventDetails != nil:
				fail(e.TaskSubmitFailedEventDetails.Error, e.TaskSubmitFailedEventDetails.Cause)
			case e.LambdaFunctionFailedEventDetails != nil:
				fail(e.LambdaFunctionFailedEventDetails.Error, e.LambdaFunctionFailedEventDetails.Cause)
			case e.LambdaFunctionScheduleFailedEventDetails != nil:
				fail(e.LambdaFunctionScheduleFailedEventDetails.Error,
					e.LambdaFunctionScheduleFailedEventDetails.Cause)
			case e.ExecutionFailedEventDetails != nil && len(list) > 0 && !list[len(list)-1].over:
				fail(e.ExecutionFailedEventDetails.Error, e.ExecutionFailedEventDetails.Cause)
				list[len(list)-1].over = true
			}
		}
	}
	return list, nil
}

// reported looks whether everybody was told: the job, and the thing.
func (r *run) reported(ctx context.Context) (string, error) {
	var s *cli.State
	err := r.await(ctx, func(ctx context.Context) (_ bool, err error) {
		s, err = cli.Describe(ctx, r.iot, r.job)
		return err == nil && s.Ended(), err
	}, func(ctx context.Context) error {
		return r.explain(ctx, fmt.Sprintf("the upgrade has ended, but job %s was not told: %s", r.job, s.Counts),
			"finalize")
	})
	if err != nil {
		return "", err
	}
	if s.Counts.Succeeded != 1 {
		return "", &trouble{fmt.Sprintf("job %s is %s: %s", r.job, s.Status, s.Counts), "docs/errors.md"}
	}
	if err := r.runs(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("job %s is %s, the thing runs %s", r.job, s.Status, r.version), nil
}

// explain adds to what was seen what the functions say of it, and where messages lie.
func (r *run) explain(ctx context.Context, seen string, functions ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	t := &trouble{seen: seen, do: "look at the log group of " + strings.Join(functions, ", ")}
	for _, function := range functions {
		said, err := r.said(ctx, function)
		switch {
		case err != nil:
			t.seen += fmt.Sprintf("; the log of %s cannot be read: %s", function, doctor.DescribeError(err))
		case said != "":
			t.seen += fmt.Sprintf("; %s says: %s", function, said)
			t.do = "remove the cause that the function names: a permission, a parameter, a quota"
		}
	}
	_, found, err := doctor.Examine(ctx, doctor.Config{AWS: r.AWS, Stack: r.Stack, Now: r.Now},
		func(doctor.Finding) {},
		doctor.Credentials, doctor.StackCheck, doctor.DeadLetters)
	if err != nil {
		return errors.Join(t, err)
	}
	if i := slices.IndexFunc(found, func(f doctor.Finding) bool {
		return f.Check == doctor.DeadLetters && f.Level == doctor.Problem
	}); i >= 0 {
		t.seen += "; " + found[i].Seen
	}
	return t
}

// said is the last error in a function's log since this began.
func (r *run) said(ctx context.Context, function string) (string, error) {
	group := "/aws/lambda/" + r.Stack + "-" + function
	last := ""
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.logs, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, StartTime: aws.Int64(r.since.UnixMilli()), FilterPattern: aws.String("ERROR")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", gone(err)
		}
		for _, e := range page.Events {
			last = strings.TrimSpace(aws.ToString(e.Message))
		}
	}
	var line struct{ Msg, Error, Failure string }
	if err := json.Unmarshal([]byte(last), &line); err == nil && line.Error+line.Failure != "" {
		last = line.Msg + ": " + line.Error + line.Failure
	}
	return last, nil
}
