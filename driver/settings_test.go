package driver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/sched"
)

// A setting that nothing reads would be accepted and silently do nothing.
func TestEverySettingIsRead(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"../driver", "../executor", "../rdd", "../io"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "conf/table.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "//") {
					code.WriteString(line + "\n")
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := []string{"spark.executorEnv."}
	for _, k := range conf.Keys {
		keys = append(keys, k.Name)
	}
	for _, k := range keys {
		// File systems ask for Hadoop's settings by Hadoop's names.
		if !strings.Contains(code.String(), `"`+k+`"`) && !strings.Contains(code.String(), `"`+strings.TrimPrefix(k, "spark.hadoop.")+`"`) {
			t.Errorf("nothing reads %s: read it, or move it to the absent settings of driver/conf/table.go with the reason", k)
		}
	}
}

// The scheduler's own defaults, which its scripts use, are those of the settings, and those are Spark 4's.
func TestSpeculationDefaults(t *testing.T) {
	set, err := schedulerSettings(conf.New(), master{cores: 1, hosts: 1})
	if err != nil || set.Speculation != sched.Defaults().Speculation {
		t.Errorf("%+v, %v, want %+v", set.Speculation, err, sched.Defaults().Speculation)
	}
	spark4 := sched.Speculation{Interval: 100 * time.Millisecond, Multiplier: 3, Quantile: 0.9, MinRuntime: 100 * time.Millisecond, Slots: 1, Efficiency: true, RateMultiplier: 0.75, LongRunFactor: 2}
	if set.Speculation != spark4 {
		t.Errorf("%+v, want %+v", set.Speculation, spark4)
	}
	own := conf.New()
	for key, value := range map[string]string{
		"spark.speculation": "true", "spark.speculation.interval": "1s", "spark.speculation.multiplier": "2", "spark.speculation.quantile": "0.5", "spark.speculation.minTaskRuntime": "2s",
		"spark.speculation.task.duration.threshold": "3s", "spark.speculation.efficiency.enabled": "false", "spark.speculation.efficiency.processRateMultiplier": "0.25",
		"spark.speculation.efficiency.longRunTaskFactor": "4", "spark.task.cpus": "2",
	} {
		if err := own.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	want := sched.Speculation{Enabled: true, Interval: time.Second, Multiplier: 2, Quantile: 0.5, MinRuntime: 2 * time.Second, Threshold: 3 * time.Second, Slots: 3, RateMultiplier: 0.25, LongRunFactor: 4}
	if set, err = schedulerSettings(own, master{cores: 7, hosts: 1}); err != nil || set.Speculation != want {
		t.Errorf("%+v, %v, want %+v", set.Speculation, err, want)
	}
}

// A job that is cancelled on its way to the loop does not begin.
func TestCancelledOnItsWay(t *testing.T) {
	c := New(Master("local[1]"))
	defer c.Stop()
	j := &job{id: 1 << 20, properties: map[string]string{groupProperty: "g"}, wake: make(chan struct{}, 1)}
	release, err := c.track(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	c.CancelJobGroup("g")
	c.submit(j)
	<-j.wake
	if _, done, err := j.next(); !done || !errors.Is(err, ErrCancelled) {
		t.Errorf("done %v with %v", done, err)
	}
}

func TestMasters(t *testing.T) {
	settings := conf.New()
	for key, value := range map[string]string{"spark.executor.instances": "5", "spark.executor.cores": "3", "spark.executor.memory": "2g"} {
		if err := settings.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	all := cores(0)
	for _, c := range []struct {
		text string
		want master
	}{
		{"", master{local: true, cores: all, failures: 1}},
		{"local", master{local: true, cores: 1, failures: 1}},
		{"local[4]", master{local: true, cores: 4, failures: 1}},
		{"local[*]", master{local: true, cores: all, failures: 1}},
		{" local[ 4 , 3 ] ", master{local: true, cores: 4, failures: 3}},
		{"local[*,2]", master{local: true, cores: all, failures: 2}},
		{"local-cluster[3,2,1g]", master{hosts: 3, cores: 2, memory: 1 << 30}},
		{"local-cluster[ 1 , 1 , 512 ]", master{hosts: 1, cores: 1, memory: 512 << 20}},
		{"local-cluster", master{hosts: 5, cores: 3, memory: 2 << 30}},
	} {
		if got, err := parseMaster(c.text, settings); err != nil || got != c.want {
			t.Errorf("%q: %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"local[0]": "at least 1", "local[2,0]": "at least 1", "local[-1]": "write local", "local[two]": "write local", "yarn": "write local",
		"spark://host:7077": "write local", "local-cluster[0,1,1g]": "at least 1", "local-cluster[1,1,1m]": "64m", "local-cluster[1,1,1x]": "size",
		"local-cluster[1,1]": "local-cluster[3,2,1g]", "Local": "write local",
	} {
		if _, err := parseMaster(text, settings); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v does not hold %q", text, err, want)
		}
	}
}
