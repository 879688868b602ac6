package localcloud_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// Who floods is named where an operator looks, and counted where AWS counts it.
func TestHealthNamesTheFlooder(t *testing.T) {
	r := newRig(t)
	r.must("iot", "CreateThing", map[string]any{"thingName": "rg-7"})
	keys := r.must("iot", "CreateKeysAndCertificate", map[string]any{"setAsActive": true})
	r.must("iot", "CreatePolicy", map[string]any{"policyName": "all", "policyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`})
	r.must("iot", "AttachPolicy", map[string]any{"policyName": "all", "target": keys["certificateArn"]})
	r.must("iot", "AttachThingPrincipal", map[string]any{"thingName": "rg-7", "principal": keys["certificateArn"]})
	c, err := r.cloud.Devices().Connect(t.Context(),
		iotdataplane.Client{Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: "rg-7"}}})
	if err != nil {
		t.Fatal(err)
	}
	discarded := 0
	for range 150 {
		err := c.Publish(t.Context(), iotdataplane.Message{Topic: "a", Payload: []byte("x"), QoS: 1})
		if errors.Is(err, iotdataplane.ErrDiscarded) {
			discarded++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	r.cloud.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET",
		"http://cloud.test/_localcloud/health", nil))
	var h localcloud.Health
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
		t.Fatal(err)
	}
	if w.Code != 200 || h.Status != "ok" || discarded != 50 || len(h.Throttled) != 1 ||
		h.Throttled[0].ClientID != "rg-7" || h.Throttled[0].Discarded != 50 ||
		h.Entrance.Connections == 0 {
		t.Errorf("%d, %d discarded, health %+v", w.Code, discarded, h)
	}
	c.Leave(t.Context(), false)
}
