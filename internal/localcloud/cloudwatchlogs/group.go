package cloudwatchlogs

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type createGroupIn struct {
	LogGroupName              string            `json:"logGroupName" api:"min=1,max=512,pattern=log group name"`
	KMSKeyID                  string            `json:"kmsKeyId,omitempty" api:"max=256"`
	Tags                      map[string]string `json:"tags,omitempty" api:"min=1,max=50,each.max=256,each.pattern=tag text,key.min=1,key.max=128,key.pattern=log tag key"`
	LogGroupClass             string            `json:"logGroupClass,omitempty" api:"values=STANDARD|INFREQUENT_ACCESS|DELIVERY"`
	DeletionProtectionEnabled bool              `json:"deletionProtectionEnabled,omitempty"`
}

var (
	groupPattern  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamPattern = regexp.MustCompile(`^[^:*]{1,512}$`)
	retentions    = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
		3288, 3653}
)

func (s *Service) createGroup(_ context.Context, _ *awsapi.Call, in *createGroupIn) (*nothing, error) {
	if !groupPattern.MatchString(in.LogGroupName) {
		return nil, errInvalid("logGroupName: %q is not 1 to 512 of a-z, A-Z, 0-9, '_', '-', '/', '.' and '#'",
			in.LogGroupName)
	}
	g := group{Name: in.LogGroupName, Created: s.now(), Class: in.LogGroupClass, KMSKey: in.KMSKeyID, Tags: in.Tags}
	if g.Class == "" {
		g.Class = "STANDARD"
	}
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := groups.Get(tx, g.Name); err != nil {
			return err
		} else if ok {
			return errGroup
		}
		return groups.Put(tx, g, g.Name)
	})
}

func (s *Service) deleteGroup(_ context.Context, _ *awsapi.Call, in *groupRef) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		if _, err := find(tx, in.LogGroupName); err != nil {
			return err
		}
		if err := events.DeleteAll(tx, in.LogGroupName); err != nil {
			return err
		}
		if err := streams.DeleteAll(tx, in.LogGroupName); err != nil {
			return err
		}
		return groups.Delete(tx, in.LogGroupName)
	})
}

func find(tx *store.Tx, name string) (group, error) {
	g, ok, err := groups.Get(tx, groupName(name))
	if err == nil && !ok {
		err = errNoGroup
	}
	return g, err
}

type describeGroupsIn struct {
	Prefix  string `json:"logGroupNamePrefix,omitempty" api:"min=1,max=512,pattern=log group name"`
	Pattern string `json:"logGroupNamePattern,omitempty" api:"max=512,pattern=log group pattern"`
	Limit   *int   `json:"limit,omitempty" api:"min=1,max=50"`
	Token   string `json:"nextToken,omitempty" api:"min=1"`
	Class   string `json:"logGroupClass,omitempty" api:"values=STANDARD|INFREQUENT_ACCESS|DELIVERY"`
}

type groupOut struct {
	LogGroupName      string `json:"logGroupName"`
	Arn               string `json:"arn"`
	LogGroupArn       string `json:"logGroupArn"`
	CreationTime      int64  `json:"creationTime"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	MetricFilterCount int    `json:"metricFilterCount"`
	StoredBytes       int64  `json:"storedBytes"`
	LogGroupClass     string `json:"logGroupClass"`
	KMSKeyID          string `json:"kmsKeyId,omitempty"`
}

type describeGroupsOut struct {
	LogGroups []groupOut `json:"logGroups"`
	NextToken string     `json:"nextToken,omitempty"`
}

func (s *Service) describeGroups(_ context.Context, _ *awsapi.Call, in *describeGroupsIn) (*describeGroupsOut, error) {
	after, err := fromToken(in.Token)
	if err != nil {
		return nil, err
	}
	out := &describeGroupsOut{LogGroups: []groupOut{}}
	limit := awsapi.PageSize(in.Limit, 50, 50)
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range groups.Scan(tx, store.Query{Begins: in.Prefix, After: after}) {
			if err != nil {
				return err
			}
			g := row.Value
			if !strings.HasPrefix(g.Name, in.Prefix) || in.Pattern != "" && !strings.Contains(strings.ToLower(g.Name),
				strings.ToLower(in.Pattern)) || in.Class != "" && in.Class != g.Class {
				continue
			}
			if len(out.LogGroups) == limit {
				out.NextToken = awsapi.PageToken(out.LogGroups[limit-1].LogGroupName)
				return nil
			}
			o := groupOut{LogGroupName: g.Name, Arn: s.arn(g.Name) + ":*", LogGroupArn: s.arn(g.Name),
				CreationTime: g.Created, RetentionInDays: g.Retention, LogGroupClass: g.Class, KMSKeyID: g.KMSKey}
			for st, err := range streams.Scan(tx, store.Query{Prefix: []string{g.Name}}) {
				if err != nil {
					return err
				}
				o.StoredBytes += st.Value.Bytes
			}
			out.LogGroups = append(out.LogGroups, o)
		}
		return nil
	})
}

type retentionIn struct {
	LogGroupName    string `json:"logGroupName" api:"min=1,max=512,pattern=log group name"`
	RetentionInDays int    `json:"retentionInDays"`
}

func (s *Service) change(name string, fn func(g *group)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		g, err := find(tx, name)
		if err != nil {
			return err
		}
		fn(&g)
		return groups.Put(tx, g, g.Name)
	})
}

func (s *Service) putRetention(_ context.Context, _ *awsapi.Call, in *retentionIn) (*nothing, error) {
	if !slices.Contains(retentions, in.RetentionInDays) {
		return nil, errInvalid("retentionInDays: %d is none of %v", in.RetentionInDays, retentions)
	}
	return &nothing{}, s.change(in.LogGroupName, func(g *group) { g.Retention = in.RetentionInDays })
}

func (s *Service) deleteRetention(_ context.Context, _ *awsapi.Call, in *groupRef) (*nothing, error) {
	return &nothing{}, s.change(in.LogGroupName, func(g *group) { g.Retention = 0 })
}
