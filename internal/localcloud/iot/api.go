package iot

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

type endpointIn struct {
	EndpointType string `json:"endpointType,omitempty" query:"endpointType" api:"max=128"`
}

type endpointOut struct {
	EndpointAddress string `json:"endpointAddress"`
}

func (s *Service) describeEndpoint(_ context.Context, _ *awsapi.Call, in *endpointIn) (*endpointOut, error) {
	address := ""
	switch in.EndpointType {
	case "", "iot:Data", "iot:Data-ATS":
		address = s.config.Endpoints.Data
	case "iot:Jobs":
		// In AWS's words, as seen in a real account on 2026-08-10 (http4k-connect, FakeIot).
		if address = s.config.Endpoints.Jobs; address == "" {
			return nil, invalid("IoT Jobs and Commands APIs are now available through iot:Data-ATS endpoints " +
				"instead of iot:Jobs endpoints. " +
				"Please use iot:Data-ATS.")
		}
	case "iot:CredentialProvider", "iot:Data-Beta":
	default:
		return nil, invalid("Endpoint type %s is not valid.", in.EndpointType)
	}
	if address == "" {
		return nil, awsapi.NotBuilt("the endpoint " + in.EndpointType)
	}
	return &endpointOut{address}, nil
}

// on gives the ARN of the one resource that an operation touches.
func on[In any](kind string, name func(in *In) string) awsapi.Option {
	return awsapi.On(func(c *awsapi.Call, in *In) []string { return []string{c.ARN("iot", kind+"/"+name(in))} })
}

// API describes the service to the door, with the operations of jobs and of
// topic rules.
func (s *Service) API() awsapi.Service {
	service := awsapi.Service{
		Fault: awsapi.Word{Code: "InternalFailureException", Status: 500}, Invalid: "InvalidRequestException",
		ID: "iot", Signing: "iot", Prefix: "iot", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		Operations: s.operations(),
	}
	service.Operations = append(service.Operations, s.jobs.Operations()...)
	if s.config.Rules != nil {
		service.Operations = append(service.Operations, s.config.Rules.Operations()...)
	}
	built := map[string]bool{}
	for _, o := range service.Operations {
		built[o.Name] = true
	}
	for _, name := range operationNames {
		if !built[name] {
			service.Unbuilt = append(service.Unbuilt, name)
		}
	}
	return service
}

