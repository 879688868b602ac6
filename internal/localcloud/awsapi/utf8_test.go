package awsapi

import "testing"

// TestBodiesAreUTF8: bytes that are no UTF-8 are refused, not replaced.
func TestBodiesAreUTF8(t *testing.T) {
	for body, want := range map[string]string{
		`{"Name":"ä"}`: "", "{\"Name\":\"\xff\"}": "SerializationException", "{\"\xc3\x28\":1}": "SerializationException",
		"{\"Name\":\"\xed\xa0\x80\"}": "SerializationException", "": "",
	} {
		var in struct{ Name string }
		err := decodeJSON([]byte(body), &in)
		if got := Code(err); (err == nil) != (want == "") || want != "" && got != want {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}
