package store

import (
	"encoding/json"
	"strings"
	"testing"
)

// lamp had its brightness in percent once, and a name before that.
type lamp struct {
	Name  string
	Level float64
}

var (
	lamps0 = NewTable[struct{ N string }]("test.lamp")
	lamps1 = NewTable[struct {
		Name    string
		Percent int
	}]("test.lamp").Versions(nil)
	lamps = NewTable[lamp]("test.lamp").Versions(
		func(b []byte) (lamp, error) {
			var old struct{ N string }
			err := json.Unmarshal(b, &old)
			return lamp{Name: old.N, Level: 1}, err
		},
		func(b []byte) (lamp, error) {
			var old struct {
				Name    string
				Percent int
			}
			err := json.Unmarshal(b, &old)
			return lamp{old.Name, float64(old.Percent) / 100}, err
		})
)

func TestOlderVersionsOfRecordsAreRead(t *testing.T) {
	db := Memory()
	err := db.Update(func(tx *Tx) error {
		if err := lamps0.Put(tx, struct{ N string }{"a"}, "0"); err != nil {
			return err
		}
		if err := lamps1.Put(tx, struct {
			Name    string
			Percent int
		}{"b", 50}, "1"); err != nil {
			return err
		}
		return lamps.Put(tx, lamp{"c", 0.25}, "2")
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]lamp{"0": {"a", 1}, "1": {"b", 0.5}, "2": {"c", 0.25}}
	err = db.View(func(tx *Tx) error {
		n := 0
		for row, err := range lamps.Scan(tx, Query{}) {
			if err != nil {
				return err
			}
			if n++; row.Value != want[row.Key[0]] {
				t.Errorf("%s: got %v, want %v", row.Key[0], row.Value, want[row.Key[0]])
			}
		}
		if n != 3 {
			t.Errorf("%d rows", n)
		}
		// What a newer program has written is not guessed at.
		_, _, err := lamps1.Get(tx, "2")
		if err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("error %v", err)
		}
		_, _, err = lamps0.Get(tx, "1")
		if err == nil || !strings.Contains(err.Error(), "version 1") {
			t.Errorf("error %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
