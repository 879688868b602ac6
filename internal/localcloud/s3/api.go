package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	onBucket := func(name string) []string { return []string{arn(name, "")} }
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalError", Status: 500},
		Throttled: awsapi.Word{Code: "SlowDown", Status: 503},
		ID:        "s3", Signing: "s3", Prefix: "s3", Protocols: []awsapi.Protocol{awsapi.RESTXML},
		DeniedCode:     "AccessDenied",
		DenialTerms:    func(action, resource string) (string, string) { return action, `"` + resource + `"` },
		ResourcePolicy: s.resourcePolicy,
		Encryption:     s.encryption(),
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
			awsapi.Op("PutBucketLifecycleConfiguration", s.putLifecycle, awsapi.Action("s3:PutLifecycleConfiguration"),
				awsapi.On(func(_ *awsapi.Call, in *lifecycleIn) []string { return onBucket(in.Bucket) })),
			awsapi.Op("DeleteBucketLifecycle", s.deleteLifecycle, awsapi.Action("s3:PutLifecycleConfiguration"),
				awsapi.On(func(_ *awsapi.Call, in *bucketRef) []string { return onBucket(in.Bucket) })),
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
			awsapi.Op("ListObjects", s.listObjectsByMarker, awsapi.Action("s3:ListBucket"), awsapi.MarkedByKey(),
				awsapi.On(func(_ *awsapi.Call, in *listByMarkerIn) []string { return onBucket(in.Bucket) })),
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

type nothing struct{}

type bucketRef struct {
	Bucket                    string `json:"Bucket" uri:"Bucket"`
	CreateBucketConfiguration any    `json:"CreateBucketConfiguration,omitempty"`
}

type createBucketOut struct {
	Location string `json:"Location"`
}

func (s *Service) createBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*createBucketOut, error) {
	return &createBucketOut{"/" + in.Bucket}, s.create(in.Bucket)
}

func (s *Service) headBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	_, err := s.bucket(in.Bucket)
	return &nothing{}, err
}

func (s *Service) deleteBucket(_ context.Context, _ *awsapi.Call, in *bucketRef) (*nothing, error) {
	return &nothing{}, s.dropBucket(in.Bucket)
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
	AcceptRanges         string            `json:"AcceptRanges,omitempty"`
	ChecksumSHA256       string            `json:"ChecksumSHA256,omitempty"`
	ContentLength        int64             `json:"ContentLength"`
	ContentType          string            `json:"ContentType,omitempty"`
	ETag                 string            `json:"ETag"`
	LastModified         awsapi.Time       `json:"LastModified"`
	Metadata             map[string]string `json:"Metadata"`
	ServerSideEncryption string            `json:"ServerSideEncryption,omitempty"`
	SSEKMSKeyID          string            `json:"SSEKMSKeyId,omitempty"`
	VersionID            string            `json:"VersionId,omitempty"`
}

// wholeObject is an object with its body, which may be empty.
type wholeObject struct {
	objectOut
	Body []byte `json:"Body"`
}

// defaultType is the Content-Type of an object that was put without one.
const defaultType = "binary/octet-stream"

func describe(v version) *objectOut {
	out := &objectOut{
		AcceptRanges: "bytes", ContentLength: v.Size, ContentType: v.Header["Content-Type"], ETag: etag(v),
		Metadata: map[string]string{}, LastModified: awsapi.Time{Time: v.Modified},
		ChecksumSHA256:       v.Header["X-Amz-Checksum-Sha256"],
		ServerSideEncryption: v.Header[encryptedBy], SSEKMSKeyID: v.Header[encryptedTo],
	}
	if out.ContentType == "" {
		out.ContentType = defaultType
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

func (s *Service) headObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*objectOut, error) {
	v, err := s.find(in.Bucket, in.Key, in.VersionID)
	if err != nil {
		return nil, err
	}
	return describe(v), nil
}

// getObject returns a whole object, for other services.
func (s *Service) getObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*wholeObject, error) {
	v, r, err := s.findOpen(in.Bucket, in.Key, in.VersionID)
	if err != nil {
		return nil, err
	}
	if v.Deleted {
		return nil, errNoKey(in.Key)
	}
	defer func() { _ = r.Close() }()
	body, err := io.ReadAll(r)
	return &wholeObject{*describe(v), body}, err
}

type putObjectIn struct {
	Bucket        string            `json:"Bucket"`
	Key           string            `json:"Key"`
	Body          []byte            `json:"Body"`
	ChecksumCRC32 string            `json:"ChecksumCRC32,omitempty"`
	ContentType   string            `json:"ContentType,omitempty"`
	Metadata      map[string]string `json:"Metadata,omitempty"`
}

type putObjectOut struct {
	ChecksumCRC32        string `json:"ChecksumCRC32,omitempty"`
	ChecksumType         string `json:"ChecksumType,omitempty"`
	ETag                 string `json:"ETag"`
	ServerSideEncryption string `json:"ServerSideEncryption,omitempty"`
	SSEKMSKeyID          string `json:"SSEKMSKeyId,omitempty"`
	VersionID            string `json:"VersionId,omitempty"`
}

