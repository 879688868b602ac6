package dynamodb

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// encryption is how tables use keys of the customer: who reads or writes an item needs the table's key
// decrypted. Items lie as plain as all else in the store. DynamoDB keeps a table's key in memory for a while;
// here a permission counts at once. What it does by grants in the background (time to live, indexes) needs
// nothing.
//
// Source: Amazon DynamoDB Developer Guide, "DynamoDB encryption at rest: How it works", "Authorizing use of
// your AWS KMS key" (2026-11); words of the refusal: cloudcomponents/cdk-constructs#102.
func (s *Service) encryption() *awsapi.Encryption {
	e := &awsapi.Encryption{Uses: map[string][]string{}, Words: keyError}
	for _, action := range []string{"GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem",
		"Query", "Scan", "BatchGetItem", "BatchWriteItem"} {
		e.Uses["dynamodb:"+action] = []string{"Decrypt"}
	}
	e.Key = func(_, resource string) (key awsapi.Key, err error) {
		name, _, _ := strings.Cut(strings.TrimPrefix(resource, s.arn("")), "/index/")
		err = s.Store.View(func(tx *store.Tx) error {
			t, ok, err := tables.Get(tx, name)
			if ok && t.SSE != nil {
				key = awsapi.Key{ID: t.SSE.KMSMasterKeyARN, Context: s.keyContext(name)}
			}
			return err
		})
		return key, err
	}
	return e
}

func (s *Service) keyContext(table string) map[string]string {
	return map[string]string{"aws:dynamodb:tableName": table, "aws:dynamodb:subscriberId": s.Account}
}

// keyError is a failure of KMS as DynamoDB answers it.
func keyError(e *awsapi.Error) *awsapi.Error {
	switch e.Code {
	case "AccessDeniedException", "DisabledException", "NotFoundException", "KMSInvalidStateException",
		"InvalidKeyUsageException":
		return awsapi.Errorf("AccessDeniedException", "KMS key access denied error: "+
			"com.amazonaws.services.kms.model.AWSKMSException: %s (Service: AWSKMS; Status Code: 400; "+
			"Error Code: %s)", e.Message, e.Code)
	}
	return e
}

// encrypted is what is told of a table's encryption. The key must be there and its caller must be allowed to
// look at it and to use it; the grant that DynamoDB makes of that is not built.
func (s *Service) encrypted(ctx context.Context, c *awsapi.Call, in *sseSpecification, table string) (
	*sseDescription, error,
) {
	if in == nil || !in.Enabled {
		return nil, nil
	}
	out := &sseDescription{Status: "ENABLED", SSEType: "KMS"}
	if in.KMSMasterKeyID == "" || strings.HasPrefix(in.KMSMasterKeyID, "alias/aws/") {
		return out, nil
	}
	out.KMSMasterKeyARN = in.KMSMasterKeyID
	key := awsapi.Key{ID: in.KMSMasterKeyID, Context: s.keyContext(table)}
	if err := c.UseKey(ctx, key, "Decrypt"); err != nil || s.Caller == nil {
		return out, err
	}
	var of struct {
		KeyMetadata struct {
			ARN string `json:"Arn"`
		}
	}
	err := awsapi.CallInto(ctx, s.Caller, c.Through(), "kms", "DescribeKey", map[string]any{"KeyId": key.ID}, &of)
	if err != nil {
		return nil, keyError(awsapi.AsError(err))
	}
	out.KMSMasterKeyARN = of.KeyMetadata.ARN
	return out, nil
}
