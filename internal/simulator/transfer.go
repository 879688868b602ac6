package simulator

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// transfer is the arguments of a Download().
type transfer struct {
	url, username, password string
	autoActivate            bool
	algorithm, checksum     string
	size                    int64
	started                 time.Time // by the device's clock

	// Of one that may go on after a restart: the run that is under way,
	began  time.Time
	takes  time.Duration
	halved bool       // to be ended half way,
	points []received // and how far it came: where it began, then some points of the image
}

// received is the first part of an image, as far as it has come.
type received struct {
	size  int64 // bytes
	of    int64 // bytes of the whole; 0 if nobody said
	etag  string
	sum   hash.Cloner
	front []byte // as much as a header may have
}

func (r *received) take(part []byte) {
	if len(r.front) < maxImageHeader {
		r.front = append(r.front, part[:min(len(part), maxImageHeader-len(r.front))]...)
	}
	r.size += int64(len(part))
	r.sum.Write(part)
}

// copy is what r is now, whatever it takes later.
func (r received) copy() received {
	sum, err := r.sum.Clone()
	if err != nil {
		panic(err) // each of newHash can
	}
	r.sum, r.front = sum, slices.Clone(r.front)
	return r
}

// mostPoints is at how many points of an image a device that goes on notes how far it is.
const mostPoints = 16

// restarted is where a transfer goes on that a restart has ended then: at the last point that
// it had come to; nil is at its beginning.
func (t *transfer) restarted(then time.Time) *received {
	share := 1.0
	switch {
	case t.halved:
		share = 0.5
	case t.takes > 0:
		share = min(float64(then.Sub(t.began))/float64(t.takes), 1)
	}
	var last *received
	for i, r := range t.points {
		if first := t.points[0].size; r.size > 0 && r.size <= first+int64(share*float64(r.of-first)) {
			last = &t.points[i]
		}
	}
	t.halved = false
	return last
}

