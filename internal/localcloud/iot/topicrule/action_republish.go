package topicrule

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
)

// republishAction publishes the result as another message.
type republishAction struct {
	roled
	topic                               *rulesql.Template
	qos                                 int
	format, contentType, response, data *rulesql.Template
	expiry                              *rulesql.Template
	keys, values                        []*rulesql.Template
}

func makeRepublish(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN string `json:"roleArn"`
		Topic   string `json:"topic"`
		QoS     int    `json:"qos"`
		Headers struct {
			PayloadFormatIndicator string `json:"payloadFormatIndicator"`
			ContentType            string `json:"contentType"`
			ResponseTopic          string `json:"responseTopic"`
			CorrelationData        string `json:"correlationData"`
			MessageExpiry          string `json:"messageExpiry"`
			UserProperties         []struct {
				Key   string `json:"key"`
				Value string `json:"value"`
			} `json:"userProperties"`
		} `json:"headers"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	if p.QoS != 0 && p.QoS != 1 {
		return nil, errors.New("qos must be 0 or 1")
	}
	if strings.HasPrefix(p.Topic, "$") && !strings.HasPrefix(p.Topic, "$$") && !strings.HasPrefix(p.Topic, "${") {
		return nil, errors.New("a reserved topic is written with $$")
	}
	a := &republishAction{roled: roled{p.RoleARN}, qos: p.QoS}
	h := p.Headers
	err := errors.Join(checkRole(p.RoleARN), templates(r, "!topic", p.Topic, &a.topic,
		"payloadFormatIndicator", h.PayloadFormatIndicator, &a.format, "contentType", h.ContentType, &a.contentType,
		"responseTopic", h.ResponseTopic, &a.response, "correlationData", h.CorrelationData, &a.data,
		"messageExpiry", h.MessageExpiry, &a.expiry))
	if err == nil && slices.ContainsFunc(a.topic.Texts(), topic.Wild) {
		err = fmt.Errorf("topic %q is a filter: nothing is published to one", p.Topic)
	}
	for _, u := range h.UserProperties {
		var k, v *rulesql.Template
		err = errors.Join(err, templates(r, "!userProperties key", u.Key, &k, "userProperties value", u.Value, &v))
		a.keys, a.values = append(a.keys, k), append(a.values, v)
	}
	return a, err
}

func (a *republishAction) kind() string { return "Republish" }

func (a *republishAction) run(ctx context.Context, d *delivery) (string, error) {
	name, err := d.text(ctx, a.topic)
	if err != nil {
		return a.topic.Source(), err
	}
	name = strings.Replace(name, "$$", "$", 1)
	if strings.HasPrefix(name, "$aws/things/") && strings.Contains(name, "/jobs/") {
		return name, errors.New("the topics of AWS IoT Jobs cannot be republished to")
	}
	in := map[string]any{"topic": name, "payload": d.body, "qos": a.qos}
	for _, header := range []struct {
		name string
		text *rulesql.Template
	}{
		{"payloadFormatIndicator", a.format}, {"contentType", a.contentType}, {"responseTopic", a.response},
		{"correlationData", a.data},
	} {
		if header.text == nil {
			continue
		}
		if in[header.name], err = d.text(ctx, header.text); err != nil {
			return name, err
		}
	}
	if a.expiry != nil {
		text, err := d.text(ctx, a.expiry)
		if err != nil {
			return name, err
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return name, fmt.Errorf("messageExpiry %q is not a number of seconds", text)
		}
		in["messageExpiry"] = seconds
	}
	var properties []map[string]string
	for i := range a.keys {
		k, err := d.text(ctx, a.keys[i])
		if err != nil {
			return name, err
		}
		v, err := d.text(ctx, a.values[i])
		if err != nil {
			return name, err
		}
		properties = append(properties, map[string]string{k: v})
	}
	if properties != nil {
		b, err := json.Marshal(properties)
		if err != nil {
			return name, err
		}
		in["userProperties"] = base64.StdEncoding.EncodeToString(b)
	}
	return name, d.call(ctx, a.roleARN, "iotdataplane", "Publish", in)
}
