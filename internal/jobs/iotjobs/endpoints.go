package iotjobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Endpoints are where the data planes of AWS IoT answer in this account and region.
type Endpoints struct {
	Data string // URL: publishing
	Jobs string // URL: job executions
	// Doubt is why Jobs may be wrong; nil unless it was chosen by hand.
	Doubt error
}

// Types of endpoints. Which one the jobs data plane answers at has changed over the
// years. AWS's pages name iot:Jobs; AWS refuses that by now ("IoT Jobs and Commands
// APIs are now available through iot:Data-ATS endpoints instead of iot:Jobs
// endpoints. Please use iot:Data-ATS.", seen in a real account on 2026-08-10,
// according to http4k-connect's FakeIot); and the SDKs' own default,
// data.jobs.iot.<region>, is refused by "Invalid endpoint. Use describe-endpoint
// API to get valid endpoint" (github.com/aws/aws-sdk-js-v3/issues/5533, 2023-11-30).
const (
	dataATS  = "iot:Data-ATS"
	jobsType = "iot:Jobs"
)

// FindEndpoints asks AWS IoT for the account's endpoints, and each that may be the
// jobs data plane's whether it is. jobs is a host that is taken as it is, "" for
// none. An account in which no endpoint answers is an error that says what each
// answered.
//
// What counts as an answer: the list of the pending job executions of event.ProbeThing; or
// ResourceNotFoundException, unless another endpoint gives the list. A wrong host has
// answered that as well (github.com/aws/aws-sdk-js/issues/2146, 2018-07-18), so that
// it may be wrong: then the first upgrades fail, for Executions believes no 404.
func FindEndpoints(ctx context.Context, cfg aws.Config, chosen string, now func() time.Time) (Endpoints, error) {
	api := iot.NewFromConfig(cfg)
	var found Endpoints
	var err error
	if found.Data, err = ask(ctx, api, cfg, dataATS); err != nil {
		return found, fmt.Errorf("iotjobs.FindEndpoints: the endpoint %s of AWS IoT: %w", dataATS, err)
	}
	if chosen != "" {
		found.Jobs = address(cfg, chosen)
		_, found.Doubt = probe(ctx, cfg, api, found.Jobs, now)
		return found, nil
	}
	var refusals []string
	for _, kind := range []string{dataATS, jobsType} {
		url, err := found.Data, error(nil)
		if kind != dataATS {
			url, err = ask(ctx, api, cfg, kind)
		}
		sure := false
		if err == nil {
			sure, err = probe(ctx, cfg, api, url, now)
		}
		switch {
		case err != nil:
			refusals = append(refusals, kind+": "+err.Error())
		case sure:
			found.Jobs = url
			return found, nil
		case found.Jobs == "":
			found.Jobs = url
		}
	}
	if found.Jobs == "" {
		return found, fmt.Errorf(
			"iotjobs.FindEndpoints: no endpoint of this account answers for the AWS IoT jobs data plane "+
				"(deploy with the parameter JobsEndpoint if you know one that does): %s", strings.Join(refusals, "; "))
	}
	return found, nil
}

// ask asks for the endpoint of a type.
func ask(ctx context.Context, api *iot.Client, cfg aws.Config, kind string) (string, error) {
	out, err := api.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: &kind})
	if err != nil {
		return "", err
	}
	host := aws.ToString(out.EndpointAddress)
	if host == "" {
		return "", errors.New("DescribeEndpoint answered without an address")
	}
	return address(cfg, host), nil
}

// address is the URL of a host. Where the SDK is told of an endpoint for all
// services (AWS_ENDPOINT_URL), that one stands for every host.
func address(cfg aws.Config, host string) string {
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint
	}
	return "https://" + host
}

// probe asks an endpoint a harmless question that only the jobs data plane can
// answer; sure is false if another host may have given the same answer.
func probe(ctx context.Context, cfg aws.Config, api *iot.Client, url string, now func() time.Time) (sure bool,
	err error) {
	var out struct {
		InProgress *[]any `json:"inProgressJobs"`
		Queued     *[]any `json:"queuedJobs"`
	}
	e := NewExecutions(cfg, url, api, now)
	err = e.call(ctx, http.MethodGet, path(event.ThingName(event.ProbeThing), ""), nil, nil, &out)
	if answered, ok := errors.AsType[*dataError](err); ok && answered.code == notFoundCode {
		return false, nil
	}
	if err == nil && out.InProgress == nil && out.Queued == nil {
		err = fmt.Errorf("%s answered, and not as the jobs data plane does", e.host())
	}
	return err == nil, err
}
