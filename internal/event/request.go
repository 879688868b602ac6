package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
)

// Request is what an operator asks of create-job, in the full form. The short form
// {firmwareVersion, upgradeTrigger, targetArn, targetSelection} becomes one too.
type Request struct {
	JobID           JobID      `json:"jobId,omitempty"`
	Firmware        Firmware   `json:"firmware"`
	Targets         []string   `json:"targets"`
	TargetSelection string     `json:"targetSelection,omitempty"` // SNAPSHOT or CONTINUOUS
	AllowEmpty      bool       `json:"allowEmpty,omitempty"`      // a snapshot of nothing is meant
	Rollout         *Rollout   `json:"rollout,omitempty"`
	Abort           *Abort     `json:"abort,omitempty"`
	Timeouts        Timeouts   `json:"timeouts"`
	Retry           *Retry     `json:"retry,omitempty"`
	Activation      Activation `json:"activation"`
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

// Target selections.
const (
	Snapshot   = "SNAPSHOT"
	Continuous = "CONTINUOUS"
)

// Values of upgradeTrigger in the short form, also accepted in lower case. That a
// job is begun by hand says nothing of when devices restart: MANUAL is IMMEDIATE.
const (
	TriggerImmediate = "IMMEDIATE"          // download, then restart at once
	TriggerManual    = "MANUAL"             // the same, as the WME sample calls it
	TriggerWindow    = "MAINTENANCE_WINDOW" // download now, restart in DefaultWindow
)

// DefaultWindow is when TriggerWindow restarts devices, in UTC.
var DefaultWindow = Window{Start: "02:00", End: "05:00"}

// Triggers lists what upgradeTrigger may be.
func Triggers() []string {
	words := []string{TriggerImmediate, TriggerManual, TriggerWindow}
	for _, w := range words[:len(words):len(words)] {
		words = append(words, strings.ToLower(w))
	}
	return words
}

var (
	jobIDForm   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	targetForm  = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iot:[a-z0-9-]+:[0-9]{12}:(thing|thinggroup)/[a-zA-Z0-9:_-]{1,128}$`)
	bucketForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	nameForm    = regexp.MustCompile(`^[\s\S]+$`) // keys and version ids, see short
	urlForm     = regexp.MustCompile(`^https://[^\s/@]+/[^\s]*$`)
	sha256Form  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	base64Form  = regexp.MustCompile(`^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`)
	timeForm    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// ParseRequest reads a create-job payload in either form. A payload with
// mistakes gives Problems: all of them at once.
func ParseRequest(payload []byte) (Request, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return Request{}, Problems{{Path: "$", Allowed: "a JSON object: " + err.Error()}}
	}
	if _, err := d.Token(); err != io.EOF {
		return Request{}, Problems{{Path: "$", Allowed: "one JSON object and nothing after it"}}
	}
	m, _ := tree.(map[string]any)
	if isShort(m) {
		return parseShort(tree)
	}
	c := &checker{}
	c.request(tree)
	if err := c.err(); err != nil {
		return Request{}, err
	}
	var r Request
	if err := json.Unmarshal(normalNumbers(tree), &r); err != nil {
		return Request{}, fmt.Errorf("create-job payload: %w", err)
	}
	return r.normal(), nil
}

// isShort tells the forms apart by the members that only the short form has.
func isShort(m map[string]any) bool {
	for _, k := range []string{"firmwareVersion", "upgradeTrigger", "targetArn"} {
		if _, ok := m[k]; ok {
			return true
		}
	}
	return false
}

func parseShort(tree any) (Request, error) {
	c := &checker{}
	const p = "$"
	m, _ := c.object(p, tree, "firmwareVersion", "upgradeTrigger", "targetArn", "targetSelection", "allowEmpty")
	c.require(p, m, "firmwareVersion", "the version to upgrade to, such as 2.0.0")
	c.require(p, m, "targetArn", "the ARN of a thing or a thing group")
	version, _ := c.text(p, m, "firmwareVersion", versionForm, allowedVersion)
	target, _ := c.text(p, m, "targetArn", targetForm, allowedTarget)
	trigger, _ := c.choice(p, m, "upgradeTrigger", Triggers()...)
	selection, _ := c.choice(p, m, "targetSelection", Snapshot, Continuous)
	empty := c.flag(p, m, "allowEmpty")
	if err := c.err(); err != nil {
		return Request{}, err
	}
	r := Request{Firmware: Firmware{Version: version}, Targets: []string{target}, TargetSelection: selection,
		AllowEmpty: empty}
	if strings.ToUpper(trigger) == TriggerWindow {
		w := DefaultWindow
		r.Activation = Activation{Mode: ActivateSeparate, Window: &w}
	}
	return r.normal(), nil
}

const (
	allowedVersion = "letters, digits and . _ + -, up to 64, such as 2.0.0"
	allowedTarget  = "the ARN of a thing or a thing group, such as arn:aws:iot:us-east-1:123456789012:thinggroup/lab"
)

func (c *checker) request(tree any) {
	const p = "$"
	m, ok := c.object(p, tree, "jobId", "firmware", "targets", "targetSelection", "allowEmpty", "rollout", "abort",
		"timeouts",
		"retry", "activation")
	if !ok {
		return
	}
	c.text(p, m, "jobId", jobIDForm, "1 to 64 of a-z A-Z 0-9 _ -")
	if c.require(p, m, "firmware", "an object with at least version") {
		c.firmware(p+".firmware", m["firmware"])
	}
	if c.require(p, m, "targets", "an array of 1 to 100 ARNs of things and thing groups") {
		if l, ok := c.list(p, m, "targets", 1, 100, "ARNs of things and thing groups"); ok {
			seen := map[any]bool{}
			for i, v := range l {
				at := fmt.Sprintf("%s.targets[%d]", p, i)
				s, isText := v.(string)
				switch {
				case !isText || !targetForm.MatchString(s):
					c.add(at, v, allowedTarget)
				case seen[s]:
					c.add(at, v, "each target once")
				}
				if isText {
					seen[s] = true
				}
			}
		}
	}
	c.choice(p, m, "targetSelection", Snapshot, Continuous)
	c.flag(p, m, "allowEmpty")
	if v, ok := m["rollout"]; ok {
		c.rollout(p+".rollout", v)
	}
	failures := []string{"FAILED", "REJECTED", "TIMED_OUT", "ALL"}
	if v, ok := m["abort"]; ok {
		c.criteria(p+".abort", v, 0, 10, func(at string, v any) {
			if o, ok := c.object(at, v, "failureType", "action", "thresholdPercentage",
				"minNumberOfExecutedThings"); ok {
				c.require(at, o, "failureType", "one of "+strings.Join(failures, ", "))
				c.choice(at, o, "failureType", failures...)
				c.choice(at, o, "action", "CANCEL")
				c.require(at, o, "thresholdPercentage", "a percentage")
				c.number(at, o, "thresholdPercentage", 0.01, 100, 0.01)
				c.require(at, o, "minNumberOfExecutedThings", "a whole number from 1")
				c.number(at, o, "minNumberOfExecutedThings", 1, 10000000, 1)
			}
		})
	}
	if v, ok := m["timeouts"]; ok {
		at := p + ".timeouts"
		if o, ok := c.object(at, v, "jobMinutes", "answerSeconds", "downloadSeconds", "rebootSeconds"); ok {
			c.number(at, o, "jobMinutes", 1, 10080, 1)
			c.number(at, o, "answerSeconds", 5, 3600, 1)
			c.number(at, o, "downloadSeconds", 10, 604800, 1)
			c.number(at, o, "rebootSeconds", 10, 86400, 1)
		}
	}
	if v, ok := m["retry"]; ok {
		// AWS IoT: one criterion for each type, ALL alone, ten retries together.
		// Source: AWS IoT API reference, RetryCriteria; developer guide, "Job
		// configurations", job execution retry.
		types, sum := map[string]bool{}, 0.0
		c.criteria(p+".retry", v, 1, 2, func(at string, v any) {
			if o, ok := c.object(at, v, "failureType", "numberOfRetries"); ok {
				c.require(at, o, "failureType", "one of FAILED, TIMED_OUT, ALL")
				c.choice(at, o, "failureType", "FAILED", "TIMED_OUT", "ALL")
				c.require(at, o, "numberOfRetries", "a whole number from 0 to 10")
				n, _ := c.number(at, o, "numberOfRetries", 0, 10, 1)
				if sum += n; sum > 10 {
					c.add(at+".numberOfRetries", o["numberOfRetries"],
						"at most 10 retries in all criteria together; these are %v", sum)
				}
				switch kind, _ := o["failureType"].(string); {
				case kind == "":
				case types[kind]:
					c.add(at+".failureType", kind, "one criterion for each type")
				case types["ALL"] || kind == "ALL" && len(types) > 0:
					c.add(at+".failureType", kind, "ALL is the only criterion, or none")
				default:
					types[kind] = true
				}
			}
		})
	}
	if v, ok := m["activation"]; ok {
		c.activation(p+".activation", v)
	}
}

func (c *checker) firmware(p string, v any) {
	m, ok := c.object(p, v, "version", "s3", "url", "sha256", "size", "signature", "versionIsProof")
	if !ok {
		return
	}
	c.require(p, m, "version", allowedVersion)
	c.text(p, m, "version", versionForm, allowedVersion)
	c.text(p, m, "sha256", sha256Form, "64 hexadecimal digits")
	c.number(p, m, "size", 1, 1<<40, 1)
	c.flag(p, m, "versionIsProof")
	c.short(p, m, "signature", base64Form, 8192, "base64, 1 to 8,192 characters")
	c.short(p, m, "url", urlForm, 2000,
		"an https URL with a host and a path, up to 2,000 characters, without user information")
	_, s3 := m["s3"]
	_, url := m["url"]
	if s3 && url {
		c.add(p, "s3 and url", "one of them, or neither: then the image is found by its version")
	}
	if url && !s3 {
		// Nothing but the caller can know what is behind a URL.
		c.require(p, m, "sha256", "64 hexadecimal digits, because the image is given by url")
	}
	if s3 {
		if o, ok := c.object(p+".s3", m["s3"], "bucket", "key", "versionId"); ok {
			c.require(p+".s3", o, "bucket", "the name of a bucket")
			c.text(p+".s3", o, "bucket", bucketForm, "the name of a bucket: 3 to 63 of a-z 0-9 . -")
			c.require(p+".s3", o, "key", "the key of an object")
			c.short(p+".s3", o, "key", nameForm, 1024, "1 to 1,024 characters")
			c.short(p+".s3", o, "versionId", nameForm, 1024, "1 to 1,024 characters")
		}
	}
}

func (c *checker) rollout(p string, v any) {
	m, ok := c.object(p, v, "maximumPerMinute", "exponentialRate")
	if !ok {
		return
	}
	c.number(p, m, "maximumPerMinute", 1, 1000, 1)
	e, ok := m["exponentialRate"]
	if !ok {
		return
	}
	p += ".exponentialRate"
	if m, ok = c.object(p, e, "baseRatePerMinute", "incrementFactor", "rateIncreaseCriteria"); !ok {
		return
	}
	c.require(p, m, "baseRatePerMinute", "a whole number from 1 to 1000")
	c.number(p, m, "baseRatePerMinute", 1, 1000, 1)
	c.require(p, m, "incrementFactor", "a multiple of 0.1 from 1.1 to 5")
	c.number(p, m, "incrementFactor", 1.1, 5, 0.1)
	const one = "an object with numberOfNotifiedThings or numberOfSucceededThings, not both"
	if c.require(p, m, "rateIncreaseCriteria", one) {
		p += ".rateIncreaseCriteria"
		if o, ok := c.object(p, m["rateIncreaseCriteria"], "numberOfNotifiedThings", "numberOfSucceededThings"); ok {
			c.number(p, o, "numberOfNotifiedThings", 1, 10000000, 1)
			c.number(p, o, "numberOfSucceededThings", 1, 10000000, 1)
			_, a := o["numberOfNotifiedThings"]
			_, b := o["numberOfSucceededThings"]
			if a == b {
				c.add(p, m["rateIncreaseCriteria"], one)
			}
		}
	}
}

func (c *checker) criteria(p string, v any, least, most int, each func(at string, v any)) {
	m, ok := c.object(p, v, "criteriaList")
	if !ok || !c.require(p, m, "criteriaList", "an array of criteria") {
		return
	}
	if l, ok := c.list(p, m, "criteriaList", least, most, "criteria"); ok {
		for i, v := range l {
			each(fmt.Sprintf("%s.criteriaList[%d]", p, i), v)
		}
	}
}

func (c *checker) activation(p string, v any) {
	m, ok := c.object(p, v, "mode", "window", "soakSeconds", "noRollback")
	if !ok {
		return
	}
	mode, _ := c.choice(p, m, "mode", string(ActivateAuto), string(ActivateSeparate))
	c.number(p, m, "soakSeconds", 0, 604800, 1)
	c.flag(p, m, "noRollback")
	w, ok := m["window"]
	if !ok {
		return
	}
	if mode != string(ActivateSeparate) {
		c.add(p+".window", w, "only with mode SEPARATE: a device with AUTO restarts when it has the image")
	}
	if o, ok := c.object(p+".window", w, "start", "end"); ok {
		const form = "a time of day in UTC, HH:MM"
		c.require(p+".window", o, "start", form)
		c.text(p+".window", o, "start", timeForm, form)
		c.require(p+".window", o, "end", form)
		c.text(p+".window", o, "end", timeForm, form)
		if o["start"] != nil && o["start"] == o["end"] {
			c.add(p+".window.end", o["end"], "another time than start")
		}
	}
}

// normalNumbers writes the tree with whole numbers as integers, since 10.0 is
// one in JSON and Go's decoder disagrees.
func normalNumbers(tree any) []byte {
	var walk func(v any) any
	walk = func(v any) any {
		switch t := v.(type) {
		case json.Number:
			if f, err := t.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
				return int64(f)
			}
		case map[string]any:
			for k := range t {
				t[k] = walk(t[k])
			}
		case []any:
			for i := range t {
				t[i] = walk(t[i])
			}
		}
		return v
	}
	b, err := json.Marshal(walk(tree))
	if err != nil {
		return nil // unreachable: the tree came from JSON
	}
	return b
}

