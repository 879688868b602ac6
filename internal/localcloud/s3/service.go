package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform

	BlobDir string // folder of the bodies, made if missing; "" keeps them in the store
}

// Service is Amazon S3. Its methods are safe for concurrent use.
type Service struct {
	Config
	library http.Handler
}

// New returns the service over what the store holds.
func New(c Config) (*Service, error) {
	s := &Service{Config: c}
	if c.BlobDir != "" {
		if err := os.MkdirAll(c.BlobDir, 0o700); err != nil {
			return nil, err
		}
	}
	s.library = gofakes3.New(&backend{s}, gofakes3.WithTimeSource(clock{c.Scheduler}), gofakes3.WithTimeSkewLimit(0),
		gofakes3.WithLogger(gofakes3.DiscardLog()), gofakes3.WithUnimplementedPageError()).Server()
	return s, nil
}

// Start removes bodies that belong to no object: uploads that a crash cut off.
func (s *Service) Start(context.Context) error {
	if s.BlobDir == "" {
		return nil
	}
	used := map[string]bool{}
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range versions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			used[row.Value.Blob] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	files, err := os.ReadDir(s.BlobDir)
	for _, f := range files {
		if !used[f.Name()] {
			s.discard(f.Name())
		}
	}
	return err
}

// Residue is empty: nothing here is ever under way.
func (s *Service) Residue(context.Context) []string { return nil }

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	onBucket := func(name string) []string { return []string{arn(name, "")} }
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalError", Status: 500},
		Throttled: awsapi.Word{Code: "SlowDown", Status: 503},
		ID:        "s3", Signing: "s3", Prefix: "s3", Protocols: []awsapi.Protocol{awsapi.RESTXML},
		DeniedCode:     "AccessDenied",
		Says:           func(action, resource string) (string, string) { return action, `"` + resource + `"` },
		ResourcePolicy: s.resourcePolicy,
		HTTP:           http.HandlerFunc(s.serve),
		Operations: []awsapi.Operation{
			awsapi.Op("CreateBucket", s.createBucket, awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string {
				return onBucket(in.Bucket)
			})),
			awsapi.Op("HeadBucket", s.headBucket, awsapi.Action("s3:ListBucket"),
				awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string {
					return onBucket(in.Bucket)
				})),
			awsapi.Op("DeleteBucket", s.deleteBucket, awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string {
				return onBucket(in.Bucket)
			})),
			awsapi.Op("PutBucketVersioning", s.putVersioning,
				awsapi.On(func(_ *awsapi.Call, in *versioningIn) []string {
					return onBucket(in.Bucket)
				})),
			awsapi.Op("GetBucketVersioning", s.getVersioning, awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string {
				return onBucket(in.Bucket)
			})),
			awsapi.Op("PutBucketEncryption", s.putEncryption, awsapi.Action("s3:PutEncryptionConfiguration"),
				awsapi.On(func(_ *awsapi.Call, in *encryptionIn) []string { return onBucket(in.Bucket) })),
			awsapi.Op("PutBucketPolicy", s.putPolicy, awsapi.REST("PUT", "/{Bucket}", "policy"), awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *policyIn) []string { return onBucket(in.Bucket) })),
			awsapi.Op("GetBucketPolicy", s.getPolicy, awsapi.REST("GET", "/{Bucket}", "policy"),
				awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string { return onBucket(in.Bucket) })),
			awsapi.Op("DeleteBucketPolicy", s.deletePolicy, awsapi.REST("DELETE", "/{Bucket}", "policy"),
				awsapi.Status(204),
				awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string { return onBucket(in.Bucket) })),
			awsapi.Op("GetObject", s.getObject, awsapi.On(func(_ *awsapi.Call, in *objectRef) []string {
				return []string{arn(in.Bucket, in.Key)}
			})),
			awsapi.Op("HeadObject", s.headObject, awsapi.Action("s3:GetObject"),
				awsapi.On(func(_ *awsapi.Call, in *objectRef) []string {
					return []string{arn(in.Bucket, in.Key)}
				})),
			awsapi.Op("PutObject", s.putObject, awsapi.On(func(_ *awsapi.Call, in *putObjectIn) []string {
				return []string{arn(in.Bucket, in.Key)}
			})),
			awsapi.Op("DeleteObject", s.deleteObject, awsapi.On(func(_ *awsapi.Call, in *objectRef) []string {
				return []string{arn(in.Bucket, in.Key)}
			})),
			awsapi.Op("ListObjectsV2", s.listObjects, awsapi.Action("s3:ListBucket"),
				awsapi.On(func(_ *awsapi.Call, in *listObjectsIn) []string {
					return onBucket(in.Bucket)
				})),
		},
	}
}

