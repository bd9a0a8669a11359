package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestCheckpoint kills trainings after their first checkpoint. The same command then goes on to the model of a training that nobody killed.
func TestCheckpoint(t *testing.T) {
	for _, c := range []struct {
		file string
		args []string
	}{
		{"als.checkpoint", []string{"als", "--iterations", "200", "--checkpoint-interval", "20"}},
		{"forest.checkpoint", []string{"randomforest", "--trees", "300", "--checkpoint-interval", "20"}},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			t.Parallel()
			want := report(t, c.args[0], c.args[1:]...)
			dir := t.TempDir()
			args := append(c.args[1:], "--checkpoint", dir)
			cmd := exec.Command(filepath.Join(bin, c.args[0]), args...)
			cmd.Dir = root
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }()
			file := filepath.Join(dir, c.file)
			for there := false; !there; {
				select {
				case <-ended:
					t.Fatalf("it ended without a checkpoint: %v", cmd.ProcessState)
				case <-time.After(time.Millisecond):
					_, err := os.Stat(file)
					there = err == nil
				}
			}
			_ = cmd.Process.Kill()
			<-ended
			if cmd.ProcessState.ExitCode() == 0 {
				t.Fatal("it ended before it was killed")
			}
			if r := run(t, root, c.args[0], append(args, "--seed", "7")...); r.status != 1 {
				t.Errorf("another seed goes on from the checkpoint: status %d, %s", r.status, r.stderr)
			}
			if got := report(t, c.args[0], args...); got["sha256"] != want["sha256"] {
				t.Errorf("sha256 %v after a kill, %v without", got["sha256"], want["sha256"])
			}
			if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("the checkpoint is left: %v", err)
			}
		})
	}
}
