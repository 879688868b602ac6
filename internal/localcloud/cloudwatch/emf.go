package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of the embedded metric format.
const (
	maxEMF       = 1 << 20 // bytes
	maxDirective = 100     // metrics in a directive, and values of a metric
)

// errEMF is a document that is JSON but not as the format asks.
var errEMF = errors.New("not in the embedded metric format")

// emfDocument is the part of a document that is not looked up by name.
type emfDocument struct {
	AWS *struct {
		Timestamp         *int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct {
				Name              string
				Unit              string
				StorageResolution *int64
			}
		}
	} `json:"_aws"`
}

// PutEMF takes the metrics out of a log event in the embedded metric format.
// What is wrong with a document is counted in AWS/Logs (EMFParsingErrors for
// text that is no JSON, EMFValidationErrors for the rest), and the directives
// that are right are kept.
func (s *Service) PutEMF(_ context.Context, document []byte) {
	data, err := parseEMF(document, s.Scheduler.Now())
	for _, d := range data {
		s.gather(d.slot, d.bucket)
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil:
	case errors.As(err, &syntax):
		s.Add("AWS/Logs", "EMFParsingErrors", "Count", 1, nil)
	default:
		s.Add("AWS/Logs", "EMFValidationErrors", "Count", 1, nil)
	}
}

type emfDatum struct {
	slot
	bucket
}

// parseEMF finds the data of a document. With an error it returns what is
// right nonetheless.
func parseEMF(document []byte, now time.Time) ([]emfDatum, error) {
	if len(document) > maxEMF {
		return nil, fmt.Errorf("%w: longer than %d bytes", errEMF, maxEMF)
	}
	var root map[string]json.RawMessage
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	// Member names count with their case here, so _aws is read from root.
	if root["_aws"] == nil {
		return nil, nil // it has the word somewhere else
	}
	var doc emfDocument
	if err := json.Unmarshal(root["_aws"], &doc.AWS); err != nil {
		return nil, fmt.Errorf("%w: _aws: %w", errEMF, err)
	}
	if doc.AWS == nil || doc.AWS.Timestamp == nil || doc.AWS.CloudWatchMetrics == nil {
		return nil, fmt.Errorf("%w: _aws needs Timestamp and CloudWatchMetrics", errEMF)
	}
	at := *doc.AWS.Timestamp / 1000
	if at < now.Unix()-dataPast || at > now.Unix()+dataFuture {
		return nil, fmt.Errorf("%w: the time is more than two weeks ago or two hours ahead", errEMF)
	}
	var out []emfDatum
	var failed error
	fail := func(format string, args ...any) {
		if failed == nil {
			failed = fmt.Errorf("%w: "+format, append([]any{errEMF}, args...)...)
		}
	}
	for _, d := range doc.AWS.CloudWatchMetrics {
		switch {
		case d.Namespace == "" || len(d.Namespace) > 1024 || strings.HasPrefix(d.Namespace, "AWS/"):
			fail("namespace %q", d.Namespace)
			continue
		case len(d.Metrics) > maxDirective:
			fail("more than %d metrics", maxDirective)
			continue
		case len(d.Dimensions) == 0:
			fail("no dimension set")
			continue
		}
		var sets []string
		for _, names := range d.Dimensions {
			set, err := dimensionSet(root, names)
			if err != nil {
				fail("%v", err)
				continue
			}
			sets = append(sets, dimensionKey(set))
		}
		for _, m := range d.Metrics {
			unit, width := m.Unit, int64(60)
			if unit == "" {
				unit = "None"
			}
			if m.StorageResolution != nil && *m.StorageResolution == 1 {
				width = 1
			}
			if m.Name == "" || len(m.Name) > 1024 || !slices.Contains(units, unit) || m.StorageResolution != nil &&
				*m.StorageResolution != 1 && *m.StorageResolution != 60 {
				fail("metric %q, unit %q", m.Name, m.Unit)
				continue
			}
			b, err := emfValues(root[m.Name])
			if err != nil {
				fail("metric %q: %v", m.Name, err)
				continue
			}
			for _, dims := range sets {
				out = append(out, emfDatum{slot{metricID{d.Namespace, m.Name, dims}, at - at%width, width, unit}, b})
			}
		}
	}
	return out, failed
}

func dimensionSet(root map[string]json.RawMessage, names []string) ([]Dimension, error) {
	if len(names) > maxDimensions {
		return nil, fmt.Errorf("more than %d dimensions", maxDimensions)
	}
	out := []Dimension{}
	for _, name := range names {
		var value *string
		if json.Unmarshal(root[name], &value) != nil || value == nil {
			return nil, fmt.Errorf("dimension %q is no string", name)
		}
		if name == "" || len(name) > 250 || *value == "" || len(*value) > 1024 {
			return nil, fmt.Errorf("dimension %q is too long or empty", name)
		}
		if slices.ContainsFunc(out, func(d Dimension) bool { return d.Name == name }) {
			return nil, fmt.Errorf("dimension %q stands twice", name)
		}
		out = append(out, Dimension{name, *value})
	}
	return out, nil
}

func emfValues(raw json.RawMessage) (bucket, error) {
	var one *float64
	if json.Unmarshal(raw, &one) == nil && one != nil {
		if !finite(*one) {
			return bucket{}, fmt.Errorf("the value %v is too big", *one)
		}
		return sample(*one, 1), nil
	}
	var many []*float64
	if err := json.Unmarshal(raw, &many); err != nil || len(many) == 0 {
		return bucket{}, errors.New("no number and no list of numbers")
	}
	if len(many) > maxDirective {
		return bucket{}, fmt.Errorf("more than %d values", maxDirective)
	}
	var b bucket
	for _, v := range many {
		if v == nil || !finite(*v) {
			return bucket{}, errors.New("a value is no number, or too big")
		}
		b.merge(sample(*v, 1))
	}
	return b, nil
}
