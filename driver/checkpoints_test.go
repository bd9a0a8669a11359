package driver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/faultfs"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// placedFS is a directory of this machine's disk, shared by all processes, that says of the file part-0000N that it lies on host-N, of which there are two.
type placedFS struct{ filesys.FS }

func (placedFS) Locations(_ context.Context, path string, offset, length int64) ([]filesys.Location, error) {
	n := int(path[len(path)-1] - '0')
	return []filesys.Location{{Offset: offset, Length: length, Hosts: []string{fmt.Sprintf("host-%d", n%2)}}}, nil
}

func init() { // executors, which run this program, know it too
	filesys.Register("placed", func(ctx context.Context, _ string) (filesys.FS, error) {
		disk, _, err := filesys.Get(ctx, "/")
		return placedFS{disk}, err
	})
}

// Tasks that read a checkpoint run where the file system says that its files lie, also in another application.
func TestCheckpointIsReadWhereItLies(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.checkpoint.dir", "placed://"+t.TempDir()), driver.Set("spark.locality.wait", "1h"))
	defer sc.Stop()
	var mu sync.Mutex
	var at []string // partition, executor and locality of tasks
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskStarted); ok {
			mu.Lock()
			at = append(at, fmt.Sprint(e.Partition, " ", e.Executor, " ", e.Locality))
			mu.Unlock()
		}
	})
	awaitBoth(t, sc)
	written := rdd.Map(rdd.Range(sc, 0, 100, 1, 4), func(x int64) int64 { return 3 * x }).Checkpoint()
	want, err := written.Collect(t.Context())
	if err != nil || !written.IsCheckpointed() || !strings.HasPrefix(written.CheckpointFile(), "placed://") {
		t.Fatal(err, written.CheckpointFile())
	}
	for name, r := range map[string]rdd.RDD[int64]{"cut lineage": written, "read again": rdd.ReadCheckpoint[int64](sc, written.CheckpointFile())} {
		mu.Lock()
		at = nil
		mu.Unlock()
		if got, err := r.Collect(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		mu.Lock()
		slices.Sort(at)
		if places := []string{"0 0.1 NODE_LOCAL", "1 1.1 NODE_LOCAL", "2 0.1 NODE_LOCAL", "3 1.1 NODE_LOCAL"}; !slices.Equal(at, places) {
			t.Errorf("%s: tasks ran at %q, want %q", name, at, places)
		}
		mu.Unlock()
	}
}

// Checkpoints lie on any file system. What cannot be written leaves nothing and is an error, and the next action tries again.
func TestCheckpointOnFileSystem(t *testing.T) {
	t.Parallel()
	faults := faultfs.Register("checkpoints", filesys.NewMem("checkpoints"), faultfs.Rule{Op: faultfs.Write, Path: "*part-00001", Times: -1, Err: syscall.ENOSPC})
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", "fault://checkpoints/dir"))
	defer sc.Stop()
	r := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), func(x int64) int64 { return x * x }).Checkpoint()
	if _, err := r.Count(t.Context()); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) || r.IsCheckpointed() || faults.Fired(0) == 0 {
		t.Errorf("with a full disk: %v, checkpointed %v", err, r.IsCheckpointed())
	}
	for info, err := range filesys.Walk(t.Context(), "fault://checkpoints/dir") {
		if err == nil && !info.IsDir {
			t.Errorf("%s is left", info.Path)
		}
	}
	faults.SetRules()
	want, err := r.Collect(t.Context())
	if err != nil || !r.IsCheckpointed() {
		t.Fatal(err)
	}
	again := rdd.ReadCheckpoint[int64](sc, r.CheckpointFile())
	if got, err := again.Collect(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("read again: %v, %v, want %v", got, err, want)
	}
	if err := filesys.WriteFile(t.Context(), r.CheckpointFile()+"/part-00000", []byte("something else")); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Collect(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a file that is no checkpoint: %v", err)
	}
}
