package cloudwatch

import (
	"math"
	"slices"
	"sort"
)

// maxValues bounds the different values that a bucket keeps.
const maxValues = 400

// bucket is what happened to a metric in one span of time.
type bucket struct {
	Count, Sum, Min, Max float64
	// Opaque counts the samples whose values are not known, because they
	// came as statistics.
	Opaque float64 `json:",omitempty"`
	// Coarse is set once there were more than maxValues values: they are
	// rounded then, and may lie a little beyond Min and Max.
	Coarse bool `json:",omitempty"`
	// Values are sorted and differ; Counts go with them.
	Values []float64 `json:",omitempty"`
	Counts []float64 `json:",omitempty"`
}

// sample is a bucket of one value that occurred count times.
func sample(value, count float64) bucket {
	return bucket{Count: count, Sum: value * count, Min: value, Max: value, Values: []float64{value},
		Counts: []float64{count}}
}

// merge adds what o holds.
func (b *bucket) merge(o bucket) {
	if o.Count == 0 {
		return
	}
	if b.Count == 0 {
		b.Min, b.Max = o.Min, o.Max
	}
	b.Count += o.Count
	b.Sum += o.Sum
	b.Min, b.Max = min(b.Min, o.Min), max(b.Max, o.Max)
	b.Opaque += o.Opaque
	if o.Coarse {
		b.coarsen()
	}
	if len(o.Values) == 1 {
		b.insert(o.Values[0], o.Counts[0])
	} else if len(o.Values) > 1 {
		b.add(o.Values, o.Counts)
	}
	if len(b.Values) > maxValues {
		b.coarsen()
	}
}

// insert adds one value to the histogram.
func (b *bucket) insert(v, n float64) {
	if b.Coarse {
		v = round(v)
	}
	i, ok := slices.BinarySearch(b.Values, v)
	if ok {
		b.Counts[i] += n
		return
	}
	b.Values = slices.Insert(b.Values, i, v)
	b.Counts = slices.Insert(b.Counts, i, n)
}

// coarsen rounds the values, those to come included.
func (b *bucket) coarsen() {
	if b.Coarse {
		return
	}
	b.Coarse = true
	values, counts := b.Values, b.Counts
	b.Values, b.Counts = nil, nil
	b.add(values, counts)
}

// add joins a histogram to b's.
func (b *bucket) add(values, counts []float64) {
	at := make(map[float64]float64, len(b.Values)+len(values))
	for i, v := range b.Values {
		at[v] += b.Counts[i]
	}
	for i, v := range values {
		if b.Coarse {
			v = round(v)
		}
		at[v] += counts[i]
	}
	b.Values = make([]float64, 0, len(at))
	for v := range at {
		b.Values = append(b.Values, v)
	}
	sort.Float64s(b.Values)
	b.Counts = make([]float64, len(b.Values))
	for i, v := range b.Values {
		b.Counts[i] = at[v]
	}
}

// round gives the middle of the class of values that v falls into. Classes are
// 1 % wide, so that a span of six decades has some 1,400 of them at most.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	step := math.Log(1.01)
	return math.Copysign(math.Exp(math.Round(math.Log(math.Abs(v))/step)*step), v)
}
