package driver

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/driver/conf"
)

// master is a parsed spark.master.
type master struct {
	local    bool
	cores    int // a process; 0 means all of the machine
	failures int // local: tries a task
	hosts    int // local-cluster
	memory   int64
}

var (
	localMaster   = regexp.MustCompile(`^local(?:\[\s*(\*|\d+)\s*(?:,\s*(\d+)\s*)?\])?$`)
	clusterMaster = regexp.MustCompile(`^local-cluster(?:\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\w+)\s*\])?$`)
)

// parseMaster reads local, local[N], local[*], local[N,F] and local-cluster[n,cores,mem]; local-cluster alone is as large as the
// settings of executors say.
func parseMaster(s string, settings *conf.Conf) (master, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		s = "local[*]"
	}
	if m := localMaster.FindStringSubmatch(s); m != nil {
		res := master{local: true, cores: 1, failures: 1}
		if m[1] == "*" {
			res.cores = cores(0)
		} else if m[1] != "" {
			res.cores, _ = strconv.Atoi(m[1])
		}
		if m[2] != "" {
			res.failures, _ = strconv.Atoi(m[2])
		}
		if res.cores < 1 || res.failures < 1 {
			return master{}, fmt.Errorf("spark.master %q: cores and tries are at least 1", s)
		}
		return res, nil
	}
	if m := clusterMaster.FindStringSubmatch(s); m != nil {
		res := master{}
		if m[1] == "" {
			return master{hosts: settings.Int("spark.executor.instances"), cores: settings.Int("spark.executor.cores"), memory: settings.Bytes("spark.executor.memory")}, nil
		}
		res.hosts, _ = strconv.Atoi(m[1])
		res.cores, _ = strconv.Atoi(m[2])
		mem := m[3]
		if _, err := strconv.Atoi(mem); err == nil {
			mem += "m" // Spark's unit here
		}
		var err error
		if res.memory, err = conf.ParseBytes(mem); err != nil {
			return master{}, fmt.Errorf("spark.master %q: %w", s, err)
		}
		if res.hosts < 1 || res.cores < 1 || res.memory < 64<<20 {
			return master{}, fmt.Errorf("spark.master %q: at least 1 executor, 1 core and 64m of memory", s)
		}
		return res, nil
	}
	return master{}, fmt.Errorf("spark.master %q: write local, local[N], local[*], local[N,tries], local-cluster[executors,cores,memory], such as local-cluster[3,2,1g], or local-cluster for what spark.executor.instances, .cores and .memory say", s)
}
