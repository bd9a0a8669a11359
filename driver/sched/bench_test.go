package sched

import (
	"fmt"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
)

// benchNode is a dataset without parents.
type benchNode int

func (n benchNode) ID() int            { return 0 }
func (n benchNode) Partitions() int    { return int(n) }
func (n benchNode) Edges() []plan.Edge { return nil }
func (n benchNode) String() string     { return "d" }

// cluster makes a scheduler with executors on hosts of ten.
func cluster(set Settings, executors, cores int) *Scheduler {
	s := New(set)
	for i := range executors {
		s.Handle(time.Unix(0, 0), ExecutorAdded{Executor: fmt.Sprintf("e%d", i), Host: fmt.Sprintf("h%d", i/10), Cores: cores})
	}
	return s
}

// runJob runs a job of empty tasks, each reported as soon as it is the oldest that runs.
func runJob(b *testing.B, s *Scheduler, tasks int, prefer func(*plan.Stage, int) []Place) {
	now := time.Unix(0, 0)
	running := make([]TaskID, 0, tasks)
	finished := false
	act := func(actions []Action) {
		for _, a := range actions {
			switch a := a.(type) {
			case LaunchTask:
				running = append(running, a.Task)
			case JobFinished:
				finished = a.Err == nil
			}
		}
	}
	act(s.Handle(now, JobSubmitted{Job: 1, Plan: plan.New(benchNode(tasks), plan.Options{}), Prefer: prefer}))
	for i := 0; i < len(running); i++ {
		now = now.Add(time.Microsecond)
		act(s.Handle(now, TaskFinished{Task: running[i]}))
	}
	if !finished || len(running) != tasks {
		b.Fatalf("the job has not finished: %d of %d tasks ran", len(running), tasks)
	}
}

func benchmarkJob(b *testing.B, set Settings, executors, cores, tasks int, prefer func(*plan.Stage, int) []Place) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s := cluster(set, executors, cores)
		b.StartTimer()
		runJob(b, s, tasks, prefer)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tasks), "ns/task")
}

func scattered(executors int) func(*plan.Stage, int) []Place {
	places := make([][]Place, executors)
	for i := range places {
		places[i] = []Place{{Executor: fmt.Sprintf("e%d", i)}, {Host: fmt.Sprintf("h%d", (i*7+3)%executors/10)}}
	}
	return func(_ *plan.Stage, p int) []Place { return places[p*31%executors] }
}

// A decision is the end of one task and the launch of the next.
func BenchmarkEmptyTasks(b *testing.B) {
	fair := Defaults()
	fair.Mode = FAIR
	watched := Defaults()
	watched.Speculation.Enabled = true
	watched.Exclusion.Enabled = true
	b.Run("10k tasks, 2 executors", func(b *testing.B) { benchmarkJob(b, Defaults(), 2, 1, 10_000, nil) })
	b.Run("10k tasks, 100 executors", func(b *testing.B) { benchmarkJob(b, Defaults(), 100, 4, 10_000, nil) })
	b.Run("10k tasks, 100 executors, fair", func(b *testing.B) { benchmarkJob(b, fair, 100, 4, 10_000, nil) })
	b.Run("10k tasks, 100 executors, speculation and exclusion", func(b *testing.B) { benchmarkJob(b, watched, 100, 4, 10_000, nil) })
	b.Run("10k tasks, 100 executors, preferences", func(b *testing.B) { benchmarkJob(b, Defaults(), 100, 4, 10_000, scattered(100)) })
	b.Run("1M tasks, 10k executors", func(b *testing.B) { benchmarkJob(b, Defaults(), 10_000, 4, 1_000_000, nil) })
	b.Run("1M tasks, 10k executors, preferences", func(b *testing.B) { benchmarkJob(b, Defaults(), 10_000, 4, 1_000_000, scattered(10_000)) })
}

// BenchmarkConcurrentJobs shares the slots of a cluster among many jobs with pending tasks.
func BenchmarkConcurrentJobs(b *testing.B) {
	for _, mode := range []Mode{FIFO, FAIR} {
		b.Run(mode.String(), func(b *testing.B) {
			const jobs, tasks = 100, 1000
			b.ReportAllocs()
			for b.Loop() {
				set := Defaults()
				set.Mode = mode
				s := cluster(set, 100, 4)
				now := time.Unix(0, 0)
				var running []TaskID
				for j := range jobs {
					for _, a := range s.Handle(now, JobSubmitted{Job: j, Plan: plan.New(benchNode(tasks), plan.Options{First: j}), Pool: fmt.Sprint(j % 10)}) {
						if l, ok := a.(LaunchTask); ok {
							running = append(running, l.Task)
						}
					}
				}
				for i := 0; i < len(running); i++ {
					for _, a := range s.Handle(now, TaskFinished{Task: running[i]}) {
						if l, ok := a.(LaunchTask); ok {
							running = append(running, l.Task)
						}
					}
				}
				if len(running) != jobs*tasks {
					b.Fatalf("%d of %d tasks ran", len(running), jobs*tasks)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(jobs*tasks), "ns/task")
		})
	}
}
