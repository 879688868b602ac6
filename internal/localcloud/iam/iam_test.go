package iam

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	account     = "123456789012"
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	xray        = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
	table       = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
)

type rig struct {
	t    testing.TB
	db   *store.DB
	iam  *Service
	door *awsapi.Door
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, db: store.Memory()}
	r.restart()
	return r
}

func (r *rig) restart() {
	sched := scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	r.iam = New(Config{Platform: platform.Platform{Scheduler: sched, Store: r.db, Account: account,
		Region: "us-east-1"}})
	r.door = awsapi.New(awsapi.Config{Scheduler: sched, Account: account, Region: "us-east-1", Authorizer: r.iam})
	r.door.Add(r.iam.API())
}

// call runs an operation as the root and returns the code of its error.
func (r *rig) call(operation string, in map[string]any) (out map[string]any, code string) {
	r.t.Helper()
	err := awsapi.CallInto(r.t.Context(), r.door, awsapi.RootOf(account), "iam", operation, in, &out)
	return out, awsapi.Code(err)
}

func (r *rig) must(operation string, in map[string]any) map[string]any {
	r.t.Helper()
	out, code := r.call(operation, in)
	if code != "" {
		r.t.Fatalf("%s: %s", operation, code)
	}
	return out
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

func deny(action, resource string) string {
	return strings.Replace(allow(action, resource), "Allow", "Deny", 1)
}

func session(role string) awsapi.Identity {
	return awsapi.Identity{
		Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/s",
		UserID: "AROAX:s", RoleARN: "arn:aws:iam::" + account + ":role/" + role,
	}
}

func TestRoleLifeCycle(t *testing.T) {
	r := newRig(t)
	role := map[string]any{"RoleName": "fn"}
	r.must("CreateRole", map[string]any{"RoleName": "fn", "Path": "/app/", "AssumeRolePolicyDocument": lambdaTrust,
		"Tags": []map[string]string{{"Key": "k", "Value": "v"}}})
	if _, code := r.call("CreateRole", map[string]any{"RoleName": "FN",
		"AssumeRolePolicyDocument": lambdaTrust}); code != "EntityAlreadyExists" {
		t.Fatalf("a name in another case: %s", code)
	}
	r.must("PutRolePolicy", map[string]any{"RoleName": "fn", "PolicyName": "p", "PolicyDocument": allow("s3:*", "*")})
	r.must("AttachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": xray})
	r.restart()
	got := r.must("GetRole", role)["Role"].(map[string]any)
	trust, _ := url.QueryUnescape(got["AssumeRolePolicyDocument"].(string))
	if got["Arn"] != "arn:aws:iam::123456789012:role/app/fn" || !strings.HasPrefix(got["RoleId"].(string), "AROA") ||
		trust != lambdaTrust {
		t.Fatalf("got %v", got)
	}
	if names := r.must("ListRolePolicies", role)["PolicyNames"]; len(names.([]any)) != 1 {
		t.Fatalf("got %v", names)
	}
	if p := r.must("GetPolicy", map[string]any{"PolicyArn": xray})["Policy"].(map[string]any); p["AttachmentCount"] !=
		1.0 {
		t.Fatalf("got %v", p)
	}
	for _, x := range []struct {
		operation string
		in        map[string]any
		code      string
	}{
		{"DeleteRole", role, "DeleteConflict"},
		{"DetachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": xray}, ""},
		{"DetachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": xray}, "NoSuchEntity"},
		{"DeleteRole", role, "DeleteConflict"},
		{"DeleteRolePolicy", map[string]any{"RoleName": "fn", "PolicyName": "p"}, ""},
		{"DeleteRolePolicy", map[string]any{"RoleName": "fn", "PolicyName": "p"}, "NoSuchEntity"},
		{"DeleteRole", role, ""},
		{"GetRole", role, "NoSuchEntity"},
		{"AttachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": xray}, "NoSuchEntity"},
		{"CreateRole", map[string]any{"RoleName": "bad name", "AssumeRolePolicyDocument": lambdaTrust},
			"ValidationError"},
		{"CreateRole", map[string]any{"RoleName": "x", "AssumeRolePolicyDocument": allow("s3:*", "*")},
			"MalformedPolicyDocument"},
		{"PutRolePolicy", map[string]any{"RoleName": "x", "PolicyName": "p", "PolicyDocument": "{}"},
			"MalformedPolicyDocument"},
	} {
		if _, code := r.call(x.operation, x.in); code != x.code {
			t.Errorf("%s %v: got %q, want %q", x.operation, x.in, code, x.code)
		}
	}
}

