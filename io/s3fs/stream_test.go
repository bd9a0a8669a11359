package s3fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

const streamed = 24<<20 + 7

// streamServer has one object, s3://streams/f, behind a proxy.
func streamServer(t *testing.T, more map[string]string) (b *bucket, p *proxy, content []byte) {
	g := startGateway(t)
	p = startProxy(t, g.addr)
	use(t, p.addr, more)
	b = makeBucket(t, "streams")
	b.opts.fastEnough = 0 // whatever else the machine does
	content = pattern(streamed)
	if err := write(t.Context(), "s3://streams/f", content); err != nil {
		t.Fatal(err)
	}
	p.set(nil)
	return b, p, content
}

func openStreamed(t *testing.T, ctx context.Context) *file {
	f, err := filesys.Open(ctx, "s3://streams/f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.(*file)
}

// expect reads content[from:to] in reads of some bytes.
func expect(t *testing.T, f filesys.File, content []byte, from, to, size int) {
	t.Helper()
	buf := make([]byte, size)
	for off := from; off < to; off += size {
		n, err := f.ReadAt(buf[:min(size, to-off)], int64(off))
		if err != nil || !bytes.Equal(buf[:n], content[off:off+n]) {
			t.Fatalf("%d bytes at %d: %d, %v", size, off, n, err)
		}
	}
}

func TestSequenceIsOneRequest(t *testing.T) {
	_, p, content := streamServer(t, nil)
	for name, c := range map[string]struct {
		from, to, size int
		ranges         string // besides that of the tail
	}{
		"from the beginning":      {0, streamed, 1 << 20, "0-"},
		"in small reads":          {0, streamed, 10_000, "0-"},
		"at once":                 {0, streamed, streamed, "0-"},
		"from the middle, small":  {5 << 20, streamed, 64 << 10, "5242880-5505023 5505024-"},
		"from the middle, large":  {5 << 20, streamed, 6 << 20, "5242880-11534335 11534336-"},
		"a look at the beginning": {0, 6, 6, "0-262143"},
		"one large read":          {1 << 20, 7 << 20, 6 << 20, "1048576-7340031"},
	} {
		p.set(nil)
		f := openStreamed(t, t.Context())
		expect(t, f, content, c.from, c.to, c.size)
		f.Close()
		if _, ranges, _ := p.connections(); strings.Join(ranges[1:], " ") != c.ranges {
			t.Errorf("%s: asked for %v, want %s", name, ranges[1:], c.ranges)
		}
	}
	// Reads with gaps in between, of columns that lie one after the other, go on too; those far apart do not.
	p.set(nil)
	f := openStreamed(t, t.Context())
	for _, off := range []int{0, 1<<20 + 50_000, 2<<20 + 100_000, 10 << 20} {
		expect(t, f, content, off, off+1<<20, 1<<20)
	}
	if _, ranges, _ := p.connections(); strings.Join(ranges[1:], " ") != "0- 10485760-11534335" {
		t.Errorf("with gaps: asked for %v", ranges[1:])
	}
	// What was read whole leaves its connection to the next.
	if open, _, _ := p.connections(); open > 3 {
		t.Errorf("%d connections are open", open)
	}
}

func TestStreamGoesOnAfterFaults(t *testing.T) {
	_, p, content := streamServer(t, map[string]string{"connection.timeout": "300ms"})
	for name, f := range map[string]fault{"cut": {cut: 1_000_003}, "stalls": {cut: 1_000_003, stall: true}, "500": {status: 500}} {
		p.set(func(n int, _ *http.Request) fault {
			if n == 2 || n == 3 {
				return f
			}
			return fault{}
		})
		o := openStreamed(t, t.Context())
		expect(t, o, content, 0, streamed, 1<<20)
		want := "0- 1000003- 2000006-"
		if f.status != 0 {
			want = "0- 0- 0-"
		}
		if _, ranges, _ := p.connections(); strings.Join(ranges[1:], " ") != want {
			t.Errorf("%s: asked for %v, want %s", name, ranges[1:], want)
		}
	}
}

func TestStreamOfAChangedFile(t *testing.T) {
	_, p, content := streamServer(t, nil)
	p.set(func(n int, _ *http.Request) fault {
		if n == 2 {
			return fault{cut: 5 << 20}
		}
		return fault{}
	})
	f := openStreamed(t, t.Context())
	expect(t, f, content, 0, 4<<20, 1<<20)
	other := pattern(streamed - 1)
	if err := write(t.Context(), "s3://streams/f", append(other, 0)); err != nil {
		t.Fatal(err)
	}
	expect(t, f, content, 4<<20, 5<<20, 1<<20) // what it was
	if _, err := f.ReadAt(make([]byte, 1<<20), 5<<20); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("read on after the change: %v", err)
	}
}

