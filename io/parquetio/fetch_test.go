package parquetio

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// far is a file system whose reads wait for a signal, after it was told where they begin.
type far struct {
	filesys.FS
	mu    sync.Mutex
	began []int64
	busy  int
	most  int
	fail  int64 // an offset that cannot be read
	held  int64 // reads from here on wait for free
	delay time.Duration
	free  chan struct{}
}

type farFile struct {
	filesys.File
	ctx context.Context
	f   *far
}

func (f *far) Open(ctx context.Context, p string) (filesys.File, error) {
	file, err := f.FS.Open(ctx, p)
	return &farFile{file, ctx, f}, err
}

func (f *farFile) ReadAt(p []byte, off int64) (int, error) {
	f.f.mu.Lock()
	f.f.began = append(f.f.began, off)
	f.f.busy++
	f.f.most = max(f.f.most, f.f.busy)
	fail, wait := f.f.fail == off, f.f.held > 0 && off >= f.f.held && off < f.Size()-100<<10
	f.f.mu.Unlock()
	defer func() {
		f.f.mu.Lock()
		f.f.busy--
		f.f.mu.Unlock()
	}()
	if fail {
		return 0, fs.ErrPermission
	}
	time.Sleep(f.f.delay)
	if wait {
		select {
		case <-f.f.free:
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		}
	}
	return f.File.ReadAt(p, off)
}

// has waits until a read began at an offset.
func (f *far) has(off int64) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		found := slices.Contains(f.began, off)
		f.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

type farRow struct {
	A, B, C, D, E int64
}

type farSome struct{ A, C, E int64 }

const farRows, farGroup = 120_000, 30_000

// farTable is a file of four row groups on a file system that counts as far away.
func farTable(t testing.TB) (f *far, s Split, starts []int64) {
	f = &far{FS: filesys.NewMem("far"), free: make(chan struct{}), fail: -1, delay: time.Millisecond}
	filesys.Register("far", func(context.Context, string) (filesys.FS, error) { return f, nil })
	ctx := t.Context()
	w, err := NewFileWriter[farRow](ctx, "far://x/f.parquet", WriteOptions{Compression: "none", RowGroupRows: farGroup})
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]farRow, 1000)
	for i := 0; i < farRows; i += len(rows) {
		for j := range rows {
			n := int64(i + j)
			rows[j] = farRow{n, n * 3, n * 5, n * 7, n * 11}
		}
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filesys.Expand(ctx, "far://x/f.parquet")
	if err != nil {
		t.Fatal(err)
	}
	splits, err := PlanSplits(ctx, files, filesys.SplitOptions{MaxPartitionBytes: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	s = splits[0][0]
	file, err := openFile(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	for _, g := range file.meta.groups {
		starts = append(starts, g.columns[0].start())
	}
	s.First, s.Last, s.Rows = 0, len(starts), farRows
	if len(starts) < 3 {
		t.Fatalf("the file has %d row groups", len(starts))
	}
	f.began, f.most = nil, 0
	return f, s, starts
}

func TestRowGroupsAreFetchedAhead(t *testing.T) {
	f, s, starts := farTable(t)
	r, err := NewReader[farRow](t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows := int64(0)
	for group := 0; group+1 < len(starts); group++ {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		rows++
		for r.batch.at*2 < r.batch.at+r.batch.left { // half of the row group
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if !f.has(starts[group+1]) {
			t.Fatalf("row group %d is not fetched while the one before is read", group+1)
		}
		f.mu.Lock()
		if group+2 < len(starts) && slices.Contains(f.began, starts[group+2]) {
			t.Errorf("row group %d is fetched too early", group+2)
		}
		f.mu.Unlock()
		for r.batch.left > 0 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, off := range starts {
		if n := len(slices.DeleteFunc(slices.Clone(f.began), func(o int64) bool { return o != off })); n != 1 {
			t.Errorf("the row group at %d is fetched %d times", off, n)
		}
	}
}

func TestFetchedAheadIsRight(t *testing.T) {
	for _, budget := range []int64{maxBuffered, farGroup * 24 * 3 / 2, 500 << 10} { // all; no room for two; none
		f, s, _ := farTable(t)
		r, err := NewReader[farSome](t.Context(), s) // columns apart
		if err != nil {
			t.Fatal(err)
		}
		r.batch.budget = budget
		n := int64(0)
		for {
			rows, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				if row != (farSome{n, n * 5, n * 11}) {
					t.Fatalf("row %d is %+v", n, row)
				}
				n++
			}
		}
		if err := r.Close(); err != nil || n != farRows {
			t.Errorf("%d rows, %v", n, err)
		}
		if f.most > 2*maxAtOnce || budget == maxBuffered && f.most < 2 {
			t.Errorf("with a budget of %d, %d reads at a time", budget, f.most)
		}
	}
}

func TestFetchAheadFails(t *testing.T) {
	f, s, starts := farTable(t)
	r, err := NewReader[farRow](t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f.fail = starts[1]
	n := int64(0)
	for {
		rows, err := r.Next()
		if err != nil {
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "far://x/f.parquet") {
				t.Errorf("a row group that cannot be fetched: %v", err)
			}
			break
		}
		n += int64(len(rows))
	}
	if first := r.batch.file.meta.groups[0].rows; n != first {
		t.Errorf("%d rows before the error, want %d", n, first)
	}
}

func TestFetchAheadEndsWithItsReader(t *testing.T) {
	for _, how := range []string{"closed", "cancelled"} {
		f, s, starts := farTable(t)
		f.held = starts[1]
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := NewReader[farRow](ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		for r.batch.ahead == nil {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if !f.has(starts[1]) {
			t.Fatal("nothing is fetched ahead")
		}
		if how == "cancelled" {
			time.AfterFunc(20*time.Millisecond, cancel)
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if n := runtime.NumGoroutine(); n > before+1 {
			t.Errorf("%s: %d goroutines, there were %d", how, n, before)
		}
	}
}

// BenchmarkFar reads three of five columns, which lie apart, of a file whose reads take 20 ms each; waited% is how long that takes beside one read
// after the other.
func BenchmarkFar(b *testing.B) {
	f, s, _ := farTable(b)
	f.delay = 20 * time.Millisecond
	for b.Loop() {
		r, err := NewReader[farSome](b.Context(), s)
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/(float64(len(f.began))*f.delay.Seconds()), "waited%")
	b.ReportMetric(float64(len(f.began))/float64(b.N), "reads/op")
}
