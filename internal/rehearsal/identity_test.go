package rehearsal

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestAFlagSaysWhoSetIt has two users prove to the function control who they are, by the local cloud's STS, and
// tries to be somebody else.
func TestAFlagSaysWhoSetIt(t *testing.T) {
	w := newCloud(t)
	w.deploy(t, stack, infra.Template, settled)
	ctx := t.Context()
	user := func(name string) aws.Config {
		w.must(t, "iam", "CreateUser", map[string]any{"UserName": name})
		key := w.must(t, "iam", "CreateAccessKey", map[string]any{"UserName": name})["AccessKey"].(map[string]any)
		return aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(
			key["AccessKeyId"].(string), key["SecretAccessKey"].(string), "")}
	}
	ann, bob := user("ann"), user("bob")
	arn := func(name string) string { return "arn:aws:iam::" + account + ":user/" + name }
	prove := func(cfg aws.Config, r event.ControlRequest, at time.Time) event.ControlRequest {
		var err error
		if r.Proof, err = cli.Prove(ctx, cfg, r.Subject(), at); err != nil {
			t.Fatal(err)
		}
		return r
	}
	ask := func(r event.ControlRequest) (answer event.ControlAnswer, failure string) {
		t.Helper()
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			FunctionError string
			Payload       []byte
		}
		in := map[string]any{"FunctionName": stack + "-control", "Payload": b}
		if err := w.call(context.WithoutCancel(ctx), "lambda", "Invoke", in, &out); err != nil {
			t.Fatal(err)
		}
		if out.FunctionError != "" {
			return answer, string(out.Payload)
		}
		if err := json.Unmarshal(out.Payload, &answer); err != nil {
			t.Fatal(err)
		}
		return answer, ""
	}
	now := w.sched.Now()
	stop := event.ControlRequest{Verb: event.VerbStopAll, Why: "a fire"}
	start := event.ControlRequest{Verb: event.VerbStartAll}
	if a, failure := ask(prove(ann, stop, now)); failure != "" || a.Who != arn("ann") || !a.Changed {
		t.Errorf("ann stops: %+v, %s", a, failure)
	}
	if a, failure := ask(prove(bob, start, now)); failure != "" || a.Who != arn("bob") {
		t.Errorf("bob starts: %+v, %s", a, failure)
	}
	// Bob has ann's proof of a request, or makes one of his own look like hers.
	of := prove(ann, stop, now)
	for name, r := range map[string]event.ControlRequest{
		"another verb":   {Verb: event.VerbPause, JobID: "j", Why: stop.Why, Proof: of.Proof},
		"another reason": {Verb: stop.Verb, Why: "no fire", Proof: of.Proof},
		"another key": {Verb: stop.Verb, Why: stop.Why,
			Proof: strings.Replace(of.Proof, "X-Amz-Credential=", "X-Amz-Credential=X", 1)},
		"another signature": {Verb: stop.Verb, Why: stop.Why, Proof: of.Proof[:len(of.Proof)-2] + "00"},
		"another day":       prove(ann, stop, now.Add(-61*time.Second)),
		"of tomorrow":       prove(ann, stop, now.Add(61*time.Second)),
		"of another place": {Verb: stop.Verb, Why: stop.Why,
			Proof: strings.Replace(of.Proof, "amazonaws.com", "amazonaws.com.example.com", 1)},
	} {
		if a, failure := ask(r); !strings.Contains(failure, "Unproved") || a.Changed {
			t.Errorf("%s: %+v, %s", name, a, failure)
		}
	}
	if a, failure := ask(stop); failure != "" || a.Who != event.Nobody || !a.Changed {
		t.Errorf("without a proof: %+v, %s", a, failure)
	}
}
