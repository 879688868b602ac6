package iotdataplane

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// retainedRecord is under the topic.
type retainedRecord struct {
	Message      Message
	LastModified time.Time
}

// sessionRecord is a persistent session, under the client ID.
type sessionRecord struct {
	Expiry         time.Duration
	DisconnectedAt time.Time `json:",omitzero"` // zero while connected
	Subscriptions  []Subscription
}

// presenceRecord is what is remembered of a client ID's connections, under the
// client ID.
type presenceRecord struct {
	Version uint64 // number of the latest connection
	Presence
}

// connectedRecord is there while a client is connected, under the client ID.
type connectedRecord struct {
	Will *Message `json:",omitempty"`
}

var (
	retainedTable  = store.NewTable[retainedRecord]("iotdataplane.retained").Versions(store.JSON)
	sessionTable   = store.NewTable[sessionRecord]("iotdataplane.session").Versions(store.JSON)
	presenceTable  = store.NewTable[presenceRecord]("iotdataplane.presence").Versions(store.JSON)
	connectedTable = store.NewTable[connectedRecord]("iotdataplane.connected").Versions(store.JSON)
	// queuedTable holds the copies for persistent sessions: client ID, number.
	queuedTable = store.NewTable[Message]("iotdataplane.queued").Versions(store.JSON)
)
