package cloudwatchlogs

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type streamRef struct {
	LogGroupName  string `json:"logGroupName" api:"min=1,max=512,pattern=log group name"`
	LogStreamName string `json:"logStreamName" api:"min=1,max=512,pattern=log stream name"`
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
	LogGroupName       string `json:"logGroupName,omitempty" api:"min=1,max=512,pattern=log group name"`
	LogGroupIdentifier string `json:"logGroupIdentifier,omitempty" api:"min=1,max=2048,pattern=log group identifier"`
	Prefix             string `json:"logStreamNamePrefix,omitempty" api:"min=1,max=512,pattern=log stream name"`
	OrderBy            string `json:"orderBy,omitempty" api:"values=LogStreamName|LastEventTime"`
	Descending         bool   `json:"descending,omitempty"`
	Limit              *int   `json:"limit,omitempty" api:"min=1,max=50"`
	Token              string `json:"nextToken,omitempty" api:"min=1"`
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

func (s *Service) describeStreams(_ context.Context, _ *awsapi.Call,
	in *describeStreamsIn) (*describeStreamsOut, error) {
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
	limit := awsapi.PageSize(in.Limit, 50, 50)
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
