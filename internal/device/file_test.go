package device_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
)

// counting makes another address each time.
type counting struct {
	n   int
	err error
}

func (c *counting) Address(_ context.Context, f device.File) (string, error) {
	c.n++
	return fmt.Sprintf("https://%s/%s?version=%s&until=%s&n=%d", f.Bucket, f.Key, f.Version, f.Lasts, c.n), c.err
}

// The request itself never holds the address, so that whoever keeps it keeps none.
func TestAddressesAreMadeForEachSending(t *testing.T) {
	files := &counting{}
	r := &device.Operate{ID: "m-1", Command: "Download()", Args: map[string]string{"a": "b"},
		Files: map[string]device.File{"URL": {Bucket: "b", Key: "k", Version: "v", Lasts: time.Hour}}}
	if _, err := device.Message(r); err == nil {
		t.Error("a command goes out without the address of its file")
	}
	for n := 1; n <= 2; n++ {
		m, err := device.Addressed(t.Context(), r, files)
		if err != nil {
			t.Fatal(err)
		}
		out, err := device.Message(m)
		if err != nil {
			t.Fatal(err)
		}
		args := out.GetBody().GetRequest().GetOperate().GetInputArgs()
		want := fmt.Sprintf("https://b/k?version=v&until=1h0m0s&n=%d", n)
		if args["URL"] != want || args["a"] != "b" || len(args) != 2 || len(r.Args) != 1 {
			t.Errorf("sending %d: %v of %v", n, args, r.Args)
		}
	}
	files.err = errors.New("no")
	if _, err := device.Addressed(t.Context(), r, files); !errors.Is(err, files.err) {
		t.Errorf("an address that cannot be made: %v", err)
	}
	if _, err := device.Addressed(t.Context(), r, device.NoAddresses{}); err == nil {
		t.Error("a function without addresses makes one")
	}
	for _, other := range []any{&device.Get{ID: "m-1"}, &device.Operate{ID: "m-1"}, "a text"} {
		if m, err := device.Addressed(t.Context(), other, device.NoAddresses{}); err != nil || m != other {
			t.Errorf("%T without files: %v, %v", other, m, err)
		}
	}
}
