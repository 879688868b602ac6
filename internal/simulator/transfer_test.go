package simulator

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// ranged serves an image, and parts of it.
type ranged struct {
	mu     sync.Mutex
	image  []byte
	tag    string
	whole  bool // whatever is asked for
	asked  []string
	served int
}

func (s *ranged) Do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Header.Get("Range"))
	if s.whole {
		r.Header.Del("Range")
	}
	w := httptest.NewRecorder()
	w.Header().Set("ETag", s.tag)
	http.ServeContent(w, r, "image.bin", time.Time{}, bytes.NewReader(s.image))
	s.served += w.Body.Len()
	return w.Result(), nil
}

// A device that goes on with an interrupted transfer asks for the bytes that it lacks, and
// what it has in the end is the image.
func TestAnInterruptedTransferGoesOnWhereItWas(t *testing.T) {
	const size = 65536
	for _, c := range []struct {
		name  string
		fault string
		cuts  []time.Duration // of its power, each after the transfer began or went on
		then  func(*ranged)   // before it goes on
		asks  []string
		want  string // what is told of the end
	}{
		{name: "half way", cuts: []time.Duration{8 * time.Second}, asks: []string{"", "bytes=32768-"}},
		{name: "at its beginning", cuts: []time.Duration{100 * time.Millisecond}, asks: []string{"", ""}},
		{name: "twice", cuts: []time.Duration{4 * time.Second, 6 * time.Second},
			asks: []string{"", "bytes=16384-", "bytes=40960-"}},
		{name: "by a fault", fault: RebootInDownload, asks: []string{"", "bytes=32768-"}},
		{name: "while it is written", fault: SlowFlash, cuts: []time.Duration{20 * time.Second},
			asks: []string{"", "bytes=65536-"}},
		{name: "a server without ranges", cuts: []time.Duration{8 * time.Second}, then: func(s *ranged) {
			s.whole = true
		}, asks: []string{"", "bytes=32768-"}},
		{name: "another file by now", cuts: []time.Duration{8 * time.Second}, then: func(s *ranged) {
			s.tag = `"second"`
		}, asks: []string{"", "bytes=32768-", ""}},
		{name: "a shorter file by now", cuts: []time.Duration{8 * time.Second}, then: func(s *ranged) {
			s.image = s.image[:1000]
		}, asks: []string{"", "bytes=32768-"}, want: "OperationComplete Download() k failed 7022"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &ranged{image: MakeImage("2.0.0", size, 1), tag: `"first"`}
				w := newBench(t, c.fault, func(settings *Settings) {
					noRetry(settings)
					profiled("resumes-download")(settings)
					settings.HTTP = s
					settings.Timing.Download = [2]time.Duration{16 * time.Second, 16 * time.Second}
				})
				w.start()
				w.operate(usp.FirmwareImages+"2.Download()", "k", downloadArgs("fw", "2.0.0", false))
				for _, after := range c.cuts {
					w.wait(after)
					w.a.PowerCut()
					if c.then != nil {
						s.mu.Lock()
						c.then(s)
						s.mu.Unlock()
					}
					w.wait(w.a.s.Timing.Boot)
				}
				w.wait(time.Minute)
				s.mu.Lock()
				asked := slices.Clone(s.asked)
				s.mu.Unlock()
				if !slices.Equal(asked, c.asks) {
					t.Errorf("it asked for %q, want %q", asked, c.asks)
				}
				want := c.want
				if want == "" {
					want = "OperationComplete Download() k"
					if got := w.a.status(2); got != usp.StatusAvailable || w.a.images[1].header.Version != "2.0.0" {
						t.Errorf("the image is %s, of version %q", got, w.a.images[1].header.Version)
					}
				}
				if story := w.story(); !slices.Contains(story, want) {
					t.Errorf("it told %q, want %q", story, want)
				}
				again := strings.Contains(strings.Join(c.asks[1:], ""), "bytes")
				if f := w.a.Facts(); (f.Resumed > 0) != again {
					t.Errorf("%+v", f)
				}
			})
		})
	}
}

// A command is stopped by Cancel() of its row, where the model has that.
func TestCommandsAreCanceled(t *testing.T) {
	cancel := func(w *bench) []string {
		w.next()
		w.operate(usp.Requests+"1.Cancel()", "c", nil)
		w.wait(time.Second)
		return w.story()
	}
	slow := func(profile string) func(*Settings) {
		return func(s *Settings) {
			noRetry(s)
			profiled(profile)(s)
			s.Timing.Download = [2]time.Duration{10 * time.Second, 10 * time.Second}
		}
	}
	image := usp.FirmwareImages + "2."
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", slow("cancels-commands"))
		w.start()
		w.operate(image+"Download()", "k", downloadArgs("fw", "2.0.0", true))
		w.wait(time.Second)
		expect(t, cancel(w), "OPERATE_RESP ok", "TransferComplete! 7023", "OperationComplete Download() k failed 7023")
		w.wait(time.Minute)
		if f := w.a.Facts(); w.a.status(2) != usp.StatusNoImage || f.Boots != 1 || f.Completed != 0 {
			t.Errorf("%s, %+v", w.a.status(2), f)
		}
		expect(t, cancel(w), "ERROR 7016")
		w.operate(image+"Download()", "k2", downloadArgs("fw", "2.0.0", false))
		w.wait(time.Minute)
		w.operate(image+"Activate()", "a", map[string]string{"TimeWindow.1.Start": "30", "TimeWindow.1.End": "60"})
		expect(t, cancel(w), "OPERATE_RESP ok", "OperationComplete Activate() a failed 7023")
		w.wait(time.Minute)
		if f := w.a.Facts(); f.Boots != 1 || w.a.status(2) != usp.StatusAvailable {
			t.Errorf("%s, %+v", w.a.status(2), f)
		}
	})
	synctest.Test(t, func(t *testing.T) { // 11j
		w := newBench(t, "", slow("reference"))
		w.start()
		w.operate(image+"Download()", "k", downloadArgs("fw", "2.0.0", false))
		expect(t, cancel(w), "ERROR 7026")
	})
}

// A model says how many time windows it takes, and heeds the first of two.
func TestTwoTimeWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", func(s *Settings) { noRetry(s); profiled("two-time-windows")(s) })
		w.start()
		w.operate(usp.FirmwareImages+"2.Download()", "k", downloadArgs("fw", "2.0.0", false))
		w.wait(time.Second)
		w.next()
		three := map[string]string{"TimeWindow.1.Start": "1", "TimeWindow.2.Start": "9", "TimeWindow.3.Start": "20"}
		w.operate(usp.FirmwareImages+"2.Activate()", "k2", three)
		expect(t, w.story(), "OPERATE_RESP 7027")
		delete(three, "TimeWindow.3.Start")
		three["TimeWindow.1.Start"], three["TimeWindow.1.End"] = "40", "50"
		w.operate(usp.FirmwareImages+"2.Activate()", "k3", three)
		expect(t, w.story(), "OPERATE_RESP ok")
		w.wait(9 * time.Second)
		if w.a.Facts().Phase != Connected {
			t.Errorf("%s before the window", w.a.Facts().Phase)
		}
		w.wait(time.Second)
		if w.a.Facts().Phase != Rebooting {
			t.Errorf("%s in the window", w.a.Facts().Phase)
		}
	})
}
