package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// bench is one agent, its broker and a controller, in a synctest bubble.
type bench struct {
	t     *testing.T
	b     *broker
	a     *Agent
	seen  int
	count int
}

func newBench(t *testing.T, fault string, settings func(*Settings)) *bench {
	b := &broker{clock: RealClock()}
	s := recordedSettings(b.clock, b, &server{})
	if settings != nil {
		settings(&s)
	}
	id := Identity{Thing: "cpe-0001", EndpointID: "os::012345-cpe-0001", Seed: 7}
	if fault != "" {
		if id.Fault = FaultNamed(fault); id.Fault == nil {
			t.Fatalf("no fault %s", fault)
		}
	}
	a, err := NewAgent(&s, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return &bench{t: t, b: b, a: a}
}

// wait lets virtual time pass.
func (w *bench) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *bench) start() {
	w.a.Start()
	synctest.Wait()
}

// send sends a request and gives its id.
func (w *bench) send(build func(id string) *uspmsg.Msg) string {
	w.count++
	id := fmt.Sprintf("t-%d", w.count)
	w.deliver(usp.NewRecord("self::controller-1", "os::012345-cpe-0001", build(id)))
	return id
}

func (w *bench) deliver(r *usp.Record) {
	payload, err := r.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.b.deliver(Publish{Topic: "usp/agent/cpe-0001/in", Payload: payload})
	synctest.Wait()
}

func (w *bench) operate(command, key string, args map[string]string) string {
	return w.send(func(id string) *uspmsg.Msg { return usp.NewOperate(id, command, key, true, args) })
}

// next are the records sent since the last call; what is no record is left out.
func (w *bench) next() []*usp.Record {
	var all []*usp.Record
	for _, p := range w.b.sent[w.seen:] {
		if r, err := usp.DecodeRecord(p.Payload); err == nil {
			all = append(all, r)
		}
	}
	w.seen = len(w.b.sent)
	return all
}

// story is what was sent since the last call, in few words.
func (w *bench) story() []string {
	var all []string
	for _, r := range w.next() {
		all = append(all, tell(r))
	}
	return all
}

func tell(r *usp.Record) string {
	if r.Message == nil {
		return r.Kind()
	}
	if n, ok := usp.ReadNotify(r.Message); ok {
		_, name := usp.SplitPath(n.Path)
		switch {
		case n.Failure != nil:
			return fmt.Sprintf("%s %s %s failed %d", n.Kind, name, n.CommandKey, n.Failure.Code)
		case n.Path == usp.EventTransferComplete:
			return fmt.Sprintf("%s %s", name, n.Params["FaultCode"])
		case n.Path == usp.EventBoot:
			return fmt.Sprintf("%s updated=%s key=%s", name, n.Params["FirmwareUpdated"], n.Params["CommandKey"])
		case n.Kind == usp.KindOperationComplete:
			return fmt.Sprintf("%s %s %s", n.Kind, name, n.CommandKey)
		}
		return fmt.Sprintf("%s %s", n.Kind, name)
	}
	if results, ok := usp.ReadOperateResp(r.Message); ok {
		var words []string
		for _, r := range results {
			if r.Failure != nil {
				words = append(words, fmt.Sprint(int(r.Failure.Code)))
			} else {
				words = append(words, "ok")
			}
		}
		return "OPERATE_RESP " + strings.Join(words, " ")
	}
	if e := usp.ReadError(r.Message); e != nil {
		return fmt.Sprintf("ERROR %d", e.Code)
	}
	return usp.Type(r.Message)
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("\ngot  %q\nwant %q", got, want)
	}
}

func downloadArgs(path, version string, auto bool) map[string]string {
	image := MakeImage(version, 65536, 1)
	if strings.Contains(path, "bootfail") {
		image = MakeBrokenImage(version, 65536, 1)
	}
	sum := sha256.Sum256(image)
	return map[string]string{
		"URL": "http://server:80/" + path + "/" + version + ".bin", "AutoActivate": fmt.Sprint(auto),
		"FileSize": "65536", "CheckSumAlgorithm": "SHA-256", "CheckSum": hex.EncodeToString(sum[:]),
	}
}

