package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/fleetstep/fleetstep/internal/recordings"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// broker is a Transport in memory: it keeps what one agent sends and hands it
// what a test sends.
type broker struct {
	clock Clock

	mu       sync.Mutex
	handler  Handler
	down     bool
	failing  int // publishes that fail from now on
	connects []time.Time
	cleanly  int // connections that ended with DISCONNECT
	sent     []sentPublish
}

type sentPublish struct {
	Publish
	at time.Time
}

type brokerSession struct {
	b *broker
	h Handler
}

func (b *broker) Connect(_ context.Context, c Connection, h Handler) (Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connects = append(b.connects, b.clock.Now())
	if b.down {
		return nil, errors.New("connection refused")
	}
	b.handler = h
	return &brokerSession{b, h}, nil
}

func (s *brokerSession) Publish(p Publish) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.handler != s.h {
		return errors.New("closed")
	}
	if s.b.failing > 0 {
		s.b.failing--
		return errors.New("broken pipe")
	}
	s.b.sent = append(s.b.sent, sentPublish{p, s.b.clock.Now()})
	return nil
}

func (s *brokerSession) Close(clean bool) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.handler == s.h {
		s.b.handler = nil
		if clean {
			s.b.cleanly++
		}
	}
	return nil
}

// cut loses the connection.
func (b *broker) cut() {
	b.mu.Lock()
	h := b.handler
	b.handler = nil
	b.mu.Unlock()
	if h != nil {
		h.Lost(errors.New("cut"))
	}
}

// refuse makes connections fail, or not any more.
func (b *broker) refuse(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// fail makes the next n publishes fail.
func (b *broker) fail(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = n
}

func (b *broker) deliver(p Publish) {
	b.mu.Lock()
	h := b.handler
	b.mu.Unlock()
	if h != nil {
		h.Received(p)
	}
}

// server is the HTTP server of the recordings, by the paths of its URLs. What
// takes time there takes virtual time here.
type server struct{}

const recordedChecksum = "db8521bac846269d9dd3ead0a83c870d031efeeada44cb36cccad081ce63ee12" // of the recordings' 2.0.0

func (s *server) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Port() == "9" || strings.HasSuffix(r.URL.Hostname(), ".invalid") {
		return nil, errors.New("dial: connection refused")
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	version := strings.TrimSuffix(parts[len(parts)-1], ".bin")
	image := MakeImage(version, 65536, 1)
	reply := func(status int, body io.Reader) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(body), ContentLength: int64(len(image)),
			Request: r}, nil
	}
	switch parts[0] {
	case "slow", "slowtrunc":
		seconds, _ := strconv.Atoi(parts[1])
		select {
		case <-time.After(time.Duration(seconds) * time.Second * 9 / 10):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if parts[0] == "slowtrunc" {
			return reply(200, io.MultiReader(strings.NewReader(string(image[:1000])), brokenPipe{}))
		}
	case "bootfail":
		image = MakeBrokenImage(version, 65536, 1)
	case "nothing":
		return reply(404, strings.NewReader("no"))
	case "auth":
		return reply(401, strings.NewReader("no"))
	case "trunc":
		return reply(200, io.MultiReader(strings.NewReader(string(image[:1000])), brokenPipe{}))
	}
	return reply(200, strings.NewReader(string(image)))
}

// recorded is one line of a capture.
type recorded struct {
	Packet string  `json:"packet"`
	Dir    string  `json:"dir"`
	At     int     `json:"at_ms"`
	Topic  string  `json:"topic"`
	Note   string  `json:"note"`
	Hex    *string `json:"payload_hex"`
	MQTT5  struct {
		ContentType   string `json:"content_type"`
		ResponseTopic string `json:"response_topic"`
	} `json:"mqtt5"`
}

