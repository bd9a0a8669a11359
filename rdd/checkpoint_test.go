package rdd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// counted is a dataset that counts how many of its rows were computed.
func counted(t *testing.T, sc *driver.Context, n int64, parts int) (rdd.RDD[int64], rdd.Accumulator[int64]) {
	t.Helper()
	acc, err := rdd.LongAccumulator(sc, "computed")
	if err != nil {
		t.Fatal(err)
	}
	return rdd.Map(rdd.Range(sc, 0, n, 1, parts), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x * 3 })), acc
}

func TestCheckpointCutsTheLineage(t *testing.T) {
	ctx := context.Background()
	for _, compress := range []string{"false", "true"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", "file://"+dir), driver.Set("spark.checkpoint.compress", compress))
		defer sc.Stop()
		base, computed := counted(t, sc, 10_000, 3)
		r := rdd.Filter(rdd.Map(base, square), isEven).Checkpoint()
		child := rdd.Map(r, square)
		if r.IsCheckpointed() || r.CheckpointFile() != "" || !strings.Contains(child.ToDebugString(), "checkpoint pending") {
			t.Error("checkpointed before any job")
		}
		want := mustCollect(t, child)
		if computed.Value() != 20_000 { // once for the job, once for the checkpoint
			t.Errorf("%d rows computed", computed.Value())
		}
		if !r.IsCheckpointed() || len(r.Node().Dependencies()) != 0 || r.NumPartitions() != 3 {
			t.Error("not checkpointed after the job")
		}
		if s := child.ToDebugString(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "checkpointed in "+r.CheckpointFile()) {
			t.Errorf("lineage:\n%s", s)
		}
		for range 2 {
			same(t, "from the checkpoint", mustCollect(t, child), want)
		}
		if computed.Value() != 20_000 {
			t.Errorf("%d rows computed: the checkpoint was not read", computed.Value())
		}
		same(t, "read again", mustCollect(t, rdd.Map(rdd.ReadCheckpoint[int64](sc, r.CheckpointFile()), square)), want)
		if tmp, _ := filepath.Glob(filepath.Join(dir, "*", ".*")); len(tmp) != 0 {
			t.Errorf("temporary files remain: %v", tmp)
		}
		if _, err := rdd.ReadCheckpoint[string](sc, r.CheckpointFile()).Count(ctx); err == nil || !strings.Contains(err.Error(), "of type int64, not string") {
			t.Errorf("other row type: %v", err)
		}
	}
}

// Only the marked datasets nearest to the target are written: nothing reads what lies before.
func TestCheckpointOfTheNearest(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", t.TempDir()))
	defer sc.Stop()
	far := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), square).Checkpoint()
	near := rdd.ReduceByKey(rdd.KeyBy(far, isEven), add).Checkpoint()
	other := rdd.KeyBy(rdd.Range(sc, 0, 3, 1, 1), isEven).Checkpoint()
	both := rdd.Union(near, other)
	mustCollect(t, both)
	if far.IsCheckpointed() || !near.IsCheckpointed() || !other.IsCheckpointed() {
		t.Errorf("checkpointed: far %v, near %v, other %v", far.IsCheckpointed(), near.IsCheckpointed(), other.IsCheckpointed())
	}
	if rdd.PartitionerOf(near) == nil || shuffleCount(both.Node()) != 0 {
		t.Error("the partitioner is gone, or a shuffle remains")
	}
	mustCollect(t, far)
	if !far.IsCheckpointed() {
		t.Error("far is not checkpointed by its own job")
	}
}

// Jobs that run while the lineage is cut give the same rows as ever.
func TestCheckpointUnderConcurrentJobs(t *testing.T) {
	sc := driver.New(driver.Master("local[4]"), driver.Set("spark.checkpoint.dir", t.TempDir()))
	defer sc.Stop()
	for range 5 {
		r := rdd.Map(rdd.Repartition(rdd.Range(sc, 0, 2000, 1, 8), 8), square)
		child := rdd.Map(r, func(x int64) int64 { return x + 1 })
		want := mustCollect(t, child)
		r.Checkpoint()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 4 {
					got, err := child.Collect(context.Background())
					if err != nil {
						t.Error(err)
						return
					}
					same(t, "concurrent job", got, want)
				}
			})
		}
		wg.Wait()
		if !r.IsCheckpointed() {
			t.Error("not checkpointed")
		}
	}
}

