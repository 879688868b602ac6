package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// Request is what an operator asks of create-job, in any of its forms: naming the
// operation, {operation, input, targets, ...}; or, for an operation that has it, with
// the operation's own members beside the job's; or in a few words.
type Request struct {
	JobID           event.JobID
	Input           event.Input
	Targets         []string
	TargetSelection string // SNAPSHOT or CONTINUOUS
	AllowEmpty      bool   // a snapshot of nothing is meant
	Rollout         *Rollout
	Abort           *Abort
	Timeouts        Timeouts
	Retry           *Retry

	form  event.Form
	named bool // the payload names the operation
}

// Rollout is AWS IoT's jobExecutionsRolloutConfig.
type Rollout struct {
	MaximumPerMinute int              `json:"maximumPerMinute,omitempty"`
	ExponentialRate  *ExponentialRate `json:"exponentialRate,omitempty"`
}

// ExponentialRate raises the rate as devices are notified or succeed.
type ExponentialRate struct {
	BaseRatePerMinute    int                  `json:"baseRatePerMinute"`
	IncrementFactor      float64              `json:"incrementFactor"`
	RateIncreaseCriteria RateIncreaseCriteria `json:"rateIncreaseCriteria"`
}

// RateIncreaseCriteria has one of its members set.
type RateIncreaseCriteria struct {
	NumberOfNotifiedThings  int `json:"numberOfNotifiedThings,omitempty"`
	NumberOfSucceededThings int `json:"numberOfSucceededThings,omitempty"`
}

// Abort is AWS IoT's abortConfig. An empty list is a job that never stops itself.
type Abort struct {
	CriteriaList []AbortCriterion `json:"criteriaList"`
}

// AbortCriterion cancels a job when too many executions end badly.
type AbortCriterion struct {
	FailureType               string  `json:"failureType"`
	Action                    string  `json:"action,omitempty"` // CANCEL, the default
	ThresholdPercentage       float64 `json:"thresholdPercentage"`
	MinNumberOfExecutedThings int     `json:"minNumberOfExecutedThings"`
}

// Retry is AWS IoT's jobExecutionsRetryConfig.
type Retry struct {
	CriteriaList []RetryCriterion `json:"criteriaList"`
}

// RetryCriterion queues a failed execution again.
type RetryCriterion struct {
	FailureType     string `json:"failureType"`
	NumberOfRetries int    `json:"numberOfRetries"`
}

// Timeouts bound the waits of a job; 0 is not set.
type Timeouts struct {
	JobMinutes int    // AWS IoT's in-progress timer
	Own        []Wait // the operation's, in the order of its form
}

// Wait is a timeout of an operation.
type Wait struct {
	Name string
	For  int // in the unit that its name says
}

// MarshalJSON writes those that are set, in their order.
func (t Timeouts) MarshalJSON() ([]byte, error) {
	var o object
	if t.JobMinutes != 0 {
		o.add("jobMinutes", t.JobMinutes)
	}
	for _, w := range t.Own {
		if w.For != 0 {
			o.add(w.Name, w.For)
		}
	}
	return o.bytes()
}

// newTimeouts are those of a form, as a payload or a template has them.
func newTimeouts(form event.Form, set map[string]int) Timeouts {
	t := Timeouts{JobMinutes: set["jobMinutes"]}
	for _, own := range form.Timeouts {
		t.Own = append(t.Own, Wait{own.Name, set[own.Name]})
	}
	return t
}

// Target selections.
const (
	Snapshot   = "SNAPSHOT"
	Continuous = "CONTINUOUS"
)

// general are the members of a payload that names its operation.
var general = []string{
	"operation", "jobId", "input", "targets", "targetSelection", "allowEmpty", "rollout", "abort", "timeouts", "retry",
}