func TestManagedPolicies(t *testing.T) {
	r := newRig(t)
	r.must("CreateRole", map[string]any{"RoleName": "fn", "AssumeRolePolicyDocument": lambdaTrust})
	p := r.must("CreatePolicy", map[string]any{"PolicyName": "p", "PolicyDocument": allow("dynamodb:GetItem",
		table)})["Policy"].(map[string]any)
	arn := p["Arn"].(string)
	r.must("AttachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": arn})
	may := func(action string) bool {
		return r.iam.Authorize(t.Context(), awsapi.Request{Identity: session("fn"), Action: action,
			Resource: table}) == nil
	}
	if !may("dynamodb:GetItem") || may("dynamodb:PutItem") {
		t.Fatal("the policy does not apply")
	}
	r.must("CreatePolicyVersion", map[string]any{"PolicyArn": arn, "PolicyDocument": allow("dynamodb:PutItem", table),
		"SetAsDefault": true})
	if may("dynamodb:GetItem") || !may("dynamodb:PutItem") {
		t.Fatal("the new version does not apply")
	}
	if _, code := r.call("DeletePolicy", map[string]any{"PolicyArn": arn}); code != "DeleteConflict" {
		t.Fatalf("got %s", code)
	}
	if roles := r.must("ListEntitiesForPolicy", map[string]any{"PolicyArn": arn})["PolicyRoles"].([]any); len(
		roles) != 1 {
		t.Fatalf("got %v", roles)
	}
	r.must("DetachRolePolicy", map[string]any{"RoleName": "fn", "PolicyArn": arn})
	r.must("DeletePolicyVersion", map[string]any{"PolicyArn": arn, "VersionId": "v1"})
	r.must("DeletePolicy", map[string]any{"PolicyArn": arn})
	if may("dynamodb:PutItem") {
		t.Fatal("a deleted policy applies")
	}
}

