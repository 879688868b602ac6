package cloudwatchlogs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type nothing struct{}

type groupRef struct {
	LogGroupName string `json:"logGroupName"`
}

type createGroupIn struct {
	LogGroupName              string            `json:"logGroupName"`
	KMSKeyID                  string            `json:"kmsKeyId,omitempty"`
	Tags                      map[string]string `json:"tags,omitempty"`
	LogGroupClass             string            `json:"logGroupClass,omitempty"`
	DeletionProtectionEnabled bool              `json:"deletionProtectionEnabled,omitempty"`
}

var (
	groupPattern  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamPattern = regexp.MustCompile(`^[^:*]{1,512}$`)
	retentions    = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

func (s *Service) createGroup(_ context.Context, _ *awsapi.Call, in *createGroupIn) (*nothing, error) {
	if !groupPattern.MatchString(in.LogGroupName) {
		return nil, errInvalid("logGroupName: %q is not 1 to 512 of a-z, A-Z, 0-9, '_', '-', '/', '.' and '#'", in.LogGroupName)
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

// fromToken is the key after which a list goes on.
func fromToken(token string) ([]string, error) {
	key, ok := awsapi.PageAfter(token, 1)
	if !ok {
		return nil, errInvalid("The specified nextToken is invalid.")
	}
	return key, nil
}

func pageSize(limit, most int) int {
	if limit <= 0 || limit > most {
		return most
	}
	return limit
}

type describeGroupsIn struct {
	Prefix  string `json:"logGroupNamePrefix,omitempty"`
	Pattern string `json:"logGroupNamePattern,omitempty"`
	Limit   int    `json:"limit,omitempty"`
	Token   string `json:"nextToken,omitempty"`
	Class   string `json:"logGroupClass,omitempty"`
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
	limit := pageSize(in.Limit, 50)
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range groups.Scan(tx, store.Query{Begins: in.Prefix, After: after}) {
			if err != nil {
				return err
			}
			g := row.Value
			if !strings.HasPrefix(g.Name, in.Prefix) || in.Pattern != "" && !strings.Contains(strings.ToLower(g.Name), strings.ToLower(in.Pattern)) || in.Class != "" && in.Class != g.Class {
				continue
			}
			if len(out.LogGroups) == limit {
				out.NextToken = awsapi.PageToken(out.LogGroups[limit-1].LogGroupName)
				return nil
			}
			o := groupOut{LogGroupName: g.Name, Arn: s.arn(g.Name) + ":*", LogGroupArn: s.arn(g.Name), CreationTime: g.Created, RetentionInDays: g.Retention, LogGroupClass: g.Class, KMSKeyID: g.KMSKey}
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
	LogGroupName    string `json:"logGroupName"`
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

type streamRef struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
}

func (s *Service) createStream(_ context.Context, _ *awsapi.Call, in *streamRef) (*nothing, error) {
	if !streamPattern.MatchString(in.LogStreamName) {
		return nil, errInvalid("logStreamName: %q is not 1 to 512 characters without ':' and '*'", in.LogStreamName)
	}
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		if _, err := find(tx, in.LogGroupName); err != nil {
			return err
		}
		if _, ok, err := streams.Get(tx, in.LogGroupName, in.LogStreamName); err != nil {
			return err
		} else if ok {
			return errStream
		}
		return streams.Put(tx, stream{Name: in.LogStreamName, Created: s.now()}, in.LogGroupName, in.LogStreamName)
	})
}

func (s *Service) deleteStream(_ context.Context, _ *awsapi.Call, in *streamRef) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		if _, err := findStream(tx, in.LogGroupName, in.LogStreamName); err != nil {
			return err
		}
		if err := events.DeleteAll(tx, in.LogGroupName, in.LogStreamName); err != nil {
			return err
		}
		return streams.Delete(tx, in.LogGroupName, in.LogStreamName)
	})
}

