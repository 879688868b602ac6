package awsapi

import (
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// RPC v2 CBOR: members are named by their json tags, times are epoch seconds
// under tag 1.
var (
	cborEncoding = must(cbor.EncOptions{}.EncMode())
	cborDecoding = must(cbor.DecOptions{MaxNestedLevels: 64}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("awsapi: " + err.Error())
	}
	return v
}

// MarshalCBOR writes epoch seconds under tag 1.
func (t Time) MarshalCBOR() ([]byte, error) {
	return cborEncoding.Marshal(cbor.Tag{Number: 1, Content: t.Seconds()})
}

// UnmarshalCBOR reads epoch seconds under tag 1.
func (t *Time) UnmarshalCBOR(b []byte) error {
	var raw cbor.RawTag
	if err := cborDecoding.Unmarshal(b, &raw); err != nil || raw.Number != 1 {
		return fmt.Errorf("a timestamp must have tag 1")
	}
	var f float64
	if err := cborDecoding.Unmarshal(raw.Content, &f); err != nil || math.IsNaN(f) || math.Abs(f) > 1e12 {
		return fmt.Errorf("a timestamp must be a number of epoch seconds")
	}
	t.Time = time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	return nil
}

func decodeCBOR(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	if err := cborDecoding.Unmarshal(body, v); err != nil {
		return serialization("%v", err)
	}
	return nil
}
