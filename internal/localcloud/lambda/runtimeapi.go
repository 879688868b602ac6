package lambda

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Headers of the Runtime API.
const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerARN       = "Lambda-Runtime-Invoked-Function-Arn"
	headerTrace     = "Lambda-Runtime-Trace-Id"
)

// onlyFor answers who knows the secret that the paths begin with, and says by
// its Host header that it means this address: no other process, and no web page
// that a name of its own leads here.
func onlyFor(host, secret string, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := len(r.URL.Path) > len(secret) &&
			subtle.ConstantTimeCompare([]byte(r.URL.Path[:len(secret)]), []byte(secret)) == 1
		if !known || r.Host != host {
			http.Error(w, "this is the Runtime API of one function's environment; its address is in its "+
				"AWS_LAMBDA_RUNTIME_API", http.StatusForbidden)
			return
		}
		http.StripPrefix(secret, api).ServeHTTP(w, r)
	})
}

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	e.began()
	e.mu.Lock()
	if !e.asked {
		e.asked, e.startup = true, e.p.c.Scheduler.Now().Sub(e.started)
	}
	for e.work == nil || e.work.taken {
		if e.isDead {
			e.mu.Unlock()
			http.Error(w, "the environment is shut down", http.StatusGone)
			return
		}
		gate := e.p.c.Scheduler.NewGate()
		e.next = gate
		e.mu.Unlock()
		if err := gate.Wait(r.Context()); err != nil {
			return
		}
		e.mu.Lock()
	}
	e.work.taken = true
	if e.work.began.IsZero() {
		e.work.began = e.p.c.Scheduler.Now()
	}
	inv, deadline := e.work.inv, e.work.began.Add(e.f.Timeout)
	e.work.handed.Open()
	e.mu.Unlock()
	h := w.Header()
	h.Set(headerRequestID, inv.RequestID)
	h.Set(headerDeadline, strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set(headerARN, inv.FunctionARN)
	h.Set(headerTrace, "Root=1-"+strconv.FormatInt(e.started.Unix(), 16)+"-"+strings.ReplaceAll(inv.RequestID, "-",
		"")[:24]+";Sampled=0")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(inv.Payload)
}

// current returns the invocation of that id if it runs now.
func (e *environment) current(id string) *work {
	if e.work == nil || !e.work.taken || e.work.inv.RequestID != id {
		return nil
	}
	return e.work
}

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, func(inv Invocation, body []byte) Result {
		if len(body) > maxSyncPayload {
			return failed(&FunctionError{
				Type: "Function.ResponseSizeTooLarge",
				Message: fmt.Sprintf("Response payload size (%d bytes) exceeded maximum allowed payload size (%d "+
					"bytes).", len(body), maxSyncPayload),
			}, e.stream)
		}
		return Result{Payload: body}
	})
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, func(inv Invocation, body []byte) Result {
		failure := parseError(r, body)
		if json.Valid(body) {
			return Result{Payload: body, Failure: failure}
		}
		return failed(failure, e.stream)
	})
}

func parseError(r *http.Request, body []byte) *FunctionError {
	failure := &FunctionError{}
	if err := json.Unmarshal(body, failure); err != nil || failure.Type == "" {
		failure.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	return failure
}

// take reads an answer of the runtime and ends the invocation with it.
func (e *environment) take(w http.ResponseWriter, r *http.Request, result func(Invocation, []byte) Result) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSyncPayload+1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	work := e.current(r.PathValue("id"))
	if work == nil {
		e.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`)
		return
	}
	e.mu.Unlock()
	res := result(work.inv, body)
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
	e.mu.Lock()
	e.finish(work, res)
	e.mu.Unlock()
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSyncPayload))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	if e.asked { // the start is over
		e.mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errorMessage":"State transition from Ready to InitError failed for runtime. `+
			`Error: State transition is not allowed","errorType":"InvalidStateTransition"}`)
		return
	}
	e.initFail = parseError(r, body)
	if e.work != nil {
		e.finish(e.work, failed(e.initFail, e.stream))
	}
	e.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}
