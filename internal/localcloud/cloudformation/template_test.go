package cloudformation

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// inTemplate is a template with one resource whose property P is the given expression.
func inTemplate(expression string) string {
	return `{
		"Parameters": {
			"Name": {"Type": "String", "Default": "fleet"}, "Count": {"Type": "Number", "Default": 3},
			"Zones": {"Type": "CommaDelimitedList", "Default": "a, b,c"}, "Empty": {"Type": "String", "Default": ""}
		},
		"Mappings": {"Size": {"us-east-1": {"small": 1, "list": ["x", "y"]}}},
		"Conditions": {
			"Yes": {"Fn::Equals": [{"Ref": "Name"}, "fleet"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]},
			"Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
			"Either": {"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]}
		},
		"Resources": {
			"Other": {"Type": "T::T::T", "Properties": {}},
			"It": {"Type": "T::T::T", "Properties": {"P": ` + expression + `}}
		}
	}`
}

func evaluate(t *testing.T, expression string) (any, error) {
	t.Helper()
	template, err := Parse([]byte(inTemplate(expression)))
	if err != nil {
		return nil, err
	}
	parameters, err := template.values(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &scope{
		t: template, parameters: parameters, conditions: map[string]bool{}, zones: []string{"us-east-1a",
			"us-east-1b"},
		pseudo:   map[string]any{"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"},
		resource: func(id string) (any, error) { return "ref-" + id, nil },
		attribute: func(id, name string) (any, error) {
			if name == "Missing" {
				return nil, errors.New("no attribute Missing")
			}
			return "att-" + id + "-" + name, nil
		},
		imported: func(name string) (string, error) { return "imported-" + name, nil },
	}
	for name := range template.Conditions {
		if _, err := s.condition(name); err != nil {
			t.Fatal(err)
		}
	}
	v, err := s.value("Resources.It.Properties", template.Resources["It"].Properties)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any)["P"], nil
}

