package cloudwatchlogs

import (
	"encoding/binary"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	groups  = store.NewTable[group]("cloudwatchlogs.group").Versions(store.JSON)   // key: name
	streams = store.NewTable[stream]("cloudwatchlogs.stream").Versions(store.JSON) // key: group, name
	// key: group, stream, time in ms, number
	events = store.NewTable[event]("cloudwatchlogs.event")
)

// group is a log group; times are milliseconds since the epoch.
type group struct {
	Name      string
	Created   int64
	Retention int // days; 0 is for ever
	Class     string
	KMSKey    string
	Tags      map[string]string
}

type stream struct {
	Name    string
	Created int64
	First   int64 // time of the earliest event, 0 if there is none
	Last    int64 // time of the latest event
	Ingest  int64 // when the last event came
	Bytes   int64
	Next    uint64 // number of the next event
}

type event struct {
	Message string
	Ingest  int64
}

// AppendRecord implements store.Record: the time, then the message.
func (e *event) AppendRecord(b []byte) []byte {
	return append(binary.AppendVarint(b, e.Ingest), e.Message...)
}

// DecodeRecord implements store.Record.
func (e *event) DecodeRecord(b []byte) error {
	ingest, n := binary.Varint(b)
	if n <= 0 {
		return errors.New("cloudwatchlogs: not an event's record")
	}
	e.Ingest, e.Message = ingest, string(b[n:])
	return nil
}
