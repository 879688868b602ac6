package simulator

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// image is a row of Device.DeviceInfo.FirmwareImage.{i}.
type image struct {
	name      string
	header    ImageHeader
	status    string
	available bool
	bootLog   string
}

// bootImage runs the image that is to boot, or the one that ran before if that
// cannot: then the error says why, the status is ActivationFailed and
// BootFirmwareImage is left pointing at the failure.
func (a *Agent) bootImage() *usp.Error {
	want, old := a.boot, a.active
	img := &a.images[want-1]
	if want == old {
		if img.available {
			a.running = img.header
		} // else it was overwritten in vain, and what runs is still in memory
		a.applyWrongVersion()
		return nil
	}
	if a.images[old-1].header.Version != "" {
		a.running = a.images[old-1].header
	}
	switch {
	case a.fires(OldImage): // without a word
		return nil
	case !img.available:
		return usp.CommandFailure.Errorf("image %d is not available", want)
	case !img.header.Boots || a.fires(BootFails):
		why := fmt.Sprintf("image %d did not boot, fell back to image %d", want, old)
		img.available, img.status, img.bootLog = false, usp.StatusActivationFailed, why
		return usp.CommandFailure.Errorf("activation failed: %s", why)
	}
	a.active, a.running = want, img.header
	a.applyWrongVersion()
	return nil
}

// applyWrongVersion is what a new image does that reports another version than it is.
func (a *Agent) applyWrongVersion() {
	if a.running.Version != a.s.Version && (a.fires(WrongVersion) || a.has(CutInRollback)) {
		a.running.Version += "-mislabelled"
	}
}

// startFails tells whether the image that is to start does not: with no other to fall back
// to, the device does not come back.
func (a *Agent) startFails() bool { return !a.images[a.boot-1].header.Boots || a.fires(BootFails) }

// startsNewImage tells whether the next boot is the first of an image.
func (a *Agent) startsNewImage() bool {
	img := a.images[a.boot-1]
	return a.boot != a.active || len(a.images) == 1 && img.available && img.header != a.running
}

// status is what the Status parameter shows.
func (a *Agent) status(instance int) string {
	img := a.images[instance-1]
	if a.p.ShowActive && instance == a.active && img.status == usp.StatusAvailable {
		return usp.StatusActive
	}
	return img.status
}

// transfer is the arguments of a Download().
type transfer struct {
	url, username, password string
	autoActivate            bool
	algorithm, checksum     string
	size                    int64
	started                 time.Time
}

func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "SHA-1":
		return sha1.New()
	case "SHA-224":
		return sha256.New224()
	case "SHA-256":
		return sha256.New()
	case "SHA-384":
		return sha512.New384()
	case "SHA-512":
		return sha512.New()
	}
	return nil
}

// readDownload checks the arguments of Download(); unknown ones are ignored.
func readDownload(args map[string]string) (*transfer, *usp.Error) {
	bad := usp.InvalidCommandArgs.Errorf
	t := &transfer{url: args["URL"], username: args["Username"], password: args["Password"],
		algorithm: args["CheckSumAlgorithm"], checksum: args["CheckSum"]}
	if t.url == "" {
		return nil, bad("Download() lacks its argument URL")
	}
	if u, err := url.Parse(t.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, bad("Download() cannot fetch from the URL given")
	}
	var err error
	if t.autoActivate, err = usp.ParseBool(args["AutoActivate"]); err != nil {
		return nil, bad("Download() argument AutoActivate: %s", err)
	}
	if s := args["FileSize"]; s != "" {
		size, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return nil, bad("Download() argument FileSize: %q is not a number", s)
		}
		t.size = int64(size)
	}
	if t.checksum != "" {
		h := newHash(t.algorithm)
		if h == nil {
			return nil, bad("Download() argument CheckSumAlgorithm: %q is not supported", t.algorithm)
		}
	}
	return t, nil
}

