package shuffle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/shuffle/seal"
)

type textRow = Pair[string, int64]

// writeMap writes row i to partition i%partitions, except that partitions divisible by three give their rows to the next.
func writeMap(t testing.TB, env *Env, id WriterID, partitions, rows int) (Output, map[int][]textRow) {
	t.Helper()
	w, err := NewWriter[textRow](context.Background(), env, id, partitions)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	r := rand.New(rand.NewPCG(uint64(id.Map), uint64(id.Attempt)))
	want := map[int][]textRow{}
	var batch []textRow
	var parts []int32
	for i := range rows {
		p := i % partitions
		if p%3 == 0 && partitions > 1 {
			p = (p + 1) % partitions
		}
		row := textRow{fmt.Sprintf("map %d row %d %x", id.Map, i, r.Uint64()), int64(i)}
		want[p] = append(want[p], row)
		batch, parts = append(batch, row), append(parts, int32(p))
		if len(batch) == 100 || i == rows-1 {
			if err := w.Write(batch, parts); err != nil {
				t.Fatal(err)
			}
			batch, parts = batch[:0], parts[:0]
		}
	}
	out, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if out.Rows != int64(rows) || out.Map != id.Map || out.Attempt != id.Attempt {
		t.Fatalf("output %+v", out)
	}
	return out, want
}

func localEnv(t testing.TB) *Env {
	return &Env{Location: Location{Executor: "1", Host: "here", Addr: "here:1", Dir: t.TempDir()}, SpillDir: t.TempDir(), Metrics: &Metrics{}}
}

// remoteFetcher serves files as a block server does, and faults as told.
type remoteFetcher struct {
	delay  func(out Output) time.Duration
	damage func(try int64, b []byte) []byte
	tries  atomic.Int64
	active atomic.Int64
	most   atomic.Int64
	open   atomic.Int64
}

func (f *remoteFetcher) Fetch(ctx context.Context, shuffle int, out Output, start, end int) (io.ReadCloser, error) {
	n := f.active.Add(1)
	defer f.active.Add(-1)
	for m := f.most.Load(); n > m && !f.most.CompareAndSwap(m, n); m = f.most.Load() {
	}
	if f.delay != nil {
		select {
		case <-time.After(f.delay(out)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	file, off, length, err := OpenBlock(out.Location.Dir, shuffle, out.Map, out.Attempt, start, end)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, length)
	if _, err := file.ReadAt(b, off); err != nil {
		return nil, err
	}
	if try := f.tries.Add(1); f.damage != nil {
		b = f.damage(try, b)
	}
	f.open.Add(1)
	return &countedCloser{bytes.NewReader(b), &f.open}, nil
}

type countedCloser struct {
	io.Reader
	open *atomic.Int64
}

func (c *countedCloser) Close() error {
	c.open.Add(-1)
	return nil
}

// noLeaks fails if goroutines outlast the test.
func noLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("goroutines leak:\n%s", buf[:runtime.Stack(buf, true)])
	})
}

