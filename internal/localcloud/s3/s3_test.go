package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

// deny is an Authorizer that refuses the listed actions.
type deny map[string]bool

func (d deny) Authorize(_ context.Context, r awsapi.Request) error {
	if d[r.Action] {
		return awsapi.Errorf("AccessDeniedException", "no %s on %s", r.Action, r.Resource).WithStatus(403)
	}
	return nil
}

type cloud struct {
	*sdk.Client
	t    *testing.T
	svc  *Service
	door *awsapi.Door
	url  string
	dir  string
	db   *store.DB
}

func newCloud(t *testing.T, d deny) *cloud {
	t.Helper()
	s := scheduler.NewReal()
	c := &cloud{t: t, dir: t.TempDir(), db: store.Memory()}
	var err error
	if c.svc, err = New(Config{Platform: platform.Platform{Scheduler: s, Store: c.db, Account: account,
		Region: "us-east-1"}, BlobDir: c.dir}); err != nil {
		t.Fatal(err)
	}
	c.door = awsapi.New(awsapi.Config{Scheduler: s, Account: account, Region: "us-east-1", Authorizer: d})
	c.door.Add(c.svc.API())
	server := httptest.NewServer(c.door)
	t.Cleanup(server.Close)
	c.url = server.URL
	c.Client = sdk.New(sdk.Options{BaseEndpoint: &c.url, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1})
	if _, err := c.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String("firmware")}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cloud) put(key, body string) *sdk.PutObjectOutput {
	c.t.Helper()
	out, err := c.PutObject(c.t.Context(), &sdk.PutObjectInput{Bucket: aws.String("firmware"), Key: &key,
		Body: strings.NewReader(body), Metadata: map[string]string{"model": "x1"}})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *cloud) get(key string, version *string) string {
	c.t.Helper()
	out, err := c.GetObject(c.t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"), Key: &key,
		VersionId: version})
	if err != nil {
		c.t.Fatalf("get %s: %v", key, err)
	}
	b, err := io.ReadAll(out.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// aws-facts s3-range.
func TestRangesOfAnObject(t *testing.T) {
	c := newCloud(t, nil)
	c.put("image", "0123456789")
	for _, row := range []struct {
		asked, body, told string
		status            int
	}{
		{"bytes=0-3", "0123", "bytes 0-3/10", 206}, {"bytes=4-", "456789", "bytes 4-9/10", 206},
		{"bytes=0-", "0123456789", "bytes 0-9/10", 206}, {"bytes=8-99", "89", "bytes 8-9/10", 206},
		{"bytes=-3", "789", "bytes 7-9/10", 206}, {"bytes=-30", "0123456789", "bytes 0-9/10", 206},
		{"bytes=10-", "InvalidRange", "", 416}, {"bytes=40-50", "InvalidRange", "", 416},
		{"bytes=-0", "InvalidRange", "", 416},
		{"", "0123456789", "", 200}, {"bytes=5-2", "0123456789", "", 200}, {"bytes=x", "0123456789", "", 200},
		{"bytes=1-2,4-5", "0123456789", "", 200}, {"lines=1-2", "0123456789", "", 200},
		{"bytes=-", "0123456789", "", 200}, {"bytes=-1-4", "0123456789", "", 200},
	} {
		address, err := sdk.NewPresignClient(c.Client, func(o *sdk.PresignOptions) {
			o.ClientOptions = append(o.ClientOptions, func(o *sdk.Options) { o.UsePathStyle = true })
		}).PresignGetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"), Key: aws.String("image")})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.asked != "" {
			r.Header.Set("Range", row.asked)
		}
		out, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		right := string(b) == row.body || row.status == 416 && strings.Contains(string(b), row.body)
		if err != nil || out.StatusCode != row.status || out.Header.Get("Content-Range") != row.told || !right {
			t.Errorf("%q: %d %q %q, %v; want %d %q %q", row.asked, out.StatusCode, out.Header.Get("Content-Range"), b,
				err, row.status, row.told, row.body)
		}
	}
}

