package sts_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/sts"
)

const account = "123456789012"

type thingIn struct {
	ThingName string `json:"thingName" uri:"thingName"`
}

// cloud is IAM, STS, a bit of IoT and an S3 that says what it was sent.
type cloud struct {
	sched *scheduler.Scheduler
	db    *store.DB
	iam   *iam.Service
	sts   *sts.Service
	door  *awsapi.Door
	cfg   aws.Config
	url   string
}

// newCloud starts at the machine's time, which clients sign with; the clock
// then moves only as the test says.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{sched: scheduler.NewVirtual(1, time.Now()), db: store.Memory()}
	c.restart()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.door.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	c.cfg = c.as("test", "test", "")
	return c
}

func (c *cloud) restart() {
	c.iam = iam.New(iam.Config{Platform: platform.Platform{Scheduler: c.sched, Store: c.db, Account: account,
		Region: "us-east-1"}})
	c.sts = sts.New(sts.Config{
		Platform: platform.Platform{Scheduler: c.sched, Store: c.db, Account: account, Region: "us-east-1"},
		Keys:     c.iam, Roles: c.iam, VirtualDates: true,
	})
	c.door = awsapi.New(awsapi.Config{Scheduler: c.sched, Account: account, Region: "us-east-1", Authorizer: c.iam,
		Authenticator: c.sts})
	c.door.Add(c.iam.API())
	c.door.Add(c.sts.API())
	c.door.Add(awsapi.Service{ID: "iot", Signing: "iot", Prefix: "iot", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		Operations: []awsapi.Operation{
			awsapi.Op("DescribeThing", func(_ context.Context, _ *awsapi.Call, in *thingIn) (*thingIn, error) {
				return in, nil
			},
				awsapi.REST("GET", "/things/{thingName}"), awsapi.On(func(c *awsapi.Call, in *thingIn) []string {
					return []string{c.ARN("iot", "thing/"+in.ThingName)}
				})),
		}})
	c.door.Add(awsapi.Service{ID: "s3", Signing: "s3", Prefix: "s3", Protocols: []awsapi.Protocol{awsapi.RESTXML},
		HTTP: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if errors.Is(err, awsapi.ErrContentHash) {
					w.WriteHeader(http.StatusBadRequest)
				}
				w.Header().Set("Caller", awsapi.CallFrom(r.Context()).Identity.ARN)
				_, _ = w.Write(b)
			})})
}

func (c *cloud) as(key, secret, token string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(c.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, token),
	}
}

func checkCode(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Fatalf("got %v, want %s: %s", err, code, message)
	}
}

