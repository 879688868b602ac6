package lambda

import (
	"context"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Versions are copies of a function that do not change; aliases are names for
// one, or for two with a share each. A qualifier names either: in a name or ARN
// (f:live), or as a member of the request.
//
// Sources: Lambda API Reference, PublishVersion, CreateAlias, "Manage Lambda
// function versions", "Create an alias for a Lambda function".

const (
	latest = "$LATEST"
	// unreservedLeast is how much of the account's concurrency must stay
	// without reservation.
	unreservedLeast = 100
)

// alias is a name for a version.
type alias struct {
	Name        string
	Description string
	Version     string
	Weights     map[string]float64 `json:",omitempty"` // share of another version
	RevisionID  string
}

var (
	number    = regexp.MustCompile(`^[0-9]+$`)
	aliasName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,128}$`)
)

func isAlias(qualifier string) bool {
	return qualifier != "" && qualifier != latest && !number.MatchString(qualifier)
}

// policyKey is where a function's resource policy is under its qualifier.
func (f Function) policyKey() []string {
	if f.Qualifier == "" {
		return []string{f.Name}
	}
	return []string{f.Name, f.Qualifier}
}

func versionKey(version string) string {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return ""
	}
	return store.Number(n)
}

// find returns what a name or ARN and a qualifier lead to; an alias to its own
// version, without drawing lots.
func (s *Service) find(tx *store.Tx, ref, qualifier string) (Function, error) {
	return s.findBy(functions.Get, tx, ref, qualifier, func(a alias) string { return a.Version })
}

// findShared is find for an invocation: an alias leads to one of its versions by their
// weights. The function must not be changed.
func (s *Service) findShared(tx *store.Tx, ref, qualifier string) (Function, error) {
	return s.findBy(functions.Shared, tx, ref, qualifier, func(a alias) string {
		for _, version := range slices.Sorted(maps.Keys(a.Weights)) {
			if s.Scheduler.Rand().Float64() < a.Weights[version] {
				return version
			}
		}
		return a.Version
	})
}

func (s *Service) findBy(get func(*store.Tx, ...string) (Function, bool, error), tx *store.Tx, ref, qualifier string,
	choose func(alias) string) (Function, error) {
	name, q := s.name(ref)
	if q != "" && qualifier != "" && q != qualifier {
		return Function{}, errInvalidParameter(
			"The derived qualifier from the function name does not match the specified qualifier.")
	}
	if qualifier != "" {
		q = qualifier
	}
	f, ok, err := get(tx, name)
	if err != nil {
		return Function{}, err
	}
	f.Name, f.ARN, f.Qualifier = name, s.arn(name), q
	if !ok {
		return Function{}, errFunctionNotFound(f.named())
	}
	version := q
	switch {
	case q == "" || q == latest:
		return f, nil
	case isAlias(q):
		a, ok, err := aliases.Shared(tx, name, q)
		if err != nil {
			return Function{}, err
		}
		if !ok {
			return Function{}, errFunctionNotFound(f.named())
		}
		version = choose(a)
	}
	v := f
	if version != latest {
		v, ok, err = versions.Shared(tx, name, versionKey(version))
		if err != nil {
			return Function{}, err
		}
		if !ok {
			return Function{}, errFunctionNotFound(f.named())
		}
	}
	v.Qualifier, v.Reserved, v.Tags = q, f.Reserved, f.Tags
	c, _, err := invokeConfigs.Shared(tx, name, q)
	v.setInvokeConfig(c)
	return v, err
}

// unpublished returns $LATEST, the only version that can be changed.
func (s *Service) unpublished(tx *store.Tx, ref string) (Function, error) {
	if _, q := s.name(ref); q != "" && q != latest {
		return Function{}, errInvalidParameter(
			"This operation is permitted on Lambda functions only. Aliases and versions do not support this " +
				"operation. " +
				"Please specify either a function name or an unqualified function ARN.")
	}
	name, _ := s.name(ref)
	f, err := s.find(tx, name, "")
	return f, err
}

// publish makes a version of f, which is $LATEST; the newest version itself if
// nothing has changed since.
func (s *Service) publish(tx *store.Tx, f Function, description string) (Function, error) {
	if f.Published > 0 {
		last, ok, err := versions.Get(tx, f.Name, versionKey(strconv.Itoa(f.Published)))
		if err != nil {
			return Function{}, err
		}
		if ok && sameContent(last, f) {
			last.Qualifier = last.Version
			return last, nil
		}
	}
	f.Published++
	if err := functions.Put(tx, f, f.Name); err != nil {
		return Function{}, err
	}
	v := f
	v.Version, v.Published, v.Reserved, v.Tags = strconv.Itoa(f.Published), 0, nil, nil
	v.setInvokeConfig(invokeConfig{})
	v.RevisionID, v.Modified = s.Scheduler.UUID(), s.Scheduler.Now()
	if description != "" {
		v.Description = description
	}
	err := versions.Put(tx, v, f.Name, versionKey(v.Version))
	v.Qualifier = v.Version
	return v, err
}

// sameContent says whether a version has the code and configuration of f.
func sameContent(v, f Function) bool {
	for _, x := range []*Function{&v, &f} {
		x.Version, x.Qualifier, x.Published, x.Reserved, x.Tags, x.Recursion = "", "", 0, nil, nil, ""
		x.Description, x.RevisionID, x.Modified = "", "", time.Time{}
		x.setInvokeConfig(invokeConfig{})
		if len(x.Env) == 0 {
			x.Env = nil
		}
	}
	return reflect.DeepEqual(v, f)
}

type publishVersionIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	CodeSha256   string `json:"CodeSha256,omitempty"`
	Description  string `json:"Description,omitempty" api:"max=256"`
	RevisionID   string `json:"RevisionId,omitempty"`
	PublishTo    string `json:"PublishTo,omitempty" api:"values=LATEST_PUBLISHED"`
}

func (s *Service) publishVersion(_ context.Context, _ *awsapi.Call, in *publishVersionIn) (*configuration, error) {
	if in.PublishTo != "" {
		return nil, awsapi.NotBuilt("PublishTo of lambda:PublishVersion")
	}
	var v Function
	err := s.Store.Update(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, in.FunctionName)
		if err != nil {
			return err
		}
		if in.RevisionID != "" && in.RevisionID != f.RevisionID {
			return errRevision()
		}
		if in.CodeSha256 != "" && in.CodeSha256 != f.CodeSHA256 {
			return errInvalidParameter("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). "+
				"Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256, f.CodeSHA256)
		}
		v, err = s.publish(tx, f, in.Description)
		return err
	})
	if err != nil {
		return nil, err
	}
	return describe(v), nil
}

// deleteVersion deletes a published version that no alias names.
func (s *Service) deleteVersion(tx *store.Tx, f Function) error {
	if f.Qualifier == latest {
		return errInvalidParameter("$LATEST version cannot be deleted without deleting the function.")
	}
	if isAlias(f.Qualifier) {
		return errInvalidParameter("Deletion of aliases is not currently supported.")
	}
	for row, err := range aliases.Scan(tx, store.Query{Prefix: []string{f.Name}}) {
		if err != nil {
			return err
		}
		if _, also := row.Value.Weights[f.Version]; also || row.Value.Version == f.Version {
			return errConflict("Cannot delete version %s of function %s: it is referenced by alias %s. Update or "+
				"delete the alias first.", f.Version, f.Name, row.Value.Name)
		}
	}
	if err := policies.Delete(tx, f.Name, f.Version); err != nil {
		return err
	}
	if err := invokeConfigs.Delete(tx, f.Name, f.Version); err != nil {
		return err
	}
	return versions.Delete(tx, f.Name, versionKey(f.Version))
}

type listVersionsIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	Marker       string `json:"Marker,omitempty" query:"Marker"`
	MaxItems     *int   `json:"MaxItems,omitempty" query:"MaxItems" api:"min=1,max=10000"`
}

type listVersionsOut struct {
	Versions   []*configuration `json:"Versions"`
	NextMarker string           `json:"NextMarker,omitempty"`
}

// afterMarker is the key after which a list goes on.
func afterMarker(text string) ([]string, error) {
	key, ok := awsapi.PageAfter(text, 1)
	if !ok {
		return nil, errInvalidParameter("Marker: %q is not a marker that this operation returned", text)
	}
	return key, nil
}

func (s *Service) listVersions(_ context.Context, _ *awsapi.Call, in *listVersionsIn) (*listVersionsOut, error) {
	out := &listVersionsOut{Versions: []*configuration{}}
	after, err := afterMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	return out, s.Store.View(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, in.FunctionName)
		if err != nil {
			return err
		}
		q := store.Query{Prefix: []string{f.Name}}
		if after == nil {
			f.Qualifier = latest
			out.Versions = append(out.Versions, describe(f))
		} else if after[0] != latest {
			q.After = []string{versionKey(after[0])}
		}
		for row, err := range versions.Scan(tx, q) {
			if err != nil {
				return err
			}
			if n := len(out.Versions); n == awsapi.PageSize(in.MaxItems, 50, 50) {
				out.NextMarker = awsapi.PageToken(out.Versions[n-1].Version)
				return nil
			}
			row.Value.Qualifier = row.Value.Version
			out.Versions = append(out.Versions, describe(row.Value))
		}
		return nil
	})
}

type routing struct {
	Weights map[string]float64 `json:"AdditionalVersionWeights,omitempty" api:"each.min=0,each.max=1,each.required,key.min=1,key.max=1024,key.pattern=digits,key.required"`
}

type aliasRef struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	Name         string `json:"Name" uri:"Name" api:"min=1,max=128,pattern=lambda alias"`
}

// aliasIn is CreateAlias, whose Name is in the body, and UpdateAlias, whose is in
// the path.
type aliasIn struct {
	FunctionName    string   `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	Name            string   `json:"Name" api:"min=1,max=128,pattern=lambda alias"`
	PathName        string   `json:"-" uri:"Name"`
	FunctionVersion string   `json:"FunctionVersion,omitempty" api:"min=1,max=1024,pattern=function version"`
	Description     *string  `json:"Description,omitempty" api:"max=256"`
	RoutingConfig   *routing `json:"RoutingConfig,omitempty"`
	RevisionID      string   `json:"RevisionId,omitempty"`
}

