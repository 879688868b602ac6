// Package campaigntest has a Store and a Manifest of campaign in memory, and contracts
// (Stores, Manifests) that test every implementation of them. Safe for concurrent use.
package campaigntest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Memory is a campaign.Store and a campaign.Manifest.
type Memory struct {
	mu        sync.Mutex
	records   map[event.CampaignID]record
	parts     map[campaign.Part][]campaign.Member
	documents map[string][]byte
	// Before is called before each change, with its name; an error is the call's, and
	// nothing happens. Nil does nothing.
	Before func(op string) error
}

type record struct {
	text  []byte
	rev   int64
	token string
	log   []campaign.Entry
}

func (m *Memory) before(op string) error {
	if m.Before == nil {
		return nil
	}
	return m.Before(op)
}

// Create implements campaign.Store.
func (m *Memory) Create(_ context.Context, c campaign.Campaign) error {
	if err := m.before("Create"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.records[c.ID]; ok {
		return campaign.ErrExists
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if m.records == nil {
		m.records = map[event.CampaignID]record{}
	}
	m.records[c.ID] = record{text: text, rev: 1, token: c.Token}
	return nil
}

// Load implements campaign.Store.
func (m *Memory) Load(_ context.Context, id event.CampaignID) (c campaign.Campaign, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return c, campaign.NoCampaign{ID: id}
	}
	err = json.Unmarshal(r.text, &c)
	c.Rev, c.Token = r.rev, r.token
	return c, err
}

// Save implements campaign.Store.
func (m *Memory) Save(_ context.Context, c campaign.Campaign, done ...campaign.Entry) error {
	if err := m.before("Save"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[c.ID]
	if !ok || r.rev != c.Rev {
		return campaign.ErrChanged
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	m.records[c.ID] = record{text: text, rev: c.Rev + 1, token: c.Token, log: append(slices.Clone(r.log), done...)}
	return nil
}

// Open implements campaign.Store.
func (m *Memory) Open(ctx context.Context) (ids []event.CampaignID, err error) {
	all, err := m.List(ctx)
	for _, s := range all {
		if !s.State.Over() {
			ids = append(ids, s.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// List implements campaign.Store.
func (m *Memory) List(ctx context.Context) (all []campaign.Summary, err error) {
	m.mu.Lock()
	var ids []event.CampaignID
	for id := range m.records {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	for _, id := range ids {
		c, err := m.Load(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, c.Summary())
	}
	slices.SortFunc(all, func(a, b campaign.Summary) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// Log implements campaign.Store.
func (m *Memory) Log(_ context.Context, id event.CampaignID) ([]campaign.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records[id].log), nil
}

// PutPart implements campaign.Manifest.
func (m *Memory) PutPart(_ context.Context, at campaign.Part, members []campaign.Member) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts == nil {
		m.parts = map[campaign.Part][]campaign.Member{}
	}
	m.parts[at] = slices.Clone(members)
	return nil
}

// Part implements campaign.Manifest.
func (m *Memory) Part(_ context.Context, at campaign.Part) ([]campaign.Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if members, ok := m.parts[at]; ok {
		return slices.Clone(members), nil
	}
	return nil, campaign.ErrNotFound
}

// PutDocument implements campaign.Manifest.
func (m *Memory) PutDocument(_ context.Context, id event.CampaignID, name string, document []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.documents == nil {
		m.documents = map[string][]byte{}
	}
	m.documents[string(id)+"/"+name] = slices.Clone(document)
	return nil
}

// Document implements campaign.Manifest.
func (m *Memory) Document(_ context.Context, id event.CampaignID, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.documents[string(id)+"/"+name]; ok {
		return slices.Clone(d), nil
	}
	return nil, campaign.ErrNotFound
}

// Stores holds a Store, empty at first, to what campaign expects of it.
func Stores(t *testing.T, s campaign.Store) {
	t.Helper()
	ctx, at := context.Background(), time.UnixMilli(1795334400000).UTC()
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	_, err := s.Load(ctx, "fall")
	must(err, campaign.ErrNotFound)
	must(err, campaign.NoCampaign{ID: "fall"})
	c := campaign.Campaign{
		ID: "fall", Hash: "h", State: campaign.Running, Created: at, By: "me", Total: 3, Shards: 4,
		Request: campaign.Request{Rate: 10, Priority: 7}, Documents: []json.RawMessage{json.RawMessage(`{"a":1}`)},
		Waves: []campaign.WaveRun{{PlannedWave: campaign.PlannedWave{Wave: campaign.Wave{Name: "canary"}, Size: 3}}},
	}
	must(s.Create(ctx, c), nil)
	must(s.Create(ctx, c), campaign.ErrExists)
	second := c
	second.ID, second.Created = "spring", at.Add(time.Hour)
	must(s.Create(ctx, second), nil)
	got, err := s.Load(ctx, "fall")
	must(err, nil)
	if got.Rev != 1 {
		t.Fatalf("revision %d of a new one", got.Rev)
	}
	c.Rev = 1
	if !reflect.DeepEqual(got, c) {
		t.Fatalf("loaded %+v, stored %+v", got, c)
	}
	got.Token, got.Phase = "secret", campaign.Admit
	entry := campaign.Entry{At: at, Verb: "create", Who: "me", N: 3}
	must(s.Save(ctx, got, entry), nil)
	must(s.Save(ctx, got), campaign.ErrChanged)
	again, err := s.Load(ctx, "fall")
	must(err, nil)
	if again.Rev != 2 || again.Token != "secret" || again.Phase != campaign.Admit {
		t.Fatalf("saved and loaded %+v", again)
	}
	ids, err := s.Open(ctx)
	must(err, nil)
	if !slices.Equal(ids, []event.CampaignID{"fall", "spring"}) {
		t.Fatalf("open %v", ids)
	}
	again.Token, again.State = "", campaign.Completed
	must(s.Save(ctx, again, campaign.Entry{At: at, Verb: "one", Who: "me"},
		campaign.Entry{At: at, Verb: "two", Who: "me"}), nil)
	if again, err = s.Load(ctx, "fall"); err != nil || again.Token != "" || again.Rev != 3 {
		t.Fatalf("the token stays: %+v, %v", again, err)
	}
	if ids, err = s.Open(ctx); err != nil || !slices.Equal(ids, []event.CampaignID{"spring"}) {
		t.Fatalf("open %v, %v", ids, err)
	}
	all, err := s.List(ctx)
	must(err, nil)
	if len(all) != 2 || all[0] != second.Summary() || all[1] != again.Summary() {
		t.Fatalf("list %+v", all)
	}
	log, err := s.Log(ctx, "fall")
	must(err, nil)
	if len(log) != 3 || !reflect.DeepEqual(log[0], entry) || log[1].Verb != "one" || log[2].Verb != "two" {
		t.Fatalf("log %+v", log)
	}
	// What is over stays so in the list.
	must(s.Save(ctx, again), nil)
	if ids, err = s.Open(ctx); err != nil || len(ids) != 1 {
		t.Fatalf("open %v, %v", ids, err)
	}
}

// Manifests holds a Manifest to what campaign expects of it.
func Manifests(t *testing.T, m campaign.Manifest) {
	t.Helper()
	ctx := context.Background()
	at := campaign.Part{Campaign: "fall", Wave: 1, Class: 2, Number: 3}
	if _, err := m.Part(ctx, at); !errors.Is(err, campaign.ErrNotFound) {
		t.Fatalf("a part that is not there: %v", err)
	}
	members := []campaign.Member{{Thing: "a", Model: "M 1"}, {Thing: "b:1", Image: 1}}
	for range 2 {
		if err := m.PutPart(ctx, at, members); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := m.Part(ctx, at); err != nil || !slices.Equal(got, members) {
		t.Fatalf("part %+v, %v", got, err)
	}
	at.Number = 4
	if _, err := m.Part(ctx, at); !errors.Is(err, campaign.ErrNotFound) {
		t.Fatalf("another part: %v", err)
	}
	if _, err := m.Document(ctx, "fall", campaign.PlanDocument); !errors.Is(err, campaign.ErrNotFound) {
		t.Fatalf("a document that is not there: %v", err)
	}
	if err := m.PutDocument(ctx, "fall", campaign.PlanDocument, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if b, err := m.Document(ctx, "fall", campaign.PlanDocument); err != nil || string(b) != `{"a":1}` {
		t.Fatalf("document %s, %v", b, err)
	}
}
