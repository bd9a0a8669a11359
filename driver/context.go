package driver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/host"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// Context is a running application: it makes datasets, runs their jobs and owns the executors. It implements rdd.Session. A process
// may have several; each is stopped on its own.
type Context struct {
	conf      *conf.Conf
	master    master
	appID     string
	roots     []*host.Root // the application's private directories, one in each directory of spark.local.dir, removed by Stop
	dirs      []string     // of roots
	dir       string       // the first of them
	backend   cluster.Backend
	loop      *loop
	events    eventBus
	maxResult int64
	spread    bool // map outputs lie on several hosts' own disks
	started   time.Time
	err       error // why the context cannot run jobs

	datasetIDs, shuffleIDs, variableIDs, jobIDs atomic.Int64

	mu           sync.Mutex
	accumulators map[int]func([]byte) error
	broadcasts   map[int]*broadcast
	groups       map[*job]trackedJob
	endedGroups  []string               // that were cancelled with their future jobs, the last one last
	files        map[string]*sharedFile // by name; fixed at the start
	keeping      *keeping               // for another run; nil if nothing is kept
	lastJob      jobEnd

	stopOnce    sync.Once
	interrupted atomic.Bool // by a signal that will end the process
	stopped     chan struct{}
	closers     []func()
	progress    *progressBar // nil without a terminal
}

var _ rdd.Session = (*Context)(nil)

// Option sets up a Context.
type Option func(*conf.Conf) error

// Name names the application (spark.app.name).
func Name(name string) Option { return Set("spark.app.name", name) }

// Master says where tasks run (spark.master): "local", "local[4]", "local[*]", "local[4,3]" (3 tries a task) in this process;
// "local-cluster[3,2,1g]" in three processes with two cores and one gibibyte each. The empty string leaves it to spark-go submit,
// or local[*].
func Master(m string) Option {
	if m == "" {
		return func(*conf.Conf) error { return nil }
	}
	return Set("spark.master", m)
}

// Set sets a configuration key, such as spark.executor.memory to 2g. Values set in code go before those of spark-go submit.
func Set(key, value string) Option {
	return func(c *conf.Conf) error { return c.Set(key, value) }
}

// New starts an application. In an executor's process it serves tasks and does not return: a program calls it after reading its
// flags and before anything else.
//
// What is wrong with the settings, or with starting the executors, does not stop the program here: it is what every action returns,
// and what Err tells. Call Stop when done.
func New(options ...Option) *Context {
	Serve()
	c, err := start(options)
	if err != nil {
		c.err = err
		c.Stop()
	}
	return c
}

// Err tells why the context cannot run jobs; nil if it can.
func (c *Context) Err() error { return c.err }

