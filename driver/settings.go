package driver

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/sched"
)

// fileSystemSettings are the settings that were given for file systems.
func fileSystemSettings(c *conf.Conf) map[string]string {
	set := map[string]string{}
	for _, s := range c.Settings() {
		set[s.Key] = s.Value
	}
	return set
}

// schedulerSettings turns the configuration into the scheduler's rules.
func schedulerSettings(c *conf.Conf, m master) (sched.Settings, error) {
	set := sched.Settings{
		MaxTaskFailures:   c.Int("spark.task.maxFailures"),
		MaxStageAttempts:  c.Int("spark.stage.maxConsecutiveAttempts"),
		CPUs:              c.Int("spark.task.cpus"),
		StarvationWarning: sched.Defaults().StarvationWarning,
		Rollback:          c.Bool("spark.shuffle.rollbackOnChangedOutput"),
		Speculation: sched.Speculation{
			Enabled:    c.Bool("spark.speculation"),
			Interval:   c.Duration("spark.speculation.interval"),
			Multiplier: c.Float("spark.speculation.multiplier"),
			Quantile:   c.Float("spark.speculation.quantile"),
			MinRuntime: c.Duration("spark.speculation.minTaskRuntime"),

			Threshold: c.Duration("spark.speculation.task.duration.threshold"),
			Slots:     max(m.cores/max(c.Int("spark.task.cpus"), 1), 1),

			Efficiency:     c.Bool("spark.speculation.efficiency.enabled"),
			RateMultiplier: c.Float("spark.speculation.efficiency.processRateMultiplier"),
			LongRunFactor:  c.Float("spark.speculation.efficiency.longRunTaskFactor"),
		},
		Exclusion: sched.Exclusion{
			Enabled:           c.Bool("spark.excludeOnFailure.enabled"),
			TaskPerExecutor:   c.Int("spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor"),
			TaskPerNode:       c.Int("spark.excludeOnFailure.task.maxTaskAttemptsPerNode"),
			StagePerExecutor:  c.Int("spark.excludeOnFailure.stage.maxFailedTasksPerExecutor"),
			StagePerNode:      c.Int("spark.excludeOnFailure.stage.maxFailedExecutorsPerNode"),
			AppPerExecutor:    c.Int("spark.excludeOnFailure.application.maxFailedTasksPerExecutor"),
			AppPerNode:        c.Int("spark.excludeOnFailure.application.maxFailedExecutorsPerNode"),
			Timeout:           c.Duration("spark.excludeOnFailure.timeout"),
			UnschedulableTime: c.Duration("spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout"),
		},
	}
	set.Barrier = sched.Barrier{
		Timeout:       c.Duration("spark.barrier.sync.timeout"),
		CheckInterval: c.Duration("spark.scheduler.barrier.maxConcurrentTasksCheck.interval"),
		CheckFailures: c.Int("spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures"),
		MaxSlots:      max(m.hosts, 1) * (m.cores / max(set.CPUs, 1)),
		// Half of a message, so that the rest of it fits as well.
		MaxGather: min(sched.MaxGather, c.Int("spark.rpc.message.maxSize")<<19),
	}
	if m.local {
		set.MaxTaskFailures = m.failures
	}
	set.LocalityWaitProcess, set.LocalityWaitNode = c.Duration("spark.locality.wait"), c.Duration("spark.locality.wait")
	if c.IsSet("spark.locality.wait.process") {
		set.LocalityWaitProcess = c.Duration("spark.locality.wait.process")
	}
	if c.IsSet("spark.locality.wait.node") {
		set.LocalityWaitNode = c.Duration("spark.locality.wait.node")
	}
	if cores := m.cores; set.CPUs > cores {
		return set, fmt.Errorf("spark.task.cpus is %d, but executors have %d cores: no task could ever run", set.CPUs, cores)
	}
	if c.Get("spark.scheduler.mode") == "FAIR" {
		set.Mode = sched.FAIR
	}
	path := c.Get("spark.scheduler.allocation.file")
	if path == "" {
		return set, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return set, fmt.Errorf("read spark.scheduler.allocation.file: %w", err)
	}
	defer f.Close()
	if set.Pools, err = sched.ParsePools(f); err != nil {
		return set, fmt.Errorf("read spark.scheduler.allocation.file %s: %w", path, err)
	}
	return set, nil
}

// Setting implements rdd.Session. Sizes come as a number of bytes, whichever unit they were given in.
func (c *Context) Setting(key string) string {
	for i := range conf.Keys {
		if k := &conf.Keys[i]; k.Name == key && k.Kind == conf.Bytes {
			return strconv.FormatInt(c.conf.Bytes(key), 10)
		}
	}
	return c.conf.Get(key)
}
