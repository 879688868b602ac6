package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// What functions print. All of it is bounded: a line, what an invocation holds in memory before it is in CloudWatch
// Logs, and what one invocation may print at all.
const (
	// maxLine is where Lambda cuts a line in two: 256 KiB less what CloudWatch Logs counts for an event
	// (stackoverflow.com/questions/77175643, seen 2023-09).
	maxLine = 256<<10 - eventOverhead
	// eventOverhead is what CloudWatch Logs adds to the size of an event (CloudWatch Logs quotas, 2026-11).
	eventOverhead = 26
	// flushAt is how much is gathered before it is handed on; with the overhead it is less than the 10,000 events of a
	// batch.
	flushAt = 256 << 10
	// maxPrinted is what is kept of one invocation; Lambda too drops what is printed too fast, "to keep memory
	// utilization bounded" (developer guide, "Lambda Telemetry API", platform.logsDropped, 2026-11), without naming a
	// limit.
	maxPrinted = 16 << 20
	// logTail is how much of the log an Invoke with LogType Tail returns.
	logTail = 4 << 10
)

// lines cuts what is written to it into lines, none longer than maxLine.
type lines struct {
	rest []byte
	line func(text string)
}

func (l *lines) write(p []byte) {
	for len(p) > 0 {
		n := min(len(p), maxLine-len(l.rest))
		i := bytes.IndexByte(p[:n], '\n')
		if i >= 0 {
			n = i + 1
		}
		l.rest = append(l.rest, p[:n]...)
		p = p[n:]
		if i >= 0 || len(l.rest) == maxLine {
			l.end()
		}
	}
}

// end gives out what there is of a line.
func (l *lines) end() {
	if text := strings.TrimRight(string(l.rest), "\r\n"); text != "" {
		l.line(text)
	}
	l.rest = l.rest[:0]
}

// pipe is what a process prints. It is read beside the Runtime API, so that the process never waits for its answer to
// be taken; and at the end of an invocation, so that all that was printed before the answer is of that invocation.
type pipe struct {
	file *os.File

	mu     sync.Mutex // while what was read is handed on
	cut    lines
	buffer [64 << 10]byte
}

// mostRest is how much rest reads: more than a pipe holds, so that a process that prints without end does not keep its
// invocation from ending.
const mostRest = 1 << 20

// end gives out the last line, and closes. Close waits for who has the file, and rest has it while it waits for mu.
func (p *pipe) end() {
	p.mu.Lock()
	p.cut.end()
	p.mu.Unlock()
	_ = p.file.Close()
}

// invocationLog gathers what one invocation prints.
type invocationLog struct {
	s  *Service
	f  Function
	id awsapi.Identity

	stream string // of the environment that ran; set before the invocation is over

	mu      sync.Mutex
	waiting []LogLine // to be handed to CloudWatch Logs
	size    int       // of waiting, as CloudWatch Logs counts
	printed int
	end     []byte // the last that was printed, logTail at least if there is as much
	lines   int    // that were dropped
	bytes   int
	done    bool
}

func (s *Service) newLog(f Function, id awsapi.Identity) *invocationLog {
	return &invocationLog{s: s, f: f, id: id}
}

// system adds a line of Lambda itself, which is never dropped.
func (l *invocationLog) system(text string) {
	l.keep(LogLine{Time: l.s.Scheduler.Now(), Text: text})
}

// add adds a line that the function has printed. It returns when there is room for another, so that a function that
// prints faster than is stored waits in its write.
func (l *invocationLog) add(line LogLine) {
	l.mu.Lock()
	l.printed += len(line.Text) + eventOverhead
	drop := l.printed > maxPrinted
	if drop {
		l.lines++
		l.bytes += len(line.Text)
	}
	l.mu.Unlock()
	if !drop {
		l.keep(line)
	}
}

func (l *invocationLog) keep(line LogLine) {
	l.mu.Lock()
	l.waiting = append(l.waiting, line)
	l.size += len(line.Text) + eventOverhead
	l.end = append(append(l.end, line.Text...), '\n')
	if len(l.end) > 4*logTail {
		l.end = append(l.end[:0:0], l.end[len(l.end)-logTail:]...)
	}
	full := l.done || l.size >= flushAt
	l.mu.Unlock()
	if full {
		l.flush(context.Background())
	}
}

