package iot

import (
	"context"
	"math"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	thingsIndex       = "AWS_Things"
	queryVersion      = "2017-09-30"
	off               = "OFF"
	registryMode      = "REGISTRY"
	statusMode        = "STATUS"
	dynamicQueryTerms = 5
	reindexBatch      = 200
)

func (c *indexingConfiguration) on() bool {
	return c.ThingIndexingConfiguration != nil && c.ThingIndexingConfiguration.ThingIndexingMode == registryMode
}

func (c *indexingConfiguration) connectivity() bool {
	return c.on() && c.ThingIndexingConfiguration.ThingConnectivityIndexingMode == statusMode
}

func (s *Service) indexingNow() indexingConfiguration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.indexing
}

func (s *Service) updateIndexing(_ context.Context, _ *awsapi.Call, in *indexingConfiguration) (*empty, error) {
	t := in.ThingIndexingConfiguration
	if t != nil {
		switch t.ThingIndexingMode {
		case off, registryMode:
		case "REGISTRY_AND_SHADOW":
			return nil, awsapi.NotBuilt("thingIndexingMode REGISTRY_AND_SHADOW")
		default:
			return nil, invalid("thingIndexingMode is %q; allowed are OFF, REGISTRY, REGISTRY_AND_SHADOW.",
				t.ThingIndexingMode)
		}
		switch t.ThingConnectivityIndexingMode {
		case "", off:
		case statusMode:
			if t.ThingIndexingMode == off {
				return nil, invalid("thingConnectivityIndexingMode STATUS needs thingIndexingMode REGISTRY.")
			}
		default:
			return nil, invalid("thingConnectivityIndexingMode is %q; allowed are OFF and STATUS.",
				t.ThingConnectivityIndexingMode)
		}
		if t.NamedShadowIndexingMode != "" && t.NamedShadowIndexingMode != off {
			return nil, awsapi.NotBuilt("namedShadowIndexingMode " + t.NamedShadowIndexingMode)
		}
		if t.DeviceDefenderIndexingMode != "" && t.DeviceDefenderIndexingMode != off {
			return nil, awsapi.NotBuilt("deviceDefenderIndexingMode " + t.DeviceDefenderIndexingMode)
		}
		if len(t.Filter) > 0 {
			return nil, awsapi.NotBuilt("the filter of an indexing configuration")
		}
	}
	if g := in.ThingGroupIndexingConfiguration; g != nil && g.ThingGroupIndexingMode != off {
		return nil, awsapi.NotBuilt("thingGroupIndexingMode " + g.ThingGroupIndexingMode)
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		c, _, err := indexingTable.Get(tx, single)
		if err != nil {
			return err
		}
		if t != nil {
			c.ThingIndexingConfiguration = t
		}
		if in.ThingGroupIndexingConfiguration != nil {
			c.ThingGroupIndexingConfiguration = in.ThingGroupIndexingConfiguration
		}
		tx.OnCommit(func() {
			s.mu.Lock()
			s.indexing = c
			s.mu.Unlock()
		})
		return indexingTable.Put(tx, c, single)
	})
}

func (s *Service) getIndexing(_ context.Context, _ *awsapi.Call, _ *empty) (*indexingConfiguration, error) {
	c := s.indexingNow()
	if c.ThingIndexingConfiguration == nil {
		c.ThingIndexingConfiguration = &thingIndexing{ThingIndexingMode: off}
	}
	if c.ThingGroupIndexingConfiguration == nil {
		c.ThingGroupIndexingConfiguration = &thingGroupIndexing{ThingGroupIndexingMode: off}
	}
	return &c, nil
}

type indexIn struct {
	IndexName string `json:"indexName" uri:"indexName" api:"min=1,max=128,pattern=thing name"`
}

type indexOut struct {
	IndexName   string `json:"indexName"`
	IndexStatus string `json:"indexStatus"`
	Schema      string `json:"schema"`
}

