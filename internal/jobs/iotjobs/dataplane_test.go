package iotjobs

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// transport answers requests from two lists, one for each plane.
type transport struct {
	t       *testing.T
	answers []answer
	control []answer
	asked   []string // "METHOD path?query body"; the control plane's begin with "control "
}

type answer struct {
	status int
	header string // X-Amzn-Errortype
	body   string
}

func (tr *transport) Do(r *http.Request) (*http.Response, error) {
	body := []byte{}
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	left, plane := &tr.answers, ""
	switch a := r.Header.Get("Authorization"); {
	case strings.Contains(a, "/us-east-1/iot/aws4_request"):
		left, plane = &tr.control, "control "
	case !strings.Contains(a, "/us-east-1/iot-jobs-data/aws4_request"):
		tr.t.Errorf("signed as %s", a)
	}
	tr.asked = append(tr.asked, strings.TrimSpace(plane+r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	if len(*left) == 0 {
		return nil, errors.New("no answer left")
	}
	a := (*left)[0]
	*left = (*left)[1:]
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Errortype", a.header)
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	return w.Result(), nil
}

func newExecutions(t *testing.T, answers ...answer) (*Executions, *transport) {
	tr := &transport{t: t, answers: answers}
	cfg := aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: tr,
		Retryer:    func() aws.Retryer { return &waits{says: time.Second} },
	}
	return NewExecutions(cfg, "https://data.example/", iot.NewFromConfig(cfg), time.Now), tr
}

// Answers of the control plane.
var (
	unknown  = answer{404, "ResourceNotFoundException", `{}`}
	inStatus = func(s string) answer {
		return answer{200, "", `{"execution":{"status":"` + s + `","executionNumber":3}}`}
	}
	throttled = answer{429, "ThrottlingException", `{}`}
)

func TestUpdateSendsOneExecution(t *testing.T) {
	e, tr := newExecutions(t, answer{status: 200, body: `{}`})
	if err := e.Update(t.Context(), "rg:1", "fw-2", 3, event.StatusFailed,
		map[string]string{"reason": "Download.Failed"}); err != nil {
		t.Fatal(err)
	}
	want := `POST /things/rg:1/jobs/fw-2 {"status":"FAILED","statusDetails":{"reason":"Download.Failed"},"executionNumber":3}`
	if tr.asked[0] != want {
		t.Errorf("asked %s, want %s", tr.asked[0], want)
	}
}

// overs are answers by which the data plane calls an execution over, or gone.
var overs = map[string]answer{
	"missing":  {404, "ResourceNotFoundException:http://internal.amazon.com/", `{}`},
	"terminal": {410, "", `{"__type":"com.amazon#TerminalStateException","message":"over"}`},
	"moved":    {409, "InvalidStateTransitionException", `{}`},
}

func TestEndedExecutionsAreOver(t *testing.T) {
	for name, a := range overs {
		for _, confirmed := range []answer{unknown, inStatus("CANCELED"), inStatus("TIMED_OUT"),
			inStatus("SUCCEEDED")} {
			e, tr := newExecutions(t, a)
			tr.control = []answer{confirmed}
			if err := e.Update(t.Context(), "t", "j", 3, event.StatusSucceeded, nil); !errors.Is(err, jobs.ErrOver) {
				t.Errorf("%s, %v: got %v, want ErrOver", name, confirmed, err)
			}
			if want := "control GET /things/t/jobs/j?executionNumber=3"; tr.asked[1] != want {
				t.Errorf("%s: asked %s, want %s", name, tr.asked[1], want)
			}
		}
	}
}

// A wrong endpoint answers 404 to everything.
func TestOverIsNotBelievedOfTheDataPlaneAlone(t *testing.T) {
	answers := map[string]answer{
		"no code":      {404, "", `<html>not here</html>`},
		"another code": {404, "UnknownOperationException", `{}`},
	}
	for name, a := range overs {
		answers[name] = a
	}
	for name, a := range answers {
		for _, c := range []answer{inStatus("QUEUED"), inStatus("IN_PROGRESS"), {403, "AccessDeniedException", `{}`}, {200, "", `{}`}} {
			e, tr := newExecutions(t, a, a)
			tr.control = []answer{c, c}
			err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil)
			if err == nil || errors.Is(err, jobs.ErrOver) || !strings.Contains(err.Error(), "data.example") {
				t.Errorf("Update, %s, %v: %v", name, c, err)
			}
			if name == "moved" {
				continue // no answer to a question
			}
			s, err := e.Status(t.Context(), "t", "j", 3)
			if err == nil || errors.Is(err, jobs.ErrOver) {
				t.Errorf("Status, %s, %v: %q, %v", name, c, s, err)
			}
		}
	}
}