func arn(bucketName, key string) string {
	if key == "" {
		return "arn:aws:s3:::" + bucketName
	}
	return "arn:aws:s3:::" + bucketName + "/" + key
}

func (s *Service) resourcePolicy(arn string) (string, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(arn, "arn:aws:s3:::"), "/")
	b, err := s.bucket(name)
	if errors.Is(err, errNoBucket("")) {
		return "", nil
	}
	return b.Policy, err
}

func (s *Service) bucket(name string) (b bucket, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		b, err = findBucket(tx, name)
		return err
	})
	return b, err
}

func findBucket(tx *store.Tx, name string) (bucket, error) {
	b, ok, err := buckets.Shared(tx, name)
	if err == nil && !ok {
		err = errNoBucket(name)
	}
	return b, err
}

type nothing struct{}

type bucketRef struct {
	Bucket                    string `json:"Bucket" uri:"Bucket"`
	CreateBucketConfiguration any    `json:"CreateBucketConfiguration,omitempty"`
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

type createBucketOut struct {
	Location string `json:"Location"`
}

func (s *Service) createBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*createBucketOut, error) {
	return &createBucketOut{"/" + in.Bucket}, s.create(in.Bucket)
}

func (s *Service) create(name string) error {
	if !bucketName.MatchString(name) || strings.Contains(name, "..") {
		return errS3("InvalidBucketName", 400,
			"The specified bucket is not valid: %q is not 3 to 63 lower-case letters, digits, '.' and '-'", name)
	}
	return s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := buckets.Get(tx, name); err != nil {
			return err
		} else if ok {
			return errOwned
		}
		return buckets.Put(tx, bucket{Name: name, Created: s.Scheduler.Now()}, name)
	})
}

func (s *Service) headBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	_, err := s.bucket(in.Bucket)
	return &nothing{}, err
}

func (s *Service) deleteBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	return &nothing{}, s.dropBucket(in.Bucket)
}

func (s *Service) dropBucket(name string) error {
	return s.Store.Update(func(tx *store.Tx) error {
		if _, err := findBucket(tx, name); err != nil {
			return err
		}
		for _, err := range versions.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			return errNotEmpty
		}
		return buckets.Delete(tx, name)
	})
}

func (s *Service) change(name string, fn func(b *bucket)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		b, err := findBucket(tx, name)
		if err != nil {
			return err
		}
		fn(&b)
		return buckets.Put(tx, b, name)
	})
}

type versioningConfiguration struct {
	Status string `json:"Status,omitempty"`
}

type versioningIn struct {
	Bucket                  string                  `json:"Bucket"`
	VersioningConfiguration versioningConfiguration `json:"VersioningConfiguration"`
}

func (s *Service) putVersioning(_ context.Context, _ *awsapi.Call, in *versioningIn) (*nothing, error) {
	status := in.VersioningConfiguration.Status
	if status != "Enabled" && status != "Suspended" {
		return nil, errS3("MalformedXML", 400, "VersioningConfiguration.Status: %q is neither Enabled nor Suspended",
			status)
	}
	return &nothing{}, s.change(in.Bucket, func(b *bucket) { b.Versioning = status })
}

func (s *Service) getVersioning(_ context.Context, _ *awsapi.Call, in *bucketRef) (*versioningConfiguration, error) {
	b, err := s.bucket(in.Bucket)
	return &versioningConfiguration{b.Versioning}, err
}

type policyIn struct {
	Bucket string `json:"Bucket" uri:"Bucket"`
	Policy string `json:"Policy" payload:"raw"`
}

type policyOut struct {
	Policy string `json:"Policy" payload:"raw"`
}

