package rehearsal

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/infra"
)

const (
	imageBase = "https://d1.example.net/firmware"
	imagePair = "K2JCJMDEHXQW5F"
	imageKey  = "/fleetstep/image-key"
)

// distribution is a CloudFront distribution before the firmware bucket, which answers
// signed URLs only.
type distribution struct {
	w      *world
	public *rsa.PublicKey
	served int
	parts  []string // ranges that were served
}

// Do implements simulator.HTTPClient.
func (d *distribution) Do(r *http.Request) (*http.Response, error) {
	out := httptest.NewRecorder()
	if err := d.serve(out, r); err != nil {
		out.WriteHeader(http.StatusForbidden)
	}
	answer := out.Result()
	answer.Request = r
	return answer, nil
}

func (d *distribution) serve(out *httptest.ResponseRecorder, r *http.Request) error {
	plain, _, ok := strings.Cut(r.URL.String(), "&Expires=")
	if !ok {
		return errors.New("the address has no signature")
	}
	q := r.URL.Query()
	expires, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil || d.w.sched.Now().Unix() > expires || q.Get("Key-Pair-Id") != imagePair {
		return errors.New("the address has expired, or is another key's")
	}
	signature, err := base64.StdEncoding.DecodeString(
		strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(q.Get("Signature")))
	if err != nil {
		return err
	}
	// CloudFront Developer Guide, "Create a signed URL using a canned policy" (read 2026-11).
	sum := sha1.Sum(fmt.Appendf(nil,
		`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, plain, expires))
	if err := rsa.VerifyPKCS1v15(d.public, crypto.SHA1, sum[:], signature); err != nil {
		return err
	}
	d.served++
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/firmware/"))
	if err != nil {
		return err
	}
	var bucket struct {
		StackResourceDetail struct{ PhysicalResourceID string }
	}
	if err := d.w.call(r.Context(), "cloudformation", "DescribeStackResource",
		map[string]any{"StackName": stack, "LogicalResourceId": "FirmwareBucket"}, &bucket); err != nil {
		return err
	}
	client := s3.NewFromConfig(d.w.operator(), func(o *s3.Options) { o.UsePathStyle = true })
	in := &s3.GetObjectInput{
		Bucket: &bucket.StackResourceDetail.PhysicalResourceID, Key: &key, VersionId: aws.String(q.Get("versionId")),
	}
	if asked := r.Header.Get("Range"); asked != "" {
		in.Range = &asked
	}
	object, err := client.GetObject(r.Context(), in)
	if err != nil {
		return err
	}
	out.Header().Set("ETag", aws.ToString(object.ETag))
	if object.ContentRange != nil {
		d.parts = append(d.parts, *object.ContentRange)
		out.Header().Set("Content-Range", *object.ContentRange)
		out.WriteHeader(http.StatusPartialContent)
	}
	_, err = out.Body.ReadFrom(object.Body)
	return errors.Join(err, object.Body.Close())
}

// distributed plays a job whose images come from a distribution, on a template that
// change has changed. It answers the distribution, and what was denied.
func distributed(t *testing.T, change func(resources map[string]any)) (d *distribution, denied []string, err error) {
	t.Helper()
	var template map[string]any
	if err := json.Unmarshal(infra.Template, &template); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"ImageBaseUrl": imageBase, "ImageKeyPairId": imagePair, "ImageKeyParameter": imageKey,
	} {
		template["Parameters"].(map[string]any)[name].(map[string]any)["Default"] = v
	}
	change(template["Resources"].(map[string]any))
	changed, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	d = &distribution{public: &key.PublicKey}
	_, _, err = play(t, Config{
		Devices: 4, Seed: 1, Faults: "403@1,reboot-in-download@2,reboot-in-download@3",
		Profiles: "resumes-download@3", Template: changed,
		opened: func(w *world) {
			d.w, w.firmware = w, d
			w.must(t, "ssm", "PutParameter", map[string]any{"Name": imageKey, "Type": "SecureString",
				"Value": string(pem.EncodeToMemory(&pem.Block{
					Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
				}))})
		},
		over: func(_ context.Context, w *world, _ string) error {
			denied = w.cloud.Denied()
			return nil
		},
	})
	return d, denied, err
}

// TestDevicesFetchFromADistribution: a device that is sent Download() again has another
// address, be it by send-usp-operate or by handle-device-message; one that goes on with a
// transfer asks for the rest at the address that it has.
func TestDevicesFetchFromADistribution(t *testing.T) {
	d, denied, err := distributed(t, func(map[string]any) {})
	if err != nil || len(denied) > 0 || d.served < 4 {
		t.Errorf("%d addresses were served; %v, denied %v", d.served, err, denied)
	}
	if len(d.parts) != 1 || strings.HasPrefix(d.parts[0], "bytes 0-") {
		t.Errorf("what a restart had ended went on with %q", d.parts)
	}
}

// TestTheKeyOfAddressesIsNeeded takes the right to read the key from one function and the
// other.
func TestTheKeyOfAddressesIsNeeded(t *testing.T) {
	for i, role := range []string{"SendUspOperateRole", "HandleDeviceMessageRole"} {
		t.Run(role, func(t *testing.T) {
			_, denied, _ := distributed(t, func(resources map[string]any) {
				properties := resources["ImageKeyPolicy"].(map[string]any)["Properties"].(map[string]any)
				properties["Roles"] = slices.Delete(properties["Roles"].([]any), i, i+1)
			})
			if !slices.ContainsFunc(denied, func(line string) bool {
				return strings.Contains(line, ":assumed-role/"+stack+"-"+role+"-") &&
					strings.Contains(line, "ssm:GetParameter")
			}) {
				t.Errorf("it was not denied by name: %v", denied)
			}
		})
	}
}
