package topicrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// external reaches other services for the functions of a rule's statement.
type external struct {
	s    *Service
	rule *rule
}

// Time limits of AWS.
const (
	lambdaTimeout  = 2000 * time.Millisecond
	descriptorLife = 15 * time.Minute
)

func (x *external) Lambda(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	ctx, cancel := x.s.Scheduler.WithTimeout(ctx, lambdaTimeout)
	defer cancel()
	var out struct {
		FunctionError *string
		Payload       []byte
	}
	id := awsapi.ServiceOf(principal, x.s.Account, x.rule.arn)
	if err := awsapi.CallInto(ctx, x.s.Caller, id, "lambda", "Invoke", invokeInput{arn, "RequestResponse", payload},
		&out); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("aws_lambda: the function took more than %v: %w", lambdaTimeout, err)
	}
	if out.FunctionError != nil && *out.FunctionError != "" {
		return nil, errors.New("aws_lambda: the function failed")
	}
	return out.Payload, nil
}

func (x *external) ThingShadow(context.Context, string, string, string) ([]byte, error) {
	return nil, awsapi.NotBuilt("get_thing_shadow: thing shadows")
}

func (x *external) DynamoDB(ctx context.Context, table, keyName string, key rulesql.Value, sortName string,
	sort rulesql.Value, roleARN string) ([]byte, error) {
	id, err := x.s.identity(ctx, roleARN, x.rule.arn)
	if err != nil {
		return nil, err
	}
	keys := map[string]attribute{keyName: attributeOf(key)}
	if sortName != "" {
		keys[sortName] = attributeOf(sort)
	}
	var out struct{ Item map[string]any }
	if err := awsapi.CallInto(ctx, x.s.Caller, id, "dynamodb", "GetItem", map[string]any{"TableName": table,
		"Key": keys}, &out); err != nil {
		return nil, err
	}
	item, err := plainItem(out.Item)
	if err != nil {
		return nil, err
	}
	return json.Marshal(item)
}

func (x *external) Registry(ctx context.Context, operation, thing, roleARN string) ([]byte, error) {
	id, err := x.s.identity(ctx, roleARN, x.rule.arn)
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = awsapi.CallInto(ctx, x.s.Caller, id, "iot", operation, map[string]string{"thingName": thing}, &out)
	return out, err
}

func (x *external) Secret(ctx context.Context, id, kind, roleARN string) (string, error) {
	return "", awsapi.NotBuilt("get_secret: the service secretsmanager")
}

func (x *external) Descriptor(ctx context.Context, bucket, key string) ([]byte, error) {
	if x.s.Objects == nil {
		return nil, awsapi.NotBuilt("decode(..., 'proto', ...): reading from S3")
	}
	now := x.s.Scheduler.Now()
	at := [2]string{bucket, key}
	x.s.files.Lock()
	have, ok := x.s.files.read[at]
	x.s.files.Unlock()
	if ok && now.Before(have.until) {
		return have.set, nil
	}
	set, err := x.s.Objects.GetObject(ctx, awsapi.ServiceOf(principal, x.s.Account, x.rule.arn), bucket, key)
	if err != nil {
		return nil, err
	}
	x.s.files.Lock()
	defer x.s.files.Unlock()
	x.s.files.read[at] = descriptor{set, now.Add(descriptorLife)}
	return set, nil
}
