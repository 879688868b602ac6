package eventbridgescheduler

import (
	"context"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const defaultGroup = "default"

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	onSchedule := awsapi.On(func(_ *awsapi.Call, in *scheduleRef) []string {
		return []string{s.arn(orDefault(in.GroupName), in.Name)}
	})
	onGroup := awsapi.On(func(_ *awsapi.Call, in *groupRef) []string { return []string{s.groupARN(in.Name)} })
	return awsapi.Service{
		ID: "scheduler", Signing: "scheduler", Prefix: "scheduler", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		Operations: []awsapi.Operation{
			awsapi.Op("CreateSchedule", s.createSchedule, awsapi.REST("POST", "/schedules/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *scheduleIn) []string {
					return []string{s.arn(orDefault(in.GroupName), in.Name)}
				})),
			awsapi.Op("UpdateSchedule", s.updateSchedule, awsapi.REST("PUT", "/schedules/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *scheduleIn) []string {
					return []string{s.arn(orDefault(in.GroupName), in.Name)}
				})),
			awsapi.Op("GetSchedule", s.getSchedule, awsapi.REST("GET", "/schedules/{Name}"), onSchedule),
			awsapi.Op("DeleteSchedule", s.deleteSchedule, awsapi.REST("DELETE", "/schedules/{Name}"), onSchedule),
			awsapi.Op("ListSchedules", s.listSchedules, awsapi.REST("GET", "/schedules"),
				awsapi.On(func(_ *awsapi.Call, in *listSchedulesIn) []string {
					if in.GroupName == "" {
						return []string{s.arn("*", "*")}
					}
					return []string{s.arn(in.GroupName, "*")}
				})),
			awsapi.Op("CreateScheduleGroup", s.createGroup, awsapi.REST("POST", "/schedule-groups/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *groupIn) []string { return []string{s.groupARN(in.Name)} })),
			awsapi.Op("GetScheduleGroup", s.getGroup, awsapi.REST("GET", "/schedule-groups/{Name}"), onGroup),
			awsapi.Op("DeleteScheduleGroup", s.deleteGroup, awsapi.REST("DELETE", "/schedule-groups/{Name}"), onGroup),
			awsapi.Op("ListScheduleGroups", s.listGroups, awsapi.REST("GET", "/schedule-groups"),
				awsapi.On(func(*awsapi.Call, *listGroupsIn) []string { return []string{s.groupARN("*")} })),
			awsapi.Op("TagResource", s.tagResource, awsapi.REST("POST", "/tags/{ResourceArn}"),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.ResourceArn} })),
			awsapi.Op("UntagResource", s.untagResource, awsapi.REST("DELETE", "/tags/{ResourceArn}"),
				awsapi.On(func(_ *awsapi.Call, in *untagIn) []string { return []string{in.ResourceArn} })),
			awsapi.Op("ListTagsForResource", s.listTags, awsapi.REST("GET", "/tags/{ResourceArn}"),
				awsapi.On(func(_ *awsapi.Call, in *tagRef) []string { return []string{in.ResourceArn} })),
		},
	}
}

func (s *Service) arn(group, name string) string {
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule/" + group + "/" + name
}

func (s *Service) groupARN(name string) string {
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule-group/" + name
}

func orDefault(group string) string {
	if group == "" {
		return defaultGroup
	}
	return group
}

