package provision_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/provision"
)

// registry is AWS IoT as far as a device is made with it. It signs what it is
// asked to sign.
type registry struct {
	t   *testing.T
	ca  *x509.Certificate
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	asked  []string            // "METHOD path principal"
	things map[string]string   // attribute endpointId, "" without attributes
	runs   map[string]string   // attribute firmwareVersion
	refuse map[string][]answer // by "METHOD path", before it does anything
}

type answer struct {
	status int
	code   string
	body   string
}

func newRegistry(t *testing.T) *registry {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true,
		BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	return &registry{t: t, ca: ca, key: key, refuse: map[string][]answer{}, things: map[string]string{},
		runs: map[string]string{}}
}

func (r *registry) Do(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	if strings.Contains(string(body), "PRIVATE KEY") {
		r.t.Error("a private key left the process")
	}
	if a := req.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/iot/aws4_request") {
		r.t.Errorf("signed as %s", a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := req.Method + " " + req.URL.RequestURI()
	r.asked = append(r.asked, strings.TrimSpace(k+" "+req.Header.Get("X-Amzn-Principal")+string(target(body))))
	w := httptest.NewRecorder()
	if left := r.refuse[k]; len(left) > 0 {
		r.refuse[k] = left[1:]
		w.Header().Set("X-Amzn-Errortype", left[0].code)
		w.WriteHeader(left[0].status)
		_, _ = io.WriteString(w, left[0].body)
		return w.Result(), nil
	}
	if thing, ok := strings.CutPrefix(req.URL.Path, "/things/"); ok && !strings.Contains(thing, "/") {
		var in struct {
			AttributePayload struct {
				Attributes struct{ EndpointID, FirmwareVersion string }
				Merge      bool
			}
		}
		if err := json.Unmarshal(body, &in); len(body) > 0 && err != nil {
			return nil, err
		}
		if req.Method == http.MethodPatch && !in.AttributePayload.Merge {
			r.t.Errorf("%s: the attributes of others are replaced", thing)
		}
		r.things[thing] = in.AttributePayload.Attributes.EndpointID
		r.runs[thing] = in.AttributePayload.Attributes.FirmwareVersion
	}
	switch {
	case strings.HasPrefix(k, "POST /thing-groups/"):
		_, _ = io.WriteString(w, `{"thingGroupArn":"arn:group"}`)
	case strings.HasPrefix(k, "POST /certificates?setAsActive=true"):
		var in struct{ CertificateSigningRequest string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		name, cert, err := r.sign(in.CertificateSigningRequest)
		if err != nil {
			return nil, err
		}
		out, err := json.Marshal(map[string]string{"certificateArn": "arn:cert/" + name, "certificatePem": cert})
		if err != nil {
			return nil, err
		}
		_, _ = w.Write(out)
	default:
		_, _ = io.WriteString(w, `{}`)
	}
	return w.Result(), nil
}

// target is what a body says about a policy's target, or a group's new member.
func target(body []byte) string {
	var in struct{ Target, ThingName string }
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	return in.Target + in.ThingName
}

func (r *registry) sign(request string) (name, cert string, err error) {
	block, _ := pem.Decode([]byte(request))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return "", "", fmt.Errorf("no request: %s", request)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return "", "", err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: csr.Subject, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, r.ca, csr.PublicKey, r.key)
	if err != nil {
		return "", "", err
	}
	return csr.Subject.CommonName, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func (r *registry) api() *iot.Client {
	return iot.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(
		"AKID", "secret", ""), HTTPClient: r})
}

func TestDevicesAreMadeWhole(t *testing.T) {
	r := newRegistry(t)
	out, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1", "rg-2"},
		Policy: "fleetstep-device", Group: "demo", Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if out.GroupARN != "arn:group" || len(out.Certificates) != 2 {
		t.Errorf("got %+v", out)
	}
	for thing, c := range out.Certificates {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil || leaf.Subject.CommonName != thing || c.PrivateKey == nil {
			t.Errorf("%s: certificate of %v, %v", thing, leaf.Subject, err)
		}
	}
	want := []string{"POST /thing-groups/demo"}
	for _, n := range []string{"rg-1", "rg-2"} {
		want = append(want, "POST /things/"+n, "POST /certificates?setAsActive=true",
			"PUT /target-policies/fleetstep-device arn:cert/"+n, "PUT /things/"+n+"/principals arn:cert/"+n,
			"PUT /thing-groups/addThingToThingGroup "+n)
	}
	if !slices.Equal(r.asked, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(r.asked, "\n"), strings.Join(want, "\n"))
	}
}