var (
	jobIDForm  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	targetForm = regexp.MustCompile(
		`^arn:(aws|aws-cn|aws-us-gov):iot:[a-z0-9-]+:[0-9]{12}:(thing|thinggroup)/[a-zA-Z0-9:_-]{1,128}$`)
)

const allowedTarget = "the ARN of a thing or a thing group, such as" +
	" arn:aws:iot:us-east-1:123456789012:thinggroup/lab"

// Parse reads a payload in any form. One with mistakes gives event.Problems: all of
// them at once.
func Parse(document []byte, forms []event.Form) (Request, error) {
	tree, problems := payload.Decode(document)
	if problems != nil {
		return Request{}, problems
	}
	m, _ := tree.(map[string]any)
	if _, ok := m["operation"]; ok {
		return parseNamed(m, forms)
	}
	if form, ok := shortForm(m, forms); ok {
		return parseShort(m, form)
	}
	for _, form := range forms {
		if form.Members != nil {
			return parseFlat(tree, form)
		}
	}
	c := &payload.Checker{}
	if m, ok := c.Object("$", tree, general...); ok {
		c.Require("$", m, "operation", "one of "+strings.Join(names(forms), ", "))
	}
	return Request{}, c.Problems()
}

// shortForm finds the form of a payload by the members that only a short one has.
func shortForm(m map[string]any, forms []event.Form) (event.Form, bool) {
	has := func(name string) bool { _, ok := m[name]; return ok }
	for _, form := range forms {
		if form.Short.Read != nil && (slices.ContainsFunc(form.Short.Words, has) || has("targetArn")) {
			return form, true
		}
	}
	return event.Form{}, false
}

func names(forms []event.Form) []string {
	var all []string
	for _, form := range forms {
		all = append(all, string(form.Operation))
	}
	return all
}

func parseNamed(m map[string]any, forms []event.Form) (Request, error) {
	c := &payload.Checker{}
	c.Known("$", m, general...)
	i := slices.IndexFunc(forms, func(f event.Form) bool { return m["operation"] == string(f.Operation) })
	if i < 0 {
		c.Add("$.operation", m["operation"], "one of %s", strings.Join(names(forms), ", "))
		checkJob(c, m, nil)
		return Request{}, c.Problems()
	}
	form := forms[i]
	checkJob(c, m, &form)
	own := map[string]any{}
	if v, ok := m["input"]; ok {
		if own, ok = v.(map[string]any); !ok {
			c.Add("$.input", v, "an object, as the schema of %s says", form.Operation)
			return Request{}, c.Problems()
		}
	}
	in, problems := form.Read("$.input", own)
	c.AddAll(problems)
	return newRequest(c, m, form, in, true)
}

func parseFlat(tree any, form event.Form) (Request, error) {
	c := &payload.Checker{}
	m, ok := c.Object("$", tree, form.Members...)
	if !ok {
		return Request{}, c.Problems()
	}
	checkJob(c, m, &form)
	own := map[string]any{}
	for _, name := range form.Members {
		if v, ok := m[name]; ok && !slices.Contains(general, name) {
			own[name] = v
		}
	}
	in, problems := form.Read("$", own)
	c.AddAll(problems)
	return newRequest(c, m, form, in, false)
}

func parseShort(m map[string]any, form event.Form) (Request, error) {
	c := &payload.Checker{}
	c.Known("$", m, append(slices.Clone(form.Short.Words), "targetArn", "targetSelection", "allowEmpty")...)
	words := map[string]any{}
	for _, word := range form.Short.Words {
		if v, ok := m[word]; ok {
			words[word] = v
		}
	}
	own, problems := form.Short.Read("$", words)
	c.AddAll(problems)
	c.Require("$", m, "targetArn", "the ARN of a thing or a thing group")
	target, _ := c.Text("$", m, "targetArn", targetForm, allowedTarget)
	c.Choice("$", m, "targetSelection", Snapshot, Continuous)
	c.Flag("$", m, "allowEmpty")
	if problems := c.Problems(); len(problems) > 0 {
		return Request{}, problems
	}
	in, problems := form.Read("$", own)
	c.AddAll(problems)
	whole := map[string]any{"targets": []any{target}}
	for _, name := range []string{"targetSelection", "allowEmpty"} {
		if v, ok := m[name]; ok {
			whole[name] = v
		}
	}
	return newRequest(c, whole, form, in, false)
}

