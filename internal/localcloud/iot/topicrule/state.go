package topicrule

import (
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// ruleRecord is a rule, under its name.
type ruleRecord struct {
	Name        string
	SQL         string
	Version     string
	Description string
	Actions     []actionSpec
	ErrorAction actionSpec
	Disabled    bool
	CreatedAt   time.Time
}

// actionSpec is an action as the API has it: one member, named for its type.
type actionSpec map[string]json.RawMessage

// outboxRecord is a message whose actions have not all ended, under a rising
// number.
type outboxRecord struct {
	Message Message
	Rules   []string
}

var (
	ruleTable   = store.NewTable[ruleRecord]("iot.rule").Versions(store.JSON)
	outboxTable = store.NewTable[outboxRecord]("iot.ruleoutbox").Versions(store.JSON)
)
