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

// MapRun is what can be told of a Map Run.
type MapRun struct {
	ARN      string
	Status   string
	Entered  int64 // event of the Map state's entry
	Children MapRunCounts
	Items    MapRunCounts
	Limit    int
	Count    int
	Share    float64
	Redrives int
	Writes   bool // it has a ResultWriter
}

// MapRunCounts counts the children of a Map Run, or their items.
type MapRunCounts struct {
	Total, Running, Succeeded, Failed, TimedOut, Aborted, PendingRedrive int
}

// size is how many items a child of a Map Run has.
func (b *Branch) size(child int) int {
	if child < len(b.Sizes) {
		return b.Sizes[child]
	}
	return 1
}

// itemCount is how many items a Map Run has.
func (b *Branch) itemCount() int {
	if b.Sizes == nil {
		return b.Length
	}
	n := 0
	for _, size := range b.Sizes {
		n += size
	}
	return n
}

// MapRunOf describes the Map Run that a branch is running, if it is.
func MapRunOf(b *Branch) (MapRun, bool) {
	if b.MapRun == "" {
		return MapRun{}, false
	}
	m := MapRun{ARN: b.MapRun, Status: Running, Entered: b.Entered, Limit: b.Limit, Count: b.Count, Share: b.Share, Redrives: b.Redrives,
		Writes: b.state().writer != nil}
	m.Children = MapRunCounts{Total: b.Length, Running: len(b.Kids), Succeeded: b.Done - len(b.Lost), PendingRedrive: len(b.Again)}
	m.Items = MapRunCounts{Total: b.itemCount(), Succeeded: b.ItemsDone}
	for _, k := range b.Kids {
		m.Items.Running += b.size(k.Index)
	}
	for _, l := range b.Again {
		m.Items.PendingRedrive += b.size(l.Index)
	}
	for _, l := range b.Lost {
		children, items := &m.Children.Failed, &m.Items.Failed
		switch l.Status {
		case TimedOut:
			children, items = &m.Children.TimedOut, &m.Items.TimedOut
		case Aborted:
			children, items = &m.Children.Aborted, &m.Items.Aborted
		}
		*children++
		*items += b.size(l.Index)
	}
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
		b.Count, b.HasCount = *count, true
	}
	if share != nil {
		b.Share = *share
	}
	if count != nil || share != nil {
		b.Tolerated = tolerated(b.Count, b.HasCount, b.Share, b.itemCount())
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
	if st.distributed && st.batcher == nil {
		s.item.source = b.source(i)
	}
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
	if f := s.limited(input); f != nil {
		return f
	}
	if st.distributed {
		r.snapshot.Attempts++
		r.child(b, &Branch{Index: i, Attempt: r.snapshot.Attempts, Input: input})
		return nil
	}
	k := &Branch{ID: b.ID + "/" + strconv.Itoa(i), Index: i, Item: ValueData(item), State: st.processor.StartAt, Input: input,
		Cursor: cursor, parent: b, flow: st.processor}
	b.Kids = append(b.Kids, k)
	r.emit(k, Event{Type: "MapIterationStarted", Name: st.Name, Index: i})
	r.queue = append(r.queue, k)
	return nil
}

// child asks for an execution of a Map Run.
func (r *Run) child(b, k *Branch) {
	k.ID, k.State, k.Phase = b.ID+"/"+strconv.Itoa(k.Index), b.state().processor.StartAt, Apart
	k.parent, k.flow = b, b.state().processor
	b.Kids = append(b.Kids, k)
	r.Calls = append(r.Calls, r.callOf(k))
}

// childAgain takes up a child that did not succeed before a redrive: a Standard
// one goes on, an Express one is started anew.
func (r *Run) childAgain(b *Branch, l LostItem) {
	k := &Branch{Index: l.Index, Attempt: l.Attempt, Input: l.Input, Redo: !b.state().childExpress}
	if !k.Redo {
		r.snapshot.Attempts++
		k.Attempt = r.snapshot.Attempts
	}
	r.child(b, k)
}

