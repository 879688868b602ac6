package awsapi

import (
	"fmt"
	"testing"
)

func TestDenialsAreBounded(t *testing.T) {
	var d Denials
	for i := range 3 * maxDenials {
		d.Add(fmt.Sprintf("denial %d", i))
		d.Add("denial 0")
	}
	if n := len(d.List()); n != maxDenials || d.Total() != 6*maxDenials || d.List()[0] != "denial 0" {
		t.Errorf("%d kept, %d counted, first %q", n, d.Total(), d.List()[0])
	}
}