func TestDamagedCheckpointIsFound(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.checkpoint.dir", dir))
	defer sc.Stop()
	r := lines(sc, 5000, 2).Checkpoint()
	if _, err := r.Count(ctx); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(r.CheckpointFile(), "part-00001")
	whole, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 4
		return b
	}
	for name, b := range map[string][]byte{
		"magic": flip(2), "length": flip(9), "checksum": flip(13), "content": flip(len(whole) / 2), "last byte": flip(len(whole) - 1),
		"cut": whole[:len(whole)-7], "cut to nothing": nil, "only magic": whole[:8], "longer": append(bytes.Clone(whole), whole[8:]...),
	} {
		if err := os.WriteFile(part, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Count(ctx); err == nil || !strings.Contains(err.Error(), "part-00001: it is damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Count(ctx); err == nil || !strings.Contains(err.Error(), "must stay where it was") {
		t.Errorf("missing file: %v", err)
	}
}

// A checkpoint that cannot be written fails the action and is tried again by the next.
func TestCheckpointIsTriedAgain(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.checkpoint.dir", dir))
	defer sc.Stop()
	r := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), square).Checkpoint()
	if _, err := r.Count(ctx); err == nil || !strings.Contains(err.Error(), "checkpoint Map") || r.IsCheckpointed() {
		t.Fatalf("into a file: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Count(ctx); n != 10 || err != nil || !r.IsCheckpointed() {
		t.Fatalf("%d, %v", n, err)
	}
}

// memoryStore is a file system of the test's own.
type memoryStore struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (m *memoryStore) Write(_ context.Context, path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = b.Bytes()
	return nil
}

func (m *memoryStore) Open(_ context.Context, path string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memoryStore) RemoveAll(_ context.Context, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.files {
		if strings.HasPrefix(f, path+"/") {
			delete(m.files, f)
		}
	}
	return nil
}

// flakyStore cannot write for the first few times.
type flakyStore struct {
	*memoryStore
	failures atomic.Int64 // to come
	failed   atomic.Int64
}

func (f *flakyStore) Write(ctx context.Context, path string, write func(io.Writer) error) error {
	if f.failures.Add(-1) >= 0 {
		f.failed.Add(1)
		return errors.New("no space left on device")
	}
	return f.memoryStore.Write(ctx, path, write)
}

// Writes of a checkpoint's parts that fail are tried again as tasks are; if they fail for good the action says why, the dataset keeps its
// lineage, and the next action tries again.
func TestCheckpointWritesAreTriedAgain(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		failures int64
		want     string
	}{{2, ""}, {1000, "no space left on device"}} {
		store := &flakyStore{memoryStore: &memoryStore{files: map[string][]byte{}}}
		store.failures.Store(c.failures)
		rdd.RegisterCheckpointScheme("flaky", func(string) (rdd.CheckpointStore, error) { return store, nil })
		sc := driver.New(driver.Master("local[1,3]"), driver.Set("spark.checkpoint.dir", "flaky://x"))
		r := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), square).Checkpoint()
		n, err := r.Count(ctx)
		if c.want == "" && (n != 10 || err != nil || !r.IsCheckpointed()) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || r.IsCheckpointed()) {
			t.Errorf("%d failures: %d rows, %v, checkpointed %v", c.failures, n, err, r.IsCheckpointed())
		}
		if store.failed.Load() < 2 {
			t.Errorf("%d writes failed: the test proved nothing", store.failed.Load())
		}
		store.failures.Store(0)
		if n, err := r.Count(ctx); n != 10 || err != nil || !r.IsCheckpointed() {
			t.Errorf("afterwards: %d rows, %v", n, err)
		}
		sc.Stop()
	}
}

func TestCheckpointSchemes(t *testing.T) {
	ctx := context.Background()
	store := &memoryStore{files: map[string][]byte{}}
	rdd.RegisterCheckpointScheme("mem", func(string) (rdd.CheckpointStore, error) { return store, nil })
	rdd.RegisterCheckpointScheme("shut", func(string) (rdd.CheckpointStore, error) { return nil, errors.New("no credentials") })
	for dir, want := range map[string]string{"mem://a/b/": "", "gopher://x": `no file system is registered for the scheme "gopher"`, "shut://x": "no credentials"} {
		sc := driver.New(driver.Master("local[1]"), driver.Set("spark.checkpoint.dir", dir))
		r := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), square).Checkpoint()
		n, err := r.Count(ctx)
		switch {
		case want != "":
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", dir, err)
			}
		case n != 10 || err != nil || len(store.files) != 3 || !strings.HasPrefix(r.CheckpointFile(), "mem://a/b/rdd-"):
			t.Errorf("%s: %d, %v, %d files, %s", dir, n, err, len(store.files), r.CheckpointFile())
		default:
			same(t, dir, mustCollect(t, rdd.ReadCheckpoint[int64](sc, r.CheckpointFile())), mustCollect(t, r))
		}
		sc.Stop()
	}
}

