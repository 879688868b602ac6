package cloudformation

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Where templates come from, and what can be asked of them.

// maxStacks is how many stacks an account has in a region. Source as of maxResources.
const maxStacks = 2000

// templateOf is the text of the template that a request means.
func (s *Service) templateOf(ctx context.Context, c *awsapi.Call, in *stackIn, previous stackRecord) (string, error) {
	given := 0
	for _, is := range []bool{in.TemplateBody != "", in.TemplateURL != "", in.UsePreviousTemplate} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return "", awsapi.Errorf("ValidationError", "Either Template URL or Template Body must be specified.")
	case given > 1:
		return "", awsapi.Errorf("ValidationError",
			"Only one of Template URL, Template Body and UsePreviousTemplate may be specified.")
	case in.UsePreviousTemplate && previous.Original != "":
		return previous.Original, nil
	case in.UsePreviousTemplate:
		return string(previous.Template), nil
	}
	return s.templateFrom(ctx, c, in.TemplateBody, in.TemplateURL)
}

// templateFrom reads a template from a request, or from S3 as the caller.
func (s *Service) templateFrom(ctx context.Context, c *awsapi.Call, body, address string) (string, error) {
	if address == "" {
		if len(body) > maxInlineTemplate {
			return "", awsapi.Errorf("ValidationError",
				"1 validation error detected: Value '%s...' at 'templateBody' failed to satisfy constraint: "+
					"Member must have length less than or equal to %d", body[:40], maxInlineTemplate)
		}
		return body, nil
	}
	in, err := s.object(address)
	if err != nil {
		return "", err
	}
	var object struct{ Body []byte }
	request, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	err = awsapi.CallInto(ctx, s.config.Caller, c.Identity, "s3", "GetObject", json.RawMessage(request), &object)
	if err != nil {
		e := awsapi.AsError(err)
		return "", awsapi.Errorf("ValidationError",
			"S3 error: %s\nFor more information check "+
				"http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html", e.Message)
	}
	if len(object.Body) > maxTemplate {
		return "", awsapi.Errorf("ValidationError", "Template may not exceed %d bytes in size.", maxTemplate)
	}
	return string(object.Body), nil
}

// object is the bucket, key and version of an S3 URL: at amazonaws.com or here, with the bucket in
// the host's name or in the path.
func (s *Service) object(address string) (map[string]string, error) {
	wrong := awsapi.Errorf("ValidationError", "TemplateURL must be a supported URL.")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, wrong
	}
	bucket, path := "", strings.TrimPrefix(u.Path, "/")
	host := u.Host
	if i := strings.Index(host, "s3."); strings.HasSuffix(host, ".amazonaws.com") && i >= 0 &&
		(i == 0 || host[i-1] == '.') {
		bucket = strings.TrimSuffix(host[:i], ".")
	} else if strings.HasPrefix(host, "s3-") && strings.HasSuffix(host, ".amazonaws.com") {
		bucket = ""
	} else if !slices.ContainsFunc(s.config.Hosts, func(own string) bool {
		if host == own {
			return true
		}
		b, ok := strings.CutSuffix(host, "."+own)
		bucket = strings.TrimSuffix(b, ".s3")
		return ok
	}) {
		return nil, wrong
	}
	if bucket == "" {
		bucket, path, _ = strings.Cut(path, "/")
	}
	if bucket == "" || path == "" {
		return nil, wrong
	}
	in := map[string]string{"Bucket": bucket, "Key": path}
	if v := u.Query().Get("versionId"); v != "" {
		in["VersionId"] = v
	}
	return in, nil
}

type getTemplateIn struct {
	StackName     string `json:"StackName"`
	ChangeSetName string `json:"ChangeSetName" api:"min=1,max=1600,pattern=change set"`
	TemplateStage string `json:"TemplateStage" api:"values=Original|Processed"`
}

type getTemplateOut struct {
	TemplateBody    string   `json:"TemplateBody"`
	StagesAvailable []string `json:"StagesAvailable"`
}

// getTemplate gives the template as it was given. Without transforms, the processed one is the same.
func (s *Service) getTemplate(_ context.Context, _ *awsapi.Call, in *getTemplateIn) (*getTemplateOut, error) {
	out := &getTemplateOut{StagesAvailable: []string{"Original", "Processed"}}
	if in.ChangeSetName != "" {
		c, err := s.changeSet(in.ChangeSetName, in.StackName)
		if out.TemplateBody = c.Original; c.Original == "" {
			out.TemplateBody = string(c.Template)
		}
		return out, err
	}
	if in.StackName == "" {
		return nil, awsapi.Errorf("ValidationError", "StackName is required")
	}
	found, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	stack := found[0]
	if out.TemplateBody = stack.Original; stack.Original == "" {
		out.TemplateBody = string(stack.Template)
	}
	if stack.Template == nil { // in review
		out.TemplateBody, out.StagesAvailable = "{}", []string{"Original"}
	}
	return out, nil
}

type validateTemplateIn struct {
	TemplateBody string `json:"TemplateBody" api:"min=1"`
	TemplateURL  string `json:"TemplateURL" api:"min=1,max=5120"`
}

type validateTemplateOut struct {
	Description        string              `json:"Description,omitempty"`
	Parameters         []templateParameter `json:"Parameters"`
	Capabilities       []string            `json:"Capabilities,omitempty"`
	CapabilitiesReason string              `json:"CapabilitiesReason,omitempty"`
	DeclaredTransforms []string            `json:"DeclaredTransforms,omitempty"`
}

