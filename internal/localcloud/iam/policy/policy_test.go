package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func mustParse(t testing.TB, doc string) *Document {
	t.Helper()
	d, err := Parse([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return d
}

// statement wraps members of one statement into a document.
func statement(members string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + members + `}}`
}

func TestEvaluate(t *testing.T) {
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
	thing := map[string][]string{
		"iot:Connection.Thing.ThingName": {"rg-1"}, "aws:SourceArn": {"arn:aws:sns:us-east-1:123456789012:topic"},
		"aws:SourceIp": {"10.1.2.3"}, "aws:SecureTransport": {"true"}, "aws:TagKeys": {"a", "b"},
		"s3:max-keys":     {"10"},
		"aws:CurrentTime": {"2026-01-01T12:00:00Z"}, "aws:username": {"*"},
	}
	for _, c := range []struct {
		name, members    string
		action, resource string
		want             Decision
	}{
		{"exact", `"Action":"dynamodb:PutItem","Resource":"` + table + `"`, "dynamodb:PutItem", table, Allow},
		{"case of an action", `"Action":"DynamoDB:putitem","Resource":"*"`, "dynamodb:PutItem", table, Allow},
		{"other action", `"Action":"dynamodb:GetItem","Resource":"*"`, "dynamodb:PutItem", table, None},
		{"wildcard action", `"Action":["s3:*","dynamodb:P?t*"],"Resource":"*"`, "dynamodb:PutItem", table, Allow},
		{"not action", `"NotAction":"dynamodb:Put*","Resource":"*"`, "dynamodb:PutItem", table, None},
		{"not action, other", `"NotAction":"iam:*","Resource":"*"`, "dynamodb:PutItem", table, Allow},
		{"not resource", `"Action":"*","NotResource":"` + table + `"`, "dynamodb:PutItem", table, None},
		{"not resource, other", `"Action":"*","NotResource":"` + table + `2"`, "dynamodb:PutItem", table, Allow},
		{"index is not its table", `"Action":"*","Resource":"` + table + `"`, "dynamodb:Query", table + "/index/i", None},
		{"a wildcard stays in its part", `"Action":"*","Resource":"arn:aws:dynamodb:*:table/t"`, "dynamodb:Query", table, None},
		{"a last wildcard takes colons", `"Action":"*","Resource":"arn:aws:dynamodb:*"`, "dynamodb:Query", table, Allow},
		{"star on star", `"Action":"*","Resource":"*"`, "iot:DescribeEndpoint", "*", Allow},
		{"arn on star", `"Action":"*","Resource":"arn:aws:iot:*:*:*"`, "iot:DescribeEndpoint", "*", None},
		{"resource with a colon", `"Action":"*","Resource":"arn:aws:states:*:123456789012:execution:m:*"`, "states:StopExecution", "arn:aws:states:us-east-1:123456789012:execution:m:e", Allow},
		{"variable", `"Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"`, "iot:Connect", "arn:aws:iot:us-east-1:1:client/rg-1", Allow},
		{"variable of another", `"Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"`, "iot:Connect", "arn:aws:iot:us-east-1:1:client/rg-2", None},
		{"unset variable", `"Action":"*","Resource":["arn:aws:iot:*:*:client/${iot:ClientId}"]`, "iot:Connect", "arn:aws:iot:us-east-1:1:client/", None},
		{"unset variable under NotResource", `"Action":"*","NotResource":["arn:aws:iot:*:*:client/${iot:ClientId}"]`, "iot:Connect", "arn:aws:iot:us-east-1:1:client/", None},
		{"default", `"Action":"*","Resource":["arn:aws:iot:*:*:client/${iot:ClientId, 'x'}"]`, "iot:Connect", "arn:aws:iot:us-east-1:1:client/x", Allow},
		{"a variable's value is no wildcard", `"Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"`, "s3:GetObject", "arn:aws:s3:::b/other", None},
		{"escapes", `"Action":"*","Resource":"arn:aws:s3:::b/${*}${$}${?}"`, "s3:GetObject", "arn:aws:s3:::b/*$?", Allow},
		{"topic filter", `"Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/usp/v1/agent/${iot:Connection.Thing.ThingName}"`, "iot:Subscribe", "arn:aws:iot:us-east-1:1:topicfilter/usp/v1/agent/+", None},

		{"string equals", `"Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:username":["a","*"]}}`, "a:b", "*", Allow},
		{"string equals takes no wildcard", `"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceIp":"10.*"}}`, "a:b", "*", None},
		{"string like", `"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:SourceIp":"10.*"}}`, "a:b", "*", Allow},
		{"absent key", `"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:x":"10.*"}}`, "a:b", "*", None},
		{"absent key, negated", `"Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:x":"10.*"}}`, "a:b", "*", Allow},
		{"absent key, if exists", `"Action":"*","Resource":"*","Condition":{"StringEqualsIfExists":{"aws:x":"10.*"}}`, "a:b", "*", Allow},
		{"null", `"Action":"*","Resource":"*","Condition":{"Null":{"aws:x":"true","aws:SourceIp":false}}`, "a:b", "*", Allow},
		{"not null", `"Action":"*","Resource":"*","Condition":{"Null":{"aws:x":"false"}}`, "a:b", "*", None},
		{"arn like", `"Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:top*"}}`, "a:b", "*", Allow},
		{"arn not like", `"Action":"*","Resource":"*","Condition":{"ArnNotLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:top*"}}`, "a:b", "*", None},
		{"bool", `"Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`, "a:b", "*", None},
		{"ip", `"Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`, "a:b", "*", Allow},
		{"not ip", `"Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`, "a:b", "*", None},
		{"number", `"Action":"*","Resource":"*","Condition":{"NumericLessThanEquals":{"s3:max-keys":10}}`, "a:b", "*", Allow},
		{"number not equal", `"Action":"*","Resource":"*","Condition":{"NumericNotEquals":{"s3:max-keys":"10.0"}}`, "a:b", "*", None},
		{"date", `"Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-01-02"}}`, "a:b", "*", Allow},
		{"date in seconds", `"Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"1767225600"}}`, "a:b", "*", Allow},
		{"all values", `"Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}`, "a:b", "*", Allow},
		{"not all values", `"Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`, "a:b", "*", None},
		{"any value", `"Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":["b"]}}`, "a:b", "*", Allow},
		{"any value differs", `"Action":"*","Resource":"*","Condition":{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, "a:b", "*", None},
		{"unset variable in a condition", `"Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:SourceIp":"${aws:nobody}"}}`, "a:b", "*", None},
		{"variable in a condition", `"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"${aws:username}"}}`, "a:b", "*", Allow},
		{"two conditions", `"Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:username":"x"}}`, "a:b", "*", None},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := mustParse(t, statement(c.members))
			got, s := Evaluate([]*Document{nil, d}, Request{Action: c.action, Resource: c.resource, Values: thing})
			if got != c.want || (s != nil) != (got != None) {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestDenyWinsWhereverItStands(t *testing.T) {
	allow := mustParse(t, statement(`"Action":"*","Resource":"*"`))
	deny := mustParse(t, `{"Statement":[{"Sid":"no","Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)
	for _, docs := range [][]*Document{{allow, deny}, {deny, allow}} {
		got, s := Evaluate(docs, Request{Action: "s3:GetObject", Resource: "*"})
		if got != ExplicitDeny || s.SID != "no" {
			t.Fatalf("got %s", got)
		}
	}
}

func TestPrincipals(t *testing.T) {
	role := Principal{AWS: []string{"arn:aws:iam::123456789012:role/r", "arn:aws:sts::123456789012:assumed-role/r/s"},
		Account: "123456789012"}
	service := Principal{Services: []string{"iot.amazonaws.com"}}
	for _, c := range []struct {
		members string
		who     Principal
		want    Decision
	}{
		{`"Principal":"*"`, role, Allow},
		{`"Principal":{"AWS":"*"}`, service, Allow},
		{`"Principal":{"AWS":"arn:aws:iam::123456789012:role/r"}`, role, Allow},
		{`"Principal":{"AWS":["arn:aws:iam::123456789012:role/x","123456789012"]}`, role, Delegated},
		{`"Principal":{"AWS":"arn:aws:iam::999999999999:root"}`, role, None},
		{`"Principal":{"Service":"iot.amazonaws.com"}`, service, Allow},
		{`"Principal":{"Service":"iot.amazonaws.com"}`, role, None},
		{`"Principal":{"Service":"sns.amazonaws.com"}`, service, None},
		{`"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/r"}`, role, None},
		{`"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/x"}`, role, Allow},
	} {
		d := mustParse(t, statement(c.members+`,"Action":"sqs:SendMessage","Resource":"*"`))
		if err := d.CheckResource(); err != nil {
			t.Error(err)
		}
		if got, _ := Evaluate([]*Document{d}, Request{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:1:q",
			Principal: c.who}); got != c.want {
			t.Errorf("%s: got %s, want %s", c.members, got, c.want)
		}
	}
}

func TestOldVersionHasNoVariables(t *testing.T) {
	d := mustParse(t, `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}]}`)
	r := Request{Action: "s3:ListBucket", Resource: "arn:aws:s3:::ann",
		Values: map[string][]string{"aws:username": {"ann"}}}
	if got, _ := Evaluate([]*Document{d}, r); got != None {
		t.Fatalf("got %s", got)
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{``, "Syntax errors in policy."},
		{`[]`, "Syntax errors in policy."},
		{`{"Statement":[]} x`, "Syntax errors in policy."},
		{`{}`, "Missing required field Statement"},
		{`{"Statement":[]}`, "Missing required field Statement cannot be empty!"},
		{`{"Version":"2020-01-01","Statement":{}}`, "The policy must contain a valid version string"},
		{`{"Statement":{"Action":"*","Resource":"*"}}`, "Missing required field Effect"},
		{`{"Statement":{"Effect":"Maybe","Action":"*","Resource":"*"}}`, "Invalid effect: Maybe"},
		{`{"Statement":{"Effect":"Allow","Resource":"*"}}`, "Policy statement must contain actions."},
		{`{"Statement":{"Effect":"Allow","Action":"PutItem","Resource":"*"}}`, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"table"}}`, `Resource table must be in ARN format or "*".`},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Colour":1}}`, "Unknown field Colour"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"a":"b"}}}}`, "Invalid Condition type : StringIs"},
		{`{"Statement":{"Effect":"Allow","Action":"*","Principal":{"AWS":"bob"}}}`, `Invalid principal in policy: "AWS":"bob"`},
		{`{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}`, "Statement IDs (SID) in a single policy must be unique."},
	} {
		_, err := Parse([]byte(c.doc))
		if awsapi.Code(err) != "MalformedPolicyDocument" || !strings.HasSuffix(err.Error(), ": "+c.want) {
			t.Errorf("%s: got %v, want %s", c.doc, err, c.want)
		}
	}
}

