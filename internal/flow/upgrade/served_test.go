package upgrade

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/statemachines"
)

// TestAnExecutionWithoutBackoffIsNotToldOfIt: who hears the device is of this version, and an execution that began
// before keeps its state machine, which knows no Next.Backoff.
func TestAnExecutionWithoutBackoffIsNotToldOfIt(t *testing.T) {
	for _, c := range []struct {
		memory string
		want   event.ErrorName
	}{
		{`{"v":1,"passes":1,"fault":{"code":7022,"text":"http status 503"}}`, NextDownload},
		{`{"v":1,"passes":4,"fault":{"code":7022,"text":"http status 503"}}`, DownloadFailed},
		{`{"v":1,"backs":true,"passes":4,"fault":{"code":7022,"text":"http status 503"}}`, NextBackoff},
		{`{"v":1,"backs":true,"passes":8,"fault":{"code":7022,"text":"http status 503"}}`, DownloadFailed},
	} {
		m, err := readMemory(event.Turn{Step: AwaitReport, State: json.RawMessage(c.memory)})
		if err != nil {
			t.Fatal(err)
		}
		move := turn{&Flow{}, event.Turn{}, m}.failedTransfer(view{}, Image{Status: statusDownloadFailed})
		if move.Failed == nil || move.Failed.Name != c.want {
			t.Errorf("%s: %+v, want %s", c.memory, move.Failed, c.want)
		}
	}
}

// TestBackoffLastsAsCounted compares the pauses of the state machine with what the check of jobMinutes counts.
func TestBackoffLastsAsCounted(t *testing.T) {
	var document struct {
		States map[string]struct{ Seconds any }
	}
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &document); err != nil {
		t.Fatal(err)
	}
	text, _ := document.States["Backoff"].Seconds.(string)
	list := regexp.MustCompile(`\[([\d, ]+)\]`).FindStringSubmatch(text)
	if list == nil {
		t.Fatalf("no pauses in %q", text)
	}
	pauses, all := strings.Split(list[1], ", "), 0
	for i := range mostDownloads - 1 {
		n, err := strconv.Atoi(pauses[min(i, len(pauses)-1)])
		if err != nil {
			t.Fatal(err)
		}
		all += n
	}
	if all != backsOff {
		t.Errorf("the pauses take %d s, and %d s are counted", all, backsOff)
	}
}

// TestTextsOfTransfersThatWereNotServed: the text of a failure is the vendor's.
func TestTextsOfTransfersThatWereNotServed(t *testing.T) {
	for text, want := range map[string]bool{
		"Download failed: The requested URL returned error: 503 (http status 503)": true, // OB-USP-AGENT
		"The requested URL returned error: 500 Internal Server Error":              true, // curl
		"ERROR 503: Service Unavailable.":                                          true, // wget
		"HTTP/1.1 503 Slow Down":                                                   true,
		"http 502":                                                                 true,
		"HTTP status code: 504":                                                    true,
		"server returned 429 Too Many Requests":                                    true,
		"Gateway Timeout":                                                          true,

		"ended after 503 bytes":                      false,
		"Download failed: HTTP status 404":           false,
		"The requested URL returned error: 403":      false,
		"7022 command failure":                       false,
		"error: 5031 bytes missing":                  false,
		"Could not connect to 198.51.100.7 port 500": false,
		"firmware-v503.bin: no space left":           false,
		"status: image of 500 blocks does not fit":   false,
		"": false,
	} {
		if got := serverFailed.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