type aliasOut struct {
	AliasArn        string   `json:"AliasArn"`
	Name            string   `json:"Name"`
	FunctionVersion string   `json:"FunctionVersion"`
	Description     string   `json:"Description"`
	RoutingConfig   *routing `json:"RoutingConfig,omitempty"`
	RevisionID      string   `json:"RevisionId"`
}

func describeAlias(f Function, a alias) *aliasOut {
	out := &aliasOut{AliasArn: f.ARN + ":" + a.Name, Name: a.Name, FunctionVersion: a.Version,
		Description: a.Description, RevisionID: a.RevisionID}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &routing{a.Weights}
	}
	return out
}

// putAlias checks what is given, lays it over a and stores it.
func (s *Service) putAlias(tx *store.Tx, f Function, a alias, in *aliasIn) (*aliasOut, error) {
	if in.FunctionVersion != "" {
		a.Version = in.FunctionVersion
	}
	if in.Description != nil {
		a.Description = *in.Description
	}
	if in.RoutingConfig != nil {
		a.Weights = in.RoutingConfig.Weights
	}
	if len(a.Weights) > 1 {
		return nil, errInvalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	wanted := []string{a.Version}
	for _, version := range slices.Sorted(maps.Keys(a.Weights)) {
		if version == a.Version {
			return nil, errInvalidParameter(
				"Invalid function version %s. Function version %s is already included in routing configuration.",
				version, version)
		}
		if version == latest || a.Version == latest {
			return nil, errInvalidParameter("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		wanted = append(wanted, version)
	}
	for _, version := range wanted {
		if version == latest {
			continue
		}
		if !number.MatchString(version) {
			return nil, errInvalidParameter("FunctionVersion: %q is neither $LATEST nor the number of a version",
				version)
		}
		ok, err := versions.Has(tx, f.Name, versionKey(version))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errFunctionNotFound(f.ARN + ":" + version)
		}
	}
	a.RevisionID = s.Scheduler.UUID()
	return describeAlias(f, a), aliases.Put(tx, a, f.Name, a.Name)
}

func (s *Service) createAlias(_ context.Context, _ *awsapi.Call, in *aliasIn) (out *aliasOut, err error) {
	if !aliasName.MatchString(in.Name) || number.MatchString(in.Name) {
		return nil, errInvalidParameter("Name: %q is not 1 to 128 letters, digits, '-' and '_', and not only digits",
			in.Name)
	}
	if in.FunctionVersion == "" {
		return nil, errInvalidParameter("FunctionVersion: a version is required")
	}
	err = s.Store.Update(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, in.FunctionName)
		if err != nil {
			return err
		}
		exists, err := aliases.Has(tx, f.Name, in.Name)
		if err != nil {
			return err
		}
		if exists {
			return errConflict("Alias already exists: %s", f.ARN+":"+in.Name)
		}
		out, err = s.putAlias(tx, f, alias{Name: in.Name}, in)
		return err
	})
	return out, err
}