func (s *Service) putPolicy(_ context.Context, _ *awsapi.Call, in *policyIn) (*nothing, error) {
	if !strings.HasPrefix(strings.TrimSpace(in.Policy), "{") {
		return nil, errS3("MalformedPolicy", 400, "Policies must be valid JSON and the first byte must be '{'")
	}
	return &nothing{}, s.change(in.Bucket, func(b *bucket) { b.Policy = in.Policy })
}

func (s *Service) getPolicy(_ context.Context, _ *awsapi.Call, in *bucketRef) (*policyOut, error) {
	b, err := s.bucket(in.Bucket)
	if err == nil && b.Policy == "" {
		err = errNoPolicy
	}
	return &policyOut{b.Policy}, err
}

func (s *Service) deletePolicy(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	return &nothing{}, s.change(in.Bucket, func(b *bucket) { b.Policy = "" })
}

type objectRef struct {
	Bucket    string `json:"Bucket"`
	Key       string `json:"Key"`
	VersionID string `json:"VersionId,omitempty"`
}

type objectOut struct {
	Body           []byte            `json:"Body,omitempty"`
	ContentLength  int64             `json:"ContentLength"`
	ContentType    string            `json:"ContentType,omitempty"`
	ETag           string            `json:"ETag"`
	VersionID      string            `json:"VersionId,omitempty"`
	ChecksumSHA256 string            `json:"ChecksumSHA256,omitempty"`
	Metadata       map[string]string `json:"Metadata"`
	LastModified   awsapi.Time       `json:"LastModified"`
}

func describe(v version) *objectOut {
	out := &objectOut{
		ContentLength: v.Size, ContentType: v.Header["Content-Type"], ETag: etag(v), Metadata: map[string]string{},
		LastModified: awsapi.Time{Time: v.Modified}, ChecksumSHA256: v.Header["X-Amz-Checksum-Sha256"],
	}
	if v.ID != "null" {
		out.VersionID = v.ID
	}
	for k, value := range v.Header {
		if name, ok := strings.CutPrefix(k, "X-Amz-Meta-"); ok {
			out.Metadata[strings.ToLower(name)] = value
		}
	}
	return out
}

func etag(v version) string { return `"` + hex.EncodeToString(v.MD5) + `"` }

// find returns a version of an object: the newest if id is "".
func (s *Service) find(bucketName, key, id string) (v version, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		if _, err := findBucket(tx, bucketName); err != nil {
			return err
		}
		if id == "" {
			var ok bool
			if v, ok, err = latest(tx, bucketName, key); err == nil && !ok {
				err = errNoKey(key)
			}
			return err
		}
		for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
			if err != nil {
				return err
			}
			if row.Value.ID == id {
				v = row.Value
				return nil
			}
		}
		return errNoVersion
	})
	return v, err
}

func (s *Service) headObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*objectOut, error) {
	v, err := s.find(in.Bucket, in.Key, in.VersionID)
	if err != nil {
		return nil, err
	}
	return describe(v), nil
}

// getObject returns a whole object, for other services.
func (s *Service) getObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*objectOut, error) {
	v, err := s.find(in.Bucket, in.Key, in.VersionID)
	if err != nil {
		return nil, err
	}
	r, err := s.open(v.Blob)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	out := describe(v)
	out.Body, err = io.ReadAll(r)
	return out, err
}

type putObjectIn struct {
	Bucket      string            `json:"Bucket"`
	Key         string            `json:"Key"`
	Body        []byte            `json:"Body"`
	ContentType string            `json:"ContentType,omitempty"`
	Metadata    map[string]string `json:"Metadata,omitempty"`
}

func (s *Service) putObject(_ context.Context, _ *awsapi.Call, in *putObjectIn) (*objectOut, error) {
	header := map[string]string{}
	if in.ContentType != "" {
		header["Content-Type"] = in.ContentType
	}
	for k, v := range in.Metadata {
		header[http.CanonicalHeaderKey("X-Amz-Meta-"+k)] = v
	}
	v, err := s.put(in.Bucket, in.Key, header, bytes.NewReader(in.Body), nil)
	if err != nil {
		return nil, err
	}
	return describe(v), nil
}

