package dynamodb

import (
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
)

func errValidation(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationException", format, args...)
}

var errTwice = errValidation("Transaction request cannot include multiple operations on one item")

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

// requestError is an error of one action that is the whole transaction's: it is no reason for a cancellation.
type requestError struct{ err *awsapi.Error }

func (e requestError) Error() string { return e.err.Error() }

// Unwrap gives the error as it is answered.
func (e requestError) Unwrap() error { return e.err }

func ofTheRequest(e *awsapi.Error) error { return requestError{e} }

// reasonOf is why an action keeps its transaction from happening, if its error is that: of is false for none, and for
// one that is the whole request's.
func reasonOf(err error) (r reason, of bool) {
	if _, whole := errors.AsType[requestError](err); whole {
		return r, false
	}
	e, ours := errors.AsType[*awsapi.Error](err)
	switch {
	case ours && e.Code == "ConditionalCheckFailedException":
		r = reason{Code: "ConditionalCheckFailed", Message: e.Message}
		r.Item, _ = e.Fields["Item"].(expr.Item)
	case ours && e.Code == "ValidationException":
		r = reason{Code: "ValidationError", Message: e.Message}
	default:
		return r, false
	}
	return r, true
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

// ongoing is what DynamoDB says of an item that another transaction is writing.
const ongoing = "Transaction is ongoing for the item"

// Conflict is what DynamoDB answers to a call of which one item is in the hands of
// another transaction at that moment; nil for a call that takes no part in such
// conflicts. in is the input of one of the service's operations, as
// awsapi.Config.Fault is given it; of a transaction's actions, number which, modulo
// how many there are, has the conflict.
//
// Source: DynamoDB developer guide, "Transaction conflict handling": a conflict of
// PutItem, UpdateItem or DeleteItem is a TransactionConflictException, one within
// TransactWriteItems or TransactGetItems a TransactionCanceledException with the
// reason TransactionConflict; GetItem, Query, Scan and BatchGetItem have none.
func Conflict(in any, which int) error {
	n := 0
	switch in := in.(type) {
	case *putIn, *updateIn, *deleteIn:
		return awsapi.Errorf("TransactionConflictException", ongoing)
	case *transactWriteIn:
		n = len(in.TransactItems)
	case *transactGetIn:
		n = len(in.TransactItems)
	}
	if n == 0 {
		return nil
	}
	reasons := make([]reason, n)
	for i := range reasons {
		reasons[i].Code = "None"
	}
	reasons[which%n] = reason{Code: "TransactionConflict", Message: ongoing}
	return errCanceled(reasons)
}
