package programs_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// setup is a configuration. Its context serves program after program.
type setup struct {
	name       string
	master     string
	set        map[string]string
	slow       time.Duration // of every eighth of a source
	hoard      bool          // cached blocks fill the memory, so that execution gets none
	kills      bool          // an executor during each run
	speculates bool

	sc      *driver.Context
	seen    *counters
	hoarded rdd.RDD[int64] // a dataset that is not referenced any more gives its memory back
	shots   int            // that hit, in this context
	rng     *rand.Rand

	runs    int // that counted
	missed  int // that did not, since no executor was lost
	lost    int // executors
	spills  int // runs that did
	spilled int64
	copies  int64
}

// tiny has so little memory that every structure spills beyond the 64 KiB that it may always hold.
func tiny(name, master string) *setup {
	return &setup{name: name, master: master, hoard: true, set: map[string]string{
		"spark.driver.memory": "64m", "spark.memory.fraction": "0.05", "spark.memory.storageFraction": "0.99",
	}}
}

func slowSetups() []*setup {
	return []*setup{
		tiny("tiny memory in processes", "local-cluster[2,1,64m]"),
		{name: "processes with own disks", master: "local-cluster[3,1,128m]", set: map[string]string{"spark.shuffle.readHostLocalDisk": "false"}},
		{name: "kills", master: "local-cluster[2,1,128m]", kills: true, slow: 5 * time.Millisecond},
		{name: "kills in little memory", master: "local-cluster[3,1,64m]", kills: true, slow: 5 * time.Millisecond, set: map[string]string{"spark.shuffle.readHostLocalDisk": "false", "spark.memory.fraction": "0.05"}},
		{name: "speculation", master: "local-cluster[2,2,128m]", speculates: true, slow: 2 * time.Millisecond, set: map[string]string{
			"spark.speculation": "true", "spark.speculation.quantile": "0.3", "spark.speculation.multiplier": "1", "spark.speculation.minTaskRuntime": "1ms", "spark.speculation.interval": "2ms",
		}},
	}
}

// counters are kept by a listener.
type counters struct {
	tasks, removed, spilled, copies atomic.Int64
	shot                            atomic.Pointer[shot]
}

// shot kills a process once so many tasks have started.
type shot struct {
	after int64
	pid   int
}

func (c *counters) on(e driver.Event) {
	switch e := e.(type) {
	case driver.TaskStarted:
		n := c.tasks.Add(1)
		if e.Speculative {
			c.copies.Add(1)
		}
		if s := c.shot.Load(); s != nil && n >= s.after && c.shot.CompareAndSwap(s, nil) {
			syscall.Kill(s.pid, syscall.SIGKILL)
		}
	case driver.TaskEnded:
		c.spilled.Add(e.Metrics.Shuffle.SpilledBytes)
	case driver.ExecutorRemoved:
		c.removed.Add(1)
	}
}

func (c *setup) start(t testing.TB) {
	options := []driver.Option{driver.Master(c.master), driver.Set("spark.checkpoint.dir", t.TempDir()), driver.Set("spark.log.level", "error")} // lost executors are no news here
	for k, v := range c.set {
		options = append(options, driver.Set(k, v))
	}
	c.sc, c.seen, c.shots = driver.New(options...), &counters{}, 0
	c.sc.AddListener(c.seen.on)
	if c.rng == nil {
		c.rng = rand.New(rand.NewPCG(*firstProgram, 0x5851f42d4c957f2d))
	}
	if c.hoard {
		c.hoarded = rdd.Range(c.sc, 0, 8<<20/8, 1, 256).Cache()
		if _, err := c.hoarded.Count(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
}

func (c *setup) stop() {
	if c.sc != nil {
		c.spilled += c.seen.spilled.Load()
		c.copies += c.seen.copies.Load()
		c.sc.Stop()
		c.sc, c.hoarded = nil, rdd.RDD[int64]{}
	}
}

// collect runs a program and reports whether the run counts: with kills an executor must have been lost before it ended. If none was,
// it runs again with an earlier shot.
func (c *setup) collect(t testing.TB, p program) (got contents, counts bool, err error) {
	if !c.kills {
		before := c.seen.spilled.Load()
		got, err = c.twice(t.Context(), p)
		if c.seen.spilled.Load() > before {
			c.spills++
		}
		return got, true, err
	}
	for within := int64(16); within > 0 && err == nil && !counts; within /= 4 {
		if c.shots == 6 { // hosts give up where too many executors end
			c.stop()
			c.start(t)
		}
		pids, perr := c.processes(t.Context())
		if perr != nil {
			return got, false, fmt.Errorf("ask for the executors' processes: %w", perr)
		}
		before := c.seen.removed.Load()
		c.seen.shot.Store(&shot{c.seen.tasks.Load() + 1 + c.rng.Int64N(within), pids[c.rng.IntN(len(pids))]})
		got, err = c.twice(t.Context(), p)
		counts = c.seen.removed.Load() > before
		if c.seen.shot.Swap(nil) == nil {
			c.shots++
		}
		if counts {
			c.lost++
		}
	}
	return got, counts, err
}

// processes are those of the executors.
func (c *setup) processes(ctx context.Context) ([]int, error) {
	seen := rdd.Map(rdd.Range(c.sc, 0, 9, 1, 9), func(int64) int64 {
		time.Sleep(5 * time.Millisecond)
		return int64(os.Getpid())
	})
	all, err := seen.Collect(ctx)
	slices.Sort(all)
	var pids []int
	for _, pid := range slices.Compact(all) {
		if int(pid) == os.Getpid() {
			return nil, fmt.Errorf("a task runs in the driver's process")
		}
		pids = append(pids, int(pid))
	}
	return pids, err
}

// twice collects a program's result twice, since the second job finds what the first one cached and checkpointed.
func (c *setup) twice(ctx context.Context, p program) (contents, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	made := build(c.sc, p, c.slow, !c.kills)
	last := made[len(made)-1]
	got, err := last.collect(ctx)
	if err != nil {
		return got, err
	}
	again, err := last.collect(ctx)
	if err != nil {
		return got, fmt.Errorf("once more: %w", err)
	}
	if got.digest() != again.digest() {
		return got, fmt.Errorf("once more it gives other rows: %s", again.difference(got))
	}
	return got, nil
}
