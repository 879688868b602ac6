package localcloud_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// upload is a body in chunks, each of which is signed by the SDK's signer of streams.
type upload struct {
	chunks          []string
	how             string
	trailer         string // such as "x-amz-checksum-crc32:..."
	change          func(body string) string
	changeSignature string // of the trailer
}

// send returns the status and the code of the answer.
func (u upload) send(t *testing.T, url string) (int, string) {
	t.Helper()
	whole := strings.Join(u.chunks, "")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(u.trailer, ":")
	r.Header.Set("X-Amz-Content-Sha256", u.how)
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(whole)))
	r.Header.Set("Content-Encoding", "aws-chunked")
	if name != "" {
		r.Header.Set("X-Amz-Trailer", name)
	}
	cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	now := time.Now().UTC()
	if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, u.how, "s3", "us-east-1", now); err != nil {
		t.Fatal(err)
	}
	_, seed, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	last, err := hex.DecodeString(seed)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewStreamSigner(cred, "s3", "us-east-1", last)
	var body strings.Builder
	for _, c := range append(u.chunks, "") {
		if last, err = signer.GetSignature(t.Context(), nil, []byte(c), now); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&body, "%x;chunk-signature=%x\r\n", len(c), last)
		if c != "" {
			body.WriteString(c + "\r\n")
		}
	}
	if name != "" {
		key := []byte("AWS4test")
		for _, part := range []string{now.Format("20060102"), "us-east-1", "s3", "aws4_request"} {
			key = keyed(key, part)
		}
		signed := hex.EncodeToString(keyed(key, fmt.Sprintf("AWS4-HMAC-SHA256-TRAILER\n%s\n%s/us-east-1/s3/"+
			"aws4_request\n%x\n%x", now.Format("20060102T150405Z"), now.Format("20060102"), last,
			sha256.Sum256([]byte(name+":"+value+"\n")))))
		if u.changeSignature != "" {
			signed = u.changeSignature
		}
		body.WriteString(u.trailer + "\r\nx-amz-trailer-signature:" + signed + "\r\n")
	}
	text := body.String() + "\r\n"
	if u.change != nil {
		text = u.change(text)
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := bytes.Cut(answer, []byte("<Code>"))
	code, _, _ = bytes.Cut(code, []byte("</Code>"))
	return w.StatusCode, string(code)
}

func keyed(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(text)) // a hash does not fail
	return m.Sum(nil)
}

// TestChunksOfABodyAreSigned: a chunk, its order and what trails the last one are as their signatures say, and nothing
// of a body that is not is kept.
func TestChunksOfABodyAreSigned(t *testing.T) {
	server := httptest.NewServer(newRig(t).cloud.Handler())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/chunks", nil)
	if err != nil {
		t.Fatal(err)
	}
	cred := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r.Header.Set("X-Amz-Content-Sha256", empty)
	if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, empty, "s3", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if w, err := http.DefaultClient.Do(r); err != nil || w.StatusCode != 200 {
		t.Fatal(w, err)
	}
	const signed, trailing = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	a, b := strings.Repeat("a", 8192), strings.Repeat("b", 8192)
	const crc = "x-amz-checksum-crc32:NhCmhg==" // of hello
	replaced := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	for i, row := range []struct {
		upload
		status int
		code   string
	}{
		{upload{chunks: []string{"hello"}, how: signed}, 200, ""},
		{upload{how: signed}, 200, ""},
		{upload{chunks: []string{a, b, "end"}, how: signed}, 200, ""},
		{upload{chunks: []string{"hello"}, how: trailing, trailer: crc}, 200, ""},
		{upload{chunks: []string{"hello"}, how: signed, change: replaced("hello", "hellO")}, 403,
			"SignatureDoesNotMatch"},
		{upload{chunks: []string{a, b, "end"}, how: signed, change: replaced("bb", "ba")}, 403,
			"SignatureDoesNotMatch"},
		{upload{chunks: []string{a, b}, how: signed, change: func(s string) string {
			half := strings.Index(s, "\r\n2000;") + 2
			rest := strings.Index(s, "\r\n0;") + 2
			return s[half:rest] + s[:half] + s[rest:] // in another order
		}}, 403, "SignatureDoesNotMatch"},
		{upload{chunks: []string{"hello"}, how: signed, change: func(s string) string {
			at := strings.Index(s, "0;chunk-signature=") + len("0;chunk-signature=")
			return s[:at] + empty + s[at+len(empty):]
		}}, 403, "SignatureDoesNotMatch"},
		{upload{chunks: []string{"hello"}, how: signed, change: func(s string) string {
			return s[:strings.Index(s, "0;chunk-signature=")] + "\r\n" // without the last chunk
		}}, 400, "IncompleteBody"},
		{upload{chunks: []string{"hello"}, how: signed, change: replaced("chunk-signature", "signature")}, 400,
			"IncompleteBody"},
		{upload{chunks: []string{"hello"}, how: signed, change: replaced(";chunk-signature=", "\r\n")}, 400,
			"IncompleteBody"},
		{upload{chunks: []string{"hello"}, how: trailing, trailer: crc, changeSignature: empty}, 403,
			"SignatureDoesNotMatch"},
		{upload{chunks: []string{"hello"}, how: trailing, trailer: crc, changeSignature: "none"}, 400,
			"IncompleteBody"},
		{upload{chunks: []string{"hello"}, how: trailing, trailer: crc, change: replaced("NhCm", "AhCm")}, 403,
			"SignatureDoesNotMatch"},
		{upload{chunks: []string{"hellO"}, how: trailing, trailer: crc}, 400, "BadDigest"},
		{upload{chunks: []string{"hel", "lo"}, how: signed}, 403, "InvalidChunkSizeError"},
		{upload{chunks: []string{a, "small", b}, how: signed}, 403, "InvalidChunkSizeError"},
		{upload{chunks: []string{"hello"}, how: "STREAMING-AWS4-HMAC-SHA512-PAYLOAD"}, 400, "InvalidArgument"},
	} {
		url := fmt.Sprintf("%s/chunks/%d", server.URL, i)
		status, code := row.send(t, url)
		if status != row.status || code != row.code {
			t.Errorf("%d: %d %s, want %d %s", i, status, code, row.status, row.code)
		}
	}
}
