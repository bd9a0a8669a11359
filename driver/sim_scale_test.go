package driver

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/rdd"
)

// decisions times, in processor time, what the driver does with the end of a task: scheduler, bookkeeping, the result and the launch of another task. It is more
// than the scheduler's decision.
type decisions struct {
	now          func() time.Duration // processor time
	count, tasks int64
	total        time.Duration // with the messages
	longest      time.Duration
	histogram    [200]int64 // by the logarithm
}

// drain is loop.drain with a watch in the hand.
func (d *decisions) drain(l *loop) bool {
	l.queue.mu.Lock()
	items := l.queue.items
	l.queue.items = nil
	l.queue.mu.Unlock()
	for _, item := range items {
		start := d.now()
		l.take(item)
		took := d.now() - start
		d.total += took
		if r, ok := item.(results); ok {
			d.count++
			d.tasks += int64(len(r.tasks))
			d.longest = max(d.longest, took)
			d.histogram[min(int(8*math.Log2(float64(max(took, 1)))), len(d.histogram)-1)]++
		}
	}
	start := d.now()
	l.flush()
	d.total += d.now() - start
	return len(items) > 0
}

// percentile is the upper end of the step of the histogram that holds it: at most 9 % too long.
func (d *decisions) percentile(p float64) time.Duration {
	n := int64(0)
	for i, c := range d.histogram {
		if n += c; float64(n) >= p*float64(d.count) {
			return time.Duration(math.Pow(2, float64(i+1)/8))
		}
	}
	return d.longest
}

func (d *decisions) mean() time.Duration { return d.total / time.Duration(max(d.tasks, 1)) }

// simulateScale runs one job of many tasks on many executors, of which some die.
func simulateScale(executors, tasks int) (*decisions, error) {
	s := emptySimulation(1)
	s.w.fast = true
	s.heartbeat, s.timeout = 10*time.Second, 120*time.Second
	s.cores = 4
	s.clock = &decisions{now: cpuClock()}
	s.chaos = 20 * time.Second
	s.faults = simFaults{kills: 5, hostKills: 1, taskFails: 0.001}
	s.connect(executors, cluster.Config{MaxHostLosses: executors})
	s.describe(rand.New(rand.NewPCG(1, 1)))
	d := rdd.Range(s.ctx, 0, int64(tasks), 1, tasks)
	s.datasets = []rdd.RDD[rdd.Pair[int64, int64]]{rdd.Map(d, simPair)}
	s.toSubmit = 1
	return s.clock, s.run()
}

// TestSimulatedScale holds the driver to 20 µs of processor time a task on 10,000 executors, on average. Few take longer: the garbage collector's share and
// the end of the stage.
func TestSimulatedScale(t *testing.T) {
	executors, tasks := 200, 5000
	if os.Getenv("SPARK_GO_SLOW") != "" {
		executors, tasks = 10_000, 1_000_000
	} else {
		t.Log("200 executors and 5,000 tasks; with SPARK_GO_SLOW=1 10,000 and 1,000,000")
	}
	quiet(t)
	d, err := simulateScale(executors, tasks)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d ends of tasks: mean with messages %v, median %v, 95 %% %v, 99 %% %v, 99.9 %% %v, longest %v", d.tasks, d.mean(), d.percentile(0.5), d.percentile(0.95), d.percentile(0.99), d.percentile(0.999), d.longest)
	const limit = 20 * time.Microsecond
	if os.Getenv("SPARK_GO_SLOW") != "" && d.mean() > limit {
		t.Errorf("a task costs the driver %v on average, want at most %v", d.mean(), limit)
	}
}

// BenchmarkSimulatedDriver is what a task costs the whole driver: loop, scheduler, roster and messages.
func BenchmarkSimulatedDriver(b *testing.B) {
	quiet(b)
	for b.Loop() {
		d, err := simulateScale(10_000, 1_000_000)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(d.mean().Nanoseconds()), "ns/task")
		b.ReportMetric(float64(d.percentile(0.99).Nanoseconds()), "p99-ns")
	}
}
