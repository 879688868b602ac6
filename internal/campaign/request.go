package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
	"github.com/fleetstep/fleetstep/internal/version"
)

// Request is what an operator asks for, with its defaults filled in.
type Request struct {
	Campaign   event.CampaignID `json:"campaignId,omitempty"`
	Operation  event.Operation  `json:"operation"`
	Images     []Image          `json:"images"` // one without conditions for an operation without images
	Targets    Targets          `json:"targets"`
	AllowEmpty bool             `json:"allowEmpty,omitempty"`
	Stage      *Stage           `json:"stage,omitempty"`
	Waves      []Wave           `json:"waves"`
	Rate       int              `json:"rate"` // devices a minute
	Windows    []event.Hours    `json:"windows,omitempty"`
	Zone       string           `json:"zone,omitempty"`
	Blackout   []event.Dates    `json:"blackout,omitempty"`
	OnFail     string           `json:"onFail"`
	Budget     int              `json:"budget,omitempty"` // devices in danger at the same time; 0 is no limit
	Attempts   int64            `json:"attempts"`         // of a device, the first among them
	// Quarantine is how often a device may fail with an image, over all campaigns; 0 is no limit.
	Quarantine int            `json:"quarantine"`
	Retry      []event.Again  `json:"retry,omitempty"`
	Priority   int            `json:"priority"`
	Start      *time.Time     `json:"start,omitempty"`
	End        *time.Time     `json:"end,omitempty"`
	FourEyes   bool           `json:"fourEyes,omitempty"`
	Timeouts   map[string]int `json:"timeouts,omitempty"`
}

// Image is what devices of some models are to have.
type Image struct {
	Models         []string    `json:"models,omitempty"`
	Hardware       []string    `json:"hardware,omitempty"`
	From           []string    `json:"from,omitempty"` // ranges of versions
	AllowDowngrade bool        `json:"allowDowngrade,omitempty"`
	Version        string      `json:"version,omitempty"`
	Input          event.Input `json:"input"`

	at string
}

// Targets say whom a campaign is for.
type Targets struct {
	Groups []string          `json:"groups,omitempty"` // names of thing groups
	Things []event.ThingName `json:"things,omitempty"`
	Query  string            `json:"query,omitempty"` // of AWS IoT's fleet index
	File   string            `json:"file,omitempty"`  // s3://bucket/key, a line of JSON for each device
}

// Stage has all devices download before the first wave: waves activate then what is there.
type Stage struct {
	MaxHours int `json:"maxHours"`
}

// Wave is a part of a campaign.
type Wave struct {
	Name        string  `json:"name"`
	Percent     float64 `json:"percent,omitempty"` // of all devices
	Count       int     `json:"count,omitempty"`   // instead; without either it is the rest
	PerModel    bool    `json:"perModel,omitempty"`
	BakeMinutes int     `json:"bakeMinutes"`
	Approval    bool    `json:"approval,omitempty"`
	Gate        Gate    `json:"gate"`
	MaxHours    int     `json:"maxHours"`
}

// What is asked for where nothing is said.
const (
	DefaultRate     = 100
	DefaultBake     = 60 // minutes
	DefaultMaxHours = 24
	DefaultSuccess  = 0.95
	DefaultHaltOn   = 5
	DefaultGone     = 5
	DefaultAttempts = 3
	// DefaultQuarantine is more than one campaign makes by itself: two have tried.
	DefaultQuarantine = 5
	DefaultPriority   = event.NormalPriority
)

// DefaultWaves are those of a request without any. Their sizes grow as what is known
// does.
func DefaultWaves() []Wave {
	return []Wave{{Name: "canary", Percent: 0.1}, {Name: "early", Percent: 1}, {Name: "tenth", Percent: 10},
		{Name: "half", Percent: 50}, {Name: "rest"}}
}

// HaltOn are the failures that halt by default: those after which a device does not run
// what it ran before, or what it should.
func HaltOn() map[event.ErrorName]int {
	return map[event.ErrorName]int{"Activate.Failed": DefaultHaltOn, "Verify.WrongVersion": DefaultHaltOn,
		"Rollback.Failed": DefaultHaltOn}
}