func TestObjectsComeBackAsTheyWent(t *testing.T) {
	c := newCloud(t, nil)
	c.put("2.0.0/a b+ü.bin", "image")
	out, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"),
		Key: aws.String("2.0.0/a b+ü.bin"), Range: aws.String("bytes=1-2")})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(out.Body)
	if string(b) != "ma" || out.Metadata["model"] != "x1" || *out.ContentRange != "bytes 1-2/5" {
		t.Errorf("got %q, metadata %v, range %v", b, out.Metadata, *out.ContentRange)
	}
	inside, err := c.door.Call(t.Context(), awsapi.RootOf(account), "s3", "GetObject",
		map[string]string{"Bucket": "firmware", "Key": "2.0.0/a b+ü.bin"})
	if err != nil || string(inside.(*wholeObject).Body) != "image" ||
		inside.(*wholeObject).ServerSideEncryption != "AES256" {
		t.Errorf("from inside: %v %v", inside, err)
	}
	for sum, want := range map[string]string{
		"": `{"ETag":"\"78805a221a988e79ef3f42d7c5bfd418\"","ServerSideEncryption":"AES256"}`,
		"xT0EXw==": `{"ChecksumCRC32":"xT0EXw==","ChecksumType":"FULL_OBJECT",` +
			`"ETag":"\"78805a221a988e79ef3f42d7c5bfd418\"","ServerSideEncryption":"AES256"}`,
		"AAAAAA==": "BadDigest",
	} {
		put, err := c.door.Call(t.Context(), awsapi.RootOf(account), "s3", "PutObject",
			map[string]any{"Bucket": "firmware", "Key": "from inside", "Body": []byte("image"), "ChecksumCRC32": sum})
		got, _ := json.Marshal(put)
		if err != nil {
			got = []byte(awsapi.Code(err))
		}
		if string(got) != want {
			t.Errorf("put from inside with the checksum %q: %s", sum, got)
		}
	}
	head, err := c.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("firmware"),
		Key: aws.String("2.0.0/a b+ü.bin")})
	if err != nil || *head.ContentLength != 5 {
		t.Errorf("head: %v %v", head, err)
	}
}

func TestRequestHeadersDoNotBecomeMetadata(t *testing.T) {
	c := newCloud(t, nil)
	c.put("k", "v")
	r, err := http.Get(c.url + "/firmware/k?X-Amz-Credential=x/20260101/us-east-1/s3/aws4_request")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	for name := range r.Header {
		if n := strings.ToLower(name); strings.Contains(n, "token") || strings.Contains(n, "x-amz-date") ||
			strings.Contains(n, "content-sha256") {
			t.Errorf("answer carries the uploader's %s", name)
		}
	}
}

func TestListsPageAndGroup(t *testing.T) {
	c := newCloud(t, nil)
	for _, k := range []string{"1.0/a", "1.0/b", "2.0/a", "readme"} {
		c.put(k, k)
	}
	var got []string
	pages := sdk.NewListObjectsV2Paginator(c, &sdk.ListObjectsV2Input{Bucket: aws.String("firmware"),
		MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Contents {
			got = append(got, *o.Key)
		}
	}
	if s := strings.Join(got, " "); s != "1.0/a 1.0/b 2.0/a readme" {
		t.Errorf("all keys: %s", s)
	}
	out, err := c.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: aws.String("firmware"),
		Delimiter: aws.String("/")})
	if err != nil || len(out.CommonPrefixes) != 2 || len(out.Contents) != 1 {
		t.Errorf("groups: %+v %v", out, err)
	}
	inside, err := c.door.Call(t.Context(), awsapi.RootOf(account), "s3", "ListObjectsV2",
		map[string]any{"Bucket": "firmware", "Prefix": "1.0/", "MaxKeys": 1})
	if l := inside.(*listObjectsOut); err != nil || l.Contents[0].Key != "1.0/a" || !l.IsTruncated ||
		l.NextContinuationToken == "" {
		t.Errorf("from inside: %+v %v", l, err)
	}
	for _, tt := range []struct {
		in          map[string]any
		first, next string
	}{
		{map[string]any{"Bucket": "firmware", "MaxKeys": 1}, "1.0/a", ""},
		{map[string]any{"Bucket": "firmware", "Marker": "1.0/a", "Prefix": "1.0/", "MaxKeys": 1}, "1.0/b", ""},
		{map[string]any{"Bucket": "firmware", "Delimiter": "/", "MaxKeys": 1}, "", "1.0/"},
	} {
		page, err := c.door.Call(t.Context(), awsapi.RootOf(account), "s3", "ListObjects", tt.in)
		l, _ := page.(*listByMarkerOut)
		if err != nil || l.NextMarker != tt.next || tt.first != "" && l.Contents[0].Key != tt.first {
			t.Errorf("%v: %+v %v", tt.in, l, err)
		}
	}
	_, err = c.door.Call(t.Context(), awsapi.RootOf(account), "s3", "ListObjects", map[string]any{"Bucket": "nosuch"})
	if awsapi.Code(err) != "NoSuchBucket" {
		t.Errorf("of no bucket: %v", err)
	}
}

