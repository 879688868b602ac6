package agentdoctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/quirk"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Level says what a finding means.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // it could not be told, and why
	Differs Level = "quirk"   // the device differs, and can be upgraded
	Problem Level = "problem" // it cannot be upgraded so
)

// Finding is what a check saw.
type Finding struct {
	Check string      `json:"check"`
	Level Level       `json:"level"`
	Seen  string      `json:"seen"`
	Quirk quirk.Quirk `json:"quirk,omitempty"`
}

// Image is a firmware image to try the device with: of another version than it runs.
type Image struct {
	Version string
	Size    int64
	SHA256  string
	// Address is a new address of it, for each download.
	Address func(context.Context) (string, error)
}

// Config says whom to examine, and how. Durations of zero are those in the comments.
type Config struct {
	Line       Line
	Name       string // of NewName: begins ids and keys
	Controller usp.EndpointID
	Endpoint   usp.EndpointID // of the agent
	Image      *Image         // nil: no download is tried
	Disruptive bool           // the device may be restarted
	Patience   time.Duration  // 10 s: for an answer
	Transfer   time.Duration  // 10 min: for a download
	Restart    time.Duration  // 5 min: for a restart
	Quiet      time.Duration  // 15 s: for what should not come, or came already
	Now        func() time.Time
	Known      []Finding // what is known of the device before
	// AtWork reports whether the examination of a name may be at work; nil: any may.
	AtWork func(ctx context.Context, name string) bool
	Tell   func(Finding) // hears of each finding
}

// Report is the result of an examination.
type Report struct {
	Endpoint string     `json:"endpointId"`
	Model    string     `json:"model"`
	Software string     `json:"softwareVersion"`
	Protocol string     `json:"protocol"`
	Images   int        `json:"images"`
	Quirks   quirk.List `json:"quirks"`
	// Complete is set where every check was made: what is not a quirk is none.
	Complete bool      `json:"complete"`
	Findings []Finding `json:"findings"`
}

// examination is one on its way.
type examination struct {
	*conversation
	report Report
	quirks []quirk.Quirk
	left   bool // a check could not be made
	first  shown
	// canCancel is set where its table of commands has Cancel(), or does not tell.
	canCancel bool
}

// Run examines a device. The report is of as far as it came, also with an error.
func Run(ctx context.Context, c Config) (Report, error) {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Patience, 10*time.Second)
	def(&c.Transfer, 10*time.Minute)
	def(&c.Restart, 5*time.Minute)
	def(&c.Quiet, 15*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	e := &examination{conversation: &conversation{Config: c, answers: map[string]*uspmsg.Msg{},
		news: map[string]news{}}}
	e.report.Endpoint = string(c.Endpoint)
	for _, f := range c.Known {
		e.tell(f)
	}
	err := e.run(ctx)
	e.report.Quirks = quirk.Of(e.quirks...)
	e.report.Complete = err == nil && !e.left
	switch {
	case errors.Is(err, errStop):
		err = nil
	case errors.Is(err, errSilent):
		e.find("answers", Problem, "the device does not answer any more")
		err = nil
	}
	return e.report, err
}

// errStop ends an examination that a finding has made pointless.
var errStop = errors.New("a finding ends it")

func (e *examination) find(check string, level Level, format string, args ...any) {
	e.tell(Finding{Check: check, Level: level, Seen: fmt.Sprintf(format, args...)})
}

func (e *examination) tell(f Finding) {
	e.report.Findings = append(e.report.Findings, f)
	if e.Tell != nil {
		e.Tell(f)
	}
}

// differs is a finding that a quirk is there, or is not.
func (e *examination) differs(q quirk.Quirk, is bool, format string, args ...any) {
	f := Finding{Check: string(q), Level: OK, Seen: fmt.Sprintf(format, args...)}
	if is {
		f.Level, f.Quirk = Differs, q
		e.quirks = append(e.quirks, q)
	}
	e.tell(f)
}

