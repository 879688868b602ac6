package eventbridgescheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are part of what a schedule means, not of the machine

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/eventbridgescheduler/expression"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Roles lets a service assume a role whose trust policy names it.
type Roles interface {
	Assume(ctx context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (awsapi.Identity, error)
}

// Metrics takes data points of AWS/Scheduler.
type Metrics interface {
	Add(namespace, name, unit string, value float64, dimensions map[string]string)
}

// Weather is what becomes of an invocation on a bad day.
type Weather struct {
	Late   time.Duration // after its time; AWS promises the minute
	Copies int           // how often it is made beyond once
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	Roles   Roles
	Metrics Metrics // may be nil
	// Built says whether a service has an operation, by the SDK's names:
	// "sqs", "SendMessage".
	Built func(service, operation string) bool
	// Weather is asked for each time that a schedule is due; nil is fair weather.
	Weather func(scheduleARN string) Weather
}

// Service is EventBridge Scheduler.
type Service struct {
	Config

	mu     sync.Mutex
	timers map[string]*scheduler.Timer // by ARN
}

// New returns the service over what the store holds.
func New(c Config) *Service { return &Service{Config: c, timers: map[string]*scheduler.Timer{}} }

// Start takes up schedules and invocations.
func (s *Service) Start(context.Context) error {
	return s.Store.View(func(tx *store.Tx) error {
		for row, err := range groupTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Deleting {
				s.emptyLater(row.Value.Name)
			}
		}
		for row, err := range scheduleTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.arm(row.Value)
		}
		for row, err := range invocationTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.invokeAt(row.Key[0], row.Value)
		}
		return nil
	})
}

// Residue lists invocations that have not come to their end. A schedule that
// waits for its time is no unfinished work.
func (s *Service) Residue(context.Context) []string {
	var left []string
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range invocationTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			left = append(left, fmt.Sprintf("scheduler: invocation of %s/%s for %s, %d failed attempts",
				row.Value.Group, row.Value.Name, row.Value.Scheduled.Format(time.RFC3339), row.Value.Attempts))
		}
		return nil
	})
	if err != nil {
		left = append(left, "scheduler: "+err.Error())
	}
	return left
}

// zone finds a time zone; the machine's own has no name here.
func zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("eventbridgescheduler: no time zone %q", name)
	}
	return time.LoadLocation(name)
}

