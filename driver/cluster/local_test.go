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

// patience is how long processes may take to end. They take milliseconds, unless the machine has much else to do.
const patience = 30 * time.Second

// checkNothingLeft looks for processes that have anything to do with a folder, and for the folder.
func checkNothingLeft(t testing.TB, dir string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
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

func TestOutputArrivesInWholeLines(t *testing.T) {
	tc := startCluster(t, Config{Executors: 2})
	var ids []int64
	for i, x := range tc.added(2) {
		ids = append(ids, tc.run(x.Executor, fmt.Sprintf("print executor-%d", i)))
	}
	for left := 2; left > 0; {
		left -= len(next[TaskResults](tc, nil).Results)
	}
	tc.Stop() // what was printed arrives before the end
	lines := strings.Split(strings.TrimSuffix(tc.stdout.String(), "\n"), "\n")
	counts := map[string]int{}
	for _, l := range lines {
		counts[l]++
	}
	for i, id := range ids {
		for k := range 200 {
			if l := fmt.Sprintf("executor-%d line %d of task %d", i, k, id); counts[l] != 1 {
				t.Errorf("%q came %d times", l, counts[l])
			}
		}
		if l := fmt.Sprintf("executor-%d unfinished", i); counts[l] != 1 {
			t.Errorf("%q came %d times", l, counts[l])
		}
		if !strings.Contains(tc.stderr.String(), fmt.Sprintf("executor-%d on stderr\n", i)) {
			t.Errorf("stderr: %q", tc.stderr.String())
		}
	}
}

// Each way in which user code can end its process costs an executor, is reported with its cause, and brings a new one.
func TestDeathsOfJobProcesses(t *testing.T) {
	tc := startCluster(t, Config{})
	x := tc.added(1)[0]
	for i, c := range []struct {
		program string
		want    []string
	}{
		{"exit 0", []string{"exited with code 0", "last words on stderr"}},
		{"exit 42", []string{"exited with code 42"}},
		{"panic of the user", []string{"exited with code 2", "panic: boom: of the user", "main_test.go"}},
		{"kill", []string{"killed by signal 9"}},
	} {
		if i == 3 && x.Executor != "0.4" {
			t.Errorf("the fourth executor is %s", x.Executor)
		}
		id := tc.run(x.Executor, c.program)
		lost := next[ExecutorLost](tc, nil)
		if lost.Executor != x.Executor || lost.OutputsLost || !lost.Fault {
			t.Errorf("%s: %+v", c.program, lost)
		}
		for _, want := range c.want {
			if !strings.Contains(lost.Reason, want) {
				t.Errorf("%s: the reason is %q, without %q", c.program, lost.Reason, want)
			}
		}
		if err := tc.Launch(x.Executor, []protocol.TaskDesc{{ID: id}}); err == nil {
			t.Errorf("%s: a lost executor takes tasks", c.program)
		}
		x = tc.added(1)[0]
		if got := string(tc.result(tc.run(x.Executor, "echo again")).Value); got != "again!" {
			t.Errorf("the next executor says %q", got)
		}
	}
	if !strings.Contains(tc.stdout.String(), "last words on stdout\n") {
		t.Errorf("stdout: %q", tc.stdout.String())
	}
}

// What a task started does not outlive its process, whether that ends alone or with the whole cluster.
func TestChildrenOfTasksAreKilled(t *testing.T) {
	tc := startCluster(t, Config{})
	spawn := func() int {
		t.Helper()
		x := next[ExecutorAdded](tc, nil)
		r := tc.result(tc.run(x.Executor, "spawn"))
		pid, err := strconv.Atoi(string(r.Value))
		if err != nil || !alive(pid) {
			t.Fatalf("no child: %+v", r)
		}
		go func() {
			time.Sleep(10 * time.Millisecond)
			syscall.Kill(x.PID, syscall.SIGKILL)
		}()
		return pid
	}
	pid := spawn()
	next[ExecutorLost](tc, nil)
	awaitDeath(t, pid)
	x := next[ExecutorAdded](tc, nil)
	pid, _ = strconv.Atoi(string(tc.result(tc.run(x.Executor, "spawn")).Value))
	tc.Stop()
	awaitDeath(t, pid)
}

// awaitDeath waits until a process is gone, or dead and only not waited for by whoever inherited it.
func awaitDeath(t testing.TB, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	t.Errorf("process %d is alive", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

// hostPID finds the host process of an executor: its parent.
func hostPID(t testing.TB, job int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", job))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	pid, err := strconv.Atoi(fields[1])
	if err != nil || pid <= 1 {
		t.Fatalf("the parent of %d is %q", job, fields[1])
	}
	return pid
}

func TestHostIsKilled(t *testing.T) {
	tc := startCluster(t, Config{Executors: 2})
	all := tc.added(2)
	victim := all[0]
	if err := os.MkdirAll(filepath.Join(victim.Location.Dir, "shuffle-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(hostPID(t, victim.PID), syscall.SIGKILL)
	lost := next[ExecutorLost](tc, nil)
	if lost.Executor != victim.Executor || !lost.OutputsLost || !strings.Contains(lost.Reason, "signal 9") {
		t.Errorf("%+v", lost)
	}
	if h := next[HostLost](tc, nil); h.Host != victim.Host {
		t.Errorf("%+v", h)
	}
	awaitDeath(t, victim.PID)
	x := tc.added(1)[0]
	if x.Host == victim.Host || x.Executor == all[1].Executor {
		t.Errorf("the new one is %+v", x)
	}
	if got := string(tc.result(tc.run(x.Executor, "echo here")).Value); got != "here!" {
		t.Errorf("it says %q", got)
	}
	for deadline := time.Now().Add(time.Second); ; time.Sleep(2 * time.Millisecond) {
		_, err := os.Stat(filepath.Dir(victim.Location.Dir))
		_, err2 := os.Stat(strings.TrimPrefix(victim.Location.Addr, "unix:"))
		if err != nil && err2 != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("the dead host's folder or socket is left: %v, %v", err, err2)
			break
		}
	}
}

func TestSilentExecutorIsFenced(t *testing.T) {
	tc := startCluster(t, Config{Heartbeat: 50 * time.Millisecond, Timeout: 500 * time.Millisecond})
	x := tc.added(1)[0]
	syscall.Kill(x.PID, syscall.SIGSTOP)
	lost := next[ExecutorLost](tc, nil)
	if lost.Executor != x.Executor || lost.OutputsLost || lost.Fault || !strings.Contains(lost.Reason, "no heartbeat") {
		t.Errorf("%+v", lost)
	}
	awaitDeath(t, x.PID)
	syscall.Kill(x.PID, syscall.SIGCONT)
	y := tc.added(1)[0]
	if y.Host != x.Host || y.Executor == x.Executor {
		t.Errorf("%+v was replaced by %+v", x, y)
	}
}

func TestSilentHostIsReplaced(t *testing.T) {
	tc := startCluster(t, Config{Heartbeat: 50 * time.Millisecond, Timeout: 500 * time.Millisecond})
	x := tc.added(1)[0]
	pid := hostPID(t, x.PID)
	syscall.Kill(pid, syscall.SIGSTOP)
	lost := next[ExecutorLost](tc, nil)
	if !lost.OutputsLost || !strings.Contains(lost.Reason, "no heartbeat") {
		t.Errorf("%+v", lost)
	}
	awaitDeath(t, pid)
	awaitDeath(t, x.PID)
	if y := tc.added(1)[0]; y.Host == x.Host {
		t.Errorf("%+v was replaced by %+v", x, y)
	}
}

// dialAs registers by hand.
func (tc *testCluster) dialAs(m protocol.Message) (*protocol.Conn, protocol.Message) {
	tc.t.Helper()
	nc, err := protocol.Dial(tc.t.Context(), tc.addr(), tc.Secret(), protocol.Control)
	if err != nil {
		tc.t.Fatal(err)
	}
	c := protocol.NewConn(nc, protocol.Limits{})
	tc.t.Cleanup(c.Close)
	if err := c.Send(m); err != nil {
		tc.t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := c.Receive()
	if err != nil {
		tc.t.Fatalf("%T: %v", m, err)
	}
	return c, answer
}

func TestRegistrationsAreRefused(t *testing.T) {
	tc := startCluster(t, Config{})
	x := tc.added(1)[0]
	digest, err := tc.digest()
	if err != nil {
		t.Fatal(err)
	}
	good := protocol.RegisterExecutor{ID: "0.9", Host: x.Host, Epoch: 9, Cores: 1, Digest: digest}
	for _, c := range []struct {
		want   string
		change func(*protocol.RegisterExecutor)
	}{
		{"given up", func(m *protocol.RegisterExecutor) { m.Epoch = 1 }},
		{"given up", func(m *protocol.RegisterExecutor) { m.Epoch = 0 }},
		{"another executable", func(m *protocol.RegisterExecutor) { m.Digest = "00" }},
		{"not registered", func(m *protocol.RegisterExecutor) { m.Host = "host-77" }},
		{"0 cores", func(m *protocol.RegisterExecutor) { m.Cores = 0 }},
	} {
		m := good
		c.change(&m)
		_, answer := tc.dialAs(&m)
		if r, ok := answer.(*protocol.Refused); !ok || !strings.Contains(r.Reason, c.want) {
			t.Errorf("want %q, got %+v", c.want, answer)
		}
	}
	for _, m := range []protocol.Message{&protocol.RegisterHost{Host: x.Host}, &protocol.RegisterHost{Host: "host-5"}, &protocol.Stop{}} {
		if _, answer := tc.dialAs(m); fmt.Sprintf("%T", answer) != "*protocol.Refused" {
			t.Errorf("%+v: %+v", m, answer)
		}
	}
	if got := string(tc.result(tc.run(x.Executor, "echo still here")).Value); got != "still here!" {
		t.Errorf("the executor says %q", got)
	}

	// A newer epoch takes over; then what the older one says is dropped, and its connection is closed.
	conn, answer := tc.dialAs(&good)
	if _, ok := answer.(*protocol.Registered); !ok {
		t.Fatalf("%+v", answer)
	}
	if lost := next[ExecutorLost](tc, nil); lost.Executor != x.Executor || !strings.Contains(lost.Reason, "taken its place") {
		t.Errorf("%+v", lost)
	}
	if y := next[ExecutorAdded](tc, nil); y.Executor != "0.9" {
		t.Errorf("%+v", y)
	}
	// One that sends what is not for drivers is lost.
	conn.Send(&protocol.LaunchTasks{})
	if lost := next[ExecutorLost](tc, nil); lost.Executor != "0.9" {
		t.Errorf("%+v", lost)
	}
}

func TestTasksAndMessages(t *testing.T) {
	tc := startCluster(t, Config{MaxFrame: 1 << 20, Heartbeat: 100 * time.Millisecond, Settings: map[string]string{"spark.app.name": "x"}})
	x := tc.added(1)[0]

	r := tc.result(tc.run(x.Executor, "broken"))
	if r.Outcome != protocol.Failed || !strings.Contains(r.Error, "cannot be read") {
		t.Errorf("a stage that cannot be read: %+v", r)
	}
	id := tc.run(x.Executor, "large")
	if r := tc.result(id); r.Outcome != protocol.Failed || !strings.Contains(r.Error, "spark.rpc.message.maxSize") || r.Partition != 3 {
		t.Errorf("a result over the limit: %+v", r)
	}
	err := tc.SendStage(x.Executor, &protocol.StageBinary{Program: make([]byte, 2<<20)})
	if err == nil || !strings.Contains(err.Error(), "spark.rpc.message.maxSize") {
		t.Errorf("a stage over the limit: %v", err)
	}
	id = tc.run(x.Executor, "sleep")
	if err := tc.Kill(x.Executor, id, "it is late"); err != nil {
		t.Fatal(err)
	}
	if r := tc.result(id); r.Outcome != protocol.Killed || r.Error != "it is late" {
		t.Errorf("a killed task: %+v", r)
	}
	if r := tc.result(tc.run(x.Executor, "fetch "+x.BlockAddr)); string(r.Value) != "hello from 0.1 14" {
		t.Errorf("a named block: %+v", r)
	}
	r = tc.result(tc.run(x.Executor, "environment"))
	for _, hidden := range []string{"SPARK_GO_", "PLUGIN_"} {
		if strings.Contains(string(r.Value), hidden) {
			t.Errorf("tasks see %s in their environment", hidden)
		}
	}
	if h := next[Heartbeat](tc, nil); h.Executor != x.Executor || h.Heap == 0 || h.Mapped < h.Heap {
		t.Errorf("%+v", h)
	}
	// Map outputs are removed by the host.
	dir := filepath.Join(x.Location.Dir, "shuffle-4")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tc.Remove(protocol.Remove{Kind: protocol.RemoveShuffle, ID: 4})
	for deadline := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(dir); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Error("map outputs are not removed")
			break
		}
	}
}

// Executors that end before they register are tried three times, not for ever.
func TestHopelessExecutors(t *testing.T) {
	for name, c := range map[string]struct {
		env, want string
		config    Config
	}{
		"exit in main": {env: "1", want: "main gives up early"},
		"no runner":    {config: Config{Settings: map[string]string{"test.runner": "refuse"}, MaxExits: 2}, want: "the test wants no runner"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SPARK_GO_TEST_EXIT_BEFORE_SERVING", c.env)
			c.config.Executors = 2
			tc := startCluster(t, c.config)
			timeout := time.After(5 * time.Second)
			for {
				select {
				case e := <-tc.events:
					if f, ok := e.(Failed); ok {
						if !strings.Contains(f.Err.Error(), c.want) {
							t.Errorf("it failed with %v, without %q", f.Err, c.want)
						}
						return
					}
					continue
				case <-timeout:
					t.Fatal("it does not fail")
				}
			}
		})
	}
}

func TestStopInTheMiddle(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
		tc := startCluster(t, Config{Executors: 2})
		time.Sleep(after)
		tc.stop()
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	tc := startCluster(t, Config{Executors: 2})
	all := tc.added(2)
	syscall.Kill(all[0].PID, syscall.SIGSTOP)
	syscall.Kill(hostPID(t, all[1].PID), syscall.SIGSTOP)
	tc.stop()
	for _, x := range all {
		awaitDeath(t, x.PID)
	}
}

func TestLocalDir(t *testing.T) {
	dir := t.TempDir()
	tc := startCluster(t, Config{LocalDir: dir})
	x := tc.added(1)[0]
	if !strings.HasPrefix(x.Location.Dir, dir) {
		t.Errorf("map outputs go to %s", x.Location.Dir)
	}
	tc.Stop()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	bad := NewLocal(Config{LocalDir: filepath.Join(dir, "missing")})
	if err := bad.Start(t.Context(), func(Event) {}); err == nil || !strings.Contains(err.Error(), "spark.local.dir") {
		t.Errorf("a folder that is not there: %v", err)
	}
	bad.Stop()
}