// put stores an object. Conditions are checked in the same transaction.
func (s *Service) put(bucketName, key string, header map[string]string, r io.Reader,
	conditions *gofakes3.PutConditions) (version, error) {
	if _, err := s.bucket(bucketName); err != nil {
		return version{}, err
	}
	b, err := s.save(r)
	if err != nil {
		return version{}, err
	}
	if want := header["X-Amz-Checksum-Sha256"]; want != "" && want != base64.StdEncoding.EncodeToString(b.sha256) {
		s.discard(b.id)
		return version{}, errDigest
	}
	v := version{Size: b.size, MD5: b.md5, SHA256: b.sha256, Modified: s.Scheduler.Now(), Header: header, Blob: b.id}
	err = s.add(bucketName, key, &v, conditions)
	if err != nil {
		s.discard(b.id)
	}
	return v, err
}

// add makes v the newest version of an object.
func (s *Service) add(bucketName, key string, v *version, conditions *gofakes3.PutConditions) error {
	var replaced string
	err := s.Store.Update(func(tx *store.Tx) error {
		b, err := findBucket(tx, bucketName)
		if err != nil {
			return err
		}
		old, ok, err := latest(tx, bucketName, key)
		if err != nil {
			return err
		}
		if conditions != nil {
			if err := gofakes3.CheckPutConditions(conditions, &gofakes3.ConditionalObjectInfo{Exists: ok,
				Hash: old.MD5}); err != nil {
				return err
			}
		}
		b.Next++
		v.Number, v.ID = b.Next, "null"
		if b.Versioning == "Enabled" {
			v.ID = strings.ReplaceAll(s.Scheduler.UUID(), "-", "")
		} else if replaced, err = removeVersion(tx, bucketName, key, "null"); err != nil {
			return err
		}
		if err := buckets.Put(tx, b, bucketName); err != nil {
			return err
		}
		return versions.Put(tx, *v, bucketName, key, countDown(v.Number))
	})
	if err == nil {
		s.discard(replaced)
	}
	return err
}

// removeVersion deletes one version's record and returns its blob.
func removeVersion(tx *store.Tx, bucketName, key, id string) (blob string, err error) {
	for row, err := range versions.Scan(tx, store.Query{Prefix: []string{bucketName, key}}) {
		if err != nil {
			return "", err
		}
		if row.Value.ID == id {
			return row.Value.Blob, versions.Delete(tx, row.Key...)
		}
	}
	return "", nil
}

type deleteObjectOut struct {
	DeleteMarker bool   `json:"DeleteMarker,omitempty"`
	VersionID    string `json:"VersionId,omitempty"`
}

func (s *Service) deleteObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*deleteObjectOut, error) {
	if in.VersionID != "" {
		return &deleteObjectOut{VersionID: in.VersionID}, s.dropVersion(in.Bucket, in.Key, in.VersionID)
	}
	marker, err := s.drop(in.Bucket, in.Key)
	if err != nil || marker.ID == "" {
		return &deleteObjectOut{}, err
	}
	return &deleteObjectOut{DeleteMarker: true, VersionID: marker.ID}, nil
}

func (s *Service) dropVersion(bucketName, key, id string) error {
	blob := ""
	err := s.Store.Update(func(tx *store.Tx) (err error) {
		if _, err := findBucket(tx, bucketName); err != nil {
			return err
		}
		blob, err = removeVersion(tx, bucketName, key, id)
		return err
	})
	if err == nil {
		s.discard(blob)
	}
	return err
}

// drop deletes an object: with versioning it writes a delete marker and
// returns it.
func (s *Service) drop(bucketName, key string) (marker version, err error) {
	b, err := s.bucket(bucketName)
	if err != nil {
		return marker, err
	}
	if b.Versioning == "" {
		return marker, s.dropVersion(bucketName, key, "null")
	}
	marker = version{Deleted: true, Modified: s.Scheduler.Now()}
	return marker, s.add(bucketName, key, &marker, nil)
}

type listObjectsIn struct {
	Bucket            string `json:"Bucket"`
	Prefix            string `json:"Prefix,omitempty"`
	Delimiter         string `json:"Delimiter,omitempty"`
	MaxKeys           int64  `json:"MaxKeys,omitempty"`
	ContinuationToken string `json:"ContinuationToken,omitempty"`
	StartAfter        string `json:"StartAfter,omitempty"`
}