func TestVersionsStayUntilDeletedByID(t *testing.T) {
	c := newCloud(t, nil)
	if _, err := c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{Bucket: aws.String("firmware"),
		VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}}); err != nil {
		t.Fatal(err)
	}
	first, second := c.put("k", "one"), c.put("k", "two")
	if c.get("k", nil) != "two" || c.get("k", first.VersionId) != "one" {
		t.Error("versions are mixed up")
	}
	del, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String("firmware"),
		Key: aws.String("k")})
	if err != nil || !*del.DeleteMarker {
		t.Fatalf("delete: %+v %v", del, err)
	}
	if _, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"),
		Key: aws.String("k")}); code(err) != "NoSuchKey" {
		t.Errorf("deleted: %v", err)
	}
	list, err := c.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: aws.String("firmware")})
	if err != nil || len(list.Versions) != 2 || len(list.DeleteMarkers) != 1 || !*list.DeleteMarkers[0].IsLatest {
		t.Errorf("versions: %+v %v", list, err)
	}
	for _, id := range []*string{del.VersionId, second.VersionId} {
		if _, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String("firmware"),
			Key: aws.String("k"), VersionId: id}); err != nil {
			t.Fatal(err)
		}
	}
	if c.get("k", nil) != "one" {
		t.Error("the first version is not back")
	}
	if files, _ := os.ReadDir(c.dir); len(files) != 1 {
		t.Errorf("%d bodies on disk, want 1", len(files))
	}
}

func TestDefaultEncryptionIsTold(t *testing.T) {
	c := newCloud(t, nil)
	algorithm := func() types.ServerSideEncryption {
		out, err := c.GetBucketEncryption(t.Context(), &sdk.GetBucketEncryptionInput{Bucket: aws.String("firmware")})
		if err != nil {
			t.Fatal(err)
		}
		return out.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm
	}
	if got := algorithm(); got != "AES256" {
		t.Errorf("of a bucket that says nothing: %s", got)
	}
	_, err := c.PutBucketEncryption(t.Context(), &sdk.PutBucketEncryptionInput{
		Bucket: aws.String("firmware"),
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
			Rules: []types.ServerSideEncryptionRule{{
				ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
					SSEAlgorithm: types.ServerSideEncryptionAwsKms,
				},
			}}},
	})
	if got := algorithm(); err != nil || got != "aws:kms" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestReadsAndWritesOnConditions: as the API reference has the conditions of GetObject and PutObject.