func readCapture(t *testing.T, flow string) []recorded {
	t.Helper()
	dir := recordings.Dir(t, "captures of a real agent", "usp/captures")
	names, err := filepath.Glob(filepath.Join(dir, flow+"-*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("capture %s: %d files, %v", flow, len(names), err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// upgradeSubscriptions is the factory configuration of most recordings.
var upgradeSubscriptions = []Subscription{
	{ID: "boot", NotifType: usp.KindEvent, ReferenceList: "Device.Boot!", Enable: true, Persistent: true,
		NotifRetry: true},
	{ID: "transfer", NotifType: usp.KindEvent, ReferenceList: "Device.LocalAgent.TransferComplete!", Enable: true,
		Persistent: true, NotifRetry: true},
	{ID: "opercomplete", NotifType: usp.KindOperationComplete,
		ReferenceList: "Device.DeviceInfo.FirmwareImage.*.Download(),Device.DeviceInfo.FirmwareImage.*.Activate()",
		Enable:        true, Persistent: true, NotifRetry: true},
}

func recordedSettings(clock Clock, transport Transport, client HTTPClient) Settings {
	return Settings{
		Clock: clock, Transport: transport, HTTP: client,
		Controller:      "self::controller-1",
		AgentTopic:      "usp/agent/{thing}/in",
		ControllerTopic: "usp/controller/{controller}/from/{thing}",
		PublishQoS:      1,
		Manufacturer:    "Manufacturer",
		Subscriptions:   upgradeSubscriptions,
		Timing:          Timing{Boot: 3 * time.Second},
	}
}

// TestAgentAnswersLikeTheRealOne replays recordings: the controller's messages
// at their times to a simulated agent of the same configuration, whose messages
// must be the recorded ones in the recorded order. What is not compared: times,
// also within message ids, and free texts; and what skip names, with the reason.
func TestAgentAnswersLikeTheRealOne(t *testing.T) {
	bootParameters := []string{"Device.DeviceInfo.SoftwareVersion", "Device.DeviceInfo.ActiveFirmwareImage",
		"Device.DeviceInfo.FirmwareImage.*.Status"}
	oldImage := func(a *Agent) {
		a.images[1] = image{name: "old-image", header: ImageHeader{"0.9.0", true}, status: usp.StatusAvailable,
			available: true}
	}
	none := func(s *Settings) { s.Subscriptions = nil }
	refused := map[string]func(*broker, *Agent){
		"the MQTT connection is refused": func(b *broker, _ *Agent) { b.refuse(true) },
		"connections are accepted again": func(b *broker, _ *Agent) { b.refuse(false) },
	}
	soon := func(s *Settings) { s.Timing.ConnectRetry = 3500 * time.Millisecond } // the wait is random
	lost := map[string]func(*broker, *Agent){
		"the MQTT connection is cut": func(b *broker, _ *Agent) { b.refuse(true); b.cut() },
		"connections are accepted":   func(b *broker, _ *Agent) { b.refuse(false) },
	}
	for _, c := range []struct {
		flow     string
		settings func(*Settings)
		prepare  func(*Agent)
		skip     map[string]string                // msg_id of what is not compared -> why
		at       map[string]func(*broker, *Agent) // what happens at notes that begin so
		anyOrder bool                             // two transfers end at once: no counters in message ids
		once     bool                             // what is repeated comes at times of chance: the first counts
	}{
		{flow: "01a", settings: none},
		{flow: "01b", settings: func(s *Settings) {
			s.BootParameters = []string{"Device.DeviceInfo.SoftwareVersion",
				"Device.DeviceInfo.FirmwareImage.*.Status", "Device.LocalAgent.EndpointID"}
		}, skip: map[string]string{"get-6": "Device.LocalAgent. has more parameters and tables there"}},
		{flow: "02", settings: none},
		{flow: "03a", settings: func(s *Settings) {
			s.Timing.ValueChange = 14 * time.Second // where in its period the poll was is chance
			s.Subscriptions = append(slices.Clone(s.Subscriptions), Subscription{ID: "status",
				NotifType: usp.KindValueChange, ReferenceList: "Device.DeviceInfo.FirmwareImage.2.Status",
				Enable: true, Persistent: true, NotifRetry: true})
		}},
		{flow: "03b"},
		{flow: "03d"},
		{flow: "03e", settings: none},
		{flow: "03f", settings: none},
		{flow: "03g", settings: func(s *Settings) { s.Profile.CompletionFirst = true }},
		{flow: "03h", settings: func(s *Settings) {
			s.Subscriptions = []Subscription{s.Subscriptions[0], {ID: "done", NotifType: usp.KindOperationComplete,
				ReferenceList: "Device.DeviceInfo.FirmwareImage.", Enable: true, Persistent: true, NotifRetry: true}}
		}},
		{flow: "03i", settings: none},
		{flow: "04"},
		{flow: "04b"},
		{flow: "05a", settings: func(s *Settings) { s.BootParameters = bootParameters }},
		{flow: "05b"},
		{flow: "05c"},
		{flow: "05d", settings: none},
		{flow: "05e"},
		{flow: "05f"},
		{flow: "06a", skip: map[string]string{"get-110": "there SoftwareVersion is that of the running bank's new " +
			"content before any reboot"}},
		{flow: "06b", prepare: oldImage},
		{flow: "06c", anyOrder: true, prepare: oldImage, settings: func(s *Settings) { s.MaxDownloads = 2 }},
		{flow: "06d", settings: func(s *Settings) { s.Profile.ShowActive = true }},
		// the wait is random; it was 7 s
		{flow: "07a", settings: func(s *Settings) { s.Timing.ConnectRetry = 3500 * time.Millisecond }},
		{flow: "07b"},
		{flow: "07c", settings: func(s *Settings) { s.Profile.Interrupted = Restarts }},
		{flow: "07d"},
		{flow: "07e", settings: func(s *Settings) { s.MaxDownloads = 5 }},
		{flow: "08"},
		{flow: "10a", settings: func(s *Settings) { s.Profile.MQTT311 = true }},
		{flow: "11a"},
		{flow: "01d"}, {flow: "10b"}, {flow: "10c"}, {flow: "09a", at: lost, settings: soon},
		{flow: "09d", at: lost, settings: soon, once: true},
		{flow: "11b"},
		{flow: "11c", at: map[string]func(*broker, *Agent){
			"rollback: Activate() of": func(_ *broker, a *Agent) { a.s.Timing.BeforeReboot = 5 * time.Second },
			"rollback asked again":    func(_ *broker, a *Agent) { a.s.Timing.BeforeReboot = 200 * time.Millisecond },
		}},
		{flow: "11c2"},
		{flow: "11d", settings: func(s *Settings) { s.Timing.BeforeReboot = 5 * time.Second }},
		{flow: "11d2"},
		{flow: "11e", at: refused}, {flow: "11e2", at: refused},
		{flow: "11f", once: true}, {flow: "11f2", once: true},
		{flow: "11f3", once: true, at: lost},
		{flow: "11f4", settings: func(s *Settings) { s.Profile.Interrupted = Restarts }},
		{flow: "11g", settings: none},
		{flow: "11h"},
		{flow: "11j"},
		// the waits were 9 s and 7 s
		{flow: "11k", settings: func(s *Settings) { s.Timing.ConnectRetry = 3500 * time.Millisecond }},
		{flow: "11k2"},
		{flow: "11l", prepare: func(a *Agent) { a.Befall(FaultNamed(Blocked)) }},
	} {
		t.Run(c.flow, func(t *testing.T) {
			lines := readCapture(t, c.flow)
			synctest.Test(t, func(t *testing.T) {
				replay(t, lines, c.settings, c.prepare, c.at, c.skip, c.anyOrder, c.once)
			})
		})
	}
}

func replay(t *testing.T, lines []recorded, settings func(*Settings), prepare func(*Agent),
	at map[string]func(*broker, *Agent), skip map[string]string, anyOrder, once bool) {
	clock := RealClock()
	b := &broker{clock: clock}
	s := recordedSettings(clock, b, &server{})
	if settings != nil {
		settings(&s)
	}
	a, err := NewAgent(&s, Identity{Thing: "cpe-0001", EndpointID: "os::012345-cpe-0001", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(a)
	}
	defer a.Stop()

	var want []string
	begun := clock.Now()
	started := false
	for _, line := range lines {
		<-time.After(time.Until(begun.Add(time.Duration(line.At) * time.Millisecond)))
		synctest.Wait()
		for note, do := range at {
			if strings.HasPrefix(line.Note, note) {
				do(b, a)
			}
		}
		switch {
		case line.Packet == "NOTE" && line.Note == "agent process starts" && !started:
			started = true
			a.Start()
			synctest.Wait()
		case line.Packet == "NOTE" && strings.Contains(strings.ToLower(line.Note), "power cut") &&
			!strings.HasPrefix(line.Note, "Download(); "): // that one is the fault's
			a.PowerCut()
			synctest.Wait()
		case line.Packet != "PUBLISH" || line.Hex == nil:
		case line.Dir == "agent->controller":
			payload, _ := hex.DecodeString(*line.Hex)
			if r, err := usp.DecodeRecord(payload); err == nil && !strings.HasSuffix(string(r.From), "0001") {
				continue // of the other agent
			} else if err == nil && r.To != s.Controller {
				continue // to the other controller
			}
			if text, id := normalRecord(t, payload); skip[id] == "" {
				want = append(want, line.Topic+" "+text)
			}
		case line.Topic == "usp/agent/cpe-0001/in" || strings.HasPrefix(line.Topic, "usp/agent/cpe-0001/in/"):
			payload, _ := hex.DecodeString(*line.Hex)
			if r, err := usp.DecodeRecord(payload); err == nil && r.From != s.Controller && r.Message != nil {
				// Our agents have one controller: it sends what the other one has sent, and its answer
				// is not compared.
				r.From = s.Controller
				if payload, err = r.Encode(); err != nil {
					t.Fatal(err)
				}
				if skip == nil {
					skip = map[string]string{}
				}
				skip[usp.ID(r.Message)] = "to the other controller"
			}
			b.deliver(Publish{Topic: line.Topic, Payload: adapt(t, b, payload), ContentType: line.MQTT5.ContentType,
				ResponseTopic: line.MQTT5.ResponseTopic})
			synctest.Wait()
		}
	}
	var got []string
	for _, p := range b.sent {
		if !s.Profile.MQTT311 && (p.ContentType != usp.ContentType || p.ResponseTopic != "usp/agent/cpe-0001/in") ||
			s.Profile.MQTT311 && (p.ContentType != "" || p.ResponseTopic != "") || p.QoS != 1 {
			t.Errorf("publish with the properties %q, %q and QoS %d", p.ContentType, p.ResponseTopic, p.QoS)
		}
		if text, id := normalRecord(t, p.Payload); skip[id] == "" {
			got = append(got, p.Topic+" "+text)
		}
	}
	if anyOrder {
		for _, list := range [][]string{got, want} {
			for i := range list {
				list[i] = counters.ReplaceAllString(list[i], "-TIME")
			}
		}
	}
	if once {
		got, want = firsts(got), firsts(want)
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] && !anyOrder {
			t.Errorf("message %d is\n%s\nwant\n%s", i+1, got[i], want[i])
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 {
		t.Error("the recording holds nothing to compare")
	}
	t.Logf("%d messages as recorded", len(want))
	for _, line := range difference(want, got) {
		t.Errorf("missing: %s", line)
	}
	for _, line := range difference(got, want) {
		t.Errorf("not recorded: %s", line)
	}
}

// firsts are the notifications without their repeats, and all else.
func firsts(list []string) (out []string) {
	for _, line := range list {
		if !strings.Contains(line, `"msg_type":"NOTIFY"`) || !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// difference is what a holds and b does not, both sorted.
func difference(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var out []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}

// adapt makes a recorded message fit the simulated agent: the ids in NotifyResp
// are those it sent, the checksum that of its image.
func adapt(t *testing.T, b *broker, payload []byte) []byte {
	r, err := usp.DecodeRecord(payload)
	if err != nil || r.Message == nil {
		return payload
	}
	if op, ok := usp.As[*uspmsg.Operate](r.Message); ok && op.GetInputArgs()["CheckSum"] == recordedChecksum {
		sum := sha256.Sum256(MakeImage("2.0.0", 65536, 1))
		op.InputArgs["CheckSum"] = hex.EncodeToString(sum[:])
	}
	if usp.Type(r.Message) == "NOTIFY_RESP" {
		kind, rest, _ := strings.Cut(usp.ID(r.Message), "-")
		counter := rest[strings.LastIndexByte(rest, '-')+1:]
		for _, p := range b.sent {
			if sent, err := usp.DecodeRecord(p.Payload); err == nil && sent.Message != nil {
				if id := usp.ID(sent.Message); strings.HasPrefix(id, kind+"-") && strings.HasSuffix(id, "Z-"+counter) {
					r.Message.Header.MsgId = id // the last such wins
				}
			}
		}
	}
	out, err := r.Encode()
	if err != nil {
		return payload // as malformed as it was recorded
	}
	return out
}

var timestamps = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`)
var counters = regexp.MustCompile(`-TIME-[0-9]+`)
var freeText = regexp.MustCompile(`^(err_msg|reason|FaultString|BootFailureLog)$`)

// normalRecord writes a record such that two that say the same are equal.
func normalRecord(t *testing.T, payload []byte) (text, id string) {
	r, err := usp.DecodeRecord(payload)
	if err != nil {
		t.Errorf("sent what is no record: %v", err)
		return "", ""
	}
	var out []byte
	if r.Message != nil {
		id = usp.ID(r.Message)
		out, err = protojson.MarshalOptions{UseProtoNames: true}.Marshal(r.Message)
	} else if r.MQTTConnect != nil {
		out, err = protojson.Marshal(r.MQTTConnect)
	} else {
		out, err = protojson.Marshal(r.Disconnect)
	}
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(out, &tree); err != nil {
		t.Fatal(err)
	}
	normalTree(tree)
	out, _ = json.Marshal(tree)
	return timestamps.ReplaceAllString(fmt.Sprintf("%s %s->%s %s", r.Kind(), r.From, r.To, out), "TIME"), id
}

func normalTree(tree any) {
	switch v := tree.(type) {
	case []any:
		for _, each := range v {
			normalTree(each)
		}
	case map[string]any:
		for key, value := range v {
			s, isText := value.(string)
			switch {
			case freeText.MatchString(key):
				v[key] = s != ""
			case key == "UpTime":
				v[key] = "UPTIME"
			case key == "ParameterMap" && isText:
				var inner any
				if json.Unmarshal([]byte(s), &inner) == nil {
					v[key] = inner
				}
			default:
				normalTree(value)
			}
		}
	}
}