func noRetry(s *Settings) {
	for i := range s.Subscriptions {
		s.Subscriptions = slices.Clone(s.Subscriptions)
		s.Subscriptions[i].NotifRetry = false
	}
}

func TestConnectRecordComesFirstAndBootOncePerBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", noRetry)
		w.start()
		expect(t, w.story(), "mqtt_connect", "Boot! updated=false key=")
		w.b.cut()
		w.wait(11 * time.Second)
		expect(t, w.story(), "mqtt_connect")
		w.a.PowerCut()
		w.wait(4 * time.Second)
		expect(t, w.story(), "mqtt_connect", "Boot! updated=false key=")
		if facts := w.a.Facts(); facts.Connects != 3 || facts.Boots != 2 || facts.Phase != Connected {
			t.Errorf("%+v", facts)
		}
	})
}

// Waits before attempts grow from 5–10 s by doubling, up to 2560–5120 s (11i); the
// maximum of 30,720 s is never reached.
func TestReconnectBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", nil)
		w.start()
		w.b.refuse(true)
		lost := time.Now()
		w.b.cut()
		w.wait(10 * time.Hour)
		low := 5 * time.Second
		last := lost
		if len(w.b.connects) < 13 {
			t.Fatalf("%d attempts in 10 hours", len(w.b.connects))
		}
		for i, at := range w.b.connects[1:] {
			if wait := at.Sub(last); wait < low || wait > 2*low {
				t.Errorf("wait %d was %s, want %s to %s", i+1, wait, low, 2*low)
			}
			last, low = at, min(2*low, 2560*time.Second)
		}
		if w.a.Refusal() == nil {
			t.Error("the agent does not say why it is not connected")
		}
		w.b.refuse(false)
		w.wait(3 * time.Hour)
		if err := w.a.Refusal(); err != nil {
			t.Errorf("it is connected, and says %v", err)
		}
	})
}

// Unanswered notifications are repeated, byte for byte, after 5–10 s, 10–20 s, …
// until a NotifyResp with their id comes, whatever its subscription_id.
func TestNotificationsAreRepeatedUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", nil)
		w.start()
		w.wait(2 * time.Hour)
		boots := w.b.sent[1:] // after mqtt_connect
		low := 5 * time.Second
		if len(boots) < 9 {
			t.Fatalf("Boot! sent %d times", len(boots))
		}
		for i, p := range boots[1:] {
			if !bytes.Equal(p.Payload, boots[0].Payload) {
				t.Fatal("a repeat differs")
			}
			if wait := p.at.Sub(boots[i].at); wait < low || wait > 2*low {
				t.Errorf("wait %d was %s, want %s to %s", i+1, wait, low, 2*low)
			}
			low = min(2*low, 5*time.Second<<9)
		}
		first := w.next()[1]
		n, _ := usp.ReadNotify(first.Message)
		answer := func(id string) {
			w.deliver(usp.NewRecord("self::controller-1", "os::012345-cpe-0001", usp.NewNotifyResp(id, "some other")))
		}
		answer("wrong id")
		w.wait(3 * time.Hour)
		if len(w.next()) == 0 {
			t.Error("a NotifyResp with a wrong id stops the repeats")
		}
		answer(n.ID)
		w.wait(24 * time.Hour)
		expect(t, w.story())
	})
}

func TestUnansweredNotificationsDoNotSurviveABoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", nil)
		w.start()
		first := w.next()[1]
		w.a.PowerCut()
		w.wait(time.Hour)
		for _, r := range w.next() {
			if r.Message != nil && usp.ID(r.Message) == usp.ID(first.Message) {
				t.Fatal("the notification of before the boot is repeated")
			}
		}
	})
}

func TestNotificationsWaitForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", noRetry)
		w.start()
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("slow/3", "2.0.0", false))
		w.next()
		w.b.refuse(true)
		w.b.cut()
		w.wait(4 * time.Second)
		w.b.refuse(false)
		w.wait(time.Minute)
		expect(t, w.story(), "mqtt_connect", "TransferComplete! 0", "OperationComplete Download() k")
	})
}

