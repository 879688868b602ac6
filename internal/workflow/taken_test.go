package workflow

import "testing"

func TestTakenNewsIsKnown(t *testing.T) {
	c := Claim{Taken: []Taking{{News: "old", By: "a"}, {News: "new~11", By: "b"}}}
	for news, want := range map[string]string{
		"new~11": "b", "new~22": "", // the device has used its id again
		"old~33": "a", // stored by a version that knew the message's id alone
		"older":  "", "": "",
	} {
		if by, taken := c.takenBy(news); by != want || taken != (want != "") {
			t.Errorf("%s is taken by %q, %v, want %q", news, by, taken, want)
		}
	}
}
