package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// Config is what a Runner needs.
type Config struct {
	Memory           int64            // the budget for execution and storage in bytes; required
	StorageFraction  float64          // of Memory, protected for cached blocks; 0 means 0.5
	Location         shuffle.Location // where this executor's map outputs lie; Dir is that of Outputs
	Outputs          *disk.Dirs       // of map outputs; required
	Spills           *disk.Dirs       // of spills and cached blocks; required
	Compression      string           // of map outputs; empty means lz4
	SpillCompression string           // of spills; empty means lz4
	MaxBytesInFlight int64
	Fetcher          shuffle.Fetcher
	Broadcasts       rdd.Broadcasts
	Key              *seal.Key // what all that is written to disk is encrypted with; nil leaves it plain
	BlockCompression string    // of cached blocks on disk; empty means none
	MaxResult        int64     // bytes of a task's result, which is not sent if it is larger; 0 means any number
	// File finds a shared file for a task; nil means that there are none.
	File func(ctx context.Context, name string) (path string, err error)
	// OpenBlock opens a cached block of another executor, as blocks.Client.Open does; nil means that there are no others.
	OpenBlock func(ctx context.Context, addr, name string) (io.ReadCloser, int64, error)
	// Report takes the end of each task. It is called from the tasks' goroutines.
	Report func(protocol.TaskResult)
	// AskCommit asks the driver whether a task may publish its output; Runner.AnswerCommit takes the answer. nil allows it.
	AskCommit func(id int64)
	// AskBarrier tells the driver that a task waits for the others of its barrier stage; Runner.AnswerBarrier says when all have come.
	AskBarrier func(protocol.BarrierRequest)
	// Updates takes changes of the cached blocks that no task reports; nil leaves them to the next task's report.
	Updates func([]protocol.BlockUpdate)
	// Reaper watches tasks that were told to end.
	Reaper Reaper
	// EndProcess has the process killed, which does not count as a failure of its tasks; nil where that would be the driver's own.
	EndProcess func(reason string)
}

// Runner runs the tasks of one executor.
type Runner struct {
	cfg    Config
	memory *Memory
	store  *Store

	mu       sync.Mutex
	stages   map[protocol.StageKey]*stage
	running  map[int64]*attempt
	commits  map[int64]chan bool    // tasks that wait for leave to publish
	barriers map[int64]*atBarrier   // tasks that wait for others
	blocks   []protocol.BlockUpdate // not yet reported
	closed   bool
	quit     chan struct{} // closed by Close
	wg       sync.WaitGroup
}

// attempt is a running task attempt.
type attempt struct {
	desc   protocol.TaskDesc
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed at its end, before it is reported
	killed bool

	task     atomic.Pointer[rdd.Task] // nil until it has begun
	shuffled atomic.Int64             // rows read from map outputs
}

// RowsRead implements host.RowCounter.
func (r *Runner) RowsRead(tasks []int64) []int64 {
	rows := make([]int64, len(tasks))
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, id := range tasks {
		if a := r.running[id]; a != nil {
			rows[i] = a.shuffled.Load()
			if t := a.task.Load(); t != nil {
				rows[i] += t.RowsSoFar()
			}
		}
	}
	return rows
}

type stage struct {
	binary protocol.StageBinary
	once   sync.Once
	exe    *rdd.Executable
	err    error
}

// errKilled is the cause of a task's cancellation.
type errKilled struct{ reason string }

func (e errKilled) Error() string { return "task killed: " + e.reason }

// NewRunner makes a runner.
func NewRunner(cfg Config) (*Runner, error) {
	if cfg.Memory <= 0 || cfg.Outputs == nil || cfg.Spills == nil || cfg.Report == nil {
		return nil, errors.New("executor: Memory, Outputs, Spills and Report are required")
	}
	if cfg.StorageFraction == 0 {
		cfg.StorageFraction = 0.5
	}
	r := &Runner{cfg: cfg, memory: NewMemory(cfg.Memory, cfg.StorageFraction), stages: map[protocol.StageKey]*stage{}, running: map[int64]*attempt{}, commits: map[int64]chan bool{}, barriers: map[int64]*atBarrier{}, quit: make(chan struct{})}
	r.store = NewStore(r.memory, cfg.Spills.Sub("blocks"), func(u protocol.BlockUpdate) {
		r.mu.Lock()
		r.blocks = append(r.blocks, u)
		r.mu.Unlock()
	})
	r.store.compression = cfg.BlockCompression
	return r, nil
}

// AddStage makes the program of a stage attempt known. It is read when the first task needs it.
func (r *Runner) AddStage(b protocol.StageBinary) error {
	r.mu.Lock()
	r.stages[b.Key] = &stage{binary: b}
	r.mu.Unlock()
	return nil
}

