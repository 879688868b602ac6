package operation_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

const drawn = `8 states, at most 11 transitions
> Look     GET, up to 20 s, 2 retries
    --> Choose
    - > Rest  on Device.Refused
    - > Give up  on States.ALL
  Choose   Choice
    --> Blink
    --> Rest
  Give up  FINALIZE, up to 40 s, 2 retries
    --> Over
  Rest     Wait, up to restSeconds
    --> Done
  Blink    OPERATE Device.Lamp.Blink(), up to restSeconds
    --> Keep
    - > Give up  on States.ALL
  Done     FINALIZE, up to 40 s, 2 retries
    --| end
  Over     Fail
    --| end
  Keep     aws-sdk:s3:putObject, up to 60 s
    --> Rest
    - > Give up  on States.ALL
`

func TestStatesAreDrawnAsText(t *testing.T) {
	o, problems := blink(t)
	if problems != nil {
		t.Fatal(problems)
	}
	if got := o.Picture().Text(); got != drawn {
		t.Errorf("got\n%s", got)
	}
	// Any state machine can be drawn, also one that is no operation.
	p, problems := operation.NewPicture([]byte(statemachines.FirmwareUpgrade))
	if problems != nil || !strings.Contains(p.Text(), " states, with a loop\n> Inspect") ||
		!strings.Contains(p.Text(), "computed") {
		t.Errorf("%v\n%s", problems, p.Text())
	}
	if _, problems := operation.NewPicture([]byte(`{}`)); problems == nil {
		t.Error("a machine without states is drawn")
	}
}

// TestAWayThatPassesStatesIsSeen: between two boxes in a column a straight line would be behind those between.
func TestAWayThatPassesStatesIsSeen(t *testing.T) {
	p, problems := operation.NewPicture([]byte(`{"StartAt": "A", "States": {
		"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": true, "Next": "B"}], "Default": "C"},
		"B": {"Type": "Pass", "Next": "C"}, "C": {"Type": "Pass", "End": true}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	svg := p.SVG()
	found := regexp.MustCompile(`<path d="M(\d+) \d+C(\d+) [^>]*><title>(A to C|A to B)<`).FindAllStringSubmatch(svg, -1)
	if len(found) != 2 {
		t.Fatalf("%d ways in\n%s", len(found), svg)
	}
	for _, way := range found {
		if beside := way[1] != way[2]; beside != (way[3] == "A to C") {
			t.Errorf("%s leaves at %s towards %s", way[3], way[1], way[2])
		}
	}
}

func TestStatesAreDrawnAsAPicture(t *testing.T) {
	o, problems := blink(t)
	if problems != nil {
		t.Fatal(problems)
	}
	upgrade, problems := operation.NewPicture([]byte(statemachines.FirmwareUpgrade))
	if problems != nil {
		t.Fatal(problems)
	}
	for _, p := range []operation.Picture{o.Picture(), upgrade} {
		svg := p.SVG()
		boxes, ways := 0, 0
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := token.(xml.StartElement); ok {
				switch e.Name.Local {
				case "g":
					boxes++
				case "path":
					ways++
				}
			}
		}
		text := p.Text()
		if want := strings.Count(text, "--> ") + strings.Count(text, "- > ") +
			1; ways != want { // and the arrow's head
			t.Errorf("%d ways are drawn, of %d", ways, want)
		}
		if want := len(strings.Split(text, "\n")) - 2 - strings.Count(text, "\n    "); boxes != want {
			t.Errorf("%d boxes are drawn, of %d", boxes, want)
		}
	}
}
