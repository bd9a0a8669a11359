package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

var t2ctx = context.Background()

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// testCluster is a running cluster and what it said.
type testCluster struct {
	*Local
	t      testing.TB
	events chan Event
	stdout buffer
	stderr buffer
	log    buffer
}

func startCluster(t testing.TB, c Config) *testCluster {
	t.Helper()
	tc := &testCluster{t: t, events: make(chan Event, 100000)}
	if c.Stdout == nil {
		c.Stdout = &tc.stdout
	}
	if c.Stderr == nil {
		c.Stderr = &tc.stderr
	}
	c.App = t.Name()
	c.Memory = 256 << 20
	c.Log = slog.New(slog.NewTextHandler(&tc.log, nil))
	tc.Local = NewLocal(c)
	if err := tc.Start(t.Context(), func(e Event) { tc.events <- e }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tc.stop() })
	return tc
}

// stop stops the cluster and checks that nothing is left.
func (tc *testCluster) stop() {
	tc.t.Helper()
	start := time.Now()
	tc.Stop()
	if d := time.Since(start); d > 2*time.Second {
		tc.t.Errorf("Stop took %v", d)
	}
	checkNothingLeft(tc.t, tc.socks.Dir)
	if tc.t.Failed() {
		tc.t.Logf("log:\n%s\nstdout:\n%s\nstderr:\n%s", tc.log.String(), tc.stdout.String(), tc.stderr.String())
	}
}

// checkNothingLeft looks for processes that have anything to do with a folder, and for the folder.
func checkNothingLeft(t testing.TB, dir string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		left = processesOf(dir)
		if _, err := os.Stat(dir); err == nil {
			left = append(left, "folder "+dir)
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left: %v", left)
}

// processesOf lists processes, but for this one, that hold a file in dir open.
func processesOf(dir string) []string {
	var found []string
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		pid := strings.Split(fd, "/")[2]
		if err == nil && strings.HasPrefix(to, dir) && pid != strconv.Itoa(os.Getpid()) {
			found = append(found, "process "+pid+" holds "+to)
		}
	}
	return found
}

// next returns the next event of a type that passes; others but those that are for everyday are dropped.
func next[E Event](tc *testCluster, pass func(E) bool) E {
	tc.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-tc.events:
			if e, ok := e.(E); ok && (pass == nil || pass(e)) {
				return e
			}
			if f, ok := e.(Failed); ok {
				tc.t.Fatalf("the backend failed: %v", f.Err)
			}
		case <-timeout:
			var e E
			tc.t.Fatalf("no %T came; log:\n%s\nstderr:\n%s", e, tc.log.String(), tc.stderr.String())
		}
	}
}

func (tc *testCluster) added(n int) []ExecutorAdded {
	tc.t.Helper()
	var all []ExecutorAdded
	for range n {
		all = append(all, next[ExecutorAdded](tc, nil))
	}
	return all
}

var taskIDs int64

// run starts one task of a program.
func (tc *testCluster) run(executor, program string) int64 {
	tc.t.Helper()
	taskIDs++
	key := protocol.StageKey{Stage: int(taskIDs)}
	if err := tc.SendStage(executor, &protocol.StageBinary{Key: key, Program: []byte(program)}); err != nil {
		tc.t.Fatal(err)
	}
	if err := tc.Launch(executor, []protocol.TaskDesc{{ID: taskIDs, Stage: key, Partition: 3, Splits: []byte("!")}}); err != nil {
		tc.t.Fatal(err)
	}
	return taskIDs
}

func (tc *testCluster) result(id int64) protocol.TaskResult {
	tc.t.Helper()
	r := next(tc, func(r TaskResults) bool { return r.Results[0].ID == id })
	return r.Results[0]
}

func TestEcho(t *testing.T) {
	tc := startCluster(t, Config{Executors: 2, Settings: map[string]string{"a": "b"}})
	for _, x := range tc.added(2) {
		id := tc.run(x.Executor, "echo hello from "+x.Executor)
		if got, want := string(tc.result(id).Value), fmt.Sprintf("hello from %s!", x.Executor); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
