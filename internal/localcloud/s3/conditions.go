package s3

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Conditions of reads and writes, and ranges that are none of an object's: the library's are others than S3's.
//
// Source: Amazon S3 API reference, GetObject, PutObject, CopyObject; user guide, "How to prevent object overwrites
// with conditional writes" (2026-11).

var (
	errCondition = errS3("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold")
	errRange     = errS3("InvalidRange", 416, "The requested range is not satisfiable")
	errPart      = errS3("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
)

// conditional answers a read whose conditions do not hold; done is false for one that may go on, of which the library
// sees no condition.
func conditional(w http.ResponseWriter, r *http.Request, v version) (done bool, err error) {
	header := func(name string) string {
		value := r.Header.Get(name)
		r.Header.Del(name)
		return value
	}
	match, noneMatch := header("If-Match"), header("If-None-Match")
	since, isSince := httpTime(header("If-Modified-Since"))
	until, isUntil := httpTime(header("If-Unmodified-Since"))
	modified := v.Modified.Unix() // headers have no parts of a second
	switch {
	case match != "" && !matches(match, v), match == "" && isUntil && modified > until:
		return true, errCondition
	case noneMatch != "" && matches(noneMatch, v), noneMatch == "" && isSince && modified <= since:
		w.Header().Set("ETag", etag(v))
		w.Header().Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotModified)
		return true, nil
	}
	return false, nil
}

func httpTime(text string) (seconds int64, ok bool) {
	t, err := http.ParseTime(text)
	return t.Unix(), err == nil
}

// copyable refuses a copy of a version of which the conditions of the request do not hold.
func copyable(r *http.Request, v version) error {
	header := func(name string) string { return r.Header.Get("X-Amz-Copy-Source-If-" + name) }
	match, noneMatch := header("Match"), header("None-Match")
	since, isSince := httpTime(header("Modified-Since"))
	until, isUntil := httpTime(header("Unmodified-Since"))
	modified := v.Modified.Unix()
	if match != "" && !matches(match, v) || match == "" && isUntil && modified > until ||
		noneMatch != "" && matches(noneMatch, v) || noneMatch == "" && isSince && modified <= since {
		return errCondition
	}
	return nil
}

// matches says whether a header names the ETag of a version, in quotes or not.
func matches(header string, v version) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag(v), `"`) {
			return true
		}
	}
	return false
}

// satisfiable refuses a range that begins behind an object, and a part that it does not have. What was uploaded at
// once is one part; where the parts of others end is not kept.
func satisfiable(r *http.Request, part string, v version) error {
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	first, last, _ := strings.Cut(text, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if ok && (err == nil && from >= v.Size || first == "" && last == "0") {
		return errRange
	}
	if part == "" {
		return nil
	}
	switch n, err := strconv.Atoi(part); {
	case err != nil || n < 1 || n > gofakes3.MaxUploadPartNumber:
		return errArgument("partNumber", part, "Part number must be an integer between 1 and "+
			strconv.Itoa(gofakes3.MaxUploadPartNumber)+", inclusive")
	case n > max(v.Parts, 1):
		return errPart
	case r.Header.Get("Range") != "":
		return errS3("InvalidRequest", 400, "Cannot specify both Range header and partNumber query parameter")
	case v.Parts > 1:
		return awsapi.NotBuilt("reads of a part (partNumber) of an object of several parts")
	case v.Size > 0:
		r.Header.Set("Range", "bytes=0-"+strconv.FormatInt(v.Size-1, 10))
	}
	return nil
}

// holds checks the conditions of an upload against the newest version, if there is one.
func holds(conditions *gofakes3.PutConditions, key string, old version, is bool) error {
	if none := conditions.IfNoneMatch; none != nil && *none == "*" && is {
		return errCondition
	}
	if match := conditions.IfMatch; match != nil {
		if !is {
			return errNoKey(key)
		}
		if !matches(*match, old) {
			return errCondition
		}
	}
	return nil
}
