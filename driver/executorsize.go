package driver

import (
	"github.com/spark-go/spark-go/executor"
)

// ExecutorSize implements rdd.ExecutorSizer.
func (c *Context) ExecutorSize() (memory int64, tasks int) {
	if c.err != nil || c.master.local {
		return 0, 1
	}
	fraction := map[string]string{"spark.memory.fraction": c.Setting("spark.memory.fraction")}
	return executor.Share(c.master.memory, fraction), max(1, c.master.cores/max(1, c.conf.Int("spark.task.cpus")))
}
