package topicrule

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// sqsAction sends the result to a queue.
type sqsAction struct {
	roled
	queue  *rulesql.Template
	base64 bool
}

func makeSQS(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		QueueURL  string `json:"queueUrl"`
		UseBase64 bool   `json:"useBase64"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if strings.HasSuffix(p.QueueURL, ".fifo") {
		return nil, errors.New("FIFO queues are not supported")
	}
	a := &sqsAction{roled: roled{p.RoleARN}, base64: p.UseBase64}
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!queueUrl", p.QueueURL, &a.queue))
	return a, errors.Join(err, plainly("queueUrl", a.queue, queueURL, "the URL of a queue"))
}

func (a *sqsAction) kind() string { return "Sqs" }

func (a *sqsAction) run(ctx context.Context, d *delivery) (string, error) {
	url, err := d.text(ctx, a.queue)
	if err != nil {
		return a.queue.Source(), err
	}
	body := string(d.body)
	if a.base64 {
		body = base64.StdEncoding.EncodeToString(d.body)
	}
	return url, d.call(ctx, a.roleARN, "sqs", "SendMessage", map[string]string{"QueueUrl": url, "MessageBody": body})
}
