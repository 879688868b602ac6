package usp_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// What decodes encodes to a form that decodes to the same, and stays so.
func FuzzRecord(f *testing.F) {
	n := 0
	for _, packets := range capturesIfAny(f) {
		for _, p := range packets {
			if n++; n%7 == 0 {
				f.Add(p.payload)
			}
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := usp.DecodeRecord(payload)
		if err != nil {
			var refused *usp.RecordError
			if r != nil || !errors.As(err, &refused) || !refused.Code.IsRecord() {
				t.Fatalf("%v, %v", r, err)
			}
			return
		}
		first, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := usp.DecodeRecord(first)
		if err != nil {
			// Our words put before an empty message leave no payload.
			if r.Message != nil && proto.Size(r.Message) == 0 {
				return
			}
			t.Fatal(err)
		}
		second, err := again.Encode()
		if err != nil || string(first) != string(second) || r.Kind() != again.Kind() {
			t.Fatalf("%x, then %x (%v)", first, second, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	n := 0
	for _, packets := range capturesIfAny(f) {
		for _, p := range packets {
			if r, err := usp.DecodeRecord(p.payload); err == nil && r.Message != nil {
				if n++; n%7 == 0 {
					b, _ := usp.EncodeMessage(r.Message)
					f.Add(b)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := usp.DecodeMessage(payload)
		if err != nil {
			if m != nil {
				t.Fatal("a message beside an error")
			}
			return
		}
		first, err := usp.EncodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := usp.DecodeMessage(first)
		if err != nil || !proto.Equal(m, again) {
			t.Fatalf("%v, then %v (%v)", m, again, err)
		}
		if body, err := usp.Open(m); (err == nil) != (body != nil) || err != nil &&
			!errors.Is(err, usp.MessageNotSupported) {
			t.Fatalf("Open: %v, %v", body, err)
		}
		if n, ok := usp.ReadNotify(m); ok {
			if back, ok := usp.ReadNotify(n.Message()); !ok || back.Path != n.Path || back.Kind != n.Kind {
				t.Fatalf("%+v, then %+v", n, back)
			}
			_, _ = usp.ReadBoot(n.Params)
			_, _ = usp.ReadTransferComplete(n.Params)
		}
		if v, ok := usp.ReadGetResp(m); ok {
			v.Rows(usp.Requests)
		}
		usp.ReadOperateResp(m)
		usp.ReadError(m)
	})
}

func FuzzTopic(f *testing.F) {
	f.Add("usp/controller/x", "usp/agent/y")
	f.Add("a/reply-to=b", "c/reply-to=d%2Fe")
	f.Fuzz(func(t *testing.T, topic, reply string) {
		base, got, ok := usp.SplitReplyTo(usp.JoinReplyTo(topic, reply))
		_, canonical, _ := usp.SplitReplyTo(usp.JoinReplyTo("", reply))
		if !ok || base != topic || got != canonical {
			t.Fatalf("%q and %q come back as %q and %q", topic, reply, base, got)
		}
		if base, _, _ := usp.SplitReplyTo(topic); len(base) > len(topic) {
			t.Fatal(base)
		}
	})
}

func FuzzEndpointID(f *testing.F) {
	f.Add("os::012345-cpe-0001", "a b%")
	f.Add("oui:00256D:my%20id", "ä")
	f.Fuzz(func(t *testing.T, s, instance string) {
		if id, err := usp.ParseEndpointID(s); err == nil {
			if string(id) != s {
				t.Fatalf("%q becomes %q", s, id)
			}
			if back, err := usp.ParseURN(id.URN()); err != nil || back != id {
				t.Fatal(back, err)
			}
			id.Instance()
		}
		if back, err := usp.UnescapeInstance(usp.EscapeInstance(instance)); err != nil || back != instance {
			t.Fatalf("%q comes back as %q (%v)", instance, back, err)
		}
		if instance != "" {
			if id, err := usp.NewEndpointID(usp.SchemeSelf, "", instance); err != nil || id.Instance() != instance {
				t.Fatalf("self::%q gives %q (%v)", instance, id, err)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"Device.", "Device.A.1.B()", "Device.A.*.C!", `Device.A.[B=="x.y"&&C>=2].D`, `Device.A.[B==x].`, "Device.A.[B~=%22].E"} {
		f.Add(s, "Device.A.1.B()")
	}
	f.Fuzz(func(t *testing.T, s, concrete string) {
		p, err := usp.ParsePath(s)
		if err != nil {
			if !errors.Is(err, usp.InvalidPathSyntax) || p.Segments != nil {
				t.Fatal(p, err)
			}
			return
		}
		again, err := usp.ParsePath(p.String())
		if err != nil || again.String() != p.String() || again.Kind != p.Kind {
			t.Fatalf("%q, then %q, then %q (%v)", s, p, again, err)
		}
		if p.Concrete() && (p.String() != s || !p.Match(p, nil) || !p.Covers(p, nil)) {
			t.Fatalf("%q does not match itself", s)
		}
		if other, err := usp.ParsePath(concrete); err == nil && other.Concrete() {
			if p.Match(other, nil) && !p.Covers(other, nil) {
				t.Fatalf("%q matches %q and does not cover it", s, concrete)
			}
		}
	})
}
