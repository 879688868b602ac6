package simulator

import (
	"errors"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// FactoryVersion is what agents run at first where nothing else is said.
const FactoryVersion = "1.0.0"

// Settings is what all agents of a fleet share. Zero values get the defaults in
// the comments, which suit demonstrations.
type Settings struct {
	Clock     Clock // RealClock()
	Transport Transport
	HTTP      HTTPClient

	Controller      usp.EndpointID
	AgentTopic      usp.TopicTemplate // usp/v1/agent/{thing}
	ControllerTopic usp.TopicTemplate // usp/v1/controller/{controller}/from/{thing}
	PublishQoS      byte              // of what agents send; they subscribe at QoS 0 whatever it is
	Profile         Profile           // of agents whose Identity has none

	// Factory configuration.
	Version        string         // 1.0.0: of the running image
	Subscriptions  []Subscription // e.g. none
	BootParameters []string       // parameters that Boot! shows in its ParameterMap
	Manufacturer   string         // Fleetstep
	OUI            string         // the constant OUI
	ProductClass   string         // USP Agent
	ModelName      string         // USP Agent
	HardwareVersion,
	AliasPrefix string // cpe-
	// Zone is the time zone of a thing, as a TZ string of POSIX; UTC0.
	Zone func(thing string) string

	Timing Timing

	// The vendor's choices.
	MaxDownloads  int // 1: more at a time are refused by 7005
	ImageCapacity int64
}

// Timing is how long things take. Every duration of a pair is drawn between its
// ends.
type Timing struct {
	Boot         time.Duration    // 1 s: from power off to the process starting
	BeforeReboot time.Duration    // 200 ms: from Activate, or the end of a Download with AutoActivate
	Download     [2]time.Duration // 0: a transfer takes at least this long, more if the network does
	ConnectRetry time.Duration    // 5 s: first wait is 1 to 2 times this, doubling (R-MQTT.10) ...
	// 30720 s: ... up to this, as TR-181's ConnectRetryMaxInterval, or 2^10 times the base
	MaxRetry       time.Duration
	ForceReconnect time.Duration // 1 s
	NotifRetry     time.Duration // 5 s: USPNotifRetryMinimumWaitInterval; doubling (R-NOT.2)
	ValueChange    time.Duration // 15 s: how often watched parameters are looked at
	OfflineAtStart time.Duration // 10 s: fault offline-at-start
	DelayFault     time.Duration // 2 s: most that fault delay holds a message
	SlowLink       time.Duration // 20 s: what fault slow-link adds to a transfer
	Busy           time.Duration // 20 s: how long fault busy-with-another is busy after it was first seen to be
	SlowFlash      time.Duration // 20 s: what fault slow-flash takes to write an image
	Idle           time.Duration // 1 s: after so long without a packet fault nat-drops-idle loses what comes ...
	Ping           time.Duration // 20 s: ... until the agent finds out by a ping, which it sends so often
	// 10 min and 23 h 50 min: how long an agent that sleeps is connected, and away
	Awake, Asleep time.Duration
}

// Subscription is a row of Device.LocalAgent.Subscription.{i}. for the
// controller.
type Subscription struct {
	ID              string
	NotifType       usp.NotificationKind
	ReferenceList   string // paths, separated by commas
	Enable          bool
	Persistent      bool // else deleted at the next boot, after Boot!
	NotifRetry      bool
	TimeToLive      uint32 // seconds; 0 is for ever
	NotifExpiration uint32 // seconds; 0 is never
}

// Identity is what distinguishes one agent.
type Identity struct {
	Thing      string // in topics, and the client ID
	EndpointID usp.EndpointID
	Serial     string // default: Thing
	Seed       uint64
	Fault      *Fault   // nil: healthy
	Profile    *Profile // nil: that of the Settings
}

func (s *Settings) withDefaults() (*Settings, error) {
	out := *s
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	str := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	if out.Clock == nil {
		out.Clock = RealClock()
	}
	if out.AgentTopic == "" {
		out.AgentTopic = usp.Layouts[0].Agent
	}
	if out.ControllerTopic == "" {
		out.ControllerTopic = usp.Layouts[0].Controller
	}
	str(&out.Version, FactoryVersion)
	str(&out.Manufacturer, "Fleetstep")
	str(&out.OUI, OUI)
	str(&out.ProductClass, "USP Agent")
	str(&out.ModelName, "USP Agent")
	str(&out.AliasPrefix, "cpe-")
	def(&out.Timing.Boot, time.Second)
	def(&out.Timing.BeforeReboot, 200*time.Millisecond)
	def(&out.Timing.ConnectRetry, 5*time.Second)
	def(&out.Timing.MaxRetry, 30720*time.Second)
	def(&out.Timing.ForceReconnect, time.Second)
	def(&out.Timing.NotifRetry, 5*time.Second)
	def(&out.Timing.ValueChange, 15*time.Second)
	def(&out.Timing.OfflineAtStart, 10*time.Second)
	def(&out.Timing.DelayFault, 2*time.Second)
	def(&out.Timing.SlowLink, 20*time.Second)
	def(&out.Timing.Busy, 20*time.Second)
	def(&out.Timing.SlowFlash, 20*time.Second)
	def(&out.Timing.Idle, time.Second)
	def(&out.Timing.Ping, 20*time.Second)
	def(&out.Timing.Awake, 10*time.Minute)
	def(&out.Timing.Asleep, 24*time.Hour-10*time.Minute)
	if out.Zone == nil {
		out.Zone = func(string) string { return "UTC0" }
	}
	if out.MaxDownloads == 0 {
		out.MaxDownloads = 1
	}
	if out.Transport == nil || out.HTTP == nil {
		return nil, errors.New("simulator: Settings lack a Transport or an HTTP client")
	}
	if err := out.AgentTopic.Validate(); err != nil {
		return nil, err
	}
	if err := out.ControllerTopic.Validate(); err != nil {
		return nil, err
	}
	return &out, out.Controller.Validate()
}