func whoami(t *testing.T, cfg aws.Config) (string, error) {
	t.Helper()
	out, err := sdksts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

const trustAccount = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}]}`

func (c *cloud) createRole(t *testing.T, name, trust, policy string) string {
	t.Helper()
	client := sdkiam.NewFromConfig(c.cfg)
	out, err := client.CreateRole(t.Context(), &sdkiam.CreateRoleInput{RoleName: &name,
		AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if policy != "" {
		if _, err := client.PutRolePolicy(t.Context(), &sdkiam.PutRolePolicyInput{RoleName: &name,
			PolicyName: aws.String("p"), PolicyDocument: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	return *out.Role.Arn
}

func (c *cloud) createUser(t *testing.T, name, policy string) aws.Config {
	t.Helper()
	client := sdkiam.NewFromConfig(c.cfg)
	if _, err := client.CreateUser(t.Context(), &sdkiam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutUserPolicy(t.Context(), &sdkiam.PutUserPolicyInput{UserName: &name,
		PolicyName: aws.String("p"), PolicyDocument: &policy}); err != nil {
		t.Fatal(err)
	}
	key, err := client.CreateAccessKey(t.Context(), &sdkiam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return c.as(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

func TestTheOperatorIsTheRoot(t *testing.T) {
	c := newCloud(t)
	if arn, err := whoami(t, c.cfg); err != nil || arn != "arn:aws:iam::123456789012:root" {
		t.Fatalf("%s, %v", arn, err)
	}
}

func TestBadCredentialsAreRefusedAsEachProtocolWords(t *testing.T) {
	c := newCloud(t)
	_, err := whoami(t, c.as("AKIAUNKNOWN", "x", ""))
	checkCode(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	_, err = whoami(t, c.as("test", "wrong", ""))
	checkCode(t, err, "SignatureDoesNotMatch", "does not match the signature you provided")
	_, err = whoami(t, c.as("test", "test", "token"))
	checkCode(t, err, "InvalidClientTokenId", "")
	describe := func(cfg aws.Config) error {
		_, err := iot.NewFromConfig(cfg).DescribeThing(t.Context(),
			&iot.DescribeThingInput{ThingName: aws.String("a/b c")})
		return err
	}
	if err := describe(c.cfg); err != nil {
		t.Fatal(err)
	}
	checkCode(t, describe(c.as("AKIAUNKNOWN", "x", "")), "UnrecognizedClientException", "")
	checkCode(t, describe(c.as("test", "wrong", "")), "InvalidSignatureException", "")
	anonymous := c.cfg
	anonymous.Credentials = aws.AnonymousCredentials{}
	checkCode(t, describe(anonymous), "MissingAuthenticationTokenException", "")
	elsewhere := c.cfg
	elsewhere.Region = "eu-west-1"
	checkCode(t, describe(elsewhere), "InvalidSignatureException",
		"Credential should be scoped to a valid region, not 'eu-west-1'.")
	c.sched.RunFor(16 * time.Minute)
	checkCode(t, describe(c.cfg), "InvalidSignatureException", "Signature expired")
}

func TestAssumeRole(t *testing.T) {
	c := newCloud(t)
	const things = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:DescribeThing","Resource":"arn:aws:iot:us-east-1:123456789012:thing/rg-*"}]}`
	role := c.createRole(t, "operator", trustAccount, things)
	user := c.createUser(t, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+role+`"}]}`)
	other := c.createUser(t, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)

	in := &sdksts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("shift-1"),
		DurationSeconds: aws.Int32(900)}
	_, err := sdksts.NewFromConfig(other).AssumeRole(t.Context(), in)
	checkCode(t, err, "AccessDenied",
		"User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: "+role)
	_, err = sdksts.NewFromConfig(c.cfg).AssumeRole(t.Context(), in)
	checkCode(t, err, "AccessDenied", "Roles may not be assumed by root accounts.")
	out, err := sdksts.NewFromConfig(user).AssumeRole(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	session := c.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	const arn = "arn:aws:sts::123456789012:assumed-role/operator/shift-1"
	for range 2 { // before and after a restart
		if got, err := whoami(t, session); err != nil || got != arn {
			t.Fatalf("%s, %v", got, err)
		}
		c.restart()
	}
	things1 := iot.NewFromConfig(session)
	if _, err := things1.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("rg-1")}); err !=
		nil {
		t.Fatal(err)
	}
	_, err = things1.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("x")})
	checkCode(t, err, "AccessDeniedException", "User: "+arn+
		" is not authorized to perform: iot:DescribeThing on resource: "+
		"arn:aws:iot:us-east-1:123456789012:thing/x because no identity-based policy allows the iot:DescribeThing "+
		"action")
	_, err = whoami(t, c.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, "another"))
	checkCode(t, err, "InvalidClientTokenId", "")
	c.sched.RunFor(15 * time.Minute)
	_, err = whoami(t, session)
	checkCode(t, err, "ExpiredToken", "The security token included in the request is expired")
}

func TestIssuedCredentialsActAsTheIdentity(t *testing.T) {
	c := newCloud(t)
	id := awsapi.Identity{Account: account, ARN: "arn:aws:sts::123456789012:assumed-role/fn/fn",
		RoleARN: "arn:aws:iam::123456789012:role/fn", UserID: "AROAX:fn"}
	key, secret, token, err := c.sts.Issue(t.Context(), id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if arn, err := whoami(t, c.as(key, secret, token)); err != nil || arn != id.ARN {
		t.Fatalf("%s, %v", arn, err)
	}
}

func TestPresignedURLs(t *testing.T) {
	c := newCloud(t)
	presign := s3.NewPresignClient(s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = true }))
	u, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"),
		Key: aws.String("1.0/a b+c=d~é.bin")}, s3.WithPresignExpires(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	get := func(u string) (int, string) {
		w, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Body.Close() }()
		b, _ := io.ReadAll(w.Body)
		return w.StatusCode, w.Header.Get("Caller") + string(b)
	}
	if status, got := get(u.URL); status != 200 || got != "arn:aws:iam::123456789012:root" {
		t.Fatalf("%d %s", status, got)
	}
	if status, got := get(strings.Replace(u.URL, "a%20b", "other", 1)); status != 403 ||
		!strings.Contains(got, "<Code>SignatureDoesNotMatch</Code>") {
		t.Fatalf("%d %s", status, got)
	}
	c.sched.RunFor(61 * time.Minute)
	if status, got := get(u.URL); status != 403 ||
		!strings.Contains(got, "<Code>AccessDenied</Code><Message>Request has expired</Message>") {
		t.Fatalf("%d %s", status, got)
	}
}

