// Package policyvariables computes the variables of AWS IoT policies for one client: the
// values of ${iot:ClientId}, ${iot:Connection.Thing.ThingName},
// ${iot:Certificate.Subject.CommonName} and others. A variable without a value is not in the
// map, so that a statement that needs it matches nothing. There is no I/O.
//
// Source: AWS IoT Core developer guide, "AWS IoT Core policy variables" (basic, thing, X.509 certificate).
package policyvariables

import (
	"crypto/x509"
	"strconv"
)

// Client is what is known of a client that has connected.
type Client struct {
	ID          string
	SourceIP    string            // "" if not known
	Certificate *x509.Certificate // nil if it cannot be read
	Attached    bool              // a thing is attached to the certificate
	Thing       *Thing            // the thing behind the client, nil for none
}

// Thing is a thing of the registry.
type Thing struct {
	Name       string
	Type       string // "" for none
	Attributes map[string]string
}

// Values are the values of the variables, by name.
func (c Client) Values() map[string][]string {
	values := map[string][]string{
		"iot:ClientId": {c.ID}, "aws:SourceIp": nil,
		"iot:Connection.Thing.IsAttached": {strconv.FormatBool(c.Attached)},
	}
	if c.SourceIP != "" {
		values["aws:SourceIp"] = []string{c.SourceIP}
	}
	if c.Certificate != nil {
		ofCertificate(values, c.Certificate)
	}
	if t := c.Thing; t != nil {
		values["iot:Connection.Thing.ThingName"] = []string{t.Name}
		if t.Type != "" {
			values["iot:Connection.Thing.ThingTypeName"] = []string{t.Type}
		}
		for k, v := range t.Attributes {
			values["iot:Connection.Thing.Attributes["+k+"]"] = []string{v}
		}
	}
	return values
}

// ofCertificate adds the variables iot:Certificate... A list has its members under .0, .1, ..., and the first under
// the name alone too.
func ofCertificate(values map[string][]string, c *x509.Certificate) {
	set := func(name string, list ...string) {
		if len(list) == 0 || len(list) == 1 && list[0] == "" {
			return
		}
		values["iot:Certificate."+name] = []string{list[0]}
		for i, v := range list {
			values["iot:Certificate."+name+"."+strconv.Itoa(i)] = []string{v}
		}
	}
	set("Subject.CommonName", c.Subject.CommonName)
	set("Subject.SerialNumber", c.Subject.SerialNumber)
	set("Subject.Country", c.Subject.Country...)
	set("Subject.Organization", c.Subject.Organization...)
	set("Subject.OrganizationalUnit", c.Subject.OrganizationalUnit...)
	set("Subject.State", c.Subject.Province...)
	set("Issuer.Organization", c.Issuer.Organization...)
	set("Issuer.CommonName", c.Issuer.CommonName)
	set("SubjectAlternativeName.DNSName", c.DNSNames...)
	values["iot:Certificate.SerialNumber"] = []string{c.SerialNumber.Text(16)}
}