// leave is a check that cannot be made.
func (e *examination) leave(check, format string, args ...any) {
	e.left = true
	e.find(check, Note, format, args...)
}

// stop is a problem that ends the examination.
func (e *examination) stop(check, format string, args ...any) error {
	e.find(check, Problem, format, args...)
	return errStop
}

func (e *examination) run(ctx context.Context) error {
	if err := e.questions(ctx); err != nil {
		return err
	}
	err := e.subscribe(ctx)
	if err == nil {
		err = e.trials(ctx)
	}
	// Whatever came, its Subscriptions go, after Ctrl-C, too.
	if _, gone := e.remove(context.WithoutCancel(ctx), func(name string) bool { return name == e.Name }); gone != nil {
		e.find("subscriptions", Note, "those of this examination, with IDs %s-*, could not be removed (%s)", e.Name,
			gone)
	}
	return err
}

// questions are the checks that change nothing.
func (e *examination) questions(ctx context.Context) error {
	s, err := e.look(ctx)
	if errors.Is(err, errSilent) {
		return e.stop("answers", "no answer to %d questions in %s each: is it connected, and is %s its endpoint id?",
			asks, e.Patience, e.Endpoint)
	}
	if err != nil {
		return err
	}
	e.first = s
	e.find("answers", OK, "it answers")
	e.report.Model, e.report.Software = s.Get(usp.DeviceInfo+"ModelName"), s.software()
	e.report.Images = len(s.images)
	e.report.Protocol = e.version
	if m, err := e.ask(ctx, usp.NewGetSupportedProtocol); err != nil {
		return err
	} else if body, ok := usp.As[*uspmsg.GetSupportedProtocolResp](m); ok {
		e.report.Protocol = body.GetAgentSupportedProtocolVersions()
	}
	e.find("protocol", OK, "speaks USP %s, records of %s", e.report.Protocol, e.version)
	e.differs(quirk.MQTT311, e.legacy, "its topics are those of MQTT %s", map[bool]string{true: "3.1.1",
		false: "5"}[e.legacy])
	if s.software() == "" {
		return e.stop("version", "it does not report its %s, which proves an upgrade", usp.SoftwareVersion)
	}
	if len(s.images) == 0 {
		return e.stop("images", "it shows no %s", usp.FirmwareImages)
	}
	if !slices.ContainsFunc(s.images, func(r usp.Row) bool { return r.Path == s.active }) {
		return e.stop("images", "%s is %q, which is none of its %d images", usp.ActiveFirmwareImage,
			s.Get(usp.ActiveFirmwareImage), len(s.images))
	}
	var shows []string
	for _, r := range s.images {
		shows = append(shows, fmt.Sprintf("%s %s", r.Params["Status"], r.Params["Version"]))
	}
	e.find("version", OK, "runs %s from %s", s.software(), s.active)
	e.differs(quirk.OneImage, len(s.images) == 1, "has %d images: %s", len(s.images), strings.Join(shows, ", "))
	e.differs(quirk.StatusActive, s.status(s.active) == usp.StatusActive, "the running image is %s",
		s.status(s.active))
	if rows := s.Rows(usp.Requests); len(rows) > 0 {
		if name, _ := ofExamination(rows[0].Params["CommandKey"]); name != "" {
			return e.busy(name)
		}
		return e.stop("idle", "it is at work on %s, and who asked for it is not known: try again when it is over",
			rows[0].Params["Command"])
	}
	if err := e.alone(ctx); err != nil {
		return err
	}
	e.find("windows", OK, "says that Activate() takes %q windows",
		s.Get(usp.DeviceInfo+"MaxNumberOfActivateTimeWindows"))
	return e.hasCancel(ctx)
}