// newRequest is the request of a payload whose mistakes c has, if it has none. What
// means the same is written in the same way.
func newRequest(c *payload.Checker, m map[string]any, form event.Form, in event.Input, named bool) (Request, error) {
	if problems := c.Problems(); len(problems) > 0 {
		return Request{}, problems
	}
	var p struct {
		JobID           event.JobID    `json:"jobId"`
		Targets         []string       `json:"targets"`
		TargetSelection string         `json:"targetSelection"`
		AllowEmpty      bool           `json:"allowEmpty"`
		Rollout         *Rollout       `json:"rollout"`
		Abort           *Abort         `json:"abort"`
		Timeouts        map[string]int `json:"timeouts"`
		Retry           *Retry         `json:"retry"`
	}
	if err := payload.Into(m, &p); err != nil {
		return Request{}, fmt.Errorf("create-job payload: %w", err)
	}
	r := Request{
		JobID: p.JobID, Input: in, Targets: p.Targets, TargetSelection: p.TargetSelection, AllowEmpty: p.AllowEmpty,
		Rollout: p.Rollout, Abort: p.Abort, Timeouts: newTimeouts(form, p.Timeouts), Retry: p.Retry,
		form: form, named: named,
	}
	if r.TargetSelection == "" {
		r.TargetSelection = Snapshot
	}
	if r.Abort != nil {
		for i := range r.Abort.CriteriaList {
			r.Abort.CriteriaList[i].Action = "CANCEL"
		}
	}
	return r, nil
}

// checkJob checks the members that are a job's; form is nil where the operation is unknown.
func checkJob(c *payload.Checker, m map[string]any, form *event.Form) {
	c.Text("$", m, "jobId", jobIDForm, "1 to 64 of a-z A-Z 0-9 _ -")
	checkTargets(c, m)
	c.Choice("$", m, "targetSelection", Snapshot, Continuous)
	c.Flag("$", m, "allowEmpty")
	if v, ok := m["rollout"]; ok {
		checkRollout(c, "$.rollout", v)
	}
	if v, ok := m["abort"]; ok {
		checkCriteria(c, "$.abort", v, 0, 10, func(at string, v any) { checkAbort(c, at, v) })
	}
	if v, ok := m["timeouts"]; ok && form != nil {
		known := []string{"jobMinutes"}
		for _, own := range form.Timeouts {
			known = append(known, own.Name)
		}
		if o, ok := c.Object("$.timeouts", v, known...); ok {
			c.Number("$.timeouts", o, "jobMinutes", 1, mostMinutes, 1)
			for _, own := range form.Timeouts {
				c.Number("$.timeouts", o, own.Name, float64(own.Low), float64(own.High), 1)
			}
		}
	}
	if v, ok := m["retry"]; ok {
		checkRetry(c, "$.retry", v)
	}
}

func checkTargets(c *payload.Checker, m map[string]any) {
	if !c.Require("$", m, "targets", "an array of 1 to 100 ARNs of things and thing groups") {
		return
	}
	l, ok := c.List("$", m, "targets", 1, 100, "ARNs of things and thing groups")
	if !ok {
		return
	}
	seen := map[any]bool{}
	for i, v := range l {
		at := fmt.Sprintf("$.targets[%d]", i)
		s, isText := v.(string)
		switch {
		case !isText || !targetForm.MatchString(s):
			c.Add(at, v, allowedTarget)
		case seen[s]:
			c.Add(at, v, "each target once")
		}
		if isText {
			seen[s] = true
		}
	}
}

