package cloudwatch

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

type putMetricDataIn struct {
	Namespace        string             `json:"Namespace" api:"min=1,max=255,pattern=metric namespace"`
	MetricData       []datum            `json:"MetricData,omitempty"`
	EntityMetricData []entityMetricData `json:"EntityMetricData,omitempty"`
	Strict           bool               `json:"StrictEntityValidation,omitempty"`
}

type entityMetricData struct {
	Entity     map[string]any `json:"Entity,omitempty"`
	MetricData []datum        `json:"MetricData,omitempty"`
}

type datum struct {
	MetricName        string          `json:"MetricName" api:"min=1,max=255"`
	Dimensions        []Dimension     `json:"Dimensions,omitempty" api:"max=30"`
	Timestamp         *awsapi.Time    `json:"Timestamp,omitempty"`
	Value             *awsapi.Double  `json:"Value,omitempty"`
	StatisticValues   *statisticSet   `json:"StatisticValues,omitempty"`
	Values            []awsapi.Double `json:"Values,omitempty"`
	Counts            []awsapi.Double `json:"Counts,omitempty"`
	Unit              string          `json:"Unit,omitempty"`
	StorageResolution *int64          `json:"StorageResolution,omitempty" api:"min=1"`
}

type statisticSet struct {
	SampleCount awsapi.Double `json:"SampleCount"`
	Sum         awsapi.Double `json:"Sum"`
	Minimum     awsapi.Double `json:"Minimum"`
	Maximum     awsapi.Double `json:"Maximum"`
}

var units = strings.Fields(`Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits
	Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second
	Megabits/Second Gigabits/Second Terabits/Second Count/Second None`)

// Limits of PutMetricData.
const (
	maxData       = 1000
	maxDatumSize  = 150 // different values
	maxDimensions = 30
	dataPast      = 14 * 86400 // seconds
	dataFuture    = 2 * 3600
)

// biggest is the greatest magnitude that CloudWatch takes: 2^360.
var biggest = math.Ldexp(1, 360)

func finite[F ~float64](v F) bool { return !math.IsNaN(float64(v)) && math.Abs(float64(v)) <= biggest }

func (s *Service) putMetricData(_ context.Context, _ *awsapi.Call, in *putMetricDataIn) (*nothing, error) {
	if in.Namespace == "" {
		return nil, errMissing("Namespace")
	}
	if strings.HasPrefix(in.Namespace, "AWS/") {
		return nil, errValue("The value AWS/ for parameter Namespace is invalid.")
	}
	if len(in.Namespace) > 255 || in.Namespace[0] == ':' {
		return nil, errValue("The parameter Namespace must be 1 to 255 characters and not begin with a colon.")
	}
	if len(in.EntityMetricData) > 0 {
		return nil, awsapi.NotBuilt("PutMetricData with EntityMetricData")
	}
	if len(in.MetricData) == 0 {
		return nil, errMissing("MetricData")
	}
	if len(in.MetricData) > maxData {
		return nil, errValue("The collection MetricData must not have a size greater than %d.", maxData)
	}
	batch := map[slot]*bucket{}
	now := s.Scheduler.Now().Unix()
	for i, d := range in.MetricData {
		k, b, err := d.read(now)
		if err != nil {
			return nil, errAt(err, i)
		}
		k.Namespace = in.Namespace
		if batch[k] == nil {
			batch[k] = &bucket{}
		}
		batch[k].merge(b)
	}
	return &nothing{}, s.write(batch)
}

// errAt puts the datum's number into the message, as AWS counts them.
func errAt(e *awsapi.Error, i int) error {
	c := *e
	c.Message = strings.ReplaceAll(c.Message, "MetricData.member.N", "MetricData.member."+itoa(i+1))
	return &c
}

func checkDimensions(where string, d []Dimension) *awsapi.Error {
	if len(d) > maxDimensions {
		return errValue("The collection %s must not have a size greater than %d.", where, maxDimensions)
	}
	seen := map[string]bool{}
	for _, x := range d {
		switch {
		case strings.TrimSpace(x.Name) == "" || len(x.Name) > 255 || !ascii(x.Name) || x.Name[0] == ':':
			return errValue("The parameter %s.Name must be 1 to 255 ASCII characters, not blank, and not begin "+
				"with a colon.", where)
		case strings.TrimSpace(x.Value) == "" || len(x.Value) > 1024 || !ascii(x.Value):
			return errValue("The parameter %s.Value must be 1 to 1024 ASCII characters and not blank.", where)
		case seen[x.Name]:
			return errValue("The dimension %s stands twice in %s.", x.Name, where)
		}
		seen[x.Name] = true
	}
	return nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 || r < 32 })
}

