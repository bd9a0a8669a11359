package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// driverVariable makes the test binary a driver that is there to be killed.
const driverVariable = "SPARK_GO_TEST_DRIVER"

// runDriver starts a cluster of two, has a task on each start a child, prints the folder and the numbers of all processes,
// and waits.
func runDriver() int {
	events := make(chan Event, 1000)
	l := NewLocal(Config{Executors: 2, Memory: 256 << 20, Args: []string{}})
	if err := l.Start(context.Background(), func(e Event) { events <- e }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("folder", l.socks.Dir)
	results := 0
	for e := range events {
		switch e := e.(type) {
		case ExecutorAdded:
			fmt.Println("job", e.PID)
			key := protocol.StageKey{Stage: 1}
			l.SendStage(e.Executor, &protocol.StageBinary{Key: key, Program: []byte("spawn")})
			l.Launch(e.Executor, []protocol.TaskDesc{{ID: 1, Stage: key}})
		case TaskResults:
			fmt.Printf("child %s\n", e.Results[0].Value)
			if results++; results == 2 {
				fmt.Println("ready")
			}
		}
	}
	return 0
}

// startDriver runs a driver as a child with folders of its own. It returns the driver, the application's folder, and the
// numbers of the hosts, the job processes, and what their tasks started.
func startDriver(t *testing.T) (cmd *exec.Cmd, dir string, hosts, jobs, children []int) {
	t.Helper()
	temp, err := os.MkdirTemp("/tmp", "sg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	t.Setenv("TMPDIR", temp)
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), driverVariable+"=1")
	var stderr buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, arg, _ := strings.Cut(lines.Text(), " ")
		pid, _ := strconv.Atoi(arg)
		switch what {
		case "folder":
			dir = arg
		case "job":
			hosts = append(hosts, hostPID(t, pid))
			jobs = append(jobs, pid)
		case "child":
			children = append(children, pid)
		case "ready":
			go io.Copy(io.Discard, out)
			if len(hosts) != 2 || len(jobs) != 2 || len(children) != 2 || dir == "" {
				t.Fatalf("the driver said: folder %q, hosts %v, jobs %v, children %v", dir, hosts, jobs, children)
			}
			return cmd, dir, hosts, jobs, children
		}
	}
	t.Fatalf("the driver ended: %s", stderr.String())
	return nil, "", nil, nil, nil
}

func TestDriverIsKilled(t *testing.T) {
	cmd, dir, hosts, jobs, children := startDriver(t)
	if len(processesOf(dir)) == 0 {
		t.Fatal("nobody uses the folder")
	}
	start := time.Now()
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range slices.Concat(hosts, jobs, children) {
		awaitDeath(t, pid)
	}
	checkNothingLeft(t, dir)
	t.Logf("all had ended after %v", time.Since(start))
}

func TestDriverIsKilledWithAHost(t *testing.T) {
	cmd, dir, hosts, jobs, children := startDriver(t)
	syscall.Kill(hosts[0], syscall.SIGKILL)
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range slices.Concat(hosts, jobs) {
		awaitDeath(t, pid)
	}
	checkNothingLeft(t, dir)
	for _, pid := range children {
		syscall.Kill(pid, syscall.SIGKILL) // what a task started may outlive a host and a driver that are killed together
	}
}

// When everything is killed at once nobody is left to clean up: the next application does it.
func TestEverythingIsKilled(t *testing.T) {
	cmd, dir, hosts, jobs, children := startDriver(t)
	cmd.Process.Signal(syscall.SIGSTOP)
	for _, pid := range slices.Concat(hosts, jobs, children) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range slices.Concat(hosts, jobs, children) {
		awaitDeath(t, pid)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("somebody was left to clean up: %v", err)
	}
	tc := startCluster(t, Config{})
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	tc.added(1)
	tc.stop()
	if left, _ := filepath.Glob(filepath.Dir(dir) + "/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A driver that starts and stops clusters keeps nothing of them, and a cluster takes nothing of another one's folder.
func TestClustersLeaveNothingInTheDriver(t *testing.T) {
	files := func() int {
		fds, _ := os.ReadDir("/proc/self/fd")
		return len(fds)
	}
	other := startCluster(t, Config{})
	other.added(1)
	goroutines, open := runtime.NumGoroutine(), files()
	for range 3 {
		tc := startCluster(t, Config{})
		x := tc.added(1)[0]
		tc.run(x.Executor, "kill")
		tc.added(1)

		tc.stop()
	}
	for deadline := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > goroutines || files() > open; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines (%d before), %d files (%d before):\n%s", runtime.NumGoroutine(), goroutines, files(), open, buf[:runtime.Stack(buf, true)])
		}
	}
	if _, err := os.Stat(other.socks.Dir); err != nil {
		t.Errorf("the other cluster's folder is gone: %v", err)
	}
}
