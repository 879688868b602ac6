package asl

import (
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/apimodel"
)

// What an optimized integration can do beside answering the request.
const (
	answers = 0
	waits   = 1 << iota // .waitForTaskToken
	syncs               // .sync
	syncs2              // .sync:2
)

// optimized are the optimized integrations that Step Functions has, whether the
// local cloud can call them or not.
//
// Source: Step Functions Developer Guide, "Integrating optimized services".
var optimized = map[string]map[string]int{
	"apigateway": {"invoke": waits},
	"athena": {"startQueryExecution": syncs, "stopQueryExecution": answers, "getQueryExecution": answers,
		"getQueryResults": answers},
	"batch":   {"submitJob": syncs},
	"bedrock": {"invokeModel": answers, "createModelCustomizationJob": syncs},
	"codebuild": {"startBuild": syncs, "stopBuild": answers, "batchDeleteBuilds": answers, "batchGetReports": answers,
		"startBuildBatch": syncs,
		"stopBuildBatch":  answers, "retryBuildBatch": syncs, "deleteBuildBatch": answers},
	"databrew": {"startJobRun": syncs},
	"dynamodb": {"getItem": answers, "putItem": answers, "updateItem": answers, "deleteItem": answers},
	"ecs":      {"runTask": waits | syncs},
	"eks": {"createCluster": syncs, "deleteCluster": syncs, "createNodegroup": syncs, "deleteNodegroup": syncs,
		"createFargateProfile": syncs,
		"deleteFargateProfile": syncs, "call": answers, "runJob": syncs},
	"elasticmapreduce": {"createCluster": syncs, "setClusterTerminationProtection": answers, "terminateCluster": syncs,
		"addStep": syncs, "cancelStep": answers,
		"modifyInstanceFleetByName": answers, "modifyInstanceGroupByName": answers},
	"emr-containers": {"createVirtualCluster": answers, "deleteVirtualCluster": syncs, "startJobRun": syncs},
	"emr-serverless": {"createApplication": syncs, "startApplication": syncs, "stopApplication": syncs,
		"deleteApplication": syncs, "startJobRun": syncs,
		"cancelJobRun": syncs},
	"events":       {"putEvents": waits},
	"glue":         {"startJobRun": syncs},
	"http":         {"invoke": answers},
	"lambda":       {"invoke": waits},
	"mediaconvert": {"createJob": syncs},
	"s3":           {"getObject": answers, "listObjectsV2": answers, "putObject": answers}, // of Map states
	"sagemaker": {"createEndpoint": answers, "createEndpointConfig": answers, "createHyperParameterTuningJob": syncs,
		"createLabelingJob": syncs,
		"createModel":       answers, "createProcessingJob": syncs, "createTrainingJob": syncs,
		"createTransformJob": syncs, "updateEndpoint": answers},
	"sns":    {"publish": waits},
	"sqs":    {"sendMessage": waits},
	"states": {"startExecution": waits | syncs | syncs2},
}

// exists reports whether Step Functions has the integration.
func (r Resource) exists() bool {
	if service, ok := strings.CutPrefix(r.Service, "aws-sdk:"); ok {
		return (r.Pattern == Request || r.Pattern == Callback) && apimodel.Action(service, r.Action)
	}
	can, ok := optimized[r.Service][r.Action]
	if !ok {
		return false
	}
	return r.Pattern == Request || r.Pattern == Callback && can&waits != 0 || r.Pattern == Sync && can&syncs != 0 ||
		r.Pattern == Sync2 && can&syncs2 != 0
}

// ownParameters are what a call must have where it is none of an API's model.
//
// Source: Step Functions Developer Guide, "Create API Gateway REST APIs with Step Functions", "Call HTTPS APIs in Step
// Functions workflows", "Create and manage Amazon EKS clusters with Step Functions" (read 2026-11).
var ownParameters = map[string][]string{
	"apigateway:invoke": {"ApiEndpoint", "Method"},
	"http:invoke":       {"ApiEndpoint", "Method"},
	"eks:call":          {"ClusterName", "CertificateAuthority", "Endpoint", "Method", "Path"},
	"eks:runJob":        {"ClusterName", "CertificateAuthority", "Endpoint", "Job"},
}

// modelled are the optimized integrations whose service has another name in the
// API's model.
var modelled = map[string]string{"states": "sfn", "events": "eventbridge"}

// required are the members that a call must have.
func (r Resource) required() []string {
	if service, ok := strings.CutPrefix(r.Service, "aws-sdk:"); ok {
		return apimodel.Required(service, r.Action)
	}
	if _, ok := optimized[r.Service][r.Action]; !ok {
		return nil
	}
	if own, ok := ownParameters[r.Service+":"+r.Action]; ok {
		return own
	}
	service := r.Service
	if name, ok := modelled[service]; ok {
		service = name
	}
	return apimodel.Required(service, r.Action)
}

// unknown is the first of a call's parameters that the API does not have, "" if there is none. Members of members are
// looked at in SDK integrations alone; optimized ones have forms of their own in there.
func (r Resource) unknown(parameters any, jsonata bool) string {
	if service, ok := strings.CutPrefix(r.Service, "aws-sdk:"); ok {
		return apimodel.Unknown(service, r.Action, parameters, apimodel.SDK(service), !jsonata, true)
	}
	if _, own := ownParameters[r.Service+":"+r.Action]; own || r.Kind != Integration {
		return ""
	}
	service := r.Service
	if name, ok := modelled[service]; ok {
		service = name
	}
	return apimodel.Unknown(service, r.Action, parameters, apimodel.Optimized, !jsonata, false)
}

// itemResource reports whether a Map state's field can have the resource.
func (r Resource) itemResource(actions ...string) bool {
	return r.Service == "s3" && r.Pattern == Request && slices.Contains(actions, r.Action)
}