var (
	idForm    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	waveForm  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,32}$`)
	groupForm = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	textForm  = regexp.MustCompile(`^[^\x00-\x1f]+$`)
	fileForm  = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$`)
	hourForm  = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	alarmName = regexp.MustCompile(`^[^\x00-\x1f]{1,255}$`)
	alarmARN  = regexp.MustCompile(`^arn:[a-z-]+:cloudwatch:[a-z0-9-]+:[0-9]{12}:alarm:[^\x00-\x1f]{1,255}$`)
	nameForm  = regexp.MustCompile(`^[A-Z][A-Za-z]*\.[A-Z][A-Za-z]*$`)
)

const (
	mostWaves = 20
	mostItems = 100
	// mostQuarantine is as many failures as an image's own limit may be.
	mostQuarantine = 100
	allowedID      = "1 to 64 of a-z A-Z 0-9 _ -"
)

// members are those of a payload.
var members = []string{
	"campaignId", "operation", "input", "images", "activation", "targets", "allowEmpty", "stage", "waves", "rate",
	"windows", "zone", "blackout", "gate", "onFail", "budget", "attempts", "quarantine", "retry", "priority",
	"start", "end", "approval", "timeouts",
}

// Parse reads a payload. One with mistakes gives event.Problems: all of them at once.
// forms are the operations that there are; that of a payload with images is images.
func Parse(document []byte, forms []event.Form, images event.Operation) (Request, error) {
	tree, problems := payload.Decode(document)
	if problems != nil {
		return Request{}, problems
	}
	c := &payload.Checker{}
	m, ok := c.Object("$", tree, members...)
	if !ok {
		return Request{}, c.Problems()
	}
	r := Request{
		Rate: DefaultRate, OnFail: "halt", Attempts: DefaultAttempts, Priority: DefaultPriority, Operation: images,
		Quarantine: DefaultQuarantine,
	}
	if id, ok := c.Text("$", m, "campaignId", idForm, allowedID); ok {
		r.Campaign = event.CampaignID(id)
	}
	if v, ok := m["stage"]; ok {
		r.stage(c, v)
	}
	number := func(name string, low, high float64, into *int) {
		if v, ok := c.Number("$", m, name, low, high, 1); ok {
			*into = int(v)
		}
	}
	number("quarantine", 0, mostQuarantine, &r.Quarantine)
	names := errorNames{r.what(c, m, forms).Errors}
	r.whom(c, m)
	r.waves(c, m, names)
	r.when(c, m)
	number("rate", 1, 1000, &r.Rate)
	number("budget", 1, 1e6, &r.Budget)
	number("priority", 0, 100, &r.Priority)
	attempts := int(r.Attempts)
	number("attempts", 1, 10, &attempts)
	r.Attempts = int64(attempts)
	r.retry(c, m, names)
	c.Choice("$", m, "onFail", "halt")
	if v, ok := m["approval"]; ok {
		if o, ok := c.Object("$.approval", v, "fourEyes"); ok {
			r.FourEyes = c.Flag("$.approval", o, "fourEyes")
		}
	}
	if problems := c.Problems(); len(problems) > 0 {
		return Request{}, problems
	}
	return r, nil
}

// errorNames are those with which an operation fails; none are any.
type errorNames struct{ known []event.ErrorName }

// noFailures are errors with which no device of a campaign counts as failed: one that is held is HELD, and what ends
// a job execution is a job's.
var noFailures = []event.ErrorName{event.CampaignHeld, event.JobHeld, event.JobTimedOut}

// allowed says what a name may be, "" if this is one.
func (n errorNames) allowed(name string) (text string) {
	known := slices.Contains(n.known, event.ErrorName(name)) || len(n.known) == 0 && nameForm.MatchString(name)
	if known && !slices.Contains(noFailures, event.ErrorName(name)) {
		return ""
	}
	if text = "the name of an error, as Verify.WrongVersion"; len(n.known) > 0 {
		text = "one of"
		for _, known := range n.known {
			if !slices.Contains(noFailures, known) {
				text += " " + string(known)
			}
		}
	}
	if event.ErrorName(name) == event.CampaignHeld {
		text += "; a device that a campaign holds has not failed, and is HELD"
	}
	return text
}

// stage reads how devices are staged.
func (r *Request) stage(c *payload.Checker, v any) {
	r.Stage = &Stage{MaxHours: DefaultMaxHours}
	o, ok := c.Object("$.stage", v, "maxHours")
	if !ok {
		return
	}
	if n, ok := c.Number("$.stage", o, "maxHours", 1, 90*24, 1); ok {
		r.Stage.MaxHours = int(n)
	}
}

