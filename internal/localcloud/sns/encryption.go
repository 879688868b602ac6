package sns

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// encryption is how topics use keys of the customer: who publishes needs a data key. Messages lie as plain as
// all else in the store.
//
// Source: Amazon SNS Developer Guide, "Managing Amazon SNS encryption keys and costs"; API Reference, errors of
// Publish (2026-11).
func (s *Service) encryption() *awsapi.Encryption {
	return &awsapi.Encryption{
		Uses: map[string][]string{"sns:Publish": {"GenerateDataKey", "Decrypt"}},
		Key: func(_, arn string) (key awsapi.Key, err error) {
			err = s.config.Store.View(func(tx *store.Tx) error {
				t, err := s.openTopic(tx, arn)
				if err == nil {
					key.ID, key.Context = t.Attributes["KmsMasterKeyId"], map[string]string{"aws:sns:topicArn": arn}
				}
				return nil // what there is not is told by the operation
			})
			return key, err
		},
		Words: awsapi.KeyErrors(map[string]awsapi.Error{
			"AccessDeniedException":    {Code: "KMSAccessDenied", Status: 400},
			"DisabledException":        {Code: "KMSDisabled", Status: 400},
			"NotFoundException":        {Code: "KMSNotFound", Status: 400},
			"KMSInvalidStateException": {Code: "KMSInvalidState", Status: 400},
			"InvalidKeyUsageException": {Code: "KMSInvalidState", Status: 400},
			"ThrottlingException":      {Code: "KMSThrottling", Status: 400},
		}),
	}
}