func TestCheckKind(t *testing.T) {
	identity := mustParse(t, statement(`"Action":"*","Resource":"*"`))
	trust := mustParse(t, statement(`"Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}`))
	if identity.CheckIdentity() != nil || identity.CheckTrust() == nil || identity.CheckResource() == nil {
		t.Error("an identity policy")
	}
	if trust.CheckTrust() != nil || trust.CheckIdentity() == nil || trust.CheckResource() == nil {
		t.Error("a trust policy")
	}
}

// slowMatch is the meaning of a wildcard pattern, straight from its definition.
func slowMatch(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowMatch(p[1:], s) || s != "" && slowMatch(p, s[1:])
	case s == "":
		return false
	case p[0] == '?' || p[0] == s[0]:
		return slowMatch(p[1:], s[1:])
	default:
		return false
	}
}

func TestWildcardsAgreeWithTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 10, -1).Draw(t, "string")
		c, err := compile(p, true, true)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.match(s), slowMatch(p, s); got != want {
			t.Fatalf("%q on %q: got %v, want %v", p, s, got, want)
		}
	})
}

func TestMoreStatementsNeverTurnDenyIntoAllow(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) map[string]any {
		return map[string]any{
			"Effect": rapid.SampledFrom([]string{"Allow", "Deny"}).Draw(t, "effect"),
			"Action": rapid.SliceOfN(rapid.SampledFrom([]string{"*", "s3:*", "s3:GetObject", "sqs:*"}), 1, 2).Draw(
				t, "action"),
			"Resource": rapid.SampledFrom([]string{"*", "arn:aws:s3:::b/*", "arn:aws:s3:::c"}).Draw(t, "resource"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		parse := func(list []map[string]any) *Document {
			b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
			if err != nil {
				t.Fatal(err)
			}
			d, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		a, b := rapid.SliceOfN(one, 1, 3).Draw(t, "a"), rapid.SliceOfN(one, 1, 3).Draw(t, "b")
		r := Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}
		before, _ := Evaluate([]*Document{parse(a)}, r)
		after, _ := Evaluate([]*Document{parse(a), parse(b)}, r)
		swapped, _ := Evaluate([]*Document{parse(b), parse(a)}, r)
		whole, _ := Evaluate([]*Document{parse(append(append([]map[string]any{}, a...), b...))}, r)
		if before == ExplicitDeny && after != ExplicitDeny || after != swapped || after != whole {
			t.Fatalf("before %s, after %s, swapped %s, in one document %s", before, after, swapped, whole)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(statement(`"Action":["s3:*","iot:Connect"],"NotResource":"arn:aws:s3:::${aws:username, 'x'}/*","Condition":{"ForAnyValue:ArnLikeIfExists":{"a":["arn:*"]},"NumericEquals":{"n":1}}`))
	f.Add(statement(`"NotAction":"*","Principal":{"AWS":"123456789012","Service":["a.b"]},"Condition":{"Null":{"a":true},"IpAddress":{"i":"10.0.0.0/8"},"DateLessThan":{"d":"2026-01-01"}}`))
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := Parse([]byte(doc))
		if err != nil {
			if d != nil || awsapi.Code(err) != "MalformedPolicyDocument" {
				t.Fatalf("got %v, %v", d, err)
			}
			return
		}
		r := Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Values: map[string][]string{"a": {"arn:x"},
			"i": {"10.0.0.1"}}}
		first, _ := Evaluate([]*Document{d}, r)
		second, _ := Evaluate([]*Document{d, d}, r)
		if first != second {
			t.Fatalf("once %s, twice %s", first, second)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	d := mustParse(b, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query"],"Resource":["arn:aws:dynamodb:us-east-1:123456789012:table/t","arn:aws:dynamodb:us-east-1:123456789012:table/t/index/*"]},
		{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}"}]}`)
	docs := []*Document{d}
	r := Request{Action: "iot:Connect", Resource: "arn:aws:iot:us-east-1:123456789012:client/rg-1",
		Values: map[string][]string{"iot:Connection.Thing.ThingName": {"rg-1"}}}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := Evaluate(docs, r); got != Allow {
			b.Fatal(got)
		}
	}
}