func TestWriteAndRead(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		partitions, rows int
		memory           Memory
		compression      string
	}{
		{1, 0, nil, ""},
		{1, 1, nil, "none"},
		{5, 3, nil, "zstd"},
		{7, 20_000, nil, "lz4"},
		{7, 20_000, &limited{}, "lz4"},
		{7, 20_000, &limited{size: 400 << 10}, "none"},
		{10_000, 30_000, &limited{}, ""},
	} {
		t.Run(fmt.Sprintf("%d partitions %d rows %s", c.partitions, c.rows, c.compression), func(t *testing.T) {
			lowerFloor(t, 128<<10)
			env := localEnv(t)
			env.Memory, env.Compression = c.memory, c.compression
			var outs []Output
			want := map[int][]textRow{}
			for m := range 4 {
				out, rows := writeMap(t, env, WriterID{3, m, int64(10 + m)}, c.partitions, c.rows)
				outs = append(outs, out)
				for p, r := range rows {
					want[p] = append(want[p], r...)
				}
			}
			if l, ok := c.memory.(*limited); ok && (l.used != 0 || env.Metrics.SpilledBytes == 0) {
				t.Errorf("%d bytes of memory are held, %d bytes were spilled", l.used, env.Metrics.SpilledBytes)
			}
			remote := *env
			remote.Location.Host = "there"
			fetcher := &remoteFetcher{delay: func(out Output) time.Duration { return time.Duration(3-out.Map) * time.Millisecond }}
			remote.Fetcher = fetcher
			streamed := remote
			streamed.MaxBytesInFlight = 2048
			for name, e := range map[string]*Env{"local": env, "remote": &remote, "streamed": &streamed} {
				if name == "streamed" && c.partitions > 100 {
					continue // tens of thousands of fetches
				}
				width := max(1, c.partitions/3)
				for start := 0; start < c.partitions; start += width {
					end := min(start+width, c.partitions)
					var all []textRow
					for p := start; p < end; p++ {
						all = append(all, want[p]...)
					}
					s, err := Read[textRow](context.Background(), e, 3, outs, start, end)
					if got := collect(t, s, err); !slices.Equal(got, all) {
						t.Errorf("%s: partitions [%d,%d) differ: %d rows, want %d", name, start, end, len(got), len(all))
					}
				}
			}
			if n := fetcher.open.Load(); n != 0 {
				t.Errorf("%d responses were not closed", n)
			}
			if n := fetcher.most.Load(); n > maxRequests {
				t.Errorf("%d fetches at once", n)
			}
			left, _ := os.ReadDir(env.SpillDir)
			if len(left) > 0 {
				t.Errorf("left in the spill folder: %v", left)
			}
			if err := RemoveShuffle(env.Location.Dir, 3); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(env.Location.Dir); len(left) > 0 {
				t.Errorf("left in the shuffle folder: %v", left)
			}
		})
	}
}

func TestWriterFiles(t *testing.T) {
	env := localEnv(t)
	id := WriterID{1, 2, 3}
	out, want := writeMap(t, env, id, 4, 500)
	other, _ := writeMap(t, env, WriterID{1, 2, 4}, 4, 300)
	for _, path := range []string{DataFile(env.Location.Dir, id), IndexFile(env.Location.Dir, id)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		if info, _ := os.Stat(filepath.Dir(path)); info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v", filepath.Dir(path), info.Mode())
		}
	}
	if out.Sizes[3] != 0 || out.Sizes[1] == 0 {
		t.Errorf("sizes %v", out.Sizes)
	}
	// An attempt that comes to nothing leaves the others alone.
	w, err := NewWriter[textRow](context.Background(), env, WriterID{1, 2, 5}, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]textRow{{"a", 1}}, []int32{1}); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	if _, err := w.Commit(); err == nil {
		t.Error("an aborted writer commits")
	}
	s, err := Read[textRow](context.Background(), env, 1, []Output{out}, 1, 2)
	if got := collect(t, s, err); !slices.Equal(got, want[1]) {
		t.Error("rows differ")
	}
	entries, _ := os.ReadDir(shuffleDir(env.Location.Dir, 1))
	if len(entries) != 4 {
		t.Errorf("files: %v", entries)
	}
	// Equal input gives equal files.
	again := localEnv(t)
	writeMap(t, again, id, 4, 500)
	a, _ := os.ReadFile(DataFile(env.Location.Dir, id))
	b, _ := os.ReadFile(DataFile(again.Location.Dir, id))
	if !bytes.Equal(a, b) {
		t.Error("the same rows gave other bytes")
	}
	_ = other
}