// TestListsArePrefixed: PathPrefix is of policies where policies are listed, and of roles and users where these are.
func TestListsArePrefixed(t *testing.T) {
	r := newRig(t)
	const doc = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	r.must("CreateRole", map[string]any{"RoleName": "r", "Path": "/apps/", "AssumeRolePolicyDocument": lambdaTrust})
	r.must("CreateUser", map[string]any{"UserName": "u", "Path": "/people/"})
	var arns []any
	for _, path := range []string{"/", "/team/"} {
		made := r.must("CreatePolicy", map[string]any{"PolicyName": "p" + strings.Trim(path, "/"), "Path": path,
			"PolicyDocument": doc})
		arn := made["Policy"].(map[string]any)["Arn"]
		arns = append(arns, arn)
		r.must("AttachRolePolicy", map[string]any{"RoleName": "r", "PolicyArn": arn})
		r.must("AttachUserPolicy", map[string]any{"UserName": "u", "PolicyArn": arn})
	}
	for _, tt := range []struct {
		operation, member string
		in                map[string]any
		want              int
	}{
		{"ListAttachedRolePolicies", "AttachedPolicies", map[string]any{"RoleName": "r"}, 2},
		{"ListAttachedRolePolicies", "AttachedPolicies", map[string]any{"RoleName": "r", "PathPrefix": "/team/"}, 1},
		{"ListAttachedUserPolicies", "AttachedPolicies", map[string]any{"UserName": "u", "PathPrefix": "/other/"}, 0},
		{"ListEntitiesForPolicy", "PolicyRoles", map[string]any{"PolicyArn": arns[0], "PathPrefix": "/apps/"}, 1},
		{"ListEntitiesForPolicy", "PolicyUsers", map[string]any{"PolicyArn": arns[0], "PathPrefix": "/apps/"}, 0},
	} {
		if got, _ := r.must(tt.operation, tt.in)[tt.member].([]any); len(got) != tt.want {
			t.Errorf("%s %v: %v, want %d", tt.operation, tt.in, got, tt.want)
		}
	}
	for prefix, code := range map[string]string{"/team": "ValidationError", "team/": "ValidationError", "/": ""} {
		if _, got := r.call("ListPolicies", map[string]any{"PathPrefix": prefix}); got != code {
			t.Errorf("ListPolicies of %s: %s", prefix, got)
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"c", "a", "b"} {
		r.must("CreateRole", map[string]any{"RoleName": n, "AssumeRolePolicyDocument": lambdaTrust})
	}
	var names []string
	in := map[string]any{"MaxItems": 2}
	for {
		out := r.must("ListRoles", in)
		for _, x := range out["Roles"].([]any) {
			names = append(names, x.(map[string]any)["RoleName"].(string))
		}
		if out["IsTruncated"] == false {
			break
		}
		in["Marker"] = out["Marker"]
	}
	if got := strings.Join(names, ""); got != "abc" {
		t.Fatalf("got %s", got)
	}
}

func TestDecisions(t *testing.T) {
	r := newRig(t)
	for name, doc := range map[string]string{
		"reader": allow("dynamodb:GetItem", table), "denied": deny("dynamodb:GetItem", table),
		"nothing":   allow("s3:*", "*"),
		"elsewhere": allow("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:999999999999:table/t"),
	} {
		r.must("CreateRole", map[string]any{"RoleName": name, "AssumeRolePolicyDocument": lambdaTrust})
		r.must("PutRolePolicy", map[string]any{"RoleName": name, "PolicyName": "p", "PolicyDocument": doc})
	}
	r.must("CreateRole", map[string]any{"RoleName": "bounded", "AssumeRolePolicyDocument": lambdaTrust,
		"PermissionsBoundary": xray})
	r.must("PutRolePolicy", map[string]any{"RoleName": "bounded", "PolicyName": "p",
		"PolicyDocument": allow("dynamodb:GetItem", table)})

	const topic = "arn:aws:sns:us-east-1:123456789012:topic"
	byTopic := `{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"dynamodb:GetItem","Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"` + topic + `"}}}]}`
	forNothing := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/nothing"},"Action":"dynamodb:GetItem","Resource":"*"}]}`
	forAccount := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"dynamodb:GetItem","Resource":"*"}]}`
	denyAll := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`
	const not = " is not authorized to perform: dynamodb:GetItem on resource: " + table
	user := "User: arn:aws:sts::123456789012:assumed-role/"
	for _, x := range []struct {
		name     string
		id       awsapi.Identity
		policy   string
		resource string
		want     string
	}{
		{"root", awsapi.RootOf(account), "", table, ""},
		{"root, denied by the resource", awsapi.RootOf(account), denyAll, table,
			"User: arn:aws:iam::123456789012:root" + not + " with an explicit deny in a resource-based policy"},
		{"role", session("reader"), "", table, ""},
		{"role without permission", session("nothing"), "", table, user + "nothing/s" + not +
			" because no identity-based policy allows the dynamodb:GetItem action"},
		{"role that does not exist", session("nobody"), "", table, user + "nobody/s" + not +
			" because no identity-based policy allows the dynamodb:GetItem action"},
		{"role allowed by the resource", session("nothing"), forNothing, table, ""},
		{"role of an account allowed by the resource", session("nothing"), forAccount, table, user + "nothing/s" +
			not + " because no identity-based policy allows the dynamodb:GetItem action"},
		{"role that is denied", session("denied"), forNothing, table, user + "denied/s" + not +
			" with an explicit deny in an identity-based policy"},
		{"role denied by the resource", session("reader"), denyAll, table, user + "reader/s" + not +
			" with an explicit deny in a resource-based policy"},
		{"role outside its boundary", session("bounded"), "", table, user + "bounded/s" + not +
			" because no permissions boundary allows the dynamodb:GetItem action"},
		{"service", awsapi.ServiceOf("sns.amazonaws.com", account, topic), byTopic, table, ""},
		{"service for another resource", awsapi.ServiceOf("sns.amazonaws.com", account, topic+"2"), byTopic, table,
			"User: sns.amazonaws.com" + not + " because no resource-based policy allows the dynamodb:GetItem action"},
		{"service without a policy", awsapi.ServiceOf("sns.amazonaws.com", account, topic), "", table,
			"User: sns.amazonaws.com" + not + " because no resource-based policy allows the dynamodb:GetItem action"},
		{"nobody", awsapi.Anonymous(), "", table, "User: anonymous" + not +
			" because no resource-based policy allows the dynamodb:GetItem action"},
		{"another account's resource", session("elsewhere"), "", "arn:aws:dynamodb:us-east-1:999999999999:table/t",
			"because no resource-based policy allows"},
		{"another account's resource, allowed", session("elsewhere"), forAccount,
			"arn:aws:dynamodb:us-east-1:999999999999:table/t", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := r.iam.Authorize(t.Context(), awsapi.Request{Identity: x.id, Action: "dynamodb:GetItem",
				Resource: x.resource, ResourcePolicy: x.policy})
			if x.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e, ok := errors.AsType[*awsapi.Error](err)
			if !ok || e.Code != "AccessDeniedException" || e.HTTPStatus() != 403 ||
				!strings.HasSuffix(e.Message, x.want) && !strings.Contains(e.Message, x.want) {
				t.Fatalf("got %v, want %s", err, x.want)
			}
		})
	}
}

