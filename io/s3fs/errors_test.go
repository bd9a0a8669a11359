package s3fs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/io/filesys"
)

// What a store answers that no server of ours would.
func TestAnswers(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	defer server.Close()
	use(t, strings.TrimPrefix(server.URL, "http://"), map[string]string{"attempts.maximum": "1"})
	for _, c := range []struct {
		status int
		code   string
		is     error
		words  string
	}{
		{301, "PermanentRedirect", ErrWrongRegion, "eu-central-1"},
		{400, "AuthorizationHeaderMalformed", ErrWrongRegion, "fs.s3a.endpoint.region"},
		{403, "AccessDenied", fs.ErrPermission, "policy"},
		{403, "InvalidAccessKeyId", fs.ErrPermission, "access key"},
		{400, "ExpiredToken", fs.ErrPermission, "expired"},
		{404, "NoSuchBucket", ErrNoBucket, "check its name"},
		{404, "NoSuchKey", fs.ErrNotExist, ""},
		{507, "InsufficientStorage", nil, "507 InsufficientStorage"},
	} {
		answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
			w.WriteHeader(c.status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>so it is</Message></Error>", c.code)
		}
		_, err := filesys.Open(t.Context(), "s3://b/k")
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "s3://b/k") {
			t.Errorf("%s: %v", c.code, err)
		}
	}
	// A store that sends less, other ranges, or too much.
	for name, f := range map[string]http.HandlerFunc{
		"other range": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-3/1000000")
			w.Header().Set("ETag", `"e"`)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "abcd")
		},
		"bad range": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-3/x")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "abcd")
		},
		"short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "abcd")
		},
	} {
		answer = f
		file, err := filesys.Open(t.Context(), "s3://b/k")
		if err == nil {
			_, err = file.ReadAt(make([]byte, 10), 0)
			file.Close()
		}
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that knows no ranges sends everything.
	whole := pattern(tailSize + 100)
	answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		if r.Header.Get("If-Match") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-99/%d", len(whole)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(whole[:100])
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		_, _ = w.Write(whole)
	}
	if got, err := filesys.ReadFile(t.Context(), "s3://b/k"); err != nil || string(got) != string(whole) {
		t.Errorf("without ranges: %d bytes, %v", len(got), err)
	}
	// Keys that no URI names.
	answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `<ListBucketResult><Contents><Key>d//x</Key></Contents></ListBucketResult>`)
	}
	for _, err := range filesys.Walk(t.Context(), "s3://b/d") {
		if err == nil || !strings.Contains(err.Error(), "cannot be named") {
			t.Errorf("an empty path element: %v", err)
		}
	}
}

// A prefix is listed page by page: what is held does not grow with it.
func TestLongListing(t *testing.T) {
	pages := 20
	if os.Getenv("SPARK_GO_SLOW") != "" {
		pages = 1000
	}
	var asked atomic.Int64 // pages
	long := strings.Repeat("x", 500)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		asked.Add(1)
		page, _ := strconv.Atoi(r.URL.Query().Get("continuation-token"))
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>", page+1 < pages, page+1)
		for i := range 1000 {
			fmt.Fprintf(w, "<Contents><Key>d/%s%d</Key><Size>1</Size><ETag>e</ETag><LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>", long, page*1000+i)
		}
		_, _ = io.WriteString(w, "</ListBucketResult>")
	}))
	defer server.Close()
	use(t, strings.TrimPrefix(server.URL, "http://"), nil)
	var m runtime.MemStats
	heap := func() uint64 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	start := heap()
	n := 0
	for f, err := range filesys.Walk(t.Context(), "s3://long/d") {
		if err != nil || f.Path != "/d/"+long+strconv.Itoa(n) || f.URI != "s3://long"+f.Path {
			t.Fatalf("object %d: %+v, %v", n, f, err)
		}
		if n++; n%(pages*200) == 0 { // a page of such keys takes 2 MiB while it is parsed, all of them 20 MiB at least
			if now := heap(); now > start+6<<20 {
				t.Errorf("after %d objects, %d bytes more are held", n, now-start)
			}
		}
		if pages := int(asked.Load()); pages > n/1000+2 { // the first page is also asked for whether the prefix is one
			t.Fatalf("%d pages were asked for after %d objects", pages, n)
		}
	}
	if n != pages*1000 {
		t.Errorf("%d objects", n)
	}
}

func TestPartsHoldFiveTerabytes(t *testing.T) {
	for _, size := range []int64{minPartSize, defaultPartSize, 16 << 20, maxPartSize} {
		o := options{partSize: size}
		total := int64(0)
		for n := range maxParts {
			p := int64(o.part(n))
			if p < minPartSize || p > 5<<30 {
				t.Fatalf("part %d has %d bytes", n, p)
			}
			total += p
		}
		if total < 5<<40 {
			t.Errorf("parts of %d bytes make %d", size, total)
		}
	}
}

// The settings' table and this package must agree.
func TestDefaults(t *testing.T) {
	set := map[string]string{}
	for _, k := range conf.Keys {
		if strings.HasPrefix(k.Name, "spark.hadoop.fs.s3a.") {
			set[k.Name] = k.Default
		}
	}
	plain, err := readOptions("b")
	if err != nil {
		t.Fatal(err)
	}
	filesys.Configure(set)
	defer filesys.Configure(nil)
	if given, err := readOptions("b"); err != nil || given != plain {
		t.Errorf("defaults of the table: %+v, of the package: %+v, %v", given, plain, err)
	}
	for _, v := range []string{"1500", "1500ms", "1min", "2h"} {
		if d, err := parseTime(v); err != nil || d < 1500*time.Millisecond {
			t.Errorf("%s: %v, %v", v, d, err)
		}
	}
	for _, bad := range []struct{ key, value string }{
		{"attempts.maximum", "0"},
		{"connection.timeout", "soon"},
		{"multipart.size", "1m"},
		{"multipart.size", "x"},
		{"connection.ssl.enabled", "perhaps"},
		{"aws.credentials.provider", "com.example.Provider"},
		{"access.key", "alone"},
	} {
		filesys.Configure(map[string]string{"spark.hadoop.fs.s3a." + bad.key: bad.value})
		if _, err := readOptions("b"); err == nil || !strings.Contains(err.Error(), bad.key) {
			t.Errorf("%s=%s: %v", bad.key, bad.value, err)
		}
	}
	for in, want := range map[string]string{"host:9000": "https://host:9000", "http://h": "http://h"} {
		if got := withScheme(in, false); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if withScheme("h", true) != "http://h" || !isAmazon("https://s3.eu-west-1.amazonaws.com") || isAmazon("https://amazonaws.com.evil.example") {
		t.Error("endpoints")
	}
}

func FuzzToken(f *testing.F) {
	f.Add(token{Upload: "u", Tag: "t", Size: 3, Parts: []part{{1, "e", "c"}}}.String())
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parseToken(text)
		if err != nil {
			return
		}
		again, err := parseToken(tok.String())
		if err != nil || again.Upload == "" || len(again.Parts) != len(tok.Parts) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
