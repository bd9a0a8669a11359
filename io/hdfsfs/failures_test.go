package hdfsfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/hdfsfs"
	"github.com/spark-go/spark-go/io/textio"
)

var datanodes = []string{"datanode1", "datanode2", "datanode3"}

// revive brings all servers back at the test's end.
func revive(t testing.TB, resume ...string) {
	t.Cleanup(func() {
		for _, name := range resume {
			control(t, "resume", name)
		}
		control(t, "start", "namenode", "datanode1", "datanode2", "datanode3")
	})
}

// serving names the DataNode that listens at an address.
func serving(t testing.TB, address string) string {
	t.Helper()
	for _, name := range datanodes {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("SPARK_GO_TEST_HADOOP_CONF")), "port", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, port, _ := net.SplitHostPort(address); port == strings.TrimSpace(string(b)) {
			return name
		}
	}
	t.Fatalf("no DataNode listens at %q", address)
	return ""
}

// readAll reads a file in pieces and calls midway in the middle.
func readAll(t testing.TB, f *hdfsfs.FS, p string, midway func()) ([]byte, time.Duration) {
	t.Helper()
	r, err := f.Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var longest time.Duration
	b := make([]byte, r.Size())
	const piece = 1 << 20
	for off := 0; off < len(b); off += piece {
		if off/piece == 20 {
			midway()
		}
		began := time.Now()
		part := b[off:min(off+piece, len(b))]
		if n, err := r.ReadAt(part, int64(off)); n < len(part) {
			t.Fatalf("read at %d: %v", off, err)
		}
		longest = max(longest, time.Since(began))
	}
	return b, longest
}

func TestDataNodeKilledWhileReading(t *testing.T) {
	f, dir := server(t)
	want := content(3, 100<<20)
	write(t, f, dir+"/file", want)
	revive(t)
	connected := f.WatchDataNodes()
	got, longest := readAll(t, f, dir+"/file", func() {
		name := serving(t, connected())
		t.Logf("killing %s", name)
		control(t, "kill", name)
	})
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes")
	}
	t.Logf("the longest read of 1 MiB took %v", longest)
}

func TestDataNodeStoppedWhileReading(t *testing.T) {
	f, dir := server(t)
	want := content(4, 100<<20)
	write(t, f, dir+"/file", want)
	var name string
	connected := f.WatchDataNodes()
	got, longest := readAll(t, f, dir+"/file", func() {
		name = serving(t, connected())
		t.Logf("stopping %s", name)
		control(t, "pause", name)
		revive(t, name)
	})
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes")
	}
	t.Logf("the longest read of 1 MiB took %v", longest)
	if longest > 10*time.Second {
		t.Errorf("a stopped DataNode cost %v, want about 3 s", longest)
	}
}

func testWriteThrough(t *testing.T, fault func(name string)) {
	f, dir := server(t)
	want := content(5, 100<<20)
	connected := f.WatchDataNodes()
	w, err := f.Create(t.Context(), dir+"/file")
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(want); off += 1 << 20 {
		if _, err := w.Write(want[off:min(off+1<<20, len(want))]); err != nil {
			t.Fatal(err)
		}
		if off == 30<<20 {
			for connected() == "" {
				time.Sleep(time.Millisecond)
			}
			fault(serving(t, connected()))
		}
	}
	began := time.Now()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("Close took %v", time.Since(began))
	if !bytes.Equal(read(t, f, dir+"/file"), want) {
		t.Fatal("other bytes")
	}
	list, err := f.List(t.Context(), dir)
	if err != nil || len(list) != 1 {
		t.Errorf("left in the directory: %v, %v", list, err)
	}
}

func TestDataNodeKilledWhileWriting(t *testing.T) {
	testWriteThrough(t, func(name string) {
		revive(t)
		t.Logf("killing %s", name)
		control(t, "kill", name)
	})
}

func TestDataNodeStoppedWhileWriting(t *testing.T) {
	testWriteThrough(t, func(name string) {
		t.Logf("stopping %s", name)
		control(t, "pause", name)
		revive(t, name)
	})
}

