package asl

import (
	"fmt"
	"math"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

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
	m := MapRun{ARN: b.MapRun, Status: Running, Entered: b.Entered, Limit: b.Limit, Count: b.Count, Share: b.Share,
		Redrives: b.Redrives,
		Writes:   b.state().writer != nil}
	m.Children = MapRunCounts{Total: b.Length, Running: len(b.Kids), Succeeded: b.Done - len(b.Lost),
		PendingRedrive: len(b.Again)}
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
		b.Count, b.HasCount = *count, *count > 0
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

// tolerated is how many failures a count and a percentage allow together; a count of 0 is none, as of a percentage.
func tolerated(count int, hasCount bool, share float64, items int) float64 {
	if !hasCount {
		return math.Floor(share / 100 * float64(items))
	}
	if share > 0 {
		return min(float64(count), math.Floor(share/100*float64(items)))
	}
	return float64(count)
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
	b.MapRun = fmt.Sprintf("arn:aws:states:%s:%s:mapRun:%s/%s:%s", r.Info.Region, r.Info.Account, r.Info.MachineName,
		label, r.host.UUID())
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
		return 0, s.runtime("The %sPath field refers to value \"%s\" which is not a valid float: %s", n.name, plain(v),
			n.path.Source)
	}
	if p < 0 || p > 100 {
		return 0, s.runtime("%s must be between 0 and 100.", n.name)
	}
	return p, nil
}

// tolerance computes how many items may fail.
func (r *Run) tolerance(s *scope, items int) *Failure {
	st, b := s.state, s.branch
	b.Count, b.HasCount, b.Share = 0, false, 0
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
		b.Count, b.HasCount = n, n > 0
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