func start(options []Option) (*Context, error) {
	c := &Context{
		started: time.Now(), accumulators: map[int]func([]byte) error{}, broadcasts: map[int]*broadcast{}, groups: map[*job]trackedJob{},
		stopped: make(chan struct{}), conf: conf.New(),
	}
	settings, err := conf.Load()
	if err != nil {
		return c, err
	}
	c.conf = settings
	var errs []error
	for _, o := range options {
		errs = append(errs, o(settings))
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	if err := settings.Check(); err != nil {
		return c, err
	}
	executor.SetLogLevel(settings.Get("spark.log.level"))
	filesys.Configure(fileSystemSettings(settings))
	if c.master, err = parseMaster(settings.Get("spark.master"), settings); err != nil {
		return c, err
	}
	c.maxResult = settings.Bytes("spark.driver.maxResultSize")
	set, err := schedulerSettings(settings, c.master)
	if err != nil {
		return c, err
	}
	if c.files, err = shareFiles(settings.Get("spark.files")); err != nil {
		return c, err
	}
	if c.roots, err = makeAppDirs(settings.Get("spark.local.dir")); err != nil {
		return c, err
	}
	for _, r := range c.roots {
		c.dirs = append(c.dirs, r.Dir)
	}
	c.dir = c.dirs[0]
	c.appID = filepath.Base(c.dir)
	if c.keeping, err = keep(c); err != nil {
		return c, err
	}
	c.spread = !c.master.local && c.master.hosts > 1 && !settings.Bool("spark.shuffle.readHostLocalDisk")
	backend, err := newBackend(c)
	if err != nil {
		return c, err
	}
	c.backend, c.loop = backend, newLoop(c, set)
	go c.loop.run()
	c.startProgress()
	if settings.Bool("spark.driver.handleSignals") {
		c.watchSignals()
	}
	if err := c.startBackend(); err != nil {
		return c, err
	}
	return c, nil
}

// Stop ends all jobs with ErrStopped, the executors and everything that belongs to them, and removes the application's files.
//
// It may be called more than once. After an interrupt it does not return: the process is about to end by the signal, and a main
// function that went on would end it with another status.
func (c *Context) Stop() {
	c.stop()
	if c.interrupted.Load() {
		time.Sleep(time.Second)
	}
}

func (c *Context) stop() {
	c.stopOnce.Do(func() {
		well := c.endsWell()
		close(c.stopped)
		if c.loop != nil {
			done := make(chan struct{})
			c.loop.queue.put(stopLoop{done})
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				slog.Warn("the driver's loop did not end in time")
			}
		}
		if c.backend != nil {
			c.backend.Stop()
		}
		for _, f := range c.closers {
			f()
		}
		c.keeping.close(well)
		for _, r := range c.roots {
			if err := r.Remove(); err != nil {
				slog.Warn("files of the application are left", "error", err)
			}
		}
	})
}

// AddListener has l told of every event from now on.
func (c *Context) AddListener(l Listener) { c.events.add(l) }

// ApplicationID names this run.
func (c *Context) ApplicationID() string { return c.appID }

// ApplicationName is spark.app.name, or the name of the program's executable.
func (c *Context) ApplicationName() string {
	if c.conf != nil {
		if name := c.conf.Get("spark.app.name"); name != "" {
			return name
		}
	}
	return filepath.Base(os.Args[0])
}

// submit gives a job to the loop; false if the context was stopped.
func (c *Context) submit(j *job) bool {
	select {
	case <-c.stopped:
		return false
	default:
		c.loop.queue.put(j)
		return true
	}
}

// NextDatasetID implements rdd.Session.
func (c *Context) NextDatasetID() int { return int(c.datasetIDs.Add(1)) - 1 }

// NextShuffleID implements rdd.Session.
func (c *Context) NextShuffleID() int { return int(c.shuffleIDs.Add(1)) - 1 }

// NextVariableID implements rdd.Session.
func (c *Context) NextVariableID() int { return int(c.variableIDs.Add(1)) - 1 }

// DefaultPartitions implements rdd.Session: spark.default.parallelism, 0 if it is not set.
func (c *Context) DefaultPartitions() int { return c.conf.Int("spark.default.parallelism") }

// Register implements rdd.Session.
func (c *Context) Register(id int, merge func([]byte) error) {
	c.mu.Lock()
	c.accumulators[id] = merge
	c.mu.Unlock()
}

func (c *Context) mergeUpdate(u protocol.AccumulatorUpdate) {
	c.mu.Lock()
	merge := c.accumulators[u.ID]
	c.mu.Unlock()
	if merge == nil {
		return
	}
	// The merge function is the user's: its panic must not take the driver down.
	defer func() {
		if p := recover(); p != nil {
			slog.Error("merging an accumulator panicked", "accumulator", u.ID, "panic", p)
		}
	}()
	if err := merge(u.Value); err != nil {
		slog.Error("an accumulator's update was lost", "error", err)
	}
}

// Unpersist implements rdd.Session.
func (c *Context) Unpersist(ctx context.Context, dataset int, wait bool) error {
	if c.err != nil {
		return c.err
	}
	c.backend.Remove(protocol.Remove{Kind: protocol.RemoveDataset, ID: dataset})
	c.loop.call(func() { c.loop.forgetDataset(dataset) })
	return nil
}

func cores(n int) int {
	if n <= 0 {
		return runtime.NumCPU()
	}
	return n
}
