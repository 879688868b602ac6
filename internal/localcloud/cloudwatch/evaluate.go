package cloudwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatch/metricmath"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func milli(t int64) awsapi.Time { return awsapi.Time{Time: time.UnixMilli(t).UTC()} }

// spare is by how many periods the evaluation range is longer than
// EvaluationPeriods; AWS's example has 5 for 3.
const spare = 2

// watch has new data of the alarm's metrics wake it.
func (s *Service) watch(c alarmConfig) {
	plan, failed := newPlan(c.queries())
	if failed != nil {
		return // such an alarm is not accepted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range plan.metricIDs() {
		if s.watched[id] == nil {
			s.watched[id] = map[string]bool{}
		}
		s.watched[id][c.AlarmName] = true
	}
}

func (s *Service) unwatch(c alarmConfig) {
	plan, failed := newPlan(c.queries())
	if failed != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range plan.metricIDs() {
		delete(s.watched[id], c.AlarmName)
		if len(s.watched[id]) == 0 {
			delete(s.watched, id)
		}
	}
}

// wake arms the alarms over metrics that have new data.
func (s *Service) wake(touched map[metricID]int64) {
	var names []string
	s.mu.Lock()
	for id := range touched {
		for name := range s.watched[id] {
			names = append(names, name)
		}
	}
	s.mu.Unlock()
	if len(names) == 0 {
		return
	}
	slices.Sort(names) // a fixed order, for virtual time
	var found []alarmConfig
	err := s.Store.View(func(tx *store.Tx) error {
		for _, name := range slices.Compact(names) {
			a, ok, err := alarms.Get(tx, name)
			if err != nil {
				return err
			}
			if ok {
				found = append(found, a.Config)
			}
		}
		return nil
	})
	if err != nil {
		return // the store is closed
	}
	for _, c := range found {
		s.arm(c, s.Scheduler.Now())
	}
}

// tick is how often an alarm is evaluated.
func (c *alarmConfig) tick() time.Duration {
	if c.period() < 60 {
		return 10 * time.Second
	}
	return time.Minute
}

// arm sets the alarm's next evaluation to the first tick after a time, unless
// one comes sooner.
func (s *Service) arm(c alarmConfig, after time.Time) {
	at := after.Truncate(c.tick()).Add(c.tick())
	s.mu.Lock()
	defer s.mu.Unlock()
	name := c.AlarmName
	if have, ok := s.armed[name]; ok {
		if !have.at.After(at) {
			return
		}
		have.timer.Stop()
	}
	s.armed[name] = arming{s.Scheduler.At(at, "cloudwatch alarm "+name, func() { s.evaluate(name, at) }), at}
}

func (s *Service) disarm(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed[name].timer.Stop()
	delete(s.armed, name)
}

// evaluate decides an alarm's state at a tick.
func (s *Service) evaluate(name string, at time.Time) {
	s.mu.Lock()
	if have, ok := s.armed[name]; ok && have.at.Equal(at) {
		delete(s.armed, name)
	}
	s.mu.Unlock()
	if s.Flush() != nil {
		return // the store is closed
	}
	var a alarm
	var o evaluationResult
	found := false
	err := s.Store.View(func(tx *store.Tx) (err error) {
		if a, found, err = alarms.Get(tx, name); err != nil || !found {
			return err
		}
		o, err = stateAt(tx, &a.Config, a.State, at.Unix())
		return err
	})
	if err != nil || !found {
		return
	}
	if o.state != a.State {
		err := s.Store.Update(func(tx *store.Tx) error {
			now, ok, err := alarms.Get(tx, name)
			if err != nil || !ok || now.Version != a.Version {
				return err // changed meanwhile, and armed by who did it
			}
			return s.enter(tx, now, o.state, o.reason, o.reasonData)
		})
		if err != nil {
			return
		}
	}
	switch {
	case o.data:
		s.arm(a.Config, at)
	case o.next > 0:
		s.arm(a.Config, time.Unix(o.next, 0))
	}
}