func TestNameNodeRestarted(t *testing.T) {
	f, dir := server(t)
	want := content(6, 60<<20)
	write(t, f, dir+"/file", want)
	revive(t)
	control(t, "kill", "namenode")
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := f.Stat(context.Background(), dir+"/file"); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() { write(t, f, dir+"/other", want) })
	time.Sleep(2 * time.Second)
	control(t, "start", "namenode")
	group.Wait()
	// In the middle of a read and of a write.
	w, err := f.Create(t.Context(), dir+"/third")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(want[:30<<20]); err != nil {
		t.Fatal(err)
	}
	got, _ := readAll(t, f, dir+"/file", func() {
		control(t, "kill", "namenode")
		time.Sleep(2 * time.Second) // until the client has noticed
	})
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes")
	}
	control(t, "start", "namenode")
	if _, err := w.Write(want[30<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/other", "/third"} {
		if !bytes.Equal(read(t, f, dir+name), want) {
			t.Fatalf("%s: other bytes", name)
		}
	}
}

// damage changes a byte of up to n replicas of a file of one block, on the DataNodes' disks. The servers send it as it is.
func damage(t *testing.T, want []byte, n int) {
	t.Helper()
	root := filepath.Dir(os.Getenv("SPARK_GO_TEST_HADOOP_CONF"))
	for _, data := range []string{"data1", "data2", "data3"} {
		err := filepath.Walk(filepath.Join(root, data), func(p string, i os.FileInfo, err error) error {
			if err != nil || n == 0 || i.IsDir() || strings.HasSuffix(p, ".meta") || i.Size() != int64(len(want)) {
				return nil // blocks move while the servers work
			}
			b, err := os.ReadFile(p)
			if err != nil || !bytes.Equal(b, want) {
				return err
			}
			file, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer file.Close()
			n--
			_, err = file.WriteAt([]byte{want[len(want)/2] ^ 1}, int64(len(want)/2))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != 0 {
		t.Fatalf("%d replicas were not found", n)
	}
}

func TestDamagedReplica(t *testing.T) {
	f, dir := server(t)
	one, both := content(8, 10<<20), content(9, 9<<20)
	write(t, f, dir+"/one", one)
	write(t, f, dir+"/both", both)
	damage(t, one, 1)
	damage(t, both, 2)
	if !bytes.Equal(read(t, f, dir+"/one"), one) {
		t.Error("a damaged replica was read")
	}
	r, err := f.Open(t.Context(), dir+"/both")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, n := range []int{100, 1 << 20} { // small reads take another way
		if n, err := r.ReadAt(make([]byte, n), int64(len(both)/2-50)); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%d bytes of a file with two damaged replicas: %v", n, err)
		}
	}
}

func TestCancelWhileStopped(t *testing.T) {
	f, dir := server(t)
	write(t, f, dir+"/file", content(9, 1<<20))
	names := append([]string{"namenode"}, datanodes...)
	for _, name := range names {
		control(t, "pause", name)
	}
	revive(t, names...)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := f.Stat(ctx, dir+"/file"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stat: %v", err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("the end of the context showed after %v", d)
	}
}

func TestWrongAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ authority, want string }{
		{"no-such-host.invalid:8020", "no-such-host.invalid"},
		{"127.0.0.1:1", "connection refused"},
	} {
		f, err := hdfsfs.New(c.authority, hdfsfs.Options{User: "someone"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = f.Stat(t.Context(), "/x")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "hdfs://"+c.authority+"/x") || !strings.Contains(err.Error(), "check") {
			t.Errorf("%s: %v", c.authority, err)
		}
		if d := time.Since(began); d > 8*time.Second {
			t.Errorf("%s: the error came after %v", c.authority, d)
		}
		t.Logf("after %v: %v", time.Since(began), err)
	}
}

// A listener that is no NameNode.
func TestNotANameNode(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	f, err := hdfsfs.New(l.Addr().String(), hdfsfs.Options{User: "someone"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = f.Stat(t.Context(), "/x")
	if err == nil || time.Since(began) > 8*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	t.Log(err)
}

func TestManySmallFiles(t *testing.T) {
	if os.Getenv("SPARK_GO_SLOW") == "" {
		t.Skip("10,000 files: set SPARK_GO_SLOW=1")
	}
	f, dir := server(t)
	const files, writers = 10_000, 16
	began := time.Now()
	var group sync.WaitGroup
	for g := range writers {
		group.Go(func() {
			for i := g; i < files; i += writers {
				write(t, f, fmt.Sprintf("%s/d%02d/f%05d", dir, i%20, i), []byte(fmt.Sprintln(i)))
			}
		})
	}
	group.Wait()
	t.Logf("written after %v", time.Since(began))
	began = time.Now()
	all := uri(t, dir)
	infos, err := filesys.Expand(t.Context(), all)
	if err != nil || len(infos) != files {
		t.Fatalf("%d files, %v", len(infos), err)
	}
	t.Logf("listed after %v", time.Since(began))
	began = time.Now()
	for g := range writers {
		group.Go(func() {
			for i := g; i < files; i += writers {
				b, err := filesys.ReadFile(t.Context(), infos[i].URI)
				var n int
				if _, e := fmt.Sscan(string(b), &n); err != nil || e != nil || !strings.HasSuffix(infos[i].Path, fmt.Sprintf("f%05d", n)) {
					t.Errorf("%s: %q, %v, %v", infos[i].Path, b, err, e)
					return
				}
			}
		})
	}
	group.Wait()
	t.Logf("read after %v", time.Since(began))
	began = time.Now()
	lines := textio.Lines(session(t), all)
	if n := lines.NumPartitions(); n < 32 || n > 400 {
		t.Errorf("packed into %d tasks", n)
	}
	if n, err := lines.Count(t.Context()); err != nil || n != files {
		t.Errorf("%d lines, %v", n, err)
	}
	t.Logf("counted by a job of %d tasks after %v", lines.NumPartitions(), time.Since(began))
}

func TestLargeFile(t *testing.T) {
	if os.Getenv("SPARK_GO_SLOW") == "" {
		t.Skip("2 GiB: set SPARK_GO_SLOW=1")
	}
	f, dir := server(t)
	const size = 2<<30 + 12345
	piece := content(1, 8<<20)
	w, err := f.Create(t.Context(), dir+"/file")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for off := int64(0); off < size; off += int64(len(piece)) {
		if _, err := w.Write(piece[:min(int64(len(piece)), size-off)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("written at %.0f MB/s", size/1e6/time.Since(began).Seconds())
	began = time.Now()
	r, err := f.Open(t.Context(), dir+"/file")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != size {
		t.Fatalf("%d bytes", r.Size())
	}
	b := make([]byte, len(piece))
	for off := int64(0); off < size; off += int64(len(piece)) {
		n := min(int64(len(piece)), size-off)
		if got, err := r.ReadAt(b[:n], off); int64(got) < n {
			t.Fatalf("read at %d: %v", off, err)
		}
		if !bytes.Equal(b[:n], piece[:n]) {
			t.Fatalf("other bytes at %d", off)
		}
	}
	t.Logf("read at %.0f MB/s", size/1e6/time.Since(began).Seconds())
}

// What the client leaves behind after failed uploads and reads would add up in a long job.
func TestNothingStaysRunning(t *testing.T) {
	f, dir := server(t)
	before := runtime.NumGoroutine()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := f.Create(ctx, dir+"/file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(1, 5<<20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		cancel()
		_ = w.Close()
		if w, err = f.Create(t.Context(), dir+"/file"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(1, 5<<20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		_ = w.Abort()
		write(t, f, dir+"/file", content(1, 5<<20))
		read(t, f, dir+"/file")
	}
	f.Close()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
}

// The first NameNode of a nameservice is dead.
func TestSecondNameNode(t *testing.T) {
	_, dir := server(t)
	conf := t.TempDir()
	address := strings.TrimPrefix(os.Getenv("SPARK_GO_TEST_HDFS"), "hdfs://")
	var b strings.Builder
	for _, p := range [][2]string{
		{"fs.defaultFS", "hdfs://pair"},
		{"dfs.nameservices", "pair"},
		{"dfs.ha.namenodes.pair", "one,two"},
		{"dfs.namenode.rpc-address.pair.one", "127.0.0.1:1"},
		{"dfs.namenode.rpc-address.pair.two", address},
	} {
		fmt.Fprintf(&b, "<property><name>%s</name><value>%s</value></property>", p[0], p[1])
	}
	if err := os.WriteFile(filepath.Join(conf, "hdfs-site.xml"), []byte("<configuration>"+b.String()+"</configuration>"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := hdfsfs.New("pair", hdfsfs.Options{ConfDir: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	began := time.Now()
	want := content(1, 3<<20)
	write(t, f, dir+"/file", want)
	if !bytes.Equal(read(t, f, dir+"/file"), want) {
		t.Error("other bytes")
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}