func TestStreamsEnd(t *testing.T) {
	_, p, content := streamServer(t, nil)
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	idle := func() bool { open, _, _ := p.connections(); return open <= 1 }
	before := runtime.NumGoroutine()
	for range 5 { // closed in the middle
		f := openStreamed(t, t.Context())
		expect(t, f, content, 0, 3<<20, 1<<20)
		f.Close()
		if _, err := f.ReadAt(make([]byte, 1<<20), 3<<20); !errors.Is(err, context.Canceled) {
			t.Errorf("read after close: %v", err)
		}
	}
	eventually("connections of closed files stay open", idle)
	// Several places of one file: no more than maxStreams are open.
	f := openStreamed(t, t.Context())
	for i := range 6 {
		expect(t, f, content, i*4<<20, i*4<<20+600<<10, 100<<10)
	}
	f.mu.Lock()
	if n := len(f.streams); n != maxStreams || f.streams[n-1].pos != 20<<20+600<<10 {
		t.Errorf("%d streams are kept, or not the last", n)
	}
	f.mu.Unlock()
	eventually("connections of streams that were given up stay open", func() bool { open, _, _ := p.connections(); return open <= maxStreams+1 })
	f.Close()
	eventually("connections of a file with several streams stay open", idle)
	// Cancelled while it waits.
	p.set(func(n int, _ *http.Request) fault { return fault{cut: 100_000, stall: n > 1} })
	ctx, cancel := context.WithCancel(t.Context())
	f = openStreamed(t, ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := f.ReadAt(make([]byte, 1<<20), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("read of a stalled answer: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("cancelling took %v", took)
	}
	f.Close()
	eventually("connections of a cancelled file stay open", idle)
	eventually(fmt.Sprintf("goroutines are left: there were %d", before), func() bool { return runtime.NumGoroutine() <= before+8 })
}

// Where a connection is slow, several are used.
func TestSlowConnections(t *testing.T) {
	b, p, content := streamServer(t, nil)
	read := func(size int) (ranges []string, most int) {
		p.set(func(int, *http.Request) fault { return fault{delay: 5 * time.Millisecond} })
		f := openStreamed(t, t.Context())
		defer f.Close()
		expect(t, f, content, 0, streamed, size)
		_, ranges, most = p.connections()
		return ranges[1:], most
	}
	b.opts.fastEnough, b.opts.judgedBy = 1e15, 8<<20
	if ranges, _ := read(1 << 20); ranges[0] != "0-" || len(ranges) < 3 {
		t.Errorf("a stream that turns out to be slow: asked for %v", ranges)
	}
	if ranges, most := read(streamed); len(ranges) != 3 || most != 3 {
		t.Errorf("a large read over slow connections: asked for %v, %d at a time", ranges, most)
	}
	if ranges, _ := read(100_000); len(ranges) < 5 {
		t.Errorf("small reads over slow connections: asked for %v", ranges)
	}
	b.opts.fastEnough = 0
	b.pace.slowUntil = time.Time{} // a while later
	if ranges, _ := read(1 << 20); len(ranges) != 1 {
		t.Errorf("a stream that is fast again: asked for %v", ranges)
	}
}