// Wire shapes.
type (
	none        struct{}
	scheduleRef struct {
		Name      string `json:"Name" uri:"Name" api:"min=1,max=64,pattern=schedule name"`
		GroupName string `json:"GroupName,omitempty" query:"groupName" api:"min=1,max=64,pattern=schedule name"`
		Token     string `json:"ClientToken,omitempty" query:"clientToken" api:"min=1,max=64,pattern=schedule client token"`
	}
	flexibleWindow struct {
		Mode    string `json:"Mode" api:"values=OFF|FLEXIBLE"`
		Minutes *int   `json:"MaximumWindowInMinutes,omitempty" api:"min=1,max=1440"`
	}
	deadLetter struct {
		ARN string `json:"Arn,omitempty" api:"min=1,max=1600,pattern=schedule queue"`
	}
	retryPolicy struct {
		MaxAge     *int `json:"MaximumEventAgeInSeconds,omitempty" api:"min=60,max=86400"`
		MaxRetries *int `json:"MaximumRetryAttempts,omitempty" api:"min=0,max=185"`
	}
	sqsParameters struct {
		GroupID string `json:"MessageGroupId,omitempty" api:"min=1,max=128"`
	}
	targetShape struct {
		ARN        string         `json:"Arn" api:"min=1,max=1600"`
		RoleARN    string         `json:"RoleArn" api:"min=1,max=1600,pattern=schedule role"`
		Input      string         `json:"Input,omitempty" api:"min=1"`
		DeadLetter *deadLetter    `json:"DeadLetterConfig,omitempty"`
		Retry      *retryPolicy   `json:"RetryPolicy,omitempty"`
		SQS        *sqsParameters `json:"SqsParameters,omitempty"`
		// Of targets that are not built.
		ECS         map[string]any `json:"EcsParameters,omitempty"`
		EventBridge map[string]any `json:"EventBridgeParameters,omitempty"`
		Kinesis     map[string]any `json:"KinesisParameters,omitempty"`
		SageMaker   map[string]any `json:"SageMakerPipelineParameters,omitempty"`
	}
	// scheduleIn is CreateSchedule and UpdateSchedule.
	scheduleIn struct {
		Name        string          `json:"Name" uri:"Name" api:"min=1,max=64,pattern=schedule name"`
		GroupName   string          `json:"GroupName,omitempty" api:"min=1,max=64,pattern=schedule name"`
		Expression  string          `json:"ScheduleExpression" api:"min=1,max=256"`
		Zone        string          `json:"ScheduleExpressionTimezone,omitempty" api:"min=1,max=50"`
		Start       *awsapi.Time    `json:"StartDate,omitempty"`
		End         *awsapi.Time    `json:"EndDate,omitempty"`
		Description string          `json:"Description,omitempty" api:"max=512"`
		State       string          `json:"State,omitempty" api:"set=schedule states"`
		After       string          `json:"ActionAfterCompletion,omitempty" api:"values=NONE|DELETE"`
		KmsKeyArn   string          `json:"KmsKeyArn,omitempty" api:"min=1,max=2048,pattern=schedule key"`
		Window      *flexibleWindow `json:"FlexibleTimeWindow,omitempty"`
		Target      *targetShape    `json:"Target,omitempty"`
		Token       string          `json:"ClientToken,omitempty" api:"min=1,max=64,pattern=schedule client token"`
	}
	scheduleARN struct {
		ARN string `json:"ScheduleArn"`
	}
	scheduleOut struct {
		ARN         string         `json:"Arn"`
		GroupName   string         `json:"GroupName"`
		Name        string         `json:"Name"`
		Expression  string         `json:"ScheduleExpression"`
		Zone        string         `json:"ScheduleExpressionTimezone"`
		Start       *awsapi.Time   `json:"StartDate,omitempty"`
		End         *awsapi.Time   `json:"EndDate,omitempty"`
		Description string         `json:"Description,omitempty"`
		State       string         `json:"State"`
		After       string         `json:"ActionAfterCompletion"`
		Window      flexibleWindow `json:"FlexibleTimeWindow"`
		Target      targetShape    `json:"Target"`
		Created     awsapi.Time    `json:"CreationDate"`
		Modified    awsapi.Time    `json:"LastModificationDate"`
	}
	listSchedulesIn struct {
		GroupName  string `json:"GroupName,omitempty" query:"ScheduleGroup" api:"min=1,max=64,pattern=schedule name"`
		NamePrefix string `json:"NamePrefix,omitempty" query:"NamePrefix" api:"min=1,max=64,pattern=schedule name"`
		State      string `json:"State,omitempty" query:"State" api:"set=schedule states"`
		MaxResults *int   `json:"MaxResults,omitempty" query:"MaxResults" api:"min=1,max=100"`
		NextToken  string `json:"NextToken,omitempty" query:"NextToken" api:"min=1,max=2048"`
	}
	targetARN struct {
		ARN string `json:"Arn"`
	}
	scheduleSummary struct {
		ARN       string      `json:"Arn"`
		GroupName string      `json:"GroupName"`
		Name      string      `json:"Name"`
		State     string      `json:"State"`
		Target    targetARN   `json:"Target"`
		Created   awsapi.Time `json:"CreationDate"`
		Modified  awsapi.Time `json:"LastModificationDate"`
	}
	listSchedulesOut struct {
		Schedules []scheduleSummary `json:"Schedules"`
		NextToken string            `json:"NextToken,omitempty"`
	}
	tag struct {
		Key   string `json:"Key" api:"min=1,max=128"`
		Value string `json:"Value" api:"min=1,max=256"`
	}
	groupIn struct {
		Name  string `json:"Name" uri:"Name" api:"min=1,max=64,pattern=schedule name"`
		Tags  []tag  `json:"Tags,omitempty" api:"max=200"`
		Token string `json:"ClientToken,omitempty" api:"min=1,max=64,pattern=schedule client token"`
	}
	groupARN struct {
		ARN string `json:"ScheduleGroupArn"`
	}
	groupRef struct {
		Name  string `json:"Name" uri:"Name" api:"min=1,max=64,pattern=schedule name"`
		Token string `json:"ClientToken,omitempty" query:"clientToken" api:"min=1,max=64,pattern=schedule client token"`
	}
	groupOut struct {
		ARN      string      `json:"Arn"`
		Name     string      `json:"Name"`
		State    string      `json:"State"`
		Created  awsapi.Time `json:"CreationDate"`
		Modified awsapi.Time `json:"LastModificationDate"`
	}
	listGroupsIn struct {
		NamePrefix string `json:"NamePrefix,omitempty" query:"NamePrefix" api:"min=1,max=64,pattern=schedule name"`
		MaxResults *int   `json:"MaxResults,omitempty" query:"MaxResults" api:"min=1,max=100"`
		NextToken  string `json:"NextToken,omitempty" query:"NextToken" api:"min=1,max=2048"`
	}
	listGroupsOut struct {
		Groups    []groupOut `json:"ScheduleGroups"`
		NextToken string     `json:"NextToken,omitempty"`
	}
	tagRef struct {
		ResourceArn string `json:"ResourceArn" uri:"ResourceArn" api:"min=1,max=1011,pattern=schedule group arn"`
	}
	tagIn struct {
		ResourceArn string `json:"ResourceArn" uri:"ResourceArn" api:"min=1,max=1011,pattern=schedule group arn"`
		Tags        []tag  `json:"Tags" api:"max=200"`
	}
	untagIn struct {
		ResourceArn string   `json:"ResourceArn" uri:"ResourceArn" api:"min=1,max=1011,pattern=schedule group arn"`
		TagKeys     []string `json:"TagKeys" query:"TagKeys" api:"max=200,each.min=1,each.max=128"`
	}
	tagsOut struct {
		Tags []tag `json:"Tags"`
	}
)