// TestVersion2URLs signs as the S3 documentation describes it.
func TestVersion2URLs(t *testing.T) {
	c := newCloud(t)
	expires := c.sched.Now().Add(time.Hour).Unix()
	resource := "/b/1.0/a%20b.bin?response-content-type=text/plain&versionId=v1"
	m := hmac.New(sha1.New, []byte("test"))
	fmt.Fprintf(m, "GET\n\n\n%d\n%s", expires, resource)
	q := url.Values{
		"AWSAccessKeyId": {"test"}, "Expires": {fmt.Sprint(expires)},
		"Signature": {base64.StdEncoding.EncodeToString(m.Sum(nil))},
		"versionId": {"v1"}, "response-content-type": {"text/plain"}, "x-id": {"GetObject"},
	}
	get := func(key string) (int, string) {
		w, err := http.Get(c.url + "/b/1.0/" + key + "?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Body.Close() }()
		b, _ := io.ReadAll(w.Body)
		return w.StatusCode, w.Header.Get("Caller") + string(b)
	}
	if status, got := get("a%20b.bin"); status != 200 || got != "arn:aws:iam::123456789012:root" {
		t.Fatalf("%d %s", status, got)
	}
	if status, got := get("other"); status != 403 || !strings.Contains(got, "SignatureDoesNotMatch") {
		t.Fatalf("%d %s", status, got)
	}
	c.sched.RunFor(2 * time.Hour)
	if status, got := get("a%20b.bin"); status != 403 || !strings.Contains(got, "Request has expired") {
		t.Fatalf("%d %s", status, got)
	}
}

func TestStreamedPayloads(t *testing.T) {
	c := newCloud(t)
	client := s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	// The SDK sends a trailing checksum, hence STREAMING-..., over a reader
	// without length only under TLS; here it hashes the body.
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"),
		Body: strings.NewReader("hello")}); err != nil {
		t.Fatal(err)
	}
	send := func(payload, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url+"/b/k", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", payload)
		cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, payload, "s3", "us-east-1", time.Now(),
			func(o *v4.SignerOptions) {
				o.DisableURIPathEscaping = true
			}); err != nil {
			t.Fatal(err)
		}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Body.Close() }()
		return w.StatusCode
	}
	const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for _, x := range []struct {
		payload, body string
		want          int
	}{
		{hello, "hello", 200}, {hello, "hellO", 400}, {"UNSIGNED-PAYLOAD", "hello", 200},
		{hello[1:], "hello", 400}, {"none", "hello", 400},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "5;chunk-signature=0\r\nhello\r\n", 200},
		{"STREAMING-AWS4-HMAC-SHA512-PAYLOAD", "5;chunk-signature=0\r\nhello\r\n", 400},
	} {
		if got := send(x.payload, x.body); got != x.want {
			t.Errorf("%s: got %d, want %d", x.payload, got, x.want)
		}
	}
}

// TestEveryAmzHeaderIsSigned: one that somebody added on the way is refused, and a
// payload that is not signed by all services but S3.
func TestEveryAmzHeaderIsSigned(t *testing.T) {
	c := newCloud(t)
	for _, row := range []struct {
		service, payload, added string
		want                    int
	}{
		{"s3", "UNSIGNED-PAYLOAD", "", 200},
		{"s3", "UNSIGNED-PAYLOAD", "X-Amz-Meta-Owner", 403},
		{"s3", "UNSIGNED-PAYLOAD", "X-Amz-Copy-Source", 403},
		{"iot", "UNSIGNED-PAYLOAD", "", 403},
		{"iot", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", 403},
		{"iot", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", 200},
		{"iot", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "X-Amz-Extra", 403},
	} {
		path, method := "/things/a", http.MethodGet
		if row.service == "s3" {
			path, method = "/b/k", http.MethodPut
		}
		r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", row.payload)
		cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, row.payload, row.service, "us-east-1",
			time.Now()); err != nil {
			t.Fatal(err)
		}
		if row.added != "" {
			r.Header.Set(row.added, "x")
		}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		if w.StatusCode != row.want {
			t.Errorf("%+v: %d", row, w.StatusCode)
		}
	}
}

// TestWhatTheSDKSignsIsAccepted signs random requests with the SDK's signer
// and changes one thing: the untouched one is accepted, the changed one not.
func TestWhatTheSDKSignsIsAccepted(t *testing.T) {
	c := newCloud(t)
	signer := v4.NewSigner()
	cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9 /%+=&~*'()!$:@éü.-]{0,20}`)
		service := rapid.SampledFrom([]string{"s3", "iot", "states"}).Draw(rt, "service")
		u := &url.URL{Scheme: "http", Host: "127.0.0.1:4566", Path: "/x" +
			strings.ReplaceAll(strings.ReplaceAll(text.Draw(rt, "path"), "//", "/"), "/.", "/")}
		q := url.Values{}
		for range rapid.IntRange(0, 3).Draw(rt, "parameters") {
			q.Add("q"+text.Draw(rt, "name"), text.Draw(rt, "value"))
		}
		u.RawQuery = q.Encode()
		body := []byte(text.Draw(rt, "body"))
		r := httptest.NewRequest("POST", u.String(), bytes.NewReader(body))
		r.RequestURI = ""
		r.Header.Set("X-Custom", "  a   b ")
		hash := sha256Hex(body)
		if service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		err := signer.SignHTTP(t.Context(), cred, r, hash, service, "us-east-1", time.Now(),
			func(o *v4.SignerOptions) {
				o.DisableURIPathEscaping = service == "s3"
			})
		if err != nil {
			rt.Fatal(err)
		}
		// Over the wire the path is as the client wrote it.
		r.RequestURI = r.URL.RequestURI()
		if _, err := c.sts.Authenticate(r, body); err != nil {
			rt.Fatalf("%s %s: %v", service, u, err)
		}
		switch rapid.IntRange(0, 3).Draw(rt, "change") {
		case 0:
			r.Method = "PUT"
		case 1:
			r.URL.RawQuery += "&z=1"
		case 2:
			r.Header.Set("X-Custom", "a c")
		case 3:
			body = append(body, 'x')
		}
		if _, err := c.sts.Authenticate(r, body); awsapi.Code(err) != awsapi.CodeSignatureMismatch {
			rt.Fatalf("a changed request: %v", err)
		}
	})
}