func TestLocalCheckpoint(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for _, level := range []rdd.StorageLevel{rdd.None, rdd.MemoryOnly, rdd.DiskOnly} {
		base, computed := counted(t, sc, 1000, 4)
		r := base
		if level != rdd.None {
			r = r.Persist(level)
		}
		r = r.LocalCheckpoint()
		if got, err := r.Take(ctx, 3); err != nil || len(got) != 3 {
			t.Fatal(got, err)
		}
		// Take computes one partition; the checkpoint keeps the others too.
		if !r.IsCheckpointed() || len(r.Node().Dependencies()) != 0 || computed.Value() != 1000 {
			t.Errorf("%v: checkpointed %v, %d rows computed", level, r.IsCheckpointed(), computed.Value())
		}
		if n, err := r.Count(ctx); n != 1000 || err != nil || computed.Value() != 1000 {
			t.Errorf("%v: %d rows, %v, %d computed", level, n, err, computed.Value())
		}
		if err := r.Unpersist(ctx, true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Count(ctx); err == nil || !strings.Contains(err.Error(), "use Checkpoint") {
			t.Errorf("%v: after its blocks were lost: %v", level, err)
		}
	}
}

// An iterative program with checkpoints keeps a short lineage and the same result.
func TestIterationsWithCheckpoints(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", t.TempDir()))
	defer sc.Stop()
	plain, cut := rdd.Range(sc, 0, 100, 1, 3), rdd.Range(sc, 0, 100, 1, 3)
	for i := range 12 {
		next := func(r rdd.RDD[int64]) rdd.RDD[int64] {
			return rdd.Map(rdd.Repartition(r, 3), func(x int64) int64 { return x*7 + 1 })
		}
		plain, cut = next(plain), next(cut).Cache()
		if i%4 == 3 {
			cut = cut.Checkpoint()
		}
		if n, err := cut.Count(context.Background()); n != 100 || err != nil {
			t.Fatal(n, err)
		}
		if n := shuffleCount(cut.Node()); n > 4 {
			t.Errorf("round %d: %d shuffles in the lineage", i, n)
		}
	}
	same(t, "with checkpoints", mustCollect(t, cut), mustCollect(t, plain))
}

func BenchmarkCheckpoint(b *testing.B) {
	const rows = 1_000_000
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", b.TempDir()))
	defer sc.Stop()
	b.SetBytes(8 * rows)
	for b.Loop() {
		r := rdd.Range(sc, 0, rows, 1, 4).Checkpoint()
		if n, err := r.Count(context.Background()); n != rows || err != nil {
			b.Fatal(fmt.Sprint(n, err))
		}
	}
}

// No damage to a checkpoint's file goes unnoticed: what is read without an error is what was written.
func FuzzCheckpointFile(f *testing.F) {
	ctx := context.Background()
	store := &memoryStore{files: map[string][]byte{}}
	rdd.RegisterCheckpointScheme("fuzz", func(string) (rdd.CheckpointStore, error) { return store, nil })
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.checkpoint.dir", "fuzz://d"), driver.Set("spark.checkpoint.compress", "true"))
	f.Cleanup(sc.Stop)
	r := lines(sc, 3000, 1).Checkpoint()
	want, err := r.Collect(ctx)
	if err != nil {
		f.Fatal(err)
	}
	path := r.CheckpointFile() + "/part-00000"
	whole := store.files[path]
	for _, b := range [][]byte{whole, whole[:len(whole)-1], append(bytes.Clone(whole), 0), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		store.mu.Lock()
		store.files[path] = b
		store.mu.Unlock()
		got, err := r.Collect(ctx)
		if (err == nil) != bytes.Equal(b, whole) {
			t.Fatalf("%d bytes of %d: %v", len(b), len(whole), err)
		}
		if err == nil {
			same(t, "unchanged", got, want)
		}
	})
}
