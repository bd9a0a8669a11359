package executor

import (
	"time"

	"github.com/spark-go/spark-go/executor/host"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/io/filesys"
)

// jobRunner is a Runner in a job process.
type jobRunner struct {
	*Runner
	broadcasts *broadcasts
}

// NewJobRunner makes the runner of a job process: what driver.New gives to host.MaybeServe.
func NewJobRunner(c host.RunnerConfig) (host.Runner, error) {
	TuneGC()
	SetLogLevel(c.Settings["spark.log.level"])
	filesys.Configure(c.Settings)
	cfg := Settings(c.Settings)
	cfg.Memory = Share(c.MemoryBytes, c.Settings)
	cfg.Location = c.Location
	cfg.Outputs, cfg.Spills = c.Outputs, c.Spills
	cfg.Fetcher = c.Fetcher
	var err error
	if cfg.Key, err = FileKey(c.Settings, c.Secret); err != nil {
		return nil, err
	}
	b := newBroadcasts(c.Client, c.Settings[DriverBlocks])
	cfg.Broadcasts = b
	cfg.File = newFiles(c.Client, c.Settings[DriverBlocks], c.Spills.Sub("files")).get
	cfg.OpenBlock = c.Client.Open
	cfg.Report = c.Report
	cfg.Updates = c.Updates
	cfg.AskCommit = c.AskCommit
	cfg.AskBarrier = c.AskBarrier
	cfg.EndProcess = c.EndProcess
	r, err := NewRunner(cfg)
	if err != nil {
		return nil, err
	}
	r.memory.watchHeap(c.MemoryBytes)
	return &jobRunner{r, b}, nil
}

// Remove forgets a stage attempt, the blocks of a dataset, or a broadcast.
func (j *jobRunner) Remove(m protocol.Remove) {
	if m.Kind == protocol.RemoveBroadcast {
		j.broadcasts.remove(m.ID)
		return
	}
	j.Runner.Remove(m)
}

// Close ends all tasks.
func (j *jobRunner) Close() error {
	j.Runner.Close(time.Second)
	return nil
}
