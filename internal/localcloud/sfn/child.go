package sfn

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// The executions that a Map Run starts are executions like others: of the
// revision of their parent, of the processor of the Map state, under a name that
// follows from the parent, so that a start that is repeated after a restart finds
// the execution there. Their keys are those of the state machine, with the Map
// Run's label in the name; the lists have them under the Map Run.

// startChild starts an execution of a Map Run, or takes it up again.
func (s *Service) startChild(parent key, c asl.Call) {
	name := derivedName(Task{Call: c, ExecutionARN: s.executionARN(parent)})
	label := names.LabelOf(c.Child.MapRun)
	k := key{parent.Machine, label + "/" + name}
	rec, _, _, err := s.load(k)
	if err != nil {
		s.background("start", k, err)
		return
	}
	if rec != nil {
		switch {
		case c.Child.Redrive > rec.Child.Redrive:
			s.redriveChild(k, c.Child.Redrive)
		case rec.Status != asl.Running:
			s.answerParent(rec)
		}
		return
	}
	up, _, rev, err := s.load(parent)
	if err != nil || up == nil || rev == nil {
		s.background("start of a child", parent, err)
		return
	}
	rec = &executionRecord{Machine: k.Machine, Name: k.Name, Revision: rev.ID, Type: "STANDARD",
		Started: s.sched.Now(), Input: c.Input.Text(),
		Child: &child{MapRun: c.Child.MapRun, State: c.State, Items: c.Child.Items, Parent: parent, Branch: c.Branch,
			Attempt: c.Attempt, Around: c.Iteration}}
	rec.Order = s.order(rec.Started)
	kind := "execution"
	if c.Child.Express {
		rec.Type, kind = express, "express"
	}
	rec.ARN = s.arn(kind, rec.machine()+":"+name)
	err = s.begin(rec, rev, func(tx *store.Tx) error {
		m, err := mapRunIn(tx, rec.Child.MapRun)
		if err == nil && (m == nil || m.Status != asl.Running) {
			return asl.ErrClosed // the Map Run has ended meanwhile
		}
		return err
	})
	s.background("start", k, err)
}

// redriveChild takes up a child that did not succeed. One that is about to be
// stopped is stopped first; one that cannot go on has failed again.
func (s *Service) redriveChild(k key, redrive int) {
	s.background("stop before a redrive", k, s.move(k, func(run *asl.Run) error {
		run.Abort(nil, nil)
		return nil
	}))
	_, reason, err := s.redrive(k, "", func(rec *executionRecord) { rec.Child.Redrive = redrive })
	if err != nil {
		s.background("redrive", k, err)
		return
	}
	if reason != "" {
		rec, _, _, err := s.load(k)
		s.background("redrive", k, err)
		if rec != nil {
			s.answerParent(rec)
		}
	}
}

// answerParent tells the Map Run of a child what the child came to.
func (s *Service) answerParent(rec *executionRecord) {
	res := asl.Result{Failed: true, Error: rec.Error, Cause: rec.Cause, Status: rec.Status}
	if rec.Status == asl.Succeeded && rec.Output != nil {
		res = asl.Result{Output: asl.TextData(*rec.Output)}
	}
	c := rec.Child
	s.background("end of child "+rec.Name, c.Parent, s.move(c.Parent, func(run *asl.Run) error {
		return run.Complete(c.Branch, c.Attempt, res)
	}))
}

// stopChildren stops the children of the Map Runs that a move has ended.
func (s *Service) stopChildren(run *asl.Run) {
	var ended []string
	for _, m := range run.MapRuns {
		if m.Status != asl.Succeeded {
			ended = append(ended, m.ARN)
		}
	}
	if run.Status != asl.Running {
		run.Branches(func(b *asl.Branch) {
			if m, ok := asl.MapRunOf(b); ok {
				ended = append(ended, m.ARN)
			}
		})
	}
	for _, arn := range ended {
		s.sched.Go("sfn.map-run", func() { s.stopMapRun(arn) })
	}
}

// stopMapRun stops the children of a Map Run that has ended.
func (s *Service) stopMapRun(arn string) {
	var running []key
	err := s.db.View(func(tx *store.Tx) error {
		m, err := mapRunIn(tx, arn)
		if err != nil || m == nil || m.Status == asl.Running {
			return err
		}
		for row, err := range byStatus.Scan(tx, store.Query{Prefix: []string{arn, asl.Running}}) {
			if err != nil {
				return err
			}
			running = append(running, key{m.Execution.Machine, row.Key[3]})
		}
		return nil
	})
	if err != nil {
		s.sched.Failed("sfn: stop of Map Run "+arn, err)
	}
	for _, k := range running {
		s.background("stop", k, s.move(k, func(run *asl.Run) error {
			run.Abort(nil, nil)
			return nil
		}))
	}
}
