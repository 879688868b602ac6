package kms

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

func invalid(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationException", format, args...)
}

func noKey(arn string) *awsapi.Error {
	return awsapi.Errorf("NotFoundException", "Key '%s' does not exist", arn)
}

func noAlias(arn string) *awsapi.Error {
	return awsapi.Errorf("NotFoundException", "Alias %s is not found.", arn)
}

func disabled(arn string) *awsapi.Error {
	return awsapi.Errorf("DisabledException", "%s is disabled.", arn)
}

func pending(arn string) *awsapi.Error {
	return awsapi.Errorf("KMSInvalidStateException", "%s is pending deletion.", arn)
}

func wrongUsage(arn, usage, operation string) *awsapi.Error {
	return awsapi.Errorf("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", arn,
		usage, operation)
}

// badCiphertext has no message, as on AWS: it does not tell what is wrong.
func badCiphertext() *awsapi.Error { return awsapi.Errorf("InvalidCiphertextException", "") }

func wrongKey() *awsapi.Error {
	return awsapi.Errorf("IncorrectKeyException",
		"The key ID in the request does not identify a CMK that can perform this operation.")
}

func badSignature() *awsapi.Error { return awsapi.Errorf("KMSInvalidSignatureException", "") }

func badMac() *awsapi.Error { return awsapi.Errorf("KMSInvalidMacException", "") }

func dryRun() *awsapi.Error {
	return awsapi.Errorf("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
}