func (s *Service) describeIndex(_ context.Context, _ *awsapi.Call, in *indexIn) (*indexOut, error) {
	c := s.indexingNow()
	if in.IndexName != thingsIndex || !c.on() {
		return nil, notFound("Index %s cannot be found.", in.IndexName)
	}
	schema := registryMode
	if c.connectivity() {
		schema = "REGISTRY_AND_CONNECTIVITY_STATUS"
	}
	return &indexOut{thingsIndex, "ACTIVE", schema}, nil
}

type listIndicesOut struct {
	IndexNames []string `json:"indexNames"`
}

func (s *Service) listIndices(_ context.Context, _ *awsapi.Call, _ *empty) (*listIndicesOut, error) {
	out := &listIndicesOut{IndexNames: []string{}}
	if c := s.indexingNow(); c.on() {
		out.IndexNames = append(out.IndexNames, thingsIndex)
	}
	return out, nil
}

// parseQuery reads a query for the things' index.
func (s *Service) parseQuery(index, version, text string) (*fleetindex.Query, error) {
	if index != "" && index != thingsIndex {
		return nil, notFound("Index %s cannot be found.", index)
	}
	if version != "" && version != queryVersion {
		return nil, awsapi.Errorf("InvalidQueryException", "Query version %s is not supported; supported is %s.",
			version, queryVersion)
	}
	if c := s.indexingNow(); !c.on() {
		return nil, awsapi.Errorf("IndexNotReadyException", "Index %s is not enabled.", thingsIndex)
	}
	q, err := fleetindex.Parse(text)
	if err != nil {
		return nil, awsapi.Errorf("InvalidQueryException", "Query cannot be parsed: %v", err)
	}
	return q, nil
}

// indexed is a thing as the index has it.
type indexed struct {
	thing  thing
	groups []string
	link   *connectivity
}

func (s *Service) indexed(tx *store.Tx, name string, t thing) (indexed, error) {
	x := indexed{thing: t}
	var err error
	if x.groups, err = all(tx, memberOfTable, name); err != nil {
		return x, err
	}
	if c := s.indexingNow(); c.connectivity() {
		link, ok, err := connectivityTable.Get(tx, name)
		if err != nil {
			return x, err
		}
		if ok {
			x.link = &link
		}
	}
	return x, nil
}

func (x *indexed) document(name string) fleetindex.Document {
	d := fleetindex.Document{"thingName": {name}, "thingId": {x.thing.ID}, "thingGroupNames": x.groups}
	if x.thing.Type != "" {
		d["thingTypeName"] = []string{x.thing.Type}
	}
	for k, v := range x.thing.Attributes {
		d["attributes."+k] = []string{v}
	}
	if l := x.link; l != nil {
		d["connectivity.connected"] = []string{strconv.FormatBool(l.Connected)}
		d["connectivity.timestamp"] = []string{strconv.FormatInt(l.Timestamp, 10)}
		d["connectivity.version"] = []string{strconv.FormatInt(l.Version, 10)}
		if l.Reason != "" {
			d["connectivity.disconnectReason"] = []string{l.Reason}
		}
	}
	return d
}

type searchIn struct {
	IndexName    string `json:"indexName,omitempty" api:"min=1,max=128,pattern=thing name"`
	QueryString  string `json:"queryString" api:"min=1"`
	NextToken    string `json:"nextToken,omitempty"`
	MaxResults   *int   `json:"maxResults,omitempty" api:"min=1"`
	QueryVersion string `json:"queryVersion,omitempty"`
}

type connectivityView struct {
	Connected        bool   `json:"connected"`
	Timestamp        int64  `json:"timestamp,omitempty"`
	DisconnectReason string `json:"disconnectReason,omitempty"`
}

type foundThing struct {
	ThingName       string            `json:"thingName"`
	ThingID         string            `json:"thingId"`
	ThingTypeName   string            `json:"thingTypeName,omitempty"`
	ThingGroupNames []string          `json:"thingGroupNames,omitempty"`
	Attributes      map[string]string `json:"attributes,omitempty"`
	Connectivity    *connectivityView `json:"connectivity,omitempty"`
}

