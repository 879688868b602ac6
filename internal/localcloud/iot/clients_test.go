package iot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"testing"
)

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

const devicePolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}"},
	{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:eu-west-1:123456789012:topic/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*"},
	{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/by/${iot:Connection.Thing.Attributes[site]}/${iot:Certificate.Subject.CommonName}"},
	{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:eu-west-1:123456789012:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/jobs/#"}]}`

func TestDeviceMayUseItsOwnTopicsOnly(t *testing.T) {
	c := newCloud(t)
	c.call("CreateThing", `{"thingName":"gw-1","attributePayload":{"attributes":{"site":"lab"}}}`)
	c.call("CreateThing", `{"thingName":"gw-2"}`)
	made := c.call("CreateKeysAndCertificate", `{"setAsActive":true}`)
	arn, id := made["certificateArn"].(string), made["certificateId"].(string)
	c.call("CreatePolicy", `{"policyName":"device","policyDocument":`+quoted(devicePolicy)+`}`)
	c.call("AttachPolicy", `{"policyName":"device","target":"`+arn+`"}`)
	c.call("AttachThingPrincipal", `{"thingName":"gw-1","principal":"`+arn+`"}`)

	block, _ := pem.Decode([]byte(made["certificatePem"].(string)))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := c.iot.CA()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.sched.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the certificate is not the authority's: %v", err)
	}
	if CertificateID(leaf.Raw) != id {
		t.Error("the id is not the certificate's hash")
	}

	may := func(p Principal, action, resource string, want bool) {
		t.Helper()
		err := c.iot.Authorize(t.Context(), p, action, arnOf(resource))
		if (err == nil) != want || err != nil && !errors.Is(err, ErrNotAuthorized) {
			t.Errorf("%s on %s as %s: %v, want %v", action, resource, p.ClientID, err, want)
		}
	}
	for _, hello := range []Hello{
		{ClientID: "gw-1", Certificate: leaf}, {ClientID: "gw-1", Username: id + "?SDK=x"}, {ClientID: "gw-1"},
	} {
		p, err := c.iot.Authenticate(t.Context(), hello)
		if err != nil || p.ID != id || p.ThingName != "gw-1" {
			t.Fatalf("%+v: %+v, %v", hello.ClientID, p, err)
		}
		may(p, "iot:Connect", "client/gw-1", true)
		may(p, "iot:Connect", "client/gw-2", false)
		may(p, "iot:Publish", "topic/$aws/things/gw-1/jobs/start-next", true)
		may(p, "iot:Publish", "topic/$aws/things/gw-2/jobs/start-next", false)
		may(p, "iot:Publish", "topic/by/lab/AWS IoT Certificate", true)
		may(p, "iot:Subscribe", "topicfilter/$aws/things/gw-1/jobs/#", true)
		may(p, "iot:Subscribe", "topicfilter/$aws/things/+/jobs/#", false)
		may(p, "iot:RetainPublish", "topic/$aws/things/gw-1/jobs/x", false)
	}
	// Under another client id thing variables have no value.
	p, err := c.iot.Authenticate(t.Context(), Hello{ClientID: "gw-2", Certificate: leaf})
	if err != nil {
		t.Fatal(err)
	}
	may(p, "iot:Connect", "client/gw-2", false)
	may(p, "iot:Connect", "client/gw-1", false)
	if _, err := c.iot.Authenticate(t.Context(), Hello{ClientID: "gw-2"}); !errors.Is(err, ErrNotAuthorized) {
		t.Errorf("a thing without certificate: %v", err)
	}
	p, _ = c.iot.Authenticate(t.Context(), Hello{ClientID: "gw-1"})
	before := c.iot.Denied()
	c.call("CreatePolicyVersion", `{"policyName":"device","setAsDefault":true,"policyDocument":`+quoted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*:client/other"}]}`)+`}`)
	may(p, "iot:Connect", "client/gw-1", false) // connected clients meet the new version
	c.call("SetDefaultPolicyVersion", `{"policyName":"device","policyVersionId":"1"}`)
	may(p, "iot:Connect", "client/gw-1", true)
	c.refuse("DeleteCertificate", `{"certificateId":"`+id+`"}`, "CertificateStateException")
	c.call("UpdateCertificate", `{"certificateId":"`+id+`","newStatus":"REVOKED"}`)
	may(p, "iot:Connect", "client/gw-1", false)
	if c.iot.Denied() != before+2 {
		t.Errorf("denied %d, then %d", before, c.iot.Denied())
	}
	if err := c.iot.VerifyClient([][]byte{leaf.Raw}, nil); err == nil {
		t.Error("a revoked certificate is admitted")
	}
	c.refuse("DeleteThing", `{"thingName":"gw-1"}`, "InvalidRequestException")
	c.refuse("DeletePolicy", `{"policyName":"device"}`, "DeleteConflictException")
	c.refuse("DeleteCertificate", `{"certificateId":"`+id+`"}`, "DeleteConflictException")
	c.call("DetachThingPrincipal", `{"thingName":"gw-1","principal":"`+arn+`"}`)
	c.call("DeleteCertificate", `{"certificateId":"`+id+`","forceDelete":true}`)
	c.refuse("DescribeCertificate", `{"certificateId":"`+id+`"}`, "ResourceNotFoundException")
}

func TestGroupPoliciesReachTheirThings(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.group("top")
	c.call("CreateThingGroup", `{"thingGroupName":"leaf","parentGroupName":"top"}`)
	c.call("CreatePolicy", `{"policyName":"p","policyDocument":`+quoted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)+`}`)
	c.call("AttachPolicy", `{"policyName":"p","target":"`+arnOf("thinggroup/top")+`"}`)
	made := c.call("CreateKeysAndCertificate", `{"setAsActive":true}`)
	c.call("AttachThingPrincipal", `{"thingName":"gw-0000","principal":"`+made["certificateArn"].(string)+`"}`)
	p, err := c.iot.Authenticate(t.Context(), Hello{ClientID: "gw-0000"})
	if err != nil {
		t.Fatal(err)
	}
	if c.iot.Authorize(t.Context(), p, "iot:Connect", arnOf("client/gw-0000")) == nil {
		t.Error("allowed before the thing is in the group")
	}
	c.call("AddThingToThingGroup", `{"thingGroupName":"leaf","thingName":"gw-0000"}`)
	if err := c.iot.Authorize(t.Context(), p, "iot:Connect", arnOf("client/gw-0000")); err != nil {
		t.Error(err)
	}
}

func TestCertificateFromRequest(t *testing.T) {
	c := newCloud(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: "gw-7"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	out := c.call("CreateCertificateFromCsr", `{"certificateSigningRequest":`+quoted(csr)+`}`)
	if d := c.call("DescribeCertificate", `{"certificateId":"`+out["certificateId"].(string)+`"}`)["certificateDescription"].(map[string]any); d["status"] != "INACTIVE" {
		t.Errorf("description %v", d)
	}
	c.refuse("RegisterCertificateWithoutCA", `{"certificatePem":`+quoted(out["certificatePem"].(string))+`}`, "ResourceAlreadyExistsException")
	c.refuse("CreateCertificateFromCsr", `{"certificateSigningRequest":"nonsense"}`, "InvalidRequestException")
	if l := c.call("ListCertificates", `{}`)["certificates"].([]any); len(l) != 1 {
		t.Errorf("certificates %v", l)
	}
}

func TestKeysFollowFromTheSeed(t *testing.T) {
	a := newCloud(t).call("CreateKeysAndCertificate", `{}`)["certificateId"]
	if b := newCloud(t).call("CreateKeysAndCertificate", `{}`)["certificateId"]; a != b {
		t.Errorf("one seed, two certificates: %v and %v", a, b)
	}
}

func TestServerCertificateServesMutualTLS(t *testing.T) {
	c := newCloud(t)
	server, err := c.iot.ServerCertificate("broker.example")
	if err != nil {
		t.Fatal(err)
	}
	made := c.call("CreateKeysAndCertificate", `{"setAsActive":true}`)
	client, err := tls.X509KeyPair([]byte(made["certificatePem"].(string)),
		[]byte(made["keyPair"].(map[string]any)["PrivateKey"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	ca, _ := c.iot.CA()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(far, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert,
			VerifyPeerCertificate: c.iot.VerifyClient, Time: c.sched.Now,
		}).Handshake()
	}()
	conn := tls.Client(near, &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: roots,
		ServerName: "broker.example", Time: c.sched.Now})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A client keeps its permissions while others' things change, and loses them with its own.
func TestOnlyWhoIsConcernedReadsItsPoliciesAgain(t *testing.T) {
	c := newCloud(t)
	c.call("CreatePolicy", `{"policyName":"device","policyDocument":`+quoted(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/${iot:Connection.Thing.Attributes[site]}"}]}`)+`}`)
	c.call("CreatePolicy", `{"policyName":"all","policyDocument":`+quoted(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)+`}`)
	c.group("leaf")
	c.call("AttachPolicy", `{"policyName":"all","target":"`+arnOf("thinggroup/leaf")+`"}`)
	var clients []Principal
	var arns []string
	for _, name := range []string{"gw-1", "gw-2"} {
		c.call("CreateThing", `{"thingName":"`+name+`","attributePayload":{"attributes":{"site":"lab"}}}`)
		made := c.call("CreateKeysAndCertificate", `{"setAsActive":true}`)
		arns = append(arns, made["certificateArn"].(string))
		c.call("AttachPolicy", `{"policyName":"device","target":"`+made["certificateArn"].(string)+`"}`)
		c.call("AttachThingPrincipal", `{"thingName":"`+name+`","principal":"`+made["certificateArn"].(string)+`"}`)
		p, err := c.iot.Authenticate(t.Context(), Hello{ClientID: name})
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, p)
	}
	may := func(client int, topic string) bool {
		return c.iot.Authorize(t.Context(), clients[client], "iot:Publish", arnOf("topic/"+topic)) == nil
	}
	other := clients[1].Detail.(*permissions)
	for _, change := range []struct {
		operation, in string
		topic         string
		want          bool
	}{
		{"UpdateThing", `{"thingName":"gw-1","attributePayload":{"attributes":{"site":"field"}}}`, "field", true},
		{"UpdateThing", `{"thingName":"gw-1","attributePayload":{"attributes":{"site":"lab"}}}`, "field", false},
		{"AddThingToThingGroup", `{"thingGroupName":"leaf","thingName":"gw-1"}`, "any", true},
		{"RemoveThingFromThingGroup", `{"thingGroupName":"leaf","thingName":"gw-1"}`, "any", false},
		{"AttachPolicy", `{"policyName":"all","target":"` + arns[0] + `"}`, "any", true},
		{"DetachPolicy", `{"policyName":"all","target":"` + arns[0] + `"}`, "any", false},
		{"DetachThingPrincipal", `{"thingName":"gw-1","principal":"` + arns[0] + `"}`, "lab", false},
		{"AttachThingPrincipal", `{"thingName":"gw-1","principal":"` + arns[0] + `"}`, "lab", true},
		{"UpdateCertificate", `{"certificateId":"` + arns[0][len(arnOf("cert/")):] + `","newStatus":"INACTIVE"}`,
			"lab", false},
	} {
		other.values["marked"] = nil
		c.call(change.operation, change.in)
		if may(0, change.topic) != change.want {
			t.Errorf("after %s %s it may: %v", change.operation, change.in, !change.want)
		}
		if !may(1, "lab") || may(1, "any") {
			t.Errorf("after %s %s another may something else", change.operation, change.in)
		}
		if _, kept := other.values["marked"]; !kept {
			t.Errorf("after %s %s another has read its policies again", change.operation, change.in)
		}
	}
	c.call("DetachPolicy", `{"policyName":"all","target":"`+arnOf("thinggroup/leaf")+`"}`)
	if !may(1, "lab") {
		t.Error("a change of groups took the permissions away")
	}
	if _, kept := other.values["marked"]; kept {
		t.Error("a change of groups did not concern everybody")
	}
}
