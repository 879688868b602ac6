package lambda

import (
	"context"
	"regexp"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type createFunctionIn struct {
	FunctionName string `json:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	settings
	Code          code              `json:"Code"`
	PackageType   string            `json:"PackageType,omitempty" api:"values=Image|Zip"`
	Publish       bool              `json:"Publish,omitempty"`
	Architectures []string          `json:"Architectures,omitempty" api:"each.set=architectures,min=1,max=1"`
	Tags          map[string]string `json:"Tags,omitempty"`
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

func (s *Service) createFunction(ctx context.Context, c *awsapi.Call, in *createFunctionIn) (*configuration, error) {
	name, _ := s.name(in.FunctionName)
	if !functionName.MatchString(name) {
		return nil, awsapi.Errorf("ValidationException",
			"1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: 1 to 64 "+
				"letters, digits, '-' and '_'", name)
	}
	if in.PackageType != "" && in.PackageType != "Zip" {
		return nil, awsapi.NotBuilt("Lambda functions of PackageType " + in.PackageType)
	}
	f := Function{
		Name: name, ARN: s.arn(name), MemoryMB: 128, StorageMB: 512, Timeout: 3 * time.Second, Architecture: "x86_64",
		LogGroup: "/aws/lambda/" + name, LogFormat: "Text", Tracing: "PassThrough", Tags: in.Tags,
	}
	if len(in.Architectures) > 0 {
		f.Architecture = in.Architectures[0]
	}
	if in.Role == "" {
		return nil, errInvalidParameter("Role: a role ARN is required")
	}
	if in.Runtime == "" || in.Handler == "" {
		return nil, errInvalidParameter(
			"Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := s.apply(ctx, c, &f, in.settings); err != nil {
		return nil, err
	}
	if err := s.setCode(ctx, c, &f, in.Code); err != nil {
		return nil, err
	}
	err := s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := functions.Get(tx, name); err != nil {
			return err
		} else if ok {
			return errFunctionExists(name)
		}
		if err := s.put(tx, &f); err != nil || !in.Publish {
			return err
		}
		var err error
		f, err = s.publish(tx, f, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return describe(f), nil
}

func (s *Service) put(tx *store.Tx, f *Function) error {
	f.Modified = s.Scheduler.Now()
	f.RevisionID = s.Scheduler.UUID()
	return functions.Put(tx, *f, f.Name)
}

type getFunctionOut struct {
	Configuration *configuration    `json:"Configuration"`
	Code          codeLocation      `json:"Code"`
	Tags          map[string]string `json:"Tags,omitempty"`
	Concurrency   *concurrency      `json:"Concurrency,omitempty"`
}

type codeLocation struct {
	RepositoryType string `json:"RepositoryType"`
	Location       string `json:"Location"`
}

type concurrency struct {
	Reserved *int `json:"ReservedConcurrentExecutions,omitempty"`
}

func (s *Service) view(ref functionRef) (f Function, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		f, err = s.find(tx, ref.FunctionName, ref.Qualifier)
		return err
	})
	return f, err
}

func (s *Service) getFunction(_ context.Context, _ *awsapi.Call, in *functionRef) (*getFunctionOut, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	out := &getFunctionOut{Configuration: describe(f), Tags: f.Tags}
	out.Code = codeLocation{RepositoryType: "S3", Location: "file://" + f.CodeDir}
	if f.Reserved != nil {
		out.Concurrency = &concurrency{f.Reserved}
	}
	return out, nil
}

func (s *Service) getFunctionConfiguration(_ context.Context, _ *awsapi.Call, in *functionRef) (
	*configuration, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	return describe(f), nil
}

type updateFunctionCodeIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	code
	Architectures []string `json:"Architectures,omitempty" api:"each.set=architectures,min=1,max=1"`
	Publish       bool     `json:"Publish,omitempty"`
	RevisionID    string   `json:"RevisionId,omitempty"`
}

// change reads a function, lets fn change it and writes it back.
func (s *Service) change(ref, revision string, publish bool, fn func(f *Function) error) (*configuration, error) {
	var f Function
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.unpublished(tx, ref)
		return err
	}); err != nil {
		return nil, err
	}
	if revision != "" && revision != f.RevisionID {
		return nil, errRevision()
	}
	before := f.RevisionID
	if err := fn(&f); err != nil {
		return nil, err
	}
	out := f
	err := s.Store.Update(func(tx *store.Tx) error {
		now, err := s.unpublished(tx, ref)
		if err != nil {
			return err
		}
		if now.RevisionID != before {
			return errConflict("The operation cannot be performed at this time. An update is in progress for "+
				"resource: %s", f.ARN)
		}
		f.Reserved, f.Published = now.Reserved, now.Published
		if err := s.put(tx, &f); err != nil {
			return err
		}
		if out = f; publish {
			out, err = s.publish(tx, f, "")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Executor.Retire(f.Name)
	return describe(out), nil
}

func (s *Service) updateFunctionCode(ctx context.Context, c *awsapi.Call, in *updateFunctionCodeIn) (
	*configuration, error) {
	return s.change(in.FunctionName, in.RevisionID, in.Publish, func(f *Function) error {
		if len(in.Architectures) > 0 {
			f.Architecture = in.Architectures[0]
		}
		return s.setCode(ctx, c, f, in.code)
	})
}

type updateFunctionConfigurationIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	settings
	RevisionID string `json:"RevisionId,omitempty"`
}

func (s *Service) updateFunctionConfiguration(ctx context.Context, c *awsapi.Call, in *updateFunctionConfigurationIn) (
	*configuration, error) {
	return s.change(in.FunctionName, in.RevisionID, false, func(f *Function) error {
		return s.apply(ctx, c, f, in.settings)
	})
}

func (s *Service) deleteFunction(_ context.Context, _ *awsapi.Call, in *functionRef) (*nothing, error) {
	var retired []string
	err := s.Store.Update(func(tx *store.Tx) error {
		retired = nil
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		if f.Qualifier != "" {
			retired = []string{f.pool()}
			return s.deleteVersion(tx, f)
		}
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{f.Name}}) {
			if err != nil {
				return err
			}
			retired = append(retired, row.Value.pool())
		}
		for _, table := range []interface {
			DeleteAll(*store.Tx, ...string) error
		}{policies, versions, aliases, invokeConfigs} {
			if err := table.DeleteAll(tx, f.Name); err != nil {
				return err
			}
		}
		retired = append(retired, f.Name)
		tx.OnCommit(func() { s.reserve(Function{Name: f.Name}) })
		return functions.Delete(tx, f.Name)
	})
	if err != nil {
		return nil, err
	}
	for _, version := range retired {
		s.Executor.Retire(version)
	}
	return &nothing{}, nil
}

type listFunctionsIn struct {
	Marker          string `json:"Marker,omitempty" query:"Marker"`
	MaxItems        *int   `json:"MaxItems,omitempty" query:"MaxItems" api:"min=1,max=10000"`
	MasterRegion    string `json:"MasterRegion,omitempty" query:"MasterRegion" api:"pattern=lambda region"`
	FunctionVersion string `json:"FunctionVersion,omitempty" query:"FunctionVersion" api:"values=ALL"`
}

type listFunctionsOut struct {
	Functions  []*configuration `json:"Functions"`
	NextMarker string           `json:"NextMarker,omitempty"`
}

func (s *Service) listFunctions(_ context.Context, _ *awsapi.Call, in *listFunctionsIn) (*listFunctionsOut, error) {
	most := awsapi.PageSize(in.MaxItems, 50, 50)
	after, err := afterMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	q := store.Query{After: after}
	out := &listFunctionsOut{Functions: []*configuration{}}
	err = s.Store.View(func(tx *store.Tx) error {
		for row, err := range functions.Scan(tx, q) {
			if err != nil {
				return err
			}
			if n := len(out.Functions); n >= most {
				out.NextMarker = awsapi.PageToken(out.Functions[n-1].FunctionName)
				return nil
			}
			out.Functions = append(out.Functions, describe(row.Value))
			if in.FunctionVersion != "ALL" {
				continue
			}
			for v, err := range versions.Scan(tx, store.Query{Prefix: row.Key}) {
				if err != nil {
					return err
				}
				v.Value.Qualifier = v.Value.Version
				out.Functions = append(out.Functions, describe(v.Value))
			}
		}
		return nil
	})
	return out, err
}