func findStream(tx *store.Tx, g, name string) (stream, error) {
	if _, err := find(tx, g); err != nil {
		return stream{}, err
	}
	st, ok, err := streams.Get(tx, groupName(g), name)
	if err == nil && !ok {
		err = errNoStream
	}
	return st, err
}

type describeStreamsIn struct {
	LogGroupName       string `json:"logGroupName,omitempty"`
	LogGroupIdentifier string `json:"logGroupIdentifier,omitempty"`
	Prefix             string `json:"logStreamNamePrefix,omitempty"`
	OrderBy            string `json:"orderBy,omitempty"`
	Descending         bool   `json:"descending,omitempty"`
	Limit              int    `json:"limit,omitempty"`
	Token              string `json:"nextToken,omitempty"`
}

type streamOut struct {
	LogStreamName       string `json:"logStreamName"`
	Arn                 string `json:"arn"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken"`
	StoredBytes         int64  `json:"storedBytes"`
}

type describeStreamsOut struct {
	LogStreams []streamOut `json:"logStreams"`
	NextToken  string      `json:"nextToken,omitempty"`
}

func (s *Service) describeStreams(_ context.Context, _ *awsapi.Call, in *describeStreamsIn) (*describeStreamsOut, error) {
	name := groupName(in.LogGroupName + in.LogGroupIdentifier)
	if in.OrderBy == "LastEventTime" && in.Prefix != "" {
		return nil, errInvalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	after, err := fromToken(in.Token)
	if err != nil {
		return nil, err
	}
	var all []stream
	err = s.Store.View(func(tx *store.Tx) error {
		if _, err := find(tx, name); err != nil {
			return err
		}
		for row, err := range streams.Scan(tx, store.Query{Prefix: []string{name}, Begins: in.Prefix}) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if in.OrderBy == "LastEventTime" {
		sort.SliceStable(all, func(i, j int) bool { return all[i].Last < all[j].Last })
	}
	if in.Descending {
		slices.Reverse(all)
	}
	if after != nil {
		i := slices.IndexFunc(all, func(st stream) bool { return st.Name == after[0] })
		all = all[i+1:]
	}
	out := &describeStreamsOut{LogStreams: []streamOut{}}
	limit := pageSize(in.Limit, 50)
	for i, st := range all {
		if i == limit {
			out.NextToken = awsapi.PageToken(all[i-1].Name)
			break
		}
		out.LogStreams = append(out.LogStreams, streamOut{
			LogStreamName: st.Name, Arn: s.arn(name) + ":log-stream:" + st.Name, CreationTime: st.Created,
			FirstEventTimestamp: st.First, LastEventTimestamp: st.Last, LastIngestionTime: st.Ingest,
			UploadSequenceToken: fmt.Sprintf("%056d", st.Next), StoredBytes: st.Bytes,
		})
	}
	return out, nil
}

type inputEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

type putEventsIn struct {
	LogGroupName  string       `json:"logGroupName"`
	LogStreamName string       `json:"logStreamName"`
	LogEvents     []inputEvent `json:"logEvents"`
	SequenceToken string       `json:"sequenceToken,omitempty"`
}

type rejected struct {
	TooNewStart *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldEnd   *int `json:"tooOldLogEventEndIndex,omitempty"`
	ExpiredEnd  *int `json:"expiredLogEventEndIndex,omitempty"`
}

type putEventsOut struct {
	NextSequenceToken string    `json:"nextSequenceToken"`
	Rejected          *rejected `json:"rejectedLogEventsInfo,omitempty"`
}

// Limits of PutLogEvents; times in milliseconds.
const (
	day       = 24 * 60 * 60 * 1000
	tooOld    = 14 * day
	tooNew    = 2 * 60 * 60 * 1000
	maxBatch  = 10000
	maxBytes  = 1 << 20
	perEvent  = 26 // bytes that an event counts beside its message
	maxReturn = 10000
)

// target is where the events go. What the records refer to is shared.
func (in *putEventsIn) target(tx *store.Tx) (g group, st stream, err error) {
	name := groupName(in.LogGroupName)
	g, ok, err := groups.Shared(tx, name)
	if err != nil {
		return g, st, err
	}
	if !ok {
		return g, st, errNoGroup
	}
	st, ok, err = streams.Shared(tx, name, in.LogStreamName)
	if err == nil && !ok {
		err = errNoStream
	}
	return g, st, err
}

func (s *Service) putEvents(ctx context.Context, _ *awsapi.Call, in *putEventsIn) (*putEventsOut, error) {
	size := 0
	for i, e := range in.LogEvents {
		size += len(e.Message) + perEvent
		if e.Message == "" {
			return nil, errInvalid("logEvents.%d.message must have at least one character", i+1)
		}
		if i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp {
			return nil, errInvalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if n := len(in.LogEvents); n == 0 || n > maxBatch || size > maxBytes {
		return nil, errInvalid("logEvents: %d events of %d bytes; allowed are 1 to %d events of at most %d bytes together", n, size, maxBatch, maxBytes)
	}
	if s.Discard {
		return s.discard(ctx, in)
	}
	now := s.now()
	out := &putEventsOut{}
	var documents []string
	err := s.Store.Update(func(tx *store.Tx) error {
		g, st, err := in.target(tx)
		if err != nil {
			return err
		}
		horizon := s.horizon(g)
		r := rejected{}
		for i, e := range in.LogEvents {
			next := i + 1
			switch {
			case e.Timestamp < now-tooOld:
				r.TooOldEnd = &next
				continue
			case e.Timestamp < horizon:
				r.ExpiredEnd = &next
				continue
			case e.Timestamp > now+tooNew:
				if r.TooNewStart == nil {
					r.TooNewStart = &i
				}
				continue
			}
			if err := events.Put(tx, event{e.Message, now}, g.Name, st.Name, store.Number(uint64(e.Timestamp)), store.Number(st.Next)); err != nil {
				return err
			}
			st.Next++
			st.Bytes += int64(len(e.Message) + perEvent)
			if st.First == 0 || e.Timestamp < st.First {
				st.First = e.Timestamp
			}
			st.Last = max(st.Last, e.Timestamp)
			st.Ingest = now
			if mayBeEMF(e.Message) {
				documents = append(documents, e.Message)
			}
		}
		if r != (rejected{}) {
			out.Rejected = &r
		}
		out.NextSequenceToken = fmt.Sprintf("%056d", st.Next)
		return streams.Put(tx, st, g.Name, st.Name)
	})
	if err != nil {
		return nil, err
	}
	s.measure(ctx, documents)
	return out, nil
}

// measure takes the metrics out of messages that may hold some.
func (s *Service) measure(ctx context.Context, documents []string) {
	if s.Metrics == nil {
		return
	}
	for _, d := range documents {
		s.Metrics.PutEMF(ctx, []byte(d))
	}
}

// discard is putEvents where nothing is kept. No token follows from it.
func (s *Service) discard(ctx context.Context, in *putEventsIn) (*putEventsOut, error) {
	err := s.Store.View(func(tx *store.Tx) error {
		_, _, err := in.target(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var documents []string
	for _, e := range in.LogEvents {
		if mayBeEMF(e.Message) {
			documents = append(documents, e.Message)
		}
	}
	s.measure(ctx, documents)
	return &putEventsOut{NextSequenceToken: fmt.Sprintf("%056d", 0)}, nil
}

type getEventsIn struct {
	LogGroupName       string `json:"logGroupName,omitempty"`
	LogGroupIdentifier string `json:"logGroupIdentifier,omitempty"`
	LogStreamName      string `json:"logStreamName"`
	StartTime          *int64 `json:"startTime,omitempty"`
	EndTime            *int64 `json:"endTime,omitempty"`
	Limit              int    `json:"limit,omitempty"`
	StartFromHead      bool   `json:"startFromHead,omitempty"`
	Token              string `json:"nextToken,omitempty"`
}

type outputEvent struct {
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
}

type getEventsOut struct {
	Events            []outputEvent `json:"events"`
	NextForwardToken  string        `json:"nextForwardToken"`
	NextBackwardToken string        `json:"nextBackwardToken"`
}

// position is a token of GetLogEvents: "f/" or "b/", time, number.
func position(direction string, at [2]uint64) string {
	return direction + "/" + fmt.Sprintf("%020d%020d", at[0], at[1])
}

func parsePosition(token string) (direction string, at [2]uint64, err error) {
	direction, rest, ok := strings.Cut(token, "/")
	if !ok || len(rest) != 40 || direction != "f" && direction != "b" {
		return "", at, errInvalid("The specified nextToken is invalid.")
	}
	for i := range at {
		if at[i], err = strconv.ParseUint(rest[20*i:20*i+20], 10, 64); err != nil {
			return "", at, errInvalid("The specified nextToken is invalid.")
		}
	}
	return direction, at, nil
}

func key(at [2]uint64) []string { return []string{store.Number(at[0]), store.Number(at[1])} }

func (s *Service) getEvents(_ context.Context, _ *awsapi.Call, in *getEventsIn) (*getEventsOut, error) {
	name := groupName(in.LogGroupName + in.LogGroupIdentifier)
	q := store.Query{Prefix: []string{name, in.LogStreamName}, Reverse: !in.StartFromHead}
	var from [2]uint64
	if in.Token != "" {
		direction, at, err := parsePosition(in.Token)
		if err != nil {
			return nil, err
		}
		q.Reverse, q.After, from = direction == "b", key(at), at
	}
	limit := pageSize(in.Limit, maxReturn)
	out := &getEventsOut{Events: []outputEvent{}}
	first, last := from, from
	err := s.Store.View(func(tx *store.Tx) error {
		g, err := find(tx, name)
		if err != nil {
			return err
		}
		if _, err := findStream(tx, name, in.LogStreamName); err != nil {
			return err
		}
		horizon := s.horizon(g)
		for row, err := range events.Scan(tx, q) {
			if err != nil {
				return err
			}
			at := [2]uint64{store.ParseNumber(row.Key[2]), store.ParseNumber(row.Key[3])}
			ts := int64(at[0])
			if ts < horizon || in.StartTime != nil && ts < *in.StartTime || in.EndTime != nil && ts >= *in.EndTime {
				continue
			}
			if len(out.Events) == limit {
				break
			}
			if len(out.Events) == 0 {
				first = at
			}
			last = at
			out.Events = append(out.Events, outputEvent{ts, row.Value.Message, row.Value.Ingest})
		}
		return nil
	})
	if q.Reverse {
		slices.Reverse(out.Events)
		first, last = last, first
	}
	out.NextForwardToken, out.NextBackwardToken = position("f", last), position("b", first)
	return out, err
}

type filterIn struct {
	LogGroupName        string   `json:"logGroupName,omitempty"`
	LogGroupIdentifier  string   `json:"logGroupIdentifier,omitempty"`
	LogStreamNames      []string `json:"logStreamNames,omitempty"`
	LogStreamNamePrefix string   `json:"logStreamNamePrefix,omitempty"`
	StartTime           *int64   `json:"startTime,omitempty"`
	EndTime             *int64   `json:"endTime,omitempty"`
	FilterPattern       string   `json:"filterPattern,omitempty"`
	Limit               int      `json:"limit,omitempty"`
	Token               string   `json:"nextToken,omitempty"`
}

type filteredEvent struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId"`
}

type filterOut struct {
	Events             []filteredEvent `json:"events"`
	SearchedLogStreams []any           `json:"searchedLogStreams"`
	NextToken          string          `json:"nextToken,omitempty"`
}

func (s *Service) filterEvents(_ context.Context, _ *awsapi.Call, in *filterIn) (*filterOut, error) {
	name := groupName(in.LogGroupName + in.LogGroupIdentifier)
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "" {
		return nil, errInvalid("logStreamNames and logStreamNamePrefix may not be given together")
	}
	pattern, err := parsePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	after, err := fromToken(in.Token)
	if err != nil {
		return nil, err
	}
	out := &filterOut{Events: []filteredEvent{}, SearchedLogStreams: []any{}}
	err = s.Store.View(func(tx *store.Tx) error {
		g, err := find(tx, name)
		if err != nil {
			return err
		}
		horizon := s.horizon(g)
		for row, err := range events.Scan(tx, store.Query{Prefix: []string{name}, Begins: in.LogStreamNamePrefix}) {
			if err != nil {
				return err
			}
			st, ts := row.Key[1], int64(store.ParseNumber(row.Key[2]))
			if ts < horizon || in.StartTime != nil && ts < *in.StartTime || in.EndTime != nil && ts > *in.EndTime ||
				len(in.LogStreamNames) > 0 && !slices.Contains(in.LogStreamNames, st) || !pattern.matches(row.Value.Message) {
				continue
			}
			id := fmt.Sprintf("%020d%020d/%s", ts, store.ParseNumber(row.Key[3]), st)
			if after != nil && id <= after[0] {
				continue
			}
			out.Events = append(out.Events, filteredEvent{st, ts, row.Value.Message, row.Value.Ingest, id})
		}
		return nil
	})
	sort.Slice(out.Events, func(i, j int) bool { return out.Events[i].EventID < out.Events[j].EventID })
	if limit := pageSize(in.Limit, maxReturn); len(out.Events) > limit {
		out.Events = out.Events[:limit]
		out.NextToken = awsapi.PageToken(out.Events[limit-1].EventID)
	}
	return out, err
}

// pattern is a filter pattern of terms.
type pattern struct{ all, any, none []string }

func parsePattern(src string) (pattern, error) {
	var p pattern
	rest := strings.TrimSpace(src)
	if strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, "%") {
		return p, awsapi.NotBuilt("filter patterns for JSON, columns and regular expressions (filterPattern)")
	}
	for rest != "" {
		to := &p.all
		switch rest[0] {
		case '?':
			to, rest = &p.any, rest[1:]
		case '-':
			to, rest = &p.none, rest[1:]
		}
		term := rest
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return p, errInvalid("filterPattern: a quotation mark is not closed")
			}
			term, rest = rest[1:end+1], rest[end+2:]
		} else if i := strings.IndexAny(rest, " \t"); i >= 0 {
			term, rest = rest[:i], rest[i:]
		} else {
			rest = ""
		}
		if term != "" {
			*to = append(*to, term)
		}
		rest = strings.TrimSpace(rest)
	}
	return p, nil
}

func (p pattern) matches(message string) bool {
	in := func(term string) bool { return strings.Contains(message, term) }
	for _, t := range p.all {
		if !in(t) {
			return false
		}
	}
	return !slices.ContainsFunc(p.none, in) && (len(p.any) == 0 || slices.ContainsFunc(p.any, in))
}

type tagIn struct {
	LogGroupName string            `json:"logGroupName,omitempty"`
	ResourceArn  string            `json:"resourceArn,omitempty"`
	Tags         map[string]string `json:"tags"`
}

func (s *Service) tag(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.change(in.LogGroupName+in.ResourceArn, func(g *group) {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		for k, v := range in.Tags {
			g.Tags[k] = v
		}
	})
}

type untagIn struct {
	ResourceArn string   `json:"resourceArn"`
	TagKeys     []string `json:"tagKeys,omitempty"`
}

func (s *Service) untag(_ context.Context, _ *awsapi.Call, in *untagIn) (*nothing, error) {
	return &nothing{}, s.change(in.ResourceArn, func(g *group) {
		for _, k := range in.TagKeys {
			delete(g.Tags, k)
		}
	})
}

type tagsOut struct {
	Tags map[string]string `json:"tags"`
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *untagIn) (*tagsOut, error) {
	out := &tagsOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		g, err := find(tx, in.ResourceArn)
		out.Tags = g.Tags
		return err
	})
}
