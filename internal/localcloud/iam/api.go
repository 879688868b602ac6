package iam

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// API returns the operations of IAM.
func (s *Service) API() awsapi.Service {
	role := func(name string) string { return s.entityARN(roles, name) }
	user := func(name string) string { return s.entityARN(users, name) }
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "ServiceFailure", Status: 500},
		Throttled: awsapi.Word{Code: "Throttling", Status: 400},
		ID:        "iam", Signing: "iam", Prefix: "iam", Protocols: []awsapi.Protocol{awsapi.Query},
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/", Version: "2010-05-08", DeniedCode: "AccessDenied",
		Invalid: "ValidationError", Discreet: true,
		Unbuilt: strings.Fields(unbuilt),
		Operations: []awsapi.Operation{
			awsapi.Op("CreateRole", s.createRole, awsapi.On(func(c *awsapi.Call, in *createRoleIn) []string {
				return []string{s.arn("role", pathOr(in.Path), in.RoleName)}
			})),
			awsapi.Op("GetRole", s.getRole, onRole[roleIn](role)),
			awsapi.Op("UpdateRole", s.updateRole, onRole[updateRoleIn](role), awsapi.EmptyResult()),
			awsapi.Op("DeleteRole", s.deleteRole, onRole[roleIn](role)),
			awsapi.Op("ListRoles", s.listRoles),
			awsapi.Op("UpdateAssumeRolePolicy", s.updateAssumeRolePolicy, onRole[trustIn](role)),
			awsapi.Op("TagRole", s.tagRole, onRole[tagRoleIn](role)),
			awsapi.Op("UntagRole", s.untagRole, onRole[untagRoleIn](role)),
			awsapi.Op("ListRoleTags", s.listRoleTags, onRole[roleIn](role)),
			awsapi.Op("PutRolePermissionsBoundary", s.putRoleBoundary, onRole[boundaryIn](role)),
			awsapi.Op("DeleteRolePermissionsBoundary", s.deleteRoleBoundary, onRole[boundaryIn](role)),
			awsapi.Op("ListInstanceProfilesForRole", s.listInstanceProfilesForRole, onRole[roleIn](role)),

			awsapi.Op("PutRolePolicy", s.putRolePolicy, onRole[rolePolicyIn](role)),
			awsapi.Op("GetRolePolicy", s.getRolePolicy, onRole[rolePolicyIn](role)),
			awsapi.Op("DeleteRolePolicy", s.deleteRolePolicy, onRole[rolePolicyIn](role)),
			awsapi.Op("ListRolePolicies", s.listRolePolicies, onRole[listOfRoleIn](role)),
			awsapi.Op("AttachRolePolicy", s.attachRolePolicy, onRole[attachRoleIn](role)),
			awsapi.Op("DetachRolePolicy", s.detachRolePolicy, onRole[attachRoleIn](role)),
			awsapi.Op("ListAttachedRolePolicies", s.listAttachedRolePolicies, onRole[listOfRoleIn](role)),

			awsapi.Op("CreateUser", s.createUser, awsapi.On(func(c *awsapi.Call, in *createUserIn) []string {
				return []string{s.arn("user", pathOr(in.Path), in.UserName)}
			})),
			awsapi.Op("GetUser", s.getUser, onUser[userIn](user)),
			awsapi.Op("DeleteUser", s.deleteUser, onUser[userIn](user)),
			awsapi.Op("ListUsers", s.listUsers),
			awsapi.Op("PutUserPolicy", s.putUserPolicy, onUser[userPolicyIn](user)),
			awsapi.Op("GetUserPolicy", s.getUserPolicy, onUser[userPolicyIn](user)),
			awsapi.Op("DeleteUserPolicy", s.deleteUserPolicy, onUser[userPolicyIn](user)),
			awsapi.Op("ListUserPolicies", s.listUserPolicies, onUser[listOfUserIn](user)),
			awsapi.Op("AttachUserPolicy", s.attachUserPolicy, onUser[attachUserIn](user)),
			awsapi.Op("DetachUserPolicy", s.detachUserPolicy, onUser[attachUserIn](user)),
			awsapi.Op("ListAttachedUserPolicies", s.listAttachedUserPolicies, onUser[listAttachedIn](user)),
			awsapi.Op("CreateAccessKey", s.createAccessKey, onUser[userIn](user)),
			awsapi.Op("UpdateAccessKey", s.updateAccessKey, onUser[accessKeyIn](user)),
			awsapi.Op("DeleteAccessKey", s.deleteAccessKey, onUser[accessKeyIn](user)),
			awsapi.Op("ListAccessKeys", s.listAccessKeys, onUser[listOfUserIn](user)),

			awsapi.Op("CreatePolicy", s.createPolicy, awsapi.On(func(c *awsapi.Call, in *createPolicyIn) []string {
				return []string{s.arn("policy", pathOr(in.Path), in.PolicyName)}
			})),
			awsapi.Op("GetPolicy", s.getPolicy, onPolicy[policyIn]()),
			awsapi.Op("DeletePolicy", s.deletePolicy, onPolicy[policyIn]()),
			awsapi.Op("ListPolicies", s.listPolicies),
			awsapi.Op("CreatePolicyVersion", s.createPolicyVersion, onPolicy[createPolicyVersionIn]()),
			awsapi.Op("GetPolicyVersion", s.getPolicyVersion, onPolicy[policyVersionIn]()),
			awsapi.Op("DeletePolicyVersion", s.deletePolicyVersion, onPolicy[policyVersionIn]()),
			awsapi.Op("SetDefaultPolicyVersion", s.setDefaultPolicyVersion, onPolicy[policyVersionIn]()),
			awsapi.Op("ListPolicyVersions", s.listPolicyVersions, onPolicy[policyIn]()),
			awsapi.Op("ListEntitiesForPolicy", s.listEntitiesForPolicy, onPolicy[entitiesIn]()),
		},
	}
}

