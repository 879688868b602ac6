package iot

import (
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type thing struct {
	ID         string            `json:"id"`
	Type       string            `json:"type,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Version    int64             `json:"version"`
}

type thingType struct {
	ID         string              `json:"id"`
	Properties thingTypeProperties `json:"properties"`
	Created    int64               `json:"created"`
	Deprecated int64               `json:"deprecated,omitempty"`
}

type group struct {
	ID          string            `json:"id"`
	Parent      string            `json:"parent,omitempty"`
	Description string            `json:"description,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Version     int64             `json:"version"`
	Created     int64             `json:"created"`
	// Dynamic groups only.
	Query      string `json:"query,omitempty"`
	Status     string `json:"status,omitempty"`
	BuiltAfter string `json:"builtAfter,omitempty"` // last thing that was asked while building
}

func (g *group) dynamic() bool { return g.Query != "" }

type certificate struct {
	PEM         string `json:"pem"`
	Status      string `json:"status"`
	Created     int64  `json:"created"`
	Modified    int64  `json:"modified"`
	NotBefore   int64  `json:"notBefore"`
	NotAfter    int64  `json:"notAfter"`
	Mode        string `json:"mode"`
	Version     int    `json:"version"`
	GeneratedID string `json:"generation"`
}

type policyRecord struct {
	Default    int64  `json:"default"`
	Last       int64  `json:"last"`
	Created    int64  `json:"created"`
	Modified   int64  `json:"modified"`
	Generation string `json:"generation"`
}

type policyVersion struct {
	Document string `json:"document"`
	Created  int64  `json:"created"`
}

type authority struct {
	Key         []byte `json:"key"` // SEC 1
	Certificate []byte `json:"certificate"`
	Serial      int64  `json:"serial"`
}

type connectivity struct {
	Connected bool   `json:"connected"`
	Timestamp int64  `json:"timestamp"` // ms
	Reason    string `json:"reason,omitempty"`
	Version   int64  `json:"version"`
}

type eventsRecord struct {
	Enabled           map[string]bool `json:"enabled"`
	Created, Modified int64
}

type indexingConfiguration struct {
	ThingIndexingConfiguration      *thingIndexing      `json:"thingIndexingConfiguration,omitempty"`
	ThingGroupIndexingConfiguration *thingGroupIndexing `json:"thingGroupIndexingConfiguration,omitempty"`
}

type thingTypeProperties struct {
	ThingTypeDescription string          `json:"thingTypeDescription,omitempty" api:"max=2028,pattern=iot description"`
	SearchableAttributes []string        `json:"searchableAttributes,omitempty" api:"each.max=128,each.pattern=attribute name"`
	MQTT5Configuration   json.RawMessage `json:"mqtt5Configuration,omitempty"`
}

type thingIndexing struct {
	ThingIndexingMode             string            `json:"thingIndexingMode" api:"values=OFF|REGISTRY|REGISTRY_AND_SHADOW"`
	ThingConnectivityIndexingMode string            `json:"thingConnectivityIndexingMode,omitempty" api:"values=OFF|STATUS"`
	DeviceDefenderIndexingMode    string            `json:"deviceDefenderIndexingMode,omitempty" api:"values=OFF|VIOLATIONS"`
	NamedShadowIndexingMode       string            `json:"namedShadowIndexingMode,omitempty" api:"set=on or off"`
	ManagedFields                 []json.RawMessage `json:"managedFields,omitempty"`
	CustomFields                  []json.RawMessage `json:"customFields,omitempty"`
	Filter                        json.RawMessage   `json:"filter,omitempty"`
}

type thingGroupIndexing struct {
	ThingGroupIndexingMode string `json:"thingGroupIndexingMode" api:"set=on or off"`
}

type mark = []byte // a row of an index: the key says all

var (
	thingTable     = store.NewTable[thing]("iot.thing").Versions(store.JSON)
	thingTypeTable = store.NewTable[thingType]("iot.thingtype").Versions(store.JSON)
	thingsOfType   = store.NewTable[mark]("iot.thingtypething") // type, thing
	// What things are searched by: a field, the key of its value, a thing. termsKept is there once all things have
	// theirs.
	thingTerms    = store.NewTable[mark]("iot.thingterm")
	termsKept     = store.NewTable[mark]("iot.thingtermskept")
	groupTable    = store.NewTable[group]("iot.group").Versions(store.JSON)
	childTable    = store.NewTable[mark]("iot.groupchild") // parent, child
	memberTable   = store.NewTable[mark]("iot.member")     // group, thing
	memberOfTable = store.NewTable[mark]("iot.memberof")   // thing, group

	certificateTable = store.NewTable[certificate]("iot.certificate").Versions(store.JSON)
	certificateOrder = store.NewTable[mark]("iot.certificateorder") // created, id
	// thing, principal; the value is the kind of attachment
	thingPrincipal = store.NewTable[string]("iot.thingprincipal").Versions(store.JSON)
	principalThing = store.NewTable[string]("iot.principalthing").Versions(store.JSON) // principal, thing
	authorityTable = store.NewTable[authority]("iot.authority").Versions(store.JSON)

	policyTable    = store.NewTable[policyRecord]("iot.policy").Versions(store.JSON)
	policyVersions = store.NewTable[policyVersion]("iot.policyversion").Versions(store.JSON) // policy, number
	policyTarget   = store.NewTable[mark]("iot.policytarget")                                // policy, target
	targetPolicy   = store.NewTable[mark]("iot.targetpolicy")                                // target, policy

	eventsTable       = store.NewTable[eventsRecord]("iot.events").Versions(store.JSON)
	indexingTable     = store.NewTable[indexingConfiguration]("iot.indexing").Versions(store.JSON)
	connectivityTable = store.NewTable[connectivity]("iot.connectivity").Versions(store.JSON)
	reindexTable      = store.NewTable[mark]("iot.reindex") // thing: its dynamic groups are to be looked at
	tagTable          = store.NewTable[map[string]string]("iot.tag").Versions(store.JSON)
)

const single = "it" // key of tables with one record

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
