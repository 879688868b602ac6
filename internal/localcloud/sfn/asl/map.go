package asl

import (
	"fmt"
	"math"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// inlineConcurrency is how many iterations of an inline Map run at once.
const inlineConcurrency = 40

// mapBegin begins a Map state.
func (r *Run) mapBegin(s *scope) *Failure {
	st, b := s.state, s.branch
	if f := s.narrow(); f != nil {
		return f
	}
	limit, f := s.integer(st.maxConcurrency)
	if f != nil {
		return f
	}
	b.Limit = limit
	if st.reader != nil {
		return r.mapReadBegin(s)
	}
	list, f := r.items(s)
	if f != nil {
		return f
	}
	return r.mapStart(s, list, len(list))
}

// items evaluates what a Map state iterates over.
func (r *Run) items(s *scope) ([]any, *Failure) {
	st := s.state
	items := s.input
	if st.JSONata && st.items == nil {
		items = s.branch.Input.Value()
	}
	switch {
	case st.items != nil:
		v, f := st.items.eval(s)
		if f != nil {
			return nil, f
		}
		items = v
		if _, ok := v.([]any); !ok {
			if e, isExpression := st.items.(exprNode); isExpression {
				if _, isObject := v.(*document.Object); !isObject || !st.distributed {
					return nil, e.wrongType(s, "array", v)
				}
			}
		}
	case st.itemsPath != nil:
		v, err := s.resolve(st.itemsPath.path)
		if err != nil {
			return nil, s.runtime("Invalid path '%s' : %s", st.itemsPath.path.Source, err.Error())
		}
		items = v
		if _, ok := v.([]any); ok {
			r.trace("afterItemsPath", items)
		}
	}
	if o, ok := items.(*document.Object); ok && st.distributed && st.items != nil {
		var list []any
		for _, m := range o.Members() {
			list = append(list, document.NewObject(document.Member{Name: "Key", Value: m.Name}, document.Member{Name: "Value", Value: m.Value}))
		}
		items = list
	}
	list, ok := items.([]any)
	if !ok {
		if st.JSONata {
			return nil, s.evaluation("", "Map state input must be an array but was: %s", document.Text(items))
		}
		if st.itemsPath != nil {
			return nil, s.runtime("Reference path \"%s\" must point to array.", pathSource(st.itemsPath.path.Source))
		}
		return nil, s.runtime("Map state input must be an array but was: %s", document.Text(items))
	}
	return list, nil
}

// integer evaluates MaxConcurrency and its like; 0 if it is not there.
func (s *scope) integer(n numberField) (int, *Failure) {
	if !n.set {
		return 0, nil
	}
	v, f := n.value(s)
	if f != nil {
		return 0, f
	}
	i, ok := document.Integer(v)
	if !ok {
		if text, isText := v.(string); isText && n.path != nil {
			if parsed, err := strconv.Atoi(text); err == nil {
				i, ok = int64(parsed), true
			}
		}
	}
	if !ok {
		if e, isExpression := n.node.(exprNode); isExpression {
			return 0, e.wrongType(s, "number", v)
		}
		return 0, s.runtime("The %sPath field refers to value \"%s\" which is not a valid integer: %s", n.name, plain(v), n.path.Source)
	}
	if i < 0 && n.name == "MaxConcurrency" {
		return 0, s.runtime("Expected non-negative integer for MaxConcurrency, got '%d' instead.", i)
	}
	return int(min(i, math.MaxInt32)), nil
}

// mapStart begins the iterations.
func (r *Run) mapStart(s *scope, list []any, length int) *Failure {
	st, b := s.state, s.branch
	r.emit(b, Event{Type: "MapStateStarted", Length: length})
	if st.distributed {
		if f := r.mapRunBegin(s); f != nil {
			return f
		}
	}
	return r.iterate(s, list)
}

// iterate runs the processor on the items.
func (r *Run) iterate(s *scope, list []any) *Failure {
	st, b := s.state, s.branch
	items := len(list)
	if st.batcher != nil {
		var f *Failure
		if list, f = r.batches(s, list); f != nil {
			return f
		}
	}
	b.Phase = Inside
	b.ItemCount = items
	b.Items = ValueData(list)
	b.Length = len(list)
	b.Results = make([]*Data, len(list))
	b.Kids, b.Done, b.NextItem, b.Failures = nil, 0, 0, 0
	if st.distributed {
		if f := r.tolerance(s, len(list)); f != nil {
			return f
		}
	}
	if len(list) == 0 {
		r.mapDone(b)
		return nil
	}
	limit := b.Limit
	if most := inlineConcurrency; !st.distributed && (limit == 0 || limit > most) {
		limit = most
	} else if limit == 0 {
		limit = distributedConcurrency
	}
	b.Limit = limit
	return r.fill(b, b.Cursor)
}

// fill begins iterations as far as the concurrency allows; cursor is the event
// that they follow.
func (r *Run) fill(b *Branch, cursor int64) *Failure {
	for len(b.Kids) < b.Limit && b.NextItem < b.Length {
		if f := r.iteration(b, cursor); f != nil {
			return f
		}
	}
	return nil
}

// MapRun is what can be told of a Map Run.
type MapRun struct {
	ARN       string
	Status    string
	Entered   int64 // event of the Map state's entry
	Items     int
	Children  int
	Running   int
	Succeeded int
	Failed    int
	Limit     int
	Count     int
	Share     float64
}

// MapRunOf describes the Map Run that a branch is running, if it is.
func MapRunOf(b *Branch) (MapRun, bool) {
	if b.MapRun == "" {
		return MapRun{}, false
	}
	m := MapRun{ARN: b.MapRun, Status: Running, Entered: b.Entered, Items: b.ItemCount, Children: b.Length, Running: len(b.Kids),
		Succeeded: b.Done - b.Failures, Failed: b.Failures, Limit: b.Limit, Count: b.Count, Share: b.Share}
	return m, true
}

// mapRunEnd notes the end of a branch's Map Run.
func (r *Run) mapRunEnd(b *Branch, status string) {
	if m, ok := MapRunOf(b); ok {
		m.Status = status
		r.MapRuns = append(r.MapRuns, m)
		b.MapRun = ""
	}
}

// UpdateMapRun changes the limits of a Map Run; nil leaves one as it is.
func (r *Run) UpdateMapRun(arn string, limit, count *int, share *float64) error {
	var found *Branch
	r.Branches(func(b *Branch) {
		if b.MapRun == arn {
			found = b
		}
	})
	if found == nil || r.Status != Running {
		return ErrClosed
	}
	b := found
	if limit != nil {
		if b.Limit = *limit; b.Limit == 0 {
			b.Limit = distributedConcurrency
		}
	}
	if count != nil {
		b.Count = *count
	}
	if share != nil {
		b.Share = *share
	}
	if count != nil || share != nil {
		b.Tolerated = tolerated(b.Count, count != nil || b.Count > 0, b.Share, b.ItemCount)
	}
	if b.Phase == Inside {
		if f := r.fill(b, b.Cursor); f != nil {
			r.fail(b, f)
		}
	}
	r.advance()
	return nil
}

// tolerated is how many failures a count and a percentage allow together.
func tolerated(count int, hasCount bool, share float64, items int) float64 {
	if !hasCount {
		return math.Floor(share / 100 * float64(items))
	}
	if share > 0 {
		return min(float64(count), math.Floor(share/100*float64(items)))
	}
	return float64(count)
}

const distributedConcurrency = 10000

// iteration begins the next item; cursor is the event it follows.
func (r *Run) iteration(b *Branch, cursor int64) *Failure {
	st := b.state()
	list, _ := b.Items.Value().([]any)
	i := b.NextItem
	b.NextItem++
	item := list[i]
	s := r.scope(b)
	s.item = &mapItem{index: i, value: item}
	if f := s.narrowQuietly(); f != nil {
		return f
	}
	input := ValueData(item)
	if st.itemSelector != nil && st.batcher == nil {
		var f *Failure
		if input, f = s.data(st.itemSelector); f != nil {
			return f
		}
		r.traceData("afterItemSelector", input)
	}
	k := &Branch{ID: b.ID + "/" + strconv.Itoa(i), Index: i, Item: ValueData(item), State: st.processor.StartAt, Input: input,
		Cursor: cursor, parent: b, flow: st.processor, Standalone: st.distributed}
	b.Kids = append(b.Kids, k)
	if !st.distributed {
		r.emit(k, Event{Type: "MapIterationStarted", Name: st.Name, Index: i})
	}
	r.queue = append(r.queue, k)
	return nil
}

func (s *scope) narrowQuietly() *Failure {
	trace := s.run.Trace
	s.run.Trace = nil
	f := s.narrow()
	s.run.Trace = trace
	return f
}

// iterated takes the end of an iteration.
func (r *Run) iterated(p, b *Branch) {
	for i, k := range p.Kids {
		if k == b {
			p.Kids = append(p.Kids[:i:i], p.Kids[i+1:]...)
			break
		}
	}
	id := p.Cursor
	if !b.Standalone {
		id = r.append(b, b.Cursor, Event{Type: "MapIterationSucceeded", Name: p.State, Index: b.Index})
	}
	if f := r.fill(p, b.Cursor); f != nil {
		p.Cursor, p.before = id, id
		r.drop(p)
		r.fail(p, f)
		return
	}
	if p.Done < p.Length {
		return
	}
	p.Cursor = id
	r.mapDone(p)
}

func (r *Run) mapDone(p *Branch) {
	st := p.state()
	if st.writer != nil {
		r.mapWrite(p)
		return
	}
	if st.distributed {
		// The exit points to the event before the end of the Map Run, the
		// state's success to that end.
		r.mapRunSucceeded(p)
		var results []*Data
		for _, d := range p.Results {
			if d != nil {
				results = append(results, d)
			}
		}
		p.Results = results
		r.collect(p)
		return
	}
	p.before = p.Cursor
	r.append(p, p.Cursor, Event{Type: "MapStateSucceeded"})
	r.collect(p)
}

// mapRunBegin opens the Map Run of a distributed Map.
func (r *Run) mapRunBegin(s *scope) *Failure {
	st, b := s.state, s.branch
	if st.toleratedShare.set {
		if _, f := s.share(st.toleratedShare); f != nil {
			return f
		}
	}
	if st.toleratedCount.set {
		n, f := s.integer(st.toleratedCount)
		if f != nil {
			return f
		}
		if n < 0 {
			return s.runtime("ToleratedFailureCount cannot be negative.")
		}
	}
	label := st.label
	if label == "" {
		label = r.host.UUID()
	}
	b.MapRun = fmt.Sprintf("arn:aws:states:%s:%s:mapRun:%s/%s:%s", r.Info.Region, r.Info.Account, r.Info.MachineName, label, r.host.UUID())
	r.emit(b, Event{Type: "MapRunStarted", MapRunARN: b.MapRun})
	return nil
}

func (s *scope) share(n numberField) (float64, *Failure) {
	v, f := n.value(s)
	if f != nil {
		return 0, f
	}
	p, ok := document.Number(v)
	if !ok {
		if text, isText := v.(string); isText && n.path != nil {
			if parsed, err := strconv.ParseFloat(text, 64); err == nil {
				p, ok = parsed, true
			}
		}
	}
	if !ok {
		if e, isExpression := n.node.(exprNode); isExpression {
			return 0, e.wrongType(s, "number", v)
		}
		return 0, s.runtime("The %sPath field refers to value \"%s\" which is not a valid float: %s", n.name, plain(v), n.path.Source)
	}
	if p < 0 || p > 100 {
		return 0, s.runtime("%s must be between 0 and 100.", n.name)
	}
	return p, nil
}

// tolerance computes how many children may fail.
func (r *Run) tolerance(s *scope, items int) *Failure {
	st, b := s.state, s.branch
	b.Tolerated = 0
	if st.toleratedShare.set {
		p, f := s.share(st.toleratedShare)
		if f != nil {
			return f
		}
		b.Share = p
		b.Tolerated = math.Floor(p / 100 * float64(items))
	}
	if st.toleratedCount.set {
		n, f := s.integer(st.toleratedCount)
		if f != nil {
			return f
		}
		b.Count = n
		if !st.toleratedShare.set || float64(n) < b.Tolerated {
			b.Tolerated = float64(n)
		}
	}
	return nil
}

// childFailed takes the failure of a child of a distributed Map.
func (r *Run) childFailed(p, k *Branch, f *Failure) {
	p.Failures++
	p.Lost = append(p.Lost, LostItem{k.Index, f.Error, f.Cause})
	if float64(p.Failures) <= p.Tolerated {
		p.Done++
		r.iterated(p, k)
		return
	}
	r.drop(p)
	outer := &Failure{Error: ptr(errTolerance), Cause: ptr("The specified tolerated failure threshold was exceeded")}
	r.emit(p, Event{Type: "MapRunFailed", Error: outer.Error, Cause: outer.Cause})
	p.before = p.Cursor
	r.fail(p, outer)
}

// mapRunSucceeded ends a Map Run and its state well.
func (r *Run) mapRunSucceeded(p *Branch) {
	r.mapRunEnd(p, Succeeded)
	started := p.Cursor
	id := r.emit(p, Event{Type: "MapRunSucceeded"})
	r.append(p, id, Event{Type: "MapStateSucceeded"})
	p.Cursor = started
	p.before = p.Cursor
}

// LostItem is an item whose child failed.
type LostItem struct {
	Index int     `json:"i"`
	Error *string `json:"e,omitempty"`
	Cause *string `json:"c,omitempty"`
}

// mapWrite asks for the export of a Map Run's results. The call's input has the
// ResultWriter's parameters and, of each child, its input and what it came to.
func (r *Run) mapWrite(p *Branch) {
	st := p.state()
	s := r.scope(p)
	f := s.narrowQuietly()
	var parameters any = &document.Object{}
	if f == nil && st.writer.parameters != nil {
		parameters, f = st.writer.parameters.eval(s)
	}
	if f != nil {
		r.fail(p, f)
		return
	}
	lost := map[int]LostItem{}
	for _, l := range p.Lost {
		lost[l.Index] = l
	}
	list, _ := p.Items.Value().([]any)
	children := make([]any, len(list))
	for i, item := range list {
		c := document.NewObject(document.Member{Name: "Input", Value: item})
		if l, failed := lost[i]; failed {
			c.Set("Status", Failed)
			e := (&Failure{Error: l.Error, Cause: l.Cause}).output()
			for _, m := range e.Members() {
				c.Set(m.Name, m.Value)
			}
		} else {
			c.Set("Status", Succeeded)
			if p.Results[i] != nil {
				c.Set("Output", p.Results[i].Value())
			}
		}
		children[i] = c
	}
	r.snapshot.Attempts++
	p.Attempt, p.Phase = r.snapshot.Attempts, Writing
	p.Arguments = ValueData(document.NewObject(document.Member{Name: "Parameters", Value: parameters},
		document.Member{Name: "MapRunArn", Value: p.MapRun}, document.Member{Name: "Children", Value: children}))
	r.Calls = append(r.Calls, r.callOf(p))
}

// mapWritten takes the end of the export; its output is the state's result.
func (r *Run) mapWritten(p *Branch, res Result) {
	if res.Failed {
		f := &Failure{Error: ptr("States.ResultWriterFailed"), Cause: res.Cause}
		r.emit(p, Event{Type: "MapRunFailed", Error: f.Error, Cause: f.Cause})
		p.before = p.Cursor
		r.fail(p, f)
		return
	}
	r.mapRunSucceeded(p)
	r.leave(p)
	r.succeed(p, res.Output)
}
