package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	resources "github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

// operations are those that are only ASL: the ones in statemachines/, and those of a folder that the context value
// "workflows" names.
type operations struct {
	all []operation.Operation
	// folder is that of own, the names of those that are not in statemachines/.
	folder string
	own    []string
}

func loadOperations(app awscdk.App) (*operations, error) {
	o := &operations{}
	var err error
	if o.all, err = operation.Load(statemachines.Files(), upgrade.Operation, onboard.Operation,
		statemachines.Campaign); err != nil {
		return nil, err
	}
	o.folder, _ = app.Node().TryGetContext(jsii.String("workflows")).(string)
	if o.folder == "" {
		return o, nil
	}
	more, err := operation.LoadOwn(o.folder, statemachines.Has)
	if err != nil {
		return nil, err
	}
	for _, own := range more {
		o.own = append(o.own, string(own.Name))
		o.all = append(o.all, own)
	}
	return o, nil
}

func (o *operations) names() []string {
	var names []string
	for _, one := range o.all {
		names = append(names, string(one.Name))
	}
	return names
}

// variable is what functions are told of the operations.
func (o *operations) variable() *string { return jsii.String(strings.Join(o.names(), ",")) }

// include makes their resources, as package operation has them.
func (o *operations) include(stack awscdk.Stack, tasks resources.Tasks) error {
	scope := constructs.NewConstruct(stack, jsii.String("Operations"))
	unasked, err := fs.ReadFile(statemachines.Files(), string(onboard.Operation)+operation.MachineFile)
	if err != nil {
		return err
	}
	for _, one := range append(slices.Clone(o.all), operation.Operation{Name: onboard.Operation, Machine: unasked}) {
		of := resources.Resources
		if one.Name == onboard.Operation {
			of = resources.UnaskedResources
		}
		all, err := of(string(one.Name), one.Machine, tasks)
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(all)) {
			r := all[id].(map[string]any)
			properties := r["Properties"].(map[string]any)
			element := named(id, awscdk.NewCfnResource(scope, &id, &awscdk.CfnResourceProps{
				Type: jsii.String(r["Type"].(string)), Properties: &properties,
			}))
			if r["DeletionPolicy"] != nil {
				element.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
			}
			metadata, _ := r["Metadata"].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(metadata)) {
				element.AddMetadata(&key, metadata[key])
			}
		}
	}
	return nil
}

// withFiles is the folder of create-job's code with the two files of each operation of the folder beside it: it knows
// those of statemachines/ by itself. Without any it is the folder as it is. Who calls it removes what it returns as
// made.
func (o *operations) withFiles(code string) (folder, made string, err error) {
	if len(o.own) == 0 {
		return code, "", nil
	}
	if made, err = os.MkdirTemp("", "fleetstep-create-job-"); err != nil {
		return "", "", err
	}
	if err := os.CopyFS(made, os.DirFS(code)); err != nil {
		return "", made, err
	}
	files := filepath.Join(made, operation.Folder)
	if err := os.Mkdir(files, 0o755); err != nil {
		return "", made, err
	}
	for _, name := range o.own {
		for _, ending := range []string{operation.MachineFile, operation.SchemaFile} {
			b, err := os.ReadFile(filepath.Join(o.folder, name+ending))
			if err == nil {
				err = os.WriteFile(filepath.Join(files, name+ending), b, 0o644)
			}
			if err != nil {
				return "", made, err
			}
		}
	}
	return made, made, nil
}