// dropped tells of what was not kept, if anything was.
func (l *invocationLog) dropped() {
	l.mu.Lock()
	lines, bytes := l.lines, l.bytes
	l.mu.Unlock()
	if lines > 0 {
		l.system(fmt.Sprintf(`{"time":%q,"type":"platform.logsDropped","record":{"droppedBytes":%d,"droppedRecords":%d,`+
			`"reason":"Some logs were dropped because the function has printed more than %d bytes."}}`,
			l.s.Scheduler.Now().Format("2006-01-02T15:04:05.000Z"), bytes, lines, maxPrinted))
	}
}

// setStream names the stream of the environment that ran.
func (l *invocationLog) setStream(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = name
}

// tail is the end of the log in base64, as Invoke returns it.
func (l *invocationLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return base64.StdEncoding.EncodeToString(l.end[max(0, len(l.end)-logTail):])
}

// logEvent is a member of PutLogEvents' logEvents.
type logEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

type putLogEvents struct {
	LogGroupName  string     `json:"logGroupName"`
	LogStreamName string     `json:"logStreamName"`
	LogEvents     []logEvent `json:"logEvents"`
}

// finish hands on what is left; what comes late is handed on at once.
func (l *invocationLog) finish(ctx context.Context) {
	l.mu.Lock()
	l.done = true
	l.mu.Unlock()
	l.flush(ctx)
}

// flush hands the lines to CloudWatch Logs as the function's role. Lines that
// the service itself wrote go to the stream of the environment that ran.
func (l *invocationLog) flush(ctx context.Context) {
	l.mu.Lock()
	lines := l.waiting
	l.waiting, l.size = nil, 0
	stream := l.stream
	l.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	for _, line := range lines { // before the end only the function's lines know it
		if stream == "" {
			stream = line.Stream
		}
	}
	s, group := l.s, l.f.LogGroup
	if stream == "" { // no environment ran
		stream = s.Scheduler.Now().Format("2006/01/02") + "/[" + l.f.version() + "]" +
			strings.ReplaceAll(l.f.RevisionID, "-", "")
	}
	s.mu.Lock()
	made := s.streams[group+" "+stream]
	s.streams[group+" "+stream] = true
	s.mu.Unlock()
	if !made {
		_, err := s.Caller.Call(ctx, l.id, "cloudwatchlogs", "CreateLogStream",
			map[string]string{"logGroupName": group, "logStreamName": stream})
		if awsapi.Code(err) == "ResourceNotFoundException" {
			if _, err = s.Caller.Call(ctx, l.id, "cloudwatchlogs", "CreateLogGroup",
				map[string]string{"logGroupName": group}); err == nil {
				_, err = s.Caller.Call(ctx, l.id, "cloudwatchlogs", "CreateLogStream",
					map[string]string{"logGroupName": group, "logStreamName": stream})
			}
		}
		if err != nil && awsapi.Code(err) != "ResourceAlreadyExistsException" {
			return // as on AWS: no permission, no log
		}
	}
	in := putLogEvents{group, stream, make([]logEvent, len(lines))}
	for i, line := range lines {
		in.LogEvents[i] = logEvent{line.Time.UnixMilli(), line.Text}
	}
	_, _ = s.Caller.Call(ctx, l.id, "cloudwatchlogs", "PutLogEvents", &in)
}

// report is the line that Lambda writes at the end of an invocation.
func report(f Function, requestID string, took time.Duration, r Result, timedOut bool) string {
	// Since 2025-08 the time that an environment took to start is billed.
	billed := max(1, (took+r.Init+time.Millisecond-1)/time.Millisecond)
	text := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\t",
		requestID, milliseconds(took), billed, f.MemoryMB)
	if r.Memory > 0 {
		text += fmt.Sprintf("Max Memory Used: %d MB\t", min(int64(f.MemoryMB), (r.Memory+1<<20-1)>>20))
	}
	if r.Init > 0 {
		text += fmt.Sprintf("Init Duration: %.2f ms\t", milliseconds(r.Init))
	}
	switch {
	case timedOut:
		text += "Status: timeout\t"
	case r.OutOfMemory:
		text += "Status: error\tError Type: Runtime.OutOfMemory\t"
	case r.Failure != nil && strings.HasPrefix(r.Failure.Type, "Runtime."):
		text += "Status: error\tError Type: " + r.Failure.Type + "\t"
	}
	return text
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
