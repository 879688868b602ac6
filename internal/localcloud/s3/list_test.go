package s3

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// hold puts a version into a store as put does, without a body.
func hold(t rapid.TB, db *store.DB, key string, number uint64, deleted bool) {
	t.Helper()
	err := db.Update(func(tx *store.Tx) error {
		return versions.Put(tx, version{ID: versionID(number, strings.Repeat("f", 16)), Number: number,
			Deleted: deleted}, "bucket", key, countDown(number))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// plainly lists as the documentation says it, from all that there is.
func plainly(rows []entry, p page, all bool) (entries []entry, more bool) {
	slices.SortFunc(rows, func(a, b entry) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return int(b.Number) - int(a.Number)
	})
	passed := p.afterVersion == ""
	for i, r := range rows {
		r.newest = i == 0 || rows[i-1].key != r.key
		if r.key == p.after && !passed {
			passed = r.ID == p.afterVersion
			continue
		}
		if !strings.HasPrefix(r.key, p.prefix) || !all && (!r.newest || r.Deleted) ||
			p.after != "" && (r.key < p.after || r.key == p.after && p.afterVersion == "") {
			continue
		}
		if p.delimiter != "" {
			name, _, found := strings.Cut(r.key[len(p.prefix):], p.delimiter)
			if common := p.prefix + name + p.delimiter; found {
				if strings.HasPrefix(p.after, common) ||
					slices.ContainsFunc(entries, func(e entry) bool { return e.common && e.key == common }) {
					continue
				}
				r = entry{key: common, common: true}
			}
		}
		if int64(len(entries)) == p.size {
			return entries, p.size > 0
		}
		entries = append(entries, r)
	}
	return entries, false
}

// TestListsAreAsThePlainWay: a list that jumps gives what one gives that reads everything.
func TestListsAreAsThePlainWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db := store.Memory()
		text := func(most int) *rapid.Generator[string] {
			return rapid.StringOfN(rapid.SampledFrom([]rune("ab/é")), 0, most, -1)
		}
		var rows []entry
		for n := range rapid.IntRange(0, 60).Draw(t, "versions") {
			key := text(5).Filter(func(s string) bool { return s != "" }).Draw(t, "key")
			if n > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
				key = rows[n-1].key
			}
			deleted := rapid.IntRange(0, 3).Draw(t, "deleted") == 0
			hold(t, db, key, uint64(n+1), deleted)
			v := version{ID: versionID(uint64(n+1), strings.Repeat("f", 16)), Number: uint64(n + 1), Deleted: deleted}
			rows = append(rows, entry{key: key, version: v})
		}
		all := rapid.Bool().Draw(t, "all")
		p := page{prefix: text(2).Draw(t, "prefix"), delimiter: text(2).Draw(t, "delimiter"),
			after: text(5).Draw(t, "after"), size: rapid.Int64Range(0, 5).Draw(t, "size")}
		if rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
			p.size = 1000
		}
		// The marker of a version is one of its key, as the page before gave it.
		if len(rows) > 0 && all && rapid.Bool().Draw(t, "from a version") {
			r := rapid.SampledFrom(rows).Draw(t, "marker")
			if p.after = r.key; !strings.HasPrefix(r.key, p.prefix) || p.commonPrefix(r.key) == "" {
				p.afterVersion = r.ID
			}
		}
		var got []entry
		var more bool
		err := db.View(func(tx *store.Tx) (err error) {
			got, more, err = walk(tx, "bucket", p, all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want, wantMore := plainly(rows, p, all)
		show := func(list []entry, more bool) string {
			var b strings.Builder
			for _, e := range list {
				fmt.Fprintf(&b, "%q %v %v %d\n", e.key, e.common, e.newest, e.Number)
			}
			return b.String() + fmt.Sprint(more)
		}
		if got, want := show(got, more), show(want, wantMore); got != want {
			t.Fatalf("%+v all=%v:\n%s\nwant\n%s", p, all, got, want)
		}
	})
}

