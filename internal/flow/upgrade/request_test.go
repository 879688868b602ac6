package upgrade_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// shelf is a store with one image, of version 2.0.0, and the rules of its stack.
type shelf struct {
	sha      string
	promised map[string]string
	rules    upgrade.Rules
}

func newShelf() *shelf { return &shelf{sha: strings.Repeat("a", 64)} }

func (s *shelf) ByVersion(_ context.Context, version string) ([]upgrade.S3Object, error) {
	switch version {
	case "2.0.0":
		return []upgrade.S3Object{{Bucket: "firmware", Key: "2.0.0/gateway.bin"}}, nil
	case "broken":
		return nil, errors.New("throttled")
	}
	return nil, nil
}

func (s *shelf) Where(version string) string { return "s3://firmware/" + version + "/" }

func (s *shelf) Describe(_ context.Context, o upgrade.S3Object) (upgrade.StoredImage, error) {
	switch o.Key {
	case "missing":
		return upgrade.StoredImage{}, upgrade.ErrNoImage
	case "foreign":
		return upgrade.StoredImage{}, fmt.Errorf("%w: S3 answers 403", upgrade.ErrUnreadable)
	case "broken":
		return upgrade.StoredImage{}, errors.New("throttled")
	}
	o.VersionID = "v1"
	return upgrade.StoredImage{Object: o, Size: 10, SHA256: s.sha, Promised: s.promised}, nil
}

// read is what a form makes of an upgrade's members.
func (s *shelf) read(t *testing.T, at, members string) (event.Input, event.Problems) {
	t.Helper()
	tree, problems := payload.Decode([]byte(members))
	if problems != nil {
		t.Fatal(problems)
	}
	m, ok := tree.(map[string]any)
	if !ok {
		t.Fatal(members)
	}
	return upgrade.NewForm(s, s.rules).Read(at, m)
}

// asked is what is wrong with a firmware, for the account.
func (s *shelf) asked(t *testing.T, firmware string) event.Problems {
	t.Helper()
	_, problems := s.complete(t, "$", firmware)
	return problems
}

func (s *shelf) complete(t *testing.T, at, firmware string) (upgrade.Firmware, event.Problems) {
	t.Helper()
	in, problems := s.read(t, at, `{"firmware":`+firmware+`}`)
	if problems != nil {
		return upgrade.Firmware{}, problems
	}
	in, problems, err := upgrade.NewForm(s, s.rules).Complete(t.Context(), in)
	var f upgrade.Firmware
	if err != nil || json.Unmarshal(in.Members["firmware"], &f) != nil {
		t.Fatal(err)
	}
	if in.Size != f.Size {
		t.Errorf("%s: devices fetch %d bytes, of an image of %d", firmware, in.Size, f.Size)
	}
	return f, problems
}

// paths are the paths of what is wrong.
func paths(problems event.Problems) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Path)
	}
	return strings.Join(all, " ")
}

func TestTheImageIsFound(t *testing.T) {
	s := newShelf()
	f, problems := s.complete(t, "$", `{"version":"2.0.0"}`)
	if problems != nil || f.S3 == nil || f.S3.VersionID != "v1" || f.SHA256 != s.sha || f.Size != 10 {
		t.Errorf("%+v, %v", f, problems)
	}
	for firmware, want := range map[string]string{
		`{"version":"9"}`: "$.firmware.version",
		`{"version":"9","s3":{"bucket":"firmware","key":"missing"}}`: "$.firmware.s3",
		`{"version":"9","s3":{"bucket":"firmware","key":"foreign"}}`: "$.firmware.s3",
		`{"version":"9","s3":{"bucket":"firmware","key":"k"},"sha256":"` + strings.Repeat("c", 64) +
			`","size":11}`: "$.firmware.sha256 $.firmware.size",
		`{"version":"9","s3":{"bucket":"firmware","key":"k"},"sha256":"` + strings.ToUpper(strings.Repeat("a", 64)) +
			`","size":10}`: "",
	} {
		if problems := s.asked(t, firmware); paths(problems) != want {
			t.Errorf("%s: %v; want %s", firmware, problems, want)
		}
	}
	if _, problems := s.complete(t, "$.input", `{"version":"9"}`); paths(problems) != "$.input.firmware.version" {
		t.Errorf("in another place: %v", problems)
	}
	for _, firmware := range []string{`{"version":"broken"}`,
		`{"version":"9","s3":{"bucket":"firmware","key":"broken"}}`} {
		in, problems := s.read(t, "$", `{"firmware":`+firmware+`}`)
		if _, _, err := upgrade.NewForm(s, s.rules).Complete(t.Context(), in); problems != nil || err == nil {
			t.Errorf("%s: no error, %v", firmware, problems)
		}
	}
}

