package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

// The operations that are not only ASL.
const (
	upgrade    event.Operation = "firmware-upgrade"
	onboarding event.Operation = "device-onboarding"
)

func workflow(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "workflow",
		Short: "Write, check, list and draw workflows that are only a state machine",
		Long: `A workflow that is only a state machine is two files: NAME.asl.json, with tasks of
the function usp-task, and NAME.schema.json, the JSON Schema of its input.
docs/workflows.md shows all steps from an idea to a job.`,
	}
	Group(c)
	c.AddCommand(workflowNew(env), workflowValidate(env), workflowList(env), workflowDescribe(env))
	return c
}

func workflowNew(env *Env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "new NAME",
		Short:   "Write the two files of a new workflow",
		Example: "  fleetstep workflow new blink --dir workflows",
		Args: func(c *cobra.Command, args []string) error {
			return oneArgument(c, args, "a name")
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := operation.CheckName(args[0], statemachines.Has); err != nil {
				return UsageError{err}
			}
			machine, schema := operation.Skeleton(args[0])
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of source files
				return err
			}
			for _, f := range []struct {
				ending string
				text   []byte
			}{{operation.MachineFile, machine}, {operation.SchemaFile, schema}} {
				name := filepath.Join(dir, args[0]+f.ending)
				file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY,
					0o644) //nolint:gosec // a source file
				if err != nil {
					return err
				}
				_, err = file.Write(f.text)
				if err := errors.Join(err, file.Close()); err != nil {
					return err
				}
				fmt.Fprintln(env.Out, name)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "folder to write to")
	return c
}

func workflowValidate(env *Env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate FILE...",
		Short: "List all mistakes in workflows, with their places",
		Long: `Checks state machine documents and the schemas beside them, by the rules of the
States Language and by the rules that protect a device's claim, its job and its
report. All mistakes are reported at once. Exit code 1 if there are any. A warning
is no mistake.`,
		Example: "  fleetstep workflow validate workflows/blink.asl.json",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return UsageError{fmt.Errorf("%s takes files NAME%s (see %s --help)", c.CommandPath(),
					operation.MachineFile, c.CommandPath())}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			found, failed := []finding{}, false
			for _, file := range args {
				problems, o, err := env.validate(file)
				if err != nil {
					return err
				}
				for _, p := range problems {
					found, failed = append(found, finding{Problem: p}), true
				}
				if problems != nil {
					continue
				}
				for _, p := range o.Warnings() {
					found = append(found, finding{p, true})
				}
				if !asJSON {
					fmt.Fprintf(env.Out, "%s: %s\n", file, o.Bounds())
				}
			}
			if asJSON {
				if err := env.json(found); err != nil {
					return err
				}
			}
			for _, f := range found {
				if !asJSON {
					fmt.Fprintln(env.Out, f)
				}
			}
			if failed {
				return ErrFailed
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the mistakes as JSON")
	return c
}

// finding is a mistake in a workflow, or a warning.
type finding struct {
	event.Problem
	Warning bool `json:"warning,omitempty"`
}

func (f finding) String() string {
	if f.Warning {
		return "warning: " + f.Problem.String()
	}
	return f.Problem.String()
}

// validate reads the two files of a workflow, of which one is named, and finds what is
// wrong; without any problem o is the workflow.
func (e *Env) validate(file string) (problems event.Problems, o operation.Operation, err error) {
	base, ok := strings.CutSuffix(file, operation.MachineFile)
	if !ok {
		if base, ok = strings.CutSuffix(file, operation.SchemaFile); !ok {
			return nil, o, UsageError{fmt.Errorf("the name of %s is neither NAME%s nor NAME%s", file,
				operation.MachineFile,
				operation.SchemaFile)}
		}
	}
	machine, err := os.ReadFile(base + operation.MachineFile)
	if err != nil {
		return nil, o, err
	}
	schema, err := os.ReadFile(base + operation.SchemaFile)
	if err != nil {
		return nil, o, err
	}
	name := filepath.Base(base)
	if e.States != nil && json.Valid(machine) { // else operation.New says where it is no JSON
		for _, p := range e.States(string(machine)) {
			p.Path = name + operation.MachineFile + ": " + cmp.Or(p.Path, "$")
			problems = append(problems, p)
		}
	}
	o, own := operation.New(name, machine, schema)
	return append(problems, own...), o, nil
}

// listed is a workflow as list shows it.
type listed struct {
	Name     string   `json:"name"`
	Bounds   string   `json:"bounds,omitempty"`
	Required []string `json:"required,omitempty"`
	Optional []string `json:"optional,omitempty"`
}

func workflowList(env *Env) *cobra.Command {
	var stack, folder string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the workflows of this program, or those of a stack",
		Example: `  fleetstep workflow list
  fleetstep workflow list --stack fleetstep`,
		Args: NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := known(folder)
			if err != nil {
				return err
			}
			rows := []listed{}
			byName := map[string]listed{}
			for _, o := range all {
				row := listed{Name: string(o.Name), Bounds: o.Bounds()}
				row.Required, row.Optional = o.Members()
				byName[row.Name] = row
				rows = append(rows, row)
			}
			if stack != "" {
				machines, err := env.machines(c, stack)
				if err != nil {
					return err
				}
				rows = rows[:0]
				for _, m := range machines {
					row := byName[m.name]
					row.Name = m.name
					rows = append(rows, row)
				}
			}
			if asJSON {
				return env.json(rows)
			}
			w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "WORKFLOW\tEXECUTION\tINPUT")
			for _, r := range rows {
				input := r.Required
				for _, name := range r.Optional {
					input = append(input, "["+name+"]")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, orDash(r.Bounds), orDash(strings.Join(input, " ")))
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&stack, "stack", "", "list the workflows of this deployed stack")
	c.Flags().StringVar(&folder, "workflows", "", "folder with more workflows")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// known are the workflows that the program brings, and those of a folder.
func known(folder string) ([]operation.Operation, error) {
	all, err := operation.Load(statemachines.Files(), upgrade, onboarding, statemachines.Campaign)
	if err != nil || folder == "" {
		return all, err
	}
	more, err := operation.LoadOwn(folder, statemachines.Has)
	return append(all, more...), err
}

// machine is a state machine of a stack; its name is without the stack's.
type machine struct{ name, arn string }

// machines are those of a stack.
func (e *Env) machines(c *cobra.Command, stack string) ([]machine, error) {
	api, err := e.sfn(c.Context())
	if err != nil {
		return nil, err
	}
	var all []machine
	pages := sfn.NewListStateMachinesPaginator(api, &sfn.ListStateMachinesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.Context())
		if err != nil {
			return nil, err
		}
		for _, m := range page.StateMachines {
			if name, ok := strings.CutPrefix(aws.ToString(m.Name), stack+"-"); ok {
				all = append(all, machine{name, aws.ToString(m.StateMachineArn)})
			}
		}
	}
	return all, nil
}

