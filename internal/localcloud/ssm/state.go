package ssm

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var parameters = store.NewTable[parameter]("ssm.parameter").Versions(store.JSON) // key: name

// parameter is a parameter with its versions, the newest last.
type parameter struct {
	Name     string
	Tags     map[string]string `json:",omitempty"`
	Versions []version
}

// version is one value of a parameter.
type version struct {
	Number      int64
	Type        string
	Value       string // of a secure string: its ciphertext in base64
	Description string `json:",omitempty"`
	KeyID       string `json:",omitempty"`
	Pattern     string `json:",omitempty"`
	Tier        string
	DataType    string
	Modified    time.Time
	By          string
	Labels      []string `json:",omitempty"`
}

func (p parameter) latest() version { return p.Versions[len(p.Versions)-1] }
