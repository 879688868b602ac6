package sfn

import (
	"strconv"
	"strings"
)

// RoutingConfigurationListItem is a version with its share of an alias's executions.
type RoutingConfigurationListItem struct {
	StateMachineVersionARN string `json:"stateMachineVersionArn" api:"required,min=1,max=256"`
	Weight                 int    `json:"weight" api:"min=0,max=100"`
}

// version is the number of the version, 0 where the ARN is none of a version.
func (r RoutingConfigurationListItem) version() int {
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