var namePattern = regexp.MustCompile(`^[0-9a-zA-Z-_.]{1,64}$`)

func checkName(member, name string) error {
	if !namePattern.MatchString(name) {
		return errMember(member, name,
			"satisfy regular expression pattern: ^[0-9a-zA-Z-_.]+$ and have length between 1 and 64")
	}
	return nil
}

func describe(s *Service, x schedule) *scheduleOut {
	c := x.Settings
	out := &scheduleOut{
		ARN: s.arn(x.Group, x.Name), GroupName: x.Group, Name: x.Name, Expression: c.Expression, Zone: c.Zone,
		Start: awsapi.TimeOf(c.Start), End: awsapi.TimeOf(c.End),
		Description: c.Description, State: state(c), After: "NONE", Window: flexibleWindow{Mode: "OFF"},
		Created: awsapi.Time{Time: x.Created}, Modified: awsapi.Time{Time: x.Modified},
	}
	if c.DeleteAfter {
		out.After = "DELETE"
	}
	if c.Window > 0 {
		out.Window = flexibleWindow{"FLEXIBLE", &c.Window}
	}
	t := c.Target
	age, retries := t.limits()
	seconds := int(age.Seconds())
	out.Target = targetShape{ARN: t.ARN, RoleARN: t.RoleARN, Input: t.Input, Retry: &retryPolicy{&seconds, &retries}}
	if t.DeadLetter != "" {
		out.Target.DeadLetter = &deadLetter{t.DeadLetter}
	}
	if t.GroupID != "" {
		out.Target.SQS = &sqsParameters{t.GroupID}
	}
	return out
}

func state(c settings) string {
	if c.Disabled {
		return "DISABLED"
	}
	return "ENABLED"
}

