package cluster

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/host"
	"github.com/spark-go/spark-go/executor/protocol"
)

// The test binary is driver, host and job process.
func TestMain(m *testing.M) {
	if os.Getenv("SPARK_GO_TEST_EXIT_BEFORE_SERVING") != "" && host.Role() != "" {
		fmt.Fprintln(os.Stderr, "main gives up early")
		os.Exit(7)
	}
	host.MaybeServe(newFakeRunner)
	if os.Getenv(driverVariable) != "" {
		os.Exit(runDriver())
	}
	os.Exit(m.Run())
}

// fakeRunner does what the stage's program says, in words.
type fakeRunner struct {
	config host.RunnerConfig
	mu     sync.Mutex
	stages map[protocol.StageKey]string
	killed map[int64]chan string
}

func newFakeRunner(c host.RunnerConfig) (host.Runner, error) {
	if c.Settings["test.runner"] == "refuse" {
		return nil, fmt.Errorf("the test wants no runner")
	}
	return &fakeRunner{config: c, stages: map[protocol.StageKey]string{}, killed: map[int64]chan string{}}, nil
}

func (r *fakeRunner) AddStage(b protocol.StageBinary) error {
	program := string(b.Program)
	if program == "broken" {
		return fmt.Errorf("the program cannot be read")
	}
	r.mu.Lock()
	r.stages[b.Key] = program
	r.mu.Unlock()
	return nil
}

func (r *fakeRunner) Launch(t protocol.TaskDesc) {
	r.mu.Lock()
	program := r.stages[t.Stage]
	kill := make(chan string, 1)
	r.killed[t.ID] = kill
	r.mu.Unlock()
	result := protocol.TaskResult{ID: t.ID, Stage: t.Stage, Partition: t.Partition}
	if program == "empty" {
		r.config.Report(result)
		return
	}
	go func() {
		verb, arg, _ := strings.Cut(program, " ")
		switch verb {
		case "echo":
			result.Value = append([]byte(arg), t.Splits...)
		case "large":
			result.Value = make([]byte, 3<<20)
		case "sleep":
			select {
			case reason := <-kill:
				result.Outcome, result.Error = protocol.Killed, reason
			case <-time.After(time.Minute):
			}
		case "print":
			for i := range 200 {
				fmt.Printf("%s line %d of task %d\n", arg, i, t.ID)
			}
			fmt.Fprintln(os.Stderr, arg, "on stderr")
			fmt.Print(arg, " unfinished")
		case "panic":
			panic("boom: " + arg)
		case "exit":
			var code int
			fmt.Sscan(arg, &code)
			fmt.Println("last words on stdout")
			fmt.Fprintln(os.Stderr, "last words on stderr")
			os.Exit(code)
		case "kill":
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case "spawn": // a child that outlives its parent if nobody kills it
			cmd := exec.Command("sleep", "600")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Start(); err != nil {
				result.Outcome, result.Error = protocol.Failed, err.Error()
				break
			}
			result.Value = fmt.Appendf(nil, "%d", cmd.Process.Pid)
		case "environment":
			result.Value = []byte(strings.Join(os.Environ(), "\n"))
		case "fetch":
			rc, n, err := r.config.Client.Open(t2ctx, arg, "greeting")
			if err == nil {
				var b []byte
				b, err = io.ReadAll(rc)
				rc.Close()
				result.Value = fmt.Appendf(nil, "%s %d", b, n)
			}
			if err != nil {
				result.Outcome, result.Error = protocol.Failed, err.Error()
			}
		default:
			result.Outcome, result.Error = protocol.Failed, "unknown program "+program
		}
		r.config.Report(result)
	}()
}

func (r *fakeRunner) AnswerCommit(int64, bool)             {}
func (r *fakeRunner) AnswerBarrier(protocol.BarrierAnswer) {}

func (r *fakeRunner) Kill(id int64, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.killed[id]; c != nil {
		c <- reason
	}
}

func (r *fakeRunner) Remove(protocol.Remove) {}
func (r *fakeRunner) Close() error           { return nil }

// Open serves the runner's only block.
func (r *fakeRunner) Open(name string) (io.ReadCloser, int64, error) {
	if name != "greeting" {
		return nil, 0, fs.ErrNotExist
	}
	text := "hello from " + r.config.Executor
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}
