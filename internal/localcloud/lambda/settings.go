package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

type variables struct {
	Variables map[string]string `json:"Variables,omitempty" api:"hidden,key.pattern=environment variable"`
}

type deadLetterConfig struct {
	TargetArn string `json:"TargetArn,omitempty" api:"pattern=arn or nothing"`
}

type tracingConfig struct {
	Mode string `json:"Mode,omitempty" api:"values=Active|PassThrough"`
}

type storage struct {
	Size int `json:"Size,omitempty" api:"min=512,max=10240"`
}

type loggingConfig struct {
	LogFormat           string `json:"LogFormat,omitempty" api:"values=JSON|Text"`
	ApplicationLogLevel string `json:"ApplicationLogLevel,omitempty" api:"set=application log levels"`
	SystemLogLevel      string `json:"SystemLogLevel,omitempty" api:"values=DEBUG|INFO|WARN"`
	LogGroup            string `json:"LogGroup,omitempty" api:"min=1,max=512,pattern=log group name"`
}

// settings are the members that CreateFunction and UpdateFunctionConfiguration
// share.
type settings struct {
	Description      *string           `json:"Description,omitempty" api:"max=256"`
	Role             string            `json:"Role,omitempty" api:"pattern=lambda role"`
	Runtime          string            `json:"Runtime,omitempty"`
	Handler          string            `json:"Handler,omitempty" api:"max=128,pattern=no blanks"`
	MemorySize       *int              `json:"MemorySize,omitempty" api:"min=128,max=32768"`
	Timeout          *int              `json:"Timeout,omitempty" api:"min=1"`
	Environment      *variables        `json:"Environment,omitempty"`
	DeadLetterConfig *deadLetterConfig `json:"DeadLetterConfig,omitempty"`
	TracingConfig    *tracingConfig    `json:"TracingConfig,omitempty"`
	EphemeralStorage *storage          `json:"EphemeralStorage,omitempty"`
	LoggingConfig    *loggingConfig    `json:"LoggingConfig,omitempty"`
	Layers           []string          `json:"Layers,omitempty" api:"each.min=1,each.max=140,each.pattern=layer version arn"`
	VpcConfig        *struct {
		SubnetIds []string `json:"SubnetIds,omitempty" api:"max=16"`
	} `json:"VpcConfig,omitempty"`
	FileSystemConfigs []any `json:"FileSystemConfigs,omitempty"`
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
		CodeSize: f.CodeSize, Description: f.Description, Timeout: int(f.Timeout / time.Second),
		MemorySize:   f.MemoryMB,
		LastModified: f.Modified.Format("2006-01-02T15:04:05.000-0700"), CodeSha256: f.CodeSHA256,
		Version:       f.version(),
		TracingConfig: tracingConfig{f.Tracing}, RevisionID: f.RevisionID, State: "Active",
		LastUpdateStatus: "Successful",
		PackageType:      "Zip", Architectures: []string{f.Architecture}, EphemeralStorage: storage{f.StorageMB},
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
			return awsapi.NotBuilt("the Lambda runtime " + in.Runtime +
				" (provided.al2023 and provided.al2 are there)")
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
		if *in.MemorySize > 10240 {
			return errInvalidParameter("MemorySize: %d is not within 128 to 10240 MB", *in.MemorySize)
		}
		f.MemoryMB = *in.MemorySize
	}
	if in.Timeout != nil {
		if *in.Timeout > 900 {
			return errInvalidParameter("Timeout: %d is not within 1 to 900 seconds", *in.Timeout)
		}
		f.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	if in.Environment != nil {
		for _, k := range slices.Sorted(maps.Keys(in.Environment.Variables)) {
			if reserved[k] {
				return errInvalidParameter(
					"Lambda was unable to configure your environment variables because the environment variables "+
						"you have provided contains reserved keys that are currently not supported for "+
						"modification. Reserved keys used in this request: %s", k)
			}
		}
		if text, err := measured(in.Environment.Variables); err != nil {
			return err
		} else if len(text) > maxEnvironment {
			return errInvalidParameter("Lambda was unable to configure your environment variables because the "+
				"environment variables you have provided exceeded the 4KB limit. String measured: %s", text)
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
		if err := c.Authorize(ctx, "iam:PassRole", in.Role,
			map[string][]string{"iam:PassedToService": {"lambda.amazonaws.com"}}); err != nil {
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

// maxEnvironment is the size of the environment variables as JSON, in bytes.
const maxEnvironment = 4 << 10

// measured is how Lambda measures environment variables.
func measured(variables map[string]string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(variables)
	return strings.TrimSuffix(b.String(), "\n"), err
}

var reserved = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true,
	"AWS_EXECUTION_ENV":        true,
	"AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true, "AWS_LAMBDA_FUNCTION_VERSION": true,
	"AWS_LAMBDA_INITIALIZATION_TYPE": true, "AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true,
	"AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
}