// hasCancel asks whether a command can be stopped: whether its Request has Cancel().
func (e *examination) hasCancel(ctx context.Context) error {
	m, err := e.ask(ctx, func(id string) *uspmsg.Msg { return usp.NewGetSupportedCommands(id, usp.Requests) })
	if errors.Is(err, errSilent) {
		e.canCancel = true // not known: it is tried
		return nil
	}
	if err != nil {
		return err
	}
	commands, ok := usp.ReadSupportedCommands(m)
	e.canCancel = !ok || slices.Contains(commands, usp.Requests+"{i}."+usp.CommandCancel)
	if !e.canCancel {
		e.differs(quirk.CancelsCommands, false, "its commands have no Cancel()")
	}
	return nil
}

// subscribe adds Subscriptions of its own.
func (e *examination) subscribe(ctx context.Context) error {
	row := func(name, kind, of string) usp.Object {
		return usp.Object{Path: usp.Subscriptions, Settings: []usp.Setting{
			{Param: "ID", Value: e.Name + "-" + name, Required: true},
			{Param: "Enable", Value: "true", Required: true},
			{Param: "NotifType", Value: kind, Required: true}, {Param: "ReferenceList", Value: of, Required: true},
			{Param: "Persistent", Value: "true", Required: true},
		}}
	}
	m, err := e.ask(ctx, func(id string) *uspmsg.Msg {
		return usp.NewAdd(id, true, row("boot", "Event", usp.EventBoot), row("transfer", "Event",
			usp.EventTransferComplete), row("complete", "OperationComplete",
			usp.FirmwareImages+"*."+usp.CommandDownload+","+usp.FirmwareImages+"*."+usp.CommandActivate))
	})
	if err != nil {
		return err
	}
	if f := usp.ReadError(m); f != nil {
		return e.stop("subscriptions", "it refuses Subscriptions: %s", f)
	}
	_, failed, _ := usp.ReadAddResp(m)
	// 7025: it has them, and an answer was lost.
	if f := failed[usp.Subscriptions]; f != nil && !errors.Is(f, usp.DuplicateUniqueKey) {
		return e.stop("subscriptions", "it refuses a Subscription: %s", f)
	}
	e.find("subscriptions", OK, "it takes Subscriptions for Boot!, TransferComplete! and completed commands")
	return e.alone(ctx) // another may have looked before these were there
}

// target is where a download goes: not the running image, if there is another.
func (e *examination) target(s shown) string {
	for _, r := range s.images {
		if r.Path != s.active {
			return r.Path
		}
	}
	return s.active
}

// trials are the checks that change the device.
func (e *examination) trials(ctx context.Context) error {
	single := len(e.first.images) == 1
	switch {
	case e.Image == nil:
		e.leave("download", "not tried: no image was given")
		return nil
	case e.Image.Version == e.first.software():
		return e.stop("download", "the image has the version that runs already, %s: give another", e.Image.Version)
	case single && !e.Disruptive:
		e.leave("download", "not tried: it would overwrite the only image (--disruptive)")
		return nil
	}
	if err := e.download(ctx); err != nil {
		return err
	}
	if !e.Disruptive {
		e.leave("restarts", "not tried: what a restart does, AutoActivate and Activate() (--disruptive)")
		return nil
	}
	if err := e.interrupted(ctx); err != nil {
		return err
	}
	return e.activations(ctx)
}

// arguments of a Download().
func (e *examination) arguments(ctx context.Context, activate bool) (map[string]string, error) {
	address, err := e.Image.Address(ctx)
	if err != nil {
		return nil, err
	}
	args := map[string]string{"URL": address, "AutoActivate": fmt.Sprint(activate)}
	if e.Image.Size > 0 {
		args["FileSize"] = fmt.Sprint(e.Image.Size)
	}
	if e.Image.SHA256 != "" {
		args["CheckSumAlgorithm"], args["CheckSum"] = "SHA-256", e.Image.SHA256
	}
	return args, nil
}

