//go:build linux

package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestResumed kills the driver of a training program at a random moment after its first checkpoint: submitted again, it goes on from there and
// ends with the same digest, and leaves nothing behind.
func TestResumed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute: left out by -short")
	}
	kills := 1
	if os.Getenv("SPARK_GO_SLOW") == "1" {
		kills = 10
	} else {
		t.Log("1 kill of each program instead of 10: set SPARK_GO_SLOW=1 for all")
	}
	submit := filepath.Join(t.TempDir(), "spark-go")
	if out, err := exec.Command("go", "build", "-o", submit, "../cmd/spark-go").CombinedOutput(); err != nil {
		t.Fatalf("build spark-go: %v\n%s", err, out)
	}
	r := rand.New(rand.NewPCG(8, 6))
	var ratings []killedRating
	for range 20_000 {
		ratings = append(ratings, killedRating{int32(r.IntN(2000)), int32(r.IntN(500)), float32(1 + r.IntN(5))})
	}
	type resumedRow struct {
		Label   float64   `parquet:"label"`
		Numbers []float64 `parquet:"numbers"`
	}
	rows := make([]resumedRow, 20_000)
	for i := range rows {
		x := make([]float64, 40)
		for k := range x {
			x[k] = r.NormFloat64() + 0.9*x[max(k-1, 0)] // neighbours go together: many iterations
		}
		rows[i] = resumedRow{float64(r.IntN(6)), x}
	}
	table := parquetFile(t, rows)
	for i, c := range []struct {
		name string
		args []string
	}{
		{"als", []string{"--input", parquetFile(t, ratings), "--iterations", "60", "--rank", "8", "--partitions", "4"}},
		{"logistic", []string{"--input", table, "--features-col", "numbers", "--tol", "1e-14", "--max-iter", "60", "--reg", "1e-4", "--elastic-net", "0.5"}},
		{"kmeans", []string{"--input", table, "--features-col", "numbers", "--k", "60", "--tol", "0", "--max-iter", "60"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if i > 0 && os.Getenv("SPARK_GO_SLOW") != "1" {
				t.Skip("set SPARK_GO_SLOW=1 to kill this program too")
			}
			want := report(t, c.name, append(c.args, "--master", "local[1]")...)
			for struck, tries := 0, 0; struck < kills; tries++ {
				if tries > 4*kills+3 {
					t.Fatalf("%d of %d kills struck between a checkpoint and the end", struck, tries)
				}
				dir, tmp := t.TempDir(), t.TempDir()
				args := append([]string{"submit", "--no-vet", "--master", "local[2]", "--resume", dir, "-c", "spark.log.level=info", filepath.Join(bin, c.name), "--"}, append(c.args, "--json")...)
				if resumed(t, submit, args, dir, tmp, time.Duration(1+r.IntN(150))*time.Millisecond) != nil {
					continue // it was faster
				}
				if files, _ := filepath.Glob(filepath.Join(dir, "*", "fits", "*.checkpoint")); len(files) == 0 {
					continue // the fit had ended, and only the report was left to do
				}
				struck++
				var stderr bytes.Buffer
				got := resumed(t, submit, args, dir, tmp, 0, &stderr)
				if got == nil || fmt.Sprint(got["sha256"]) != fmt.Sprint(want["sha256"]) {
					t.Errorf("resumed: %v, want the digest %v\n%s", got, want["sha256"], &stderr)
				}
				if !strings.Contains(stderr.String(), "going on from a checkpoint") {
					t.Errorf("it began anew:\n%s", &stderr)
				}
				for _, d := range []string{dir, tmp} {
					if left, _ := os.ReadDir(d); len(left) != 0 {
						t.Errorf("left: %v", left)
					}
				}
			}
		})
	}
}

// resumed submits a program and returns its report. With kill the program is killed that long after its first checkpoint is there, and nil is returned if that
// was before its end.
func resumed(t *testing.T, submit string, args []string, dir, tmp string, kill time.Duration, stderr ...*bytes.Buffer) (report map[string]any) {
	t.Helper()
	cmd := exec.Command(submit, args...)
	var stdout bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Env = root, &stdout, append(os.Environ(), "TMPDIR="+tmp)
	if stderr != nil {
		cmd.Stderr = stderr[0]
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for kill > 0 {
		if files, _ := filepath.Glob(filepath.Join(dir, "*", "fits", "*.checkpoint")); len(files) > 0 {
			time.Sleep(kill)
			for _, program := range children(cmd.Process.Pid) {
				_ = syscall.Kill(program, syscall.SIGKILL)
			}
			break
		}
		select {
		case err := <-ended:
			ended <- err
			kill = 0
		case <-time.After(time.Millisecond):
		}
	}
	err := <-ended
	if json.Unmarshal(stdout.Bytes(), &report) != nil {
		if kill == 0 {
			t.Fatalf("it ended with %v and %q", err, &stdout)
		}
		return nil
	}
	return report
}