func (s *Service) createSchedule(ctx context.Context, c *awsapi.Call, in *scheduleIn) (*scheduleARN, error) {
	given, err := s.check(ctx, c, in)
	if err != nil {
		return nil, err
	}
	now := s.Scheduler.Now()
	x := schedule{Group: orDefault(in.GroupName), Name: in.Name, Settings: given, Created: now, Modified: now,
		Token: in.Token}
	err = s.Store.Update(func(tx *store.Tx) error {
		old, exists, err := scheduleTable.Get(tx, x.Group, x.Name)
		if err != nil {
			return err
		}
		if exists && in.Token != "" && old.Token == in.Token && reflect.DeepEqual(old.Settings, given) {
			return nil // the same request once more
		}
		if exists {
			return errConflict("Schedule %s already exists.", x.Name)
		}
		g, err := s.group(tx, x.Group)
		if err != nil {
			return err
		}
		if g.Deleting {
			return errConflict("Schedule group %s is being deleted.", x.Group)
		}
		return s.put(tx, &x, true)
	})
	return &scheduleARN{s.arn(x.Group, x.Name)}, err
}

func (s *Service) updateSchedule(ctx context.Context, c *awsapi.Call, in *scheduleIn) (*scheduleARN, error) {
	given, err := s.check(ctx, c, in)
	if err != nil {
		return nil, err
	}
	err = s.Store.Update(func(tx *store.Tx) error {
		x, err := s.schedule(tx, in.GroupName, in.Name)
		if err != nil {
			return err
		}
		again := x.Settings.Expression != given.Expression || !x.Settings.Start.Equal(given.Start) ||
			x.Settings.Disabled
		x.Settings, x.Modified = given, s.Scheduler.Now()
		return s.put(tx, &x, again)
	})
	return &scheduleARN{s.arn(orDefault(in.GroupName), in.Name)}, err
}

// schedule finds a schedule.
func (s *Service) schedule(tx *store.Tx, group, name string) (schedule, error) {
	x, ok, err := scheduleTable.Get(tx, orDefault(group), name)
	if err == nil && !ok {
		err = errNotFound("Schedule %s does not exist.", name)
	}
	return x, err
}

func (s *Service) getSchedule(_ context.Context, _ *awsapi.Call, in *scheduleRef) (out *scheduleOut, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		x, err := s.schedule(tx, in.GroupName, in.Name)
		out = describe(s, x)
		return err
	})
	return out, err
}

func (s *Service) deleteSchedule(_ context.Context, _ *awsapi.Call, in *scheduleRef) (*none, error) {
	return &none{}, s.Store.Update(func(tx *store.Tx) error {
		x, err := s.schedule(tx, in.GroupName, in.Name)
		if err != nil {
			return err
		}
		return s.remove(tx, x)
	})
}

// page is the size that was asked for and the key after which to go on.
func page(most *int, token string) (limit int, after []string, err error) {
	limit = awsapi.PageSize(most, 100, 100)
	after, ok := awsapi.PageKey(token)
	if !ok {
		return 0, nil, errValidation("Invalid NextToken.")
	}
	return limit, after, nil
}

func (s *Service) listSchedules(_ context.Context, _ *awsapi.Call, in *listSchedulesIn) (*listSchedulesOut, error) {
	limit, after, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listSchedulesOut{Schedules: []scheduleSummary{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		q := store.Query{After: after}
		if in.GroupName != "" {
			if _, err := s.group(tx, in.GroupName); err != nil {
				return err
			}
			q = store.Query{Prefix: []string{in.GroupName}}
			if len(after) == 2 {
				q.After = after[1:]
			}
		}
		var last []string
		for row, err := range scheduleTable.Scan(tx, q) {
			x := row.Value
			switch {
			case err != nil:
				return err
			case !strings.HasPrefix(x.Name, in.NamePrefix) || in.State != "" && in.State != state(x.Settings):
				continue
			case len(out.Schedules) == limit:
				out.NextToken = awsapi.PageToken(last...)
				return nil
			}
			last = row.Key
			out.Schedules = append(out.Schedules, scheduleSummary{
				ARN: s.arn(x.Group, x.Name), GroupName: x.Group, Name: x.Name, State: state(x.Settings),
				Target:  targetARN{x.Settings.Target.ARN},
				Created: awsapi.Time{Time: x.Created}, Modified: awsapi.Time{Time: x.Modified},
			})
		}
		return nil
	})
}

// group finds a group.
func (s *Service) group(tx *store.Tx, name string) (group, error) {
	g, ok, err := groupTable.Get(tx, name)
	switch {
	case err != nil:
		return g, err
	case ok:
		return g, nil
	case name == defaultGroup:
		return group{Name: name}, nil
	}
	return g, errNotFound("Schedule group %s does not exist.", name)
}

func (s *Service) describeGroup(g group) groupOut {
	out := groupOut{s.groupARN(g.Name), g.Name, "ACTIVE", awsapi.Time{Time: g.Created}, awsapi.Time{Time: g.Modified}}
	if g.Deleting {
		out.State = "DELETING"
	}
	return out
}