// download has the image fetched, not started, and watches what is told of it.
func (e *examination) download(ctx context.Context) error {
	target := e.target(e.first)
	args, err := e.arguments(ctx, false)
	if err != nil {
		return err
	}
	boots := e.boots + e.greeting
	key, refused, err := e.command(ctx, target+usp.CommandDownload, args)
	if err != nil {
		return err
	}
	if refused != nil {
		return e.refused(ctx, "download", "Download()", refused)
	}
	if e.canCancel {
		if stopped, err := e.cancel(ctx, target, key); err != nil {
			return err
		} else if stopped {
			return e.download(ctx)
		}
	}
	if err := e.fetched(ctx, target, key); err != nil {
		return err
	}
	transfer := e.told(usp.KindEvent, usp.EventTransferComplete, key)
	done := e.told(usp.KindOperationComplete, "", key)
	e.differs(quirk.NoTransferComplete, !transfer.told(), "TransferComplete! was told: %t", transfer.told())
	e.differs(quirk.NoOperationComplete, !done.told(), "OperationComplete was told: %t", done.told())
	if transfer.told() && done.told() {
		e.differs(quirk.CompletionFirst, done.order < transfer.order, "OperationComplete came first: %t",
			done.order < transfer.order)
	}
	if e.boots+e.greeting != boots {
		e.find("download", Problem, "it restarted, though AutoActivate was false")
	}
	return nil
}

// cancel has a download stopped, if the device can: then it is to be asked for again. It is
// tried once.
func (e *examination) cancel(ctx context.Context, target, key string) (stopped bool, err error) {
	e.canCancel = false
	s, err := e.look(ctx)
	if err != nil {
		return false, err
	}
	row := s.row(key)
	if row == "" {
		e.leave(string(quirk.CancelsCommands), "not tried: the download was over before it: try a larger image")
		return false, nil
	}
	_, refused, err := e.command(ctx, row+usp.CommandCancel, nil)
	switch {
	case errors.Is(err, errSilent): // the row may be gone, and the answer lost
	case err != nil:
		return false, err
	case refused != nil:
		e.differs(quirk.CancelsCommands, false, "Cancel() of a download is refused: %s", refused)
		return false, nil
	}
	done := func() news { return e.told(usp.KindOperationComplete, "", key) }
	for end := e.Now().Add(e.Transfer); ; {
		if _, err := e.until(ctx, e.Quiet, func() bool { return done().told() }); err != nil {
			return false, err
		}
		if s, err = e.look(ctx); err != nil {
			return false, err
		}
		if s.row(key) == "" || e.Now().After(end) {
			break
		}
	}
	stopped = s.row(key) == "" && !s.has(target, e.Image.Version)
	e.differs(quirk.CancelsCommands, stopped, "after Cancel() of a download its image is %s; it was told as %s",
		s.status(target), done().outcome())
	return stopped, nil
}

// fetched waits until an image is complete, and a little longer for what is told of it.
func (e *examination) fetched(ctx context.Context, target, key string) error {
	end := e.Now().Add(e.Transfer)
	for {
		// What is told tells sooner; where nothing is told, a look tells.
		if _, err := e.until(ctx, e.Quiet, func() bool {
			return e.told(usp.KindOperationComplete, "", key).told() ||
				e.told(usp.KindEvent, usp.EventTransferComplete, key).told()
		}); err != nil {
			return err
		}
		s, err := e.look(ctx)
		if err != nil {
			return err
		}
		failed := e.told(usp.KindOperationComplete, "", key)
		status := s.status(target)
		switch {
		case failed.Failure != nil:
			return e.stop("download", "it failed: %s (the image is %s)", failed.Failure, status)
		case s.has(target, e.Image.Version) && !s.runs(key):
			e.find("download", OK, "the image is complete in %s, and %s", target, status)
			return e.listen(ctx, e.Quiet)
		case strings.HasSuffix(status, "Failed"):
			return e.stop("download", "it failed: the image is %s", status)
		case e.Now().After(end):
			return e.stop("download", "not complete after %s: the image is %s", e.Transfer, status)
		}
	}
}

// awaitRestart waits until the device has restarted: it greets, or tells that it booted.
func (e *examination) awaitRestart(ctx context.Context, before int, most time.Duration) (bool, error) {
	ok, err := e.until(ctx, most, func() bool { return e.boots+e.greeting > before })
	if err != nil || !ok {
		return ok, err
	}
	return true, e.listen(ctx, e.Quiet) // what is told after it
}