func TestMistakesOfAnUpgradeAreToldAtOnce(t *testing.T) {
	for members, want := range map[string]string{
		`{}`:                            "$.firmware",
		`{"firmware":7,"activation":7}`: "$.activation $.firmware",
		`{"firmware":{},"song":1}`:      "$.firmware.version $.song",
		`{"firmware":{"version":"a b","sha256":"x","size":0,"versionIsProof":1,"noDowngrade":1,"signature":"?","song":1}}`: "$.firmware.noDowngrade $.firmware.sha256 $.firmware.signature" +
			" $.firmware.size $.firmware.song $.firmware.version $.firmware.versionIsProof",
		`{"firmware":{"version":"2","url":"http://h/p"}}`:                                                                                        "$.firmware.sha256 $.firmware.url",
		`{"firmware":{"version":"2","url":"https://h/p","s3":{"bucket":"b"}}}`:                                                                   "$.firmware $.firmware.s3.bucket $.firmware.s3.key",
		`{"firmware":{"version":"2","s3":7}}`:                                                                                                    "$.firmware.s3",
		`{"firmware":{"version":"2"},"activation":{"mode":"LATER","soakSeconds":-1,"noRollback":"no"}}`:                                          "$.activation.mode $.activation.noRollback $.activation.soakSeconds",
		`{"firmware":{"version":"2"},"activation":{"window":{"start":"02:00","end":"02:00"}}}`:                                                   "$.activation.window.end",
		`{"firmware":{"version":"2"},"activation":{"window":{"start":"02:00","end":"03:00","zone":""}}}`:                                         "$.activation.window.zone",
		`{"firmware":{"version":"2"},"activation":{"window":{"start":"02:00","end":"03:00","zone":7}}}`:                                          "$.activation.window.zone",
		`{"firmware":{"version":"2"},"activation":{"window":{"start":"02:00","end":"03:00","zone":"Europe/Nowhere"}}}`:                           "$.activation.window.zone",
		`{"firmware":{"version":"2"},"activation":{"window":{"start":"02:00","end":"03:00","zone":"Europe/Berlin"}}}`:                            "",
		`{"firmware":{"version":"2"},"activation":{"mode":"AUTO","window":{"start":"23:00","end":"03:00","zone":"CET-1CEST,M3.5.0,M10.5.0/3"}}}`: "",
		`{"firmware":{"version":"2"},"activation":{"mode":"SEPARATE","window":{"start":"2"}}}`:                                                   "$.activation.window.end $.activation.window.start",
		`{"firmware":{"version":"2"},"activation":{"mode":"SEPARATE","window":7}}`:                                                               "$.activation.window",
		`{"firmware":{"version":"2"},"activation":{"mode":"SEPARATE","soakSeconds":5.0}}`:                                                        "",
	} {
		if _, problems := newShelf().read(t, "$", members); paths(problems) != want {
			t.Errorf("%s: %v; want %s", members, problems, want)
		}
	}
}

func TestWhatMeansTheSameIsWrittenTheSame(t *testing.T) {
	first, problems := newShelf().read(t, "$", `{"firmware":{"version":"2.0+1","sha256":"`+strings.Repeat("AB",
		32)+`"}}`)
	second, more := newShelf().read(t, "$", `{"activation":{"mode":"AUTO"},"firmware":{"sha256":"`+strings.Repeat("ab",
		32)+`","version":"2.0+1"}}`)
	if problems != nil || more != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v, %v; %+v, %v", first, problems, second, more)
	}
	if first.Prefix != "fw-2-0-1" || first.Title != "Firmware 2.0+1" || first.Details["firmwareVersion"] != "2.0+1" {
		t.Errorf("%+v", first)
	}
}

func TestShortForm(t *testing.T) {
	short := upgrade.NewForm(newShelf(), upgrade.Rules{}).Short
	mode := func(words map[string]any) string {
		members, problems := short.Read("$", words)
		if problems != nil {
			return paths(problems)
		}
		b, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		in, problems := newShelf().read(t, "$", string(b))
		var a upgrade.Activation
		if problems != nil || json.Unmarshal(in.Members["activation"], &a) != nil {
			t.Fatal(problems)
		}
		if a.Window != nil {
			return fmt.Sprintf("%s %s-%s", a.Mode, a.Window.Start, a.Window.End)
		}
		return string(a.Mode)
	}
	for trigger, want := range map[any]string{
		nil: "AUTO", "IMMEDIATE": "AUTO", "immediate": "AUTO", "manual": "AUTO", "MANUAL": "AUTO",
		"MAINTENANCE_WINDOW": "SEPARATE 02:00-05:00", "maintenance_window": "SEPARATE 02:00-05:00",
		"later": "$.upgradeTrigger", 7: "$.upgradeTrigger",
	} {
		words := map[string]any{"firmwareVersion": "2"}
		if trigger != nil {
			words["upgradeTrigger"] = trigger
		}
		if got := mode(words); got != want {
			t.Errorf("%v: got %s, want %s", trigger, got, want)
		}
	}
	for _, words := range []map[string]any{{}, {"firmwareVersion": 2}, {"firmwareVersion": "a b"}} {
		if got := mode(words); got != "$.firmwareVersion" {
			t.Errorf("%v: got %s", words, got)
		}
	}
}

func TestAnUpgradeThatHasAnImageNeedsTime(t *testing.T) {
	needs := upgrade.NewForm(newShelf(), upgrade.Rules{}).Needs
	if d, err := needs([]byte(`{"firmware":{"version":"2"}}`)); err != nil || d != 0 {
		t.Errorf("without an image: %s, %v", d, err)
	}
	d, err := needs([]byte(`{"firmware":{"version":"2","url":"https://h/p"},"timeouts":{"downloadSeconds":100}}`))
	longer,
		err2 := needs([]byte(`{"firmware":{"version":"2","url":"https://h/p"},"timeouts":{"downloadSeconds":200}}`))
	if err != nil || err2 != nil || d == 0 || longer <= d {
		t.Errorf("%s, %v; %s, %v", d, err, longer, err2)
	}
	for _, bad := range []string{`[]`, `{"firmware":{"url":"https://h/p"}}`} {
		if _, err := needs([]byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestTheSampleOfADocumentIsOne(t *testing.T) {
	b, err := os.ReadFile("../../../events/job-document.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := upgrade.ParseDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(doc)
	var got, want any
	if err != nil || json.Unmarshal(written, &got) != nil || json.Unmarshal(b, &want) != nil || !reflect.DeepEqual(got,
		want) {
		t.Errorf("got %s", written)
	}
}
