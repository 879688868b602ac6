package s3

import (
	"encoding/base64"
	"fmt"
	"hash/crc64"
	"net/http"
	"strings"
	"testing"
)

// TestCRC64NVME is the check value of the catalogue of CRCs, CRC-64/NVME.
func TestCRC64NVME(t *testing.T) {
	if got := crc64.Checksum([]byte("123456789"), crc64.MakeTable(0x9a6c9329ac4bc9b5)); got != 0xae8b14860a799888 {
		t.Errorf("%x", got)
	}
}

// TestXXHash are the values of nothing and of "abc" by xxHash itself, the reference implementation in C.
func TestXXHash(t *testing.T) {
	for word, want := range map[string][2]string{
		"Xxhash64":  {"ef46db3751d8e999", "44bc2cf5ad770999"},
		"Xxhash3":   {"2d06800538d394c2", "78af5f94892f3950"},
		"Xxhash128": {"99aa06d3014798d86001c324468d497f", "06b05ab6733a618578af5f94892f3950"},
	} {
		for i, text := range []string{"", "abc"} {
			h := algorithms[word]()
			_, _ = h.Write([]byte(text)) // a hash does not fail
			if got := fmt.Sprintf("%x", h.Sum(nil)); got != want[i] || h.Size() != len(want[i])/2 {
				t.Errorf("%s of %q is %s in %d bytes, want %s", word, text, got, h.Size(), want[i])
			}
		}
	}
}

// TestChecksumsAreVerified: each algorithm, in a header and in a trailer, for
// objects and for parts; what does not match leaves nothing behind.
func TestChecksumsAreVerified(t *testing.T) {
	c := newCloud(t, nil)
	const body = "the image"
	for word, make := range algorithms {
		h := make()
		_, _ = h.Write([]byte(body))
		right := base64.StdEncoding.EncodeToString(h.Sum(nil))
		wrong := base64.StdEncoding.EncodeToString(make().Sum(nil))
		name := "x-amz-checksum-" + strings.ToLower(word)
		for i, row := range []struct {
			header map[string]string
			body   string
			status int
			says   string
		}{
			{map[string]string{name: right}, body, 200, ""},
			{map[string]string{name: wrong}, body, 400, "BadDigest"},
			{map[string]string{name: right}, "another image", 400, "BadDigest"},
			{map[string]string{"x-amz-content-sha256": strings.Repeat("0", 64)}, body, 400,
				"XAmzContentSHA256Mismatch"},
			{map[string]string{"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, body, 400,
				"The Content-MD5 you specified did not match what we received."},
			{map[string]string{"content-md5": "AAAA"}, body, 400, "The Content-MD5 you specified was invalid."},
			{map[string]string{name: "AAAA!"}, body, 400, "InvalidRequest"},
			{map[string]string{name: right, "x-amz-checksum-unknown": "x"}, body, 400, "InvalidRequest"},
			{map[string]string{"x-amz-trailer": name, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				"x-amz-decoded-content-length": "9"},
				"9\r\n" + body + "\r\n0\r\n" + name + ":" + right + "\r\n\r\n", 200, ""},
			{map[string]string{"x-amz-trailer": name, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				"x-amz-decoded-content-length": "9"},
				"9\r\n" + body + "\r\n0\r\n" + name + ":" + wrong + "\r\n\r\n", 400, "BadDigest"},
			{map[string]string{"x-amz-trailer": name, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				"x-amz-decoded-content-length": "9"},
				"9\r\n" + body + "\r\n0\r\n\r\n", 400, "MalformedTrailerError"},
			{map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				"x-amz-decoded-content-length": "9"},
				"9\r\n" + body + "\r\n0\r\n" + name + ":" + right + "\r\n\r\n", 400, "MalformedTrailerError"},
			{map[string]string{"x-amz-sdk-checksum-algorithm": strings.ToUpper(word)}, body, 400,
				"no corresponding x-amz-checksum-* or x-amz-trailer headers"},
			{map[string]string{"x-amz-sdk-checksum-algorithm": "CRC16", name: right}, body, 400,
				"Value for x-amz-sdk-checksum-algorithm header is invalid."},
			{map[string]string{"x-amz-sdk-checksum-algorithm": strings.ToUpper(word), name: right}, body, 200, ""},
		} {
			key := fmt.Sprint(word, i)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url+"/firmware/"+key,
				strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range row.header {
				r.Header.Set(k, v)
			}
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/s3/aws4_request")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer := new(strings.Builder)
			_ = w.Write(answer)
			_ = w.Body.Close()
			if w.StatusCode != row.status || !strings.Contains(answer.String(), row.says) {
				t.Errorf("%s, row %d: %d %s, want %d %s", word, i, w.StatusCode, answer, row.status, row.says)
			}
			if got := w.Header.Get(name); row.status == 200 && got != right {
				t.Errorf("%s, row %d: the answer has the checksum %q, want %q", word, i, got, right)
			}
			if _, err := c.svc.find("firmware", key, ""); (err == nil) != (row.status == 200) {
				t.Errorf("%s, row %d: afterwards %v", word, i, err)
			}
		}
	}
}

// TestChecksumsAreOfTheWholeObject: who reads a part of it, or does not ask, gets none, or it would compare it with
// what it has.
func TestChecksumsAreOfTheWholeObject(t *testing.T) {
	c := newCloud(t, nil)
	send := func(method, body string, header map[string]string) http.Header {
		r, err := http.NewRequestWithContext(t.Context(), method, c.url+"/firmware/image", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/s3/aws4_request")
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		if w.StatusCode >= 300 {
			t.Fatalf("%s: %s", method, w.Status)
		}
		return w.Header
	}
	const name, sum = "X-Amz-Checksum-Crc32", "lXWoTw=="
	if got := send("PUT", "the image", map[string]string{name: sum}).Get(name); got != sum {
		t.Errorf("an upload is answered with %q", got)
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, row := range []struct {
			header map[string]string
			want   string
		}{
			{map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}, sum},
			{map[string]string{"X-Amz-Checksum-Mode": "ENABLED", "Range": "bytes=0-1"}, ""},
			{nil, ""},
		} {
			got := send(method, "", row.header)
			if got.Get(name) != row.want || got.Get("X-Amz-Checksum-Type") != "" && row.want == "" {
				t.Errorf("%s with %v has the checksum %q of %q, want %q", method, row.header, got.Get(name),
					got.Get("X-Amz-Checksum-Type"), row.want)
			}
		}
	}
}

// TestMalformedChunksAreRefused: whatever stands where a chunk begins, no more of it is read than a chunk's header
// has.
func TestMalformedChunksAreRefused(t *testing.T) {
	c := newCloud(t, nil)
	long := strings.Repeat("x", 1<<20)
	for name, body := range map[string]string{
		"no size": "\r\nabc\r\n", "no number": "xyz\r\nabc\r\n", "negative": "-3\r\nabc\r\n",
		"too long": "3;" + long + "\r\nabc\r\n",
		"no end":   "3\r\nabc", "another size": "2\r\nabc\r\n0\r\n\r\n", "cut off": "3\r\nab",
		"a line without end": long,
		"less than stated":   "2\r\nab\r\n0\r\n\r\n", "more than stated": "4\r\nabcd\r\n0\r\n\r\n",
		"a long trailer": "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:" + long + "\r\n\r\n",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url+"/firmware/chunks",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Header.Set("X-Amz-Decoded-Content-Length", "3")
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/s3/aws4_request")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
	if n := c.bodies(); n != 0 {
		t.Errorf("%d bodies are on the disk", n)
	}
}
