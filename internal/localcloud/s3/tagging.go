package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Tags of objects: a version has its own. They come with an upload, in a header, or later, in a document.
//
// Source: Amazon S3 User Guide, "Categorizing your objects using tags"; API reference, PutObjectTagging, PutObject,
// CopyObject (2026-11). docs/aws-facts has the sources of the errors.

const (
	headerTagging   = "X-Amz-Tagging"
	headerTagCount  = "X-Amz-Tagging-Count"
	headerTagsOf    = "X-Amz-Tagging-Directive" // of a copy
	maxTags         = 10
	maxTagKey       = 128 // UTF-16 code units
	maxTagValue     = 256
	systemTagPrefix = "aws:"
)

type tag struct{ Key, Value string }

var tagForm = regexp.MustCompile(`^[\pL\pN\pZ_.:/=+\-@]*$`)

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// checkTags puts tags in order, or says what is wrong with them.
func checkTags(tags []tag) ([]tag, error) {
	if len(tags) > maxTags {
		return nil, errS3("BadRequest", 400, "Object tags cannot be greater than 10")
	}
	for i, t := range tags {
		switch {
		case slices.ContainsFunc(tags[:i], func(o tag) bool { return o.Key == t.Key }):
			return nil, errS3("InvalidTag", 400, "Cannot provide multiple Tags with the same key")
		case strings.HasPrefix(t.Key, systemTagPrefix):
			return nil, errS3("InvalidTag", 400, "Your TagKey cannot be prefixed with aws:")
		case t.Key == "" || units(t.Key) > maxTagKey || !tagForm.MatchString(t.Key):
			return nil, errS3("InvalidTag", 400, "The TagKey you have provided is invalid")
		case units(t.Value) > maxTagValue || !tagForm.MatchString(t.Value):
			return nil, errS3("InvalidTag", 400, "The TagValue you have provided is invalid")
		}
	}
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return tags, nil
}

// parseTags reads the header of an upload: the tags as parameters of a URL.
func parseTags(header string) ([]tag, error) {
	wrong := errArgument("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then "+
		"URLEncoded URL query parameters without tag name duplicates.")
	var tags []tag
	for pair := range strings.SplitSeq(header, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		t := tag{}
		var err error
		if t.Key, err = url.QueryUnescape(key); err == nil {
			t.Value, err = url.QueryUnescape(value)
		}
		if err != nil || strings.Contains(value, "=") || !utf8.ValidString(t.Key+t.Value) ||
			slices.ContainsFunc(tags, func(o tag) bool { return o.Key == t.Key }) {
			return nil, wrong
		}
		tags = append(tags, t)
	}
	return checkTags(tags)
}

// taggingHeader is the header of tags.
func taggingHeader(tags []tag) string {
	pairs := make([]string, len(tags))
	for i, t := range tags {
		pairs[i] = url.QueryEscape(t.Key) + "=" + url.QueryEscape(t.Value)
	}
	return strings.Join(pairs, "&")
}

// take moves the tags that an upload has in its header to where a version has them.
func (v *version) take() (err error) {
	if text, ok := v.Header[headerTagging]; ok {
		delete(v.Header, headerTagging)
		v.Tags, err = parseTags(text)
	}
	return err
}

// uploadTags checks the tags of an upload, and that its caller may give them. A presigned URL has them as a parameter.
func uploadTags(c *awsapi.Call, r *http.Request, bucketName, key string, query url.Values) error {
	for _, name := range []string{headerTagging, strings.ToLower(headerTagging)} {
		if query.Has(name) && r.Header.Get(headerTagging) == "" {
			r.Header.Set(headerTagging, query.Get(name))
		}
		query.Del(name)
	}
	text := r.Header.Get(headerTagging)
	if text == "" {
		r.Header.Del(headerTagging)
		return nil
	}
	if _, err := parseTags(text); err != nil {
		return err
	}
	return c.Permit(r.Context(), "s3:PutObjectTagging", arn(bucketName, key), nil)
}