type templateParameter struct {
	ParameterKey string `json:"ParameterKey"`
	DefaultValue string `json:"DefaultValue,omitempty"`
	NoEcho       bool   `json:"NoEcho"`
	Description  string `json:"Description,omitempty"`
}

// parse reads and checks a template: its types and properties, too, as they would be by a deployment.
func (s *Service) parse(body string) (*Template, error) {
	t, err := Parse([]byte(body))
	if err == nil {
		err = s.checkTypes(t)
	}
	return t, asAnswer(err)
}

// capabilities are those that a template needs, and why.
func (t *Template) capabilities() (list []string, reason string) {
	if t.needCapabilities(nil) == nil {
		return nil, ""
	}
	name := "CAPABILITY_IAM"
	if t.needCapabilities([]string{name}) != nil {
		name = "CAPABILITY_NAMED_IAM"
	}
	var types []string
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if kind := t.Resources[id].Type; strings.HasPrefix(kind, "AWS::IAM::") && !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	return []string{name}, "The following resource(s) require capabilities: [" + strings.Join(types, ", ") + "]"
}

// validateTemplate goes further than AWS: types and properties are checked too, as they would be by a deployment.
func (s *Service) validateTemplate(ctx context.Context, c *awsapi.Call,
	in *validateTemplateIn) (*validateTemplateOut, error) {
	if (in.TemplateBody == "") == (in.TemplateURL == "") {
		return nil, awsapi.Errorf("ValidationError", "Either Template URL or Template Body must be specified.")
	}
	body, err := s.templateFrom(ctx, c, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	t, err := s.parse(body)
	if err != nil {
		return nil, err
	}
	out := &validateTemplateOut{Description: t.Description, Parameters: []templateParameter{},
		DeclaredTransforms: t.Transforms}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		d := t.Parameters[name]
		value, hidden := shownText(d.Default), shownText(d.NoEcho)
		out.Parameters = append(out.Parameters, templateParameter{name, value, hidden == "true", d.Description})
	}
	out.Capabilities, out.CapabilitiesReason = t.capabilities()
	return out, nil
}

type summaryIn struct {
	StackName    string `json:"StackName" api:"min=1,pattern=stack name"`
	TemplateBody string `json:"TemplateBody" api:"min=1"`
	TemplateURL  string `json:"TemplateURL" api:"min=1,max=5120"`
}

type summaryParameter struct {
	ParameterKey         string `json:"ParameterKey"`
	DefaultValue         string `json:"DefaultValue,omitempty"`
	ParameterType        string `json:"ParameterType"`
	NoEcho               bool   `json:"NoEcho"`
	Description          string `json:"Description,omitempty"`
	ParameterConstraints struct {
		AllowedValues []string `json:"AllowedValues,omitempty"`
	} `json:"ParameterConstraints"`
}

type identifierSummary struct {
	ResourceType        string   `json:"ResourceType"`
	LogicalResourceIDs  []string `json:"LogicalResourceIds"`
	ResourceIdentifiers []string `json:"ResourceIdentifiers"`
}

type summaryOut struct {
	Parameters                  []summaryParameter  `json:"Parameters"`
	Description                 string              `json:"Description,omitempty"`
	Capabilities                []string            `json:"Capabilities,omitempty"`
	CapabilitiesReason          string              `json:"CapabilitiesReason,omitempty"`
	ResourceTypes               []string            `json:"ResourceTypes"`
	Version                     string              `json:"Version"`
	DeclaredTransforms          []string            `json:"DeclaredTransforms"`
	ResourceIdentifierSummaries []identifierSummary `json:"ResourceIdentifierSummaries,omitempty"`
}

func (s *Service) getTemplateSummary(ctx context.Context, c *awsapi.Call, in *summaryIn) (*summaryOut, error) {
	var body string
	var err error
	if in.StackName != "" {
		var found []stackRecord
		if found, err = s.find(in.StackName); err == nil {
			body = string(found[0].Template)
		}
	} else {
		body, err = s.templateFrom(ctx, c, in.TemplateBody, in.TemplateURL)
	}
	if err != nil {
		return nil, err
	}
	t, err := s.parse(body)
	if err != nil {
		return nil, err
	}
	out := &summaryOut{Parameters: []summaryParameter{}, Description: t.Description, Version: "2010-09-09",
		DeclaredTransforms: slices.Concat([]string{}, t.Transforms)}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		d := t.Parameters[name]
		value, hidden := shownText(d.Default), shownText(d.NoEcho)
		p := summaryParameter{ParameterKey: name, DefaultValue: value, ParameterType: d.Type, NoEcho: hidden == "true",
			Description: d.Description}
		for _, v := range d.AllowedValues {
			p.ParameterConstraints.AllowedValues = append(p.ParameterConstraints.AllowedValues, shownText(v))
		}
		out.Parameters = append(out.Parameters, p)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if kind := t.Resources[id].Type; !slices.Contains(out.ResourceTypes, kind) {
			out.ResourceTypes = append(out.ResourceTypes, kind)
		}
	}
	slices.Sort(out.ResourceTypes)
	out.Capabilities, out.CapabilitiesReason = t.capabilities()
	return out, nil
}
