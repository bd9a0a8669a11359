package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// BenchmarkStart measures from Start to the first result of a task on each of two executors, and Stop.
func BenchmarkStart(b *testing.B) {
	var first, stop time.Duration
	for range b.N {
		start := time.Now()
		events := make(chan Event, 100)
		l := NewLocal(Config{Executors: 2, Memory: 512 << 20})
		if err := l.Start(context.Background(), func(e Event) { events <- e }); err != nil {
			b.Fatal(err)
		}
		key := protocol.StageKey{Stage: 1}
		for results := 0; results < 2; {
			switch e := (<-events).(type) {
			case ExecutorAdded:
				l.SendStage(e.Executor, &protocol.StageBinary{Key: key, Program: []byte("empty")})
				l.Launch(e.Executor, []protocol.TaskDesc{{ID: 1, Stage: key}})
			case TaskResults:
				results++
			case Failed:
				b.Fatal(e.Err)
			}
		}
		first += time.Since(start)
		start = time.Now()
		l.Stop()
		stop += time.Since(start)
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "ms/start")
	b.ReportMetric(float64(stop.Milliseconds())/float64(b.N), "ms/stop")
}

// BenchmarkEmptyTasks measures tasks that do nothing, on two executors of one core, eight at a time in flight on each.
func BenchmarkEmptyTasks(b *testing.B) {
	for _, window := range []int{1, 8, 64} {
		b.Run(map[int]string{1: "window=1", 8: "window=8", 64: "window=64"}[window], func(b *testing.B) {
			results := make(chan TaskResults, 1000)
			added := make(chan string, 2)
			l := NewLocal(Config{Executors: 2, Memory: 512 << 20})
			if err := l.Start(context.Background(), func(e Event) {
				switch e := e.(type) {
				case ExecutorAdded:
					added <- e.Executor
				case TaskResults:
					results <- e
				}
			}); err != nil {
				b.Fatal(err)
			}
			defer l.Stop()
			key := protocol.StageKey{Stage: 1}
			next, done := 0, 0
			launch := func(x string, n int) {
				tasks := make([]protocol.TaskDesc, 0, n)
				for ; n > 0 && next < b.N; n-- {
					tasks = append(tasks, protocol.TaskDesc{ID: int64(next), Stage: key, Partition: next})
					next++
				}
				if len(tasks) > 0 {
					l.Launch(x, tasks)
				}
			}
			executors := []string{<-added, <-added}
			for _, x := range executors {
				l.SendStage(x, &protocol.StageBinary{Key: key, Program: []byte("empty")})
			}
			b.ResetTimer()
			for _, x := range executors {
				launch(x, window)
			}
			for done < b.N {
				r := <-results
				done += len(r.Results)
				launch(r.Executor, len(r.Results))
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