// evaluationResult is what an evaluation finds.
type evaluationResult struct {
	state      string
	reason     string
	reasonData string
	data       bool  // data lies in the range
	next       int64 // else: when the next datum begins that lies in the future, 0 if none
}

// stateAt computes the state of an alarm whose periods end at the time end.
func stateAt(tx *store.Tx, c *alarmConfig, state string, end int64) (evaluationResult, error) {
	period, n := c.period(), c.EvaluationPeriods
	plan, failed := newPlan(c.queries())
	if failed != nil {
		return evaluationResult{state: state}, failed
	}
	from := end - (n+spare)*period
	var o evaluationResult
	for _, id := range plan.metricIDs() {
		q := store.Query{Prefix: []string{id.Namespace, id.Name, id.Dims},
			From: []string{store.Number(uint64(max(from, 0)))}}
		for row, err := range buckets.Scan(tx, q) {
			if err != nil {
				return o, err
			}
			if t := int64(store.ParseNumber(row.Key[3])); t < end {
				o.data = true
			} else if o.next == 0 || t < o.next {
				o.next = t
			}
			break
		}
	}
	r := newResults(tx, plan, span{From: from, To: end, Origin: end})
	v, _, err := r.value(c.subject())
	if err != nil {
		// An expression that cannot be computed leaves the state.
		o.state = state
		return o, nil
	}
	var points []metricmath.Point
	switch v.Kind {
	case metricmath.One:
		points = v.Series[0].Points
	default:
		o.state = state
		return o, nil
	}
	// A math expression may give points without data (FILL): they count.
	slots := make([]*float64, n+spare)
	var recent []metricmath.Point
	for _, p := range points {
		if i := (p.Time - from) / period; p.Time >= from && i < int64(len(slots)) {
			slots[i] = &p.Value
			recent = append(recent, p)
		}
	}
	var skip bool
	if skip, err = tooFew(tx, c, recent, end); err != nil {
		return o, err
	}
	o.state = state
	if skip {
		return o, nil
	}
	verdict := decide(slots, int(n), int(c.needed()), c.missing(), state, func(v float64) bool {
		return comparisons[c.ComparisonOperator].hit(v, float64(*c.Threshold))
	})
	o.state = verdict
	o.reason, o.reasonData = c.explain(verdict, recent, end)
	return o, nil
}

// tooFew reports whether a percentile stands on fewer samples than
// EvaluateLowSampleCountPercentile asks for.
func tooFew(tx *store.Tx, c *alarmConfig, recent []metricmath.Point, end int64) (bool, error) {
	st, ok := parseStatistic(c.ExtendedStatistic)
	if c.LowSample != "ignore" || !ok || st.name != "p" || len(recent) == 0 {
		return false, nil
	}
	share := st.hi
	if share < 0.5 {
		share = 1 - share
	}
	if share >= 1 {
		return false, nil
	}
	q := c.queries()[0].MetricStat
	r := newResults(tx, &plan{}, span{From: recent[len(recent)-1].Time, To: end, Origin: end})
	counts, err := r.series(q.id(), statistic{name: "SampleCount"}, q.Period, q.Unit)
	if err != nil || len(counts.Points) == 0 {
		return false, err
	}
	return counts.Points[len(counts.Points)-1].Value < math.Ceil(10/(1-share)-1e-6), nil
}

// decide is the evaluation of an alarm: m of n periods must breach. Points are
// oldest first, nil where data is missing, and more than n.
//
// With missing and ignore, a range of breaching points only, fewer than m of
// them, is an ALARM (missing) once the oldest is m periods old, and otherwise
// leaves the state.
func decide(points []*float64, n, m int, treat, state string, breaches func(float64) bool) string {
	var real []bool
	fine, oldest := 0, -1
	for i, p := range points {
		if p == nil {
			continue
		}
		b := breaches(*p)
		real = append(real, b)
		if !b {
			fine++
		} else if oldest < 0 {
			oldest = i
		}
	}
	missing := 0
	if len(real) >= n {
		real = real[len(real)-n:]
	} else {
		missing = n - len(real)
	}
	bad := 0
	for _, b := range real {
		if b {
			bad++
		}
	}
	if treat == "breaching" {
		bad += missing
	}
	if bad >= m {
		return "ALARM"
	}
	if missing == 0 || treat == "breaching" || treat == "notBreaching" || fine > 0 {
		return "OK"
	}
	switch {
	case treat == "ignore":
		return state
	case len(real) == 0:
		return "INSUFFICIENT_DATA"
	case len(points)-oldest >= m:
		return "ALARM"
	}
	return state
}

