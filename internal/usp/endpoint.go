package usp

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// EndpointID names an agent or a controller: scheme ":" [authority] ":"
// instance, "os::012345-rg%2E7". It is compared as it stands (R-ARC.5: case
// sensitive, no decoding). A value from outside is checked by ParseEndpointID.
type EndpointID string

// AuthorityScheme says who saw to it that an endpoint ID is unique.
type AuthorityScheme string

// The schemes of TR-369, section "Endpoint Identifier". Proto and Doc are for
// drafts and documents.
const (
	SchemeOUI   AuthorityScheme = "oui"
	SchemeCID   AuthorityScheme = "cid"
	SchemePEN   AuthorityScheme = "pen"
	SchemeSelf  AuthorityScheme = "self"
	SchemeUser  AuthorityScheme = "user"
	SchemeOS    AuthorityScheme = "os"
	SchemeOPS   AuthorityScheme = "ops"
	SchemeUUID  AuthorityScheme = "uuid"
	SchemeIMEI  AuthorityScheme = "imei"
	SchemeFQDN  AuthorityScheme = "fqdn"
	SchemeProto AuthorityScheme = "proto"
	SchemeDoc   AuthorityScheme = "doc"
)

var hexID = regexp.MustCompile(`^(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{7}|[0-9A-Fa-f]{9})$`)
var digits = regexp.MustCompile(`^[0-9]+$`)
var uuidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`)

// ErrEndpointID is wrapped by everything that ParseEndpointID finds wrong.
var ErrEndpointID = errors.New("invalid endpoint ID")

// ParseEndpointID checks s and returns it unchanged.
func ParseEndpointID(s string) (EndpointID, error) {
	id := EndpointID(s)
	if err := id.Validate(); err != nil {
		return "", err
	}
	return id, nil
}

// NewEndpointID builds an ID, percent-encoding instance, which is one plain
// string: for os and ops encode the parts by EscapeInstance and join them.
func NewEndpointID(scheme AuthorityScheme, authority, instance string) (EndpointID, error) {
	return ParseEndpointID(string(scheme) + ":" + authority + ":" + EscapeInstance(instance))
}

// Validate tells what keeps id from being an endpoint ID: its form, an
// authority that the scheme forbids or requires, a character that must be
// percent-encoded.
func (id EndpointID) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w %q: %s", ErrEndpointID, string(id), fmt.Sprintf(format, args...))
	}
	parts := strings.SplitN(string(id), ":", 3)
	if len(parts) != 3 {
		return bad("want scheme:[authority]:instance") // R-ARC.2
	}
	authority, instance := parts[1], parts[2]
	if instance == "" {
		return bad("the instance is empty")
	}
	for i := 0; i < len(instance); i++ { // R-ARC.3, R-ARC.4
		switch c := instance[i]; {
		case unreserved(c):
		case c == '%':
			if i+2 >= len(instance) || !isHex(instance[i+1]) || !isHex(instance[i+2]) {
				return bad("%% is not followed by two hexadecimal digits")
			}
			i += 2
		default:
			return bad("%q must be percent-encoded", c)
		}
	}
	switch AuthorityScheme(parts[0]) {
	case SchemeOUI, SchemeCID:
		if !hexID.MatchString(authority) {
			return bad("the authority must be 6, 7 or 9 hexadecimal digits")
		}
	case SchemePEN:
		if !digits.MatchString(authority) {
			return bad("the authority must be a private enterprise number")
		}
	case SchemeSelf, SchemeProto, SchemeDoc:
		for i := 0; i < len(authority); i++ {
			if !unreserved(authority[i]) {
				return bad("%q in the authority", authority[i])
			}
		}
	case SchemeUser, SchemeOS, SchemeOPS, SchemeUUID, SchemeIMEI, SchemeFQDN:
		if authority != "" {
			return bad("scheme %s has no authority", parts[0])
		}
		switch AuthorityScheme(parts[0]) {
		case SchemeOS:
			if !strings.Contains(instance, "-") {
				return bad("the instance must be OUI-SerialNumber")
			}
		case SchemeOPS:
			if strings.Count(instance, "-") < 2 {
				return bad("the instance must be OUI-ProductClass-SerialNumber")
			}
		case SchemeUUID:
			if !uuidForm.MatchString(instance) {
				return bad("the instance must be a UUID")
			}
		case SchemeIMEI:
			if !digits.MatchString(instance) {
				return bad("the instance must be digits")
			}
		}
	default:
		return bad("unknown scheme %q", parts[0])
	}
	return nil
}

func (id EndpointID) String() string { return string(id) }

// Scheme is the part before the first colon, known or not.
func (id EndpointID) Scheme() AuthorityScheme {
	scheme, _, _ := strings.Cut(string(id), ":")
	return AuthorityScheme(scheme)
}

// Authority is the part between the colons, often empty.
func (id EndpointID) Authority() string {
	_, rest, _ := strings.Cut(string(id), ":")
	authority, _, _ := strings.Cut(rest, ":")
	return authority
}

// Instance is the part after the second colon with percent-encoding removed; as
// it stands where that cannot be done.
func (id EndpointID) Instance() string {
	parts := strings.SplitN(string(id), ":", 3)
	if len(parts) < 3 {
		return ""
	}
	plain, err := UnescapeInstance(parts[2])
	if err != nil {
		return parts[2]
	}
	return plain
}

// URN is the form for a certificate's subjectAltName (R-SEC.9).
func (id EndpointID) URN() string { return urnPrefix + string(id) }

const urnPrefix = "urn:bbf:usp:id:"

// ParseURN reads the form that URN writes.
func ParseURN(urn string) (EndpointID, error) {
	if len(urn) < len(urnPrefix) || !strings.EqualFold(urn[:len(urnPrefix)], urnPrefix) {
		return "", fmt.Errorf("%w: %q does not start with %s", ErrEndpointID, urn, urnPrefix)
	}
	return ParseEndpointID(urn[len(urnPrefix):])
}

// EscapeInstance percent-encodes all but letters, digits, "-", "." and "_".
// A hyphen inside one part of an os or ops instance is the caller's to encode.
func EscapeInstance(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// UnescapeInstance removes percent-encoding.
func UnescapeInstance(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", fmt.Errorf("%w: %q has a %% without two hexadecimal digits", ErrEndpointID, s)
		}
		b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
	}
	return b.String(), nil
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
