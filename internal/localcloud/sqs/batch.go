package sqs

import (
	"context"
	"regexp"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var batchID = regexp.MustCompile(`^[\w-]{1,80}$`)

// checkBatch checks the ids of a batch.
func checkBatch(ids []string) error {
	const prefix = "AWS.SimpleQueueService."
	if len(ids) == 0 {
		return coded("EmptyBatchRequest", prefix+"EmptyBatchRequest",
			"There should be at least one SendMessageBatchRequestEntry in the request.")
	}
	if len(ids) > maxBatch {
		return coded("TooManyEntriesInBatchRequest", prefix+"TooManyEntriesInBatchRequest",
			"Maximum number of entries per request are %d. You have sent %d.", maxBatch, len(ids))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if !batchID.MatchString(id) {
			return coded("InvalidBatchEntryId", prefix+"InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at "+
					"most 80 letters long.")
		}
		if seen[id] {
			return coded("BatchEntryIdsNotDistinct", prefix+"BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}

// failed tells the failure of an entry from one of the whole batch.
func failed(id string, err error) (batchFailure, error) {
	e := awsapi.AsError(err)
	if e.HTTPStatus() >= 500 {
		return batchFailure{}, err
	}
	code := e.QueryCode
	if code == "" {
		code = e.Code
	}
	return batchFailure{ID: id, SenderFault: true, Code: code, Message: e.Message}, nil
}

func (s *Service) sendMessageBatch(_ context.Context, c *awsapi.Call, in *sendBatchIn) (*sendBatchOut, error) {
	var ids []string
	size := 0
	for _, e := range in.Entries {
		ids = append(ids, e.ID)
		size += len(e.Body)
		for name, v := range e.Attributes {
			size += len(name) + len(v.DataType) + len(v.StringValue) + len(v.BinaryValue)
		}
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	if size > maxBytes {
		return nil, coded("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong",
			"Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBytes, size)
	}
	out := &sendBatchOut{Successful: []sentEntry{}, Failed: []batchFailure{}}
	err := s.change(in.QueueURL, func(tx *store.Tx, q *queue) error {
		for i := range in.Entries {
			sent, err := s.send(tx, c, q, &in.Entries[i].sendEntry)
			if err != nil {
				f, err := failed(ids[i], err)
				if err != nil {
					return err
				}
				out.Failed = append(out.Failed, f)
				continue
			}
			out.Successful = append(out.Successful, sentEntry{ID: ids[i], sendOut: *sent})
		}
		return nil
	})
	return out, err
}

// each runs fn for every entry of a batch in one transaction.
func (s *Service) each(url string, ids []string, fn func(tx *store.Tx, q *queue, i int) error) (*batchOut, error) {
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	out := &batchOut{Successful: []batchEntry{}, Failed: []batchFailure{}}
	err := s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, url)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if err := fn(tx, &q, i); err != nil {
				f, err := failed(id, err)
				if err != nil {
					return err
				}
				out.Failed = append(out.Failed, f)
				continue
			}
			out.Successful = append(out.Successful, batchEntry{id})
		}
		return nil
	})
	return out, err
}

func (s *Service) deleteMessageBatch(_ context.Context, _ *awsapi.Call, in *deleteBatchIn) (*batchOut, error) {
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.ID)
	}
	return s.each(in.QueueURL, ids, func(tx *store.Tx, q *queue, i int) error {
		return s.delete(tx, q, in.Entries[i].ReceiptHandle)
	})
}

func (s *Service) changeVisibilityBatch(_ context.Context, _ *awsapi.Call, in *changeVisibilityBatchIn) (
	*changeBatchOut, error) {
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.ID)
	}
	out, err := s.each(in.QueueURL, ids, func(tx *store.Tx, q *queue, i int) error {
		return s.hide(tx, q, in.Entries[i].ReceiptHandle, in.Entries[i].VisibilityTimeout)
	})
	return (*changeBatchOut)(out), err
}
