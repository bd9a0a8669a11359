package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

func newBackend(c *Context) (cluster.Backend, error) {
	if !c.master.local {
		return newClusterBackend(c)
	}
	b, err := newLocalBackend(c)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// startBackend starts the executors and feeds what they report to the loop.
func (c *Context) startBackend() error {
	ctx, cancel := context.WithCancel(context.Background())
	c.closers = append(c.closers, cancel)
	return c.backend.Start(ctx, c.onCluster)
}

// onCluster hands what executors report to the loop.
func (c *Context) onCluster(e cluster.Event) {
	switch e := e.(type) {
	case cluster.TaskResults:
		c.loop.queue.put(results{e.Executor, e.Results})
	case cluster.CommitAsked:
		c.loop.queue.put(sched.CommitAsked{Task: sched.TaskID(e.Task)})
	case cluster.BarrierReached:
		r := e.Request
		c.loop.queue.put(sched.BarrierReached{Task: sched.TaskID(r.ID), Round: r.Round, Gather: r.Gather, Message: r.Message})
	case cluster.BlockUpdates:
		c.loop.queue.put(blockUpdates{e.Executor, e.Updates})
	case cluster.ExecutorAdded, cluster.DecommissionAsked, cluster.Copied:
		c.loop.queue.put(e)
	case cluster.ExecutorLost:
		what := "lost"
		if e.Decommissioned {
			what = "decommissioned"
		}
		c.loop.queue.put(sched.ExecutorLost{Executor: e.Executor, Reason: fmt.Errorf("executor %s was %s: %s", e.Executor, what, c.loop.redact(e.Reason)), OutputsLost: e.OutputsLost, Fault: e.Fault})
	case cluster.HostLost:
		c.loop.queue.put(sched.HostLost{Host: e.Host, Reason: fmt.Errorf("host %s was lost: %s", e.Host, c.loop.redact(e.Reason))})
	case cluster.Failed:
		c.loop.queue.put(noExecutors{c.loop.shown(e.Err)})
	case cluster.Log:
		slog.Log(context.Background(), slog.Level(e.Level), c.loop.redact(e.Text), "from", e.From)
	case cluster.Heartbeat:
		if c.loop.wantsProgress && len(e.Rows) == len(e.Running) && len(e.Rows) > 0 {
			p := sched.Progress{Tasks: make([]sched.TaskProgress, len(e.Rows))}
			for i, rows := range e.Rows {
				p.Tasks[i] = sched.TaskProgress{Task: sched.TaskID(e.Running[i]), Rows: rows}
			}
			c.loop.queue.put(p)
		}
	}
}

// changeCluster is for tests that put executors elsewhere than settings can.
var changeCluster func(*cluster.Config)

// newClusterBackend makes executors in processes of their own on this machine. The driver serves the values of broadcasts to them.
func newClusterBackend(c *Context) (cluster.Backend, error) {
	settings := map[string]string{}
	for _, s := range c.conf.Settings() {
		settings[s.Key] = s.Value
	}
	maps.Copy(settings, executorSettings(c))
	config := cluster.Config{
		App: c.ApplicationName(), Executors: c.master.hosts, Cores: c.master.cores, Memory: c.master.memory, Settings: settings,
		Heartbeat: c.conf.Duration("spark.executor.heartbeatInterval"), Timeout: c.conf.Duration("spark.network.timeout"),
		MaxFrame: c.conf.Int("spark.rpc.message.maxSize") << 20, LocalDir: c.dir, MoreDirs: c.dirs[1:], Orphan: []string{c.dir},
		SharedDisk: c.conf.Bool("spark.shuffle.readHostLocalDisk"), Bind: c.conf.Get("spark.driver.bindAddress"), Encrypt: c.conf.Bool("spark.network.crypto.enabled"),
		Redact: c.conf.Redactor(),
	}
	if config.Bind != "" && net.ParseIP(config.Bind) == nil {
		return nil, fmt.Errorf("spark.driver.bindAddress %q: write an IP address of this machine", config.Bind)
	}
	if changeCluster != nil {
		changeCluster(&config)
	}
	local := cluster.NewLocal(config)
	addr, err := local.Address("blocks")
	if err != nil {
		return nil, fmt.Errorf("start local-cluster: %w", err)
	}
	server, err := blocks.Serve(addr, local.Secret(), blocks.ServerConfig{Provider: driverBlocks{c}, Files: c.keeping.files()})
	if err != nil {
		return nil, fmt.Errorf("serve broadcasts and files: %w", err)
	}
	c.closers = append(c.closers, func() { _ = server.Close() })
	settings[executor.DriverBlocks] = server.Addr()
	c.keeping.placeAt(func() shuffle.Location { return shuffle.Location{Host: local.Disk(), Addr: server.Addr()} })
	return local, nil
}

// executorSettings are the settings that executors heed, as they read them.
func executorSettings(c *Context) map[string]string {
	settings := map[string]string{}
	for _, key := range executor.SettingKeys {
		settings[key] = c.Setting(key)
	}
	for _, key := range []string{"spark.task.reaper.pollingInterval", "spark.task.reaper.killTimeout"} {
		settings[key] = c.conf.Duration(key).String()
	}
	return settings
}

// localBackend runs tasks in the driver's own process: executor "driver" on this host.
type localBackend struct {
	ctx    *Context
	runner *executor.Runner
	dirs   *disk.Dirs // of map outputs
	handle func(cluster.Event)
}

const localExecutor = "driver"

func newLocalBackend(c *Context) (*localBackend, error) {
	dirs := disk.New(c.dirs...)
	b := &localBackend{ctx: c, dirs: dirs.Sub("shuffle")}
	settings := executorSettings(c)
	cfg := executor.Settings(settings)
	var err error
	if cfg.Key, err = executor.FileKey(settings, protocol.NewSecret()); err != nil {
		return nil, err
	}
	cfg.Memory = executor.Share(c.conf.Bytes("spark.driver.memory"), settings)
	cfg.Location = shuffle.Location{Executor: localExecutor, Host: c.appID, Dir: b.dirs.Paths()[0]}
	cfg.Outputs, cfg.Spills = b.dirs, dirs
	cfg.Broadcasts = c
	cfg.File = c.taskFile
	cfg.Report = func(r protocol.TaskResult) {
		b.handle(cluster.TaskResults{Executor: localExecutor, Results: []protocol.TaskResult{r}})
	}
	cfg.AskCommit = func(id int64) { b.handle(cluster.CommitAsked{Executor: localExecutor, Task: id}) }
	cfg.AskBarrier = func(m protocol.BarrierRequest) {
		b.handle(cluster.BarrierReached{Executor: localExecutor, Request: m})
	}
	executor.TuneGC()
	if b.runner, err = executor.NewRunner(cfg); err != nil {
		return nil, err
	}
	c.keeping.placeAt(func() shuffle.Location { return cfg.Location })
	return b, nil
}

func (b *localBackend) Start(_ context.Context, handle func(cluster.Event)) error {
	b.handle = handle
	handle(cluster.ExecutorAdded{Executor: localExecutor, Host: b.ctx.appID, Cores: b.ctx.master.cores})
	return nil
}

func (b *localBackend) SendStage(_ string, s *protocol.StageBinary) error {
	return b.runner.AddStage(*s)
}

func (b *localBackend) Launch(_ string, tasks []protocol.TaskDesc) error {
	for _, t := range tasks {
		b.runner.Launch(t)
	}
	return nil
}

func (b *localBackend) Kill(_ string, task int64, reason string) error {
	b.runner.Kill(task, reason)
	return nil
}

func (b *localBackend) AnswerCommit(_ string, task int64, allowed bool) error {
	b.runner.AnswerCommit(task, allowed)
	return nil
}

func (b *localBackend) AnswerBarrier(_ string, m protocol.BarrierAnswer) error {
	b.runner.AnswerBarrier(m)
	return nil
}

func (b *localBackend) Remove(r protocol.Remove) {
	if r.Kind == protocol.RemoveShuffle {
		for _, dir := range b.dirs.Paths() {
			_ = shuffle.RemoveShuffle(dir, r.ID)
		}
		return
	}
	b.runner.Remove(r)
}

// Nothing is decommissioned here: the context refuses.

func (b *localBackend) Decommission(string, string) {}

func (b *localBackend) Copy(string, *protocol.Copy) error { return errors.ErrUnsupported }

func (b *localBackend) Release(string, string) {}

func (b *localBackend) Stop() { b.runner.Close(2 * time.Second) }