func checkRollout(c *payload.Checker, p string, v any) {
	m, ok := c.Object(p, v, "maximumPerMinute", "exponentialRate")
	if !ok {
		return
	}
	c.Number(p, m, "maximumPerMinute", 1, 1000, 1)
	e, ok := m["exponentialRate"]
	if !ok {
		return
	}
	p += ".exponentialRate"
	if m, ok = c.Object(p, e, "baseRatePerMinute", "incrementFactor", "rateIncreaseCriteria"); !ok {
		return
	}
	c.Require(p, m, "baseRatePerMinute", "a whole number from 1 to 1000")
	c.Number(p, m, "baseRatePerMinute", 1, 1000, 1)
	c.Require(p, m, "incrementFactor", "a multiple of 0.1 from 1.1 to 5")
	c.Number(p, m, "incrementFactor", 1.1, 5, 0.1)
	const one = "an object with numberOfNotifiedThings or numberOfSucceededThings, not both"
	if !c.Require(p, m, "rateIncreaseCriteria", one) {
		return
	}
	p += ".rateIncreaseCriteria"
	if o, ok := c.Object(p, m["rateIncreaseCriteria"], "numberOfNotifiedThings", "numberOfSucceededThings"); ok {
		c.Number(p, o, "numberOfNotifiedThings", 1, 10000000, 1)
		c.Number(p, o, "numberOfSucceededThings", 1, 10000000, 1)
		_, a := o["numberOfNotifiedThings"]
		_, b := o["numberOfSucceededThings"]
		if a == b {
			c.Add(p, m["rateIncreaseCriteria"], one)
		}
	}
}

func checkCriteria(c *payload.Checker, p string, v any, least, most int, each func(at string, v any)) {
	m, ok := c.Object(p, v, "criteriaList")
	if !ok || !c.Require(p, m, "criteriaList", "an array of criteria") {
		return
	}
	if l, ok := c.List(p, m, "criteriaList", least, most, "criteria"); ok {
		for i, v := range l {
			each(fmt.Sprintf("%s.criteriaList[%d]", p, i), v)
		}
	}
}

func checkAbort(c *payload.Checker, at string, v any) {
	failures := []string{"FAILED", "REJECTED", "TIMED_OUT", "ALL"}
	o, ok := c.Object(at, v, "failureType", "action", "thresholdPercentage", "minNumberOfExecutedThings")
	if !ok {
		return
	}
	c.Require(at, o, "failureType", "one of "+strings.Join(failures, ", "))
	c.Choice(at, o, "failureType", failures...)
	c.Choice(at, o, "action", "CANCEL")
	c.Require(at, o, "thresholdPercentage", "a percentage")
	c.Number(at, o, "thresholdPercentage", 0.01, 100, 0.01)
	c.Require(at, o, "minNumberOfExecutedThings", "a whole number from 1")
	c.Number(at, o, "minNumberOfExecutedThings", 1, 10000000, 1)
}

// checkRetry: one criterion for each type, ALL alone, ten retries together. Source: AWS
// IoT API reference, RetryCriteria; developer guide, "Job configurations", job execution
// retry.
func checkRetry(c *payload.Checker, p string, v any) {
	types, sum := map[string]bool{}, 0.0
	checkCriteria(c, p, v, 1, 2, func(at string, v any) {
		o, ok := c.Object(at, v, "failureType", "numberOfRetries")
		if !ok {
			return
		}
		c.Require(at, o, "failureType", "one of FAILED, TIMED_OUT, ALL")
		c.Choice(at, o, "failureType", "FAILED", "TIMED_OUT", "ALL")
		c.Require(at, o, "numberOfRetries", "a whole number from 0 to 10")
		n, _ := c.Number(at, o, "numberOfRetries", 0, 10, 1)
		if sum += n; sum > 10 {
			c.Add(at+".numberOfRetries", o["numberOfRetries"],
				"at most 10 retries in all criteria together; these are %v", sum)
		}
		switch kind, _ := o["failureType"].(string); {
		case kind == "":
		case types[kind]:
			c.Add(at+".failureType", kind, "one criterion for each type")
		case types["ALL"] || kind == "ALL" && len(types) > 0:
			c.Add(at+".failureType", kind, "ALL is the only criterion, or none")
		default:
			types[kind] = true
		}
	})
}