func (s *Service) operations() []awsapi.Operation {
	rest := awsapi.REST
	thing := on("thing", func(in *thingIn) string { return in.ThingName })
	thingType := on("thingtype", func(in *thingTypeIn) string { return in.ThingTypeName })
	groupOf := on("thinggroup", func(in *groupIn) string { return in.ThingGroupName })
	membership := awsapi.On(func(c *awsapi.Call, in *membershipIn) []string {
		if s.named(in) != nil {
			return []string{"*"} // the operation refuses it by name
		}
		return []string{c.ARN("iot", "thing/"+in.ThingName), c.ARN("iot", "thinggroup/"+in.ThingGroupName)}
	})
	certificateOf := on("cert", func(in *certificateIn) string { return in.CertificateID })
	policyOf := on("policy", func(in *policyNameIn) string { return in.PolicyName })
	versionOf := on("policy", func(in *policyVersionIn) string { return in.PolicyName })
	target := awsapi.On(func(_ *awsapi.Call, in *attachIn) []string { return []string{in.Target} })
	return []awsapi.Operation{
		awsapi.Op("CreateThing", s.createThing, rest("POST", "/things/{thingName}"),
			on("thing", func(in *createThingIn) string {
				return in.ThingName
			})),
		awsapi.Op("UpdateThing", s.updateThing, rest("PATCH", "/things/{thingName}"),
			on("thing", func(in *updateThingIn) string {
				return in.ThingName
			})),
		awsapi.Op("DeleteThing", s.deleteThing, rest("DELETE", "/things/{thingName}"), thing),
		awsapi.Op("DescribeThing", s.describeThing, rest("GET", "/things/{thingName}"), thing),
		awsapi.Op("ListThings", s.listThings, rest("GET", "/things")),
		awsapi.Op("GetThingConnectivityData", s.thingConnectivity,
			rest("POST", "/things/{thingName}/connectivity-data"), thing),

		awsapi.Op("CreateThingType", s.createThingType, rest("POST", "/thing-types/{thingTypeName}"), thingType),
		awsapi.Op("DescribeThingType", s.describeThingType, rest("GET", "/thing-types/{thingTypeName}"), thingType),
		awsapi.Op("UpdateThingType", s.updateThingType, rest("PATCH", "/thing-types/{thingTypeName}"), thingType),
		awsapi.Op("DeprecateThingType", s.deprecateThingType, rest("POST", "/thing-types/{thingTypeName}/deprecate"),
			thingType),
		awsapi.Op("DeleteThingType", s.deleteThingType, rest("DELETE", "/thing-types/{thingTypeName}"), thingType),
		awsapi.Op("ListThingTypes", s.listThingTypes, rest("GET", "/thing-types")),

		awsapi.Op("CreateThingGroup", s.createGroup, rest("POST", "/thing-groups/{thingGroupName}"),
			on("thinggroup", func(in *createGroupIn) string {
				return in.ThingGroupName
			})),
		awsapi.Op("DescribeThingGroup", s.describeGroup, rest("GET", "/thing-groups/{thingGroupName}"), groupOf),
		awsapi.Op("UpdateThingGroup", s.updateGroup, rest("PATCH", "/thing-groups/{thingGroupName}"),
			on("thinggroup", func(in *updateGroupIn) string {
				return in.ThingGroupName
			})),
		awsapi.Op("DeleteThingGroup", s.deleteGroup, rest("DELETE", "/thing-groups/{thingGroupName}"), groupOf),
		awsapi.Op("ListThingGroups", s.listGroups, rest("GET", "/thing-groups")),
		awsapi.Op("AddThingToThingGroup", s.addToGroup, rest("PUT", "/thing-groups/addThingToThingGroup"), membership),
		awsapi.Op("RemoveThingFromThingGroup", s.removeFromGroup,
			rest("PUT", "/thing-groups/removeThingFromThingGroup"), membership),
		awsapi.Op("UpdateThingGroupsForThing", s.updateGroupsForThing,
			rest("PUT", "/thing-groups/updateThingGroupsForThing"),
			awsapi.On(func(c *awsapi.Call, in *updateGroupsIn) []string {
				arns := []string{c.ARN("iot", "thing/"+in.ThingName)}
				for _, list := range [][]string{in.ThingGroupsToAdd, in.ThingGroupsToRemove} {
					for _, g := range list {
						arns = append(arns, c.ARN("iot", "thinggroup/"+g))
					}
				}
				return arns
			})),
		awsapi.Op("ListThingsInThingGroup", s.listMembers, rest("GET", "/thing-groups/{thingGroupName}/things"),
			on("thinggroup", func(in *listMembersIn) string {
				return in.ThingGroupName
			})),
		awsapi.Op("ListThingGroupsForThing", s.listGroupsForThing, rest("GET", "/things/{thingName}/thing-groups"),
			on("thing", func(in *groupsForThingIn) string {
				return in.ThingName
			})),
		awsapi.Op("CreateDynamicThingGroup", s.createDynamicGroup,
			rest("POST", "/dynamic-thing-groups/{thingGroupName}"),
			on("thinggroup", func(in *createDynamicGroupIn) string {
				return in.ThingGroupName
			})),
		awsapi.Op("UpdateDynamicThingGroup", s.updateDynamicGroup,
			rest("PATCH", "/dynamic-thing-groups/{thingGroupName}"), on("thinggroup", func(in *updateGroupIn) string {
				return in.ThingGroupName
			})),
		awsapi.Op("DeleteDynamicThingGroup", s.deleteDynamicGroup,
			rest("DELETE", "/dynamic-thing-groups/{thingGroupName}"), groupOf),

		awsapi.Op("SearchIndex", s.search, rest("POST", "/indices/search"), on("index", func(in *searchIn) string {
			if in.IndexName == "" {
				return thingsIndex
			}
			return in.IndexName
		})),
		awsapi.Op("DescribeIndex", s.describeIndex, rest("GET", "/indices/{indexName}"),
			on("index", func(in *indexIn) string {
				return in.IndexName
			})),
		awsapi.Op("ListIndices", s.listIndices, rest("GET", "/indices")),
		awsapi.Op("UpdateIndexingConfiguration", s.updateIndexing, rest("POST", "/indexing/config")),
		awsapi.Op("GetIndexingConfiguration", s.getIndexing, rest("GET", "/indexing/config")),

		awsapi.Op("CreateKeysAndCertificate", s.createKeys, rest("POST", "/keys-and-certificate")),
		awsapi.Op("CreateCertificateFromCsr", s.createFromCSR, rest("POST", "/certificates")),
		awsapi.Op("RegisterCertificateWithoutCA", s.registerWithoutCA, rest("POST", "/certificate/register-no-ca")),
		awsapi.Op("DescribeCertificate", s.describeCertificate, rest("GET", "/certificates/{certificateId}"),
			certificateOf),
		awsapi.Op("ListCertificates", s.listCertificates, rest("GET", "/certificates")),
		awsapi.Op("ListCACertificates", s.listAuthorities, rest("GET", "/cacertificates")),
		awsapi.Op("UpdateCertificate", s.updateCertificate, rest("PUT", "/certificates/{certificateId}"),
			certificateOf),
		awsapi.Op("DeleteCertificate", s.deleteCertificate, rest("DELETE", "/certificates/{certificateId}"),
			certificateOf),
		awsapi.Op("AttachThingPrincipal", s.attachThingPrincipal, rest("PUT", "/things/{thingName}/principals"),
			awsapi.On(func(_ *awsapi.Call, in *principalIn) []string { return []string{in.Principal} })),
		awsapi.Op("DetachThingPrincipal", s.detachThingPrincipal, rest("DELETE", "/things/{thingName}/principals"),
			awsapi.On(func(_ *awsapi.Call, in *principalIn) []string { return []string{in.Principal} })),
		awsapi.Op("ListThingPrincipals", s.listThingPrincipals, rest("GET", "/things/{thingName}/principals"),
			on("thing", func(in *listThingPrincipalsIn) string {
				return in.ThingName
			})),
		awsapi.Op("ListThingPrincipalsV2", s.listThingPrincipalsV2, rest("GET", "/things/{thingName}/principals-v2"),
			on("thing", func(in *listThingPrincipalsIn) string {
				return in.ThingName
			})),
		awsapi.Op("ListPrincipalThings", s.listPrincipalThings, rest("GET", "/principals/things")),
		awsapi.Op("ListPrincipalThingsV2", s.listPrincipalThingsV2, rest("GET", "/principals/things-v2")),

		awsapi.Op("CreatePolicy", s.createPolicy, rest("POST", "/policies/{policyName}"),
			on("policy", func(in *createPolicyIn) string {
				return in.PolicyName
			})),
		awsapi.Op("CreatePolicyVersion", s.createPolicyVersion, rest("POST", "/policies/{policyName}/version"),
			on("policy", func(in *createPolicyVersionIn) string {
				return in.PolicyName
			})),
		awsapi.Op("DeletePolicy", s.deletePolicy, rest("DELETE", "/policies/{policyName}"), policyOf),
		awsapi.Op("DeletePolicyVersion", s.deletePolicyVersion,
			rest("DELETE", "/policies/{policyName}/version/{policyVersionId}"), versionOf),
		awsapi.Op("SetDefaultPolicyVersion", s.setDefaultVersion,
			rest("PATCH", "/policies/{policyName}/version/{policyVersionId}"), versionOf),
		awsapi.Op("GetPolicy", s.getPolicy, rest("GET", "/policies/{policyName}"), policyOf),
		awsapi.Op("GetPolicyVersion", s.getPolicyVersion,
			rest("GET", "/policies/{policyName}/version/{policyVersionId}"), versionOf),
		awsapi.Op("ListPolicyVersions", s.listPolicyVersions, rest("GET", "/policies/{policyName}/version"), policyOf),
		awsapi.Op("ListPolicies", s.listPolicies, rest("GET", "/policies")),
		awsapi.Op("AttachPolicy", s.attachPolicy, rest("PUT", "/target-policies/{policyName}"), target),
		awsapi.Op("DetachPolicy", s.detachPolicy, rest("POST", "/target-policies/{policyName}"), target),
		awsapi.Op("AttachPrincipalPolicy", s.attachPrincipalPolicy, rest("PUT", "/principal-policies/{policyName}"),
			awsapi.On(func(_ *awsapi.Call, in *principalPolicyIn) []string { return []string{in.Principal} })),
		awsapi.Op("DetachPrincipalPolicy", s.detachPrincipalPolicy, rest("DELETE", "/principal-policies/{policyName}"),
			awsapi.On(func(_ *awsapi.Call, in *principalPolicyIn) []string { return []string{in.Principal} })),
		awsapi.Op("ListAttachedPolicies", s.listAttached, rest("POST", "/attached-policies/{target}"),
			awsapi.On(func(_ *awsapi.Call, in *attachedIn) []string { return []string{in.Target} })),
		awsapi.Op("ListTargetsForPolicy", s.listTargets, rest("POST", "/policy-targets/{policyName}"),
			on("policy", func(in *targetsIn) string {
				return in.PolicyName
			})),
		awsapi.Op("ListPrincipalPolicies", s.listPrincipalPolicies, rest("GET", "/principal-policies"),
			awsapi.On(func(_ *awsapi.Call, in *principalPoliciesIn) []string { return []string{in.Principal} })),

		awsapi.Op("DescribeEndpoint", s.describeEndpoint, rest("GET", "/endpoint")),
		awsapi.Op("DescribeEventConfigurations", s.describeEvents, rest("GET", "/event-configurations")),
		awsapi.Op("UpdateEventConfigurations", s.updateEvents, rest("PATCH", "/event-configurations")),
		awsapi.Op("TagResource", s.tagResource, rest("POST", "/tags"),
			awsapi.On(func(_ *awsapi.Call, in *tagIn) []string {
				return []string{in.ResourceARN}
			})),
		awsapi.Op("UntagResource", s.untagResource, rest("POST", "/untag"),
			awsapi.On(func(_ *awsapi.Call, in *tagIn) []string {
				return []string{in.ResourceARN}
			})),
		awsapi.Op("ListTagsForResource", s.listTags, rest("GET", "/tags"),
			awsapi.On(func(_ *awsapi.Call, in *tagsIn) []string {
				return []string{in.ResourceARN}
			})),
	}
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("on or off", "OFF ON")
	_ = constraint.Set("certificate states",
		"ACTIVE INACTIVE PENDING_ACTIVATION PENDING_TRANSFER REGISTER_INACTIVE REVOKED")
)
