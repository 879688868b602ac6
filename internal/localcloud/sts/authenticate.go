package sts

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	basicTime = "20060102T150405Z"
	// skew is how far a signature's time may be from ours.
	skew = 15 * time.Minute
	// longestPresigned is the most a presigned URL may ask for.
	longestPresigned = 7 * 24 * time.Hour
)

// What x-amz-content-sha256 says in place of a hash, to S3 alone.
const (
	unsignedPayload     = "UNSIGNED-PAYLOAD"
	unsignedTrailer     = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// found are the credentials behind an access key ID.
type found struct {
	secret   string
	token    string // "" for long-term keys
	identity awsapi.Identity
	expires  time.Time // zero: never
}

func (s *Service) credentialsOf(ctx context.Context, key string) (found, bool, error) {
	if key == s.config.OperatorKey {
		return found{secret: s.config.OperatorSecret, identity: awsapi.RootOf(s.config.Account)}, true, nil
	}
	if strings.HasPrefix(key, "ASIA") {
		v, ok, err := s.session(key)
		return found{v.Secret, v.Token, v.Identity, v.Expires}, ok, err
	}
	if s.config.Keys == nil {
		return found{}, false, nil
	}
	secret, who, ok, err := s.config.Keys.AccessKey(ctx, key)
	return found{secret: secret, identity: who}, ok, err
}

// signature is what a request says about how it was signed.
type signature struct {
	key, date, region, service string // of the credential scope
	headers                    []string
	signed                     []byte
	when                       time.Time
	token                      string
	presigned                  bool
	query                      string // canonical
}

// Authenticate implements awsapi.Authenticator.
func (s *Service) Authenticate(r *http.Request, body []byte) (signed awsapi.Signed, err error) {
	if r.Header.Get("Authorization") == "" && isVersion2(r) {
		id, err := s.authenticateVersion2(r)
		return awsapi.Signed{Identity: id, Service: "s3"}, err
	}
	sig, err := readSignature(r)
	if err != nil {
		return signed, err
	}
	c, ok, err := s.credentialsOf(r.Context(), sig.key)
	if err != nil {
		return signed, err
	}
	if !ok || subtle.ConstantTimeCompare([]byte(c.token), []byte(sig.token)) != 1 {
		return signed, invalidToken()
	}
	now := s.config.Scheduler.Now()
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return signed, awsapi.Errorf(awsapi.CodeExpiredToken, "The security token included in the request is expired")
	}
	if err := s.checkDates(r, sig, now); err != nil {
		return signed, err
	}
	if sig.region != s.config.Region && (sig.region != "us-east-1" || sig.service != "iam" && sig.service != "sts") {
		return signed, awsapi.Errorf(awsapi.CodeSignatureMismatch,
			"Credential should be scoped to a valid region, not '%s'.", sig.region)
	}
	if err := allSigned(r, sig); err != nil {
		return signed, err
	}
	payload, err := payloadHash(r, sig, body)
	if err != nil {
		return signed, err
	}
	key := s.signingKey(signingKey{c.secret, sig.date, sig.region, sig.service})
	for _, p := range canonicalPaths(r, sig.service) {
		if hmac.Equal(sign(key, r, sig, p, payload), sig.signed) {
			signed = awsapi.Signed{Identity: c.identity, Service: sig.service}
			if payload == signedChunks || payload == signedChunksTrailer {
				signed.Chunks = newChunks(key, sig)
			}
			return signed, nil
		}
	}
	return signed, mismatch()
}

