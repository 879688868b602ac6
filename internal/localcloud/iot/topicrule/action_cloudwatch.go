package topicrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// metricAction puts one value of a metric.
type metricAction struct {
	roled
	namespace, name, value, unit, timestamp *rulesql.Template
}

func makeMetric(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		Namespace string `json:"metricNamespace"`
		Name      string `json:"metricName"`
		Value     string `json:"metricValue"`
		Unit      string `json:"metricUnit"`
		Timestamp string `json:"metricTimestamp"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &metricAction{roled: roled{p.RoleARN}}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!metricNamespace", p.Namespace, &a.namespace,
		"!metricName", p.Name, &a.name,
		"!metricValue", p.Value, &a.value, "!metricUnit", p.Unit, &a.unit, "metricTimestamp", p.Timestamp,
		&a.timestamp))
}

func (a *metricAction) kind() string { return "CloudwatchMetric" }

func (a *metricAction) run(ctx context.Context, d *delivery) (string, error) {
	var text [5]string
	for i, t := range []*rulesql.Template{a.name, a.namespace, a.value, a.unit, a.timestamp} {
		var err error
		if text[i], err = d.text(ctx, t); err != nil {
			return a.name.Source(), err
		}
	}
	value, err := strconv.ParseFloat(text[2], 64)
	if err != nil {
		return text[0], fmt.Errorf("metricValue %q is not a number", text[2])
	}
	at := float64(d.s.Scheduler.Now().Unix())
	if text[4] != "" {
		if at, err = strconv.ParseFloat(text[4], 64); err != nil {
			return text[0], fmt.Errorf("metricTimestamp %q is not a number of seconds", text[4])
		}
	}
	return text[0], d.call(ctx, a.roleARN, "cloudwatch", "PutMetricData", map[string]any{
		"Namespace":  text[1],
		"MetricData": []map[string]any{{"MetricName": text[0], "Value": value, "Unit": text[3], "Timestamp": at}},
	})
}
