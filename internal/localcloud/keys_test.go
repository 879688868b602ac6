package localcloud_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// TestCustomersKeysAreAsked: who uses what lies under a key of the customer's needs the key's permission,
// through the service; a key that is disabled or is not there stops everybody. The errors are the service's.
func TestCustomersKeysAreAsked(t *testing.T) {
	const allowsData = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
		"Action":["sqs:*","sns:*","s3:*","dynamodb:*"]}]}`
	r := newRig(t)
	key := func(policy string) string {
		in := map[string]any{}
		if policy != "" {
			in["Policy"] = policy
		}
		return r.must("kms", "CreateKey", in)["KeyMetadata"].(map[string]any)["Arn"].(string)
	}
	byPolicies, disabled := key(""), key("")
	open := key(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*",
		"Condition":{"StringEquals":{"kms:CallerAccount":"%[1]s","kms:ViaService":["sqs.us-east-1.amazonaws.com",
		"sns.us-east-1.amazonaws.com","s3.us-east-1.amazonaws.com","dynamodb.us-east-1.amazonaws.com"]}}}]}`,
		account))
	worker := awsapi.Identity{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/worker/1",
		RoleARN: r.role("worker", allowsData)}
	missing := "arn:aws:kms:us-east-1:" + account + ":key/11111111-2222-3333-4444-555555555555"

	type action struct {
		service, operation string
		in                 map[string]any
	}
	encrypt := func(bucket string, by map[string]any) {
		rules := []any{map[string]any{"ApplyServerSideEncryptionByDefault": by}}
		r.must("s3", "PutBucketEncryption", map[string]any{"Bucket": bucket,
			"ServerSideEncryptionConfiguration": map[string]any{"Rules": rules}})
	}
	// under makes a queue, a topic, a bucket and a table under a key, and says what is done with them.
	under := func(name, key string) []action {
		queue := r.must("sqs", "CreateQueue", map[string]any{"QueueName": name,
			"Attributes": map[string]string{"KmsMasterKeyId": key}})["QueueUrl"]
		topic := r.must("sns", "CreateTopic", map[string]any{"Name": name,
			"Attributes": map[string]string{"KmsMasterKeyId": key}})["TopicArn"]
		r.must("s3", "CreateBucket", map[string]any{"Bucket": name})
		object := map[string]any{"Bucket": name, "Key": "k", "Body": []byte("v")}
		encrypt(name, map[string]any{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key})
		all := []action{
			{"sqs", "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": "m"}},
			{"sqs", "ReceiveMessage", map[string]any{"QueueUrl": queue}},
			{"sns", "Publish", map[string]any{"TopicArn": topic, "Message": "m"}},
			{"s3", "PutObject", object},
		}
		if key == missing {
			return all
		}
		r.must("s3", "PutObject", object)
		r.must("dynamodb", "CreateTable", map[string]any{"TableName": name, "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []any{map[string]any{"AttributeName": "a", "AttributeType": "S"}},
			"KeySchema":            []any{map[string]any{"AttributeName": "a", "KeyType": "HASH"}},
			"SSESpecification":     map[string]any{"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key}})
		r.sched.RunFor(10e9)
		item := map[string]any{"a": map[string]any{"S": "x"}}
		return append(all,
			action{"s3", "GetObject", map[string]any{"Bucket": name, "Key": "k"}},
			action{"dynamodb", "PutItem", map[string]any{"TableName": name, "Item": item}},
			action{"dynamodb", "GetItem", map[string]any{"TableName": name, "Key": item}},
			action{"dynamodb", "TransactWriteItems", map[string]any{"TransactItems": []any{map[string]any{
				"Put": map[string]any{"TableName": name, "Item": item}}}}},
		)
	}
	for _, c := range []struct {
		name, key string
		codes     map[string]string // by service; none: everything is done
		words     string
	}{
		{"open", open, nil, ""},
		{"closed", byPolicies, map[string]string{"sqs": "KmsAccessDenied", "sns": "KMSAccessDenied",
			"s3": "AccessDenied", "dynamodb": "AccessDeniedException"}, " is not authorized to perform: kms:"},
		{"missing", missing, map[string]string{"sqs": "KmsNotFound", "sns": "KMSNotFound",
			"s3": "KMS.NotFoundException"},
			"' does not exist"},
		{"disabled", disabled, map[string]string{"sqs": "KmsDisabled", "sns": "KMSDisabled",
			"s3": "KMS.DisabledException", "dynamodb": "AccessDeniedException"}, " is disabled"},
	} {
		all := under(c.name, c.key)
		if c.key == disabled {
			r.must("kms", "DisableKey", map[string]any{"KeyId": disabled})
		}
		for _, a := range all {
			who := worker
			if c.key == missing || c.key == disabled {
				who = awsapi.RootOf(account) // who lacks the permission is not told more
			}
			_, err := r.cloud.Door().Call(t.Context(), who, a.service, a.operation, a.in)
			switch want := c.codes[a.service]; {
			case want == "" && err != nil:
				t.Errorf("%s: %s:%s: %v", c.name, a.service, a.operation, err)
			case want != "" && (awsapi.Code(err) != want || !strings.Contains(err.Error(), c.words)):
				t.Errorf("%s: %s:%s: %v, want %s with %q", c.name, a.service, a.operation, err, want, c.words)
			}
		}
	}
	// What was written under an earlier key stays under it; what tells of an object needs none.
	encrypt("closed", map[string]any{"SSEAlgorithm": "AES256"})
	if _, err := r.cloud.Door().Call(t.Context(), worker, "s3", "GetObject",
		map[string]any{"Bucket": "closed", "Key": "k"}); awsapi.Code(err) != "AccessDenied" {
		t.Errorf("an object of an earlier key: %v", err)
	}
	// A table is not made under a key that is not there, or that its maker may not use.
	table := map[string]any{"TableName": "none", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "a", "AttributeType": "S"}},
		"KeySchema":            []any{map[string]any{"AttributeName": "a", "KeyType": "HASH"}},
		"SSESpecification":     map[string]any{"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": missing}}
	if _, err := r.cloud.Door().Call(t.Context(), awsapi.RootOf(account), "dynamodb", "CreateTable",
		table); awsapi.Code(err) != "AccessDeniedException" {
		t.Errorf("a table under no key: %v", err)
	}
}