const awsTime = "2006-01-02T15:04:05.000-0700"

// number writes a float as AWS's texts do: always with a fraction.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// explain writes the reason of a state as AWS words it.
func (c *alarmConfig) explain(state string, recent []metricmath.Point, end int64) (reason, data string) {
	n, m := int(c.EvaluationPeriods), c.needed()
	if len(recent) > n {
		recent = recent[len(recent)-n:]
	}
	plural := func(n int, word string) string {
		if n == 1 {
			return word
		}
		return word + "s"
	}
	missing := map[string]string{"breaching": "Breaching", "notBreaching": "NonBreaching"}[c.missing()]
	switch {
	case state == "INSUFFICIENT_DATA":
		were := "were"
		if n == 1 {
			were = "was"
		}
		reason = fmt.Sprintf("Insufficient Data: %d %s %s unknown.", n, plural(n, "datapoint"), were)
	case len(recent) == 0:
		reason = fmt.Sprintf("Threshold Crossed: no datapoints were received for %d %s and %d missing %s treated "+
			"as [%s].", n, plural(n, "period"), n, plural(n, "datapoint")+" "+map[bool]string{true: "was",
			false: "were"}[n == 1], missing)
	default:
		var list []string
		matched := 0
		hit := comparisons[c.ComparisonOperator]
		for _, p := range slices.Backward(recent) {
			if hit.hit(p.Value, float64(*c.Threshold)) == (state == "ALARM") {
				matched++
				list = append(list, number(p.Value)+" ("+time.Unix(p.Time, 0).UTC().Format("02/01/06 15:04:05")+")")
			}
		}
		not, verb := "", "was"
		if state != "ALARM" {
			not = "not "
		}
		if matched != 1 {
			verb = "were"
		}
		change, least := "OK -> ALARM", m
		if state == "OK" {
			change, least = "ALARM -> OK", int64(n)-m+1
		}
		reason = fmt.Sprintf("Threshold Crossed: %d out of the last %d %s [%s] %s %s%s the threshold (%s) (minimum "+
			"%d %s for %s transition).",
			matched, n, plural(n, "datapoint"), strings.Join(list, ", "), verb, not, hit.text,
			number(float64(*c.Threshold)), least, plural(int(least), "datapoint"), change)
	}
	if len(reason) > 1023 {
		reason = reason[:1020] + "..."
	}
	stat := c.Statistic
	if stat == "" {
		stat = c.ExtendedStatistic
	}
	doc := map[string]any{"version": "1.0", "queryDate": time.Unix(end, 0).UTC().Format(awsTime), "period": c.period(),
		"threshold": *c.Threshold}
	if stat != "" {
		doc["statistic"] = stat
	}
	values, evaluated := []float64{}, []map[string]any{}
	for _, p := range recent {
		values = append(values, p.Value)
	}
	for _, p := range slices.Backward(recent) {
		evaluated = append(evaluated, map[string]any{"timestamp": time.Unix(p.Time, 0).UTC().Format(awsTime),
			"value": p.Value})
	}
	if len(recent) > 0 {
		doc["startDate"] = time.Unix(recent[0].Time, 0).UTC().Format(awsTime)
	}
	doc["recentDatapoints"], doc["evaluatedDatapoints"] = values, evaluated
	b, err := json.Marshal(doc)
	if err != nil || len(b) > 4000 {
		return reason, ""
	}
	return reason, string(b)
}

