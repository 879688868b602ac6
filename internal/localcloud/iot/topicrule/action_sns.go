package topicrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// snsAction publishes the result to a topic.
type snsAction struct {
	roled
	target *rulesql.Template
	json   bool
}

func makeSNS(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN       string `json:"roleArn"`
		TargetARN     string `json:"targetArn"`
		MessageFormat string `json:"messageFormat"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if p.MessageFormat != "" && p.MessageFormat != "RAW" && p.MessageFormat != "JSON" {
		return nil, fmt.Errorf("messageFormat %q is neither RAW nor JSON", p.MessageFormat)
	}
	if strings.HasSuffix(p.TargetARN, ".fifo") {
		return nil, errors.New("FIFO topics are not supported")
	}
	a := &snsAction{roled: roled{p.RoleARN}, json: p.MessageFormat == "JSON"}
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!targetArn", p.TargetARN, &a.target))
	return a, errors.Join(err, plainly("targetArn", a.target, topicARN, "the ARN of a topic"))
}

func (a *snsAction) kind() string { return "Sns" }

func (a *snsAction) run(ctx context.Context, d *delivery) (string, error) {
	arn, err := d.text(ctx, a.target)
	if err != nil {
		return a.target.Source(), err
	}
	in := map[string]string{"TargetArn": arn, "Message": string(d.body)}
	if a.json {
		in["MessageStructure"] = "json"
	}
	return arn, d.call(ctx, a.roleARN, "sns", "Publish", in)
}