func newHash(algorithm string) hash.Cloner {
	var h hash.Hash
	switch algorithm {
	case "SHA-1":
		h = sha1.New()
	case "SHA-224":
		h = sha256.New224()
	case "SHA-256":
		h = sha256.New()
	case "SHA-384":
		h = sha512.New384()
	case "SHA-512":
		h = sha512.New()
	default:
		return nil
	}
	return h.(hash.Cloner)
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
	began := a.s.Clock.Now()
	takes := a.between(a.s.Timing.Download[0], a.s.Timing.Download[1])
	if a.fires(SlowLink) || a.has(OldNews) {
		takes += a.s.Timing.SlowLink
	}
	goesOn := a.p.Interrupted == Resumes
	var from *received
	if goesOn && !t.started.IsZero() {
		if from = t.restarted(a.off); from != nil {
			takes = time.Duration(float64(takes) * (1 - float64(from.size)/float64(from.of)))
			a.setFacts(func(f *Facts) { f.Resumed++ })
		}
	}
	t.started, t.began, t.takes = a.now(), began, takes
	a.setFacts(func(f *Facts) { f.Downloads++ })
	a.updatePhase()
	cut := a.firesOnce(RebootInDownload) || a.firesOnce(OldNews)
	if cut {
		t.halved = true
		a.after(takes/2+a.s.Timing.BeforeReboot, a.powerCut)
		if !goesOn {
			return // nothing of the transfer is of use
		}
	}
	generation, ctx := a.generation, a.power
	a.s.Clock.Go(func() {
		got := a.fetch(ctx, t, from, goesOn)
		a.do(func() {
			if t.began.Equal(began) {
				t.points = got.points
			}
			if a.generation != generation || cut {
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
	points []received
}

// fetch downloads and checks, from where an earlier transfer has come to if that is not nil. It runs outside the
// queue and touches nothing there. With noting it notes where it begins, and some points of the image.
func (a *Agent) fetch(ctx context.Context, t *transfer, from *received, noting bool) (out fetched) {
	var noted []received
	if from != nil {
		noted = append(noted, *from)
	}
	defer func() { out.points = noted }()
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
	if from != nil {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from.size))
	}
	resp, err := a.s.HTTP.Do(req)
	if err != nil {
		if u, ok := err.(*url.Error); ok { // its text holds the URL, which may be signed
			err = u.Err
		}
		return failed("%s", err)
	}
	defer resp.Body.Close()
	var got received
	var body io.Reader = resp.Body
	switch {
	case from != nil && resp.StatusCode == http.StatusPartialContent:
		if first := "bytes " + strconv.FormatInt(from.size, 10) + "-"; !strings.HasPrefix(
			resp.Header.Get("Content-Range"), first) {
			return failed("asked for bytes from %d on, got %q", from.size, resp.Header.Get("Content-Range"))
		}
		if resp.Header.Get("ETag") != from.etag {
			whole := a.fetch(ctx, t, nil, noting) // it is another file by now
			noted = whole.points
			return whole
		}
		got = from.copy()
	case from != nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		got, body = from.copy(), http.NoBody // there is no more of it
	case resp.StatusCode == http.StatusOK:
		got = received{of: cmp.Or(max(resp.ContentLength, 0), t.size), etag: resp.Header.Get("ETag"),
			sum: newHash(t.algorithm)}
		if got.sum == nil {
			got.sum = newHash("SHA-256")
		}
		if noting {
			noted = []received{got.copy()}
		}
	default:
		return failed("HTTP status %d", resp.StatusCode)
	}
	if a.fires(DownloadAborted) {
		body = io.MultiReader(io.LimitReader(body, max(resp.ContentLength/2, 1)), brokenPipe{})
	}
	buffer := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(buffer)
	chunk, step := buffer[:], int64(0)
	if noting && got.of > 0 {
		step = max((got.of+mostPoints-1)/mostPoints, 1)
	}
	for {
		if step > 0 { // up to the next point
			chunk = buffer[:min(step-got.size%step, int64(len(buffer)))]
		}
		n, err := body.Read(chunk)
		got.take(chunk[:n])
		if step > 0 && n > 0 && (got.size%step == 0 || got.size == got.of) {
			noted = append(noted, got.copy())
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return failed("transfer ended after %d bytes: %s", got.size, err)
		}
	}
	if a.fires(BadChecksum) {
		got.sum.Write([]byte{0}) // a byte that was not there
	}
	invalid := func(format string, args ...any) fetched {
		return fetched{status: usp.StatusValidationFailed, err: usp.CommandFailure.Errorf("Validation failed: "+
			format, args...)}
	}
	if sum := hex.EncodeToString(got.sum.Sum(nil)); t.checksum != "" && !strings.EqualFold(sum, t.checksum) {
		return invalid("%s checksum is %s, expected %s", t.algorithm, sum, strings.ToLower(t.checksum))
	}
	header, err := ReadImageHeader(got.front)
	if err != nil {
		return invalid("%s", err)
	}
	name := path.Base(req.URL.Path)
	return fetched{header: header, name: name[:min(len(name), 64)]}
}

// chunks are buffers for transfers, of which very many may run.
var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

type brokenPipe struct{}

func (brokenPipe) Read([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("connection reset by peer")

// written writes what was transferred into the flash.
func (a *Agent) written(r *request, got fetched) {
	if r.canceling {
		return // its end is told when it has stopped
	}
	if got.err == nil && a.firesOnce(DownloadAborted) { // since it began
		got = fetched{status: usp.StatusDownloadFailed, err: usp.CommandFailure.Errorf("Download failed: %s",
			errBroken)}
	}
	if got.err == nil && a.firesOnce(BadChecksum) {
		got = fetched{status: usp.StatusValidationFailed, err: usp.CommandFailure.Errorf("Validation failed: a byte " +
			"that was not there")}
	}
	if got.err == nil && a.firesOnce(SlowFlash) {
		a.images[r.image-1].status = usp.StatusValidating
		a.after(a.s.Timing.SlowFlash, func() {
			if !r.canceling {
				a.endDownload(r, got)
			}
		})
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
