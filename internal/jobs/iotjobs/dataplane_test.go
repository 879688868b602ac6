package iotjobs

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// transport answers requests from a list.
type transport struct {
	t       *testing.T
	answers []answer
	asked   []string // "METHOD path?query body"
}

type answer struct {
	status int
	header string // X-Amzn-Errortype
	body   string
}

func (tr *transport) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/iot-jobs-data/aws4_request") {
		tr.t.Errorf("signed as %s", a)
	}
	tr.asked = append(tr.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	if len(tr.answers) == 0 {
		return nil, errors.New("no answer left")
	}
	a := tr.answers[0]
	tr.answers = tr.answers[1:]
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Errortype", a.header)
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	return w.Result(), nil
}

func newExecutions(t *testing.T, answers ...answer) (*Executions, *transport) {
	tr := &transport{t: t, answers: answers}
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), HTTPClient: tr}
	return NewExecutions(cfg, "https://data.example/", time.Now), tr
}

func TestUpdateSendsOneExecution(t *testing.T) {
	e, tr := newExecutions(t, answer{status: 200, body: `{}`})
	if err := e.Update(t.Context(), "rg:1", "fw-2", 3, event.StatusFailed, map[string]string{"reason": "Download.Failed"}); err != nil {
		t.Fatal(err)
	}
	want := `POST /things/rg:1/jobs/fw-2 {"status":"FAILED","statusDetails":{"reason":"Download.Failed"},"executionNumber":3}`
	if tr.asked[0] != want {
		t.Errorf("asked %s, want %s", tr.asked[0], want)
	}
}

func TestEndedExecutionsAreOver(t *testing.T) {
	for name, answers := range map[string][]answer{
		"missing":           {{404, "ResourceNotFoundException:http://internal.amazon.com/", `{}`}},
		"terminal":          {{410, "", `{"__type":"com.amazon#TerminalStateException","message":"over"}`}},
		"moved to terminal": {{409, "InvalidStateTransitionException", `{}`}, {200, "", `{"execution":{"status":"CANCELED","executionNumber":3}}`}},
		"replaced":          {{409, "InvalidStateTransitionException", `{}`}, {200, "", `{"execution":{"status":"QUEUED","executionNumber":4}}`}},
	} {
		e, _ := newExecutions(t, answers...)
		if err := e.Update(t.Context(), "t", "j", 3, event.StatusSucceeded, nil); !errors.Is(err, jobs.ErrOver) {
			t.Errorf("%s: got %v, want ErrOver", name, err)
		}
	}
}

func TestStatusTellsTerminalFromGone(t *testing.T) {
	for name, c := range map[string]struct {
		answer   answer
		terminal bool
	}{
		"terminal": {answer{410, "TerminalStateException", `{}`}, true},
		"deleted":  {answer{404, "ResourceNotFoundException", `{}`}, false},
		"replaced": {answer{200, "", `{"execution":{"status":"QUEUED","executionNumber":4}}`}, false},
		"nothing":  {answer{200, "", `{}`}, false},
	} {
		e, tr := newExecutions(t, c.answer)
		_, err := e.Status(t.Context(), "t", "j", 3)
		if !errors.Is(err, jobs.ErrOver) || errors.Is(err, jobs.ErrTerminal) != c.terminal {
			t.Errorf("%s: got %v", name, err)
		}
		if want := "GET /things/t/jobs/j?executionNumber=3&includeJobDocument=false"; tr.asked[0] != want {
			t.Errorf("%s: asked %s, want %s", name, tr.asked[0], want)
		}
	}
}

func TestARefusedMoveOfALiveExecutionIsAnError(t *testing.T) {
	e, _ := newExecutions(t, answer{409, "InvalidStateTransitionException", `{}`}, answer{200, "", `{"execution":{"status":"IN_PROGRESS","executionNumber":3}}`})
	if err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil); err == nil || errors.Is(err, jobs.ErrOver) {
		t.Errorf("got %v", err)
	}
	// Neither does it pass for over when nobody can say.
	e, _ = newExecutions(t, answer{409, "InvalidStateTransitionException", `{}`}, answer{403, "AccessDeniedException", `{}`})
	if err := e.Update(t.Context(), "t", "j", 3, event.StatusInProgress, nil); err == nil || errors.Is(err, jobs.ErrOver) {
		t.Errorf("got %v", err)
	}
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
		if _, err := e.Status(t.Context(), "t", "j", 3); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") || len(tr.asked) != 1 {
			t.Errorf("a refusal was tried %d times: %v", len(tr.asked), err)
		}
	})
}