// read checks a datum and finds its place.
func (d datum) read(now int64) (slot, bucket, *awsapi.Error) {
	const where = "MetricData.member.N"
	if d.MetricName == "" {
		return slot{}, bucket{}, errMissing(where + ".MetricName")
	}
	if len(d.MetricName) > 255 {
		return slot{}, bucket{}, errValue("The parameter %s.MetricName must be at most 255 characters.", where)
	}
	if err := checkDimensions(where+".Dimensions", d.Dimensions); err != nil {
		return slot{}, bucket{}, err
	}
	unit := d.Unit
	if unit == "" {
		unit = "None"
	}
	if !slices.Contains(units, unit) {
		return slot{}, bucket{}, errValue("The parameter %s.Unit must be a value in the set [ %s ].", where,
			strings.Join(units, ", "))
	}
	width := int64(60)
	if r := d.StorageResolution; r != nil && *r != 60 {
		if *r != 1 {
			return slot{}, bucket{}, errValue("The parameter %s.StorageResolution must be 1 or 60.", where)
		}
		width = 1
	}
	at := now
	if d.Timestamp != nil {
		at = d.Timestamp.Unix()
		if at < now-dataPast || at > now+dataFuture {
			return slot{}, bucket{}, errValue(
				"The parameter %s.Timestamp must specify a time no more than two weeks in the past and no more "+
					"than two hours in the future.", where)
		}
	}
	k := slot{metricID{"", d.MetricName, dimensionKey(d.Dimensions)}, at - at%width, width, unit}
	b, err := d.bucket(where)
	return k, b, err
}

func (d datum) bucket(where string) (bucket, *awsapi.Error) {
	given := 0
	for _, g := range []bool{d.Value != nil, d.StatisticValues != nil, d.Values != nil} {
		if g {
			given++
		}
	}
	switch {
	case given == 0:
		return bucket{}, errMissing(where + ".Value")
	case given > 1:
		return bucket{}, errCombination(
			"The parameters %s.Value, %s.Values and %s.StatisticValues are mutually exclusive and you have "+
				"specified more than one.", where, where, where)
	case d.Counts != nil && d.Values == nil:
		return bucket{}, errCombination("The parameter %s.Counts needs %s.Values.", where, where)
	case d.Value != nil:
		if !finite(*d.Value) {
			return bucket{}, errNumber(where+".Value", *d.Value)
		}
		return sample(float64(*d.Value), 1), nil
	case d.StatisticValues != nil:
		v := *d.StatisticValues
		for _, x := range []awsapi.Double{v.SampleCount, v.Sum, v.Minimum, v.Maximum} {
			if !finite(x) {
				return bucket{}, errNumber(where+".StatisticValues", x)
			}
		}
		if v.SampleCount <= 0 {
			return bucket{}, errValue("The parameter %s.StatisticValues.SampleCount must be greater than 0.", where)
		}
		if v.Minimum > v.Maximum {
			return bucket{}, errValue(
				"The parameter %s.StatisticValues.Maximum must be greater than or equal to Minimum.", where)
		}
		b := bucket{Count: float64(v.SampleCount), Sum: float64(v.Sum), Min: float64(v.Minimum),
			Max: float64(v.Maximum)}
		if v.Minimum == v.Maximum {
			b.Values, b.Counts = []float64{b.Min}, []float64{b.Count}
		} else if v.SampleCount == 1 {
			// A set of one sample keeps its percentiles.
			b.Values, b.Counts = []float64{b.Sum}, []float64{1}
		} else {
			b.Opaque = b.Count
		}
		return b, nil
	}
	if len(d.Values) == 0 {
		return bucket{}, errMissing(where + ".Values")
	}
	if len(d.Values) > maxDatumSize {
		return bucket{}, errValue("The collection %s.Values must not have a size greater than %d.", where,
			maxDatumSize)
	}
	if d.Counts != nil && len(d.Counts) != len(d.Values) {
		return bucket{}, errValue("The parameters %s.Values and %s.Counts must be of the same size.", where, where)
	}
	var b bucket
	for i, v := range d.Values {
		n := awsapi.Double(1)
		if d.Counts != nil {
			n = d.Counts[i]
		}
		if !finite(v) {
			return bucket{}, errNumber(where+".Values", v)
		}
		if !finite(n) || n < 0 {
			return bucket{}, errNumber(where+".Counts", n)
		}
		if n > 0 {
			b.merge(sample(float64(v), float64(n)))
		}
	}
	return b, nil
}

func errNumber(where string, v awsapi.Double) *awsapi.Error {
	return errValue("The value %s for parameter %s is invalid.", numeral(float64(v)), where)
}

// numeral is a number as AWS's messages have it: Java's, with its thousands apart.
func numeral(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "-∞"
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	whole, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	start := strings.Index(text, whole)
	for i := start + len(whole) - 3; i > start; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