func TestWithoutAGroup(t *testing.T) {
	r := newRegistry(t)
	out, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1"}, Policy: "p"})
	if err != nil || out.GroupARN != "" || slices.ContainsFunc(r.asked, func(s string) bool {
		return strings.Contains(s, "thing-groups")
	}) {
		t.Errorf("got %+v, %v, asked %v", out, err, r.asked)
	}
}

// What is there already is kept, also with other properties than ours.
func TestWhatIsThereIsKept(t *testing.T) {
	exists := func(arn string) []answer {
		return []answer{{409, "ResourceAlreadyExistsException", `{"message":"exists with other properties","resourceArn":"` + arn + `"}`}}
	}
	r := newRegistry(t)
	r.refuse["POST /things/rg-1"] = exists("arn:thing")
	r.refuse["POST /thing-groups/demo"] = exists("arn:theirs")
	out, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1"}, Policy: "p",
		Group: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if out.GroupARN != "arn:theirs" || len(out.Certificates) != 1 {
		t.Errorf("got %+v", out)
	}
}

func TestTheRegistrySaysWhichEndpointAThingIs(t *testing.T) {
	r := newRegistry(t)
	r.refuse["POST /things/rg-2"] = []answer{{409, "ResourceAlreadyExistsException", `{"message":"exists with other properties","resourceArn":"arn:thing"}`}}
	endpoint := func(thing string) event.EndpointID {
		if thing == "rg-3" {
			return ""
		}
		return event.EndpointID("os::012345-" + strings.ReplaceAll(thing, "-", "%2D"))
	}
	if _, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1", "rg-2", "rg-3"},
		Policy: "p", Endpoint: endpoint}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"rg-1": "os::012345-rg@2D1", "rg-2": "os::012345-rg@2D2", "rg-3": ""}
	if !maps.Equal(r.things, want) || !slices.Contains(r.asked, "PATCH /things/rg-2") {
		t.Errorf("got %v, asked %v", r.things, r.asked)
	}
}

// By it a dynamic thing group finds devices that were never upgraded.
func TestThingsSayWhatTheyRunFromTheBeginning(t *testing.T) {
	r := newRegistry(t)
	r.refuse["POST /things/rg-2"] = []answer{{409, "ResourceAlreadyExistsException", `{"message":"exists with other properties","resourceArn":"arn:thing"}`}}
	f := provision.Fleet{Things: []string{"rg-1", "rg-2"}, Policy: "p",
		Attributes: map[string]string{"firmwareVersion": "1.2.1"}}
	if _, err := provision.Devices(t.Context(), r.api(), f); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"rg-1": "1.2.1", "rg-2": "1.2.1"}; !maps.Equal(r.runs, want) ||
		len(f.Attributes) != 1 {
		t.Errorf("got %v", r.runs)
	}
}

func TestTheFirstErrorNamesTheThing(t *testing.T) {
	for operation, words := range map[string]string{
		"POST /thing-groups/demo":                "create thing group demo",
		"POST /things/rg-1":                      "thing rg-1: create thing",
		"POST /certificates?setAsActive=true":    "thing rg-1: create certificate",
		"PUT /target-policies/p":                 "thing rg-1: attach policy p",
		"PUT /things/rg-1/principals":            "thing rg-1: attach certificate",
		"PUT /thing-groups/addThingToThingGroup": "thing rg-1: add to group demo",
	} {
		r := newRegistry(t)
		r.refuse[operation] = []answer{{403, "UnauthorizedException", `{"message":"no"}`}}
		out, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1"}, Policy: "p",
			Group: "demo"})
		if err == nil || out != nil || !strings.Contains(err.Error(), words) ||
			!strings.Contains(err.Error(), "UnauthorizedException") {
			t.Errorf("%s: got %v", operation, err)
		}
	}
}

func TestThrottledCallsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		throttled := answer{400, "ThrottlingException", `{"message":"Rate exceeded"}`}
		r.refuse["POST /things/rg-1"] = []answer{throttled, throttled}
		if _, err := provision.Devices(t.Context(), r.api(), provision.Fleet{Things: []string{"rg-1"},
			Policy: "p"}); err != nil {
			t.Error(err)
		}
	})
}
