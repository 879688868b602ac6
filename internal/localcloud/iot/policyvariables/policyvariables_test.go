package policyvariables

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(255), DNSNames: []string{"a.example"},
		Subject: pkix.Name{CommonName: "gw", Organization: []string{"One", "Two"}, Province: []string{"Bern"}},
		Issuer:  pkix.Name{CommonName: "CA"},
	}
	for _, tt := range []struct {
		client Client
		want   string
	}{
		{Client{ID: "c"}, "aws:SourceIp=[] iot:ClientId=[c] iot:Connection.Thing.IsAttached=[false]"},
		{Client{ID: "c", SourceIP: "192.0.2.1", Attached: true,
			Thing: &Thing{"gw-1", "Gateway", map[string]string{"site": "lab"}}},
			"aws:SourceIp=[192.0.2.1] iot:ClientId=[c] iot:Connection.Thing.Attributes[site]=[lab] " +
				"iot:Connection.Thing.IsAttached=[true] iot:Connection.Thing.ThingName=[gw-1] " +
				"iot:Connection.Thing.ThingTypeName=[Gateway]"},
		{Client{ID: "c", Certificate: certificate, Thing: &Thing{Name: "c"}},
			"aws:SourceIp=[] iot:Certificate.Issuer.CommonName=[CA] iot:Certificate.Issuer.CommonName.0=[CA] " +
				"iot:Certificate.SerialNumber=[ff] iot:Certificate.Subject.CommonName=[gw] " +
				"iot:Certificate.Subject.CommonName.0=[gw] iot:Certificate.Subject.Organization=[One] " +
				"iot:Certificate.Subject.Organization.0=[One] iot:Certificate.Subject.Organization.1=[Two] " +
				"iot:Certificate.Subject.State=[Bern] iot:Certificate.Subject.State.0=[Bern] " +
				"iot:Certificate.SubjectAlternativeName.DNSName=[a.example] " +
				"iot:Certificate.SubjectAlternativeName.DNSName.0=[a.example] iot:ClientId=[c] " +
				"iot:Connection.Thing.IsAttached=[false] iot:Connection.Thing.ThingName=[c]"},
	} {
		values := tt.client.Values()
		var got []string
		for _, k := range slices.Sorted(maps.Keys(values)) {
			got = append(got, fmt.Sprintf("%s=%v", k, values[k]))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tt.want)
		}
	}
}
