package sts

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalidToken() error {
	return awsapi.Errorf(awsapi.CodeInvalidToken, "The security token included in the request is invalid.")
}

func mismatch() error {
	return awsapi.Errorf(awsapi.CodeSignatureMismatch,
		"The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

func incomplete(format string, args ...any) error {
	return awsapi.Errorf(awsapi.CodeIncomplete, format, args...)
}

func invalid(format string, args ...any) error {
	return awsapi.Errorf("ValidationError", format, args...)
}
