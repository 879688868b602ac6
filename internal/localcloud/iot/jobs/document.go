package jobs

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// documentFor is a job's document as an execution gets it: placeholders become presigned URLs that are signed now. It
// is "" if the job is gone.
func (s *Service) documentFor(ctx context.Context, jobID, thing string, number int64) (string, error) {
	var text []byte
	var presigned *configuration.PresignedURL
	err := s.db.View(func(tx *store.Tx) (err error) {
		if text, _, err = documentTable.Get(tx, jobID); err != nil {
			return err
		}
		j, _, err := jobTable.Get(tx, jobID)
		presigned = j.Presigned
		return err
	})
	if err != nil {
		return "", err
	}
	pieces, err := document.Split(string(text))
	if err != nil {
		return "", refusal(err)
	}
	return document.Join(pieces, func(p document.Piece) (string, error) {
		if s.config.Presigner == nil || presigned == nil {
			return "", awsapi.NotBuilt("presigned URLs of job documents without a Presigner")
		}
		r := PresignRequest{
			Method: "GET", RoleARN: presigned.RoleARN, SourceARN: s.jobARN(jobID), Bucket: p.Object.Bucket,
			Key: p.Object.Key, ObjectVersion: p.Object.Version, Expires: presigned.Lifetime(),
		}
		if p.Upload {
			r.Method = "PUT"
			r.Key = strings.NewReplacer("${thingName}", thing, "${jobId}", jobID, "${executionNumber}",
				strconv.FormatInt(number, 10)).Replace(r.Key)
		}
		return s.config.Presigner.Presign(ctx, r)
	})
}

// fetch reads a document from S3 as the caller.
func (s *Service) fetch(ctx context.Context, id awsapi.Identity, source string) (string, error) {
	object, err := document.ParseURL(source, false)
	if err != nil {
		return "", refusal(err)
	}
	if s.config.Caller == nil {
		return "", awsapi.NotBuilt("documentSource without S3")
	}
	if k, err := url.PathUnescape(object.Key); err == nil {
		object.Key = k
	}
	var out struct{ Body []byte }
	in := map[string]any{"Bucket": object.Bucket, "Key": object.Key}
	if err := awsapi.CallInto(ctx, s.config.Caller, id, "s3", "GetObject", in, &out); err != nil {
		e := awsapi.AsError(err)
		if e.HTTPStatus() >= 500 {
			return "", e
		}
		return "", invalid("The job document cannot be read from %s: %s", source, e)
	}
	return string(out.Body), nil
}

func checkDocument(text string, presigned *configuration.PresignedURL) error {
	return refusal(document.Check(text, presigned.Role() != ""))
}