func (s *Service) putObject(_ context.Context, _ *awsapi.Call, in *putObjectIn) (*putObjectOut, error) {
	header := map[string]string{}
	if in.ContentType != "" {
		header["Content-Type"] = in.ContentType
	}
	if in.ChecksumCRC32 != "" {
		sum := algorithms["Crc32"]()
		_, _ = sum.Write(in.Body)
		if in.ChecksumCRC32 != base64.StdEncoding.EncodeToString(sum.Sum(nil)) {
			return nil, errDigest
		}
		header[checksumHeader+"Crc32"] = in.ChecksumCRC32
	}
	for k, v := range in.Metadata {
		header[http.CanonicalHeaderKey("X-Amz-Meta-"+k)] = v
	}
	v, err := s.put(in.Bucket, in.Key, header, bytes.NewReader(in.Body), nil)
	if err != nil {
		return nil, err
	}
	d := describe(v)
	out := &putObjectOut{ChecksumCRC32: in.ChecksumCRC32, ETag: d.ETag, ServerSideEncryption: d.ServerSideEncryption,
		SSEKMSKeyID: d.SSEKMSKeyID, VersionID: d.VersionID}
	if out.ChecksumCRC32 != "" {
		out.ChecksumType = "FULL_OBJECT"
	}
	return out, nil
}

type deleteObjectOut struct {
	DeleteMarker bool   `json:"DeleteMarker,omitempty"`
	VersionID    string `json:"VersionId,omitempty"`
}

func (s *Service) deleteObject(_ context.Context, _ *awsapi.Call, in *objectRef) (*deleteObjectOut, error) {
	if in.VersionID != "" {
		v, err := s.dropVersion(in.Bucket, in.Key, in.VersionID)
		return &deleteObjectOut{DeleteMarker: v.Deleted, VersionID: in.VersionID}, err
	}
	marker, err := s.drop(in.Bucket, in.Key)
	if err != nil || marker.ID == "" {
		return &deleteObjectOut{}, err
	}
	return &deleteObjectOut{DeleteMarker: true, VersionID: marker.ID}, nil
}

type listObjectsIn struct {
	Bucket            string `json:"Bucket"`
	Prefix            string `json:"Prefix,omitempty"`
	Delimiter         string `json:"Delimiter,omitempty"`
	MaxKeys           int64  `json:"MaxKeys,omitempty"`
	ContinuationToken string `json:"ContinuationToken,omitempty"`
	StartAfter        string `json:"StartAfter,omitempty"`
}

type listByMarkerIn struct {
	Bucket    string `json:"Bucket"`
	Prefix    string `json:"Prefix,omitempty"`
	Delimiter string `json:"Delimiter,omitempty"`
	Marker    string `json:"Marker,omitempty"`
	MaxKeys   int64  `json:"MaxKeys,omitempty"`
}

type listByMarkerOut struct {
	Name           string         `json:"Name"`
	Prefix         string         `json:"Prefix"`
	Marker         string         `json:"Marker"`
	MaxKeys        int64          `json:"MaxKeys"`
	IsTruncated    bool           `json:"IsTruncated"`
	NextMarker     string         `json:"NextMarker,omitempty"` // only with a delimiter
	Contents       []listedObject `json:"Contents,omitempty"`
	CommonPrefixes []commonPrefix `json:"CommonPrefixes,omitempty"`
}

// listObjectsByMarker is the first form of a listing, of which the next page begins after a key.
func (s *Service) listObjectsByMarker(ctx context.Context, c *awsapi.Call, in *listByMarkerIn) (*listByMarkerOut,
	error) {
	list, err := s.listObjects(ctx, c, &listObjectsIn{Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter,
		MaxKeys: in.MaxKeys, StartAfter: in.Marker})
	if err != nil {
		return nil, err
	}
	out := &listByMarkerOut{Name: list.Name, Prefix: list.Prefix, Marker: in.Marker, MaxKeys: list.MaxKeys,
		IsTruncated: list.IsTruncated, Contents: list.Contents, CommonPrefixes: list.CommonPrefixes}
	if in.Delimiter != "" && list.IsTruncated {
		if after, ok := awsapi.PageAfter(list.NextContinuationToken, 1); ok {
			out.NextMarker = after[0]
		}
	}
	return out, nil
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
	p := page{prefix: in.Prefix, delimiter: in.Delimiter, after: in.StartAfter, size: maxKeys}
	if in.MaxKeys > 0 {
		p.size = min(in.MaxKeys, maxKeys)
	}
	if in.ContinuationToken != "" {
		after, ok := awsapi.PageAfter(in.ContinuationToken, 1)
		if !ok {
			return nil, errS3("InvalidArgument", 400, "The continuation token provided is incorrect")
		}
		p.after = after[0]
	}
	entries, more, err := s.entries(in.Bucket, p, false)
	if err != nil {
		return nil, err
	}
	out := &listObjectsOut{Name: in.Bucket, Prefix: in.Prefix, MaxKeys: p.size, IsTruncated: more,
		KeyCount: len(entries)}
	if more {
		out.NextContinuationToken = awsapi.PageToken(entries[len(entries)-1].key)
	}
	for _, e := range entries {
		if e.common {
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{e.key})
			continue
		}
		out.Contents = append(out.Contents, listedObject{e.key, e.Size, etag(e.version), awsapi.Time{Time: e.Modified},
			"STANDARD"})
	}
	return out, nil
}
