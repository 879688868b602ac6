package functions

import (
	"errors"
	"slices"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Error types of functions that are no event.ErrorName.
const (
	TypeInvalidPayload = "InvalidPayload"   // create-job: the message lists every mistake
	TypeJobConflict    = "JobConflict"      // create-job: the job id is taken by another job
	TypeEmptyTarget    = "EmptyTarget"      // create-job, create-campaign: no device is in the target
	TypeJobOver        = "JobOver"          // control: the job is over, and cannot be paused or resumed
	TypeUnproved       = "Unproved"         // control: the request's proof of who asks is none
	TypeNoCampaign     = "CampaignNotFound" // there is no such campaign
	TypeCampaignTaken  = "CampaignConflict" // create-campaign: the id is another campaign's
	TypeCampaignOver   = "CampaignOver"     // the campaign is over
	TypeNothingToDo    = "NothingToDo"      // a verb that is for another moment
	TypeFourEyes       = "FourEyes"         // approve-campaign: whoever created it does not approve it
	TypeTransient      = "Transient"        // worth a retry, which the state machine makes
	TypePermanent      = "Permanent"        // AWS would answer a retry in the same way
)

// permanent are the codes of AWS's answers that a retry does not change: the
// caller's rights, its configuration, or the request itself are wrong. A code that
// is not among them may pass; docs/errors.md has all.
var permanent = []string{
	"AccessDenied", "AccessDeniedException", "AuthorizationError", "ForbiddenException", "UnauthorizedException",
	"CertificateValidationException", "UnrecognizedClientException",
	"ValidationException", "InvalidRequestException", "InvalidParameter", "InvalidToken", "InvalidOutput",
	"InvalidExecutionInput",
	"MethodNotAllowedException", "UnknownOperationException", "ItemCollectionSizeLimitExceededException",
	"NoSuchBucket", "NotFound", "StateMachineDoesNotExist", "ParameterNotFound",
}

// isPermanent reports whether AWS refused for good.
func isPermanent(err error) bool {
	api, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	return ok && slices.Contains(permanent, api.ErrorCode())
}

// named gives an error the name by which Lambda reports it, and by which a state
// machine catches it.
func named(err error) error {
	if err == nil {
		return nil
	}
	var problems event.Problems
	name, text := TypeTransient, err.Error()
	switch f, ok := event.AsFailure(err); {
	case ok:
		name = string(f.Name)
	case errors.Is(err, workflow.ErrGone):
		name = string(event.JobCanceled)
	case errors.Is(err, workflow.ErrStopped):
		name = TypeJobOver
	case errors.Is(err, campaign.ErrNotFound):
		name = TypeNoCampaign
		if none, ok := errors.AsType[campaign.NoCampaign](err); ok {
			text = none.Error() // where it was looked for is in the log
		}
	case errors.Is(err, campaign.ErrConflict):
		name = TypeCampaignTaken
	case errors.Is(err, campaign.ErrOver):
		name = TypeCampaignOver
	case errors.Is(err, campaign.ErrNothingToDo):
		name = TypeNothingToDo
	case errors.Is(err, campaign.ErrFourEyes):
		name = TypeFourEyes
	case errors.Is(err, workflow.ErrUnproved), errors.Is(err, campaign.ErrUnproved):
		name = TypeUnproved
	case errors.As(err, &problems):
		name = TypeInvalidPayload
	case errors.Is(err, jobs.ErrConflict):
		name = TypeJobConflict
	case errors.Is(err, jobs.ErrEmpty), errors.Is(err, campaign.ErrEmpty):
		name = TypeEmptyTarget
	case isPermanent(err):
		name = TypePermanent
	}
	return messages.InvokeResponse_Error{Message: text, Type: name}
}