// withAlias finds an alias.
func (s *Service) withAlias(tx *store.Tx, ref, name string) (f Function, a alias, err error) {
	if f, err = s.unpublished(tx, ref); err != nil {
		return f, a, err
	}
	a, ok, err := aliases.Get(tx, f.Name, name)
	if err == nil && !ok {
		err = errNotFound("Cannot find alias arn: %s", f.ARN+":"+name)
	}
	return f, a, err
}

func (s *Service) updateAlias(_ context.Context, _ *awsapi.Call, in *aliasIn) (out *aliasOut, err error) {
	name := in.PathName
	if name == "" { // a call from inside has no path
		name = in.Name
	}
	err = s.Store.Update(func(tx *store.Tx) error {
		f, a, err := s.withAlias(tx, in.FunctionName, name)
		if err != nil {
			return err
		}
		if in.RevisionID != "" && in.RevisionID != a.RevisionID {
			return errRevision()
		}
		out, err = s.putAlias(tx, f, a, in)
		return err
	})
	return out, err
}

func (s *Service) getAlias(_ context.Context, _ *awsapi.Call, in *aliasRef) (out *aliasOut, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		f, a, err := s.withAlias(tx, in.FunctionName, in.Name)
		out = describeAlias(f, a)
		return err
	})
	return out, err
}