type searchOut struct {
	NextToken string       `json:"nextToken,omitempty"`
	Things    []foundThing `json:"things"`
}

// maxSearchResults is the API's limit.
const maxSearchResults = 100

func (s *Service) search(_ context.Context, _ *awsapi.Call, in *searchIn) (*searchOut, error) {
	q, err := s.parseQuery(in.IndexName, in.QueryVersion, in.QueryString)
	if err != nil {
		return nil, err
	}
	size := awsapi.PageSize(in.MaxResults, maxSearchResults, math.MaxInt)
	if size > maxSearchResults {
		return nil, invalid("maxResults is %d; allowed are 1 to %d.", size, maxSearchResults)
	}
	p, err := newPage(&size, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &searchOut{Things: []foundThing{}}
	err = s.db.View(func(tx *store.Tx) error {
		return s.candidates(tx, q, p.after, func(name string, t thing) (more bool, err error) {
			x, err := s.indexed(tx, name, t)
			if err != nil {
				return false, err
			}
			if !q.Match(x.document(name)) {
				return true, nil
			}
			if p.full() {
				return false, nil
			}
			f := foundThing{
				ThingName: name, ThingID: x.thing.ID, ThingTypeName: x.thing.Type, ThingGroupNames: x.groups,
				Attributes: x.thing.Attributes,
			}
			if x.link != nil {
				f.Connectivity = &connectivityView{x.link.Connected, x.link.Timestamp, x.link.Reason}
			}
			out.Things = append(out.Things, f)
			p.add(name)
			return true, nil
		})
	})
	out.NextToken = p.token
	return out, err
}

// Presence is a client's connect or disconnect.
type Presence struct {
	ClientID  string
	Connected bool
	Timestamp int64  // milliseconds
	Reason    string // of a disconnect
	Version   int64  // of the connection
}

// Connectivity takes a client's presence into the index, if connectivity is
// indexed and a thing has the client's name. An older presence changes nothing.
func (s *Service) Connectivity(_ context.Context, p Presence) error {
	if c := s.indexingNow(); !c.connectivity() {
		return nil
	}
	return s.db.Update(func(tx *store.Tx) error {
		if _, ok, err := thingTable.Get(tx, p.ClientID); err != nil || !ok {
			return err
		}
		old, had, err := connectivityTable.Get(tx, p.ClientID)
		if err != nil || had && old.Timestamp > p.Timestamp {
			return err
		}
		c := connectivity{Connected: p.Connected, Timestamp: p.Timestamp, Version: p.Version}
		if !p.Connected {
			c.Reason = p.Reason
		}
		if err := connectivityTable.Put(tx, c, p.ClientID); err != nil {
			return err
		}
		return s.markGroupsStale(tx, p.ClientID)
	})
}

type connectivityOut struct {
	ThingName        string       `json:"thingName"`
	Connected        bool         `json:"connected"`
	Timestamp        *awsapi.Time `json:"timestamp,omitempty"`
	DisconnectReason string       `json:"disconnectReason,omitempty"`
}

func (s *Service) thingConnectivity(_ context.Context, _ *awsapi.Call, in *thingIn) (*connectivityOut, error) {
	if c := s.indexingNow(); !c.connectivity() {
		return nil, awsapi.Errorf("IndexNotReadyException", "Connectivity is not indexed.")
	}
	out := &connectivityOut{ThingName: in.ThingName}
	err := s.db.View(func(tx *store.Tx) error {
		if _, err := s.getThing(tx, in.ThingName); err != nil {
			return err
		}
		c, _, err := connectivityTable.Get(tx, in.ThingName)
		out.Connected, out.Timestamp, out.DisconnectReason = c.Connected, awsapi.TimeOf(moment(c.Timestamp)), c.Reason
		return err
	})
	return out, err
}
