package awsapi

import (
	"fmt"
	"testing"
)

func TestDenialsAreBounded(t *testing.T) {
	var d Denials
	for i := range 3 * maxDenials {
		d.Add(Denial{Who: "device", Action: fmt.Sprintf("action %d", i)})
		d.Add(Denial{Who: "device", Action: "action 0"})
	}
	if n := len(d.List()); n != maxDenials || d.Total() != 6*maxDenials || d.List()[0].Action != "action 0" {
		t.Errorf("%d kept, %d counted, first %q", n, d.Total(), d.List()[0])
	}
}