type listedObject struct {
	Key          string      `json:"Key"`
	Size         int64       `json:"Size"`
	ETag         string      `json:"ETag"`
	LastModified awsapi.Time `json:"LastModified"`
	StorageClass string      `json:"StorageClass"`
}

type commonPrefix struct {
	Prefix string `json:"Prefix"`
}

type listObjectsOut struct {
	Name                  string         `json:"Name"`
	Prefix                string         `json:"Prefix"`
	MaxKeys               int64          `json:"MaxKeys"`
	KeyCount              int            `json:"KeyCount"`
	IsTruncated           bool           `json:"IsTruncated"`
	NextContinuationToken string         `json:"NextContinuationToken,omitempty"`
	Contents              []listedObject `json:"Contents,omitempty"`
	CommonPrefixes        []commonPrefix `json:"CommonPrefixes,omitempty"`
}

func (s *Service) listObjects(_ context.Context, _ *awsapi.Call, in *listObjectsIn) (*listObjectsOut, error) {
	prefix := gofakes3.Prefix{HasPrefix: in.Prefix != "", Prefix: in.Prefix, HasDelimiter: in.Delimiter != "",
		Delimiter: in.Delimiter}
	page := gofakes3.ListBucketPage{MaxKeys: 1000, Marker: in.StartAfter}
	if in.MaxKeys > 0 {
		page.MaxKeys = min(in.MaxKeys, 1000)
	}
	if in.ContinuationToken != "" {
		marker, err := base64.URLEncoding.DecodeString(in.ContinuationToken)
		if err != nil {
			return nil, errS3("InvalidArgument", 400, "The continuation token provided is incorrect")
		}
		page.Marker = string(marker)
	}
	page.HasMarker = page.Marker != ""
	list, err := s.list(in.Bucket, &prefix, page)
	if err != nil {
		return nil, err
	}
	out := &listObjectsOut{Name: in.Bucket, Prefix: in.Prefix, MaxKeys: page.MaxKeys, IsTruncated: list.IsTruncated,
		KeyCount: len(list.Contents) + len(list.CommonPrefixes)}
	if list.IsTruncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(list.NextMarker))
	}
	for _, c := range list.Contents {
		out.Contents = append(out.Contents, listedObject{c.Key, c.Size, c.ETag, awsapi.Time{Time: c.LastModified.Time},
			"STANDARD"})
	}
	for _, p := range list.CommonPrefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{p.Prefix})
	}
	return out, nil
}

// list pages through the newest versions of a bucket's objects.
func (s *Service) list(name string, prefix *gofakes3.Prefix,
	page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	limit := page.MaxKeys
	if page.IsEmpty() || limit <= 0 {
		limit = 1000
	}
	out := gofakes3.NewObjectList()
	return out, s.Store.View(func(tx *store.Tx) error {
		if _, err := findBucket(tx, name); err != nil {
			return err
		}
		q := store.Query{Prefix: []string{name}}
		if prefix.HasPrefix {
			q.Begins = prefix.Prefix
		}
		if page.HasMarker && page.Marker >= q.Begins {
			q.From = []string{page.Marker}
		}
		var seen, last string
		prefixes := map[string]bool{}
		first := true
		var match gofakes3.PrefixMatch
		for row, err := range versions.Scan(tx, q) {
			if err != nil {
				return err
			}
			key := row.Key[1]
			if key == seen && !first {
				continue
			}
			seen, first = key, false
			if row.Value.Deleted || !prefix.Match(key, &match) {
				continue
			}
			if page.HasMarker && (key <= page.Marker || match.CommonPrefix && match.MatchedPart <= page.Marker) {
				continue
			}
			if match.CommonPrefix && prefixes[match.MatchedPart] {
				continue
			}
			if int64(len(out.Contents)+len(out.CommonPrefixes)) == limit {
				out.IsTruncated, out.NextMarker = true, last
				return nil
			}
			if match.CommonPrefix {
				prefixes[match.MatchedPart] = true
				out.AddPrefix(match.MatchedPart)
				last = match.MatchedPart
				continue
			}
			v := row.Value
			last = key
			out.Add(&gofakes3.Content{Key: key, LastModified: gofakes3.NewContentTime(v.Modified), ETag: etag(v),
				Size: v.Size, StorageClass: "STANDARD"})
		}
		return nil
	})
}