func TestStatusOfWhatIsOver(t *testing.T) {
	replaced := answer{200, "", `{"execution":{"status":"QUEUED","executionNumber":4}}`}
	for name, c := range map[string]struct {
		answer, control answer
		status          event.JobStatus
		want            error
	}{
		"terminal":               {overs["terminal"], inStatus("TIMED_OUT"), event.StatusTimedOut, nil},
		"terminal, control busy": {overs["terminal"], throttled, "", jobs.ErrTerminal},
		"deleted":                {overs["missing"], unknown, "", jobs.ErrOver},
		"replaced":               {replaced, inStatus("FAILED"), event.StatusFailed, nil},
		"replaced and deleted":   {replaced, unknown, "", jobs.ErrOver},
		"nothing":                {answer{200, "", `{}`}, unknown, "", jobs.ErrOver},
	} {
		e, tr := newExecutions(t, c.answer)
		tr.control = []answer{c.control}
		status, err := e.Status(t.Context(), "t", "j", 3)
		if status != c.status || !errors.Is(err, c.want) {
			t.Errorf("%s: got %q, %v", name, status, err)
		}
		if want := "GET /things/t/jobs/j?executionNumber=3&includeJobDocument=false"; tr.asked[0] != want {
			t.Errorf("%s: asked %s, want %s", name, tr.asked[0], want)
		}
	}
	// A busy control plane confirms no 404.
	e, tr := newExecutions(t, overs["missing"])
	tr.control = []answer{throttled}
	if _, err := e.Status(t.Context(), "t", "j", 3); err == nil || errors.Is(err, jobs.ErrOver) {
		t.Errorf("got %v", err)
	}
}

func TestSuccessThatTellsOfAnErrorIsOne(t *testing.T) {
	for body, code := range map[string]string{
		// As a developer read it off the wire (aws-sdk-js issue 2539, 2019-02-16).
		`{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException","message":null},"Version":"1.0"}`: "UnknownOperationException",
		`{"Output":{},"Version":"1.0"}`:                               "no error code",
		`{"__type":"com.amazon.coral.service#AccessDeniedException"}`: "AccessDeniedException",
		`{"message":"Forbidden"}`:                                     "Forbidden",
		`<html>welcome</html>`:                                        "not what the jobs data plane says",
		`[]`:                                                          "not what the jobs data plane says",
	} {
		e, _ := newExecutions(t, answer{200, "", body}, answer{200, "", body})
		if err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil); err == nil ||
			!strings.Contains(err.Error(), code) {
			t.Errorf("Update, %s: %v", body, err)
		}
		if s, err := e.Status(t.Context(), "t", "j", 3); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("Status, %s: %q, %v", body, s, err)
		}
	}
	for _, body := range []string{``, `{}`, `{"executionState":{"status":"IN_PROGRESS"},"jobDocument":"{}"}`} {
		e, _ := newExecutions(t, answer{200, "", body})
		if err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// waits is a Retryer that notes what it is asked, and waits by a clock of its own.
type waits struct {
	aws.NopRetryer
	asked []int
	says  time.Duration
}

func (w *waits) MaxAttempts() int { return 3 }

func (w *waits) RetryDelay(attempt int, _ error) (time.Duration, error) {
	w.asked = append(w.asked, attempt)
	return w.says, nil
}

// How long to wait the SDK's Retryer says, as for every other call: who plays in another time than the machine's has
// one that waits there. A call that waited by itself held virtual time up.
func TestTheSDKSaysHowLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, says := range []time.Duration{0, time.Second} {
			e, _ := newExecutions(t, answer{429, "ThrottlingException", `{}`}, answer{503, "", ``},
				answer{200, "", `{}`})
			w := &waits{says: says}
			e.retryer = w
			began := time.Now()
			if err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 2*says || !slices.Equal(w.asked, []int{1, 2}) {
				t.Errorf("told %v: waited %v, asked after attempts %v", says, took, w.asked)
			}
		}
	})
}

func TestPassingFaultsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, tr := newExecutions(t, answer{429, "ThrottlingException", `{}`}, answer{503, "", `busy`}, answer{200, "", `{"execution":{"status":"IN_PROGRESS","executionNumber":3}}`})
		s, err := e.Status(t.Context(), "t", "j", 3)
		if err != nil || s != event.StatusInProgress || len(tr.asked) != 3 {
			t.Errorf("got %s, %v after %d calls", s, err, len(tr.asked))
		}
		e, tr = newExecutions(t, answer{503, "", ``}, answer{503, "", ``}, answer{503, "", ``}, answer{200, "", `{}`})
		if _, err := e.Status(t.Context(), "t", "j", 3); err == nil || len(tr.asked) != 3 {
			t.Errorf("gave up after %d calls with %v", len(tr.asked), err)
		}
		e, tr = newExecutions(t, answer{403, "AccessDeniedException", `{"message":"no"}`})
		if _, err := e.Status(t.Context(), "t", "j", 3); err == nil ||
			!strings.Contains(err.Error(), "AccessDeniedException") || len(tr.asked) != 1 {
			t.Errorf("a refusal was tried %d times: %v", len(tr.asked), err)
		}
	})
}

// An attempt that is not over is canceled in the version that was seen, so that no later
// one is met.
func TestCancelMeetsTheAttemptThatItSaw(t *testing.T) {
	seen := answer{200, "", `{"execution":{"status":"IN_PROGRESS","executionNumber":3,"versionNumber":2}}`}
	e, tr := newExecutions(t)
	tr.control = []answer{seen, {200, "", `{}`}}
	if err := e.Cancel(t.Context(), "t", "j", 3, map[string]string{"reason": "Controller.Failed"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"control GET /things/t/jobs/j?executionNumber=3",
		`control PUT /things/t/jobs/j/cancel?force=true {"expectedVersion":2,"statusDetails":{"reason":"Controller.Failed"}}`}
	if !slices.Equal(tr.asked, want) {
		t.Errorf("asked %q", tr.asked)
	}
	for name, c := range map[string]struct {
		control []answer
		want    error
	}{
		"gone":                 {[]answer{unknown}, jobs.ErrOver},
		"gone meanwhile":       {[]answer{seen, unknown}, jobs.ErrOver},
		"over":                 {[]answer{inStatus("FAILED")}, jobs.ErrOver},
		"odd details":          {[]answer{seen, {400, "InvalidRequestException", `{}`}}, jobs.ErrRefused},
		"changed meanwhile":    {[]answer{seen, {409, "VersionConflictException", `{}`}}, nil},
		"throttled":            {[]answer{throttled}, nil},
		"nothing in an answer": {[]answer{{200, "", `{}`}}, nil},
	} {
		e, tr := newExecutions(t)
		tr.control = c.control
		err := e.Cancel(t.Context(), "t", "j", 3, nil)
		if err == nil || errors.Is(err, jobs.ErrOver) != (c.want == jobs.ErrOver) ||
			errors.Is(err, jobs.ErrRefused) != (c.want == jobs.ErrRefused) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatIsRefusedAsItIsIsToldApart(t *testing.T) {
	e, _ := newExecutions(t, answer{400, "InvalidRequestException", `{}`}, answer{403, "ForbiddenException", `{}`})
	if err := e.Update(t.Context(), "t", "j", 3, event.StatusFailed, nil); !errors.Is(err, jobs.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if err := e.Update(t.Context(), "t", "j", 3, event.StatusFailed, nil); err == nil ||
		errors.Is(err, jobs.ErrRefused) {
		t.Errorf("another refusal: got %v", err)
	}
}
