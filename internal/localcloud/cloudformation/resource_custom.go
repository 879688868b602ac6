package cloudformation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// defaultServiceTimeout is how long CloudFormation waits for a custom resource that sets no ServiceTimeout.
const defaultServiceTimeout = time.Hour

// ResponseURLs is where custom resources send their answers. The caller of this package serves the
// URLs: each takes one PUT, whose body it hands to deliver, and is then gone.
type ResponseURLs interface {
	// Open makes a URL that cannot be guessed. The body of the first PUT to it goes to deliver, which does not block.
	Open(deliver func(body []byte)) (url string, err error)
	// Close withdraws a URL; later requests to it are refused.
	Close(url string)
}

// custom is the Provider of AWS::CloudFormation::CustomResource and Custom::*: the Lambda function
// named by ServiceToken makes the resource and answers over HTTP.
type custom struct{ s *Service }

func (p custom) Check(path string, properties map[string]any) []Problem {
	var found problems
	if _, ok := properties["ServiceToken"]; !ok {
		found.add(path+".ServiceToken", "required")
	}
	return found
}

func (p custom) Attributes() []string { return nil }

func (p custom) Create(ctx context.Context, r Request) (Resource, error) {
	return p.request(ctx, "Create", r)
}

// Update implements Provider. A function that answers with another physical id has replaced the resource; the old one
// is deleted with what else the update has replaced.
func (p custom) Update(ctx context.Context, r Request) (Resource, error) {
	if r.Old["ServiceToken"] != r.Properties["ServiceToken"] {
		return Resource{}, errors.New("modifying the ServiceToken of a custom resource is not allowed")
	}
	return p.request(ctx, "Update", r)
}

func (p custom) Delete(ctx context.Context, r Request) error {
	_, err := p.request(ctx, "Delete", r)
	return err
}

// customEvent is what the function receives.
type customEvent struct {
	RequestType           string
	ServiceToken          string
	ResponseURL           string
	StackID               string `json:"StackId"`
	RequestID             string `json:"RequestId"`
	ResourceType          string
	LogicalResourceID     string `json:"LogicalResourceId"`
	PhysicalResourceID    string `json:"PhysicalResourceId,omitempty"`
	ResourceProperties    any
	OldResourceProperties any `json:",omitempty"`
}

// customAnswer is what it sends to the URL.
type customAnswer struct {
	Status             string
	Reason             string
	PhysicalResourceID string `json:"PhysicalResourceId"`
	StackID            string `json:"StackId"`
	RequestID          string `json:"RequestId"`
	LogicalResourceID  string `json:"LogicalResourceId"`
	Data               map[string]any
	NoEcho             bool
}

func (p custom) request(ctx context.Context, requestType string, r Request) (Resource, error) {
	if p.s.config.ResponseURLs == nil {
		return Resource{}, awsapi.NotBuilt("custom resources without a place for their answers")
	}
	token, err := asText(r.Properties["ServiceToken"])
	if err != nil {
		return Resource{}, fmt.Errorf("ServiceToken: %w", err)
	}
	if !strings.Contains(token, ":lambda:") {
		return Resource{}, awsapi.NotBuilt("custom resources behind " + token)
	}
	timeout := defaultServiceTimeout
	if v, ok := r.Properties["ServiceTimeout"]; ok {
		n, err := asNumber(v)
		seconds, err2 := strconv.Atoi(n.String())
		if err != nil || err2 != nil || seconds < 1 || seconds > 3600 {
			return Resource{}, errors.New("ServiceTimeout must be a number of seconds from 1 to 3600")
		}
		timeout = time.Duration(seconds) * time.Second
	}

	answered := p.s.config.Scheduler.NewGate()
	var body []byte
	var once sync.Once
	url, err := p.s.config.ResponseURLs.Open(func(b []byte) {
		once.Do(func() {
			body = b
			answered.Open()
		})
	})
	if err != nil {
		return Resource{}, err
	}
	defer p.s.config.ResponseURLs.Close(url)

	event := customEvent{
		RequestType: requestType, ServiceToken: token, ResponseURL: url, StackID: r.StackID,
		RequestID: p.s.config.Scheduler.UUID(), ResourceType: r.Type, LogicalResourceID: r.LogicalID,
		PhysicalResourceID: r.PhysicalID, ResourceProperties: sentProperties(r.Properties),
	}
	if requestType == "Update" {
		event.OldResourceProperties = sentProperties(r.Old)
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return Resource{}, err
	}
	in := map[string]any{"FunctionName": token, "InvocationType": "Event", "Payload": payload}
	if _, err := p.s.call(ctx, "lambda", "Invoke", in); err != nil {
		return Resource{}, err
	}
	return p.await(ctx, answered, timeout, event, &body)
}

func (p custom) await(ctx context.Context, answered *scheduler.Gate, timeout time.Duration, event customEvent,
	body *[]byte) (Resource, error) {
	ctx, cancel := p.s.config.Scheduler.WithTimeout(ctx, timeout)
	defer cancel()
	if err := answered.Wait(ctx); err != nil {
		return Resource{}, fmt.Errorf("custom resource: no answer from %s within %v: %w", event.ServiceToken,
			timeout, err)
	}
	var a customAnswer
	dec := json.NewDecoder(strings.NewReader(string(*body)))
	dec.UseNumber()
	if err := dec.Decode(&a); err != nil {
		return Resource{}, fmt.Errorf("custom resource: the answer of %s is not JSON: %w", event.ServiceToken, err)
	}
	switch {
	case a.Status == "FAILED":
		return Resource{}, fmt.Errorf("received response status [FAILED] from custom resource. Message returned: %s",
			a.Reason)
	case a.Status != "SUCCESS":
		return Resource{}, fmt.Errorf("custom resource: invalid Status %q in the answer", a.Status)
	case a.RequestID != event.RequestID || a.StackID != event.StackID ||
		a.LogicalResourceID != event.LogicalResourceID:
		return Resource{}, errors.New("custom resource: the answer belongs to another request")
	case a.PhysicalResourceID == "" && event.RequestType != "Delete":
		return Resource{}, errors.New("custom resource: the answer has no PhysicalResourceId")
	}
	if a.Data == nil {
		a.Data = map[string]any{}
	}
	return Resource{PhysicalID: a.PhysicalResourceID, Attributes: a.Data}, nil
}

// sentProperties are properties as CloudFormation sends them: every number and boolean as a text.
func sentProperties(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			m[k] = sentProperties(v[k])
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = sentProperties(e)
		}
		return list
	default:
		if t, err := asText(v); err == nil {
			return t
		}
		return v
	}
}
