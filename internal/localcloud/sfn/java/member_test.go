package java

import "testing"

func TestMembersAreSpelledAsInJava(t *testing.T) {
	for name, want := range map[string]string{
		"DBClusterIdentifier": "DbClusterIdentifier", "SSEKMSKeyId": "SsekmsKeyId", "ETag": "ETag", "BOOL": "Bool",
		"SS": "Ss", "S": "S", "MD5OfMessageBody": "Md5OfMessageBody", "stateMachineArn": "StateMachineArn",
		"VersionId": "VersionId", "SSESpecification": "SseSpecification", "AWSAccountId": "AwsAccountId",
		"otaUpdateId": "OtaUpdateId", "": "", "MFADelete": "MfaDelete", "x": "X", "KMSKeyArn": "KmsKeyArn",
	} {
		if got := Member(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
