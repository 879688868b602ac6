package event

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// StandingsIndex is the index of the table by which the devices of a campaign are listed. Its keys
// are StandingsShard, the campaign and the shard of its counts, and StandingsPlace, where a device
// stands: see Standing.ListKey.
const (
	StandingsIndex = "standings"
	StandingsShard = "campaignShard"
	StandingsPlace = "place"
)

// StandingsAttributes are the attributes of a standing that the index has beside its keys.
func StandingsAttributes() []string {
	return []string{"v", "state", "error", "wave", "model", "attempt", "at", "shard", "document", "zone"}
}

// Where says which devices of a campaign are listed.
type Where struct {
	State StandState // "" is any
	Error ErrorName  // of devices that have failed; "" is any
	Wave  int        // -1 is any
	Model string     // "" is any
}

// Anywhere are all devices.
func Anywhere() Where { return Where{Wave: -1} }

// Has reports whether a device is among them.
func (w Where) Has(s Standing) bool {
	return (w.State == "" || s.State == w.State) && (w.Error == "" || s.Error == w.Error) &&
		(w.Wave < 0 || s.Wave == w.Wave) && (w.Model == "" || s.Model == w.Model)
}

// Place reports whether devices that are counted there are among them, but for their model.
func (w Where) Place(p Place) bool {
	w.Model = ""
	return w.Has(Standing{State: p.State, Error: p.Error, Wave: p.Wave})
}

// placeEnd is between the parts of a key. No part has it: a model is escaped.
const placeEnd = "|"

// mostModelKey is how long a model is in a key, of which DynamoDB takes 1,024 bytes.
const mostModelKey = 300

func modelKey(model string) string {
	key := url.QueryEscape(model)
	if len(key) > mostModelKey {
		return "=" + digest(model) // no escaped text has it
	}
	return key
}

// ListKey is where a device is in a list: by state, error, wave and model, then by name.
func (s Standing) ListKey(thing ThingName) string {
	return strings.Join([]string{string(s.State), string(s.Error), strconv.Itoa(s.Wave), modelKey(s.Model),
		string(thing)}, placeEnd)
}

// ListPrefix begins the keys of all devices that are asked for, and of as few others as may be.
func (w Where) ListPrefix() string {
	if w.State == "" {
		return ""
	}
	parts := []string{string(w.State)}
	if w.Error != "" || w.State != StandFailed {
		parts = append(parts, string(w.Error))
		if w.Wave >= 0 {
			parts = append(parts, strconv.Itoa(w.Wave))
			if w.Model != "" {
				parts = append(parts, modelKey(w.Model))
			}
		}
	}
	return strings.Join(parts, placeEnd) + placeEnd
}

// Stood is a device of a list, and where it stands.
type Stood struct {
	Thing ThingName
	Standing
}

// ListCursor is where a list goes on: after a key in a shard.
type ListCursor struct {
	Shard int
	After string // "": at its beginning
}

// String is the cursor as callers get it.
func (c ListCursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(c.Shard) + placeEnd + c.After))
}

// Thing is the name at the end of After.
func (c ListCursor) Thing() ThingName {
	return ThingName(c.After[strings.LastIndex(c.After, placeEnd)+1:])
}

// ParseListCursor reads one that a list of the same devices has given; "" is the beginning.
func ParseListCursor(text string, w Where, shards int) (c ListCursor, err error) {
	if text == "" {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	shard, after, ok := strings.Cut(string(b), placeEnd)
	if err == nil && ok {
		c.After = after
		c.Shard, err = strconv.Atoi(shard)
	}
	if err != nil || !ok || c.Shard < 0 || c.Shard >= shards ||
		after != "" && (strings.Count(after, placeEnd) != 4 || !strings.HasPrefix(after, w.ListPrefix())) {
		return c, fmt.Errorf("%q is not where a list of these devices goes on", text)
	}
	return c, nil
}
