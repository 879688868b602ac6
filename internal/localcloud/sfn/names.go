package sfn

import (
	"errors"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
)

// named is an error of package names as the API answers it.
func named(err error) error {
	if refused, ok := errors.AsType[*names.Error](err); ok {
		return invalidARN(refused)
	}
	return err
}

// machineName returns the state machine that an ARN names, and its qualifier (version or alias), "" if there is none.
func machineName(arn string) (name, qualifier string, err error) {
	name, qualifier, err = names.MachineOf(arn)
	if err != nil {
		return "", "", named(err)
	}
	if strings.Contains(name, "/") {
		return "", "", refusal("API_DOES_NOT_SUPPORT_LABELED_ARNS", "The operation does not support the ARN of a "+
			"Map state: '%s'", arn)
	}
	return name, qualifier, nil
}

// executionOf returns the execution that an ARN names: one of a Standard state machine, or a child of a Map Run.
func executionOf(arn string) (key, error) {
	machine, name, err := names.ExecutionOf(arn)
	return key{machine, name}, named(err)
}

// standardOf is executionOf for what Express executions do not have: a history, and a way to stop or redrive them.
func standardOf(arn string) (key, error) {
	machine, name, err := names.StandardOf(arn)
	return key{machine, name}, named(err)
}

// activityOf returns the activity that an ARN names.
func activityOf(arn string) (string, error) {
	name, err := names.ActivityOf(arn)
	return name, named(err)
}

// executionKey and activityName are executionOf and activityOf where an ARN may as well name something else.
func executionKey(arn string) (key, bool) {
	k, err := executionOf(arn)
	return k, err == nil
}

func activityName(arn string) (string, bool) {
	name, err := activityOf(arn)
	return name, err == nil
}

func (s *Service) arn(kind, rest string) string {
	return names.Account{Region: s.Region, ID: s.Account}.ARN(kind, rest)
}

// versionARN is the ARN of the version that an execution runs, "" if it was started by none.
func (s *Service) versionARN(rec *executionRecord) string {
	if rec.Version == 0 {
		return ""
	}
	return s.arn(names.StateMachine, rec.machine()+":"+strconv.Itoa(rec.Version))
}

// executionARN is the ARN of an execution that has a history.
func (s *Service) executionARN(k key) string {
	return names.Account{Region: s.Region, ID: s.Account}.Execution(k.Machine, k.Name)
}