func TestReadsAndWritesOnConditions(t *testing.T) {
	c := newCloud(t, nil)
	tag := *c.put("k", "0123456789").ETag
	const past, future = "Sat, 01 Jan 2000 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
	request := func(method, path, body string, header ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, c.url+"/firmware"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(b)
	}
	for _, row := range []struct {
		method, path string
		header       []string
		status       int
		text         string
	}{
		{"GET", "/k", []string{"If-Match", tag}, 200, "0123456789"},
		{"GET", "/k", []string{"If-Match", `"00"`}, 412, "At least one of the pre-conditions you specified did not hold"},
		{"GET", "/k", []string{"If-None-Match", tag}, 304, ""},
		{"GET", "/k", []string{"If-None-Match", `"00"`}, 200, "0123456789"},
		{"GET", "/k", []string{"If-Modified-Since", past}, 200, "0123456789"},
		{"GET", "/k", []string{"If-Modified-Since", future}, 304, ""},
		{"GET", "/k", []string{"If-Unmodified-Since", past}, 412, "PreconditionFailed"},
		{"GET", "/k", []string{"If-Unmodified-Since", future}, 200, "0123456789"},
		{"GET", "/k", []string{"If-Match", tag, "If-Unmodified-Since", past}, 200, "0123456789"},
		{"GET", "/k", []string{"If-None-Match", tag, "If-Modified-Since", past}, 304, ""},
		{"HEAD", "/k", []string{"If-None-Match", tag}, 304, ""},
		{"GET", "/k", []string{"Range", "bytes=10-"}, 416, "The requested range is not satisfiable"},
		{"GET", "/k?partNumber=1", nil, 206, "0123456789"},
		{"GET", "/k?partNumber=1", []string{"Range", "bytes=0-1"}, 400, "Cannot specify both"},
		{"GET", "/k?partNumber=0", nil, 400, "Part number must be an integer between 1 and 10000, inclusive"},
		{"GET", "/k?partNumber=2", nil, 416, "The requested partnumber is not satisfiable"},
		{"PUT", "/k", []string{"If-None-Match", "*"}, 412, "At least one of the pre-conditions"},
		{"PUT", "/k", []string{"If-Match", `"00"`}, 412, "At least one of the pre-conditions"},
		{"PUT", "/none", []string{"If-Match", tag}, 404, "NoSuchKey"},
		{"PUT", "/k", []string{"X-Amz-Acl", "public-read"}, 400, "AccessControlListNotSupported"},
		{"PUT", "/k", []string{"X-Amz-Grant-Read", "id=1"}, 400, "The bucket does not allow ACLs"},
		{"PUT", "/k", []string{"X-Amz-Object-Lock-Mode", "COMPLIANCE"}, 400, "Bucket is missing Object Lock"},
		{"PUT", "/k", []string{"X-Amz-Storage-Class", "GLACIER"}, 501, "storage class GLACIER"},
		{"PUT", "/k", []string{"X-Amz-Website-Redirect-Location", "/x"}, 501, "x-amz-website-redirect-location"},
		{"POST", "/k?uploads", []string{"X-Amz-Storage-Class", "GLACIER"}, 501, "storage class GLACIER"},
		{"GET", "/k", nil, 200, "0123456789"}, // as it was
		{"PUT", "/acl", []string{"X-Amz-Acl", "bucket-owner-full-control"}, 200, ""},
		{"PUT", "/acl", []string{"X-Amz-Storage-Class", "STANDARD"}, 200, ""},
		{"PUT", "", nil, 200, ""}, // a bucket again, in us-east-1
	} {
		header := append([]string{"X-Amz-Checksum-Mode", "ENABLED"}, row.header...)
		answer, body := request(row.method, row.path, "", header...)
		if answer.StatusCode != row.status || !strings.Contains(body, row.text) {
			t.Errorf("%s %s %v: %s %s, want %d %s", row.method, row.path, row.header, answer.Status, body, row.status,
				row.text)
		}
		if answer.StatusCode >= 300 && answer.Header.Get("X-Amz-Checksum-Crc32") != "" {
			t.Errorf("%s %s %v: a checksum of no body", row.method, row.path, row.header)
		}
		if row.status == 304 && answer.Header.Get("ETag") != tag {
			t.Errorf("%s %s %v: ETag %s", row.method, row.path, row.header, answer.Header.Get("ETag"))
		}
	}
	if answer, _ := request("PUT", "/k", "x"); answer.Header.Get("X-Amz-Server-Side-Encryption") != "AES256" {
		t.Errorf("an upload is encrypted by %q", answer.Header.Get("X-Amz-Server-Side-Encryption"))
	}
}

// TestNamesOfMetadataAreSmall: boto3 tells them as they come, and applications ask for them in small letters.
func TestNamesOfMetadataAreSmall(t *testing.T) {
	c := newCloud(t, nil)
	c.put("k", "v")
	address := strings.TrimPrefix(c.url, "http://")
	for _, method := range []string{"GET", "HEAD"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn,
			method+" /firmware/k HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || !strings.Contains(string(b), "\r\nx-amz-meta-model: x1\r\n") {
			t.Errorf("%s: %v, %s", method, err, b)
		}
	}
}