// normal writes what means the same in the same way.
func (r Request) normal() Request {
	if r.Activation.Mode == "" {
		r.Activation.Mode = ActivateAuto
	}
	if r.TargetSelection == "" {
		r.TargetSelection = Snapshot
	}
	r.Firmware.SHA256 = strings.ToLower(r.Firmware.SHA256)
	if r.Abort != nil {
		for i := range r.Abort.CriteriaList {
			r.Abort.CriteriaList[i].Action = "CANCEL"
		}
	}
	return r
}

// DerivedJobID is the job id of a request that names none: the same request
// always gives the same job.
func (r Request) DerivedJobID() JobID {
	if r.JobID != "" {
		return r.JobID
	}
	b, err := json.Marshal(r)
	if err != nil {
		b = nil // unreachable: a Request holds plain values only
	}
	sum := digest(string(b))
	prefix := "fw-" + strings.NewReplacer(".", "-", "+", "-").Replace(r.Firmware.Version)
	if len(prefix) > 47 {
		prefix = prefix[:47]
	}
	return JobID(prefix + "-" + sum[:16])
}

// Created is create-job's answer.
type Created struct {
	JobID           JobID    `json:"jobId"`
	JobARN          string   `json:"jobArn"`
	FirmwareVersion string   `json:"firmwareVersion"`
	Targets         []string `json:"targets"`
	// Existed says that the same request made this job before; Status is what has
	// become of it since, in AWS IoT's words.
	Existed bool   `json:"existed,omitempty"`
	Status  string `json:"status,omitempty"`
}