// interrupted restarts the device in the middle of a download.
func (e *examination) interrupted(ctx context.Context) error {
	s, err := e.look(ctx)
	if err != nil {
		return err
	}
	target := e.target(s)
	args, err := e.arguments(ctx, false)
	if err != nil {
		return err
	}
	key, before := e.id(), e.boots+e.greeting
	if err := e.send(ctx, usp.NewOperate(key, target+usp.CommandDownload, key, true, args)); err != nil {
		return err
	}
	id := e.id()
	if err := e.send(ctx, usp.NewOperate(id, usp.CommandReboot, id, true, nil)); err != nil {
		return err
	}
	if ok, err := e.awaitRestart(ctx, before, e.Restart); err != nil {
		return err
	} else if !ok {
		return e.stop("interrupted", "it did not come back from Reboot() within %s", e.Restart)
	}
	if s, err = e.look(ctx); err != nil {
		return err
	}
	done, status := e.told(usp.KindOperationComplete, "", key), s.status(target)
	boot := e.told(usp.KindEvent, usp.EventBoot, id)
	resumes := s.runs(key) || done.told() && done.Failure == nil && boot.told() && done.order > boot.order
	if !resumes && (done.told() && done.Failure == nil || !done.told() && s.has(target, e.Image.Version)) {
		e.leave("interrupted", "the download was complete before the restart: try a larger image")
		return nil
	}
	e.differs(quirk.ResumesDownload, resumes, "a download that a restart ended goes on: %t", resumes)
	e.differs(quirk.ForgetsDownload, !resumes && !done.told() && status == usp.StatusNoImage,
		"its image is %s after that, its end was told: %t", status, done.told())
	e.differs(quirk.StuckStatus, !resumes && (status == usp.StatusDownloading || status == usp.StatusValidating),
		"no command works on it, and it is %s", status)
	if resumes {
		return e.fetched(ctx, target, key)
	}
	return nil
}

// activations has the new image started by AutoActivate, and the old one by Activate().
func (e *examination) activations(ctx context.Context) error {
	s, err := e.look(ctx)
	if err != nil {
		return err
	}
	old, target, single := s.active, e.target(s), len(s.images) == 1
	ran := s.software() == e.Image.Version // one image, which the restart before has started
	args, err := e.arguments(ctx, true)
	if err != nil {
		return err
	}
	before := e.boots + e.greeting
	key, refused, err := e.command(ctx, target+usp.CommandDownload, args)
	if err != nil {
		return err
	}
	if refused != nil {
		return e.refused(ctx, "auto-activate", "Download()", refused)
	}
	restarted := func() bool { return e.boots+e.greeting > before }
	complete := func() bool {
		return e.told(usp.KindOperationComplete, "", key).told() ||
			e.told(usp.KindEvent, usp.EventTransferComplete, key).told() || restarted()
	}
	for end := e.Now().Add(e.Transfer); !complete(); { // where nothing is told, a look tells
		if _, err := e.until(ctx, e.Quiet, complete); err != nil {
			return err
		}
		s, err := e.look(ctx)
		if err == nil && s.has(target, e.Image.Version) && !s.runs(key) {
			break
		}
		if err != nil && !errors.Is(err, errSilent) {
			return err
		}
		if e.Now().After(end) {
			return e.stop("auto-activate", "the download was not complete after %s", e.Transfer)
		}
	}
	if _, err := e.awaitRestart(ctx, before, e.Restart); err != nil {
		return err
	}
	if s, err = e.look(ctx); err != nil {
		return err
	}
	runs := s.software() == e.Image.Version
	e.differs(quirk.NoAutoActivate, !restarted() && (ran || !runs), "with AutoActivate it restarted: %t, and runs %s",
		restarted(), s.software())
	if restarted() && !runs {
		return e.stop("auto-activate", "it restarted and runs %s, not %s; image %s is %s %s", s.software(),
			e.Image.Version, target, s.status(target), s.Get(target+"BootFailureLog"))
	}
	if !runs {
		if err := e.activate(ctx, target, e.Image.Version); err != nil {
			return err
		}
	}
	if single {
		e.find("activate", Note, "there is no way back: it runs %s from now on", e.Image.Version)
		return e.activate(ctx, target, e.Image.Version)
	}
	return e.activate(ctx, old, e.first.software())
}