// The names by which operations find the resource they touch.
type (
	roleNamed   interface{ roleName() string }
	userNamed   interface{ userName() string }
	policyNamed interface{ policyARN() string }
)

func onRole[In any](arn func(string) string) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string { return []string{arn(any(in).(roleNamed).roleName())} })
}

func onUser[In any](arn func(string) string) awsapi.Option {
	return awsapi.On(func(c *awsapi.Call, in *In) []string {
		name := any(in).(userNamed).userName()
		if name == "" {
			name = nameOf(c.Identity.UserARN)
		}
		return []string{arn(name)}
	})
}

func onPolicy[In any]() awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string { return []string{any(in).(policyNamed).policyARN()} })
}

// Wire shapes.
type (
	none struct{}

	tag struct {
		Key   string `json:"Key" api:"min=1,max=128,pattern=iam tag key"`
		Value string `json:"Value" api:"max=256,pattern=iam tag value"`
	}
	paging struct {
		Marker     string `json:"Marker" api:"min=1,max=320"`
		MaxItems   *int   `json:"MaxItems" api:"min=1,max=1000"`
		PathPrefix string `json:"PathPrefix" api:"min=1,max=512,pattern=path prefix"`
	}
	page struct {
		IsTruncated bool   `json:"IsTruncated"`
		Marker      string `json:"Marker,omitempty"`
	}

	roleShape struct {
		Path                     string         `json:"Path"`
		RoleName                 string         `json:"RoleName"`
		RoleID                   string         `json:"RoleId"`
		Arn                      string         `json:"Arn"`
		CreateDate               awsapi.Time    `json:"CreateDate"`
		AssumeRolePolicyDocument string         `json:"AssumeRolePolicyDocument,omitempty"`
		Description              string         `json:"Description,omitempty"`
		MaxSessionDuration       int            `json:"MaxSessionDuration,omitempty"`
		PermissionsBoundary      *boundaryShape `json:"PermissionsBoundary,omitempty"`
		Tags                     []tag          `json:"Tags,omitempty"`
	}
	boundaryShape struct {
		Type string `json:"PermissionsBoundaryType"`
		Arn  string `json:"PermissionsBoundaryArn"`
	}
	userShape struct {
		Path                string         `json:"Path"`
		UserName            string         `json:"UserName"`
		UserID              string         `json:"UserId"`
		Arn                 string         `json:"Arn"`
		CreateDate          awsapi.Time    `json:"CreateDate"`
		PermissionsBoundary *boundaryShape `json:"PermissionsBoundary,omitempty"`
		Tags                []tag          `json:"Tags,omitempty"`
	}
	policyShape struct {
		PolicyName                    string      `json:"PolicyName"`
		PolicyID                      string      `json:"PolicyId"`
		Arn                           string      `json:"Arn"`
		Path                          string      `json:"Path"`
		DefaultVersionID              string      `json:"DefaultVersionId"`
		AttachmentCount               int         `json:"AttachmentCount"`
		PermissionsBoundaryUsageCount int         `json:"PermissionsBoundaryUsageCount"`
		IsAttachable                  bool        `json:"IsAttachable"`
		Description                   string      `json:"Description,omitempty"`
		CreateDate                    awsapi.Time `json:"CreateDate"`
		UpdateDate                    awsapi.Time `json:"UpdateDate"`
		Tags                          []tag       `json:"Tags,omitempty"`
	}
	policyVersionShape struct {
		Document         string      `json:"Document,omitempty"`
		VersionID        string      `json:"VersionId"`
		IsDefaultVersion bool        `json:"IsDefaultVersion"`
		CreateDate       awsapi.Time `json:"CreateDate"`
	}
	attachedPolicy struct {
		PolicyName string `json:"PolicyName"`
		PolicyArn  string `json:"PolicyArn"`
	}

	createRoleIn struct {
		Path                     string `json:"Path" api:"min=1,max=512,pattern=path"`
		RoleName                 string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		AssumeRolePolicyDocument string `json:"AssumeRolePolicyDocument" api:"min=1,max=131072,pattern=latin text"`
		Description              string `json:"Description" api:"max=1000,pattern=iam description"`
		MaxSessionDuration       int    `json:"MaxSessionDuration" api:"min=3600,max=43200"`
		PermissionsBoundary      string `json:"PermissionsBoundary" api:"min=20,max=2048"`
		Tags                     []tag  `json:"Tags" api:"max=50"`
	}
	roleOut struct {
		Role roleShape `json:"Role"`
	}
	roleIn struct {
		RoleName string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
	}
	updateRoleIn struct {
		RoleName           string  `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		Description        *string `json:"Description" api:"max=1000,pattern=iam description"`
		MaxSessionDuration int     `json:"MaxSessionDuration" api:"min=3600,max=43200"`
	}
	listIn struct {
		paging
	}
	listRolesOut struct {
		Roles []roleShape `json:"Roles"`
		page
	}
	trustIn struct {
		RoleName       string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
	}
	tagRoleIn struct {
		RoleName string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		Tags     []tag  `json:"Tags" api:"max=50"`
	}
	untagRoleIn struct {
		RoleName string   `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		TagKeys  []string `json:"TagKeys" api:"max=50,each.min=1,each.max=128,each.pattern=iam tag key"`
	}
	tagsOut struct {
		Tags []tag `json:"Tags"`
		page
	}
	boundaryIn struct {
		RoleName            string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PermissionsBoundary string `json:"PermissionsBoundary" api:"min=20,max=2048"`
	}
	instanceProfilesOut struct {
		InstanceProfiles []none `json:"InstanceProfiles"`
		page
	}
	rolePolicyIn struct {
		RoleName       string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PolicyName     string `json:"PolicyName" api:"min=1,max=128,pattern=entity name"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
	}
	rolePolicyOut struct {
		RoleName       string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PolicyName     string `json:"PolicyName" api:"min=1,max=128,pattern=entity name"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
	}
	listOfRoleIn struct {
		RoleName   string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PathPrefix string `json:"PathPrefix" api:"min=1,max=512,pattern=policy path prefix"`
		paging
	}
	policyNamesOut struct {
		PolicyNames []string `json:"PolicyNames"`
		page
	}
	attachRoleIn struct {
		RoleName  string `json:"RoleName" api:"min=1,max=64,pattern=entity name"`
		PolicyArn string `json:"PolicyArn" api:"min=20,max=2048"`
	}
	attachedOut struct {
		AttachedPolicies []attachedPolicy `json:"AttachedPolicies"`
		page
	}

	createUserIn struct {
		Path                string `json:"Path" api:"min=1,max=512,pattern=path"`
		UserName            string `json:"UserName" api:"min=1,max=64,pattern=entity name"`
		PermissionsBoundary string `json:"PermissionsBoundary" api:"min=20,max=2048"`
		Tags                []tag  `json:"Tags" api:"max=50"`
	}
	userIn struct {
		UserName string `json:"UserName" api:"min=1,max=128,pattern=entity name"`
	}
	userOut struct {
		User userShape `json:"User"`
	}
	listUsersOut struct {
		Users []userShape `json:"Users"`
		page
	}
	userPolicyIn struct {
		UserName       string `json:"UserName" api:"min=1,max=128,pattern=entity name"`
		PolicyName     string `json:"PolicyName" api:"min=1,max=128,pattern=entity name"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
	}
	userPolicyOut struct {
		UserName       string `json:"UserName" api:"min=1,max=128,pattern=entity name"`
		PolicyName     string `json:"PolicyName" api:"min=1,max=128,pattern=entity name"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
	}
	listOfUserIn struct {
		UserName string `json:"UserName" api:"min=1,max=128,pattern=entity name"`
		paging
	}
	listAttachedIn struct {
		UserName   string `json:"UserName" api:"min=1,max=64,pattern=entity name"`
		PathPrefix string `json:"PathPrefix" api:"min=1,max=512,pattern=policy path prefix"`
		paging
	}
	attachUserIn struct {
		UserName  string `json:"UserName" api:"min=1,max=64,pattern=entity name"`
		PolicyArn string `json:"PolicyArn" api:"min=20,max=2048"`
	}
	accessKeyIn struct {
		UserName    string `json:"UserName" api:"min=1,max=128,pattern=entity name"`
		AccessKeyID string `json:"AccessKeyId" api:"min=16,max=128,pattern=word"`
		Status      string `json:"Status" api:"values=Active|Expired|Inactive"`
	}
	accessKeyShape struct {
		UserName        string      `json:"UserName"`
		AccessKeyID     string      `json:"AccessKeyId"`
		Status          string      `json:"Status"`
		SecretAccessKey string      `json:"SecretAccessKey,omitempty"`
		CreateDate      awsapi.Time `json:"CreateDate"`
	}
	accessKeyOut struct {
		AccessKey accessKeyShape `json:"AccessKey"`
	}
	accessKeysOut struct {
		AccessKeyMetadata []accessKeyShape `json:"AccessKeyMetadata"`
		page
	}

	createPolicyIn struct {
		PolicyName     string `json:"PolicyName" api:"min=1,max=128,pattern=entity name"`
		Path           string `json:"Path" api:"min=1,max=512,pattern=policy path"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
		Description    string `json:"Description" api:"max=1000"`
		Tags           []tag  `json:"Tags" api:"max=50"`
	}
	policyOut struct {
		Policy policyShape `json:"Policy"`
	}
	entitiesIn struct {
		PathPrefix string `json:"PathPrefix" api:"min=1,max=512,pattern=entity path prefix"`
		policyIn
		EntityFilter      string `json:"EntityFilter" api:"values=User|Role|Group|LocalManagedPolicy|AWSManagedPolicy"`
		PolicyUsageFilter string `json:"PolicyUsageFilter" api:"values=PermissionsPolicy|PermissionsBoundary"`
	}
	policyIn struct {
		PolicyArn string `json:"PolicyArn" api:"min=20,max=2048"`
		paging
	}
	listPoliciesIn struct {
		Scope        string `json:"Scope" api:"values=All|AWS|Local"`
		UsageFilter  string `json:"PolicyUsageFilter" api:"values=PermissionsPolicy|PermissionsBoundary"`
		OnlyAttached bool   `json:"OnlyAttached"`
		PathPrefix   string `json:"PathPrefix" api:"min=1,max=512,pattern=policy path prefix"`
		paging
	}
	listPoliciesOut struct {
		Policies []policyShape `json:"Policies"`
		page
	}
	createPolicyVersionIn struct {
		PolicyArn      string `json:"PolicyArn" api:"min=20,max=2048"`
		PolicyDocument string `json:"PolicyDocument" api:"min=1,max=131072,pattern=latin text"`
		SetAsDefault   bool   `json:"SetAsDefault"`
	}
	policyVersionIn struct {
		PolicyArn string `json:"PolicyArn" api:"min=20,max=2048"`
		VersionID string `json:"VersionId" api:"pattern=policy version"`
	}
	policyVersionOut struct {
		PolicyVersion policyVersionShape `json:"PolicyVersion"`
	}
	policyVersionsOut struct {
		Versions []policyVersionShape `json:"Versions"`
		page
	}
	policyRole struct {
		RoleName string `json:"RoleName"`
		RoleID   string `json:"RoleId"`
	}
	policyUser struct {
		UserName string `json:"UserName"`
		UserID   string `json:"UserId"`
	}
	entitiesOut struct {
		PolicyGroups []none       `json:"PolicyGroups"`
		PolicyUsers  []policyUser `json:"PolicyUsers"`
		PolicyRoles  []policyRole `json:"PolicyRoles"`
		page
	}
)

func (in *roleIn) roleName() string                 { return in.RoleName }
func (in *updateRoleIn) roleName() string           { return in.RoleName }
func (in *trustIn) roleName() string                { return in.RoleName }
func (in *tagRoleIn) roleName() string              { return in.RoleName }
func (in *untagRoleIn) roleName() string            { return in.RoleName }
func (in *boundaryIn) roleName() string             { return in.RoleName }
func (in *rolePolicyIn) roleName() string           { return in.RoleName }
func (in *listOfRoleIn) roleName() string           { return in.RoleName }
func (in *attachRoleIn) roleName() string           { return in.RoleName }
func (in *userIn) userName() string                 { return in.UserName }
func (in *userPolicyIn) userName() string           { return in.UserName }
func (in *listOfUserIn) userName() string           { return in.UserName }
func (in *attachUserIn) userName() string           { return in.UserName }
func (in *listAttachedIn) userName() string         { return in.UserName }
func (in *accessKeyIn) userName() string            { return in.UserName }
func (in *policyIn) policyARN() string              { return in.PolicyArn }
func (in *createPolicyVersionIn) policyARN() string { return in.PolicyArn }
func (in *policyVersionIn) policyARN() string       { return in.PolicyArn }

// unbuilt are the operations of IAM that are not built.
const unbuilt = `
AcceptDelegationRequest AddClientIDToOpenIDConnectProvider AddRoleToInstanceProfile AddUserToGroup AssociateDelegationRequest
AttachGroupPolicy ChangePassword CreateAccountAlias CreateDelegationRequest CreateGroup CreateInstanceProfile CreateLoginProfile
CreateOpenIDConnectProvider CreateSAMLProvider CreateServiceLinkedRole CreateServiceSpecificCredential CreateVirtualMFADevice
DeactivateMFADevice DeleteAccountAlias DeleteAccountPasswordPolicy DeleteGroup DeleteGroupPolicy DeleteInstanceProfile
DeleteLoginProfile DeleteOpenIDConnectProvider DeleteSAMLProvider DeleteSSHPublicKey DeleteServerCertificate DeleteServiceLinkedRole
DeleteServiceSpecificCredential DeleteSigningCertificate DeleteUserPermissionsBoundary DeleteVirtualMFADevice DetachGroupPolicy
DisableOrganizationsRootCredentialsManagement DisableOrganizationsRootSessions DisableOutboundWebIdentityFederation EnableMFADevice
EnableOrganizationsRootCredentialsManagement EnableOrganizationsRootSessions EnableOutboundWebIdentityFederation
GenerateCredentialReport GenerateOrganizationsAccessReport GenerateServiceLastAccessedDetails GetAccessKeyLastUsed
GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountSummary GetContextKeysForCustomPolicy
GetContextKeysForPrincipalPolicy GetCredentialReport GetDelegationRequest GetGroup GetGroupPolicy GetHumanReadableSummary
GetInstanceProfile GetLoginProfile GetMFADevice GetOpenIDConnectProvider GetOrganizationsAccessReport
GetOutboundWebIdentityFederationInfo GetSAMLProvider GetSSHPublicKey GetServerCertificate GetServiceLastAccessedDetails
GetServiceLastAccessedDetailsWithEntities GetServiceLinkedRoleDeletionStatus ListAccountAliases ListAttachedGroupPolicies
ListDelegationRequests ListGroupPolicies ListGroups ListGroupsForUser ListInstanceProfileTags ListInstanceProfiles ListMFADeviceTags
ListMFADevices ListOpenIDConnectProviderTags ListOpenIDConnectProviders ListOrganizationsFeatures ListPoliciesGrantingServiceAccess
ListPolicyTags ListSAMLProviderTags ListSAMLProviders ListSSHPublicKeys ListServerCertificateTags ListServerCertificates
ListServiceSpecificCredentials ListSigningCertificates ListUserTags ListVirtualMFADevices PutGroupPolicy PutUserPermissionsBoundary
RejectDelegationRequest RemoveClientIDFromOpenIDConnectProvider RemoveRoleFromInstanceProfile RemoveUserFromGroup
ResetServiceSpecificCredential ResyncMFADevice SendDelegationToken SetSecurityTokenServicePreferences SimulateCustomPolicy
SimulatePrincipalPolicy TagInstanceProfile TagMFADevice TagOpenIDConnectProvider TagPolicy TagSAMLProvider TagServerCertificate
TagUser UntagInstanceProfile UntagMFADevice UntagOpenIDConnectProvider UntagPolicy UntagSAMLProvider UntagServerCertificate UntagUser
UpdateAccountPasswordPolicy UpdateDelegationRequest UpdateGroup UpdateLoginProfile UpdateOpenIDConnectProviderThumbprint
UpdateRoleDescription UpdateSAMLProvider UpdateSSHPublicKey UpdateServerCertificate UpdateServiceSpecificCredential
UpdateSigningCertificate UpdateUser UploadSSHPublicKey UploadServerCertificate UploadSigningCertificate`
