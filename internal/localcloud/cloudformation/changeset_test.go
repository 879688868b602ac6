package cloudformation

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// propose makes a change set and returns it as it is once it is computed.
func (w world) propose(t *testing.T, kind, body string) *changeSetShape {
	t.Helper()
	in := &createChangeSetIn{stackIn: stackIn{StackName: "fleetstep", TemplateBody: body}, ChangeSetName: "c",
		ChangeSetType: kind}
	if _, err := w.createChangeSet(context.Background(), caller, in); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	out, err := w.describeChangeSet(context.Background(), caller, &changeSetRef{StackName: "fleetstep",
		ChangeSetName: "c"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestChangeSetsOfAStacksLife(t *testing.T) {
	w, ctx := newWorld(t, store.Memory()), context.Background()
	ref := &changeSetRef{StackName: "fleetstep", ChangeSetName: "c"}
	body := fmt.Sprintf(twoResources, 7, "1.zip", "")
	if c := w.propose(t, "CREATE", body); c.ExecutionStatus != "AVAILABLE" || len(c.Changes) != 2 ||
		w.status(t) != "REVIEW_IN_PROGRESS" {
		t.Fatalf("%+v", c)
	}
	if len(w.cloud.calls) != 0 {
		t.Errorf("a change set called %v", w.cloud.names())
	}
	if _, err := w.executeChangeSet(ctx, caller, ref); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if got := w.status(t); got != "CREATE_COMPLETE" {
		t.Fatal(got)
	}

	if c := w.propose(t, "UPDATE", body); c.Status != "FAILED" || c.StatusReason != noChanges {
		t.Errorf("without changes: %s %s", c.Status, c.StatusReason)
	}
	if _, err := w.executeChangeSet(ctx, caller, ref); awsapi.Code(err) != "InvalidChangeSetStatus" {
		t.Errorf("executed: %v", err)
	}
	if _, err := w.deleteChangeSet(ctx, caller, ref); err != nil {
		t.Fatal(err)
	}

	c := w.propose(t, "UPDATE", strings.Replace(fmt.Sprintf(twoResources, 7, "2.zip", ""), `"g"`, `"other"`, 1))
	var got []string
	for _, ch := range c.Changes {
		r := ch.ResourceChange
		got = append(got, r.LogicalResourceID+" "+r.Action+" "+r.Replacement)
		for _, d := range r.Details {
			got = append(got, d.Target.Name+" "+d.Target.RequiresRecreation+" "+d.Evaluation+" "+d.CausingEntity)
		}
	}
	const want = "Group Modify True|LogGroupName Always Static |Function Modify False|Code Never Static " +
		"|Environment Never Dynamic Group"
	if strings.Join(got, "|") != want {
		t.Errorf("foresees\n%s, want\n%s", strings.Join(got, "|"), want)
	}
}

func TestExportInUseStays(t *testing.T) {
	const exporting = `{"Resources": {"G": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "g"}}},
		"Outputs": {"O": {"Value": {"Ref": "G"}, "Export": {"Name": "shared"}}}}`
	w, ctx := newWorld(t, store.Memory()), context.Background()
	w.create(t, stackIn{TemplateBody: exporting})
	user := stackIn{StackName: "user", TemplateBody: `{"Resources": {"G": {"Type": "AWS::Logs::LogGroup",
		"Properties": {"LogGroupName": {"Fn::Join": ["-", [{"Fn::ImportValue": "shared"}, "x"]]}}}}}`}
	if _, err := w.createStack(ctx, caller, &user); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if !w.cloud.exists["cloudwatchlogs/g-x"] {
		t.Fatalf("made %v", w.cloud.exists)
	}
	if out, err := w.listImports(ctx, caller, &listImportsIn{ExportName: "shared"}); err != nil ||
		strings.Join(out.Imports, " ") != "user" {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := w.deleteStack(ctx, caller, &deleteStackIn{StackName: "fleetstep"}); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if got := strings.Join(w.history(t), "\n"); !strings.HasSuffix(got,
		"fleetstep DELETE_FAILED: Export shared cannot be deleted as it is in use by user") {
		t.Errorf("got\n%s", got)
	}
}

func TestYAMLIsTheSameTemplate(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.cloud.values["/name"] = "n"
	w.create(t, stackIn{TemplateBody: `
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Name: {Type: "AWS::SSM::Parameter::Value<String>", Default: /name}
Conditions:
  Yes: !Equals [!Ref Name, n]
Rules:
  Known: {Assertions: [{Assert: {"Fn::Contains": [[n, m], !Ref Name]}, AssertDescription: "an unknown name"}]}
Resources:
  G:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub "${Name}-{{resolve:ssm:/name}}"
      RetentionInDays: !If [Yes, 7, !Ref "AWS::NoValue"]
Outputs:
  Arn: {Value: !GetAtt G.Arn}
`[1:]})
	if got := w.status(t); got != "CREATE_COMPLETE" || !w.cloud.exists["cloudwatchlogs/n-n"] {
		t.Errorf("%s, made %v:\n%s", got, w.cloud.exists, strings.Join(w.history(t), "\n"))
	}
}

func TestRefusalsInAWSsWords(t *testing.T) {
	w, ctx := newWorld(t, store.Memory()), context.Background()
	var many strings.Builder
	for i := range 501 {
		fmt.Fprintf(&many, `%s"G%d": {"Type": "AWS::Logs::LogGroup"}`, map[bool]string{true: ", "}[i > 0], i)
	}
	const group = `{"Resources": {"G": {"Type": "AWS::Logs::LogGroup"}}, "Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/gone"}}}`
	w.cloud.objects["b/big.json"] = strings.Repeat(" ", 1_000_001)
	for _, c := range []struct {
		in   stackIn
		want string
	}{
		{stackIn{TemplateBody: `{"Resources": {` + many.String() + `}}`}, "Number of resources, 501, is greater than maximum allowed, 500"},
		{stackIn{TemplateBody: group}, "Unable to fetch parameters [/gone] from parameter store for this account."},
		{stackIn{TemplateBody: strings.Repeat(" ", 51_201)}, "Member must have length less than or equal to 51200"},
		{stackIn{TemplateURL: "https://b.s3.amazonaws.com/big.json"},
			"Template may not exceed 1000000 bytes in size."},
		{stackIn{TemplateURL: "https://b.s3.amazonaws.com/none.json"}, "S3 error: The specified key does not exist."},
		{stackIn{TemplateURL: "https://example.com/t.json"}, "TemplateURL must be a supported URL."},
		{stackIn{TemplateBody: strings.Replace(group, "/gone", "", 1),
			Parameters: []parameterShape{{ParameterKey: "Q"}}}, "Parameters: [Q] do not exist in the template"},
	} {
		c.in.StackName = "s"
		if _, err := w.createStack(ctx, caller, &c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200v, want %s", err, c.want)
		}
	}
	w.create(t, stackIn{TemplateBody: `{"Resources": {"G": {"Type": "AWS::Logs::LogGroup"}}}`, EnableTerminationProtection: true})
	_, err := w.deleteStack(ctx, caller, &deleteStackIn{StackName: "fleetstep"})
	if err == nil || !strings.Contains(err.Error(),
		"Stack [fleetstep] cannot be deleted while TerminationProtection is enabled") {
		t.Errorf("protected: %v", err)
	}
}

// SAM's CLI makes its own bucket with a template that names SAM's transform and has none of its types
// (samcli/lib/bootstrap/bootstrap.py, 2026-11): sam deploy --resolve-s3 failed on it.
func TestTransformThatChangesNothing(t *testing.T) {
	w, ctx := newWorld(t, store.Memory()), context.Background()
	body := func(transform, kind, more string) string {
		return fmt.Sprintf(`{"Transform": %s, "Resources": {"G": {"Type": "%s"}}%s}`, transform, kind, more)
	}
	plain := body(`"AWS::Serverless-2016-10-31"`, "AWS::Logs::LogGroup", "")
	for _, c := range []struct{ body, want string }{
		{body(`["AWS::LanguageExtensions"]`, "AWS::Logs::LogGroup", ""), "transform AWS::LanguageExtensions"},
		{body(`{"Name": "AWS::Include"}`, "AWS::Logs::LogGroup", ""), "transform AWS::Include"},
		{body(`"AWS::Serverless-2016-10-31"`, "AWS::Serverless::Function", ""), "makes AWS::Serverless::Function"},
		{body(`"AWS::Serverless-2016-10-31"`, "AWS::Logs::LogGroup", `, "Globals": {}`), "Globals: the local cloud"},
		{plain, "Requires capabilities : [CAPABILITY_AUTO_EXPAND]"},
	} {
		_, err := w.createStack(ctx, caller, &stackIn{StackName: "fleetstep", TemplateBody: c.body})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.body, err, c.want)
		}
	}
	if out, err := w.validateTemplate(ctx, caller, &validateTemplateIn{TemplateBody: plain}); err != nil ||
		strings.Join(out.DeclaredTransforms, " ") != "AWS::Serverless-2016-10-31" {
		t.Errorf("validated: %+v, %v", out, err)
	}
	w.propose(t, "CREATE", plain)
	if _, err := w.executeChangeSet(ctx, caller, &changeSetRef{StackName: "fleetstep", ChangeSetName: "c"}); err !=
		nil {
		t.Fatal(err)
	}
	w.settle(t)
	if got := w.status(t); got != "CREATE_COMPLETE" {
		t.Error(got)
	}
}
