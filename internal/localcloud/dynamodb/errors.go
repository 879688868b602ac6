package dynamodb

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
)

func errValidation(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationException", format, args...)
}

var errNoTable = awsapi.Errorf("ResourceNotFoundException", "Requested resource not found")

func errConditionFailed(item expr.Item) *awsapi.Error {
	e := awsapi.Errorf("ConditionalCheckFailedException", "The conditional request failed")
	if item != nil {
		e.Fields = map[string]any{"Item": item}
	}
	return e
}

// asValidation answers an error of the expression language.
func asValidation(err error) error {
	if e, ok := err.(*expr.Error); ok {
		return errValidation("%s", e.Message)
	}
	return err
}

// reason is why one action of a transaction kept it from happening.
type reason struct {
	Code    string    `json:"Code"`
	Message string    `json:"Message,omitempty"`
	Item    expr.Item `json:"Item,omitempty"`
}

func errCanceled(reasons []reason) *awsapi.Error {
	codes := ""
	for i, r := range reasons {
		if i > 0 {
			codes += ", "
		}
		codes += r.Code
	}
	e := awsapi.Errorf("TransactionCanceledException", "%s",
		fmt.Sprintf("Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", codes))
	e.Fields = map[string]any{"CancellationReasons": reasons}
	return e
}