// Remove forgets a stage attempt or the cached blocks of a dataset.
func (r *Runner) Remove(m protocol.Remove) {
	switch m.Kind {
	case protocol.RemoveStage:
		r.mu.Lock()
		delete(r.stages, protocol.StageKey{Stage: m.ID, Attempt: m.Attempt})
		r.mu.Unlock()
	case protocol.RemoveDataset:
		r.store.Remove(m.ID)
	case protocol.RemoveBroadcast, protocol.RemoveShuffle:
		// The runner keeps neither.
	}
}

// Memory returns the runner's budget.
func (r *Runner) Memory() *Memory { return r.memory }

// Launch starts a task and returns at once.
func (r *Runner) Launch(desc protocol.TaskDesc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		cancel(nil)
		return
	}
	st := r.stages[desc.Stage]
	a := &attempt{desc: desc, cancel: cancel, ended: make(chan struct{})}
	r.running[desc.ID] = a
	r.wg.Add(1)
	r.mu.Unlock()
	go func() {
		defer r.wg.Done()
		if r.cfg.Reaper.Enabled && r.cfg.Reaper.Stacks {
			ctx = labelled(ctx, desc.ID)
		}
		res := r.run(ctx, st, a)
		cancel(nil)
		close(a.ended)
		r.mu.Lock()
		delete(r.running, desc.ID)
		res.Blocks, r.blocks = r.blocks, nil
		r.mu.Unlock()
		r.cfg.Report(res)
	}()
}

// Kill cancels a running task: its context ends, and between two batches it notices. It is reported as killed when it has ended. With a Reaper it
// is watched until then.
func (r *Runner) Kill(id int64, reason string) {
	r.mu.Lock()
	a := r.running[id]
	first := a != nil && !a.killed
	if first {
		a.killed = true
	}
	r.mu.Unlock()
	if a == nil {
		return
	}
	a.cancel(errKilled{reason})
	if first && r.cfg.Reaper.Enabled {
		go r.reap(a, reason)
	}
}

// AnswerCommit lets a task that asked go on. Tasks that have ended are ignored.
func (r *Runner) AnswerCommit(id int64, allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.commits[id]; c != nil {
		delete(r.commits, id)
		c <- allowed // has room
	}
}

// Close kills all tasks, waits for those that notice within the grace, and removes everything that the runner kept.
func (r *Runner) Close(grace time.Duration) {
	r.mu.Lock()
	if !r.closed {
		close(r.quit)
	}
	r.closed = true
	for _, a := range r.running {
		a.cancel(errKilled{"the executor is stopping"})
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(grace):
		slog.Warn("tasks are still running while the executor stops: user code should look at the task's context")
	}
	r.store.Close()
}

// run computes one task and turns whatever happens into its result.
func (r *Runner) run(ctx context.Context, st *stage, a *attempt) (res protocol.TaskResult) {
	desc := &a.desc
	res = protocol.TaskResult{ID: desc.ID, Stage: desc.Stage, Partition: desc.Partition}
	start := time.Now()
	mem := r.memory.Task()
	env := &shuffle.Env{
		Location: r.cfg.Location, Outputs: r.cfg.Outputs, Spills: r.cfg.Spills.Sub("task-" + strconv.FormatInt(desc.ID, 10)), Memory: mem, Floor: floor(r.memory.Total()),
		Compression: r.cfg.Compression, SpillCompression: r.cfg.SpillCompression, Key: r.cfg.Key, MaxBytesInFlight: r.cfg.MaxBytesInFlight, Fetcher: r.cfg.Fetcher, Metrics: &res.Metrics.Shuffle,
		RowsSoFar: &a.shuffled, Partition: desc.Partition,
	}
	lent := &taskRuntime{ctx: ctx, id: desc.ID, runner: r, stage: st, env: env, replicas: map[protocol.BlockID]*replica{}}
	for _, b := range desc.Replicas {
		lent.replicas[b.ID] = &replica{addrs: b.Addrs}
	}
	var task *rdd.Task
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicError(p)
			}
		}()
		if st == nil {
			return fmt.Errorf("task of stage %d attempt %d arrived before the stage's program", desc.Stage.Stage, desc.Stage.Attempt)
		}
		st.once.Do(func() { st.exe, st.err = rdd.DecodeProgram(st.binary.Program, r.cfg.Broadcasts) })
		if st.err != nil {
			return &programError{st.err}
		}
		if task, err = rdd.NewTask(ctx, lent, desc.Splits); err != nil {
			return err
		}
		task.Stage, task.StageAttempt, task.Partition, task.Attempt = desc.Stage.Stage, desc.Stage.Attempt, desc.Partition, desc.Attempt
		task.ID, task.Properties = desc.ID, st.binary.Properties
		a.task.Store(task)
		out, err := st.exe.Run(task)
		if err != nil {
			return err
		}
		if n := int64(len(out.Value)); r.cfg.MaxResult > 0 && n > r.cfg.MaxResult {
			return &resultError{n, r.cfg.MaxResult}
		}
		res.Value, res.Output = out.Value, out.Output
		for _, u := range out.Updates {
			res.Updates = append(res.Updates, protocol.AccumulatorUpdate(u))
		}
		return nil
	}()
	if task != nil {
		if ferr := finish(task, err != nil); err == nil {
			err = ferr
		}
		res.Metrics.RowsRead, res.Metrics.BytesRead = task.RowsRead, task.BytesRead
		res.Metrics.RowsWritten, res.Metrics.BytesWritten = task.RowsWritten, task.BytesWritten
		res.Metrics.CachedRead = task.CachedRead
	}
	_, res.Metrics.Shuffle.PeakMemory = mem.Close()
	if rerr := env.Spills.RemoveAll(); rerr != nil {
		slog.Warn("temporary files of a task are left", "error", rerr)
	}
	res.Metrics.Start, res.Metrics.Run, res.Metrics.ResultBytes = start, time.Since(start), int64(len(res.Value))
	classify(ctx, err, &res)
	if res.Outcome == protocol.Failed && r.cfg.Spills.Note(err) {
		res.Outcome = protocol.DiskFull
	}
	return res
}