// TestDeletesTellOfMarkers: what becomes of each of many.
func TestDeletesTellOfMarkers(t *testing.T) {
	c := newCloud(t, nil)
	if _, err := c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{Bucket: aws.String("firmware"),
		VersioningConfiguration: &types.VersioningConfiguration{
			Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	c.put("k", "v")
	remove := func(quiet bool, key string, id *string) []types.DeletedObject {
		t.Helper()
		out, err := c.DeleteObjects(t.Context(), &sdk.DeleteObjectsInput{Bucket: aws.String("firmware"),
			Delete: &types.Delete{Quiet: &quiet, Objects: []types.ObjectIdentifier{{Key: &key, VersionId: id}}}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Deleted
	}
	made := remove(false, "k", nil)
	if len(made) != 1 || !aws.ToBool(made[0].DeleteMarker) || aws.ToString(made[0].DeleteMarkerVersionId) == "" {
		t.Fatalf("%+v", made)
	}
	gone := remove(false, "k", made[0].DeleteMarkerVersionId)
	if len(gone) != 1 || !aws.ToBool(gone[0].DeleteMarker) || *gone[0].VersionId != *made[0].DeleteMarkerVersionId ||
		c.get("k", nil) != "v" {
		t.Errorf("%+v", gone)
	}
	if left := remove(true, "k", nil); len(left) != 0 {
		t.Errorf("quietly: %+v", left)
	}
}

func TestRefusals(t *testing.T) {
	c := newCloud(t, deny{"s3:ListBucket": true, "s3:DeleteObject": true})
	c.put("k", "v")
	_, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("firmware"), Key: aws.String("missing")})
	if code(err) != "AccessDenied" {
		t.Errorf("missing key, no permission to list: %v", err)
	}
	_, err = c.DeleteObjects(t.Context(), &sdk.DeleteObjectsInput{Bucket: aws.String("firmware"),
		Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k")}}}})
	if code(err) != "AccessDenied" || c.get("k", nil) != "v" {
		t.Errorf("delete without permission: %v", err)
	}
	_, err = c.GetBucketCors(t.Context(), &sdk.GetBucketCorsInput{Bucket: aws.String("firmware")})
	if code(err) != "NotImplemented" {
		t.Errorf("CORS: %v", err)
	}
	_, err = c.GetBucketEncryption(t.Context(), &sdk.GetBucketEncryptionInput{Bucket: aws.String("none")})
	if code(err) != "NoSuchBucket" {
		t.Errorf("encryption of no bucket: %v", err)
	}
	_, err = c.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String("Not_A_Bucket")})
	if code(err) != "InvalidBucketName" {
		t.Errorf("bucket name: %v", err)
	}
	_, err = c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: aws.String("nosuch"), Key: aws.String("k"),
		Body: strings.NewReader("v")})
	if code(err) != "NoSuchBucket" {
		t.Errorf("no bucket: %v", err)
	}
	_, err = c.DeleteBucket(t.Context(), &sdk.DeleteBucketInput{Bucket: aws.String("firmware")})
	if code(err) != "BucketNotEmpty" {
		t.Errorf("bucket with objects: %v", err)
	}
	if files, _ := os.ReadDir(c.dir); len(files) != 1 {
		t.Errorf("refused requests left %d bodies, want 1", len(files))
	}
}

func TestBucketPolicyIsTheResourcePolicyOfItsObjects(t *testing.T) {
	c := newCloud(t, nil)
	const doc = `{"Version":"2012-10-17","Statement":[]}`
	if _, err := c.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: aws.String("firmware"),
		Policy: aws.String(doc)}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: aws.String("firmware")})
	if kept, failed := c.svc.resourcePolicy("arn:aws:s3:::firmware/some/key"); err != nil || *out.Policy != doc ||
		failed != nil || kept != doc {
		t.Errorf("policy: %v %v", out, err)
	}
	if _, err := c.DeleteBucketPolicy(t.Context(), &sdk.DeleteBucketPolicyInput{
		Bucket: aws.String("firmware"),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: aws.String("firmware")}); code(
		err) != "NoSuchBucketPolicy" {
		t.Errorf("after deletion: %v", err)
	}
}

func TestStartRemovesBodiesWithoutAnObject(t *testing.T) {
	c := newCloud(t, nil)
	c.put("k", "v")
	if err := os.WriteFile(c.svc.path("cut-off"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(c.dir); len(files) != 1 || c.get("k", nil) != "v" {
		t.Errorf("%d bodies on disk, want the object's", len(files))
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5;chunk-signature=x\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"))
	f.Add([]byte("ffffffffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.NewRequest(http.MethodPut, "/b/k", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		if err := unchunk(r); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r.Body)
		if err == nil && len(out) > len(b) {
			t.Fatalf("%d bytes out of %d", len(out), len(b))
		}
	})
}