// A device whose connection is down does not reboot before it has told all.
func TestRebootWaitsUntilEverythingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", noRetry)
		w.start()
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("slow/2", "2.0.0", true))
		w.next()
		w.b.refuse(true)
		w.b.cut()
		w.wait(25 * time.Second)
		if w.a.Facts().Version != "1.0.0" {
			t.Fatal("it rebooted while it was away")
		}
		w.b.refuse(false)
		w.wait(2 * time.Minute)
		expect(t, w.story(), "mqtt_connect", "TransferComplete! 0", "OperationComplete Download() k", "mqtt_connect",
			"Boot! updated=true key=k")
		if facts := w.a.Facts(); facts.Version != "2.0.0" || !facts.Upgraded() {
			t.Errorf("%+v", facts)
		}
	})
}

// A message that cannot be sent goes out on the next connection, in its place.
func TestFailedPublishIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", noRetry)
		w.start()
		w.next()
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("slow/3", "2.0.0", false))
		w.b.fail(1)
		w.wait(time.Minute)
		expect(t, w.story(), "OPERATE_RESP ok", "mqtt_connect", "TransferComplete! 0",
			"OperationComplete Download() k")
		w.b.fail(100) // for ever, as it were: given up after three
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("fw", "2.0.0", false))
		w.wait(24 * time.Hour)
		w.b.fail(0)
		w.next()
		w.wait(24 * time.Hour)
		expect(t, w.story())
	})
}

func TestChecksumAlgorithms(t *testing.T) {
	image := MakeImage("2.0.0", 65536, 1)
	for _, algorithm := range []string{"SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"} {
		h := newHash(algorithm)
		h.Write(image)
		good := hex.EncodeToString(h.Sum(nil))
		for sum, want := range map[string]string{
			good: "TransferComplete! 0", strings.ToUpper(good): "TransferComplete! 0", "": "TransferComplete! 0",
			"00" + good[2:]: "TransferComplete! 7022",
		} {
			if sum == "00"+good[2:] && good[:2] == "00" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				w := newBench(t, "", noRetry)
				w.start()
				w.next()
				args := downloadArgs("fw", "2.0.0", false)
				args["CheckSumAlgorithm"], args["CheckSum"] = algorithm, sum
				w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", args)
				w.wait(time.Second)
				if got := w.story(); !slices.Contains(got, want) {
					t.Errorf("%s %s: %q", algorithm, sum, got)
				}
			})
		}
	}
}

// What Activate() takes, and when it then reboots.
func TestTimeWindows(t *testing.T) {
	for _, c := range []struct {
		args map[string]string
		wait time.Duration
		want string
	}{
		{nil, 0, "OPERATE_RESP ok"},
		{map[string]string{"TimeWindow.1.Start": "30", "TimeWindow.1.End": "60", "TimeWindow.1.Mode": "WhenIdle",
			"TimeWindow.1.MaxRetries": "3"}, 30 * time.Second, "OPERATE_RESP ok"},
		{map[string]string{"TimeWindow.1.Start": "0", "TimeWindow.1.Mode": "Immediately"}, 0, "OPERATE_RESP ok"},
		{map[string]string{"TimeWindow.1.Start": "soon"}, 0, "OPERATE_RESP 7027"},
		{map[string]string{"TimeWindow.1.Start": "5", "TimeWindow.1.End": "5"}, 0, "OPERATE_RESP 7027"},
		{map[string]string{"TimeWindow.1.Mode": "Perhaps"}, 0, "OPERATE_RESP 7027"},
		{map[string]string{"TimeWindow.0.Start": "1"}, 0, "OPERATE_RESP 7027"},
		{map[string]string{"TimeWindow.1.Start": "1", "TimeWindow.2.Start": "9"}, 0, "OPERATE_RESP 7027"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newBench(t, "", noRetry)
			w.start()
			w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("fw", "2.0.0", false))
			w.wait(time.Second)
			w.next()
			w.operate("Device.DeviceInfo.FirmwareImage.2.Activate()", "k2", c.args)
			expect(t, w.story(), c.want)
			if c.want != "OPERATE_RESP ok" {
				return
			}
			w.wait(c.wait + 100*time.Millisecond)
			if w.a.Facts().Phase != Connected {
				t.Errorf("%v: %s before the window", c.args, w.a.Facts().Phase)
			}
			w.wait(200 * time.Millisecond)
			if w.a.Facts().Phase != Rebooting {
				t.Errorf("%v: %s in the window", c.args, w.a.Facts().Phase)
			}
			w.wait(4 * time.Second)
			expect(t, w.story(), "mqtt_connect", "Boot! updated=true key=k2", "OperationComplete Activate() k2")
		})
	}
}

func TestForceReconnectEndsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", noRetry)
		w.start()
		w.next()
		w.operate("Device.MQTT.Client.1.ForceReconnect()", "k", nil)
		w.wait(2 * time.Second)
		expect(t, w.story(), "OPERATE_RESP ok", "mqtt_connect")
		if w.b.cleanly != 1 {
			t.Errorf("%d connections ended with DISCONNECT", w.b.cleanly)
		}
	})
}

// Every fault leads to the end that it declares, as far as the device alone
// decides it: the right version or not.
func TestFaultsEndAsDeclared(t *testing.T) {
	for _, f := range append([]*Fault{nil}, AllFaults...) {
		name := ""
		if f != nil {
			name = f.Name
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newBench(t, name, noRetry)
				w.start()
				if name == OfflineAtStart {
					if w.b.connects != nil || w.a.Facts().Phase != Offline {
						t.Errorf("it is there at once: %+v", w.a.Facts())
					}
					w.wait(11 * time.Second)
				}
				w.wait(3 * time.Second)
				download := func() {
					w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("fw", "2.0.0", true))
				}
				if name == BusyWithAnother {
					w.send(func(id string) *uspmsg.Msg { return usp.NewGet(id, 0, usp.Requests) })
					download()
					w.wait(25 * time.Second)
				}
				download()
				if name == DropsIdle { // the first was lost; it learns so, and is asked as it comes back
					for before := w.a.Facts().Connects; w.a.Facts().Connects == before; {
						w.wait(100 * time.Millisecond)
					}
					download()
				}
				w.wait(time.Minute)
				switch name { // as the workflow goes on
				case RebootInDownload, OldNews, Forbidden:
					download()
				case CutBeforeRestart:
					w.operate("Device.DeviceInfo.FirmwareImage.2.Activate()", "a", nil)
				case Blocked:
					for _, command := range []string{"Download()", "Activate()"} {
						w.operate("Device.DeviceInfo.FirmwareImage.2."+command, "a", downloadArgs("fw", "2.0.0", true))
					}
					w.send(func(id string) *uspmsg.Msg {
						return usp.NewSet(id, false, usp.Object{Path: usp.DeviceInfo, Settings: []usp.Setting{
							{Param: "BootFirmwareImage", Value: "Device.DeviceInfo.FirmwareImage.2", Required: true}}})
					})
					w.operate("Device.Reboot()", "r", nil)
				}
				w.wait(time.Minute)
				got := w.story()
				facts := w.a.Facts()
				runs := f.Succeeds() || slices.Contains([]string{WrongEndpointID, WrongVersion, CutInRollback}, name)
				// What fails there is only that nobody may believe its records.
				if facts.Upgraded() != runs {
					t.Errorf("%+v after %q", facts, got)
				}
				has := func(word string) bool {
					return slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, word) })
				}
				for word, want := range map[string]bool{
					"TransferComplete! 0": f.Succeeds() && name != LosesTransferComplete ||
						slices.Contains([]string{BootFails, OldImage, NeverReturns, WrongEndpointID, WrongVersion,
							CutInRollback}, name),
					"TransferComplete! 7022": slices.Contains([]string{NotFound, Forbidden, BadChecksum,
						DownloadAborted}, name),
					"OPERATE_RESP 7002":  name == Refuses || name == Blocked,
					"OPERATE_RESP 7005":  name == BusyWithAnother,
					"Boot! updated=true": runs && name != FirstBootUnreported,
				} {
					if has(word) != want {
						t.Errorf("%q sent: %v, want %v; all: %q", word, has(word), want, got)
					}
				}
				if want := name != LosesOperComplete && name != Refuses; has("OperationComplete") != want {
					t.Errorf("OperationComplete sent: %v, want %v", !want, want)
				}
				if facts.Fired != (f != nil && name != SubscriptionChanged && name != CutInRollback) {
					t.Errorf("fired: %v", facts.Fired)
				}
				if f.Expects("") != f.Succeeds() || f.Expects("No.SuchError") || f != nil && !f.Expects(f.Ends) {
					t.Errorf("expectations of %+v", f)
				}
			})
		})
	}
}

func TestDuplicateAndGarbageAndForeignRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, DuplicateAll, noRetry)
		w.start()
		expect(t, w.story(), "mqtt_connect", "mqtt_connect", "Boot! updated=false key=", "Boot! updated=false key=")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, Garbage, noRetry)
		w.start()
		if len(w.b.sent) != 4 {
			t.Errorf("%d publishes", len(w.b.sent))
		}
		expect(t, w.story(), "mqtt_connect", "Boot! updated=false key=")
	})
	synctest.Test(t, func(t *testing.T) {
		// Noise that cannot be sent is a connection that is lost, as for any message.
		w := newBench(t, Garbage, noRetry)
		w.b.failing = 1
		w.start()
		w.wait(time.Minute)
		if connects := w.a.Facts().Connects; connects != 2 {
			t.Errorf("%d connections", connects)
		}
		expect(t, w.story(), "mqtt_connect", "Boot! updated=false key=")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, WrongEndpointID, noRetry)
		w.start()
		for _, r := range w.next() {
			if (r.From == "os::012345-cpe-0001") != (r.MQTTConnect != nil) || r.From.Validate() != nil {
				t.Errorf("record from %s", r.From)
			}
		}
	})
}

func TestSubscriptionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", func(s *Settings) { s.Subscriptions = nil })
		w.start()
		add := func(id string, more ...usp.Setting) {
			settings := append([]usp.Setting{{Param: "Enable", Value: "true"}, {Param: "ID", Value: id},
				{Param: "NotifType", Value: "Event"},
				{Param: "ReferenceList", Value: "Device.LocalAgent.TransferComplete!"}}, more...)
			w.send(func(id string) *uspmsg.Msg {
				return usp.NewAdd(id, false, usp.Object{Path: usp.Subscriptions, Settings: settings})
			})
		}
		add("short", usp.Setting{Param: "TimeToLive", Value: "10"})
		add("long", usp.Setting{Param: "NotifRetry", Value: "true"}, usp.Setting{Param: "NotifExpiration",
			Value: "60"})
		w.wait(time.Minute)
		w.next()
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("fw", "2.0.0", false))
		w.wait(time.Hour)
		got := w.story()
		repeats := len(got) - 1
		if got[0] != "OPERATE_RESP ok" || repeats < 2 || repeats > 5 || got[1] != "TransferComplete! 0" {
			t.Errorf("%q", got)
		}
	})
}

// The same seed gives the same bytes at the same times.
func TestSameSeedSameRun(t *testing.T) {
	var runs [2][]sentPublish
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			w := newBench(t, Delay, nil)
			w.start()
			w.wait(time.Minute)
			w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("slow/3", "2.0.0", true))
			w.wait(time.Hour)
			runs[i] = w.b.sent
		})
	}
	if len(runs[0]) < 10 || len(runs[0]) != len(runs[1]) {
		t.Fatalf("%d and %d messages", len(runs[0]), len(runs[1]))
	}
	for i := range runs[0] {
		if !bytes.Equal(runs[0][i].Payload, runs[1][i].Payload) || !runs[0][i].at.Equal(runs[1][i].at) {
			t.Fatalf("message %d differs", i)
		}
	}
}