// what reads what is to be done: images, or an operation and its input. It returns the operation's form, if there is
// one.
func (r *Request) what(c *payload.Checker, m map[string]any, forms []event.Form) (form event.Form) {
	_, named := m["operation"]
	_, imaged := m["images"]
	if !named && !imaged {
		c.Add("$", nil, "images, or operation and input")
		return form
	}
	if named && imaged {
		c.Add("$", "images and operation", "one of them")
		named = false // the mistakes of images are told all the same
	}
	form, ok := r.form(c, m, forms, named)
	if !ok {
		return form
	}
	r.Operation = form.Operation
	if r.Stage != nil && form.Staged == nil {
		c.Add("$.stage", m["stage"], "nothing: %s does not download first and go on later", form.Operation)
	}
	if named {
		own, ok := m["input"].(map[string]any)
		if !ok {
			if v, given := m["input"]; given {
				c.Add("$.input", v, "an object, as the schema of %s says", form.Operation)
				return form
			}
			own = map[string]any{}
		}
		in, problems := form.Read("$.input", own)
		c.AddAll(problems)
		r.Images = []Image{{Input: in, at: "$.input"}}
		if v, ok := m["activation"]; ok {
			c.Add("$.activation", v, "nothing: it is for images; what an operation takes is in input")
		}
		if v, ok := m["quarantine"]; ok {
			c.Add("$.quarantine", v, "nothing: it is for images")
		}
	} else {
		if _, ok := m["input"]; ok {
			c.Add("$.input", m["input"], "nothing: it is for an operation")
		}
		r.images(c, m, form)
	}
	if v, ok := m["timeouts"]; ok {
		var known []string
		for _, own := range form.Timeouts {
			known = append(known, own.Name)
		}
		if o, ok := c.Object("$.timeouts", v, known...); ok {
			r.Timeouts = map[string]int{}
			for _, own := range form.Timeouts {
				if n, ok := c.Number("$.timeouts", o, own.Name, float64(own.Low), float64(own.High), 1); ok {
					r.Timeouts[own.Name] = int(n)
				}
			}
		}
	}
	return form
}

func (r *Request) form(c *payload.Checker, m map[string]any, forms []event.Form, named bool) (event.Form, bool) {
	var names []string
	for _, form := range forms {
		names = append(names, string(form.Operation))
		if !named && form.Operation == r.Operation || named && m["operation"] == string(form.Operation) {
			return form, true
		}
	}
	c.Add("$.operation", m["operation"], "one of %s", strings.Join(names, ", "))
	return event.Form{}, false
}

func (r *Request) images(c *payload.Checker, m map[string]any, form event.Form) {
	list, ok := c.List("$", m, "images", 1, mostItems, "images")
	if !ok {
		return
	}
	activation, activated := m["activation"]
	if a, ok := activation.(map[string]any); ok {
		if w, ok := a["window"]; ok {
			c.Add("$.activation.window", w, "nothing: a campaign has windows")
			activated = false
		}
	}
	for i, v := range list {
		at := fmt.Sprintf("$.images[%d]", i)
		o, ok := c.Object(at, v, "models", "hardware", "from", "firmware", "allowDowngrade")
		if !ok {
			continue
		}
		image := Image{AllowDowngrade: c.Flag(at, o, "allowDowngrade"), at: at}
		image.Models = texts(c, at, o, "models", "names of models")
		image.Hardware = texts(c, at, o, "hardware", "hardware versions")
		image.From = texts(c, at, o, "from", "ranges of versions")
		for k, text := range image.From {
			if _, err := version.ParseRange(text); err != nil {
				c.Add(fmt.Sprintf("%s.from[%d]", at, k), text,
					"a range of versions, as \">=1.2 <2.0.0\", \"1.2.*\" or \"1.2.3\"")
			}
		}
		if len(list) > 1 && len(image.Models)+len(image.Hardware)+len(image.From) == 0 {
			c.Add(at, nil, "models, hardware or from: of several images exactly one is a device's")
		}
		own := map[string]any{}
		if f, ok := o["firmware"]; ok {
			if f, ok := f.(map[string]any); ok {
				image.Version, _ = f["version"].(string)
			}
			own["firmware"] = image.held(f, r.Quarantine)
		}
		if activated {
			own["activation"] = activation
		}
		var in event.Input
		var problems event.Problems
		if r.Stage != nil && form.Staged != nil {
			own, problems = form.Staged(at, own)
		}
		if len(problems) == 0 {
			in, problems = form.Read(at, own)
		}
		for k := range problems { // it is told where it is written
			problems[k].Path = strings.Replace(problems[k].Path, at+".activation", "$.activation", 1)
		}
		if i > 0 {
			problems = slices.DeleteFunc(problems, func(p event.Problem) bool {
				return strings.HasPrefix(p.Path, "$.activation") // told with the first
			})
		}
		c.AddAll(problems)
		image.Input = in
		r.Images = append(r.Images, image)
	}
}