func readSignature(r *http.Request) (sig signature, err error) {
	var credential, headers, signed, date string
	h := r.Header.Get("Authorization")
	switch {
	case h != "":
		rest, ok := strings.CutPrefix(h, algorithm)
		if !ok {
			return sig, incomplete("Authorization header requires '%s'. The algorithm given is not supported.",
				algorithm)
		}
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				signed = value
			}
		}
		date = r.Header.Get("X-Amz-Date")
		sig.token = r.Header.Get("X-Amz-Security-Token")
		if date == "" {
			if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				date = t.UTC().Format(basicTime)
			}
		}
	case strings.Contains(r.URL.RawQuery, "X-Amz-Signature="):
		q := r.URL.Query()
		if a := q.Get("X-Amz-Algorithm"); a != algorithm {
			return sig, incomplete("X-Amz-Algorithm only supports \"%s\"", algorithm)
		}
		sig.presigned = true
		credential, headers, signed = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature")
		date, sig.token = q.Get("X-Amz-Date"), q.Get("X-Amz-Security-Token")
	default:
		return sig, awsapi.Errorf(awsapi.CodeMissingToken, "Request is missing Authentication Token")
	}
	for _, m := range [][2]string{{"Credential", credential}, {"SignedHeaders", headers}, {"Signature", signed}} {
		if m[1] == "" {
			return sig, incomplete("Authorization header requires '%s' parameter.", m[0])
		}
	}
	scope := strings.Split(credential, "/")
	if len(scope) < 5 || scope[len(scope)-1] != "aws4_request" {
		return sig, incomplete("Credential must have at least 5 slash-delimited elements and end in aws4_request")
	}
	n := len(scope)
	sig.key, sig.date, sig.region, sig.service = strings.Join(scope[:n-4], "/"), scope[n-4], scope[n-3], scope[n-2]
	sig.headers = strings.Split(headers, ";")
	if !slices.Contains(sig.headers, "host") {
		return sig, incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if sig.signed, err = hex.DecodeString(signed); err != nil {
		return sig, mismatch()
	}
	if sig.when, err = time.Parse(basicTime, date); err != nil {
		return sig, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if sig.when.Format("20060102") != sig.date {
		return sig, awsapi.Errorf(awsapi.CodeSignatureMismatch,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	}
	sig.query = canonicalQuery(r.URL.RawQuery)
	return sig, nil
}

func (s *Service) checkDates(r *http.Request, sig signature, now time.Time) error {
	f := func(t time.Time) string { return t.Format(basicTime) }
	seconds := 0
	if sig.presigned {
		var err error
		seconds, err = strconv.Atoi(r.URL.Query().Get("X-Amz-Expires"))
		if err != nil || seconds < 1 || time.Duration(seconds)*time.Second > longestPresigned {
			return incomplete("X-Amz-Expires must be a number of seconds between 1 and 604800")
		}
	}
	if s.config.Scheduler.Virtual() && !s.config.VirtualDates {
		return nil
	}
	if sig.presigned {
		if now.After(sig.when.Add(time.Duration(seconds) * time.Second)) {
			return awsapi.Errorf(awsapi.CodeRequestExpired, "Request has expired")
		}
	} else if now.After(sig.when.Add(skew)) {
		return awsapi.Errorf(awsapi.CodeSignatureMismatch,
			"Signature expired: %s is now earlier than %s (%s - 15 min.)",
			f(sig.when), f(now.Add(-skew)), f(now))
	}
	if sig.when.After(now.Add(skew)) {
		return awsapi.Errorf(awsapi.CodeSignatureMismatch,
			"Signature not yet current: %s is still later than %s (%s + 15 min.)",
			f(sig.when), f(now.Add(skew)), f(now))
	}
	return nil
}

// allSigned wants every x-amz-* header among the signed ones: else whoever carries
// the request could change what it asks for. Source: IAM User Guide, "Create a
// signed AWS API request" (2026-11): host and any x-amz-* headers are signed.
func allSigned(r *http.Request, sig signature) error {
	var unsigned []string
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(sig.headers, name) {
			// A presigned URL states the hash of its payload in the query.
			if !sig.presigned || name != "x-amz-content-sha256" {
				unsigned = append(unsigned, name)
			}
		}
	}
	if len(unsigned) == 0 {
		return nil
	}
	slices.Sort(unsigned)
	if sig.service == "s3" {
		return awsapi.Errorf("AccessDenied", "There were headers present in the request which were not signed: %s",
			strings.Join(unsigned, ", "))
	}
	return awsapi.Errorf(awsapi.CodeSignatureMismatch, "'%s' must be a 'SignedHeader' in the AWS Authorization.",
		strings.Join(unsigned, "', '"))
}

// payloadHash is the last line of the canonical request.
func payloadHash(r *http.Request, sig signature, body []byte) (string, error) {
	stated := r.Header.Get("X-Amz-Content-Sha256")
	if stated == "" && sig.presigned {
		stated = r.URL.Query().Get("X-Amz-Content-Sha256")
		if stated == "" && sig.service == "s3" {
			stated = unsignedPayload
		}
	}
	switch stated {
	case unsignedPayload, unsignedTrailer, signedChunks, signedChunksTrailer:
		if sig.service != "s3" { // which alone takes payloads that are not signed as a whole
			return "", mismatch()
		}
		return stated, nil
	}
	if body == nil { // not read yet: awsapi checks it against the stated hash
		if stated == "" {
			return "", awsapi.Errorf(awsapi.CodeInvalidRequest,
				"Missing required header for this request: x-amz-content-sha256")
		}
		if sum, err := hex.DecodeString(stated); err != nil || len(sum) != sha256.Size {
			return "", awsapi.Errorf(awsapi.CodeInvalidArgument, "x-amz-content-sha256 must be %s, %s, %s, %s or a "+
				"valid sha256 value.", unsignedPayload, unsignedTrailer, signedChunks, signedChunksTrailer)
		}
		return stated, nil
	}
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	if stated != "" && stated != actual {
		return "", mismatch()
	}
	return actual, nil
}

// canonicalPaths are the spellings of the path under which the client may have
// signed. S3 signs the path as sent, all others encode it once more.
func canonicalPaths(r *http.Request, service string) []string {
	sent := r.URL.EscapedPath()
	if r.RequestURI != "" && strings.HasPrefix(r.RequestURI, "/") {
		sent, _, _ = strings.Cut(r.RequestURI, "?")
	}
	if sent == "" {
		sent = "/"
	}
	if service == "s3" {
		out := []string{sent}
		if plain, err := url.PathUnescape(sent); err == nil {
			if again := escape(plain, true); again != sent {
				out = append(out, again)
			}
		}
		return out
	}
	out := []string{escape(sent, true)}
	normal := path.Clean(sent)
	if strings.HasSuffix(sent, "/") && normal != "/" {
		normal += "/"
	}
	if normal != sent {
		out = append(out, escape(normal, true))
	}
	return out
}

// escape is URI encoding as Signature Version 4 defines it.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '-' || c == '_' || c == '.' || c == '~' || c == '/' && keepSlash
	}
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// canonicalQuery sorts and re-encodes a query string, without the signature
// itself.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var list []string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" || strings.HasPrefix(part, "X-Amz-Signature=") {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		list = append(list, reescape(name)+"="+reescape(value))
	}
	slices.SortFunc(list, func(a, b string) int {
		// By name, then by value: "=" would sort after "-" in whole parts.
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(list, "&")
}

func reescape(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		plain = s
	}
	return escape(plain, false)
}

