package asl

import (
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

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
	p.Lost = append(p.Lost, LostItem{Index: k.Index, Attempt: k.Attempt, Status: res.Status, Error: res.Error,
		Cause: res.Cause, Input: k.Input})
	if float64(p.ItemsLost) <= p.Tolerated {
		p.Results[k.Index] = ValueData(res.tolerated())
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
		r.keepInPhase(p, Inside)
	}
	outer := &Failure{Error: ptr(errTolerance), Cause: ptr("The specified tolerated failure threshold was exceeded"),
		kept: true}
	r.mapRunEnd(p, Failed)
	r.emit(p, Event{Type: "MapRunFailed", Error: outer.Error, Cause: outer.Cause})
	p.before = p.Cursor
	r.fail(p, outer)
}

// tolerated is what a child that did not succeed leaves in its place of the Map state's result.
func (res Result) tolerated() *document.Object {
	o := document.NewObject(document.Member{Name: "Status", Value: res.Status})
	for _, m := range []struct {
		name string
		text *string
	}{{"Error", res.Error}, {"Cause", res.Cause}} {
		if m.text != nil {
			o.Set(m.name, *m.text)
		}
	}
	return o
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
	f := s.narrowUntraced()
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
			r.keepInPhase(p, Writing)
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