func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return errValidation("A resource can have at most 50 tags.")
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || v == "" || len(v) > 256 {
			return errValidation("Tag keys have 1 to 128 characters, values 1 to 256.")
		}
	}
	return nil
}

func (s *Service) createGroup(_ context.Context, _ *awsapi.Call, in *groupIn) (*groupARN, error) {
	if err := checkName("name", in.Name); err != nil {
		return nil, err
	}
	now := s.Scheduler.Now()
	g := group{Name: in.Name, Created: now, Modified: now, Token: in.Token}
	for _, t := range in.Tags {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		g.Tags[t.Key] = t.Value
	}
	if err := checkTags(g.Tags); err != nil {
		return nil, err
	}
	return &groupARN{s.groupARN(in.Name)}, s.Store.Update(func(tx *store.Tx) error {
		old, exists, err := groupTable.Get(tx, in.Name)
		if err != nil {
			return err
		}
		if exists && in.Token != "" && old.Token == in.Token && maps.Equal(old.Tags, g.Tags) {
			return nil
		}
		if exists || in.Name == defaultGroup {
			return errConflict("Schedule group %s already exists.", in.Name)
		}
		return groupTable.Put(tx, g, g.Name)
	})
}

func (s *Service) getGroup(_ context.Context, _ *awsapi.Call, in *groupRef) (*groupOut, error) {
	var out groupOut
	return &out, s.Store.View(func(tx *store.Tx) error {
		g, err := s.group(tx, in.Name)
		out = s.describeGroup(g)
		return err
	})
}

// deleteGroup deletes a group and its schedules; they are gone once the group is.
func (s *Service) deleteGroup(_ context.Context, _ *awsapi.Call, in *groupRef) (*none, error) {
	if in.Name == defaultGroup {
		return nil, errValidation("The default schedule group cannot be deleted.")
	}
	return &none{}, s.Store.Update(func(tx *store.Tx) error {
		g, err := s.group(tx, in.Name)
		if err != nil {
			return err
		}
		if g.Deleting {
			return errConflict("Schedule group %s is being deleted.", in.Name)
		}
		g.Deleting, g.Modified = true, s.Scheduler.Now()
		tx.OnCommit(func() { s.emptyLater(g.Name) })
		return groupTable.Put(tx, g, g.Name)
	})
}

func (s *Service) listGroups(_ context.Context, _ *awsapi.Call, in *listGroupsIn) (*listGroupsOut, error) {
	limit, after, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listGroupsOut{Groups: []groupOut{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		all := []group{{Name: defaultGroup}}
		for row, err := range groupTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Name == defaultGroup { // it has tags
				all = all[1:]
			}
			all = append(all, row.Value)
		}
		slices.SortFunc(all, func(a, b group) int { return strings.Compare(a.Name, b.Name) })
		for _, g := range all {
			if !strings.HasPrefix(g.Name, in.NamePrefix) || len(after) > 0 && g.Name <= after[0] {
				continue
			}
			if n := len(out.Groups); n == limit {
				out.NextToken = awsapi.PageToken(out.Groups[n-1].Name)
				return nil
			}
			out.Groups = append(out.Groups, s.describeGroup(g))
		}
		return nil
	})
}

// changeTags changes the tags of a group; schedules have none.
func (s *Service) changeTags(arn string, change func(map[string]string)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		g, err := s.groupOf(tx, arn)
		if err != nil {
			return err
		}
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		change(g.Tags)
		if err := checkTags(g.Tags); err != nil {
			return err
		}
		return groupTable.Put(tx, g, g.Name)
	})
}

func (s *Service) groupOf(tx *store.Tx, arn string) (group, error) {
	name, ok := strings.CutPrefix(arn, s.groupARN(""))
	if !ok {
		return group{}, errMember("resourceArn", arn, "be the ARN of a schedule group")
	}
	return s.group(tx, name)
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*none, error) {
	return &none{}, s.changeTags(in.ResourceArn, func(tags map[string]string) {
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
	})
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *untagIn) (*none, error) {
	return &none{}, s.changeTags(in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *tagRef) (*tagsOut, error) {
	out := &tagsOut{Tags: []tag{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		g, err := s.groupOf(tx, in.ResourceArn)
		for _, k := range slices.Sorted(maps.Keys(g.Tags)) {
			out.Tags = append(out.Tags, tag{k, g.Tags[k]})
		}
		return err
	})
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("schedule states", "ENABLED DISABLED")
)
