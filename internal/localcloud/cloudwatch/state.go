package cloudwatch

import "github.com/fleetstep/fleetstep/internal/localcloud/store"

var (
	// key: namespace, name, dimensions
	metrics = store.NewTable[metric]("cloudwatch.metric").Versions(store.JSON)
	// key: namespace, name, dimensions, start, width, unit
	buckets = store.NewTable[bucket]("cloudwatch.bucket").Versions(store.JSON)
	alarms  = store.NewTable[alarm]("cloudwatch.alarm").Versions(store.JSON)         // key: name
	history = store.NewTable[historyItem]("cloudwatch.history").Versions(store.JSON) // key: alarm, ms, id
	// key: ms, id; actions still to be run
	actions    = store.NewTable[action]("cloudwatch.action").Versions(store.JSON)
	dashboards = store.NewTable[dashboard]("cloudwatch.dashboard").Versions(store.JSON)   // key: name
	tags       = store.NewTable[map[string]string]("cloudwatch.tag").Versions(store.JSON) // key: ARN
)

// Dimension is a name and value that belong to a metric's identity.
type Dimension struct {
	Name  string `json:"Name" api:"min=1,max=255"`
	Value string `json:"Value" api:"min=1,max=1024"`
}

// metric is a metric that has had data; its dimensions are sorted.
type metric struct {
	Namespace  string
	Name       string
	Dimensions []Dimension
	Last       int64 // when data came last, in seconds, to the minute
	Compacted  int64 // when old data was last made coarser
}

// metricID is a metric's identity; Dims is dimensionKey's.
type metricID struct{ Namespace, Name, Dims string }

// slot is where a bucket lies. Times are seconds since the epoch.
type slot struct {
	metricID
	Start int64
	Width int64 // 1, 60, 300 or 3600
	Unit  string
}

func (k slot) key() []string {
	return []string{k.Namespace, k.Name, k.Dims, store.Number(uint64(k.Start)), store.Number(uint64(k.Width)), k.Unit}
}

// alarm is a metric alarm with its state. Times are milliseconds.
type alarm struct {
	Config       alarmConfig
	Updated      int64
	Version      int64 // grows with every change of Config or forced state
	State        string
	Reason       string
	ReasonData   string
	StateUpdated int64
	Transitioned int64
}

type historyItem struct {
	Alarm   string
	Time    int64
	Type    string // ConfigurationUpdate, StateUpdate, Action
	Summary string
	Data    string
}

// action is one action of one change of state.
type action struct {
	Alarm    string
	AlarmARN string
	Target   string
	State    string
	Subject  string
	Message  string // for SNS
	Event    string // for Lambda
}

type dashboard struct {
	Name     string
	Body     string
	Modified int64
}