// activations tried: with two time windows, with one as controllers give it, without.
func (e *examination) windows() []map[string]string {
	one := map[string]string{
		"TimeWindow.1.Start": "0", "TimeWindow.1.End": "600", "TimeWindow.1.Mode": "Immediately",
	}
	two := maps.Clone(one)
	two["TimeWindow.2.Start"] = strconv.Itoa(int(e.second() / time.Second))
	two["TimeWindow.2.End"] = strconv.Itoa(int((e.second() + 10*time.Minute) / time.Second))
	two["TimeWindow.2.Mode"] = "Immediately"
	return []map[string]string{two, one, nil}
}

// second is when the second window begins: the device has not started in the first by then.
func (e *examination) second() time.Duration { return max(e.Restart, 10*time.Minute) + time.Minute }

// activate has an image started, with time windows if the device takes them.
func (e *examination) activate(ctx context.Context, image, version string) error {
	before := e.boots + e.greeting
	known := func(q quirk.Quirk) bool {
		return slices.ContainsFunc(e.report.Findings, func(f Finding) bool { return f.Check == string(q) })
	}
	tries := e.windows()
	switch {
	case slices.Contains(e.quirks, quirk.NoTimeWindow):
		tries = tries[2:]
	case known(quirk.TwoTimeWindows):
		tries = tries[1:]
	}
	var key string
	var refused, why *usp.Error
	var err error
	taken := 0
	for ; taken < len(tries); taken++ {
		key, refused, err = e.command(ctx, image+usp.CommandActivate, tries[taken])
		if err != nil {
			return err
		}
		if refused == nil || refused.Code != usp.InvalidCommandArgs && refused.Code != usp.InvalidArguments {
			break
		}
		why = refused
	}
	if refused != nil {
		return e.refused(ctx, "activate", "Activate()", refused)
	}
	args := tries[taken]
	two := args["TimeWindow.2.Start"] != ""
	if !known(quirk.NoTimeWindow) {
		if args == nil {
			e.differs(quirk.NoTimeWindow, true, "Activate() with a TimeWindow is refused (%s), without one taken", why)
		} else {
			e.differs(quirk.NoTimeWindow, false, "Activate() takes a TimeWindow")
		}
	}
	late := false
	if ok, err := e.awaitRestart(ctx, before, e.Restart); err != nil {
		return err
	} else if !ok && two {
		late = true
		if _, err := e.awaitRestart(ctx, before, e.second()+e.Restart); err != nil {
			return err
		}
	}
	if !known(quirk.TwoTimeWindows) {
		switch {
		case !two:
			e.differs(quirk.TwoTimeWindows, false, "Activate() with two TimeWindows is refused (%s)", why)
		case late:
			e.differs(quirk.TwoTimeWindows, false, "Activate() takes two TimeWindows, and passes over the first")
		default:
			e.differs(quirk.TwoTimeWindows, true, "Activate() takes two TimeWindows, and starts in the first")
		}
	}
	if e.boots+e.greeting == before {
		return e.stop("activate", "it did not restart within %s of Activate()", e.Restart)
	}
	s, err := e.look(ctx)
	if err != nil {
		return err
	}
	if s.software() != version {
		return e.stop("activate", "it restarted and runs %s, not %s; image %s is %s %s", s.software(), version, image,
			s.status(image), s.Get(image+"BootFailureLog"))
	}
	e.find("activate", OK, "Activate() started %s; its completion was told: %t", version,
		e.told(usp.KindOperationComplete, "", key).told())
	return nil
}
