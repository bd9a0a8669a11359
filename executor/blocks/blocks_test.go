package blocks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// testFile is a file of random bytes; map output 1 of shuffle 7 is all of it, partition i being the i-th MiB.
type testFile struct {
	path string
	data []byte
}

func newTestFile(t testing.TB, size int) *testFile {
	f := &testFile{path: filepath.Join(t.TempDir(), "data"), data: make([]byte, size)}
	r := rand.NewChaCha8([32]byte{1})
	r.Read(f.data)
	if err := os.WriteFile(f.path, f.data, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

const partition = 1 << 20

func (f *testFile) open(id, mapID int, attempt int64, start, end int) (*os.File, int64, int64, error) {
	if id != 7 || mapID != 1 {
		return nil, 0, 0, fmt.Errorf("no map output %d of shuffle %d: %w", mapID, id, fs.ErrNotExist)
	}
	if start < 0 || end < start {
		return nil, 0, 0, errors.New("partitions out of order")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, 0, 0, err
	}
	from, to := min(start*partition, len(f.data)), min(end*partition, len(f.data))
	if attempt == 99 {
		to += 100 // an index that promises more than there is
	}
	return file, int64(from), int64(to - from), nil
}

// named serves blocks from memory, and one from a file.
type named map[string][]byte

func (n named) Open(name string) (io.ReadCloser, int64, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		f, err := os.Open(path)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		return f, info.Size(), err
	}
	b, ok := n[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	if name == "short" {
		return io.NopCloser(bytes.NewReader(b)), int64(len(b)) + 1, nil
	}
	if name == "broken" {
		return nil, 0, errors.New("the disk is broken")
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func serve(t testing.TB, addr string, secret protocol.Secret, c ServerConfig) *Server {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	s, err := Serve(addr, secret, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func checkLeaks(t *testing.T) {
	t.Helper()
	before, files := runtime.NumGoroutine(), openFiles()
	t.Cleanup(func() {
		for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if runtime.NumGoroutine() <= before && openFiles() <= files {
				return
			}
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines (%d before) and %d files (%d before) are left:\n%s", runtime.NumGoroutine(), before, openFiles(), files, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

func openFiles() int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(fds)
}

func TestMain(m *testing.M) {
	// The first use of the network makes a poller with files of its own.
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	os.Exit(m.Run())
}

func output(addr string) shuffle.Output {
	return shuffle.Output{Map: 1, Attempt: 3, Location: shuffle.Location{Addr: addr}}
}

func addresses(t testing.TB) []string {
	dir := t.TempDir()
	return []string{"unix:" + filepath.Join(dir, "s"), "tcp:127.0.0.1:0", "tls+unix:" + filepath.Join(dir, "t"), "tls+tcp:127.0.0.1:0"}
}

func TestFetch(t *testing.T) {
	checkLeaks(t)
	f := newTestFile(t, 5*partition+12345)
	secret := protocol.NewSecret()
	for _, addr := range addresses(t) {
		s := serve(t, addr, secret, ServerConfig{Files: f.open, Provider: named{"small": []byte("abc"), "empty": nil, "large": f.data}})
		c := NewClient(secret, ClientConfig{})
		for _, r := range [][2]int{{0, 1}, {0, 0}, {0, 6}, {5, 6}, {2, 4}, {6, 9}} {
			rc, err := c.Fetch(t.Context(), 7, output(s.Addr()), r[0], r[1])
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			if err != nil {
				t.Fatal(err)
			}
			rc.Close()
			if want := f.data[min(r[0]*partition, len(f.data)):min(r[1]*partition, len(f.data))]; !bytes.Equal(got, want) {
				t.Errorf("%s partitions %v: %d bytes, not the %d that were stored", addr, r, len(got), len(want))
			}
		}
		for name, want := range map[string][]byte{"small": []byte("abc"), "empty": nil, "large": f.data, "file:" + f.path: f.data} {
			rc, n, err := c.Open(t.Context(), s.Addr(), name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			if err != nil || !bytes.Equal(got, want) || n != int64(len(want)) {
				t.Errorf("%s: %d bytes of %d, %v", name, len(got), n, err)
			}
			rc.Close()
		}
		if n := len(c.idle[s.Addr()]); n != 1 {
			t.Errorf("%d connections were made where one would do", n)
		}
		c.Close()
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	checkLeaks(t)
	f := newTestFile(t, 3*partition)
	secret := protocol.NewSecret()
	s := serve(t, addresses(t)[0], secret, ServerConfig{Files: f.open, Provider: named{"short": make([]byte, 1<<20), "broken": nil}})
	c := NewClient(secret, ClientConfig{RetryWait: time.Millisecond})
	defer c.Close()
	out := output(s.Addr())

	if _, err := c.Fetch(t.Context(), 8, out, 0, 1); !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a map output that is not there: %v", err)
	}
	if _, _, err := c.Open(t.Context(), s.Addr(), "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a block that is not there: %v", err)
	}
	var remote *RemoteError
	if _, err := c.Fetch(t.Context(), 7, out, 2, 1); !errors.As(err, &remote) || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("an error of the server: %v", err)
	}
	if _, _, err := c.Open(t.Context(), s.Addr(), "broken"); !errors.As(err, &remote) {
		t.Errorf("an error of the provider: %v", err)
	}
	if _, _, err := c.Open(t.Context(), s.Addr(), strings.Repeat("x", maxRequest)); err == nil || errors.As(err, &remote) {
		t.Errorf("a name that is too long: %v", err)
	}
	// A file or block that ends early must not be taken for a whole one, neither small nor large.
	out.Attempt = 99
	for _, start := range []int{0, 3} {
		rc, err := c.Fetch(t.Context(), 7, out, start, start+3)
		if err == nil {
			_, err = io.ReadAll(rc)
			rc.Close()
		}
		if err == nil {
			t.Errorf("a cut file from partition %d on: no error", start)
		}
	}
	rc, _, err := c.Open(t.Context(), s.Addr(), "short")
	if err == nil {
		_, err = io.ReadAll(rc)
		rc.Close()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut block: %v", err)
	}
	other := NewClient(protocol.NewSecret(), ClientConfig{RetryWait: time.Minute})
	defer other.Close()
	if _, _, err := other.Open(t.Context(), s.Addr(), "short"); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("another application's client: %v", err)
	}
}

func TestClosedClientAndServer(t *testing.T) {
	checkLeaks(t)
	secret := protocol.NewSecret()
	addr := addresses(t)[0]
	s := serve(t, addr, secret, ServerConfig{Provider: named{"x": []byte("abc")}})
	c := NewClient(secret, ClientConfig{RetryWait: time.Millisecond})
	read := func() error {
		rc, _, err := c.Open(t.Context(), addr, "x")
		if err != nil {
			return err
		}
		defer rc.Close()
		_, err = io.ReadAll(rc)
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	// A server that came back: the kept connection is dead, which is no error.
	s.Close()
	s = serve(t, addr, secret, ServerConfig{Provider: named{"x": []byte("abc")}})
	if err := read(); err != nil {
		t.Errorf("after a restart of the server: %v", err)
	}
	s.Close()
	start := time.Now()
	if err := read(); err == nil || time.Since(start) < 7*time.Millisecond {
		t.Errorf("without a server, after %v: %v", time.Since(start), err)
	}
	c.Close()
	if err := read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed client: %v", err)
	}
}

// flaky accepts connections of one application and ends the first few after the request.
// A host says whether what it has matches the checksums, and where it does not.
func TestCheck(t *testing.T) {
	checkLeaks(t)
	block := make([]byte, 16, 16+100_000) // the header of shuffle's blocks
	block = block[:cap(block)]
	for i, v := range [3]uint32{100_000, 100_000, 1} { // stored and encoded bytes, rows
		binary.LittleEndian.PutUint32(block[4+4*i:], v)
	}
	binary.LittleEndian.PutUint32(block, crc32.Checksum(block[4:], crc32.MakeTable(crc32.Castagnoli)))
	path := filepath.Join(t.TempDir(), "data")
	content := bytes.Repeat(block, 30)
	files := func(shuffle, _ int, _ int64, start, end int) (*os.File, int64, int64, error) {
		if shuffle != 7 {
			return nil, 0, 0, fs.ErrNotExist
		}
		f, err := os.Open(path)
		return f, int64(start * 10 * len(block)), int64((end - start) * 10 * len(block)), err
	}
	secret := protocol.NewSecret()
	for _, addr := range addresses(t) {
		s := serve(t, addr, secret, ServerConfig{Files: files})
		c := NewClient(secret, ClientConfig{RetryWait: time.Millisecond})
		check := func(shuffle, start, end int) (string, error) {
			return c.Check(t.Context(), shuffle, output(s.Addr()), start, end)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if damage, err := check(7, 0, 3); damage != "" || err != nil {
			t.Errorf("whole: %q, %v", damage, err)
		}
		if _, err := check(8, 0, 3); !errors.Is(err, ErrNotFound) {
			t.Errorf("not there: %v", err)
		}
		bad := bytes.Clone(content)
		bad[15*len(block)+5000] ^= 1
		if err := os.WriteFile(path, bad[:29*len(block)], 0o600); err != nil {
			t.Fatal(err)
		}
		for p, want := range []string{"", "corrupt", "corrupt"} { // flipped, and cut
			if damage, err := check(7, p, p+1); err != nil || (damage == "") != (want == "") || !strings.Contains(damage, want) || want != "" && !strings.Contains(damage, path) {
				t.Errorf("partition %d: %q, %v", p, damage, err)
			}
		}
		c.Close()
		s.Close()
	}
}

func TestRetries(t *testing.T) {
	checkLeaks(t)
	secret := protocol.NewSecret()
	addr := addresses(t)[0]
	ln, err := protocol.Listen(addr, secret, protocol.Blocks, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var tries atomic.Int32
	go ln.Serve(func(nc net.Conn) {
		defer nc.Close()
		if _, err := readRequest(nc, make([]byte, maxRequest)); err != nil {
			return
		}
		if tries.Add(1) <= 3 {
			return
		}
		nc.Write(append(appendAnswer(nil, found, 2), "ok"...))
	})
	c := NewClient(secret, ClientConfig{RetryWait: time.Millisecond})
	defer c.Close()
	rc, _, err := c.Open(t.Context(), addr, "x")
	if err != nil {
		t.Fatalf("after %d tries: %v", tries.Load(), err)
	}
	rc.Close()
	tries.Store(-10)
	if _, _, err := c.Open(t.Context(), addr, "x"); err == nil || tries.Load() != -6 {
		t.Errorf("%d tries, error %v", tries.Load()+10, err)
	}
}

func TestCancel(t *testing.T) {
	checkLeaks(t)
	secret := protocol.NewSecret()
	addr := addresses(t)[0]
	ln, err := protocol.Listen(addr, secret, protocol.Blocks, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go ln.Serve(func(nc net.Conn) { // answers the beginning of a block, and no more
		defer nc.Close()
		if q, err := readRequest(nc, make([]byte, maxRequest)); err == nil {
			if q.name == "begun" {
				nc.Write(append(appendAnswer(nil, found, 100), "ok"...))
			}
			nc.Read(make([]byte, 1))
		}
	})
	c := NewClient(secret, ClientConfig{})
	defer c.Close()
	for _, name := range []string{"silent", "begun"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		start := time.Now()
		rc, _, err := c.Open(ctx, addr, name)
		if err == nil {
			_, err = io.ReadAll(rc)
			rc.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
			t.Errorf("%s: after %v: %v", name, time.Since(start), err)
		}
		cancel()
	}
	slow := NewClient(secret, ClientConfig{Timeout: 20 * time.Millisecond, Retries: -1})
	defer slow.Close()
	if _, _, err := slow.Open(t.Context(), addr, "silent"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	checkLeaks(t)
	f := newTestFile(t, 4*partition)
	secret := protocol.NewSecret()
	s := serve(t, addresses(t)[0], secret, ServerConfig{Files: f.open})
	c := NewClient(secret, ClientConfig{MaxIdle: 2})
	defer c.Close()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for k := range 10 {
				p := (i + k) % 4
				rc, err := c.Fetch(t.Context(), 7, output(s.Addr()), p, p+1)
				if err != nil {
					t.Error(err)
					return
				}
				if k%5 == 4 { // gives up half way
					io.CopyN(io.Discard, rc, 1000)
				} else if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, f.data[p*partition:(p+1)*partition]) {
					t.Errorf("partition %d: %d bytes, %v", p, len(got), err)
				}
				rc.Close()
			}
		})
	}
	wg.Wait()
	if n := len(c.idle[s.Addr()]); n > 2 {
		t.Errorf("%d idle connections are kept", n)
	}
}

func FuzzRequest(f *testing.F) {
	for _, q := range []request{{op: askName, name: "broadcast-1-0"}, {op: askMap, shuffle: 1, mapN: 2, attempt: 3, start: 4, end: 5}, {op: askMap, shuffle: -1}} {
		b, err := q.append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRequest(b)
		if err != nil || len(b) > maxRequest {
			return
		}
		again, err := q.append(nil)
		if err != nil {
			t.Fatalf("%v: %v", &q, err)
		}
		if back, err := parseRequest(again[4:]); err != nil || back != q {
			t.Fatalf("%v came back as %v: %v", &q, &back, err)
		}
	})
}

// BenchmarkFetch reads blocks from a cached file, through both transports.
func BenchmarkFetch(b *testing.B) {
	f := newTestFile(b, 32*partition)
	secret := protocol.NewSecret()
	for _, addr := range addresses(b) {
		s := serve(b, addr, secret, ServerConfig{Files: f.open, Provider: named{"small": make([]byte, 100)}})
		c := NewClient(secret, ClientConfig{})
		network, _, _ := strings.Cut(addr, ":")
		buf := make([]byte, 256<<10)
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%dMiB", network, n), func(b *testing.B) {
				b.SetBytes(int64(n) * partition)
				for range b.N {
					rc, err := c.Fetch(b.Context(), 7, output(s.Addr()), 0, n)
					if err != nil {
						b.Fatal(err)
					}
					for {
						if _, err := rc.Read(buf); err == io.EOF {
							break
						} else if err != nil {
							b.Fatal(err)
						}
					}
					rc.Close()
				}
			})
		}
		b.Run(network+"/100B", func(b *testing.B) {
			for range b.N {
				rc, _, err := c.Open(b.Context(), s.Addr(), "small")
				if err != nil {
					b.Fatal(err)
				}
				rc.Read(buf)
				rc.Close()
			}
		})
		c.Close()
	}
}
