package sfn

import (
	"strconv"
	"strings"
)

// Route is a version with its share of an alias's executions.
type Route struct {
	StateMachineVersionARN string `json:"stateMachineVersionArn"`
	Weight                 int    `json:"weight"`
}

// version is the number of the version, 0 where the ARN is none of a version.
func (r Route) version() int {
	return number(r.StateMachineVersionARN[strings.LastIndexByte(r.StateMachineVersionARN, ':')+1:])
}

// number is the number that a qualifier is, 0 where it is an alias's name.
func number(qualifier string) int {
	n, err := strconv.Atoi(qualifier)
	if err != nil {
		return 0
	}
	return n
}
