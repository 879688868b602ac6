package sfn

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validName checks a name of a state machine, execution or activity.
func validName(name string) bool {
	if name == "" || len([]rune(name)) > 80 {
		return false
	}
	for _, r := range name {
		if unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("?*<>{}[]\"#%\\^|~`$&,;:/", r) ||
			r >= 0x7f && r <= 0x9f || r == 0xfffe || r == 0xffff || r == 0x10ffff || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// splitARN checks that an ARN is of Step Functions and returns its type and the
// rest.
func (s *Service) splitARN(arn string) (kind, rest string, err error) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "states" {
		return "", "", malformedARN(arn)
	}
	return parts[5], parts[6], nil
}

// machineName returns the state machine that an ARN names, and its qualifier
// (version or alias), "" if there is none.
func (s *Service) machineName(arn string) (name, qualifier string, err error) {
	kind, rest, err := s.splitARN(arn)
	if err != nil {
		return "", "", err
	}
	if kind != "stateMachine" {
		return "", "", invalidARN(kind)
	}
	name, qualifier, _ = strings.Cut(rest, ":")
	if strings.Contains(name, "/") {
		return "", "", validation("The operation does not support the ARN of a Map state: '%s'", arn)
	}
	return name, qualifier, nil
}

// executionOf returns the execution that an ARN names: one of a Standard state
// machine, or a child of a Map Run.
func (s *Service) executionOf(arn string) (key, error) {
	kind, rest, err := s.splitARN(arn)
	if err != nil {
		return key{}, err
	}
	machine, name, ok := strings.Cut(rest, ":")
	machine, label, isChild := strings.Cut(machine, "/")
	if !ok || kind != "execution" && !(kind == "express" && isChild) {
		return key{}, invalidARN(kind)
	}
	if isChild {
		name = label + "/" + name
	}
	return key{machine, name}, nil
}

// standardOf is executionOf for what Express executions do not have: a history,
// and a way to stop or redrive them.
func (s *Service) standardOf(arn string) (key, error) {
	k, err := s.executionOf(arn)
	if err != nil {
		return key{}, err
	}
	if kind, _, err := s.splitARN(arn); err != nil || kind == "express" {
		return key{}, cmp.Or(err, invalidARN(kind))
	}
	return k, nil
}

func (s *Service) executionKey(arn string) (key, bool) {
	k, err := s.executionOf(arn)
	return k, err == nil
}

func (s *Service) activityName(arn string) (string, bool) {
	kind, rest, err := s.splitARN(arn)
	return rest, err == nil && kind == "activity"
}

func (s *Service) arn(kind, rest string) string {
	return "arn:aws:states:" + s.Region + ":" + s.Account + ":" + kind + ":" + rest
}

// executionARN is the ARN of an execution that has a history.
func (s *Service) executionARN(k key) string {
	if label, name, isChild := strings.Cut(k.Name, "/"); isChild {
		return s.arn("execution", k.Machine+"/"+label+":"+name)
	}
	return s.arn("execution", k.Machine+":"+k.Name)
}

// mapRunLabel is the label in a Map Run's ARN.
func mapRunLabel(arn string) string {
	arn = arn[:max(0, strings.LastIndexByte(arn, ':'))]
	return arn[strings.LastIndexByte(arn, '/')+1:]
}
