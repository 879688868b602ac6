package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// The lists of a bucket over HTTP: ListObjects, ListObjectsV2 and ListObjectVersions.
//
// Source: API reference of the three (2026-11), and AWS's answers as localstack recorded them
// (tests/aws/services/s3/test_s3_list_operations.snapshot.json, 2025-01-21).

// maxKeys is the size of a page that is not told another, and of the largest one.
const maxKeys = 1000

// xmlText is text that is escaped already.
type xmlText struct {
	Text string `xml:",innerxml"`
}

// xmlOwner is who owns an object: the account.
type xmlOwner struct {
	ID string
}

// xmlEntry is an object, a version or a delete marker; its element names it.
type xmlEntry struct {
	XMLName      xml.Name
	Key          xmlText
	VersionID    string `xml:"VersionId,omitempty"`
	IsLatest     *bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64
	Owner        *xmlOwner
	StorageClass string `xml:",omitempty"`
}

type xmlPrefix struct {
	Prefix xmlText
}

// xmlList is the answer of each list.
type xmlList struct {
	XMLName               xml.Name
	Xmlns                 string `xml:"xmlns,attr"`
	Name                  string
	Prefix                xmlText
	Marker                *xmlText
	KeyMarker             *xmlText
	VersionIDMarker       *string  `xml:"VersionIdMarker"`
	StartAfter            *xmlText `xml:",omitempty"`
	ContinuationToken     string   `xml:",omitempty"`
	NextMarker            *xmlText `xml:",omitempty"`
	NextKeyMarker         *xmlText `xml:",omitempty"`
	NextVersionIDMarker   string   `xml:"NextVersionIdMarker,omitempty"`
	NextContinuationToken string   `xml:",omitempty"`
	KeyCount              *int
	MaxKeys               int64
	Delimiter             *xmlText `xml:",omitempty"`
	EncodingType          string   `xml:",omitempty"`
	IsTruncated           bool
	Entries               []xmlEntry
	CommonPrefixes        []xmlPrefix
}

// isList reports whether a request is for a list of a bucket's keys, and not for something that the bucket has.
func isList(r *http.Request, bucketName, key string, query url.Values) bool {
	if r.Method != http.MethodGet || bucketName == "" || key != "" {
		return false
	}
	for name := range served {
		if name != "versions" && query.Has(name) {
			return false
		}
	}
	return true
}

func errArgument(name, value, message string) *awsapi.Error {
	e := errS3("InvalidArgument", 400, "%s", message)
	e.Fields = map[string]any{"ArgumentName": name, "ArgumentValue": value}
	return e
}

// pageSize reads max-keys.
func pageSize(query url.Values) (int64, error) {
	text := query.Get("max-keys")
	if text == "" {
		return maxKeys, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil:
		return 0, errArgument("max-keys", text, "Provided max-keys not an integer or within integer range")
	case n < 0:
		return 0, errArgument("max-keys", text, "Argument maxKeys must be an integer between 0 and 2147483647")
	}
	return min(n, maxKeys), nil
}

