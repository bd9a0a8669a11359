package executor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"strconv"
	"time"
)

// Reaper watches tasks that were told to end until they do. A goroutine cannot be ended from outside: one that does not look at its context keeps its
// slot, and in the end only the process can be killed (Spark: Executor.TaskReaper).
type Reaper struct {
	Enabled  bool          // spark.task.reaper.enabled
	Interval time.Duration // spark.task.reaper.pollingInterval: how often a task that has not ended is logged
	Timeout  time.Duration // spark.task.reaper.killTimeout: how long after the kill its process is killed; 0 or less for never
	Stacks   bool          // spark.task.reaper.threadDump: the stacks of the task's goroutines are logged too
}

// taskLabel is the profiling label by which the goroutines of a task are known: its own, and those that it starts.
const taskLabel = "spark-go.task"

// labelled marks the calling goroutine as a task's, and returns a context that keeps the mark where user code sets labels of its own.
func labelled(ctx context.Context, id int64) context.Context {
	ctx = pprof.WithLabels(ctx, pprof.Labels(taskLabel, strconv.FormatInt(id, 10)))
	pprof.SetGoroutineLabels(ctx)
	return ctx
}

// maxStacks is how many bytes of stacks are logged at once.
const maxStacks = 16 << 10

// stacksOf are the stacks of a task's goroutines.
func stacksOf(id int64) string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return err.Error()
	}
	label := []byte(fmt.Sprintf("%q:%q", taskLabel, strconv.FormatInt(id, 10)))
	var found []byte
	for stack := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) { // goroutines with equal stacks and labels together, with how many they are
		if bytes.Contains(stack, label) {
			found = append(append(found, '\n'), stack...)
		}
	}
	switch {
	case len(found) == 0:
		return "none: its goroutine has ended, or user code has taken its labels"
	case len(found) > maxStacks:
		return string(found[:maxStacks]) + "\n…"
	}
	return string(found)
}

// reap watches an attempt that was told to end.
func (r *Runner) reap(a *attempt, reason string) {
	rule := r.cfg.Reaper
	began := time.Now()
	poll := time.NewTicker(max(rule.Interval, time.Millisecond))
	defer poll.Stop()
	var timeout <-chan time.Time
	if rule.Timeout > 0 {
		t := time.NewTimer(rule.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	about := []any{"task", a.desc.ID, "stage", a.desc.Stage.Stage, "partition", a.desc.Partition, "killed because", reason}
	stacks := func() []any {
		if !rule.Stacks {
			return about
		}
		return append(about[:len(about):len(about)], "stacks", stacksOf(a.desc.ID))
	}
	for {
		select {
		case <-a.ended:
			return
		case <-r.quit:
			return
		case <-poll.C:
			slog.Warn("a killed task is still running: its function does not look at the task's context", append(stacks(), "since", time.Since(began).Round(time.Millisecond))...)
		case <-timeout:
			select {
			case <-a.ended:
				return
			default:
			}
			if r.cfg.EndProcess == nil {
				slog.Error("a killed task does not end, and its process is the driver's own, which is not killed: its slot stays taken until the function returns", append(stacks(), "after", rule.Timeout)...)
				return
			}
			slog.Error("a killed task does not end: its executor is killed", append(stacks(), "after", rule.Timeout)...)
			r.cfg.EndProcess(fmt.Sprintf("task %d of stage %d (partition %d) did not end within spark.task.reaper.killTimeout (%v) after it was killed: %s",
				a.desc.ID, a.desc.Stage.Stage, a.desc.Partition, rule.Timeout, reason))
			return
		}
	}
}