func TestServicesAssumeRolesThatTrustThem(t *testing.T) {
	r := newRig(t)
	trust := `{"Statement":[{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnLike":{"aws:SourceArn":"arn:aws:states:*:123456789012:stateMachine:*"}}}]}`
	r.must("CreateRole", map[string]any{"RoleName": "m", "Path": "/p/", "AssumeRolePolicyDocument": trust})
	const arn = "arn:aws:iam::123456789012:role/p/m"
	const machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
	id, err := r.iam.Assume(t.Context(), arn, "states.amazonaws.com", machine, "a name:1")
	if err != nil || id.ARN != "arn:aws:sts::123456789012:assumed-role/m/a-name-1" || id.RoleARN != arn ||
		!strings.HasSuffix(id.UserID, ":a-name-1") {
		t.Fatalf("%+v, %v", id, err)
	}
	for _, x := range [][3]string{
		{arn, "lambda.amazonaws.com", machine}, {arn, "states.amazonaws.com",
			"arn:aws:states:us-east-1:999999999999:stateMachine:m"},
		{"arn:aws:iam::123456789012:role/m", "states.amazonaws.com", machine},
		{arn + "2", "states.amazonaws.com", machine},
	} {
		_, err := r.iam.Assume(t.Context(), x[0], x[1], x[2], "s")
		if awsapi.Code(err) != "AccessDenied" || !strings.HasSuffix(err.Error(), "User: "+x[1]+
			" is not authorized to perform: sts:AssumeRole on resource: "+x[0]) {
			t.Errorf("%v: %v", x, err)
		}
	}
}

// TestRoleTrustsTheRegionalPrincipal: of Step Functions, of this region only.
func TestRoleTrustsTheRegionalPrincipal(t *testing.T) {
	r := newRig(t)
	for region, code := range map[string]string{"us-east-1": "", "eu-west-1": "AccessDenied"} {
		r.must("CreateRole", map[string]any{"RoleName": region, "AssumeRolePolicyDocument": `{"Statement":[{"Effect":"Allow",
		 "Principal":{"Service":"states.` + region + `.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
		_, err := r.iam.Assume(t.Context(), "arn:aws:iam::123456789012:role/"+region, "states.amazonaws.com",
			"arn:aws:states:us-east-1:123456789012:stateMachine:m", "s")
		if awsapi.Code(err) != code {
			t.Errorf("%s: %v", region, err)
		}
	}
}

// TestCachedDecisionsFollowChanges changes policies at random and compares
// the service with a fresh one that has no cache.
func TestCachedDecisionsFollowChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		names := []string{"a", "b"}
		for _, n := range names {
			r.must("CreateRole", map[string]any{"RoleName": n, "AssumeRolePolicyDocument": lambdaTrust})
		}
		action := rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject"})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "role")
			switch rapid.IntRange(0, 3).Draw(rt, "do") {
			case 0:
				r.must("PutRolePolicy", map[string]any{"RoleName": name, "PolicyName": "p",
					"PolicyDocument": allow(action.Draw(rt, "allowed"), "*")})
			case 1:
				r.must("PutRolePolicy", map[string]any{"RoleName": name, "PolicyName": "q",
					"PolicyDocument": deny(action.Draw(rt, "denied"), "*")})
			case 2:
				r.call("DeleteRolePolicy", map[string]any{"RoleName": name, "PolicyName": rapid.SampledFrom(
					[]string{"p", "q"}).Draw(rt, "policy")})
			case 3:
				q := awsapi.Request{Identity: session(name), Action: action.Draw(rt, "action"),
					Resource: "arn:aws:s3:::b/k"}
				fresh := New(r.iam.config)
				got, want := r.iam.Authorize(t.Context(), q), fresh.Authorize(t.Context(), q)
				if (got == nil) != (want == nil) {
					rt.Fatalf("%s as %s: %v with the cache, %v without", q.Action, name, got, want)
				}
			}
		}
	})
}

func BenchmarkAuthorize(b *testing.B) {
	r := newRig(b)
	r.must("CreateRole", map[string]any{"RoleName": "fn", "AssumeRolePolicyDocument": lambdaTrust})
	doc, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": []string{"dynamodb:GetItem", "dynamodb:PutItem"},
			"Resource": table},
		map[string]any{"Effect": "Allow", "Action": "states:SendTask*", "Resource": "*"},
	}})
	r.must("PutRolePolicy", map[string]any{"RoleName": "fn", "PolicyName": "p", "PolicyDocument": string(doc)})
	q := awsapi.Request{Identity: session("fn"), Action: "dynamodb:PutItem", Resource: table}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.iam.Authorize(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}
