package ssm

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/kms"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type m = map[string]any

// cloud is a door with the Parameter Store and KMS behind it.
func cloud(t *testing.T) func(operation string, in, out any) error {
	t.Helper()
	s, db := scheduler.NewVirtual(1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), store.Memory()
	door := awsapi.New(awsapi.Config{Scheduler: s, Account: "123456789012", Region: "us-east-1"})
	door.Add(kms.New(kms.Config{Platform: platform.Platform{Scheduler: s, Store: db, Account: "123456789012",
		Region: "us-east-1"}}).API())
	door.Add(New(Config{Platform: platform.Platform{Scheduler: s, Store: db, Caller: door, Account: "123456789012",
		Region: "us-east-1"}}).API())
	return func(operation string, in, out any) error {
		return awsapi.CallInto(context.Background(), door, awsapi.RootOf("123456789012"), "ssm", operation, in, out)
	}
}

func TestVersionsAndLabels(t *testing.T) {
	call := cloud(t)
	for _, value := range []string{"one", "two", "three"} {
		if err := call("PutParameter", m{"Name": "/a/b", "Value": value, "Type": "String",
			"Overwrite": value != "one"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := call("LabelParameterVersion", m{"Name": "/a/b", "ParameterVersion": 2, "Labels": []string{"live",
		"aws-x"}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/a/b": "three", "/a/b:1": "one", "/a/b:live": "two",
		"arn:aws:ssm:us-east-1:123456789012:parameter/a/b": "three",
		"/a/b:9": "ParameterVersionNotFound", "/a/b:dead": "ParameterVersionNotFound", "/a/c": "ParameterNotFound",
	} {
		var out getOut
		err := call("GetParameter", m{"Name": name}, &out)
		if got := out.Parameter.Value + awsapi.Code(err); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	var history listOut
	if err := call("GetParameterHistory", m{"Name": "/a/b"}, &history); err != nil || len(history.Parameters) != 3 ||
		strings.Join(history.Parameters[1].Labels, " ") != "live" {
		t.Errorf("history %+v, %v", history, err)
	}
}

func TestSecureStringIsEncrypted(t *testing.T) {
	call := cloud(t)
	if err := call("PutParameter", m{"Name": "secret", "Value": "xyzzy", "Type": "SecureString"}, nil); err != nil {
		t.Fatal(err)
	}
	var sealed, open getOut
	if err := call("GetParameter", m{"Name": "secret"}, &sealed); err != nil ||
		strings.Contains(sealed.Parameter.Value, "xyzzy") {
		t.Errorf("%+v, %v", sealed, err)
	}
	if err := call("GetParameter", m{"Name": "secret", "WithDecryption": true}, &open); err != nil ||
		open.Parameter.Value != "xyzzy" {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestByPath(t *testing.T) {
	call := cloud(t)
	for _, name := range []string{"/a/1", "/a/2", "/a/b/3", "/ab/4", "plain"} {
		if err := call("PutParameter", m{"Name": name, "Value": name, "Type": "String"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		recursive bool
		want      string
	}{{false, "/a/1 /a/2"}, {true, "/a/1 /a/2 /a/b/3"}} {
		var names []string
		token := ""
		for {
			var out byPathOut
			if err := call("GetParametersByPath", m{"Path": "/a", "Recursive": c.recursive, "MaxResults": 1,
				"NextToken": token}, &out); err != nil {
				t.Fatal(err)
			}
			for _, p := range out.Parameters {
				names = append(names, p.Name)
			}
			if token = out.NextToken; token == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("recursive %v: %s, want %s", c.recursive, got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	call := cloud(t)
	if err := call("PutParameter", m{"Name": "there", "Value": "x", "Type": "String"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   m
		want string
	}{
		{m{"Name": "there", "Value": "y", "Type": "String"}, "ParameterAlreadyExists: The parameter already exists."},
		{m{"Name": "aws-x", "Value": "y", "Type": "String"}, `can't be prefixed with "aws" or "ssm"`},
		{m{"Name": "a/b", "Value": "y", "Type": "String"}, "must be a fully qualified name"},
		{m{"Name": "n", "Value": "y"}, "A parameter type is required"},
		{m{"Name": "n", "Value": strings.Repeat("x", 4097), "Type": "String"},
			"maximum parameter value of 4096 characters"},
		{m{"Name": "n", "Value": "y", "Type": "String", "AllowedPattern": "[0-9]+"},
			"ParameterPatternMismatchException"},
		{m{"Name": "/" + strings.Repeat("a/", 15) + "b", "Value": "y", "Type": "String"},
			"HierarchyLevelLimitExceededException"},
		{m{"Name": "there", "Value": "y", "Overwrite": true, "Tags": []m{{"Key": "a", "Value": "b"}}},
			"tags and overwrite can't be used together"},
	} {
		if err := call("PutParameter", c.in, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.in["Name"], err, c.want)
		}
	}
}