// copyTags puts the tags that a copy is to have into its header: the source's, or those of the request.
func copyTags(r *http.Request, from source, bucketName, key string, header map[string]string) error {
	c := awsapi.CallFrom(r.Context())
	delete(header, headerTagging)
	switch directive := r.Header.Get(headerTagsOf); directive {
	case "", "COPY":
		if len(from.version.Tags) == 0 {
			return nil
		}
		action := "s3:GetObjectTagging"
		if from.id != "" {
			action = "s3:GetObjectVersionTagging"
		}
		if err := c.Permit(r.Context(), action, arn(from.bucket, from.key), nil); err != nil {
			return err
		}
		if err := c.Permit(r.Context(), "s3:PutObjectTagging", arn(bucketName, key), nil); err != nil {
			return err
		}
		header[headerTagging] = taggingHeader(from.version.Tags)
	case "REPLACE":
		if text := r.Header.Get(headerTagging); text != "" { // it has been checked
			header[headerTagging] = text
		}
	default:
		return errArgument("x-amz-tagging-directive", directive, "Unknown tagging directive.")
	}
	return nil
}

// tellTags tells how many tags a version has, to who may read them.
func tellTags(w http.ResponseWriter, r *http.Request, c *awsapi.Call, bucketName, key, id string, v version) {
	action := "s3:GetObjectTagging"
	if id != "" {
		action = "s3:GetObjectVersionTagging"
	}
	if len(v.Tags) > 0 && c.Permit(r.Context(), action, arn(bucketName, key), nil) == nil {
		w.Header().Set(headerTagCount, strconv.Itoa(len(v.Tags)))
	}
}

// serveTagging answers Get, Put and DeleteObjectTagging.
func (s *Service) serveTagging(w http.ResponseWriter, r *http.Request, c *awsapi.Call, bucketName, key string,
	id string) error {
	verbs := map[string]string{http.MethodGet: "Get", http.MethodPut: "Put", http.MethodDelete: "Delete"}
	verb, ok := verbs[r.Method]
	if !ok {
		return errS3("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
	}
	action := "s3:" + verb + "ObjectTagging"
	if id != "" {
		action = "s3:" + verb + "ObjectVersionTagging"
	}
	if err := c.Permit(r.Context(), action, arn(bucketName, key), nil); err != nil {
		return err
	}
	v, err := s.find(bucketName, key, id)
	if err != nil {
		return err
	}
	if v.Deleted {
		return s.marker(w, key, v, true)
	}
	type document struct {
		XMLName xml.Name
		TagSet  *struct {
			Tag []struct{ Key, Value *string }
		}
	}
	if verb != "Get" {
		var tags []tag
		if verb == "Put" {
			if err := unchunk(r); err != nil {
				return err
			}
			if err := verify(w, r); err != nil {
				return err
			}
			var in document
			err := readXML(r, &in)
			if bad, ok := errors.AsType[gofakes3.Error](err); ok {
				return errS3(string(bad.ErrorCode()), 400, "%s", bad.Error())
			}
			if err != nil {
				return err
			}
			if in.XMLName.Local != "Tagging" || in.TagSet == nil {
				return errMalformed
			}
			for _, t := range in.TagSet.Tag {
				if t.Key == nil || t.Value == nil {
					return errMalformed
				}
				tags = append(tags, tag{*t.Key, *t.Value})
			}
			if tags, err = checkTags(tags); err != nil {
				return err
			}
		}
		if err := s.setTags(bucketName, key, v.ID, tags); err != nil {
			return err
		}
	}
	if err := s.setVersionHeader(w, headerVersion, bucketName, v.ID); err != nil {
		return err
	}
	switch verb {
	case "Get":
		var out struct {
			XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
			TagSet  struct{ Tag []tag }
		}
		out.TagSet.Tag = v.Tags
		return s.answerXML(w, out)
	case "Delete":
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// setTags changes the tags of a version.
func (s *Service) setTags(bucketName, key, id string, tags []tag) error {
	return s.Store.Update(func(tx *store.Tx) error {
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
			if err != nil {
				return err
			}
			if row.Value.ID == id {
				row.Value.Tags = tags
				return versions.Put(tx, row.Value, row.Key...)
			}
		}
		return errNoVersion
	})
}
