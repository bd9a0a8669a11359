package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// built are the executables of this command and of the test's program.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "spark-go-test-")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{"spark-go": ".", "program": "./testdata/program"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg).CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// submission is a run of spark-go submit with a directory of its own for temporary files.
type submission struct {
	t              *testing.T
	cmd            *exec.Cmd
	program        string // a copy of the test's program, by which its processes are known
	tmp            string
	stdout, stderr lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// submitted prepares a run; PROGRAM among the arguments stands for the program's executable.
func submitted(t *testing.T, args ...string) *submission {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp("/tmp", "sg-") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	s := &submission{t: t, program: filepath.Join(t.TempDir(), "program"), tmp: tmp}
	if err := os.Link(filepath.Join(dir, "program"), s.program); err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		if a == "PROGRAM" {
			args[i] = s.program
		}
	}
	s.cmd = exec.Command(filepath.Join(dir, "spark-go"), append([]string{"submit"}, args...)...)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		for _, pid := range s.processes() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(tmp)
	})
	return s
}

// run runs to the end and returns the exit status.
func (s *submission) run() int {
	s.t.Helper()
	if err := s.cmd.Run(); err != nil && s.cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// processes lists those that run the program: driver, hosts and executors.
func (s *submission) processes() (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, l := range links {
		if exe, err := os.Readlink(l); err == nil && strings.HasPrefix(exe, s.program) {
			pid, _ := strconv.Atoi(strings.Split(l, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// children lists the processes of the program whose parent is pid.
func (s *submission) childOf(parent int) int {
	for _, pid := range s.processes() {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, rest, ok := strings.Cut(string(stat), ") "); ok && strings.Fields(rest)[1] == strconv.Itoa(parent) {
			return pid
		}
	}
	return 0
}

// awaitTask waits until a task runs.
func (s *submission) awaitTask() {
	s.t.Helper()
	for range 600 {
		if strings.Contains(s.stdout.String(), "task runs") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("no task ran:\n%s\n%s", s.stdout.String(), s.stderr.String())
}

// gone fails if processes or files are left after a while.
func (s *submission) gone(within time.Duration, files bool) {
	s.t.Helper()
	end := time.Now().Add(within)
	for {
		pids := s.processes()
		left, _ := os.ReadDir(s.tmp)
		if len(pids) == 0 && (len(left) == 0 || !files) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("after %v there are processes %v and files %v:\n%s", within, pids, left, s.stderr.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestSubmitPassesThrough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		stdin  string
		status int
		stdout string
	}{
		{args: []string{"PROGRAM"}, stdout: "1000 <nil> program 4\n"},
		{args: []string{"--name", "a flag", "--conf", "spark.task.maxFailures=7", "PROGRAM"}, stdout: "1000 <nil> a flag 7\n"},
		{args: []string{"--name", "a flag", "PROGRAM", "--", "code"}, stdout: "1000 <nil> from code 4\n"},
		{args: []string{"PROGRAM", "--", "args", "--master", "-x", "two words", "", "--"}, stdout: "--master|-x|two words||--\n"},
		{args: []string{"PROGRAM", "--", "exit", "0"}},
		{args: []string{"PROGRAM", "--", "exit", "3"}, status: 3},
		{args: []string{"PROGRAM", "--", "die"}, status: 128 + 9},
		{args: []string{"PROGRAM", "--", "cat"}, stdin: "what comes in\n", stdout: "what comes in\n"},
		{args: []string{"--master", "local-cluster[1,1,128m]", "PROGRAM", "--", "print"}, stdout: "printed in task 0\nprinted in task 1\n"},
	} {
		s := submitted(t, c.args...)
		s.cmd.Stdin = strings.NewReader(c.stdin)
		if status := s.run(); status != c.status || s.stdout.String() != c.stdout {
			t.Errorf("%q: status %d, want %d; printed %q, want %q\n%s", c.args, status, c.status, s.stdout.String(), c.stdout, s.stderr.String())
		}
		s.gone(time.Second, c.status < 128)
	}
}

func TestSubmitRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "give a Go package"},
		{[]string{"--executor-memroy", "1g", "PROGRAM"}, 2, "the nearest is --executor-memory"},
		{[]string{"--conf", "spark.executor.memroy=1g", "PROGRAM"}, 2, "the nearest is spark.executor.memory"},
		{[]string{"--conf", "spark.executor.memory", "PROGRAM"}, 2, "KEY=VALUE"},
		{[]string{"--executor-memory", "much", "PROGRAM"}, 2, "from --executor-memory"},
		{[]string{"--conf", "spark.serializer=java", "PROGRAM"}, 2, "no such setting: rows are written by a codec"},
		{[]string{"--properties-file", "/nowhere", "PROGRAM"}, 2, "/nowhere"},
		{[]string{"PROGRAM", "stray"}, 2, "come after --"},
		{[]string{"./nowhere"}, 1, "give a Go package"},
		{[]string{"/etc/passwd"}, 1, "not executable"},
		{[]string{"--master", "yarn", "PROGRAM"}, 1, `spark.master "yarn"`},
		{[]string{"--files", "/nowhere", "PROGRAM"}, 1, "/nowhere"},
		{[]string{"./internal/submit"}, 1, "is not a program"},
		{[]string{"./testdata/captures"}, 1, "captures step"},
	} {
		s := submitted(t, c.args...)
		if status := s.run(); status != c.status || !strings.Contains(s.stderr.String(), c.want) || s.stdout.String() != "" {
			t.Errorf("%q: status %d, want %d; printed %q and\n%s\nwithout %q", c.args, status, c.status, s.stdout.String(), s.stderr.String(), c.want)
		}
		s.gone(time.Second, true)
	}
}

func TestSubmitPackage(t *testing.T) {
	t.Parallel()
	s := submitted(t, "./testdata/program")
	if status := s.run(); status != 0 || s.stdout.String() != "1000 <nil> program 4\n" {
		t.Errorf("status %d, printed %q\n%s", status, s.stdout.String(), s.stderr.String())
	}
	s.gone(0, true)
	s = submitted(t, "--no-vet", "./testdata/captures")
	if status := s.run(); status != 0 || !strings.HasPrefix(s.stdout.String(), "ran: ") || !strings.Contains(s.stdout.String(), "rdd.Bind") {
		t.Errorf("not vetted: status %d, printed %q\n%s", status, s.stdout.String(), s.stderr.String())
	}
}

func TestSubmitSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "my.conf")
	if err := os.WriteFile(file, []byte("spark.app.name from file\nspark.task.maxFailures 6\nspark.executorEnv.PASSWORD hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := submitted(t, "--properties-file", file, "--conf", "spark.task.maxFailures=5", "--verbose", "PROGRAM")
	if status := s.run(); status != 0 || s.stdout.String() != "1000 <nil> from file 5\n" {
		t.Errorf("status %d, printed %q\n%s", status, s.stdout.String(), s.stderr.String())
	}
	for _, want := range []string{s.program, "spark.app.name", "from file", file + ":1", "spark.task.maxFailures", "from --conf", "redacted"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("--verbose does not print %q:\n%s", want, s.stderr.String())
		}
	}
	if strings.Contains(s.stderr.String(), "hunter2") {
		t.Error("--verbose prints a password")
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"the process group, as a terminal does", "submit alone"} {
		s := submitted(t, "--master", "local-cluster[2,1,128m]", "PROGRAM", "--", "forever")
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.awaitTask()
		pid := s.cmd.Process.Pid
		if target != "submit alone" {
			pid = -pid
		}
		start := time.Now()
		syscall.Kill(pid, syscall.SIGINT)
		s.cmd.Wait()
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: ended after %v", target, d)
		}
		if status := s.cmd.ProcessState.ExitCode(); status != 128+2 {
			t.Errorf("%s: status %d", target, status)
		}
		s.gone(500*time.Millisecond, true)
	}
}

func TestKilledSubmitAndDriver(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"submit", "driver"} {
		s := submitted(t, "--master", "local-cluster[2,1,128m]", "PROGRAM", "--", "forever")
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.awaitTask()
		if n := len(s.processes()); n < 4 {
			t.Errorf("%d processes, want a driver, 2 hosts and at least one executor", n)
		}
		pid := s.cmd.Process.Pid
		if victim == "driver" {
			pid = s.childOf(pid)
		}
		if pid == 0 {
			t.Fatal("no driver was found")
		}
		syscall.Kill(pid, syscall.SIGKILL)
		s.cmd.Wait()
		if status := s.cmd.ProcessState.ExitCode(); victim == "driver" && status != 128+9 {
			t.Errorf("status %d after the driver was killed", status)
		}
		s.gone(5*time.Second, true)
	}
}

// terminal opens a pair of terminal ends.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("there are no terminals here:", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestProgressOnTerminalsOnly(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	s := submitted(t, "--master", "local[2]", "PROGRAM", "--", "slow")
	s.cmd.Stderr = slave
	var drawn lockedBuffer
	go io.Copy(&drawn, master)
	s.run()
	time.Sleep(100 * time.Millisecond)
	if got := drawn.String(); !strings.Contains(got, "[Stage 0:") || !strings.Contains(got, " / 8]") || !strings.Contains(got, "=>") {
		t.Errorf("on the terminal: %q", got)
	}
	s = submitted(t, "--master", "local[2]", "PROGRAM", "--", "slow")
	s.run()
	if s.stderr.String() != "" {
		t.Errorf("on a pipe: %q", s.stderr.String())
	}
}