// download begins the transfer of a request. It reports later, in the queue.
func (a *Agent) download(r *request) {
	t := r.download
	img := &a.images[r.image-1]
	if r.image == a.active { // what runs is shown until another is there
		img.status, img.available = usp.StatusDownloading, false
	} else {
		*img = image{status: usp.StatusDownloading}
	}
	resumes := a.p.Interrupted == Resumes && !t.started.IsZero()
	t.started = a.now()
	began := a.s.Clock.Now()
	takes := a.between(a.s.Timing.Download[0], a.s.Timing.Download[1])
	if a.fires(SlowLink) || a.has(OldNews) {
		takes += a.s.Timing.SlowLink
	}
	if resumes {
		takes /= 2
	}
	a.setFacts(func(f *Facts) { f.Downloads++ })
	a.updatePhase()
	if a.Facts().Downloads == 1 && (a.fires(RebootInDownload) || a.fires(OldNews)) {
		a.after(takes/2+a.s.Timing.BeforeReboot, a.powerCut)
		return // the transfer never gets that far
	}
	generation, ctx := a.generation, a.power
	a.s.Clock.Go(func() {
		got := a.fetch(ctx, t)
		a.do(func() {
			if a.generation != generation {
				return
			}
			a.after(takes-a.s.Clock.Now().Sub(began), func() { a.written(r, got) })
		})
	})
}

// fetched is the result of a transfer: an image, or the status that it failed
// into.
type fetched struct {
	header ImageHeader
	name   string
	status string
	err    *usp.Error
}

