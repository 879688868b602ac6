package cloudwatchlogs

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type getEventsIn struct {
	LogGroupName       string `json:"logGroupName,omitempty" api:"min=1,max=512,pattern=log group name"`
	LogGroupIdentifier string `json:"logGroupIdentifier,omitempty" api:"min=1,max=2048,pattern=log group identifier"`
	LogStreamName      string `json:"logStreamName" api:"min=1,max=512,pattern=log stream name"`
	StartTime          *int64 `json:"startTime,omitempty" api:"min=0"`
	EndTime            *int64 `json:"endTime,omitempty" api:"min=0"`
	Limit              *int   `json:"limit,omitempty" api:"min=1,max=10000"`
	StartFromHead      bool   `json:"startFromHead,omitempty"`
	Token              string `json:"nextToken,omitempty" api:"min=1"`
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
	limit := awsapi.PageSize(in.Limit, maxReturn, maxReturn)
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
	LogGroupName        string   `json:"logGroupName,omitempty" api:"min=1,max=512,pattern=log group name"`
	LogGroupIdentifier  string   `json:"logGroupIdentifier,omitempty" api:"min=1,max=2048,pattern=log group identifier"`
	LogStreamNames      []string `json:"logStreamNames,omitempty" api:"min=1,max=100,each.min=1,each.max=512,each.pattern=log stream name"`
	LogStreamNamePrefix string   `json:"logStreamNamePrefix,omitempty" api:"min=1,max=512,pattern=log stream name"`
	StartTime           *int64   `json:"startTime,omitempty" api:"min=0"`
	EndTime             *int64   `json:"endTime,omitempty" api:"min=0"`
	FilterPattern       string   `json:"filterPattern,omitempty" api:"max=1024"`
	Limit               *int     `json:"limit,omitempty" api:"min=1,max=10000"`
	Token               string   `json:"nextToken,omitempty" api:"min=1"`
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
				len(in.LogStreamNames) > 0 && !slices.Contains(in.LogStreamNames, st) ||
				!pattern.matches(row.Value.Message) {
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
	if limit := awsapi.PageSize(in.Limit, maxReturn, maxReturn); len(out.Events) > limit {
		out.Events = out.Events[:limit]
		out.NextToken = awsapi.PageToken(out.Events[limit-1].EventID)
	}
	return out, err
}
