package asl

import (
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
	list, pairs, f := r.items(s)
	if f != nil {
		return f
	}
	b.Pairs = pairs
	return r.mapStart(s, list, len(list))
}

// items evaluates what a Map state iterates over; pairs are the members of an object, which only a distributed one
// takes.
func (r *Run) items(s *scope) (list []any, pairs bool, f *Failure) {
	st := s.state
	items := s.input
	if st.JSONata && st.items == nil {
		items = s.branch.Input.Value()
	}
	switch {
	case st.items != nil:
		v, f := st.items.eval(s)
		if f != nil {
			return nil, false, f
		}
		items = v
		if _, ok := v.([]any); !ok {
			if e, isExpression := st.items.(exprNode); isExpression {
				if _, isObject := v.(*document.Object); !isObject || !st.distributed {
					return nil, false, e.wrongType(s, "array", v)
				}
			}
		}
	case st.itemsPath != nil:
		v, err := s.resolve(st.itemsPath.path)
		if err != nil {
			return nil, false, s.runtime("Invalid path '%s' : %s", st.itemsPath.path.Source, err.Error())
		}
		items = v
		if _, ok := v.([]any); ok {
			r.trace("afterItemsPath", items)
		}
	}
	if o, ok := items.(*document.Object); ok && st.distributed && (st.items != nil || !st.JSONata) {
		for _, m := range o.Members() {
			list = append(list, document.NewObject(document.Member{Name: "Key", Value: m.Name},
				document.Member{Name: "Value", Value: m.Value}))
		}
		return list, true, nil
	}
	list, ok := items.([]any)
	if !ok {
		if st.JSONata {
			return nil, false, s.evaluation("", "Map state input must be an array but was: %s", document.Text(items))
		}
		if st.itemsPath != nil {
			return nil, false, s.runtime("Reference path \"%s\" must point to array.",
				pathSource(st.itemsPath.path.Source))
		}
		return nil, false, s.runtime("Map state input must be an array but was: %s", document.Text(items))
	}
	return list, false, nil
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
	i, ok := wholeNumber(v, n.path != nil)
	if !ok {
		if e, isExpression := n.node.(exprNode); isExpression {
			if _, isNumber := document.Number(v); isNumber {
				return 0, e.wrongType(s, "integer", v)
			}
			return 0, e.wrongType(s, "number", v)
		}
		return 0, s.runtime("The %sPath field refers to value \"%s\" which is not a valid integer: %s", n.name,
			plain(v), n.path.Source)
	}
	if i < 0 && n.name == "MaxConcurrency" {
		return 0, s.runtime("Expected non-negative integer for MaxConcurrency, got '%d' instead.", i)
	}
	return int(min(i, math.MaxInt32)), nil
}

// wholeNumber is the integer that a value is; what a path refers to may be the text of one.
func wholeNumber(v any, text bool) (int64, bool) {
	if s, ok := v.(string); ok && text {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return document.Integer(v)
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
	b.Sizes = nil
	if st.batcher != nil {
		var f *Failure
		if list, b.Sizes, f = r.batches(s, list); f != nil {
			return f
		}
	}
	b.Phase = Inside
	b.Items = largeData(list)
	b.Length = len(list)
	b.Results = make([]*Data, len(list))
	b.Kids, b.Done, b.NextItem, b.ItemsDone, b.ItemsLost = nil, 0, 0, 0, 0
	if st.distributed {
		if f := r.tolerance(s, items); f != nil {
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
	for len(b.Kids) < b.Limit && len(b.Again) > 0 {
		lost := b.Again[0]
		b.Again = b.Again[1:]
		r.childAgain(b, lost)
	}
	for len(b.Kids) < b.Limit && b.NextItem < b.Length {
		if f := r.iteration(b, cursor); f != nil {
			return f
		}
	}
	return nil
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
	s.item = b.mapItem(i, item)
	if st.distributed && st.batcher == nil {
		s.item.source = b.source(i)
	}
	if f := s.narrowUntraced(); f != nil {
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
	if f := s.limited(input); f != nil {
		return f
	}
	if st.distributed {
		r.snapshot.Attempts++
		r.child(b, &Branch{Index: i, Attempt: r.snapshot.Attempts, Input: input})
		return nil
	}
	k := &Branch{ID: b.ID + "/" + strconv.Itoa(i), Index: i, Item: ValueData(item), State: st.processor.StartAt,
		Input:  input,
		Cursor: cursor, parent: b, flow: st.processor}
	b.Kids = append(b.Kids, k)
	r.emit(k, Event{Type: "MapIterationStarted", Name: st.Name, Index: i})
	r.queue = append(r.queue, k)
	return nil
}

func (s *scope) narrowUntraced() *Failure {
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
	if b.Phase != Apart {
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
		r.collect(p)
		return
	}
	p.before = p.Cursor
	r.append(p, p.Cursor, Event{Type: "MapStateSucceeded"})
	r.collect(p)
}
