package s3fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spark-go/spark-go/io/filesys"
)

const (
	testAccess = "spark-go-access"
	testSecret = "spark-go-secret-key"
)

// gateway is a versitygw process over a directory.
type gateway struct {
	t    testing.TB
	bin  string
	dir  string
	addr string
	cmd  *exec.Cmd
}

// gatewayBinary finds versitygw, or skips the test.
func gatewayBinary(t testing.TB) string {
	bin := os.Getenv("SPARK_GO_VERSITYGW")
	if bin == "" {
		cache, _ := os.UserCacheDir()
		bin = filepath.Join(cache, "spark-go-ci", "bin", "versitygw")
	}
	if _, err := os.Stat(bin); err != nil {
		t.Skipf("no S3 server: %v: install it with GOBIN=%s go install github.com/versity/versitygw/cmd/versitygw@v1.8.0", err, filepath.Dir(bin))
	}
	return bin
}

func startGateway(t testing.TB) *gateway {
	g := &gateway{t: t, bin: gatewayBinary(t), dir: t.TempDir(), addr: freeAddr(t)}
	g.start()
	t.Cleanup(g.stop)
	return g
}

func freeAddr(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (g *gateway) start() {
	g.cmd = exec.Command(g.bin, "-p", g.addr, "--quiet", "posix", g.dir)
	g.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+testAccess, "ROOT_SECRET_KEY="+testSecret)
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + g.addr)
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

func (g *gateway) stop() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.cmd = nil
	}
}

// use makes s3:// lead to an address, for the duration of the test.
func use(t testing.TB, addr string, more map[string]string) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	set := map[string]string{
		"spark.hadoop.fs.s3a.endpoint": "http://" + addr, "spark.hadoop.fs.s3a.access.key": testAccess, "spark.hadoop.fs.s3a.secret.key": testSecret,
	}
	for k, v := range more {
		set["spark.hadoop.fs.s3a."+k] = v
	}
	filesys.Configure(set)
	t.Cleanup(func() { filesys.Configure(nil) })
}

func makeBucket(t testing.TB, name string) *bucket {
	fsys, _, err := filesys.Get(t.Context(), "s3://"+name+"/")
	if err != nil {
		t.Fatal(err)
	}
	b := fsys.(*bucket)
	if _, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		t.Fatal(err)
	}
	return b
}

// uploads counts the uncompleted uploads of a bucket.
func uploads(t testing.TB, b *bucket) int {
	p, err := b.Pending(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	return len(p)
}

// proxy stands between client and server, and does to requests what it is told.
type proxy struct {
	target string
	server *http.Server
	addr   string

	mu       sync.Mutex
	requests int
	bytes    int64
	ranges   []string // that were asked for
	busy     int      // requests being answered
	most     int      // of them at a time
	conns    map[net.Conn]bool
	fault    func(n int, r *http.Request) fault
}

// fault is what happens to one request.
type fault struct {
	status int           // answered in the server's place
	delay  time.Duration // before anything
	cut    int64         // the connection ends after so many bytes of the answer
	stall  bool          // or nothing more comes
	lose   bool          // the server's answer is dropped, though it did what was asked
}

func startProxy(t testing.TB, target string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, addr: ln.Addr().String(), conns: map[net.Conn]bool{}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, state http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if state == http.StateClosed {
			delete(p.conns, c)
		} else {
			p.conns[c] = true
		}
	}}
	go func() { _ = p.server.Serve(ln) }()
	t.Cleanup(func() { _ = p.server.Close() })
	return p
}

func (p *proxy) set(f func(n int, r *http.Request) fault) {
	p.mu.Lock()
	p.fault, p.requests, p.bytes, p.ranges, p.most = f, 0, 0, nil, 0
	p.mu.Unlock()
}

func (p *proxy) count() (requests int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests, p.bytes
}

// connections counts those that are open, and tells the ranges that were asked for and how many at a time.
func (p *proxy) connections() (open int, ranges []string, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns), slices.Clone(p.ranges), p.most
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests++
	p.ranges = append(p.ranges, strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
	p.busy++
	p.most = max(p.most, p.busy)
	var f fault
	if p.fault != nil {
		f = p.fault(p.requests, r)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.busy--
		p.mu.Unlock()
	}()
	select {
	case <-time.After(f.delay):
	case <-r.Context().Done():
		return
	}
	if f.status != 0 {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.status)
		code := map[int]string{500: "InternalError", 503: "SlowDown"}[f.status]
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made up</Message></Error>", code)
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = "http", p.target
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	if f.lose {
		_, _ = io.Copy(io.Discard, resp.Body)
		panic(http.ErrAbortHandler)
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	var body io.Reader = resp.Body
	if f.cut > 0 {
		body = io.LimitReader(body, f.cut)
	}
	n, _ := io.Copy(w, body)
	p.mu.Lock()
	p.bytes += n
	p.mu.Unlock()
	if f.stall {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	if f.cut > 0 {
		panic(http.ErrAbortHandler)
	}
}

func write(ctx context.Context, uri string, content []byte) error {
	w, err := filesys.Create(ctx, uri)
	if err != nil {
		return err
	}
	for len(content) > 0 { // in pieces that divide nothing
		n := min(len(content), 1_000_003)
		if _, err := w.Write(content[:n]); err != nil {
			return errors.Join(err, w.Abort())
		}
		content = content[n:]
	}
	return w.Close()
}

// pattern is content in which no two places look alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint64(n)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

func names(infos []filesys.Info) string {
	s := make([]string, len(infos))
	for i, f := range infos {
		s[i] = f.Path
		if f.IsDir {
			s[i] += "/"
		}
	}
	return strings.Join(s, " ")
}