// deleteAlias deletes an alias; it is no error if there is none.
func (s *Service) deleteAlias(_ context.Context, _ *awsapi.Call, in *aliasRef) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, in.FunctionName)
		if err != nil {
			return err
		}
		if err := policies.Delete(tx, f.Name, in.Name); err != nil {
			return err
		}
		if err := invokeConfigs.Delete(tx, f.Name, in.Name); err != nil {
			return err
		}
		return aliases.Delete(tx, f.Name, in.Name)
	})
}

type listAliasesIn struct {
	FunctionName    string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	FunctionVersion string `json:"FunctionVersion,omitempty" query:"FunctionVersion" api:"min=1,max=1024,pattern=function version"`
	Marker          string `json:"Marker,omitempty" query:"Marker"`
	MaxItems        *int   `json:"MaxItems,omitempty" query:"MaxItems" api:"min=1,max=10000"`
}

type listAliasesOut struct {
	Aliases    []*aliasOut `json:"Aliases"`
	NextMarker string      `json:"NextMarker,omitempty"`
}

func (s *Service) listAliases(_ context.Context, _ *awsapi.Call, in *listAliasesIn) (*listAliasesOut, error) {
	out := &listAliasesOut{Aliases: []*aliasOut{}}
	after, err := afterMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	return out, s.Store.View(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, in.FunctionName)
		if err != nil {
			return err
		}
		q := store.Query{Prefix: []string{f.Name}, After: after}
		for row, err := range aliases.Scan(tx, q) {
			a := row.Value
			if err != nil {
				return err
			}
			if _, also := a.Weights[in.FunctionVersion]; in.FunctionVersion != "" && !also &&
				a.Version != in.FunctionVersion {
				continue
			}
			if n := len(out.Aliases); n == awsapi.PageSize(in.MaxItems, 50, 50) {
				out.NextMarker = awsapi.PageToken(out.Aliases[n-1].Name)
				return nil
			}
			out.Aliases = append(out.Aliases, describeAlias(f, a))
		}
		return nil
	})
}

type recursionRef struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=function without version"`
}

type recursionIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=function without version"`
	Loop         string `json:"RecursiveLoop" api:"values=Allow|Terminate"`
}

type recursionOut struct {
	Loop string `json:"RecursiveLoop"`
}

// Lambda stops a function that has called itself through SQS, SNS or S3 sixteen
// times. The local cloud keeps the setting, and stops nothing.

func (s *Service) getRecursion(_ context.Context, _ *awsapi.Call, in *recursionRef) (*recursionOut, error) {
	f, err := s.view(functionRef{FunctionName: in.FunctionName})
	if err != nil {
		return nil, err
	}
	if f.Recursion == "" {
		return &recursionOut{"Terminate"}, nil
	}
	return &recursionOut{f.Recursion}, nil
}

func (s *Service) putRecursion(_ context.Context, _ *awsapi.Call, in *recursionIn) (*recursionOut, error) {
	if in.Loop != "Allow" && in.Loop != "Terminate" {
		return nil, errInvalidParameter("RecursiveLoop: %q is neither Allow nor Terminate", in.Loop)
	}
	return &recursionOut{in.Loop}, s.set(in.FunctionName, func(f *Function) { f.Recursion = in.Loop })
}

type accountSettings struct {
	Limit struct {
		TotalCodeSize                  int64
		CodeSizeUnzipped               int64
		CodeSizeZipped                 int64
		ConcurrentExecutions           int
		UnreservedConcurrentExecutions int
	} `json:"AccountLimit"`
	Usage struct {
		TotalCodeSize int64
		FunctionCount int64
	} `json:"AccountUsage"`
}

func (s *Service) getAccountSettings(context.Context, *awsapi.Call, *nothing) (*accountSettings, error) {
	out := &accountSettings{}
	out.Limit.TotalCodeSize, out.Limit.CodeSizeUnzipped, out.Limit.CodeSizeZipped = 75<<30, maxUnpacked, 50<<20
	out.Limit.ConcurrentExecutions, out.Limit.UnreservedConcurrentExecutions = accountLimit, accountLimit
	s.mu.Lock()
	for _, n := range s.reserved {
		out.Limit.UnreservedConcurrentExecutions -= n
	}
	s.mu.Unlock()
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range functions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			out.Usage.FunctionCount++
			out.Usage.TotalCodeSize += row.Value.CodeSize
		}
		return nil
	})
}