func workflowDescribe(env *Env) *cobra.Command {
	var stack string
	var svg bool
	c := &cobra.Command{
		Use:   "describe NAME|FILE",
		Short: "Draw the states of a workflow, as text or as SVG",
		Example: `  fleetstep workflow describe reboot
  fleetstep workflow describe workflows/blink.asl.json --svg >blink.svg
  fleetstep workflow describe firmware-upgrade --stack fleetstep`,
		Args: func(c *cobra.Command, args []string) error {
			return oneArgument(c, args, "a workflow's name, or a file")
		},
		RunE: func(c *cobra.Command, args []string) error {
			document, err := env.document(c, args[0], stack)
			if err != nil {
				return err
			}
			p, problems := operation.NewPicture(document)
			if problems != nil {
				return problems
			}
			text := p.Text()
			if svg {
				text = p.SVG()
			}
			_, err = fmt.Fprint(env.Out, text)
			return err
		},
	}
	c.Flags().StringVar(&stack, "stack", "", "draw the workflow of this deployed stack")
	c.Flags().BoolVar(&svg, "svg", false, "draw a picture")
	return c
}

// document is the state machine of a workflow: of a stack, of a file, or one that the
// program brings.
func (e *Env) document(c *cobra.Command, name, stack string) ([]byte, error) {
	switch {
	case stack != "":
		machines, err := e.machines(c, stack)
		if err != nil {
			return nil, err
		}
		api, err := e.sfn(c.Context())
		if err != nil {
			return nil, err
		}
		for _, m := range machines {
			if m.name == name {
				out, err := api.DescribeStateMachine(c.Context(),
					&sfn.DescribeStateMachineInput{StateMachineArn: &m.arn})
				if err != nil {
					return nil, err
				}
				return []byte(aws.ToString(out.Definition)), nil
			}
		}
		return nil, fmt.Errorf("the stack %s has no workflow %s", stack, name)
	case strings.HasSuffix(name, ".json"):
		return os.ReadFile(name)
	}
	b, err := fs.ReadFile(statemachines.Files(), name+operation.MachineFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no workflow %s; a file is named NAME%s (see fleetstep workflow list)", name,
			operation.MachineFile)
	}
	return b, err
}

// oneArgument wants exactly one.
func oneArgument(c *cobra.Command, args []string, what string) error {
	if len(args) != 1 {
		return UsageError{fmt.Errorf("%s takes one argument, %s (see %s --help)", c.CommandPath(), what,
			c.CommandPath())}
	}
	return nil
}