// held is the firmware of an image, which no device takes that runs a later version by the time that it begins, days
// after the plan perhaps: another campaign or a job may have been there. An image that is a downgrade where it is
// allowed is as it is given.
// Nor does one that has failed with it too often.
func (m Image) held(firmware any, quarantine int) any {
	f, ok := firmware.(map[string]any)
	if !ok {
		return firmware
	}
	f = maps.Clone(f)
	if _, given := f["noDowngrade"]; !given && !m.AllowDowngrade {
		f["noDowngrade"] = true
	}
	if _, given := f["maxFailures"]; !given && quarantine > 0 {
		f["maxFailures"] = json.Number(strconv.Itoa(quarantine)) // as it is in a payload
	}
	return f
}

func texts(c *payload.Checker, at string, m map[string]any, key, of string) (all []string) {
	list, _ := c.List(at, m, key, 1, mostItems, of)
	for i, v := range list {
		s, ok := v.(string)
		if !ok || !textForm.MatchString(s) || len(s) > 256 {
			c.Add(fmt.Sprintf("%s.%s[%d]", at, key, i), v, "a text of 1 to 256 characters")
			continue
		}
		all = append(all, s)
	}
	return all
}

func (r *Request) whom(c *payload.Checker, m map[string]any) {
	r.AllowEmpty = c.Flag("$", m, "allowEmpty")
	const allowed = "an object with groups, things, query or file"
	if !c.Require("$", m, "targets", allowed) {
		return
	}
	o, ok := c.Object("$.targets", m["targets"], "groups", "things", "query", "file")
	if !ok {
		return
	}
	for i, name := range texts(c, "$.targets", o, "groups", "names of thing groups") {
		if !groupForm.MatchString(name) {
			c.Add(fmt.Sprintf("$.targets.groups[%d]", i), name, "the name of a thing group, not its ARN")
		}
		r.Targets.Groups = append(r.Targets.Groups, name)
	}
	for i, name := range texts(c, "$.targets", o, "things", "names of things") {
		if !groupForm.MatchString(name) {
			c.Add(fmt.Sprintf("$.targets.things[%d]", i), name, "the name of a thing, not its ARN")
		}
		r.Targets.Things = append(r.Targets.Things, event.ThingName(name))
	}
	r.Targets.Query, _ = c.Text("$.targets", o, "query", textForm, "a query of AWS IoT's fleet index")
	r.Targets.File, _ = c.Text("$.targets", o, "file", fileForm, "s3://bucket/key")
	if len(o) == 0 {
		c.Add("$.targets", o, allowed)
	}
}

func (r *Request) waves(c *payload.Checker, m map[string]any, errors errorNames) {
	base := Gate{Success: DefaultSuccess, HaltOn: HaltOn(), NotReturned: DefaultGone}
	if v, ok := m["gate"]; ok {
		base = readGate(c, "$.gate", v, base, errors)
	}
	r.Waves = DefaultWaves()
	for i := range r.Waves {
		r.Waves[i].BakeMinutes, r.Waves[i].MaxHours, r.Waves[i].Gate = DefaultBake, DefaultMaxHours, base
	}
	if _, ok := m["waves"]; !ok {
		return
	}
	list, _ := c.List("$", m, "waves", 1, mostWaves, "waves")
	r.Waves = nil
	names, thousandths := map[string]bool{}, 0 // a sum of fractions would not be 100
	for i, v := range list {
		at := fmt.Sprintf("$.waves[%d]", i)
		o, ok := c.Object(at, v, "name", "percent", "count", "perModel", "bakeMinutes", "approval", "gate", "maxHours")
		if !ok {
			continue
		}
		w := Wave{BakeMinutes: DefaultBake, MaxHours: DefaultMaxHours, Gate: base}
		c.Require(at, o, "name", "the name of the wave")
		w.Name, _ = c.Text(at, o, "name", waveForm, "1 to 32 of a-z A-Z 0-9 _ -")
		if names[w.Name] && w.Name != "" {
			c.Add(at+".name", w.Name, "another name than the waves before")
		}
		names[w.Name] = true
		w.Percent, _ = c.Number(at, o, "percent", 0.001, 100, 0.001)
		count, _ := c.Number(at, o, "count", 1, 1e7, 1)
		w.Count = int(count)
		_, byShare := o["percent"]
		_, byCount := o["count"]
		switch {
		case byShare && byCount:
			c.Add(at, "percent and count", "one of them")
		case !byShare && !byCount && i < len(list)-1:
			c.Add(at, nil, "percent or count: only the last wave is the rest")
		}
		if thousandths += int(math.Round(1000 * w.Percent)); thousandths > 100_000 && w.Percent > 0 {
			c.Add(at+".percent", w.Percent, "percentages of all waves that are 100 together; these are %v",
				float64(thousandths)/1000)
		}
		w.PerModel = c.Flag(at, o, "perModel")
		w.Approval = c.Flag(at, o, "approval")
		if v, ok := c.Number(at, o, "bakeMinutes", 0, 30*24*60, 1); ok {
			w.BakeMinutes = int(v)
		}
		if v, ok := c.Number(at, o, "maxHours", 1, 90*24, 1); ok {
			w.MaxHours = int(v)
		}
		if v, ok := o["gate"]; ok {
			w.Gate = readGate(c, at+".gate", v, base, errors)
		}
		r.Waves = append(r.Waves, w)
	}
}

