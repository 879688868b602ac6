// Package sts asks AWS STS for the identity of a caller (workflow.Identities). A caller proves
// its identity by a presigned GetCallerIdentity request that is sent here, as
// aws-iam-authenticator does for Kubernetes. The caller chooses only its credentials. The host
// must be the region's STS, the request must be this one and at most 60 seconds old, and a
// signed header names the purpose, so that the proof is of no use elsewhere. The secret never
// leaves the caller.
package sts

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Oldest is the age of a proof that is taken; as much ahead may a caller's clock be.
const Oldest = 60 * time.Second

// mostAnswer is how much of STS's answer is read.
const mostAnswer = 64 << 10

// HTTP sends a request; an aws.HTTPClient.
type HTTP interface {
	Do(r *http.Request) (*http.Response, error)
}

// Verifier is a workflow.Identities.
type Verifier struct {
	http     HTTP
	endpoint *url.URL
	now      func() time.Time
}

var _ workflow.Identities = (*Verifier)(nil)

// Endpoint is the address of STS in a configuration's region.
func Endpoint(ctx context.Context, cfg aws.Config) (*url.URL, error) {
	if cfg.BaseEndpoint != nil {
		return url.Parse(*cfg.BaseEndpoint)
	}
	e, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{
		Region: &cfg.Region, UseGlobalEndpoint: aws.Bool(false),
	})
	if err != nil {
		return nil, fmt.Errorf("workflow/sts: the endpoint of STS in %q: %w", cfg.Region, err)
	}
	return &e.URI, nil
}

// New is a verifier that asks STS in the configuration's region.
func New(ctx context.Context, cfg aws.Config, now func() time.Time) (*Verifier, error) {
	endpoint, err := Endpoint(ctx, cfg)
	if err != nil {
		return nil, err
	}
	v := &Verifier{http: cfg.HTTPClient, endpoint: endpoint, now: now}
	if v.http == nil {
		v.http = http.DefaultClient
	}
	return v, nil
}

// Caller implements workflow.Identities.
func (v *Verifier) Caller(ctx context.Context, proof, subject string) (string, error) {
	request, err := v.request(ctx, proof)
	if err != nil {
		return "", fmt.Errorf("workflow/sts.Caller: %w: %w", workflow.ErrUnproved, err)
	}
	request.Header.Set(event.ProofHeader, subject)
	request.Header.Set("Accept", "application/xml")
	answer, err := v.http.Do(request)
	if err != nil {
		// The URL is in the text of the client's errors, and is as good as a password for a minute.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return "", fmt.Errorf("workflow/sts.Caller: STS not reached: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return "", fmt.Errorf("workflow/sts.Caller: the answer of STS: %w", err)
	}
	switch {
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf("workflow/sts.Caller: STS answered %d", answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("workflow/sts.Caller: %w: STS answered %d %s", workflow.ErrUnproved,
			answer.StatusCode, code(body))
	}
	var said struct {
		XMLName xml.Name `xml:"GetCallerIdentityResponse"`
		ARN     string   `xml:"GetCallerIdentityResult>Arn"`
	}
	if err := xml.Unmarshal(body, &said); err != nil || !strings.HasPrefix(said.ARN, "arn:") {
		return "", fmt.Errorf("workflow/sts.Caller: %w: STS answered without an ARN", workflow.ErrUnproved)
	}
	return said.ARN, nil
}

// code is the error code of an answer.
func code(body []byte) string {
	var e struct {
		Code string `xml:"Error>Code"`
	}
	if xml.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Code
}

// parameters are those of a presigned request; each is there once.
var parameters = []string{
	"Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token",
	"X-Amz-Signature", "X-Amz-SignedHeaders",
}

// request is the one that a proof stands for, if it is none but GetCallerIdentity.
func (v *Verifier) request(ctx context.Context, proof string) (*http.Request, error) {
	u, err := url.Parse(proof)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	if u.Scheme != v.endpoint.Scheme || !v.here(u) || u.User != nil || u.Opaque != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("it is not for %s", v.endpoint.Host)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("its query cannot be read")
	}
	for name, values := range q {
		if !slices.Contains(parameters, name) || len(values) != 1 {
			return nil, errors.New("it has parameters that a presigned GetCallerIdentity has not, or has one twice")
		}
	}
	signed := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	slices.Sort(signed)
	if q.Get("Action") != "GetCallerIdentity" || !slices.Equal(signed, []string{"host",
		strings.ToLower(event.ProofHeader)}) {
		return nil, fmt.Errorf("it is not GetCallerIdentity with the signed headers host and %s", event.ProofHeader)
	}
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil {
		return nil, errors.New("it has no X-Amz-Date")
	}
	if age := v.now().Sub(at); age > Oldest || age < -Oldest {
		return nil, fmt.Errorf("it is %d seconds old; up to %d are allowed", int(age.Seconds()), int(Oldest.Seconds()))
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

// here reports whether a URL's host is the endpoint's. A local cloud has several
// names, all of this machine.
func (v *Verifier) here(u *url.URL) bool {
	if strings.EqualFold(u.Host, v.endpoint.Host) {
		return true
	}
	return u.Port() == v.endpoint.Port() && loopback(u.Hostname()) && loopback(v.endpoint.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