// fetch downloads and checks. It runs outside the queue and touches nothing
// there.
func (a *Agent) fetch(ctx context.Context, t *transfer) fetched {
	failed := func(format string, args ...any) fetched {
		return fetched{status: usp.StatusDownloadFailed, err: usp.CommandFailure.Errorf("Download failed: "+
			format, args...)}
	}
	if a.s.ImageCapacity > 0 && t.size > a.s.ImageCapacity { // FileSize is a hint; only space makes it matter
		return failed("no space for %d bytes", t.size)
	}
	if a.fires(NotFound) {
		return failed("HTTP status 404")
	}
	if a.firesOnce(Forbidden) {
		return failed("HTTP status 403")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return failed("the URL is malformed")
	}
	if t.username != "" {
		req.SetBasicAuth(t.username, t.password)
	}
	resp, err := a.s.HTTP.Do(req)
	if err != nil {
		if u, ok := err.(*url.Error); ok { // its text holds the URL, which may be signed
			err = u.Err
		}
		return failed("%s", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return failed("HTTP status %d", resp.StatusCode)
	}
	var body io.Reader = resp.Body
	if a.fires(DownloadAborted) {
		body = io.MultiReader(io.LimitReader(body, max(resp.ContentLength/2, 1)), brokenPipe{})
	}
	sum := newHash(t.algorithm)
	if sum == nil {
		sum = sha256.New()
	}
	var front []byte
	var total int64
	buffer := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(buffer)
	chunk := buffer[:]
	for {
		n, err := body.Read(chunk)
		if n > 0 {
			part := chunk[:n]
			if len(front) < maxImageHeader {
				front = append(front, part[:min(n, maxImageHeader-len(front))]...)
			}
			total += int64(n)
			sum.Write(part)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return failed("transfer ended after %d bytes: %s", total, err)
		}
	}
	if a.fires(BadChecksum) {
		sum.Write([]byte{0}) // a byte that was not there
	}
	invalid := func(format string, args ...any) fetched {
		return fetched{status: usp.StatusValidationFailed, err: usp.CommandFailure.Errorf("Validation failed: "+
			format, args...)}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); t.checksum != "" && !strings.EqualFold(got, t.checksum) {
		return invalid("%s checksum is %s, expected %s", t.algorithm, got, strings.ToLower(t.checksum))
	}
	header, err := ReadImageHeader(front)
	if err != nil {
		return invalid("%s", err)
	}
	name := path.Base(req.URL.Path)
	return fetched{header: header, name: name[:min(len(name), 64)]}
}

// chunks are buffers for transfers, of which very many may run.
var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

type brokenPipe struct{}

func (brokenPipe) Read([]byte) (int, error) { return 0, fmt.Errorf("connection reset by peer") }

// written writes what was transferred into the flash.
func (a *Agent) written(r *request, got fetched) {
	if got.err == nil && a.firesOnce(SlowFlash) {
		a.images[r.image-1].status = usp.StatusValidating
		a.after(a.s.Timing.SlowFlash, func() { a.endDownload(r, got) })
		return
	}
	a.endDownload(r, got)
}

// endDownload ends a transfer, and reboots into the image if that was asked for.
func (a *Agent) endDownload(r *request, got fetched) {
	t, img := r.download, &a.images[r.image-1]
	if got.err != nil {
		img.status = got.status
	} else {
		*img = image{name: got.name, header: got.header, status: usp.StatusAvailable, available: true}
		a.setFacts(func(f *Facts) { f.Completed++ })
	}
	fault := usp.TransferComplete{
		Command: r.command, CommandKey: r.key, Requestor: a.s.Controller, TransferType: "Download",
		Affected: strings.TrimSuffix(usp.FirmwareImage(r.image), "."), TransferURL: t.url,
		StartTime: t.started, CompleteTime: a.now(),
	}
	if got.err != nil {
		fault.FaultCode, fault.FaultString = got.err.Code, got.err.Message
	}
	done := usp.Notification{Kind: usp.KindEvent, Path: usp.EventTransferComplete, Params: fault.Params()}
	first := a.p.CompletionFirst || a.fires(Reorder)
	if !first {
		a.notify(done)
	}
	a.finish(r, got.err)
	if first {
		a.notify(done)
	}
	a.updatePhase()
	if got.err == nil && a.firesOnce(Blocked) {
		a.powerCut()
		return
	}
	activates := got.err == nil && t.autoActivate && !a.p.NoAutoActivate
	if activates && a.firesOnce(CutBeforeRestart) {
		a.powerCut()
		return
	}
	if activates {
		a.activating = true
		a.after(a.s.Timing.BeforeReboot, func() {
			a.boot = r.image // a restart before this loses the activation (11d)
			a.reboot(rebootReason{cause: usp.CauseRemoteReboot, key: r.key, reason: "Firmware auto-activation"})
		})
	}
}

// window reads the time windows of Activate() and gives the wait until the
// first begins.
func (a *Agent) window(args map[string]string) (time.Duration, *usp.Error) {
	bad := usp.InvalidCommandArgs.Errorf
	first := time.Duration(-1)
	seen := map[int]bool{}
	for key := range args {
		rest, ok := strings.CutPrefix(key, "TimeWindow.")
		if !ok {
			continue
		}
		number, name, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return 0, bad("Activate() argument %s: bad instance", key)
		}
		if name == "" || seen[n] {
			continue
		}
		seen[n] = true
		prefix := "TimeWindow." + number + "."
		number64 := func(name string, missing uint64) (uint64, *usp.Error) {
			s, ok := args[prefix+name]
			if !ok || s == "" {
				return missing, nil
			}
			v, err := strconv.ParseUint(s, 10, 31)
			if err != nil {
				return 0, bad("Activate() argument %s%s: %q is not a number of seconds", prefix, name, s)
			}
			return v, nil
		}
		start, e := number64("Start", 0)
		if e != nil {
			return 0, e
		}
		end, e := number64("End", start+1)
		if e != nil {
			return 0, e
		}
		if end <= start {
			return 0, bad("Activate() argument %sEnd is not after Start", prefix)
		}
		switch mode := args[prefix+"Mode"]; mode {
		case "", "AnyTime", "Immediately", "WhenIdle", "ConfirmationNeeded":
		default:
			return 0, bad("Activate() argument %sMode: %q is not a mode", prefix, mode)
		}
		if wait := time.Duration(start) * time.Second; first < 0 || wait < first {
			first = wait
		}
	}
	if len(seen) > 0 && a.p.NoTimeWindow {
		return 0, bad("Activate() takes no time window")
	}
	if len(seen) > 1 {
		return 0, bad("Activate() takes one time window, not %d", len(seen))
	}
	return max(first, 0), nil
}