func TestWriterMistakes(t *testing.T) {
	env := localEnv(t)
	ctx := context.Background()
	if _, err := NewWriter[int](ctx, env, WriterID{}, 0); err == nil {
		t.Error("no partitions")
	}
	if _, err := NewWriter[chan int](ctx, env, WriterID{}, 1); err == nil {
		t.Error("channels travel")
	}
	if _, err := NewWriter[int](ctx, &Env{Compression: "rar"}, WriterID{}, 1); err == nil {
		t.Error("an unknown compression")
	}
	w, err := NewWriter[int](ctx, env, WriterID{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, parts := range [][]int32{{2}, {-1}, {}, {0, 1}} {
		if err := w.Write([]int{1}, parts); err == nil {
			t.Errorf("partitions %v", parts)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bad, err := NewWriter[int](ctx, &Env{Location: Location{Dir: file}}, WriterID{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Commit(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("commit under a file: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	c, err := NewWriter[int](cancelled, env, WriterID{7, 7, 7}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(); !errors.Is(err, context.Canceled) {
		t.Errorf("commit after cancelling: %v", err)
	}
	for _, r := range [][2]int{{-1, 1}, {1, 0}, {0, 3}} {
		if _, err := Read[int](ctx, env, 1, []Output{{Sizes: []int64{1, 2}, Location: env.Location}}, r[0], r[1]); err == nil {
			t.Errorf("read %v", r)
		}
	}
	if _, err := Read[int](ctx, env, 1, []Output{{Sizes: []int64{1}}}, 0, 1); err == nil {
		t.Error("read another host's output without a fetcher")
	}
	if _, err := Read[int](ctx, env, 1, []Output{{Sizes: []int64{-1}, Location: env.Location}}, 0, 1); err == nil {
		t.Error("read a negative size")
	}
}

// drainErr reads all and returns the rows up to an error.
func drainErr(env *Env, outs []Output, start, end int) ([]textRow, error) {
	s, err := Read[textRow](context.Background(), env, 1, outs, start, end)
	if err != nil {
		return nil, err
	}
	var all []textRow
	for {
		rows, err := s.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, rows...)
	}
}

// Whatever byte of a file changes, a read gives what was written or a FetchError.
func TestCorruption(t *testing.T) { plainAndSealed(t, corruption) }

func corruption(t *testing.T, key *seal.Key) {
	noLeaks(t)
	env := localEnv(t)
	env.Key = key
	id := WriterID{1, 0, 9}
	out, want := writeMap(t, env, id, 4, 300)
	outs := []Output{out}
	all := slices.Concat(want[0], want[1], want[2], want[3])
	remote := *env
	remote.Location.Host = "there"
	remote.Fetcher = &remoteFetcher{}
	streamed := remote
	streamed.MaxBytesInFlight = 64
	for _, path := range []string{DataFile(env.Location.Dir, id), IndexFile(env.Location.Dir, id)} {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, bad []byte) {
			t.Helper()
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			for name, e := range map[string]*Env{"local": env, "remote": &remote, "streamed": &streamed} {
				got, err := drainErr(e, outs, 0, 4)
				var fetch *FetchError
				if !errors.As(err, &fetch) {
					t.Fatalf("%s: %s: the error is %v", what, name, err)
				}
				if fetch.Shuffle != 1 || fetch.Map != 0 {
					t.Fatalf("%s: %s: the error is about %+v", what, name, fetch)
				}
				if len(got) > len(all) || !slices.Equal(got, all[:len(got)]) {
					t.Fatalf("%s: %s: wrong rows", what, name)
				}
			}
		}
		for i := 0; i < len(good); i += 1 + i/40 {
			bad := slices.Clone(good)
			bad[i] ^= 1 << (i % 8)
			check(fmt.Sprintf("bit of byte %d of %s", i, filepath.Base(path)), bad)
		}
		for _, n := range []int{0, 1, blockHeader, len(good) / 2, len(good) - 1} {
			check(fmt.Sprintf("%s cut to %d bytes", filepath.Base(path), n), good[:n])
		}
		check("longer", append(slices.Clone(good), 0))
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := drainErr(env, outs, 0, 4); err != nil || !slices.Equal(got, all) {
		t.Fatal("the files do not read back", err)
	}
	if err := os.Remove(DataFile(env.Location.Dir, id)); err != nil {
		t.Fatal(err)
	}
	var fetch *FetchError
	if _, err := drainErr(env, outs, 1, 2); !errors.As(err, &fetch) || !errors.Is(err, fs.ErrNotExist) || fetch.Reduce != 1 {
		t.Errorf("a missing file is %v", err)
	}
}

func TestDamageInTransitIsFetchedAgain(t *testing.T) { plainAndSealed(t, damageInTransit) }

func damageInTransit(t *testing.T, key *seal.Key) {
	env := localEnv(t)
	env.Key = key
	env.Compression = "none"
	lowerFloor(t, 64<<10)
	out, want := writeMap(t, env, WriterID{1, 0, 9}, 2, 40_000)
	for name, damage := range map[string]func(int64, []byte) []byte{
		"flip":  func(_ int64, b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"short": func(_ int64, b []byte) []byte { return b[:len(b)*2/3] },
		"empty": func(_ int64, b []byte) []byte { return nil },
	} {
		for _, limit := range []int64{0, 1000} {
			for _, times := range []int64{1, 2} {
				t.Run(fmt.Sprint(name, limit, times), func(t *testing.T) {
					f := &remoteFetcher{damage: func(try int64, b []byte) []byte {
						if try <= times {
							return damage(try, b)
						}
						return b
					}}
					remote := *env
					remote.Location.Host, remote.Fetcher, remote.MaxBytesInFlight = "there", f, limit
					got, err := drainErr(&remote, []Output{out}, 1, 2)
					if times == 1 && (err != nil || !slices.Equal(got, want[1])) {
						t.Errorf("damaged once: %d rows, %v", len(got), err)
					}
					if times == 2 && (err == nil || f.tries.Load() != 2) {
						t.Errorf("damaged twice: %v after %d fetches", err, f.tries.Load())
					}
					if n := f.open.Load(); n != 0 {
						t.Errorf("%d responses were not closed", n)
					}
				})
			}
		}
	}
}

// checkedFetcher has hosts that check what they have.
type checkedFetcher struct {
	remoteFetcher
	wrong string
	err   error
}

func (f *checkedFetcher) Check(context.Context, int, Output, int, int) (string, error) {
	return f.wrong, f.err
}

// The error about a block that came damaged twice says where that happened.
func TestDamageIsDiagnosed(t *testing.T) {
	env := localEnv(t)
	env.Compression = "none"
	out, _ := writeMap(t, env, WriterID{1, 0, 9}, 2, 4000)
	silent := errors.New("it is silent")
	for _, limit := range []int64{0, 1000} { // fetched whole, and as it comes
		for _, c := range []struct {
			wrong string
			err   error
			want  string
		}{
			{"", nil, "damaged on the way"},
			{"data file: corrupt", nil, "damaged on the disk of its host: data file: corrupt"},
			{"", silent, "cannot be said: it is silent"},
		} {
			f := &checkedFetcher{wrong: c.wrong, err: c.err}
			f.damage = func(_ int64, b []byte) []byte { b[len(b)/2] ^= 4; return b }
			remote := *env
			remote.Location.Host, remote.Fetcher, remote.MaxBytesInFlight = "there", f, limit
			var fetch *FetchError
			if _, err := drainErr(&remote, []Output{out}, 1, 2); !errors.As(err, &fetch) || !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("limit %d, wrong %q, %v: %v", limit, c.wrong, c.err, err)
			}
		}
	}
	file := DataFile(env.Location.Dir, WriterID{1, 0, 9})
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := drainErr(env, []Output{out}, 1, 2); err == nil || !strings.Contains(err.Error(), "on the disk of this host, in "+file) {
		t.Errorf("on this host: %v", err)
	}
}

func TestReadCancelled(t *testing.T) {
	noLeaks(t)
	env := localEnv(t)
	var outs []Output
	for m := range 8 {
		out, _ := writeMap(t, env, WriterID{1, m, 9}, 2, 2000)
		outs = append(outs, out)
	}
	remote := *env
	remote.Location.Host = "there"
	remote.Fetcher = &remoteFetcher{delay: func(out Output) time.Duration { return time.Duration(out.Map) * time.Hour }}
	ctx, cancel := context.WithCancelCause(context.Background())
	s, err := Read[textRow](ctx, &remote, 1, outs, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
	for err == nil {
		_, err = s.Next()
	}
	if err != stop {
		t.Errorf("cancelled: %v", err)
	}
	// Left unfinished, closed or not.
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		s, err := Read[textRow](ctx, env, 1, outs, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
		s.(io.Closer).Close()
		if _, err := s.Next(); err == nil || err == io.EOF {
			t.Errorf("a closed stream gives %v", err)
		}
		cancel()
	}
}

// Many small fetches share the limit and arrive in any order; rows do not.
func TestReadOrderAndLimit(t *testing.T) {
	noLeaks(t)
	env := localEnv(t)
	var outs []Output
	var want []textRow
	for m := range 30 {
		out, rows := writeMap(t, env, WriterID{1, m, 9}, 2, 200)
		outs = append(outs, out)
		want = append(want, rows[1]...)
	}
	remote := *env
	remote.Location.Host = "there"
	r := rand.New(rand.NewPCG(1, 1))
	delays := make([]time.Duration, 30)
	for i := range delays {
		delays[i] = time.Duration(r.IntN(3000)) * time.Microsecond
	}
	remote.Fetcher = &remoteFetcher{delay: func(out Output) time.Duration { return delays[out.Map] }}
	for _, limit := range []int64{0, 1, 3 * outs[0].Sizes[1], 10 * outs[0].Sizes[1]} {
		remote.MaxBytesInFlight = limit
		if got, err := drainErr(&remote, outs, 0, 2); err != nil || !slices.Equal(got, want) {
			t.Errorf("limit %d: %d rows, %v", limit, len(got), err)
		}
	}
}

func FuzzIndex(f *testing.F) {
	id := WriterID{1, 2, 3}
	f.Add(encodeIndex(id, []int64{0}))
	f.Add(encodeIndex(id, []int64{0, 10, 10, 40}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeIndex(b, id)
		if err != nil {
			return
		}
		offsets := make([]int64, o.partitions()+1)
		for i := range offsets {
			offsets[i] = int64(o.at(i))
		}
		if !bytes.Equal(encodeIndex(id, offsets), b) {
			t.Error("an index that is not its own encoding")
		}
	})
}

func FuzzBlock(f *testing.F) {
	key := testKey(f, "secret")
	for i, compression := range []string{"none", "lz4", "zstd", "none", "lz4", "zstd"} {
		w, err := newBlockWriter(compression, nil)
		if i > 2 {
			w, err = newBlockWriter(compression, key)
		}
		if err != nil {
			f.Fatal(err)
		}
		c, err := codecOf[textRow]()
		if err != nil {
			f.Fatal(err)
		}
		b, err := w.append(nil, c.Rows(slices.Repeat([]textRow{{"a", 1}, {"bcd", 2}}, 50)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, key := range []*seal.Key{nil, key} {
			r, err := newBlockReader[textRow](key)
			if err != nil {
				t.Fatal(err)
			}
			// Without the checksum, so that what it guards is fuzzed too.
			for s := (&memorySource{buf: slices.Clone(b)}); ; {
				block, err := s.next()
				if err != nil {
					break
				}
				if rows, err := r.decode(nil, block); err == nil && len(rows) == 0 {
					t.Error("a block without rows")
				}
			}
		}
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		for s := (&streamSource{open: open, left: int64(len(b)) + 3}); ; {
			if _, err := s.next(); err != nil {
				break
			}
		}
	})
}