// TestPagesReadNoMoreThanTheyShow: neither the keys behind a common prefix nor the old versions of a key are read.
func TestPagesReadNoMoreThanTheyShow(t *testing.T) {
	db := store.Memory()
	for i := range 2000 {
		hold(t, db, fmt.Sprintf("half-%d/%04d", i%2, i), uint64(i+1), false)
		hold(t, db, "often", uint64(i+10_000), false)
	}
	hold(t, db, "z", 20_000, false)
	for _, tt := range []struct {
		p    page
		all  bool
		want string
	}{
		{page{delimiter: "/", size: 1000}, false, "half-0/ half-1/ often z false"},
		{page{delimiter: "/", size: 1}, false, "half-0/ true"},
		{page{delimiter: "/", after: "half-0/", size: 1}, false, "half-1/ true"},
		{page{delimiter: "/", after: "half-1/0700", size: 1000}, false, "often z false"},
		{page{delimiter: "/", size: 2}, true, "half-0/ half-1/ true"},
		{page{prefix: "half-1", delimiter: "/", size: 1000}, true, "half-1/ false"},
		{page{prefix: "half-1/", delimiter: "/", after: "half-1/1997", size: 1000}, true, "half-1/1999 false"},
		{page{after: "often", size: 5}, true, "z false"},
	} {
		stop := db.FailReads(50)
		err := db.View(func(tx *store.Tx) error {
			entries, more, err := walk(tx, "bucket", tt.p, tt.all)
			var got string
			for _, e := range entries {
				got += e.key + " "
			}
			if got += fmt.Sprint(more); err == nil && got != tt.want {
				t.Errorf("%+v: %s, want %s", tt.p, got, tt.want)
			}
			return err
		})
		if stop(); err != nil {
			t.Errorf("%+v: more than 50 reads: %v", tt.p, err)
		}
	}
}

