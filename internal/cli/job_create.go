package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"
)

func jobCreate(env *Env) *cobra.Command {
	var stack, file, version, trigger, target, selection, operation, input string
	var watch, allowEmpty bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Create a job from a payload, or from a version and a target",
		Long: `Creates a job by invoking the stack's create-job function, and prints its job id.
The same payload again gives the same job; the answer then says that it existed,
and its status. A target without devices gives no job: exit code 3.

The payload is a file, standard input (-), or made from --target and either
--firmware-version or --operation. All mistakes in a payload are reported at once,
each with its path.`,
		Example: `  fleetstep job create --file events/create-job.json
  fleetstep job create --firmware-version 2.0.0 --target arn:aws:iot:us-east-1:123456789012:thinggroup/demo --watch
  fleetstep job create --operation reboot --target arn:aws:iot:us-east-1:123456789012:thinggroup/demo`,
		Args: NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			payload, err := createPayload(env, file, shortForm{
				FirmwareVersion: version, TargetARN: target, TargetSelection: selection, UpgradeTrigger: trigger,
				AllowEmpty: allowEmpty,
			}, operation, input)
			if err != nil {
				return err
			}
			api, err := env.lambda(ctx)
			if err != nil {
				return err
			}
			created, err := CreateJob(ctx, api, stack, payload)
			if err != nil {
				return err
			}
			if !watch {
				return env.json(created)
			}
			existed := ""
			if created.Existed {
				existed = " existed, " + created.Status
			}
			fmt.Fprintf(env.Out, "job %s%s\n", created.JobID, existed)
			return watchJob(ctx, env, created.JobID)
		},
	}
	c.Flags().StringVar(&stack, "stack", "fleetstep", "name of the deployed stack")
	c.Flags().StringVarP(&file, "file", "f", "", "payload as a JSON file, - for standard input")
	c.Flags().StringVar(&version, "firmware-version", "", "version of the image in the firmware bucket")
	c.Flags().StringVar(&operation, "operation", "",
		"operation that is only a state machine (see: fleetstep workflow list)")
	c.Flags().StringVar(&input, "input", "{}", "input of the operation, in JSON")
	c.Flags().StringVar(&trigger, "upgrade-trigger", "IMMEDIATE",
		"IMMEDIATE or MANUAL, or MAINTENANCE_WINDOW to restart the devices at night")
	c.Flags().StringVar(&target, "target", "", "ARN of a thing or thing group")
	c.Flags().StringVar(&selection, "target-selection", "",
		"SNAPSHOT (default), or CONTINUOUS: also for things that join the group later")
	c.Flags().BoolVar(&allowEmpty, "allow-empty", false, "create the job even if no device is in the target")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "wait and show the progress")
	return c
}

// shortForm is a payload that is given by flags.
type shortForm struct {
	AllowEmpty      bool   `json:"allowEmpty,omitempty"`
	FirmwareVersion string `json:"firmwareVersion"`
	TargetARN       string `json:"targetArn"`
	TargetSelection string `json:"targetSelection,omitempty"`
	UpgradeTrigger  string `json:"upgradeTrigger"`
}

// namedForm is a payload that names its operation.
type namedForm struct {
	Operation       string          `json:"operation"`
	Input           json.RawMessage `json:"input"`
	Targets         []string        `json:"targets"`
	TargetSelection string          `json:"targetSelection,omitempty"`
	AllowEmpty      bool            `json:"allowEmpty,omitempty"`
}

func createPayload(env *Env, file string, f shortForm, operation, input string) ([]byte, error) {
	switch {
	case operation != "" && (file != "" || f.FirmwareVersion != ""):
		return nil, UsageError{errors.New("--operation excludes --file and --firmware-version")}
	case operation != "" && f.TargetARN == "":
		return nil, UsageError{errors.New("give --target with --operation")}
	case operation != "" && !json.Valid([]byte(input)):
		return nil, UsageError{fmt.Errorf("--input: %s is not JSON", input)}
	case operation != "":
		return json.Marshal(namedForm{operation, json.RawMessage(input), []string{f.TargetARN}, f.TargetSelection,
			f.AllowEmpty})
	case file != "" && (f.FirmwareVersion != "" || f.TargetARN != ""):
		return nil, UsageError{errors.New("--file excludes --firmware-version and --target")}
	case file == "-":
		return io.ReadAll(env.In)
	case file != "":
		return os.ReadFile(file)
	case f.FirmwareVersion == "" || f.TargetARN == "":
		return nil, UsageError{errors.New("give --file, or both --firmware-version and --target")}
	}
	return json.Marshal(f)
}

// Created is create-job's answer.
type Created struct {
	JobID           string   `json:"jobId"`
	JobARN          string   `json:"jobArn"`
	Operation       string   `json:"operation,omitempty"` // where the payload names it
	FirmwareVersion string   `json:"firmwareVersion,omitempty"`
	Targets         []string `json:"targets"`
	Existed         bool     `json:"existed,omitempty"` // the same payload made it before
	Status          string   `json:"status,omitempty"`  // of a job that existed
}

// CreateJob invokes a stack's create-job function. The function's own error is
// returned with its message as it is.
func CreateJob(ctx context.Context, api *lambda.Client, stack string, payload []byte) (*Created, error) {
	var created Created
	name := stack + "-create-job"
	answer, err := call(ctx, api, name, payload)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &created); err != nil || created.JobID == "" {
		return nil, fmt.Errorf("%s answered %s, which has no jobId", name, answer)
	}
	return &created, nil
}

// died are the errors of a function that did not come to its end: its process was killed, or its time was up.
// It may have done what it was asked.
var died = []string{"Runtime.ExitError", "Sandbox.Timedout"}

// call invokes a function of a stack, again where it died: whatever an operator asks may be asked twice. The
// function's own error is returned with its message as it is.
func call(ctx context.Context, api *lambda.Client, name string, payload []byte) ([]byte, error) {
	for try := 1; ; try++ {
		out, err := api.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
		if err != nil {
			return nil, fmt.Errorf("invoke %s: %w", name, err)
		}
		if aws.ToString(out.FunctionError) == "" {
			return out.Payload, nil
		}
		var failure struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal(out.Payload, &failure); err != nil {
			return nil, fmt.Errorf("%s failed: %s", name, out.Payload)
		}
		if slices.Contains(died, failure.ErrorType) && try < 3 {
			continue
		}
		err = fmt.Errorf("%s: %s", failure.ErrorType, failure.ErrorMessage)
		if failure.ErrorType == "EmptyTarget" {
			return nil, NobodyError{err}
		}
		return nil, err
	}
}
