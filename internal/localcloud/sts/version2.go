package sts

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Presigned S3 URLs of Signature Version 2, which the AWS CLI still makes for
// us-east-1. Source: Amazon S3 Developer Guide, "Signing and authenticating
// REST requests" (Query string request authentication alternative).

// isVersion2 says whether a request is signed that way.
func isVersion2(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "AWSAccessKeyId=") && strings.Contains(r.URL.RawQuery, "Signature=")
}

// subresources are the parameters that the signature covers.
var subresources = []string{
	"accelerate", "acl", "analytics", "cors", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
	"notification",
	"object-lock", "partNumber", "policy", "replication", "requestPayment", "restore", "select", "select-type",
	"storageClass", "tagging",
	"torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
	"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
	"response-content-type", "response-expires",
}

func (s *Service) authenticateVersion2(r *http.Request) (id awsapi.Identity, err error) {
	q := r.URL.Query()
	c, ok, err := s.credentialsOf(r.Context(), q.Get("AWSAccessKeyId"))
	if err != nil {
		return id, err
	}
	if !ok || !hmac.Equal([]byte(c.token), []byte(q.Get("x-amz-security-token"))) {
		return id, invalidToken()
	}
	now := s.config.Scheduler.Now()
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return id, awsapi.Errorf(awsapi.CodeExpiredToken, "The provided token has expired.")
	}
	expires, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil {
		return id, awsapi.Errorf(awsapi.CodeMissingToken, "Invalid date (should be seconds since epoch): %s",
			q.Get("Expires"))
	}
	if (!s.config.Scheduler.Virtual() || s.config.VirtualDates) && now.After(time.Unix(expires, 0)) {
		return id, awsapi.Errorf(awsapi.CodeRequestExpired, "Request has expired")
	}
	m := hmac.New(sha1.New, []byte(c.secret))
	_, _ = m.Write([]byte(stringToSign2(r, q))) // a hash does not fail
	signed, err := base64.StdEncoding.DecodeString(q.Get("Signature"))
	if err != nil || !hmac.Equal(signed, m.Sum(nil)) {
		return id, mismatch()
	}
	return c.identity, nil
}

func stringToSign2(r *http.Request, q url.Values) string {
	var headers []string
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			headers = append(headers, lower+":"+header(r, name)+"\n")
		}
	}
	if t := q.Get("x-amz-security-token"); t != "" {
		headers = append(headers, "x-amz-security-token:"+t+"\n")
	}
	slices.Sort(headers)
	var parameters []string
	for _, name := range subresources {
		if !q.Has(name) {
			continue
		}
		if v := q.Get(name); v != "" {
			name += "=" + v
		}
		parameters = append(parameters, name)
	}
	slices.Sort(parameters)
	resource := canonicalPaths(r, "s3")[0]
	if len(parameters) > 0 {
		resource += "?" + strings.Join(parameters, "&")
	}
	return strings.Join([]string{
		r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), q.Get("Expires"),
		strings.Join(headers, "") + resource,
	}, "\n")
}
