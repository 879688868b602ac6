package smoke

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/fleetstep/fleetstep/internal/doctor"
)

// Plan says how many resources of which type a template makes.
func Plan(template []byte) (map[string]int, error) {
	var t struct {
		Resources map[string]struct{ Type string }
	}
	if err := json.Unmarshal(template, &t); err != nil {
		return nil, err
	}
	kinds := map[string]int{}
	for _, r := range t.Resources {
		kinds[r.Type]++
	}
	return kinds, nil
}

// deploy makes the stack: a bucket for the code, the functions in it, the template with their places.
func (r *run) deploy(ctx context.Context) (string, error) {
	bucket := fmt.Sprintf("%s-code-%s", r.Stack, r.report.Account)
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if r.AWS.Region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{
			LocationConstraint: s3types.BucketLocationConstraint(r.AWS.Region)}
	}
	if _, err := r.s3.CreateBucket(ctx, in); err != nil {
		return "", err
	}
	r.made("bucket "+bucket, func(ctx context.Context) error { return r.removeBucket(ctx, bucket) })

	template, functions, err := placed(r.Template, bucket)
	if err != nil {
		return "", err
	}
	for _, key := range functions {
		code, err := zipped(filepath.Join(r.LambdaDir, strings.TrimSuffix(key, ".zip"), "bootstrap"))
		if err != nil {
			return "", &trouble{err.Error(), "build the functions: make build-lambdas"}
		}
		if err := r.put(ctx, bucket, key, code); err != nil {
			return "", err
		}
	}
	if err := r.put(ctx, bucket, "template.json", template); err != nil {
		return "", err
	}
	_, err = r.cloudformation.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &r.Stack, TemplateURL: aws.String(fmt.Sprintf("https://%s.s3.%s.amazonaws.com/template.json",
			bucket,
			r.AWS.Region)),
		Capabilities: []cloudformationtypes.Capability{cloudformationtypes.CapabilityCapabilityIam},
		OnFailure:    cloudformationtypes.OnFailureDoNothing,
		Parameters: []cloudformationtypes.Parameter{
			{ParameterKey: aws.String("ControllerEndpointId"), ParameterValue: aws.String("self::" + r.Stack)},
			{ParameterKey: aws.String("MessageWindowSeconds"), ParameterValue: aws.String("0")},
		},
	})
	if err != nil {
		return "", err
	}
	r.made("stack "+r.Stack, r.removeStack)
	status := ""
	err = r.await(ctx, func(ctx context.Context) (bool, error) {
		out, err := r.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &r.Stack})
		if err != nil {
			return false, err
		}
		status = string(out.Stacks[0].StackStatus)
		return !strings.HasSuffix(status, "_IN_PROGRESS"), nil
	}, func(context.Context) error {
		return &trouble{"the stack is still " + status, "look at its events: aws cloudformation describe-stack-events"}
	})
	// Whether it stands, and why not, is the next hop's.
	return fmt.Sprintf("%s is %s: %d functions from %s", r.Stack, status, len(functions), r.LambdaDir), err
}

// placed is the template with its functions' code in a bucket, and the keys of that code.
func placed(template []byte, bucket string) ([]byte, []string, error) {
	dec := json.NewDecoder(bytes.NewReader(template))
	dec.UseNumber()
	var t map[string]any
	if err := dec.Decode(&t); err != nil {
		return nil, nil, err
	}
	var keys []string
	resources, _ := t["Resources"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		r, _ := resources[id].(map[string]any)
		if r["Type"] != "AWS::Lambda::Function" {
			continue
		}
		properties, _ := r["Properties"].(map[string]any)
		code, _ := properties["Code"].(map[string]any)
		key, ok := code["S3Key"].(string)
		if !ok {
			return nil, nil, fmt.Errorf("function %s has no code in S3", id)
		}
		code["S3Bucket"] = bucket
		keys = append(keys, key)
	}
	b, err := json.Marshal(t)
	return b, keys, err
}

func zipped(bootstrap string) ([]byte, error) {
	code, err := os.ReadFile(bootstrap)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed) // it goes over the network once
	})
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(code)
	}
	return b.Bytes(), errors.Join(err, z.Close())
}

func (r *run) put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := r.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

// gone is err, but nil where it says that there is nothing any more.
func gone(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch code := api.ErrorCode(); {
		case code == "NoSuchBucket", strings.Contains(code, "ResourceNotFound"),
			strings.Contains(code, "DoesNotExist"):
			return nil
		case code == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist"):
			return nil
		}
	}
	return err
}

// removeStack deletes the stack, and what it retains.
func (r *run) removeStack(ctx context.Context) error {
	if r.stack == nil || r.stack.Resources == nil { // the way ended before it was looked at
		installed, _, err := doctor.Examine(ctx, doctor.Config{AWS: r.AWS, Stack: r.Stack, Now: r.Now},
			func(doctor.Finding) {}, doctor.Credentials, doctor.StackCheck)
		if err != nil {
			return err
		}
		r.stack = installed
	}
	if _, err := r.cloudformation.DeleteStack(ctx,
		&cloudformation.DeleteStackInput{StackName: &r.Stack}); err != nil {
		return err
	}
	status := ""
	for {
		out, err := r.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &r.Stack})
		if err != nil && gone(err) == nil {
			break
		}
		if err != nil {
			return err
		}
		if status = string(out.Stacks[0].StackStatus); status == "DELETE_FAILED" {
			return fmt.Errorf("it is DELETE_FAILED: %s", aws.ToString(out.Stacks[0].StackStatusReason))
		}
		if err := r.Sleep(ctx, time.Second); err != nil {
			return fmt.Errorf("it is still %s: %w", status, err)
		}
	}
	var problems []error
	for _, table := range r.stack.Of("AWS::DynamoDB::Table") {
		_, err := r.dynamodb.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
		problems = append(problems, gone(err))
	}
	for _, bucket := range r.stack.Of("AWS::S3::Bucket") {
		problems = append(problems, r.removeBucket(ctx, bucket))
	}
	for _, policy := range r.stack.Of("AWS::IoT::Policy") {
		_, err := r.iot.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: &policy})
		problems = append(problems, gone(err))
	}
	return errors.Join(problems...)
}

// removeBucket deletes a bucket with all versions of all its objects.
func (r *run) removeBucket(ctx context.Context, bucket string) error {
	if err := r.removeObjects(ctx, bucket, ""); err != nil {
		return gone(err)
	}
	_, err := r.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return gone(err)
}

// removeObjects deletes all versions of the objects whose keys begin so.
func (r *run) removeObjects(ctx context.Context, bucket, prefix string) error {
	pages := s3.NewListObjectVersionsPaginator(r.s3, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if err := r.removeVersion(ctx, bucket, v.Key, v.VersionId); err != nil {
				return err
			}
		}
		for _, v := range page.DeleteMarkers {
			if err := r.removeVersion(ctx, bucket, v.Key, v.VersionId); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) removeVersion(ctx context.Context, bucket string, key, version *string) error {
	_, err := r.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version})
	return err
}
