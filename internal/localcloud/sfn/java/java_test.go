package java

import "testing"

func TestHash(t *testing.T) {
	for s, want := range map[string]int32{"": 0, "a": 97, "Seconds": -660217249, "é𝄞": 1996307} {
		if got := String(s); got != want {
			t.Errorf("%q: %d", s, got)
		}
	}
	if Grown(12) != 16 || Grown(13) != 32 || Grown(25) != 64 {
		t.Error(Grown(12), Grown(13), Grown(25))
	}
	if Buckets(0) != 16 || Buckets(11) != 16 || Buckets(12) != 32 || Bucket(-1, 16) != 0 || Bucket(0x10000, 16) != 1 {
		t.Error(Buckets(0), Buckets(11), Buckets(12), Bucket(-1, 16), Bucket(0x10000, 16))
	}
}
