package sts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"
)

// TestChunksOfTheDocumentation are the examples of the S3 API reference: an object of 65 KiB in two chunks,
// without and with a trailer.
func TestChunksOfTheDocumentation(t *testing.T) {
	key := []byte("AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	for _, part := range []string{"20130524", "us-east-1", "s3", "aws4_request"} {
		key = mac(key, []byte(part))
	}
	for _, row := range []struct {
		seed             string
		chunks           []string
		trailer, trailed string
	}{
		{"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", []string{
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}, "", ""},
		{"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", []string{
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
			"x-amz-checksum-crc32c:sOO8/Q==\n", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"},
	} {
		seed, err := hex.DecodeString(row.seed)
		if err != nil {
			t.Fatal(err)
		}
		c := newChunks(key, signature{date: "20130524", region: "us-east-1", service: "s3", signed: seed,
			when: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)})
		for i, size := range []int{65536, 1024, 0} {
			sum := sha256.Sum256(bytes.Repeat([]byte("a"), size))
			if !c.Chunk(sum[:], row.chunks[i]) {
				t.Errorf("the signature of chunk %d is %s, want %s", i, c.last, row.chunks[i])
			}
		}
		if sum := sha256.Sum256([]byte(row.trailer)); row.trailer != "" && !c.Trailer(sum[:], row.trailed) {
			t.Errorf("the signature of the trailer is %s, want %s", c.last, row.trailed)
		}
	}
}
