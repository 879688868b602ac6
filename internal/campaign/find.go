package campaign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Searching says how far a search for targets has come.
type Searching struct {
	Found int    `json:"found"` // devices, some perhaps twice
	After string `json:"after"` // where the next call goes on
}

// MostPages is how many pages of the fleet index are read in one call: 300,000 devices. AWS IoT
// takes 15 SearchIndex a second, of 100 things: it takes 200 seconds, and a function has 900.
const MostPages = 3000

// mostAsked is how many a caller may ask for.
const mostAsked = 5000

// foundSize is how many devices are kept in one document.
const foundSize = 20000

// finding is a search for targets. What one call finds and does not finish is kept in documents
// of the manifest, and planned by a call of its own, which has all its time for that.
type finding struct {
	w     *Creator
	pages int
	// The rest is what a caller gets and gives back.
	ID    event.CampaignID `json:"id"`
	Run   string           `json:"run"` // names the documents
	Kept  int              `json:"kept"`
	Found int              `json:"found"`
	Place *Place           `json:"place,omitempty"` // nil: all are found
}

func newFinding(w *Creator, ask event.CreateCampaignRequest) (*finding, error) {
	f := &finding{w: w, pages: ask.Pages, Place: &Place{}}
	if f.pages == 0 {
		f.pages = MostPages
	}
	if f.pages < 1 || f.pages > mostAsked {
		return nil, event.Problems{{Path: "$.pages", Value: ask.Pages, Allowed: fmt.Sprintf("1 to %d", mostAsked)}}
	}
	if ask.After == "" {
		return f, nil
	}
	f.Place = nil
	b, err := base64.RawURLEncoding.DecodeString(ask.After)
	if err == nil {
		err = json.Unmarshal(b, f)
	}
	if err != nil || !idForm.MatchString(string(f.ID)) || !idForm.MatchString(f.Run) || f.Kept < 1 ||
		f.Kept > 1000 || f.Place != nil && f.Place.Step < 0 {
		return nil, event.Problems{{Path: "$.after", Value: ask.After, Allowed: "what the call before has answered"}}
	}
	return f, nil
}

// on reports whether it is between its first call and its last.
func (f *finding) on() bool { return f.Run != "" && f.Place != nil }

// FoundDocuments begins the names of documents that are of use for as long as a search takes.
const FoundDocuments = "found/"

func (f *finding) document(k int) string {
	return FoundDocuments + f.Run + "/" + strconv.Itoa(k) + ".json"
}

// search finds what one call finds. event.Problems are the targets'.
func (f *finding) search(ctx context.Context, t Targets) (found []Device, err error) {
	next, problems, err := f.w.Fleet.Find(ctx, t, *f.Place, f.pages, func(page []Device) error {
		found = append(found, page...)
		return nil
	})
	if errors.Is(err, ErrNoIndex) {
		problems, err = append(problems, event.Problem{Path: "$.targets.query", Value: t.Query,
			Allowed: ErrNoIndex.Error()}), nil
	}
	if err == nil && len(problems) > 0 {
		err = problems.Sorted()
	}
	f.Place = next
	return found, err
}

// more goes on with a search, and keeps what it finds.
func (f *finding) more(ctx context.Context, t Targets) (*Searching, error) {
	found, err := f.search(ctx, t)
	if err != nil {
		return nil, err
	}
	return f.keep(ctx, found)
}

func (f *finding) keep(ctx context.Context, found []Device) (*Searching, error) {
	f.Found += len(found)
	for first := true; first || len(found) > 0; first = false {
		n := min(foundSize, len(found))
		b, err := json.Marshal(found[:n])
		if err == nil {
			err = f.w.Manifest.PutDocument(ctx, f.ID, f.document(f.Kept), b)
		}
		if err != nil {
			return nil, fmt.Errorf("devices that were found: %w", err)
		}
		found = found[n:]
		f.Kept++
	}
	after, err := json.Marshal(f)
	return &Searching{Found: f.Found, After: base64.RawURLEncoding.EncodeToString(after)}, err
}

// devices are all, if one call finds them or calls before have; else searching says how far it is.
func (f *finding) devices(ctx context.Context, id event.CampaignID, t Targets) (all []Device, searching *Searching,
	err error) {
	if f.Run == "" {
		found, err := f.search(ctx, t)
		if err != nil || f.Place == nil {
			return found, nil, err
		}
		f.ID, f.Run = id, strconv.FormatInt(f.w.Now().UnixNano(), 36)
		searching, err = f.keep(ctx, found)
		return nil, searching, err
	}
	if f.ID != id {
		return nil, nil, event.Problems{{Path: "$.after", Value: f.ID, Allowed: "what a call for " + string(id) +
			" has answered: the payload is another by now"}}
	}
	once := Once(func(page []Device) error {
		all = append(all, page...)
		return nil
	})
	for k := range f.Kept {
		b, err := f.w.Manifest.Document(ctx, id, f.document(k))
		var page []Device
		if err == nil {
			err = json.Unmarshal(b, &page)
		}
		if err == nil {
			err = once(page)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("devices that were found: %w", err)
		}
	}
	return all, nil, nil
}
