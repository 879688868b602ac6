package apimodel

import (
	"slices"
	"testing"
)

func TestRequiredMembersAreSpelledAsStepFunctionsDoes(t *testing.T) {
	for _, c := range []struct {
		service, action string
		want            []string
	}{
		{"sqs", "sendMessage", []string{"QueueUrl", "MessageBody"}},
		{"dynamodb", "putItem", []string{"TableName", "Item"}},
		{"sfn", "startExecution", []string{"StateMachineArn"}},
		{"sfn", "listStateMachines", nil},
		{"sqs", "nothing", nil},
		{"nothing", "sendMessage", nil},
	} {
		if got := Required(c.service, c.action); !slices.Equal(got, c.want) {
			t.Errorf("%s:%s: got %q, want %q", c.service, c.action, got, c.want)
		}
	}
}