func TestImagesSayTheirVersion(t *testing.T) {
	for _, c := range []struct {
		image []byte
		want  ImageHeader
		bad   bool
	}{
		{image: MakeImage("2.0.0", 1000, 1), want: ImageHeader{"2.0.0", true}},
		{image: MakeImage("2.0.0", 0, 1), want: ImageHeader{"2.0.0", true}},
		{image: MakeBrokenImage("3.0.0-rc.1", 4096, 9), want: ImageHeader{"3.0.0-rc.1", false}},
		{image: nil, bad: true},
		{image: []byte("#!/bin/sh"), bad: true},
		{image: []byte(imageMagic + "\n\n"), bad: true},
		{image: []byte(imageMagic + "\nversion: 1\n"), bad: true},
		{image: []byte(imageMagic + "\nversion: 1\nboot: perhaps\n\n"), bad: true},
	} {
		got, err := ReadImageHeader(c.image)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%.40q: %+v, %v", c.image, got, err)
		}
	}
	if !bytes.Equal(MakeImage("1", 5000, 3), MakeImage("1", 5000, 3)) ||
		bytes.Equal(MakeImage("1", 5000, 3), MakeImage("1", 5000, 4)) {
		t.Error("images are not a function of their arguments")
	}
	if n := len(MakeImage("1", 5000, 3)); n != 5000 {
		t.Errorf("image of %d bytes", n)
	}
}

func FuzzImageHeader(f *testing.F) {
	f.Add(MakeImage("2.0.0", 600, 1))
	f.Add([]byte(imageMagic + "\nboot: ok\nversion: 1\n\n"))
	f.Fuzz(func(t *testing.T, image []byte) {
		h, err := ReadImageHeader(image)
		if err != nil {
			if h != (ImageHeader{}) {
				t.Fatal(h, err)
			}
			return
		}
		if !strings.Contains(h.Version, "\r") {
			boot := MakeImage
			if !h.Boots {
				boot = MakeBrokenImage
			}
			if again, err := ReadImageHeader(boot(h.Version, 0, 0)); err != nil || again != h {
				t.Fatal(h, again, err)
			}
		}
	})
}

// Whatever a controller sends, the agent lives and answers the next request.
func FuzzRequests(f *testing.F) {
	for _, m := range []*uspmsg.Msg{
		usp.NewGet("1", 2, "Device.", `Device.DeviceInfo.FirmwareImage.[Status=="Available"].`),
		usp.NewSet("1", true, usp.Object{Path: "Device.LocalAgent.Subscription.*.",
			Settings: []usp.Setting{{Param: "Enable", Value: "1"}}}),
		usp.NewAdd("1", true, usp.Object{Path: usp.Subscriptions,
			Settings: []usp.Setting{{Param: "ReferenceList", Value: "Device.Boot!"}}}),
		usp.NewDelete("1", true, "Device.LocalAgent.Subscription.*."),
		usp.NewOperate("1", "Device.DeviceInfo.FirmwareImage.*.Activate()", "k", true,
			map[string]string{"TimeWindow.1.Start": "5"}),
		usp.NewGetInstances("1", false, "Device."),
		usp.New("1", &uspmsg.GetSupportedDM{ObjPaths: []string{"Device."}, ReturnParams: true, ReturnCommands: true,
			ReturnEvents: true, ReturnUniqueKeySets: true}),
	} {
		b, _ := proto.Marshal(m)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := usp.DecodeMessage(message)
		if err != nil {
			return
		}
		clock := &stillClock{now: time.Unix(1e9, 0)}
		b := &broker{clock: clock}
		s := recordedSettings(clock, b, &server{})
		a, err := NewAgent(&s, Identity{Thing: "cpe-0001", EndpointID: "os::012345-cpe-0001"})
		if err != nil {
			t.Fatal(err)
		}
		a.Start()
		for _, each := range []*uspmsg.Msg{m, usp.NewGet("the last", 0, usp.SoftwareVersion)} {
			payload, err := usp.NewRecord("self::controller-1", "os::012345-cpe-0001", each).Encode()
			if err != nil {
				return
			}
			b.deliver(Publish{Payload: payload})
		}
		rebooted := b.handler == nil
		last, err := usp.DecodeRecord(b.sent[len(b.sent)-1].Payload)
		if err != nil || !rebooted && usp.ID(last.Message) != "the last" {
			t.Fatalf("%v (%v)", last, err)
		}
	})
}

// stillClock is a clock in which nothing ever becomes due.
type stillClock struct{ now time.Time }

func (c *stillClock) Now() time.Time { return c.now }
func (c *stillClock) Go(f func())    { f() }
func (c *stillClock) AfterFunc(time.Duration, func()) func() bool {
	return func() bool { return true }
}