// childEnded takes the end of a child execution.
func (r *Run) childEnded(k *Branch, res Result) {
	p := k.parent
	size := p.size(k.Index)
	p.Done++
	if !res.Failed {
		p.Results[k.Index] = res.Output
		p.ItemsDone += size
		r.iterated(p, k)
		return
	}
	p.ItemsLost += size
	p.Lost = append(p.Lost, LostItem{Index: k.Index, Attempt: k.Attempt, Status: res.Status, Error: res.Error, Cause: res.Cause, Input: k.Input})
	if float64(p.ItemsLost) <= p.Tolerated {
		r.iterated(p, k)
		return
	}
	for i, other := range p.Kids {
		if other == k {
			p.Kids = append(p.Kids[:i:i], p.Kids[i+1:]...)
			break
		}
	}
	if !r.Machine.Express {
		r.keepAs(p, Inside)
	}
	outer := &Failure{Error: ptr(errTolerance), Cause: ptr("The specified tolerated failure threshold was exceeded"), kept: true}
	r.mapRunEnd(p, Failed)
	r.emit(p, Event{Type: "MapRunFailed", Error: outer.Error, Cause: outer.Cause})
	p.before = p.Cursor
	r.fail(p, outer)
}

// mapRedrive goes on with a Map Run: children that did not succeed are taken up
// again, those that have are kept, and those that were never started follow.
func (r *Run) mapRedrive(b *Branch) {
	b.Redrives++
	r.emit(b, Event{Type: "MapRunRedriven", MapRunARN: b.MapRun, RedriveCount: b.Redrives})
	if b.Phase == Writing {
		r.mapWrite(b)
		return
	}
	b.Again = append(b.Again, b.Lost...)
	b.Done -= len(b.Lost)
	b.Lost, b.ItemsLost = nil, 0
	for _, k := range b.Kids {
		b.Again = append(b.Again, LostItem{Index: k.Index, Attempt: k.Attempt, Input: k.Input})
	}
	b.Kids = nil
	if f := r.fill(b, b.Cursor); f != nil {
		r.fail(b, f)
	}
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

// tolerance computes how many items may fail.
func (r *Run) tolerance(s *scope, items int) *Failure {
	st, b := s.state, s.branch
	b.Count, b.HasCount, b.Share = 0, st.toleratedCount.set, 0
	if st.toleratedShare.set {
		p, f := s.share(st.toleratedShare)
		if f != nil {
			return f
		}
		b.Share = p
	}
	if st.toleratedCount.set {
		n, f := s.integer(st.toleratedCount)
		if f != nil {
			return f
		}
		b.Count = n
	}
	b.Tolerated = tolerated(b.Count, b.HasCount, b.Share, items)
	return nil
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

// LostItem is a child of a Map Run that did not succeed.
type LostItem struct {
	Index   int     `json:"i"`
	Attempt int     `json:"a"`
	Status  string  `json:"s,omitempty"`
	Error   *string `json:"e,omitempty"`
	Cause   *string `json:"c,omitempty"`
	Input   *Data   `json:"n"`
}

// mapWrite asks for the export of a Map Run's results. The call's input has the
// ResultWriter's parameters and configuration; the children are known by the Map
// Run.
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
	config := st.writer.config
	if config == nil {
		config = &document.Object{}
	}
	r.snapshot.Attempts++
	p.Attempt, p.Phase = r.snapshot.Attempts, Writing
	p.Arguments = ValueData(document.NewObject(document.Member{Name: "Parameters", Value: parameters},
		document.Member{Name: "Config", Value: config}, document.Member{Name: "MapRunArn", Value: p.MapRun}))
	r.Calls = append(r.Calls, r.callOf(p))
}

// mapWritten takes the end of the export; its output is the state's result.
func (r *Run) mapWritten(p *Branch, res Result) {
	if res.Failed {
		f := &Failure{Error: ptr("States.ResultWriterFailed"), Cause: res.Cause, kept: true}
		if !r.Machine.Express {
			r.keepAs(p, Writing)
		}
		r.mapRunEnd(p, Failed)
		r.emit(p, Event{Type: "MapRunFailed", Error: f.Error, Cause: f.Cause})
		p.before = p.Cursor
		r.fail(p, f)
		return
	}
	r.mapRunSucceeded(p)
	r.leave(p)
	r.succeed(p, res.Output)
}