// enter writes a state; a change of it is recorded and has its actions run.
func (s *Service) enter(tx *store.Tx, a alarm, state, reason, reasonData string) error {
	c, before, now := a.Config, a, s.now()
	a.Reason, a.ReasonData, a.StateUpdated = reason, reasonData, now
	if a.State == state {
		return alarms.Put(tx, a, c.AlarmName)
	}
	a.State, a.Transitioned = state, now
	if err := alarms.Put(tx, a, c.AlarmName); err != nil {
		return err
	}
	part := func(state, reason, data string) map[string]any {
		m := map[string]any{"stateValue": state, "stateReason": reason}
		if data != "" {
			m["stateReasonData"] = json.RawMessage(data)
		}
		return m
	}
	err := s.record(tx, c.AlarmName, "StateUpdate", "Alarm updated from "+before.State+" to "+state, map[string]any{
		"version": "1.0", "oldState": part(before.State, before.Reason, before.ReasonData),
		"newState": part(state, reason, reasonData)})
	if err != nil {
		return err
	}
	targets := map[string][]string{"OK": c.OKActions, "ALARM": c.AlarmActions,
		"INSUFFICIENT_DATA": c.InsufficientDataActions}[state]
	if !c.enabled() {
		return nil
	}
	for _, target := range targets {
		x := action{Alarm: c.AlarmName, AlarmARN: s.alarmARN(c.AlarmName), Target: target, State: state}
		if strings.Contains(target, ":lambda:") {
			x.Event, err = s.lambdaEvent(a, before)
		} else {
			x.Subject = fmt.Sprintf("%s: %q in %s", state, c.AlarmName, regionName(s.Region))
			x.Subject = x.Subject[:min(len(x.Subject), 100)]
			x.Message, err = s.snsMessage(a, before)
		}
		if err != nil {
			return err
		}
		key := []string{store.Number(uint64(now)), s.Scheduler.UUID()}
		if err := actions.Put(tx, x, key...); err != nil {
			return err
		}
		tx.OnCommit(func() { s.Scheduler.Go("cloudwatch action", func() { s.run(key) }) })
	}
	return nil
}

// run carries an action out, records it and forgets it. A target that refuses
// is not tried again.
func (s *Service) run(key []string) {
	var x action
	var ok bool
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		x, ok, err = actions.Get(tx, key...)
		return err
	}); err != nil || !ok {
		return
	}
	ctx := context.Background()
	var err error
	switch {
	case s.Caller == nil:
		err = awsapi.NotBuilt("an action without other services")
	case x.Event != "":
		id := awsapi.ServiceOf("lambda.alarms.cloudwatch.amazonaws.com", s.Account, x.AlarmARN)
		_, err = s.Caller.Call(ctx, id, "lambda", "Invoke", map[string]any{"FunctionName": x.Target,
			"InvocationType": "Event", "Payload": []byte(x.Event)})
	default:
		id := awsapi.ServiceOf("cloudwatch.amazonaws.com", s.Account, x.AlarmARN)
		_, err = s.Caller.Call(ctx, id, "sns", "Publish", map[string]any{"TopicArn": x.Target, "Subject": x.Subject,
			"Message": x.Message})
	}
	data := map[string]any{"actionState": "Succeeded", "notificationResource": x.Target,
		"stateUpdateTimestamp": store.ParseNumber(key[0]), "error": nil}
	summary := "Successfully executed action " + x.Target
	if err != nil {
		e := awsapi.AsError(err)
		said := e.Code + ": " + e.Message
		if e.Denial != nil { // an alarm says who was refused, and not why
			said = awsapi.Denial{Who: "CloudWatch Alarms", Action: e.Denial.Action,
				Resource: e.Denial.Resource}.String()
		}
		data["actionState"], data["error"] = "Failed", said
		summary = "Failed to execute action " + x.Target
	}
	err = s.Store.Update(func(tx *store.Tx) error { // an action that stays is run again by Start
		if err := s.record(tx, x.Alarm, "Action", summary[:min(len(summary), 255)], data); err != nil {
			return err
		}
		return actions.Delete(tx, key...)
	})
	s.Scheduler.Failed("cloudwatch action of "+x.AlarmARN, err)
}