// TestListsOverHTTP: markers, owners, encodings and sizes of pages, as AWS answers them.
func TestListsOverHTTP(t *testing.T) {
	c := newCloud(t, nil)
	for _, k := range []string{"folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1",
		"folder/file2", "a b+c*~(ü)\x01&<"} {
		c.put(k, "content 123")
	}
	ask := func(query string) (string, xmlList) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/firmware?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		const hash = "UNSIGNED-PAYLOAD"
		req.Header.Set("X-Amz-Content-Sha256", hash)
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"},
			req, hash, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var list xmlList
		_ = xml.Unmarshal(b, &list) // not every answer can be read, see below
		return string(b), list
	}
	for _, tt := range []struct{ query, has string }{
		{"prefix=folder/&delimiter=/&max-keys=1", "<NextMarker>folder/aSubfolder/</NextMarker><MaxKeys>1</MaxKeys>" +
			"<Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>folder/aSubfolder/</Prefix>"},
		{"prefix=folder/&delimiter=/&max-keys=1&marker=folder/aSubfolder/", "<Contents><Key>folder/file1</Key>"},
		{"prefix=folder/&delimiter=/&max-keys=1&marker=folder/aSubfolder/subFile1",
			"<Contents><Key>folder/file1</Key>"},
		{"prefix=folder/&delimiter=/&marker=folder/file1",
			"<IsTruncated>false</IsTruncated><Contents><Key>folder/file2<"},
		{"prefix=folder/file1", "<Owner><ID>" + c.svc.canonicalID() + "</ID></Owner><StorageClass>STANDARD<"},
		{"list-type=2&prefix=folder/file1&fetch-owner=true", "<Owner><ID>"},
		{"list-type=2&prefix=folder/file1", "<Size>11</Size><StorageClass>"},
		{"list-type=2&max-keys=0", "<KeyCount>0</KeyCount><MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated></"},
		{"list-type=2&max-keys=5000&start-after=folder/file1", "<StartAfter>folder/file1</StartAfter><KeyCount>1<" +
			"/KeyCount><MaxKeys>1000</MaxKeys>"},
		{"list-type=2&prefix=a", "<Key>a b+c*~(ü)&#x1;&amp;&lt;</Key>"},
		{"list-type=2&prefix=a+b&encoding-type=url&delimiter=%2B", "<Prefix>a+b</Prefix><KeyCount>1</KeyCount>" +
			"<MaxKeys>1000</MaxKeys><Delimiter>%2B</Delimiter><EncodingType>url</EncodingType><IsTruncated>false<" +
			"/IsTruncated><CommonPrefixes><Prefix>a+b%2B</Prefix>"},
		{"list-type=2&prefix=a&encoding-type=url", "<Key>a+b%2Bc*%7E%28%C3%BC%29%01%26%3C</Key>"},
		{"versions&prefix=folder/&delimiter=/&max-keys=1", "<ListVersionsResult "},
		{"versions&prefix=folder/&delimiter=/&max-keys=1", "<KeyMarker></KeyMarker><VersionIdMarker><" +
			"/VersionIdMarker>" +
			"<NextKeyMarker>folder/aSubfolder/</NextKeyMarker><MaxKeys>1</MaxKeys>"},
		{"versions&prefix=folder/&delimiter=/&max-keys=1&key-marker=folder/aSubfolder/subFile1", "<Version><Key>" +
			"folder/file1</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><LastModified>"},
		{"versions&version-id-marker=x",
			"<Code>InvalidArgument</Code><Message>A version-id marker cannot be specified " +
				"without a key marker.</Message><ArgumentName>version-id-marker</ArgumentName><ArgumentValue>x<"},
		{"list-type=2&continuation-token=", "<Message>The continuation token provided is incorrect</Message>" +
			"<ArgumentName>continuation-token</ArgumentName>"},
		{"list-type=2&continuation-token=%FF", "<Code>InvalidArgument</Code>"},
		{"max-keys=x", "<Message>Provided max-keys not an integer or within integer range</Message>"},
		{"max-keys=2147483648", "<ArgumentValue>2147483648</ArgumentValue>"},
		{"max-keys=-1", "<Message>Argument maxKeys must be an integer between 0 and 2147483647</Message>"},
		{"list-type=3", "<Message>Invalid List Type specified in Request</Message>"},
	} {
		if got, _ := ask(tt.query); !strings.Contains(got, tt.has) {
			t.Errorf("%s:\n%s\nwant %s", tt.query, got, tt.has)
		}
	}
	// Every page begins where the one before ended.
	seen, token := "", ""
	for range 10 {
		_, list := ask("list-type=2&encoding-type=url&delimiter=/&prefix=folder/&max-keys=1" + token)
		for _, p := range list.CommonPrefixes {
			seen += p.Prefix.Text + " "
		}
		if token = "&continuation-token=" + url.QueryEscape(list.NextContinuationToken); !list.IsTruncated {
			break
		}
		seen += fmt.Sprint(*list.KeyCount, " ")
	}
	if want := "folder/aSubfolder/ 1 1 "; seen != want {
		t.Errorf("pages: %q, want %q", seen, want)
	}
}

// TestAListGoesOnAfterADeletedVersion: the version that a page ended with may be gone when the next is asked for.
func TestAListGoesOnAfterADeletedVersion(t *testing.T) {
	c := newCloud(t, nil)
	bucket := aws.String("firmware")
	if _, err := c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 5 {
		ids = append(ids, *c.put("k", "v").VersionId)
	}
	slices.Reverse(ids)
	in := &sdk.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(3)}
	page, err := c.ListObjectVersions(t.Context(), in)
	if err != nil || !*page.IsTruncated || *page.NextVersionIdMarker != ids[2] {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, id := range ids[:3] {
		if _, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: bucket, Key: aws.String("k"),
			VersionId: &id}); err != nil {
			t.Fatal(err)
		}
	}
	in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	if page, err = c.ListObjectVersions(t.Context(), in); err != nil || len(page.Versions) != 2 ||
		*page.Versions[0].VersionId != ids[3] || !*page.Versions[0].IsLatest || *page.Versions[1].IsLatest {
		t.Errorf("%+v, %v", page.Versions, err)
	}
}