// IsAlarmARN reports whether an alarm is named by its ARN.
func IsAlarmARN(text string) bool { return alarmARN.MatchString(text) }

// readGate reads a gate; what it does not say is as in another.
func readGate(c *payload.Checker, at string, v any, g Gate, errors errorNames) Gate {
	o, ok := c.Object(at, v, "success", "haltOn", "notReturned", "alarms")
	if !ok {
		return g
	}
	if list, ok := c.List(at, o, "alarms", 1, mostItems, "names or ARNs of alarms"); ok {
		g.Alarms, g.at = nil, at
		for i, v := range list {
			name, _ := v.(string)
			if !IsAlarmARN(name) && (!alarmName.MatchString(name) || strings.HasPrefix(name, "arn:")) {
				c.Add(fmt.Sprintf("%s.alarms[%d]", at, i), v, "the name of an alarm, or its ARN, as "+
					"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:NAME")
				continue
			}
			g.Alarms = append(g.Alarms, name)
		}
	}
	if n, ok := c.Number(at, o, "success", 0.5, 0.999, 0.001); ok {
		g.Success = n
	}
	if n, ok := c.Number(at, o, "notReturned", 0, 1e6, 1); ok {
		g.NotReturned = int(n)
	}
	if v, ok := o["haltOn"]; ok {
		names, ok := v.(map[string]any)
		if !ok {
			c.Add(at+".haltOn", v, "an object of error names, each with the number of devices that halts")
			return g
		}
		g.HaltOn = map[event.ErrorName]int{}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if allowed := errors.allowed(name); allowed != "" {
				c.Add(at+".haltOn."+name, names[name], "%s", allowed)
				continue
			}
			if n, ok := c.Number(at+".haltOn", names, name, 1, 1e6, 1); ok {
				g.HaltOn[event.ErrorName(name)] = int(n)
			}
		}
	}
	return g
}

