package lambda

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const base = "/2015-03-31/functions"

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "ServiceException", Status: 500},
		Throttled: awsapi.Word{Code: "TooManyRequestsException", Status: 429},
		ID:        "lambda", Signing: "lambda", Prefix: "lambda", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		ResourcePolicy: s.resourcePolicy,
		Operations: []awsapi.Operation{
			awsapi.Op("CreateFunction", s.createFunction, awsapi.REST("POST", base), awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *createFunctionIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("GetFunction", s.getFunction, awsapi.REST("GET", base+"/{FunctionName}"), s.onFunction()),
			awsapi.Op("GetFunctionConfiguration", s.getFunctionConfiguration,
				awsapi.REST("GET", base+"/{FunctionName}/configuration"), s.onFunction()),
			awsapi.Op("UpdateFunctionCode", s.updateFunctionCode, awsapi.REST("PUT", base+"/{FunctionName}/code"),
				awsapi.On(func(_ *awsapi.Call, in *updateFunctionCodeIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("UpdateFunctionConfiguration", s.updateFunctionConfiguration,
				awsapi.REST("PUT", base+"/{FunctionName}/configuration"),
				awsapi.On(func(_ *awsapi.Call, in *updateFunctionConfigurationIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("DeleteFunction", s.deleteFunction, awsapi.REST("DELETE", base+"/{FunctionName}"),
				awsapi.Status(204), s.onFunction()),
			awsapi.Op("ListFunctions", s.listFunctions, awsapi.REST("GET", base)),
			awsapi.Op("Invoke", s.invoke, awsapi.REST("POST", base+"/{FunctionName}/invocations"),
				awsapi.Action("lambda:InvokeFunction"),
				awsapi.On(func(_ *awsapi.Call, in *invokeIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("AddPermission", s.addPermission, awsapi.REST("POST", base+"/{FunctionName}/policy"),
				awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *addPermissionIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("RemovePermission", s.removePermission,
				awsapi.REST("DELETE", base+"/{FunctionName}/policy/{StatementId}"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *removePermissionIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("GetPolicy", s.getPolicy, awsapi.REST("GET", base+"/{FunctionName}/policy"), s.onFunction()),
			awsapi.Op("PutFunctionConcurrency", s.putConcurrency,
				awsapi.REST("PUT", "/2017-10-31/functions/{FunctionName}/concurrency"),
				awsapi.On(func(_ *awsapi.Call, in *concurrencyIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("GetFunctionConcurrency", s.getConcurrency,
				awsapi.REST("GET", "/2019-09-30/functions/{FunctionName}/concurrency"), onOwn(s)),
			awsapi.Op("DeleteFunctionConcurrency", s.deleteConcurrency,
				awsapi.REST("DELETE", "/2017-10-31/functions/{FunctionName}/concurrency"), awsapi.Status(204),
				onOwn(s)),
			awsapi.Op("PutFunctionEventInvokeConfig", s.putEventInvokeConfig,
				awsapi.REST("PUT", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
				awsapi.On(func(_ *awsapi.Call, in *eventInvokeConfigIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("GetFunctionEventInvokeConfig", s.getEventInvokeConfig,
				awsapi.REST("GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config"), s.onFunction()),
			awsapi.Op("UpdateFunctionEventInvokeConfig", s.updateEventInvokeConfig,
				awsapi.REST("POST", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
				awsapi.On(func(_ *awsapi.Call, in *eventInvokeConfigIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("ListFunctionEventInvokeConfigs", s.listEventInvokeConfigs,
				awsapi.REST("GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config/list"), s.onFunction()),
			awsapi.Op("PublishVersion", s.publishVersion, awsapi.REST("POST", base+"/{FunctionName}/versions"),
				awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *publishVersionIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("ListVersionsByFunction", s.listVersions, awsapi.REST("GET", base+"/{FunctionName}/versions"),
				awsapi.On(func(_ *awsapi.Call, in *listVersionsIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("CreateAlias", s.createAlias, awsapi.REST("POST", base+"/{FunctionName}/aliases"),
				awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *aliasIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("UpdateAlias", s.updateAlias, awsapi.REST("PUT", base+"/{FunctionName}/aliases/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *aliasIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetAlias", s.getAlias, awsapi.REST("GET", base+"/{FunctionName}/aliases/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *aliasRef) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("DeleteAlias", s.deleteAlias, awsapi.REST("DELETE", base+"/{FunctionName}/aliases/{Name}"),
				awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *aliasRef) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("ListAliases", s.listAliases, awsapi.REST("GET", base+"/{FunctionName}/aliases"),
				awsapi.On(func(_ *awsapi.Call, in *listAliasesIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("GetFunctionRecursionConfig", s.getRecursion,
				awsapi.REST("GET", "/2024-08-31/functions/{FunctionName}/recursion-config"),
				awsapi.On(func(_ *awsapi.Call, in *recursionRef) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("PutFunctionRecursionConfig", s.putRecursion,
				awsapi.REST("PUT", "/2024-08-31/functions/{FunctionName}/recursion-config"),
				awsapi.On(func(_ *awsapi.Call, in *recursionIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetAccountSettings", s.getAccountSettings, awsapi.REST("GET", "/2016-08-19/account-settings")),
			awsapi.Op("CreateEventSourceMapping", s.createMapping, awsapi.REST("POST", mappingBase),
				awsapi.Status(202),
				awsapi.Conditions(func(_ *awsapi.Call, in *createMappingIn) map[string][]string {
					return map[string][]string{"lambda:FunctionArn": s.resource(in.FunctionName, "")}
				})),
			awsapi.Op("GetEventSourceMapping", s.getMapping, awsapi.REST("GET", mappingBase+"/{UUID}"),
				onMapping[mappingRef](s)),
			awsapi.Op("ListEventSourceMappings", s.listMappings, awsapi.REST("GET", mappingBase)),
			awsapi.Op("UpdateEventSourceMapping", s.updateMapping, awsapi.REST("PUT", mappingBase+"/{UUID}"),
				awsapi.Status(202), onMapping[updateMappingIn](s)),
			awsapi.Op("DeleteEventSourceMapping", s.deleteMapping, awsapi.REST("DELETE", mappingBase+"/{UUID}"),
				awsapi.Status(202), onMapping[mappingRef](s)),
			awsapi.Op("DeleteFunctionEventInvokeConfig", s.deleteEventInvokeConfig,
				awsapi.REST("DELETE", "/2019-09-25/functions/{FunctionName}/event-invoke-config"), awsapi.Status(204),
				s.onFunction()),
			awsapi.Op("TagResource", s.tagResource, awsapi.REST("POST", "/2017-03-31/tags/{Resource+}"),
				awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
			awsapi.Op("UntagResource", s.untagResource, awsapi.REST("DELETE", "/2017-03-31/tags/{Resource+}"),
				awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
			awsapi.Op("ListTags", s.listTags, awsapi.REST("GET", "/2017-03-31/tags/{Resource+}"),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
		},
		Unbuilt: []string{
			"AddLayerVersionPermission", "CreateCodeSigningConfig", "CreateFunctionUrlConfig",
			"DeleteCodeSigningConfig", "DeleteFunctionCodeSigningConfig", "DeleteFunctionUrlConfig",
			"DeleteLayerVersion", "DeleteProvisionedConcurrencyConfig", "GetCodeSigningConfig",
			"GetFunctionCodeSigningConfig", "GetFunctionUrlConfig", "GetLayerVersion",
			"GetLayerVersionByArn", "GetLayerVersionPolicy", "GetProvisionedConcurrencyConfig",
			"GetRuntimeManagementConfig", "InvokeAsync",
			"InvokeWithResponseStream", "ListCodeSigningConfigs",
			"ListFunctionUrlConfigs", "ListFunctionsByCodeSigningConfig", "ListLayerVersions", "ListLayers",
			"ListProvisionedConcurrencyConfigs",
			"PublishLayerVersion", "PutFunctionCodeSigningConfig",
			"PutProvisionedConcurrencyConfig", "PutRuntimeManagementConfig", "RemoveLayerVersionPermission",
			"UpdateCodeSigningConfig", "UpdateFunctionUrlConfig",
		},
	}
}

type functionRef struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	Qualifier    string `json:"Qualifier,omitempty" query:"Qualifier" api:"min=1,max=128,pattern=lambda qualifier"`
}

func (s *Service) onFunction() awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *functionRef) []string {
		return s.resource(in.FunctionName, in.Qualifier)
	})
}

// ownRef is a function for what no version of it has.
type ownRef struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
}

func onOwn(s *Service) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *ownRef) []string { return s.resource(in.FunctionName, "") })
}

// resource is the ARN that a call is about: with the qualifier, if one is given.
func (s *Service) resource(ref, qualifier string) []string {
	n, q := s.name(ref)
	if qualifier != "" {
		q = qualifier
	}
	if q != "" {
		return []string{s.arn(n) + ":" + q}
	}
	return []string{s.arn(n)}
}

func (s *Service) resourcePolicy(arn string) (doc string, err error) {
	n, q := s.name(arn)
	key := Function{Name: n, Qualifier: q}.policyKey()
	err = s.Store.View(func(tx *store.Tx) error {
		p, _, err := policies.Shared(tx, key...)
		doc = s.policyText(strings.Join(key, ":"), p)
		return err
	})
	return doc, err
}

type nothing struct{}

// Values that members take, for their tags.
var (
	_ = constraint.Set("application log levels", "DEBUG ERROR FATAL INFO TRACE WARN")
	_ = constraint.Set("architectures", "arm64 x86_64")
	_ = constraint.Set("response types", "ReportBatchItemFailures")
)