// finish runs the task's clean-up; a panic in it fails the task like one in its rows.
func finish(t *rdd.Task, failed bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	t.Finish(failed)
	return nil
}

// classify says what an error means to the scheduler.
func classify(ctx context.Context, err error, res *protocol.TaskResult) {
	if err == nil {
		return
	}
	res.Value, res.Output, res.Updates = nil, nil, nil
	var fetch *shuffle.FetchError
	var killed errKilled
	switch {
	case errors.As(context.Cause(ctx), &killed):
		res.Outcome, res.Error = protocol.Killed, killed.Error()
	case errors.As(err, &fetch):
		res.Outcome, res.Error = protocol.FetchFailed, err.Error()
		res.Fetch = &protocol.FetchFailure{Shuffle: fetch.Shuffle, Map: fetch.Map, Reduce: fetch.Reduce, Location: fetch.Location, Message: err.Error()}
	case errors.Is(err, rdd.ErrCommitDenied):
		res.Outcome, res.Error = protocol.CommitDenied, err.Error()
	default:
		res.Outcome, res.Error = protocol.Failed, err.Error()
		var p rdd.PermanentError
		res.Permanent = errors.As(err, &p) && p.Permanent()
	}
}

// programError is that of a stage's program which cannot be read: all executors run one executable, and get the same bytes.
type programError struct{ error }

func (e *programError) Unwrap() error { return e.error }

// Permanent implements rdd.PermanentError.
func (*programError) Permanent() bool { return true }

// resultError says that the result of one task is more than the driver takes of all: it is not sent.
type resultError struct{ bytes, limit int64 }

func (e *resultError) Error() string {
	return fmt.Sprintf("the result of one task alone takes %d bytes, more than spark.driver.maxResultSize (%d bytes): write results to files, take fewer rows, or raise the limit", e.bytes, e.limit)
}

// Permanent implements rdd.PermanentError.
func (*resultError) Permanent() bool { return true }

// panicError is the error of a task whose code panicked, with the stack that leads to the user's line.
func panicError(p any) error {
	if a, ok := p.(rdd.Abort); ok {
		return a.Err
	}
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

// taskRuntime is what a task sees of the runner.
type taskRuntime struct {
	ctx    context.Context
	id     int64
	runner *Runner
	stage  *stage
	env    *shuffle.Env

	replicas map[protocol.BlockID]*replica // cached partitions that other executors keep
}

func (t *taskRuntime) Blocks() rdd.BlockStore { return t.runner.store }
func (t *taskRuntime) Shuffle() *shuffle.Env  { return t.env }

func (t *taskRuntime) MapOutputs(id int) ([]shuffle.Output, error) {
	outs, ok := t.stage.binary.Inputs[id]
	if !ok {
		return nil, &shuffle.FetchError{Shuffle: id, Map: -1, Err: errors.New("some were lost before the stage was sent, and a cached block in front of them since")}
	}
	return outs, nil
}

// MayCommit implements rdd.CommitRuntime.
func (t *taskRuntime) MayCommit() (bool, error) {
	r := t.runner
	if r.cfg.AskCommit == nil {
		return true, nil
	}
	answer := make(chan bool, 1)
	r.mu.Lock()
	r.commits[t.id] = answer
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.commits, t.id)
		r.mu.Unlock()
	}()
	r.cfg.AskCommit(t.id)
	select {
	case allowed := <-answer:
		return allowed, nil
	case <-t.ctx.Done():
		return false, context.Cause(t.ctx)
	}
}

// File implements rdd.FileRuntime.
func (t *taskRuntime) File(name string) (string, error) {
	if t.runner.cfg.File == nil {
		return "", &NoFileError{Name: name}
	}
	return t.runner.cfg.File(t.ctx, name)
}

func (t *taskRuntime) TempDir() (string, error) {
	return t.env.Spills.Place()
}
