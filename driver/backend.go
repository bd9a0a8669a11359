package driver

import (
	"path/filepath"
	"time"

	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// backend carries tasks to executors. What executors report it puts into the loop's queue. Its methods do not wait for executors.
type backend interface {
	Start() error
	SendStage(executor string, b *protocol.StageBinary)
	Launch(executor string, tasks []protocol.TaskDesc)
	Kill(executor string, task int64, reason string)
	RemoveStage(executor string, key protocol.StageKey)
	RemoveDataset(id int, wait bool)
	RemoveShuffle(id int)
	Stop()
}

func newBackend(c *Context) (backend, error) {
	return newLocalBackend(c)
}

// localBackend runs tasks in the driver's own process: executor "driver" on this host.
type localBackend struct {
	ctx    *Context
	runner *executor.Runner
	dir    string
}

const localExecutor = "driver"

func newLocalBackend(c *Context) (*localBackend, error) {
	b := &localBackend{ctx: c, dir: filepath.Join(c.dir, "shuffle")}
	memory := c.conf.Bytes("spark.driver.memory")
	var err error
	b.runner, err = executor.NewRunner(executor.Config{
		Memory:           int64(float64(memory) * c.conf.Float("spark.memory.fraction")),
		StorageFraction:  c.conf.Float("spark.memory.storageFraction"),
		Location:         shuffle.Location{Executor: localExecutor, Host: c.appID, Dir: b.dir},
		LocalDir:         c.dir,
		Compression:      compression(c),
		MaxBytesInFlight: c.conf.Bytes("spark.reducer.maxSizeInFlight"),
		Broadcasts:       c,
		Report: func(r protocol.TaskResult) {
			c.loop.queue.put(results{localExecutor, []protocol.TaskResult{r}})
		},
	})
	return b, err
}

func compression(c *Context) string {
	if !c.conf.Bool("spark.shuffle.compress") {
		return "none"
	}
	return c.conf.Get("spark.io.compression.codec")
}

func (b *localBackend) Start() error {
	b.ctx.loop.queue.put(sched.ExecutorAdded{Executor: localExecutor, Host: b.ctx.appID, Cores: b.ctx.master.cores})
	return nil
}

func (b *localBackend) SendStage(_ string, s *protocol.StageBinary) { b.runner.AddStage(*s) }

func (b *localBackend) Launch(_ string, tasks []protocol.TaskDesc) {
	for _, t := range tasks {
		b.runner.Launch(t)
	}
}

func (b *localBackend) Kill(_ string, task int64, reason string)    { b.runner.Kill(task, reason) }
func (b *localBackend) RemoveStage(_ string, key protocol.StageKey) { b.runner.RemoveStage(key) }
func (b *localBackend) RemoveDataset(id int, _ bool)                { b.runner.RemoveDataset(id) }
func (b *localBackend) RemoveShuffle(id int)                        { _ = shuffle.RemoveShuffle(b.dir, id) }
func (b *localBackend) Stop()                                       { b.runner.Close(2 * time.Second) }