// serveList answers a request for a list.
func (s *Service) serveList(w http.ResponseWriter, bucketName string, query url.Values) error {
	size, err := pageSize(query)
	if err != nil {
		return err
	}
	p := page{prefix: query.Get("prefix"), delimiter: query.Get("delimiter"), size: size}
	encode := escaped
	out := xmlList{XMLName: xml.Name{Local: "ListBucketResult"}, Xmlns: "http://s3.amazonaws.com/doc/2006-03-01/",
		Name: bucketName, MaxKeys: size, EncodingType: query.Get("encoding-type")}
	if out.EncodingType != "" {
		encode = urlEncoded
	}
	text := func(s string) *xmlText { return &xmlText{encode(s)} }
	out.Prefix = *text(p.prefix)
	if p.delimiter != "" {
		out.Delimiter = text(p.delimiter)
	}
	all, v2 := query.Has("versions"), query.Get("list-type") == "2"
	withOwner := true
	switch {
	case all:
		out.XMLName.Local = "ListVersionsResult"
		p.after, p.afterVersion = query.Get("key-marker"), query.Get("version-id-marker")
		switch {
		case query.Has("version-id-marker") && p.after == "":
			return errArgument("version-id-marker", p.afterVersion,
				"A version-id marker cannot be specified without a key marker.")
		case query.Has("version-id-marker") && p.afterVersion == "":
			return errArgument("version-id-marker", "", "A version-id marker cannot be empty.")
		}
		out.KeyMarker, out.VersionIDMarker = text(p.after), &p.afterVersion
	case v2:
		withOwner = query.Get("fetch-owner") == "true"
		if query.Has("start-after") {
			out.StartAfter, p.after = text(query.Get("start-after")), query.Get("start-after")
		}
		if query.Has("continuation-token") {
			out.ContinuationToken = query.Get("continuation-token")
			after, ok := awsapi.PageAfter(out.ContinuationToken, 1)
			if !ok || after == nil {
				return errArgument("continuation-token", out.ContinuationToken,
					"The continuation token provided is incorrect")
			}
			p.after = after[0]
		}
	case query.Has("list-type"):
		return errArgument("list-type", query.Get("list-type"), "Invalid List Type specified in Request")
	default:
		p.after = query.Get("marker")
		out.Marker = text(p.after)
	}
	entries, more, err := s.entries(bucketName, p, all)
	if err != nil {
		return err
	}
	out.IsTruncated = more
	for _, e := range entries {
		if e.common {
			out.CommonPrefixes = append(out.CommonPrefixes, xmlPrefix{*text(e.key)})
			continue
		}
		x := xmlEntry{XMLName: xml.Name{Local: "Contents"}, Key: *text(e.key), LastModified: listed(e.Modified)}
		if withOwner {
			x.Owner = &xmlOwner{s.canonicalID()}
		}
		if all {
			x.XMLName.Local, x.VersionID, x.IsLatest = "Version", e.ID, &e.newest
		}
		if e.Deleted {
			x.XMLName.Local = "DeleteMarker"
		} else {
			x.ETag, x.Size, x.StorageClass = etag(e.version), &e.Size, "STANDARD"
		}
		out.Entries = append(out.Entries, x)
	}
	if v2 {
		n := len(entries)
		out.KeyCount = &n
	}
	if more {
		switch last := entries[len(entries)-1]; {
		case all:
			out.NextKeyMarker, out.NextVersionIDMarker = text(last.key), last.ID
		case v2:
			out.NextContinuationToken = awsapi.PageToken(last.key)
		case p.delimiter != "":
			out.NextMarker = text(last.key)
		}
	}
	return s.answerXML(w, out)
}

// entries is walk of a bucket that must be there.
func (s *Service) entries(bucketName string, p page, all bool) (entries []entry, more bool, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		if _, err := findBucket(tx, bucketName); err != nil {
			return err
		}
		entries, more, err = walk(tx, bucketName, p, all)
		return err
	})
	return entries, more, err
}

// canonicalID names the account as S3 does, in 64 hexadecimal digits.
func (s *Service) canonicalID() string {
	sum := sha256.Sum256([]byte(s.Account))
	return hex.EncodeToString(sum[:])
}

// listed is a time as lists have it, of whole seconds.
func listed(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }

// escaped is text in XML. Characters that XML 1.0 has not are references all the same: who asks without encoding-type
// gets what cannot be parsed.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < ' ' || r == '\x7f' || r == '\ufffe' || r == '\uffff':
			b.WriteString("&#x" + strconv.FormatInt(int64(r), 16) + ";")
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// urlEncoded is text with encoding-type=url: as forms are, but for "/" and "*", which stay, and "~", which does not.
func urlEncoded(s string) string {
	return strings.NewReplacer("%2F", "/", "%2A", "*", "~", "%7E").Replace(url.QueryEscape(s))
}
