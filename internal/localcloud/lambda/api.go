package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
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
				awsapi.On(func(_ *awsapi.Call, in *createFunctionIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetFunction", s.getFunction, awsapi.REST("GET", base+"/{FunctionName}"), s.onFunction()),
			awsapi.Op("GetFunctionConfiguration", s.getFunctionConfiguration, awsapi.REST("GET", base+"/{FunctionName}/configuration"), s.onFunction()),
			awsapi.Op("UpdateFunctionCode", s.updateFunctionCode, awsapi.REST("PUT", base+"/{FunctionName}/code"),
				awsapi.On(func(_ *awsapi.Call, in *updateFunctionCodeIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("UpdateFunctionConfiguration", s.updateFunctionConfiguration, awsapi.REST("PUT", base+"/{FunctionName}/configuration"),
				awsapi.On(func(_ *awsapi.Call, in *updateFunctionConfigurationIn) []string {
					return s.resource(in.FunctionName, "")
				})),
			awsapi.Op("DeleteFunction", s.deleteFunction, awsapi.REST("DELETE", base+"/{FunctionName}"), awsapi.Status(204), s.onFunction()),
			awsapi.Op("ListFunctions", s.listFunctions, awsapi.REST("GET", base)),
			awsapi.Op("Invoke", s.invoke, awsapi.REST("POST", base+"/{FunctionName}/invocations"), awsapi.Action("lambda:InvokeFunction"),
				awsapi.On(func(_ *awsapi.Call, in *invokeIn) []string { return s.resource(in.FunctionName, in.Qualifier) })),
			awsapi.Op("AddPermission", s.addPermission, awsapi.REST("POST", base+"/{FunctionName}/policy"), awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *addPermissionIn) []string { return s.resource(in.FunctionName, in.Qualifier) })),
			awsapi.Op("RemovePermission", s.removePermission, awsapi.REST("DELETE", base+"/{FunctionName}/policy/{StatementId}"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *removePermissionIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("GetPolicy", s.getPolicy, awsapi.REST("GET", base+"/{FunctionName}/policy"), s.onFunction()),
			awsapi.Op("PutFunctionConcurrency", s.putConcurrency, awsapi.REST("PUT", "/2017-10-31/functions/{FunctionName}/concurrency"),
				awsapi.On(func(_ *awsapi.Call, in *concurrencyIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetFunctionConcurrency", s.getConcurrency, awsapi.REST("GET", "/2019-09-30/functions/{FunctionName}/concurrency"), s.onFunction()),
			awsapi.Op("DeleteFunctionConcurrency", s.deleteConcurrency, awsapi.REST("DELETE", "/2017-10-31/functions/{FunctionName}/concurrency"), awsapi.Status(204), s.onFunction()),
			awsapi.Op("PutFunctionEventInvokeConfig", s.putEventInvokeConfig, awsapi.REST("PUT", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
				awsapi.On(func(_ *awsapi.Call, in *eventInvokeConfigIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("GetFunctionEventInvokeConfig", s.getEventInvokeConfig, awsapi.REST("GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config"), s.onFunction()),
			awsapi.Op("UpdateFunctionEventInvokeConfig", s.updateEventInvokeConfig, awsapi.REST("POST", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
				awsapi.On(func(_ *awsapi.Call, in *eventInvokeConfigIn) []string {
					return s.resource(in.FunctionName, in.Qualifier)
				})),
			awsapi.Op("ListFunctionEventInvokeConfigs", s.listEventInvokeConfigs, awsapi.REST("GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config/list"), s.onFunction()),
			awsapi.Op("PublishVersion", s.publishVersion, awsapi.REST("POST", base+"/{FunctionName}/versions"), awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *publishVersionIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("ListVersionsByFunction", s.listVersions, awsapi.REST("GET", base+"/{FunctionName}/versions"),
				awsapi.On(func(_ *awsapi.Call, in *listVersionsIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("CreateAlias", s.createAlias, awsapi.REST("POST", base+"/{FunctionName}/aliases"), awsapi.Status(201),
				awsapi.On(func(_ *awsapi.Call, in *aliasIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("UpdateAlias", s.updateAlias, awsapi.REST("PUT", base+"/{FunctionName}/aliases/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *aliasIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetAlias", s.getAlias, awsapi.REST("GET", base+"/{FunctionName}/aliases/{Name}"),
				awsapi.On(func(_ *awsapi.Call, in *aliasRef) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("DeleteAlias", s.deleteAlias, awsapi.REST("DELETE", base+"/{FunctionName}/aliases/{Name}"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *aliasRef) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("ListAliases", s.listAliases, awsapi.REST("GET", base+"/{FunctionName}/aliases"),
				awsapi.On(func(_ *awsapi.Call, in *listAliasesIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetFunctionRecursionConfig", s.getRecursion, awsapi.REST("GET", "/2024-08-31/functions/{FunctionName}/recursion-config"), s.onFunction()),
			awsapi.Op("PutFunctionRecursionConfig", s.putRecursion, awsapi.REST("PUT", "/2024-08-31/functions/{FunctionName}/recursion-config"),
				awsapi.On(func(_ *awsapi.Call, in *recursionIn) []string { return s.resource(in.FunctionName, "") })),
			awsapi.Op("GetAccountSettings", s.getAccountSettings, awsapi.REST("GET", "/2016-08-19/account-settings")),
			awsapi.Op("CreateEventSourceMapping", s.createMapping, awsapi.REST("POST", mappingBase), awsapi.Status(202),
				awsapi.Conditions(func(_ *awsapi.Call, in *createMappingIn) map[string][]string {
					return map[string][]string{"lambda:FunctionArn": s.resource(in.FunctionName, "")}
				})),
			awsapi.Op("GetEventSourceMapping", s.getMapping, awsapi.REST("GET", mappingBase+"/{UUID}"), onMapping[mappingRef](s)),
			awsapi.Op("ListEventSourceMappings", s.listMappings, awsapi.REST("GET", mappingBase)),
			awsapi.Op("UpdateEventSourceMapping", s.updateMapping, awsapi.REST("PUT", mappingBase+"/{UUID}"), awsapi.Status(202), onMapping[updateMappingIn](s)),
			awsapi.Op("DeleteEventSourceMapping", s.deleteMapping, awsapi.REST("DELETE", mappingBase+"/{UUID}"), awsapi.Status(202), onMapping[mappingRef](s)),
			awsapi.Op("DeleteFunctionEventInvokeConfig", s.deleteEventInvokeConfig, awsapi.REST("DELETE", "/2019-09-25/functions/{FunctionName}/event-invoke-config"), awsapi.Status(204), s.onFunction()),
			awsapi.Op("TagResource", s.tagResource, awsapi.REST("POST", "/2017-03-31/tags/{Resource+}"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
			awsapi.Op("UntagResource", s.untagResource, awsapi.REST("DELETE", "/2017-03-31/tags/{Resource+}"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
			awsapi.Op("ListTags", s.listTags, awsapi.REST("GET", "/2017-03-31/tags/{Resource+}"),
				awsapi.On(func(_ *awsapi.Call, in *tagIn) []string { return []string{in.Resource} })),
		},
		Unbuilt: []string{
			"AddLayerVersionPermission", "CreateCodeSigningConfig", "CreateFunctionUrlConfig",
			"DeleteCodeSigningConfig", "DeleteFunctionCodeSigningConfig", "DeleteFunctionUrlConfig",
			"DeleteLayerVersion", "DeleteProvisionedConcurrencyConfig", "GetCodeSigningConfig",
			"GetFunctionCodeSigningConfig", "GetFunctionUrlConfig", "GetLayerVersion",
			"GetLayerVersionByArn", "GetLayerVersionPolicy", "GetProvisionedConcurrencyConfig", "GetRuntimeManagementConfig", "InvokeAsync",
			"InvokeWithResponseStream", "ListCodeSigningConfigs",
			"ListFunctionUrlConfigs", "ListFunctionsByCodeSigningConfig", "ListLayerVersions", "ListLayers", "ListProvisionedConcurrencyConfigs",
			"PublishLayerVersion", "PutFunctionCodeSigningConfig",
			"PutProvisionedConcurrencyConfig", "PutRuntimeManagementConfig", "RemoveLayerVersionPermission",
			"UpdateCodeSigningConfig", "UpdateFunctionUrlConfig",
		},
	}
}

type functionRef struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName"`
	Qualifier    string `json:"Qualifier,omitempty" query:"Qualifier"`
}

func (s *Service) onFunction() awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *functionRef) []string { return s.resource(in.FunctionName, in.Qualifier) })
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

type variables struct {
	Variables map[string]string `json:"Variables,omitempty"`
}

type deadLetterConfig struct {
	TargetArn string `json:"TargetArn,omitempty"`
}

type tracingConfig struct {
	Mode string `json:"Mode,omitempty"`
}

type storage struct {
	Size int `json:"Size,omitempty"`
}

type loggingConfig struct {
	LogFormat           string `json:"LogFormat,omitempty"`
	ApplicationLogLevel string `json:"ApplicationLogLevel,omitempty"`
	SystemLogLevel      string `json:"SystemLogLevel,omitempty"`
	LogGroup            string `json:"LogGroup,omitempty"`
}

// settings are the members that CreateFunction and UpdateFunctionConfiguration
// share.
type settings struct {
	Description      *string           `json:"Description,omitempty"`
	Role             string            `json:"Role,omitempty"`
	Runtime          string            `json:"Runtime,omitempty"`
	Handler          string            `json:"Handler,omitempty"`
	MemorySize       *int              `json:"MemorySize,omitempty"`
	Timeout          *int              `json:"Timeout,omitempty"`
	Environment      *variables        `json:"Environment,omitempty"`
	DeadLetterConfig *deadLetterConfig `json:"DeadLetterConfig,omitempty"`
	TracingConfig    *tracingConfig    `json:"TracingConfig,omitempty"`
	EphemeralStorage *storage          `json:"EphemeralStorage,omitempty"`
	LoggingConfig    *loggingConfig    `json:"LoggingConfig,omitempty"`
	Layers           []string          `json:"Layers,omitempty"`
	VpcConfig        *struct {
		SubnetIds []string `json:"SubnetIds,omitempty"`
	} `json:"VpcConfig,omitempty"`
	FileSystemConfigs []any `json:"FileSystemConfigs,omitempty"`
}

type code struct {
	ZipFile         []byte `json:"ZipFile,omitempty"`
	S3Bucket        string `json:"S3Bucket,omitempty"`
	S3Key           string `json:"S3Key,omitempty"`
	S3ObjectVersion string `json:"S3ObjectVersion,omitempty"`
	ImageURI        string `json:"ImageUri,omitempty"`
}

type createFunctionIn struct {
	FunctionName string `json:"FunctionName"`
	settings
	Code          code              `json:"Code"`
	PackageType   string            `json:"PackageType,omitempty"`
	Publish       bool              `json:"Publish,omitempty"`
	Architectures []string          `json:"Architectures,omitempty"`
	Tags          map[string]string `json:"Tags,omitempty"`
}

type configuration struct {
	FunctionName     string            `json:"FunctionName"`
	FunctionArn      string            `json:"FunctionArn"`
	Runtime          string            `json:"Runtime,omitempty"`
	Role             string            `json:"Role"`
	Handler          string            `json:"Handler,omitempty"`
	CodeSize         int64             `json:"CodeSize"`
	Description      string            `json:"Description"`
	Timeout          int               `json:"Timeout"`
	MemorySize       int               `json:"MemorySize"`
	LastModified     string            `json:"LastModified"`
	CodeSha256       string            `json:"CodeSha256"`
	Version          string            `json:"Version"`
	Environment      *variables        `json:"Environment,omitempty"`
	DeadLetterConfig *deadLetterConfig `json:"DeadLetterConfig,omitempty"`
	TracingConfig    tracingConfig     `json:"TracingConfig"`
	RevisionID       string            `json:"RevisionId"`
	State            string            `json:"State"`
	LastUpdateStatus string            `json:"LastUpdateStatus"`
	PackageType      string            `json:"PackageType"`
	Architectures    []string          `json:"Architectures"`
	EphemeralStorage storage           `json:"EphemeralStorage"`
	LoggingConfig    loggingConfig     `json:"LoggingConfig"`
}

func describe(f Function) *configuration {
	c := &configuration{
		FunctionName: f.Name, FunctionArn: f.named(), Runtime: f.Runtime, Role: f.RoleARN, Handler: f.Handler,
		CodeSize: f.CodeSize, Description: f.Description, Timeout: int(f.Timeout / time.Second), MemorySize: f.MemoryMB,
		LastModified: f.Modified.Format("2006-01-02T15:04:05.000-0700"), CodeSha256: f.CodeSHA256, Version: f.version(),
		TracingConfig: tracingConfig{f.Tracing}, RevisionID: f.RevisionID, State: "Active", LastUpdateStatus: "Successful",
		PackageType: "Zip", Architectures: []string{f.Architecture}, EphemeralStorage: storage{f.StorageMB},
		LoggingConfig: loggingConfig{LogFormat: f.LogFormat, LogGroup: f.LogGroup},
	}
	if len(f.Env) > 0 {
		c.Environment = &variables{f.Env}
	}
	if f.DeadLetter != "" {
		c.DeadLetterConfig = &deadLetterConfig{f.DeadLetter}
	}
	return c
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

func (s *Service) createFunction(ctx context.Context, c *awsapi.Call, in *createFunctionIn) (*configuration, error) {
	name, _ := s.name(in.FunctionName)
	if !functionName.MatchString(name) {
		return nil, awsapi.Errorf("ValidationException", "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: 1 to 64 letters, digits, '-' and '_'", name)
	}
	if in.PackageType != "" && in.PackageType != "Zip" {
		return nil, awsapi.NotBuilt("Lambda functions of PackageType " + in.PackageType)
	}
	f := Function{
		Name: name, ARN: s.arn(name), MemoryMB: 128, StorageMB: 512, Timeout: 3 * time.Second, Architecture: "x86_64",
		LogGroup: "/aws/lambda/" + name, LogFormat: "Text", Tracing: "PassThrough", Tags: in.Tags,
	}
	if len(in.Architectures) > 0 {
		f.Architecture = in.Architectures[0]
	}
	if in.Role == "" {
		return nil, errInvalidParameter("Role: a role ARN is required")
	}
	if in.Runtime == "" || in.Handler == "" {
		return nil, errInvalidParameter("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := s.apply(ctx, c, &f, in.settings); err != nil {
		return nil, err
	}
	if err := s.setCode(ctx, c, &f, in.Code); err != nil {
		return nil, err
	}
	err := s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := functions.Get(tx, name); err != nil {
			return err
		} else if ok {
			return errFunctionExists(name)
		}
		if err := s.put(tx, &f); err != nil || !in.Publish {
			return err
		}
		var err error
		f, err = s.publish(tx, f, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return describe(f), nil
}

func (s *Service) put(tx *store.Tx, f *Function) error {
	f.Modified = s.Scheduler.Now()
	f.RevisionID = s.Scheduler.UUID()
	return functions.Put(tx, *f, f.Name)
}

// apply checks settings and writes them into f.
func (s *Service) apply(ctx context.Context, c *awsapi.Call, f *Function, in settings) error {
	if len(in.Layers) > 0 {
		return awsapi.NotBuilt("Lambda layers (Layers)")
	}
	if in.VpcConfig != nil && len(in.VpcConfig.SubnetIds) > 0 {
		return awsapi.NotBuilt("Lambda functions in a VPC (VpcConfig)")
	}
	if len(in.FileSystemConfigs) > 0 {
		return awsapi.NotBuilt("Lambda file systems (FileSystemConfigs)")
	}
	if in.Runtime != "" {
		if !strings.HasPrefix(in.Runtime, "provided.") {
			return awsapi.NotBuilt("the Lambda runtime " + in.Runtime + " (provided.al2023 and provided.al2 are there)")
		}
		f.Runtime = in.Runtime
	}
	if in.Handler != "" {
		f.Handler = in.Handler
	}
	if in.Description != nil {
		f.Description = *in.Description
	}
	if in.MemorySize != nil {
		if *in.MemorySize < 128 || *in.MemorySize > 10240 {
			return errInvalidParameter("MemorySize: %d is not within 128 to 10240 MB", *in.MemorySize)
		}
		f.MemoryMB = *in.MemorySize
	}
	if in.Timeout != nil {
		if *in.Timeout < 1 || *in.Timeout > 900 {
			return errInvalidParameter("Timeout: %d is not within 1 to 900 seconds", *in.Timeout)
		}
		f.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	if in.Environment != nil {
		for _, k := range slices.Sorted(maps.Keys(in.Environment.Variables)) {
			if !environmentName.MatchString(k) {
				return errInvalidParameter("Environment: %q is not a name of an environment variable (a letter, then letters, digits and _)", k)
			}
			if reserved[k] {
				return errInvalidParameter("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", k)
			}
		}
		f.Env = in.Environment.Variables
	}
	if in.DeadLetterConfig != nil {
		f.DeadLetter = in.DeadLetterConfig.TargetArn
	}
	if in.TracingConfig != nil && in.TracingConfig.Mode != "" {
		f.Tracing = in.TracingConfig.Mode
	}
	if in.EphemeralStorage != nil && in.EphemeralStorage.Size > 0 {
		f.StorageMB = in.EphemeralStorage.Size
	}
	if l := in.LoggingConfig; l != nil {
		if l.LogGroup != "" {
			f.LogGroup = l.LogGroup
		}
		if l.LogFormat != "" {
			f.LogFormat = l.LogFormat
		}
	}
	if in.Role != "" && in.Role != f.RoleARN {
		if err := c.Authorize(ctx, "iam:PassRole", in.Role, map[string][]string{"iam:PassedToService": {"lambda.amazonaws.com"}}); err != nil {
			return err
		}
		if _, err := s.Roles.Assume(ctx, in.Role, "lambda.amazonaws.com", f.ARN, f.Name); awsapi.IsFault(err) {
			return err
		} else if err != nil {
			return errInvalidParameter("The role defined for the function cannot be assumed by Lambda.")
		}
		f.RoleARN = in.Role
	}
	if in.Role == "" && in.DeadLetterConfig == nil && in.TracingConfig == nil {
		return nil
	}
	return s.checkRole(ctx, c, f)
}

var environmentName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)

var reserved = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true, "AWS_EXECUTION_ENV": true,
	"AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true, "AWS_LAMBDA_FUNCTION_VERSION": true,
	"AWS_LAMBDA_INITIALIZATION_TYPE": true, "AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true,
	"AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
}

// setCode finds or unpacks a function's code.
func (s *Service) setCode(ctx context.Context, c *awsapi.Call, f *Function, in code) error {
	if in.ImageURI != "" {
		return awsapi.NotBuilt("Lambda container images (Code.ImageUri)")
	}
	if in.S3Key != "" && s.Assets != nil {
		if name, ok := s.Assets(in.S3Key); ok {
			sum := sha256.Sum256([]byte(name))
			f.Asset, f.CodeDir = name, ""
			f.CodeSHA256 = base64.StdEncoding.EncodeToString(sum[:])
			return nil
		}
	}
	archive := in.ZipFile
	switch {
	case in.S3Bucket != "" && in.S3Key != "":
		var object struct{ Body []byte }
		input := map[string]string{"Bucket": in.S3Bucket, "Key": in.S3Key}
		if in.S3ObjectVersion != "" {
			input["VersionId"] = in.S3ObjectVersion
		}
		if err := awsapi.CallInto(ctx, s.Caller, c.Identity, "s3", "GetObject", input, &object); err != nil {
			return errInvalidParameter("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", awsapi.Code(err), awsapi.AsError(err).Message)
		}
		archive = object.Body
	case len(archive) == 0:
		return errInvalidParameter("Code: give ZipFile, or S3Bucket and S3Key")
	}
	sum := sha256.Sum256(archive)
	dir := filepath.Join(s.CodeDir, f.Name, fmt.Sprintf("%x", sum[:12]))
	if err := unpack(archive, dir); err != nil {
		return errInvalidParameter("Could not unzip uploaded file. Please check your file, then try to upload again. (%v)", err)
	}
	f.Asset, f.CodeDir, f.CodeSize = "", dir, int64(len(archive))
	f.CodeSHA256 = base64.StdEncoding.EncodeToString(sum[:])
	return nil
}

// maxUnpacked is Lambda's limit for an unpacked deployment package.
const maxUnpacked = 250 << 20

func unpack(archive []byte, dir string) error {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	for _, file := range z.File {
		if !filepath.IsLocal(file.Name) {
			return fmt.Errorf("%q leads out of the package", file.Name)
		}
		path := filepath.Join(dir, file.Name)
		if file.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		n, err := unpackFile(file, path, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func unpackFile(file *zip.File, path string, limit int64) (n int64, err error) {
	r, err := file.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	// Unpacked by the owner only; everything is executable, as a zip made on
	// another system may have lost the mode bits.
	w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(w, io.LimitReader(r, limit+1))
	if e := w.Close(); err == nil {
		err = e
	}
	if err == nil && n > limit {
		err = fmt.Errorf("unzipped size must be smaller than %d bytes", maxUnpacked)
	}
	return n, err
}

type getFunctionOut struct {
	Configuration *configuration    `json:"Configuration"`
	Code          codeLocation      `json:"Code"`
	Tags          map[string]string `json:"Tags,omitempty"`
	Concurrency   *concurrency      `json:"Concurrency,omitempty"`
}

type codeLocation struct {
	RepositoryType string `json:"RepositoryType"`
	Location       string `json:"Location"`
}

type concurrency struct {
	Reserved *int `json:"ReservedConcurrentExecutions,omitempty"`
}

func (s *Service) view(ref functionRef) (f Function, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		f, err = s.find(tx, ref.FunctionName, ref.Qualifier)
		return err
	})
	return f, err
}

func (s *Service) getFunction(_ context.Context, _ *awsapi.Call, in *functionRef) (*getFunctionOut, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	out := &getFunctionOut{Configuration: describe(f), Tags: f.Tags}
	out.Code = codeLocation{RepositoryType: "S3", Location: "file://" + f.CodeDir}
	if f.Reserved != nil {
		out.Concurrency = &concurrency{f.Reserved}
	}
	return out, nil
}

func (s *Service) getFunctionConfiguration(_ context.Context, _ *awsapi.Call, in *functionRef) (*configuration, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	return describe(f), nil
}

type updateFunctionCodeIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName"`
	code
	Architectures []string `json:"Architectures,omitempty"`
	Publish       bool     `json:"Publish,omitempty"`
	RevisionID    string   `json:"RevisionId,omitempty"`
}

// change reads a function, lets fn change it and writes it back.
func (s *Service) change(ref, revision string, publish bool, fn func(f *Function) error) (*configuration, error) {
	var f Function
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.unpublished(tx, ref)
		return err
	}); err != nil {
		return nil, err
	}
	if revision != "" && revision != f.RevisionID {
		return nil, errRevision()
	}
	before := f.RevisionID
	if err := fn(&f); err != nil {
		return nil, err
	}
	out := f
	err := s.Store.Update(func(tx *store.Tx) error {
		now, err := s.unpublished(tx, ref)
		if err != nil {
			return err
		}
		if now.RevisionID != before {
			return errConflict("The operation cannot be performed at this time. An update is in progress for resource: %s", f.ARN)
		}
		f.Reserved, f.Published = now.Reserved, now.Published
		if err := s.put(tx, &f); err != nil {
			return err
		}
		if out = f; publish {
			out, err = s.publish(tx, f, "")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Executor.Retire(f.Name)
	return describe(out), nil
}

func (s *Service) updateFunctionCode(ctx context.Context, c *awsapi.Call, in *updateFunctionCodeIn) (*configuration, error) {
	return s.change(in.FunctionName, in.RevisionID, in.Publish, func(f *Function) error {
		if len(in.Architectures) > 0 {
			f.Architecture = in.Architectures[0]
		}
		return s.setCode(ctx, c, f, in.code)
	})
}

type updateFunctionConfigurationIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName"`
	settings
	RevisionID string `json:"RevisionId,omitempty"`
}

func (s *Service) updateFunctionConfiguration(ctx context.Context, c *awsapi.Call, in *updateFunctionConfigurationIn) (*configuration, error) {
	return s.change(in.FunctionName, in.RevisionID, false, func(f *Function) error { return s.apply(ctx, c, f, in.settings) })
}

type nothing struct{}

func (s *Service) deleteFunction(_ context.Context, _ *awsapi.Call, in *functionRef) (*nothing, error) {
	var retired []string
	err := s.Store.Update(func(tx *store.Tx) error {
		retired = nil
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		if f.Qualifier != "" {
			retired = []string{f.pool()}
			return s.deleteVersion(tx, f)
		}
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{f.Name}}) {
			if err != nil {
				return err
			}
			retired = append(retired, row.Value.pool())
		}
		for _, table := range []interface {
			DeleteAll(*store.Tx, ...string) error
		}{policies, versions, aliases, invokeConfigs} {
			if err := table.DeleteAll(tx, f.Name); err != nil {
				return err
			}
		}
		retired = append(retired, f.Name)
		tx.OnCommit(func() { s.reserve(Function{Name: f.Name}) })
		return functions.Delete(tx, f.Name)
	})
	if err != nil {
		return nil, err
	}
	for _, version := range retired {
		s.Executor.Retire(version)
	}
	return &nothing{}, nil
}

type listFunctionsIn struct {
	Marker          string `json:"Marker,omitempty" query:"Marker"`
	MaxItems        int    `json:"MaxItems,omitempty" query:"MaxItems"`
	MasterRegion    string `json:"MasterRegion,omitempty" query:"MasterRegion"`
	FunctionVersion string `json:"FunctionVersion,omitempty" query:"FunctionVersion"`
}

type listFunctionsOut struct {
	Functions  []*configuration `json:"Functions"`
	NextMarker string           `json:"NextMarker,omitempty"`
}

func (s *Service) listFunctions(_ context.Context, _ *awsapi.Call, in *listFunctionsIn) (*listFunctionsOut, error) {
	most := 50
	if in.MaxItems > 0 {
		most = min(in.MaxItems, 50)
	}
	after, err := afterMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	q := store.Query{After: after}
	out := &listFunctionsOut{Functions: []*configuration{}}
	err = s.Store.View(func(tx *store.Tx) error {
		for row, err := range functions.Scan(tx, q) {
			if err != nil {
				return err
			}
			if n := len(out.Functions); n >= most {
				out.NextMarker = awsapi.PageToken(out.Functions[n-1].FunctionName)
				return nil
			}
			out.Functions = append(out.Functions, describe(row.Value))
			if in.FunctionVersion != "ALL" {
				continue
			}
			for v, err := range versions.Scan(tx, store.Query{Prefix: row.Key}) {
				if err != nil {
					return err
				}
				v.Value.Qualifier = v.Value.Version
				out.Functions = append(out.Functions, describe(v.Value))
			}
		}
		return nil
	})
	return out, err
}

type invokeIn struct {
	FunctionName   string `json:"FunctionName" uri:"FunctionName"`
	InvocationType string `json:"InvocationType,omitempty" header:"X-Amz-Invocation-Type"`
	LogType        string `json:"LogType,omitempty" header:"X-Amz-Log-Type"`
	ClientContext  string `json:"ClientContext,omitempty" header:"X-Amz-Client-Context"`
	Qualifier      string `json:"Qualifier,omitempty" query:"Qualifier"`
	Payload        []byte `json:"Payload,omitempty" payload:"raw"`
}

type invokeOut struct {
	StatusCode      int    `json:"StatusCode" status:"true"`
	FunctionError   string `json:"FunctionError,omitempty" header:"X-Amz-Function-Error"`
	LogResult       string `json:"LogResult,omitempty" header:"X-Amz-Log-Result"`
	ExecutedVersion string `json:"ExecutedVersion,omitempty" header:"X-Amz-Executed-Version"`
	Payload         []byte `json:"Payload,omitempty" payload:"raw"`
}

func (s *Service) invoke(ctx context.Context, c *awsapi.Call, in *invokeIn) (*invokeOut, error) {
	var f Function
	err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.look(tx, in.FunctionName, in.Qualifier)
		return err
	})
	if err != nil {
		return nil, err
	}
	payload := in.Payload
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		var probe json.RawMessage
		return nil, errInvalidRequestContent(json.Unmarshal(payload, &probe))
	}
	switch in.InvocationType {
	case "DryRun":
		return &invokeOut{StatusCode: 204}, nil
	case "Event":
		if len(payload) > maxAsyncPayload {
			return nil, errTooLarge(len(payload), maxAsyncPayload)
		}
		err := s.Store.Update(func(tx *store.Tx) error { return s.enqueue(tx, c.RequestID, f, payload) })
		return &invokeOut{StatusCode: 202}, err
	case "", "RequestResponse":
	default:
		return nil, errInvalidParameter("InvocationType: %q is none of RequestResponse, Event, DryRun", in.InvocationType)
	}
	if len(payload) > maxSyncPayload {
		return nil, errTooLarge(len(payload), maxSyncPayload)
	}
	result, log, err := s.run(ctx, f, c.RequestID, payload)
	if err != nil {
		return nil, err
	}
	out := &invokeOut{StatusCode: 200, ExecutedVersion: f.version(), Payload: result.Payload}
	if result.Failure != nil {
		out.FunctionError = "Unhandled"
	}
	if in.LogType == "Tail" {
		out.LogResult = log.tail()
	}
	return out, nil
}
