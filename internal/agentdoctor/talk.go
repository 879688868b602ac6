package agentdoctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Line is a connection to an agent's topics.
type Line interface {
	// Send publishes a record to the agent.
	Send(ctx context.Context, record []byte) error
	// Receive waits for the next publish of the agent, at most so long; ok is false if
	// there was none.
	Receive(ctx context.Context, most time.Duration) (heard Heard, ok bool, err error)
}

// Heard is a publish of the agent's.
type Heard struct {
	Topic   string
	Payload []byte
}

// news is a notification, as often as it was told.
type news struct {
	usp.Notification
	at    time.Time
	order int // in which it came first
}

// key tells news apart by what it says.
func (n news) key() string {
	return fmt.Sprint(n.Kind, n.Path, n.CommandKey, n.Params["CommandKey"], n.Params["Cause"], n.Failure != nil)
}

// conversation is what was said so far.
type conversation struct {
	Config
	ids      int
	answers  map[string]*uspmsg.Msg
	news     map[string]news
	order    int
	greeting int    // mqtt_connect records
	boots    int    // Boot! events
	legacy   bool   // its topics are those of MQTT 3.1.1
	version  string // of its records
}

// hear takes a publish. What is no record of the agent is passed over: its topic is its
// own, and what garbage it sends is no reason to stop.
func (c *conversation) hear(h Heard) {
	r, err := usp.DecodeRecord(h.Payload)
	if err != nil || r.From != c.Endpoint || r.To != c.Controller {
		return
	}
	c.version = r.Version
	if _, _, legacy := usp.SplitReplyTo(h.Topic); legacy {
		c.legacy = true
	}
	if r.MQTTConnect != nil {
		c.greeting++
	}
	if r.Message == nil {
		return
	}
	n, ok := usp.ReadNotify(r.Message)
	if !ok {
		c.answers[usp.ID(r.Message)] = r.Message
		return
	}
	one := news{Notification: n, at: c.Now(), order: c.order}
	if _, known := c.news[one.key()]; known {
		return // told again, or to another Subscription
	}
	c.order++
	c.news[one.key()] = one
	if n.Path == usp.EventBoot {
		c.boots++
	}
}

// until listens until done, at most so long; ok is false if it was not done by then.
func (c *conversation) until(ctx context.Context, most time.Duration, done func() bool) (ok bool, err error) {
	for end := c.Now().Add(most); !done(); {
		left := end.Sub(c.Now())
		if left <= 0 {
			return false, nil
		}
		h, ok, err := c.Line.Receive(ctx, left)
		if err != nil {
			return false, err
		}
		if ok {
			c.hear(h)
		}
	}
	return true, nil
}

// listen hears whatever comes, for so long.
func (c *conversation) listen(ctx context.Context, long time.Duration) error {
	_, err := c.until(ctx, long, func() bool { return false })
	return err
}

// errSilent: the agent gave no answer.
var errSilent = errors.New("no answer")

// id is a message id that nobody else uses.
func (c *conversation) id() string {
	c.ids++
	return fmt.Sprintf("%s-%d", c.Name, c.ids)
}

func (c *conversation) send(ctx context.Context, m *uspmsg.Msg) error {
	payload, err := usp.NewRecord(c.Controller, c.Endpoint, m).Encode()
	if err != nil {
		return err
	}
	return c.Line.Send(ctx, payload)
}

// asks is how often a question is put: requests arrive at QoS 0 and may be lost.
const asks = 3

// ask puts a question that may be put again.
func (c *conversation) ask(ctx context.Context, build func(id string) *uspmsg.Msg) (*uspmsg.Msg, error) {
	for range asks {
		id := c.id()
		if err := c.send(ctx, build(id)); err != nil {
			return nil, err
		}
		if _, err := c.until(ctx, c.Patience, func() bool { return c.answers[id] != nil }); err != nil {
			return nil, err
		}
		if m := c.answers[id]; m != nil {
			return m, nil
		}
	}
	return nil, errSilent
}