func (r *Request) when(c *payload.Checker, m map[string]any) {
	list, _ := c.List("$", m, "windows", 1, mostItems, "windows")
	for i, v := range list {
		at := fmt.Sprintf("$.windows[%d]", i)
		o, ok := c.Object(at, v, "days", "from", "to")
		if !ok {
			continue
		}
		const form = "a time of day in the device's time, HH:MM"
		var h event.Hours
		c.Require(at, o, "from", form)
		h.Start, _ = c.Text(at, o, "from", hourForm, form)
		c.Require(at, o, "to", form)
		h.End, _ = c.Text(at, o, "to", hourForm, form)
		days, _ := c.List(at, o, "days", 1, 7, "days of the week")
		for k, v := range days {
			d, _ := v.(string)
			if !slices.Contains(event.Days(), event.Day(d)) || slices.Contains(h.Days, event.Day(d)) {
				c.Add(fmt.Sprintf("%s.days[%d]", at, k), v, "each once of MON TUE WED THU FRI SAT SUN")
				continue
			}
			h.Days = append(h.Days, event.Day(d))
		}
		r.Windows = append(r.Windows, h)
	}
	if v, ok := m["zone"]; ok {
		zone, _ := v.(string)
		if zone == "" || !event.IsZone(zone) {
			c.Add("$.zone", v, "the time zone of devices of which none is known: a name such as Europe/Berlin, or a"+
				" TZ string of POSIX")
		}
		r.Zone = zone
	}
	list, _ = c.List("$", m, "blackout", 1, mostItems, "dates")
	for i, v := range list {
		at := fmt.Sprintf("$.blackout[%d]", i)
		o, ok := c.Object(at, v, "from", "to")
		if !ok {
			continue
		}
		date := func(key string) string {
			s, _ := o[key].(string)
			if _, err := time.Parse(time.DateOnly, s); err != nil {
				c.Add(at+"."+key, o[key], "a date, YYYY-MM-DD")
				return ""
			}
			return s
		}
		d := event.Dates{From: date("from"), To: date("to")}
		if d.From != "" && d.To != "" && d.To < d.From {
			c.Add(at+".to", d.To, "from, or a later date")
		}
		r.Blackout = append(r.Blackout, d)
	}
	moment := func(key string) *time.Time {
		v, ok := m[key]
		if !ok {
			return nil
		}
		s, _ := v.(string)
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			c.Add("$."+key, v, "a time with its zone, as 2026-12-01T02:00:00Z")
			return nil
		}
		t = t.UTC()
		return &t
	}
	r.Start, r.End = moment("start"), moment("end")
	if r.Start != nil && r.End != nil && !r.End.After(*r.Start) {
		c.Add("$.end", m["end"], "a time after start")
	}
}

// retry reads what is tried again by itself.
func (r *Request) retry(c *payload.Checker, m map[string]any, errors errorNames) {
	list, _ := c.List("$", m, "retry", 1, mostItems, "errors")
	for i, v := range list {
		at := fmt.Sprintf("$.retry[%d]", i)
		o, ok := c.Object(at, v, "error", "times", "minutes")
		if !ok {
			continue
		}
		const form = "the name of an error, as Download.Failed"
		one := event.Again{Times: 1, Minutes: 30}
		c.Require(at, o, "error", form)
		name, ok := c.Text(at, o, "error", nameForm, form)
		if allowed := errors.allowed(name); ok && allowed != "" {
			c.Add(at+".error", name, "%s", allowed)
		}
		one.Error = event.ErrorName(name)
		if name != "" && slices.ContainsFunc(r.Retry, func(o event.Again) bool { return o.Error == one.Error }) {
			c.Add(at+".error", name, "another error than those before")
		}
		if n, ok := c.Number(at, o, "times", 1, 9, 1); ok {
			one.Times = int(n)
		}
		if int64(one.Times) >= r.Attempts {
			c.Add(at+".times", one.Times, "fewer than attempts, which are %d with the first", r.Attempts)
		}
		if n, ok := c.Number(at, o, "minutes", 1, 1440, 1); ok {
			one.Minutes = int(n)
		}
		for _, w := range r.Waves {
			if _, halts := w.Gate.HaltOn[one.Error]; halts && name != "" {
				c.Add(at+".error", name, "an error that does not halt: haltOn of wave %s has it", w.Name)
				break
			}
		}
		r.Retry = append(r.Retry, one)
	}
}

// window is when devices of a zone may begin; nil is always.
func (r Request) window(zone string) *event.Window {
	if len(r.Windows) == 0 && len(r.Blackout) == 0 {
		return nil
	}
	w := event.Window{Start: "00:00", End: "00:00", Zone: r.Zone, Except: r.Blackout}
	if len(r.Windows) > 0 {
		w.Start, w.End, w.Days, w.Or = r.Windows[0].Start, r.Windows[0].End, r.Windows[0].Days, r.Windows[1:]
	}
	if zone != "" {
		w.Zone, w.Registered = zone, true
	}
	return &w
}

// stages reports whether devices of a zone may begin to download: no blackout date is for that
// either, windows are for what disturbs a device.
func (r Request) stages(zone string, now time.Time) bool {
	r.Windows = nil
	return r.admissible(zone, now)
}

// hash is the same for the same request.
func (r Request) hash() (string, error) {
	r.Campaign = ""
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// id is the campaign's, given or derived.
func (r Request) id(hash string) event.CampaignID {
	if r.Campaign != "" {
		return r.Campaign
	}
	prefix := string(r.Operation)
	if len(r.Images) == 1 && r.Images[0].Input.Prefix != "" {
		prefix = r.Images[0].Input.Prefix
	}
	return event.CampaignID(prefix[:min(len(prefix), 40)] + "-" + hash[:16])
}