// sign computes the signature that the request should have.
func sign(key []byte, r *http.Request, sig signature, path, payload string) []byte {
	h := sha256.New()
	line := func(parts ...string) {
		for _, p := range parts {
			_, _ = h.Write([]byte(p)) // a hash does not fail
		}
	}
	line(r.Method, "\n", path, "\n", sig.query, "\n")
	for _, name := range sig.headers {
		line(name, ":", header(r, name), "\n")
	}
	line("\n", strings.Join(sig.headers, ";"), "\n", payload)

	return mac(key, hex.AppendEncode([]byte(algorithm+"\n"+sig.scope()), h.Sum(nil)))
}

// scope are the lines of a string to sign that say when and for what.
func (sig signature) scope() string {
	return sig.when.Format(basicTime) + "\n" + sig.date + "/" + sig.region + "/" + sig.service + "/aws4_request\n"
}

// header is the canonical value of a signed header.
func header(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10)
		}
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	values := r.Header.Values(name)
	if len(values) == 1 {
		return trimAll(values[0])
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = trimAll(v)
	}
	return strings.Join(out, ",")
}

// trimAll removes blanks at the ends and makes runs of them one.
func trimAll(s string) string {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "  ") {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] != ' ' || s[i-1] != ' ' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func mac(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write(data) // a hash does not fail
	return m.Sum(nil)
}

// signingKey names a derived key. It holds the secret itself, so that a
// changed secret makes another key.
type signingKey struct{ secret, date, region, service string }

func (s *Service) signingKey(k signingKey) []byte {
	s.mu.RLock()
	key := s.keys[k]
	s.mu.RUnlock()
	if key != nil {
		return key
	}
	key = mac([]byte("AWS4"+k.secret), []byte(k.date))
	for _, part := range []string{k.region, k.service, "aws4_request"} {
		key = mac(key, []byte(part))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxCached {
		clear(s.keys)
	}
	s.keys[k] = key
	return key
}