// check turns a request into settings.
func (s *Service) check(ctx context.Context, c *awsapi.Call, in *scheduleIn) (given settings, err error) {
	for _, err := range []error{
		checkName("name", in.Name), checkName("groupName", orDefault(in.GroupName)),
	} {
		if err != nil {
			return given, err
		}
	}
	if in.KmsKeyArn != "" {
		return given, awsapi.NotBuilt("KmsKeyArn of scheduler schedules")
	}
	if len(in.Description) > 512 {
		return given, errMember("description", in.Description, "have length less than or equal to 512")
	}
	if in.Window == nil {
		return given, errMember("flexibleTimeWindow", "null", "not be null")
	}
	if in.Target == nil {
		return given, errMember("target", "null", "not be null")
	}
	given = settings{
		Expression: in.Expression, Zone: in.Zone, Description: in.Description, Disabled: in.State == "DISABLED",
		DeleteAfter: in.After == "DELETE",
	}
	e, err := expression.Parse(in.Expression)
	if err != nil {
		return given, errValidation("Invalid Schedule Expression %s.", in.Expression)
	}
	if given.Zone == "" {
		given.Zone = "UTC"
	}
	if _, err := zone(given.Zone); err != nil {
		return given, errValidation("Invalid Schedule Expression Timezone %s.", in.Zone)
	}
	switch in.Window.Mode {
	case "OFF":
		if in.Window.Minutes != nil {
			return given, errValidation(
				"MaximumWindowInMinutes must not be given if the mode of FlexibleTimeWindow is OFF.")
		}
	case "FLEXIBLE":
		if in.Window.Minutes == nil || *in.Window.Minutes < 1 || *in.Window.Minutes > 1440 {
			return given, errValidation(
				"MaximumWindowInMinutes must be from 1 to 1440 if the mode of FlexibleTimeWindow is FLEXIBLE.")
		}
		given.Window = *in.Window.Minutes
	default:
		return given, errMember("flexibleTimeWindow.mode", in.Window.Mode, "satisfy enum value set: [OFF, FLEXIBLE]")
	}
	if !e.Once() { // a single point has no use for them, and AWS ignores them
		if in.Start != nil {
			given.Start = in.Start.Time
		}
		if in.End != nil {
			given.End = in.End.Time
		}
		if !given.End.IsZero() && (given.End.Before(s.Scheduler.Now()) || given.End.Before(given.Start)) {
			return given, errValidation("The EndDate must come after the current time and the StartDate.")
		}
	}
	if given.Target, err = s.checkTarget(in.Target); err != nil {
		return given, err
	}
	if err := c.Authorize(ctx, "iam:PassRole", given.Target.RoleARN,
		map[string][]string{"iam:PassedToService": {principal}}); err != nil {
		return given, err
	}
	if _, err := s.Roles.Assume(ctx, given.Target.RoleARN, principal, s.groupARN(orDefault(in.GroupName)),
		in.Name); err != nil {
		return given, errValidation(
			"The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
	}
	return given, nil
}

// put stores a schedule that was made or changed and sets its next time; again
// has a rate begin anew.
func (s *Service) put(tx *store.Tx, x *schedule, again bool) error {
	now := s.Scheduler.Now()
	if again {
		if x.Origin = x.Settings.Start; x.Origin.IsZero() {
			x.Origin = now
		}
	}
	x.Next = time.Time{}
	if !x.Settings.Disabled {
		from := now
		if x.Settings.Start.After(now) {
			from = x.Settings.Start
		}
		var err error
		if x.Next, err = x.following(from); err != nil {
			return err
		}
	}
	after := *x
	tx.OnCommit(func() { s.arm(after) })
	return scheduleTable.Put(tx, after, x.Group, x.Name)
}

// following is the first time of a schedule at or after from; zero if there is
// none.
func (x *schedule) following(from time.Time) (time.Time, error) {
	e, err := expression.Parse(x.Settings.Expression)
	if err != nil {
		return time.Time{}, fmt.Errorf("eventbridgescheduler: schedule %s: %w", x.Name, err)
	}
	z, err := zone(x.Settings.Zone)
	if err != nil {
		return time.Time{}, err
	}
	at, ok := e.Next(from, x.Origin, z)
	if !ok || !x.Settings.End.IsZero() && at.After(x.Settings.End) {
		return time.Time{}, nil
	}
	return at.UTC(), nil
}

// arm sets a schedule's timer.
func (s *Service) arm(x schedule) {
	arn := s.arn(x.Group, x.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers[arn].Stop()
	delete(s.timers, arn)
	if !x.Next.IsZero() {
		s.timers[arn] = s.Scheduler.At(x.Next, "schedule "+x.Group+"/"+x.Name, func() { s.invokeDue(x.Group, x.Name) })
	}
}

// remove deletes a schedule. Invocations that are under way go on.
func (s *Service) remove(tx *store.Tx, x schedule) error {
	tx.OnCommit(func() { s.arm(schedule{Group: x.Group, Name: x.Name}) })
	return scheduleTable.Delete(tx, x.Group, x.Name)
}

// invokeDue turns a schedule whose time has come into an invocation.
func (s *Service) invokeDue(groupName, name string) {
	now := s.Scheduler.Now()
	arn := s.arn(groupName, name)
	weather := Weather{}
	if s.Weather != nil {
		weather = s.Weather(arn)
	}
	err := s.Store.Update(func(tx *store.Tx) error {
		x, ok, err := scheduleTable.Get(tx, groupName, name)
		if err != nil || !ok || x.Next.IsZero() || x.Next.After(now) {
			return err
		}
		scheduled := x.Next
		for { // times that were missed while the process was down are one
			next, err := x.following(scheduled.Add(time.Second))
			if err != nil {
				return err
			}
			if x.Next = next; next.IsZero() || next.After(now) {
				break
			}
			scheduled = next
		}
		for range 1 + weather.Copies {
			due := scheduled.Add(weather.Late)
			if w := time.Duration(x.Settings.Window) * time.Minute; w > 0 {
				due = due.Add(time.Duration(s.Scheduler.Rand().Int64N(int64(w/time.Second))) * time.Second)
			}
			i := invocation{Group: groupName, Name: name, Target: x.Settings.Target, Scheduled: scheduled,
				Due: due, Next: due}
			id := strings.ReplaceAll(s.Scheduler.UUID(), "-", "")[:16]
			if err := invocationTable.Put(tx, i, id); err != nil {
				return err
			}
			tx.OnCommit(func() { s.invokeAt(id, i) })
		}
		tx.OnCommit(func() { s.arm(x) })
		return scheduleTable.Put(tx, x, groupName, name)
	})
	s.Scheduler.Failed("schedule "+groupName+"/"+name, err) // the next Start finds it due
}

// completed deletes a schedule that is over and was to be deleted then.
func (s *Service) completed(tx *store.Tx, groupName, name string) error {
	x, ok, err := scheduleTable.Get(tx, groupName, name)
	if err != nil || !ok || !x.Settings.DeleteAfter || x.Settings.Disabled || !x.Next.IsZero() {
		return err
	}
	for row, err := range invocationTable.Scan(tx, store.Query{}) {
		if err != nil {
			return err
		}
		if row.Value.Group == groupName && row.Value.Name == name {
			return nil
		}
	}
	return s.remove(tx, x)
}

// emptyLater deletes the schedules of a group, and the group.
func (s *Service) emptyLater(name string) {
	s.Scheduler.Go("delete schedule group "+name, func() {
		err := s.Store.Update(func(tx *store.Tx) error {
			var list []schedule
			for row, err := range scheduleTable.Scan(tx, store.Query{Prefix: []string{name}}) {
				if err != nil {
					return err
				}
				list = append(list, row.Value)
			}
			for _, x := range list {
				if err := s.remove(tx, x); err != nil {
					return err
				}
			}
			return groupTable.Delete(tx, name)
		})
		s.Scheduler.Failed("delete schedule group "+name, err) // the next Start does it
	})
}

func (s *Service) count(group, metric string) {
	if s.Metrics != nil {
		s.Metrics.Add("AWS/Scheduler", metric, "Count", 1, map[string]string{"ScheduleGroup": group})
	}
}

func isJSON(text string) bool { return json.Valid([]byte(text)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
