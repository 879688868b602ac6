package jobs

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// maxDocument is the largest job document, in bytes.
const maxDocument = 32768

// document is a job's document as an execution gets it: placeholders become
// presigned URLs that are signed now. It is "" if the job is gone.
func (s *Service) document(ctx context.Context, jobID, thing string, number int64) (string, error) {
	var text []byte
	var presigned *PresignedURL
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
	pieces, err := parsePlaceholders(string(text))
	if err != nil || len(pieces) == 1 {
		return string(text), err
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.kind == literal {
			b.WriteString(p.text)
			continue
		}
		if s.config.Presigner == nil || presigned == nil {
			return "", awsapi.NotBuilt("presigned URLs of job documents without a Presigner")
		}
		r := PresignRequest{
			Method: "GET", RoleARN: presigned.RoleARN, SourceARN: s.jobARN(jobID),
			Bucket: p.bucket, Key: p.key, ObjectVersion: p.version, Expires: presigned.lifetime(),
		}
		if p.kind == upload {
			r.Method = "PUT"
			r.Key = strings.NewReplacer("${thingName}", thing, "${jobId}", jobID, "${executionNumber}",
				strconv.FormatInt(number, 10)).Replace(r.Key)
		}
		signed, err := s.config.Presigner.Presign(ctx, r)
		if err != nil {
			return "", err
		}
		quoted, err := json.Marshal(signed)
		if err != nil {
			return "", err
		}
		// The placeholder stands inside a JSON string.
		b.Write(quoted[1 : len(quoted)-1])
	}
	return b.String(), nil
}

func (p *PresignedURL) lifetime() time.Duration {
	if p.ExpiresInSec == 0 {
		return time.Hour
	}
	return time.Duration(p.ExpiresInSec) * time.Second
}

// piece is a part of a job document: text, or a placeholder.
type piece struct {
	kind                 string
	text                 string
	bucket, key, version string
}

const (
	literal    = ""
	download   = "s3-presigned-url"
	downloadV1 = "s3-presigned-url-v1"
	downloadV2 = "s3-presigned-url-v2"
	upload     = "s3-presigned-url-upload"
	signature  = "code-sign-signature"
)

const opening = "${aws:iot:"

// parsePlaceholders splits a document at its ${aws:iot:NAME:ARGUMENT}
// placeholders. The argument of an upload may hold ${...} itself.
func parsePlaceholders(document string) ([]piece, error) {
	var pieces []piece
	for {
		i := strings.Index(document, opening)
		if i < 0 {
			return append(pieces, piece{text: document}), nil
		}
		pieces = append(pieces, piece{text: document[:i]})
		rest := document[i+len(opening):]
		end, depth := -1, 1
		for k := 0; k < len(rest); k++ {
			if rest[k] == '{' {
				depth++
			} else if rest[k] == '}' {
				if depth--; depth == 0 {
					end = k
					break
				}
			}
		}
		if end < 0 {
			return nil, invalid("The job document has a placeholder that is not closed: %.60s", document[i:])
		}
		name, argument, _ := strings.Cut(rest[:end], ":")
		p := piece{kind: name}
		switch name {
		case download, downloadV1, downloadV2, upload:
			var err error
			if p.bucket, p.key, p.version, err = parseObjectURL(argument, name == downloadV2); err != nil {
				return nil, err
			}
		case signature:
			return nil, awsapi.NotBuilt("the job document placeholder " + opening + signature + "}")
		default:
			return nil, invalid("The job document has an unknown placeholder %s%s}.", opening, name)
		}
		pieces = append(pieces, p)
		document = rest[end+1:]
	}
}

// parseObjectURL takes an S3 URL apart, in path or virtual-hosted style. Only
// in encoded ones are the key's escapes undone and the version read.
func parseObjectURL(text string, encoded bool) (bucket, key, version string, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	host, path, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || scheme != "https" && scheme != "http" {
		return "", "", "", invalid("%q is not the URL of an S3 object.", text)
	}
	if encoded {
		if path, err = url.PathUnescape(path); err != nil {
			return "", "", "", invalid("%q is not URL-encoded.", text)
		}
		if before, v, ok := strings.Cut(path, "?versionId="); ok {
			path, version = before, v
		}
	}
	if b, _, ok := strings.Cut(host, ".s3."); ok {
		bucket, key = b, path
	} else if b, _, ok := strings.Cut(host, ".s3-"); ok {
		bucket, key = b, path
	} else if bucket, key, ok = strings.Cut(path, "/"); !ok {
		key = ""
	}
	if bucket == "" || key == "" {
		return "", "", "", invalid("%q does not name a bucket and a key.", text)
	}
	return bucket, key, version, nil
}

// fetch reads a document from S3 as the caller.
func (s *Service) fetch(ctx context.Context, id awsapi.Identity, source string) (string, error) {
	bucket, key, version, err := parseObjectURL(source, false)
	if err != nil {
		return "", err
	}
	if s.config.Caller == nil {
		return "", awsapi.NotBuilt("documentSource without S3")
	}
	if k, err := url.PathUnescape(key); err == nil {
		key = k
	}
	in := map[string]any{"Bucket": bucket, "Key": key}
	if version != "" {
		in["VersionId"] = version
	}
	var out struct{ Body []byte }
	if err := awsapi.CallInto(ctx, s.config.Caller, id, "s3", "GetObject", in, &out); err != nil {
		e := awsapi.AsError(err)
		if e.HTTPStatus() >= 500 {
			return "", e
		}
		return "", invalid("The job document cannot be read from %s: %s", source, e)
	}
	return string(out.Body), nil
}

// checkDocument refuses a document that no device could be given.
func checkDocument(document string, presigned *PresignedURL) error {
	if len(document) == 0 || len(document) > maxDocument {
		return invalid("The job document has %d bytes; allowed are 1 to %d.", len(document), maxDocument)
	}
	if !json.Valid([]byte(document)) {
		return invalid("The job document is not valid JSON.")
	}
	pieces, err := parsePlaceholders(document)
	if err != nil {
		return err
	}
	if len(pieces) > 1 && (presigned == nil || presigned.RoleARN == "") {
		return invalid("The job document has presigned URL placeholders, but presignedUrlConfig has no roleArn.")
	}
	return nil
}
