package upgrade

import "testing"

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