func TestFaultLists(t *testing.T) {
	for _, c := range []struct {
		text  string
		count int
		bad   string // in the error
	}{
		{"", 0, ""},
		{"offline-at-start=3,404=2,bad-checksum=1", 6, ""},
		{"not-found, refuses@7", 2, ""},
		{"all", len(AllFaults), ""},
		{"all=2", 2 * len(AllFaults), ""},
		{"nope", 0, `"nope"`},
		{"404=x", 0, `"x"`},
		{"404=-1", 0, `"-1"`},
		{"404@0", 0, `"0"`},
		{"404@3,refuses@3", 0, "already"},
		{"404=2@3", 0, "either"},
		{"nope,404=x", 0, `"x"`},
	} {
		f, err := ParseFaults(c.text)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) || f.Count() != 0 {
				t.Errorf("%q: %v, %v", c.text, f, err)
			}
			continue
		}
		if err != nil || f.Count() != c.count {
			t.Errorf("%q: %d faults, %v", c.text, f.Count(), err)
			continue
		}
		got, err := f.Assign(2*len(AllFaults), 1)
		again, _ := f.Assign(2*len(AllFaults), 1)
		n := 0
		for _, fault := range got {
			if fault != nil {
				n++
			}
		}
		if err != nil || n != c.count || !slices.Equal(got, again) {
			t.Errorf("%q: %d devices have a fault (%v)", c.text, n, err)
		}
		if strings.Contains(c.text, "refuses@7") && got[6].Name != Refuses {
			t.Errorf("device 7 has %v", got[6])
		}
	}
	if f, _ := ParseFaults("all"); f.Count() > 0 {
		if _, err := f.Assign(3, 1); err == nil {
			t.Error("3 devices have all faults")
		}
	}
}

func FuzzFaults(f *testing.F) {
	f.Add("all=2,404@3,refuses")
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil || faults.Count() > 1000 {
			return
		}
		if got, err := faults.Assign(1000, 1); err == nil && len(got) != 1000 {
			t.Fatal(len(got))
		}
	})
}

func TestFleetUpgrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		image := MakeImage("2.0.0", 2048, 1)
		faults, err := ParseFaults("404=2,slow-link=1")
		if err != nil {
			t.Fatal(err)
		}
		transport := &switchboard{clock: RealClock(), brokers: map[string]*broker{}}
		fleet, err := NewFleet(FleetConfig{
			Settings: Settings{Transport: transport, HTTP: doer(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(image)),
					ContentLength: int64(len(image))}, nil
			}), Controller: "self::fleetstep"},
			Devices: 20, Seed: 3, Faults: faults, StartWithin: 5 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer fleet.Stop()
		if p := fleet.Progress(); p.Off != 20 {
			t.Errorf("%+v", p)
		}
		fleet.Start()
		<-time.After(6 * time.Second)
		synctest.Wait()
		if p := fleet.Progress(); p.Connected != 20 || p.Upgraded != 0 {
			t.Errorf("%+v", p)
		}
		for _, facts := range fleet.Facts() {
			if string(facts.EndpointID) != "os::012345-"+facts.Thing {
				t.Errorf("%+v", facts)
			}
			m := usp.NewOperate("1", "Device.DeviceInfo.FirmwareImage.2.Download()", "k", true,
				map[string]string{"URL": "https://s/2.0.0.bin", "AutoActivate": "true"})
			payload, _ := usp.NewRecord("self::fleetstep", facts.EndpointID, m).Encode()
			transport.brokers[facts.Thing].deliver(Publish{Payload: payload})
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if p := fleet.Progress(); p.Upgraded != 17 || p.Downloading != 1 || p.Connected != 19 {
			t.Errorf("%+v", p)
		}
		<-time.After(20 * time.Second)
		synctest.Wait()
		if p := fleet.Progress(); p.Upgraded != 18 || p.Connected != 20 {
			t.Errorf("%+v", p)
		}
		for _, facts := range fleet.Facts() {
			if facts.Downloads != 1 || facts.Upgraded() != (facts.Fault != NotFound) {
				t.Errorf("%+v", facts)
			}
		}
		if fleet.Agent("rg-000001") == nil || fleet.Agent("rg-000021") != nil {
			t.Error("agents by thing")
		}
	})
}