// canonical writes a request, the same one always in the same way.
func (r Request) canonical() []byte {
	order := r.form.Members
	if order == nil {
		order = general
	}
	var o object
	for _, name := range order {
		switch name {
		case "operation":
			o.add(name, r.form.Operation)
		case "jobId":
			if r.JobID != "" {
				o.add(name, r.JobID)
			}
		case "targets":
			o.add(name, r.Targets)
		case "targetSelection":
			o.add(name, r.TargetSelection)
		case "allowEmpty":
			if r.AllowEmpty {
				o.add(name, true)
			}
		case "rollout":
			if r.Rollout != nil {
				o.add(name, r.Rollout)
			}
		case "abort":
			if r.Abort != nil {
				o.add(name, r.Abort)
			}
		case "timeouts":
			o.add(name, r.Timeouts)
		case "retry":
			if r.Retry != nil {
				o.add(name, r.Retry)
			}
		default:
			if v, ok := r.Input.Members[name]; ok {
				o.add(name, v)
			}
		}
	}
	b, err := o.bytes()
	if err != nil {
		return nil // unreachable: a Request holds plain values only
	}
	return b
}

// DerivedJobID is the job id of a request that names none: the same request
// always gives the same job.
func (r Request) DerivedJobID() event.JobID {
	if r.JobID != "" {
		return r.JobID
	}
	b := r.canonical()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s", len(b), b))
	prefix := r.Input.Prefix
	if len(prefix) > 47 {
		prefix = prefix[:47]
	}
	return event.JobID(prefix + "-" + hex.EncodeToString(sum[:8]))
}

// object writes a JSON object, its members in the order in which they are added.
type object struct {
	b   bytes.Buffer
	err error
}

func (o *object) add(name string, v any) {
	key, err := json.Marshal(name)
	if err == nil {
		var value []byte
		value, err = json.Marshal(v)
		if o.b.Len() > 0 {
			o.b.WriteByte(',')
		}
		o.b.Write(key)
		o.b.WriteByte(':')
		o.b.Write(value)
	}
	if o.err == nil {
		o.err = err
	}
}

func (o *object) bytes() ([]byte, error) {
	return append(append([]byte("{"), o.b.Bytes()...), '}'), o.err
}

// Created is create-job's answer.
type Created struct {
	JobID     event.JobID     `json:"jobId"`
	JobARN    string          `json:"jobArn"`
	Operation event.Operation `json:"operation,omitempty"` // where the payload names it
	Targets   []string        `json:"targets"`
	// Existed says that the same request made this job before; Status is what has
	// become of it since, in AWS IoT's words.
	Existed bool   `json:"existed,omitempty"`
	Status  string `json:"status,omitempty"`
	// Details are the operation's own members, which stand beside the others.
	Details map[string]string `json:"-"`
}

// MarshalJSON puts the operation's members beside the others.
func (a Created) MarshalJSON() ([]byte, error) {
	var o object
	o.add("jobId", a.JobID)
	o.add("jobArn", a.JobARN)
	if a.Operation != "" {
		o.add("operation", a.Operation)
	}
	for name, v := range sorted(a.Details) {
		o.add(name, v)
	}
	o.add("targets", a.Targets)
	if a.Existed {
		o.add("existed", true)
	}
	if a.Status != "" {
		o.add("status", a.Status)
	}
	return o.bytes()
}

// sorted is a map in the order of its keys.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
