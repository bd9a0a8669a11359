package executor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// A task that has ended is not killed, also if its time has run out in the same moment; one that has not is, and once.
func TestReaper(t *testing.T) {
	cases := []struct {
		name          string
		timeout       time.Duration
		ended, closed bool
		kills         int
	}{
		{"it ended in time", time.Hour, true, false, 0},
		{"it ended as its time ran out", time.Nanosecond, true, false, 0},
		{"the executor stops", time.Hour, false, true, 0},
		{"it does not end", time.Millisecond, false, false, 1},
	}
	for i := range 50 * len(cases) { // where two things are ready, either may be noticed first
		c := cases[i%len(cases)]
		var reasons []string
		r := &Runner{quit: make(chan struct{})}
		r.cfg.Reaper = Reaper{Enabled: true, Interval: time.Hour, Timeout: c.timeout}
		r.cfg.EndProcess = func(reason string) { reasons = append(reasons, reason) }
		a := &attempt{desc: protocol.TaskDesc{ID: 7, Stage: protocol.StageKey{Stage: 3}, Partition: 5}, ended: make(chan struct{})}
		if c.ended {
			close(a.ended)
		}
		if c.closed {
			close(r.quit)
		}
		r.reap(a, "cancelled")
		if len(reasons) != c.kills || c.kills == 1 && !strings.Contains(reasons[0], "task 7 of stage 3 (partition 5)") {
			t.Errorf("%s: ends of the process: %q, want %d", c.name, reasons, c.kills)
		}
	}
}

func waitsInTask(stop chan struct{})    { <-stop }
func waitsInChild(stop chan struct{})   { <-stop }
func waitsElsewhere(stop chan struct{}) { <-stop }

// The stacks of a task are those of its goroutine and of those that it started.
func TestStacksOfATask(t *testing.T) {
	stop, ready := make(chan struct{}), make(chan struct{})
	defer close(stop)
	go func() {
		labelled(context.Background(), 41)
		go waitsInChild(stop)
		close(ready)
		waitsInTask(stop)
	}()
	go func() {
		labelled(context.Background(), 4)
		waitsElsewhere(stop)
	}()
	<-ready
	text := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if text = stacksOf(41); strings.Contains(text, "waitsInTask") && strings.Contains(text, "waitsInChild") {
			break
		}
	}
	if !strings.Contains(text, "waitsInTask") || !strings.Contains(text, "waitsInChild") || strings.Contains(text, "waitsElsewhere") {
		t.Errorf("the stacks are\n%s", text)
	}
	if text := stacksOf(1); !strings.Contains(text, "none") {
		t.Errorf("the stacks of no task are\n%s", text)
	}
}