func TestFunctions(t *testing.T) {
	for _, c := range []struct{ name, in, want, wantErr string }{
		{name: "literal", in: `{"a": [1, "x", true]}`, want: `{"a":[1,"x",true]}`},
		{name: "Ref to a parameter", in: `{"Ref": "Name"}`, want: `"fleet"`},
		{name: "Ref to a number", in: `{"Ref": "Count"}`, want: `"3"`},
		{name: "Ref to a list", in: `{"Ref": "Zones"}`, want: `["a","b","c"]`},
		{name: "Ref to a pseudo parameter", in: `{"Ref": "AWS::Region"}`, want: `"us-east-1"`},
		{name: "Ref to a resource", in: `{"Ref": "Other"}`, want: `"ref-Other"`},
		{name: "NoValue in a list", in: `["a", {"Ref": "AWS::NoValue"}]`, want: `["a"]`},
		{name: "NoValue in an object", in: `{"a": {"Ref": "AWS::NoValue"}, "b": 1}`, want: `{"b":1}`},
		{name: "NoValue by If", in: `{"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}}`, want: `{}`},
		{name: "GetAtt as list", in: `{"Fn::GetAtt": ["Other", "Arn"]}`, want: `"att-Other-Arn"`},
		{name: "GetAtt as text", in: `{"Fn::GetAtt": "Other.A.B"}`, want: `"att-Other-A.B"`},
		{name: "Sub", in: `{"Fn::Sub": "${AWS::Region}:${Name}/${Other}/${Other.Arn}"}`, want: `"us-east-1:fleet/ref-Other/att-Other-Arn"`},
		{name: "Sub escape", in: `{"Fn::Sub": "a ${!iot:X.Y} $b {c}"}`, want: `"a ${iot:X.Y} $b {c}"`},
		{name: "Sub with names of its own", in: `{"Fn::Sub": ["${x}-${Name}-${y}", {"x": {"Ref": "Other"}, "y": 7}]}`, want: `"ref-Other-fleet-7"`},
		{name: "Join", in: `{"Fn::Join": ["-", ["a", {"Ref": "Name"}, 3]]}`, want: `"a-fleet-3"`},
		{name: "Join over Split", in: `{"Fn::Join": ["_", {"Fn::Split": ["-", "a-b-c"]}]}`, want: `"a_b_c"`},
		{name: "Join needs a list", in: `{"Fn::Join": ["-", "a"]}`, wantErr: "a delimiter and a list"},
		{name: "Split", in: `{"Fn::Split": [",", "a,,b"]}`, want: `["a","","b"]`},
		{name: "Select", in: `{"Fn::Select": ["1", {"Ref": "Zones"}]}`, want: `"b"`},
		{name: "Select by number", in: `{"Fn::Select": [0, ["x", "y"]]}`, want: `"x"`},
		{name: "Select outside", in: `{"Fn::Select": [2, ["x", "y"]]}`, wantErr: "outside the list of 2"},
		{name: "FindInMap", in: `{"Fn::FindInMap": ["Size", {"Ref": "AWS::Region"}, "small"]}`, want: `1`},
		{name: "FindInMap of a list", in: `{"Fn::FindInMap": ["Size", "us-east-1", "list"]}`, want: `["x","y"]`},
		{name: "FindInMap without the key", in: `{"Fn::FindInMap": ["Size", "us-east-1", "big"]}`, wantErr: "has no us-east-1.big"},
		{name: "Base64", in: `{"Fn::Base64": {"Ref": "Name"}}`, want: `"ZmxlZXQ="`},
		{name: "GetAZs", in: `{"Fn::GetAZs": ""}`, want: `["us-east-1a","us-east-1b"]`},
		{name: "GetAZs elsewhere", in: `{"Fn::GetAZs": "eu-west-1"}`, wantErr: "does not have the region eu-west-1"},
		{name: "If", in: `{"Fn::If": ["Yes", "a", "b"]}`, want: `"a"`},
		{name: "If not", in: `{"Fn::If": ["No", "a", {"Ref": "Name"}]}`, want: `"fleet"`},
		{name: "And", in: `{"Fn::If": ["Both", 1, 2]}`, want: `2`},
		{name: "Or", in: `{"Fn::If": ["Either", 1, 2]}`, want: `1`},
		{name: "If evaluates one arm", in: `{"Fn::If": ["Yes", "a", {"Fn::Select": [9, []]}]}`, want: `"a"`},
		{name: "missing attribute", in: `{"x": {"Fn::GetAtt": ["Other", "Missing"]}}`, wantErr: "Resources.It.Properties.P.x.Fn::GetAtt: no attribute Missing"},
		{name: "a policy's Condition is data", in: `{"Condition": {"Bool": {"a": "b"}}}`, want: `{"Condition":{"Bool":{"a":"b"}}}`},

		{name: "ImportValue", in: `{"Fn::ImportValue": "x"}`, want: `"imported-x"`},
		{name: "Transform", in: `{"Fn::Transform": {}}`, wantErr: "does not implement Fn::Transform"},
		{name: "Cidr", in: `{"Fn::Cidr": []}`, wantErr: "does not implement Fn::Cidr"},
		{name: "unknown name", in: `{"Ref": "Nobody"}`, wantErr: "no parameter or resource Nobody"},
		{name: "unknown condition", in: `{"Fn::If": ["Nobody", 1, 2]}`, wantErr: "no condition Nobody"},
		{name: "unknown resource", in: `{"Fn::GetAtt": ["Nobody", "Arn"]}`, wantErr: "no resource Nobody"},
		{name: "unknown mapping", in: `{"Fn::FindInMap": ["Nobody", "a", "b"]}`, wantErr: "no mapping Nobody"},
		{name: "Equals outside of Conditions", in: `{"Fn::Equals": ["a", "a"]}`, wantErr: "Conditions only"},
		{name: "dynamic reference to a secret", in: `"{{resolve:secretsmanager:x}}"`, wantErr: "does not implement dynamic references to secretsmanager"},
		{name: "dynamic reference to a secure string", in: `"{{resolve:ssm-secure:x:1}}"`, wantErr: "dynamic references to ssm-secure"},
		{name: "dynamic reference without a name", in: `"{{resolve:ssm:}}"`, wantErr: "Incorrect format is used in the following SSM reference"},
		{name: "Contains outside of Rules", in: `{"Fn::Contains": [["a"], "a"]}`, wantErr: "Rules only"},
		{name: "function beside a member", in: `{"Fn::Join": ["", []], "x": 1}`, wantErr: "only member"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := evaluate(t, c.in)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("%s: error %v, want one with %q", c.in, err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", c.in, err)
			}
			if b, _ := json.Marshal(got); string(b) != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.in, b, c.want)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	template, err := Parse([]byte(`{
		"Parameters": {
			"Text": {"Type": "String", "MinLength": 2, "MaxLength": "4", "Default": "abc"},
			"Pattern": {"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters", "Default": "x"},
			"Choice": {"Type": "String", "AllowedValues": ["a", 1], "Default": "a"},
			"Number": {"Type": "Number", "MinValue": 1, "MaxValue": 10, "Default": "5"},
			"Numbers": {"Type": "List<Number>", "Default": "1,2"},
			"Needed": {"Type": "String"}
		},
		"Resources": {"R": {"Type": "T::T::T"}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := template.values(map[string]string{"Needed": "n", "Choice": "1"}, nil)
	want := map[string]any{"Text": "abc", "Pattern": "x", "Choice": "1", "Number": "5", "Numbers": []any{"1", "2"},
		"Needed": "n"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = template.values(map[string]string{
		"Text": "abcde", "Pattern": "aB", "Choice": "b", "Number": "11", "Numbers": "1,x", "Unknown": "",
	}, nil)
	var bad *TemplateError
	if !errors.As(err, &bad) {
		t.Fatalf("got %v", err)
	}
	var paths []string
	for _, p := range bad.Problems {
		paths = append(paths, strings.TrimPrefix(p.Path, "Parameters."))
	}
	if got, want := strings.Join(paths, " "), "Unknown Choice Needed Number Numbers Pattern Text"; got != want {
		t.Errorf("problems with %s, want %s: %v", got, want, err)
	}
	if !strings.Contains(err.Error(), "small letters") {
		t.Errorf("the constraint's description is missing: %v", err)
	}
	if awsapi.Code(err) != "ValidationError" {
		t.Errorf("AWS code %s, want ValidationError", awsapi.Code(err))
	}
}

// TestParseReportsEverything has one template with many mistakes.
func TestParseReportsEverything(t *testing.T) {
	_, err := Parse([]byte(`{
		"Nonsense": {}, "Transform": "AWS::LanguageExtensions",
		"Parameters": {"Image": {"Type": "AWS::EC2::Image::Id"}, "Bad-Name": {"Type": "String"}, "Re": {"Type": "String", "AllowedPattern": "(?=x)"}},
		"Conditions": {"C": {"Fn::Equals": [{"Ref": "R"}, "a"]}},
		"Resources": {
			"R": {"Properties": {}, "DependsOn": "Gone", "Condition": "NoSuch", "DeletionPolicy": "Snapshot", "CreationPolicy": {}},
			"S": {"Type": "T", "Properties": {"P": {"Fn::Sub": "${Nowhere} ${Gone.Arn}"}}}
		},
		"Outputs": {"O": {"Export": "x"}, "Q": {"Value": {"Ref": "Missing"}}}
	}`))
	var bad *TemplateError
	if !errors.As(err, &bad) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`$: "Nonsense" is not a section`, "Transform: the local cloud does not implement", "Parameters.Image.Type: the local cloud does not implement the parameter type AWS::EC2::Image::Id",
		"Parameters.Bad-Name: a logical id", "Parameters.Re.AllowedPattern: the local cloud cannot read",
		"Conditions.C.Fn::Equals[0].Ref: there is no parameter",
		"Resources.R: Type is required", "Resources.R.DependsOn: there is no resource Gone",
		"Resources.R.Condition: there is no condition NoSuch",
		"Resources.R.DeletionPolicy: Snapshot is not implemented",
		"Resources.R.CreationPolicy: the local cloud does not implement",
		"Resources.S.Properties.P.Fn::Sub: there is no parameter or resource Nowhere",
		"there is no resource Gone that",
		"Outputs.O: Value is required", "Outputs.O.Export: must be an object",
		"Outputs.Q.Value.Ref: there is no parameter or resource Missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
}

func TestCycles(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"by Ref and Sub": {
			`{"Resources": {"A": {"Type": "T", "Properties": {"x": {"Ref": "B"}}}, "B": {"Type": "T", "Properties": {"x": {"Fn::Sub": "${C.Arn}"}}}, "C": {"Type": "T", "DependsOn": ["A"]}}}`,
			"A -> B -> C -> A"},
		"with itself": {`{"Resources": {"A": {"Type": "T", "Properties": {"x": {"Fn::GetAtt": ["A", "Arn"]}}}}}`, "A -> A"},
		"conditions": {
			`{"Conditions": {"A": {"Fn::Not": [{"Condition": "B"}]}, "B": {"Fn::Not": [{"Condition": "A"}]}}, "Resources": {"R": {"Type": "T"}}}`,
			"A -> B -> A"},
	} {
		if _, err := Parse([]byte(c.in)); err == nil ||
			!strings.Contains(err.Error(), "circular dependency: "+c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestOrder(t *testing.T) {
	template, err := Parse([]byte(`{"Resources": {
		"A": {"Type": "T", "DependsOn": "C"}, "B": {"Type": "T"},
		"C": {"Type": "T", "Properties": {"x": {"Fn::Join": ["", [{"Ref": "D"}]]}}},
		"D": {"Type": "T", "Properties": {"x": {"Fn::Sub": ["${B} ${E}", {"E": 1}]}}}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(template.Order(), " "); got != "B D C A" {
		t.Errorf("got %s", got)
	}
}

func TestPhysicalNames(t *testing.T) {
	e := environment{"123456789012", "us-east-1"}
	r := Request{Stack: "fleetstep", LogicalID: "FirmwareBucket", Properties: map[string]any{}}
	plain := naming{max: 255}.physicalName(e, r)
	if !strings.HasPrefix(plain, "fleetstep-FirmwareBucket-") || len(plain) != len("fleetstep-FirmwareBucket-")+12 {
		t.Errorf("got %s", plain)
	}
	if again := (naming{max: 255}).physicalName(e, r); again != plain {
		t.Errorf("%s and then %s", plain, again)
	}
	if other := (naming{max: 255}).physicalName(environment{"123456789012", "eu-west-1"}, r); other == plain {
		t.Error("the same name in two regions")
	}
	if got := (naming{max: 63, lower: true}).physicalName(e, r); got != strings.ToLower(got) {
		t.Errorf("got %s", got)
	}
	if got := (naming{max: 128, separator: "_"}).physicalName(e, r); strings.Contains(got, "-") {
		t.Errorf("got %s", got)
	}
	r.Stack, r.LogicalID = strings.Repeat("s", 128), strings.Repeat("L", 255)
	if got := (naming{max: 64}).physicalName(e, r); len(got) != 64 {
		t.Errorf("%d characters: %s", len(got), got)
	}
	r.Properties["Name"] = "given"
	if got := (naming{property: "Name", max: 64}).physicalName(e, r); got != "given" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse: a template either has problems, each with a path, or all that Deploy needs can be made of it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(inTemplate(`{"Fn::Sub": ["${x}", {"x": {"Ref": "Other"}}]}`)))
	f.Add([]byte(`{"Resources": {"A": {"Type": "T", "DependsOn": ["A"]}}}`))
	f.Add([]byte(`{"Resources": {"A": {"Type": "T", "Properties": {"x": {"Fn::Select": [1, {"Fn::Split": ["", ""]}]}}}}}`))
	f.Add([]byte(`{"Conditions": {"A": {"Condition": "A"}}, "Resources": {"A": {"Type": "T", "Condition": "A"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		template, err := Parse(body)
		if err != nil {
			var bad *TemplateError
			if template != nil || !errors.As(err, &bad) || len(bad.Problems) == 0 {
				t.Fatalf("template %v, error %v", template, err)
			}
			for _, p := range bad.Problems {
				if p.Path == "" || p.Message == "" {
					t.Fatalf("a problem without a place: %+v", p)
				}
			}
			return
		}
		if len(template.Order()) != len(template.Resources) {
			t.Fatalf("order %v of %d resources", template.Order(), len(template.Resources))
		}
		parameters, err := template.values(nil, nil)
		if err != nil {
			return
		}
		s := &scope{
			t: template, parameters: parameters, conditions: map[string]bool{}, pseudo: map[string]any{},
			resource:  func(string) (any, error) { return "r", nil },
			attribute: func(string, string) (any, error) { return "a", nil },
		}
		for name := range template.Conditions {
			if _, err := s.condition(name); err != nil {
				return
			}
		}
		for id, r := range template.Resources {
			if v, err := s.value("Resources."+id, mapOrEmpty(r.Properties)); err == nil {
				if _, err := json.Marshal(v); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
