package campaign_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// membersOf are the JSON members of a struct, in order.
func membersOf(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// TestWhatCommandsPrintIsDocumented: docs/campaigns.md has the members of each document, in the same order.
func TestWhatCommandsPrintIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	var sets []string
	for _, set := range regexp.MustCompile(`\{[a-zA-Z, ]+\}`).FindAllString(string(b), -1) {
		sets = append(sets, strings.Trim(set, "{}"))
	}
	for _, v := range []any{
		campaign.Plan{}, campaign.Estimate{}, campaign.Done{}, campaign.Summary{}, campaign.Devices{},
		campaign.Listed{}, campaign.GoneReport{}, campaign.Budget{}, campaign.StageReport{}, campaign.Entry{},
		event.Waits{},
	} {
		of := reflect.TypeOf(v)
		if want := strings.Join(membersOf(of), ", "); !slices.Contains(sets, want) {
			t.Errorf("docs/campaigns.md lacks {%s}, which is %s", want, of)
		}
	}
	// What searches on is the command's own affair.
	created := slices.DeleteFunc(membersOf(reflect.TypeFor[campaign.Created]()), func(m string) bool {
		return m == "searching"
	})
	if want := strings.Join(created, ", "); !slices.Contains(sets, want) {
		t.Errorf("docs/campaigns.md lacks {%s}", want)
	}
	// Those of a report and of its waves are told one by one.
	_, report, _ := strings.Cut(string(b), "\n## The report\n")
	report, _, _ = strings.Cut(report, "\n## ")
	for _, of := range []reflect.Type{reflect.TypeFor[campaign.Report](), reflect.TypeFor[campaign.WaveReport]()} {
		for _, m := range membersOf(of) {
			if !strings.Contains(report, "`"+m+"`") {
				t.Errorf("docs/campaigns.md, \"The report\", lacks `%s` of %s", m, of)
			}
		}
	}
}