func FuzzAuthenticate(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, "+
		"Signature=00ff", "20260101T000000Z", "a=b&c")
	f.Add("", "", "X-Amz-Signature=00&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/"+
		"aws4_request&X-Amz-SignedHeaders=host&X-Amz-Date=20260101T000000Z")
	s := sts.New(sts.Config{Platform: platform.Platform{Scheduler: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0,
		0, 0, time.UTC)), Store: store.Memory(), Account: account, Region: "us-east-1"}})
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		signed, err := s.Authenticate(r, []byte{})
		if err == nil || signed.Identity.ARN != "" {
			t.Fatalf("let in: %v", signed)
		}
		if awsapi.AsError(err).HTTPStatus() >= 500 {
			t.Fatal(err)
		}
	})
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func BenchmarkAuthenticate(b *testing.B) {
	s := sts.New(sts.Config{Platform: platform.Platform{Scheduler: scheduler.NewReal(), Store: store.Memory(),
		Account: account, Region: "us-east-1"}})
	body := []byte(`{"TableName":"t","Key":{"PK":{"S":"DEVICE#rg-1"},"SK":{"S":"STATE"}}}`)
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	if err := v4.NewSigner().SignHTTP(b.Context(), cred, r, sha256Hex(body), "dynamodb", "us-east-1",
		time.Now()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(r, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequest is a signed request of a role's session through the door:
// authenticated, authorised, decoded and answered.
func BenchmarkRequest(b *testing.B) {
	type item struct {
		TableName string                     `json:"TableName"`
		Item      map[string]json.RawMessage `json:"Item"`
	}
	sched := scheduler.NewReal()
	access := iam.New(iam.Config{Platform: platform.Platform{Scheduler: sched, Store: store.Memory(), Account: account,
		Region: "us-east-1"}})
	tokens := sts.New(sts.Config{Platform: platform.Platform{Scheduler: sched, Store: store.Memory(), Account: account,
		Region: "us-east-1"}, Keys: access, Roles: access})
	door := awsapi.New(awsapi.Config{Scheduler: sched, Account: account, Region: "us-east-1", Authorizer: access,
		Authenticator: tokens})
	door.Add(awsapi.Service{ID: "dynamodb", Signing: "dynamodb", Prefix: "dynamodb", Target: "DynamoDB_20120810",
		Protocols: []awsapi.Protocol{awsapi.JSON10}, Operations: []awsapi.Operation{
			awsapi.Op("PutItem", func(_ context.Context, _ *awsapi.Call, in *item) (*item, error) { return in, nil }),
		}})
	body := []byte(`{"TableName":"t","Item":{"PK":{"S":"DEVICE#rg-1"},"SK":{"S":"STATE"},"n":{"N":"7"}}}`)
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", nil)
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	if err := v4.NewSigner().SignHTTP(b.Context(), cred, r, sha256Hex(body), "dynamodb", "us-east-1",
		time.Now()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