// get reads parameters and objects.
func (c *conversation) get(ctx context.Context, paths ...string) (usp.Values, error) {
	m, err := c.ask(ctx, func(id string) *uspmsg.Msg { return usp.NewGet(id, 0, paths...) })
	if err != nil {
		return usp.Values{}, err
	}
	if e := usp.ReadError(m); e != nil {
		return usp.Values{}, e
	}
	v, ok := usp.ReadGetResp(m)
	if !ok {
		return v, fmt.Errorf("a %s is the answer to a Get", usp.Type(m))
	}
	return v, nil
}

// command gives a command, once: none is idempotent. Where its answer is lost the table
// of commands tells whether it was taken. key is that of its news.
func (c *conversation) command(ctx context.Context, path string, args map[string]string) (key string,
	refused *usp.Error, err error) {
	id := c.id()
	key = id
	if err := c.send(ctx, usp.NewOperate(id, path, key, true, args)); err != nil {
		return key, nil, err
	}
	if _, err := c.until(ctx, c.Patience, func() bool { return c.answers[id] != nil }); err != nil {
		return key, nil, err
	}
	m := c.answers[id]
	if m == nil {
		s, err := c.look(ctx)
		if err != nil || s.runs(key) || c.told(usp.KindOperationComplete, "", key).told() {
			return key, nil, err
		}
		return key, nil, errSilent
	}
	if e := usp.ReadError(m); e != nil {
		return key, e, nil
	}
	results, _ := usp.ReadOperateResp(m)
	for _, r := range results {
		if r.Failure == nil {
			return key, nil, nil
		}
		refused = r.Failure
	}
	if refused == nil {
		refused = usp.ObjectDoesNotExist.Errorf("the command matched nothing")
	}
	return key, refused, nil
}

// told finds news of a kind by the path of its event and the key of its command, either
// of which may be "" for any.
func (c *conversation) told(kind usp.NotificationKind, path, key string) news {
	found := news{order: -1}
	for _, n := range c.news {
		if n.Kind == kind && (path == "" || n.Path == path) &&
			(key == "" || n.CommandKey == key || n.Params["CommandKey"] == key) &&
			(found.order < 0 || n.order < found.order) {
			found = n
		}
	}
	return found
}

// told reports whether there was any.
func (n news) told() bool { return n.order >= 0 }

// outcome is how a command ended, as the news of it says.
func (n news) outcome() string {
	switch {
	case !n.told():
		return "nothing"
	case n.Failure != nil:
		return n.Failure.Error()
	}
	return "completed"
}

// shown is what a look at the device showed.
type shown struct {
	usp.Values
	images []usp.Row
	active string // path, with the last dot
}

// look reads what is shown of firmware.
func (c *conversation) look(ctx context.Context) (shown, error) {
	v, err := c.get(ctx, usp.SoftwareVersion, usp.ActiveFirmwareImage, usp.DeviceInfo+"ModelName",
		usp.DeviceInfo+"MaxNumberOfActivateTimeWindows", usp.FirmwareImages, usp.Requests)
	if err != nil {
		return shown{}, err
	}
	s := shown{Values: v, images: v.Rows(usp.FirmwareImages), active: usp.ObjectOf(v.Get(usp.ActiveFirmwareImage))}
	return s, nil
}

func (s shown) software() string { return s.Get(usp.SoftwareVersion) }

// status of an image.
func (s shown) status(path string) string { return s.Get(path + "Status") }

// has reports whether an image is complete and of a version.
func (s shown) has(path, version string) bool {
	status := s.status(path)
	return s.Get(path+"Version") == version && (status == usp.StatusAvailable || status == usp.StatusActive)
}

// runs reports whether a command is under way.
func (s shown) runs(key string) bool { return s.row(key) != "" }

// row is the path of the command that has this key, "" if none is under way.
func (s shown) row(key string) string {
	for _, r := range s.Rows(usp.Requests) {
		if r.Params["CommandKey"] == key {
			return r.Path
		}
	}
	return ""
}
