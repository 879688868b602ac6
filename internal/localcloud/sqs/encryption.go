package sqs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// encryption is how queues use keys of the customer: who sends needs a data key, who receives has it decrypted.
// What SQS does by itself, as a move to the dead-letter queue, needs nothing. Messages lie as plain as all else
// in the store, and no data key is kept for KmsDataKeyReusePeriodSeconds: a permission counts at once.
//
// Source: Amazon SQS Developer Guide, "Configuring AWS KMS permissions"; API Reference, errors of SendMessage
// (2026-11).
func (s *Service) encryption() *awsapi.Encryption {
	return &awsapi.Encryption{
		Uses: map[string][]string{
			"sqs:SendMessage": {"GenerateDataKey", "Decrypt"}, "sqs:ReceiveMessage": {"Decrypt"},
		},
		Key: func(_, arn string) (key awsapi.Key, err error) {
			err = s.config.Store.View(func(tx *store.Tx) error {
				q, ok, err := queueTable.Get(tx, arn[len(s.arn("")):])
				if ok {
					key.ID, key.Context = q.Attributes["KmsMasterKeyId"], map[string]string{"aws:sqs:arn": arn}
				}
				return err
			})
			return key, err
		},
		Words: awsapi.KeyErrors(map[string]awsapi.Error{
			"AccessDeniedException":    *coded("KmsAccessDenied", "KMS.AccessDeniedException", ""),
			"DisabledException":        *coded("KmsDisabled", "KMS.DisabledException", ""),
			"NotFoundException":        *coded("KmsNotFound", "KMS.NotFoundException", ""),
			"KMSInvalidStateException": *coded("KmsInvalidState", "KMS.KMSInvalidStateException", ""),
			"InvalidKeyUsageException": *coded("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException", ""),
			"ThrottlingException":      *coded("KmsThrottled", "KMS.ThrottlingException", ""),
		}),
	}
}
