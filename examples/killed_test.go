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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

type killedRating struct {
	User  int32   `parquet:"userId"`
	Item  int32   `parquet:"itemId"`
	Value float32 `parquet:"rating"`
}

type killedSale struct {
	Shop   int64   `parquet:"shop"`
	Amount float64 `parquet:"amount"`
}

type killedShop struct {
	Shop int64 `parquet:"shop"`
}

type killedEdge struct {
	From int64 `parquet:"src"`
	To   int64 `parquet:"dst"`
}

// TestKilledExecutor kills an executor process with SIGKILL in the middle of each program: the report and the digest stay what they are
// on one core. A run whose log does not tell of the lost executor does not count.
func TestKilledExecutor(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute: left out by -short")
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	var text, records bytes.Buffer
	for range 400_000 {
		fmt.Fprintf(&text, "w%d w%d w%d\n", r.IntN(30_000), r.IntN(1000), r.IntN(50))
		fmt.Fprintf(&records, "%010d and the rest of a record of some length\n", r.IntN(1_000_000_000))
	}
	words, unsorted := filepath.Join(dir, "words"), filepath.Join(dir, "records")
	write(t, words, text.Bytes())
	write(t, unsorted, records.Bytes())
	var sales []killedSale
	var shops []killedShop
	var edges []killedEdge
	var ratings []killedRating
	for i := range 400_000 {
		sales = append(sales, killedSale{int64(r.IntN(50_000)), float64(r.IntN(100))})
		edges = append(edges, killedEdge{int64(r.IntN(20_000)), int64(r.IntN(20_000))})
		if i < 40_000 {
			shops = append(shops, killedShop{int64(i)})
			ratings = append(ratings, killedRating{int32(r.IntN(2000)), int32(r.IntN(500)), float32(1 + r.IntN(5))})
		}
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"wordcount", []string{"--input", words}},
		{"sort", []string{"--input", unsorted}},
		{"join", []string{"--left", parquetFile(t, sales), "--right", parquetFile(t, shops), "--on", "shop", "--sum", "amount"}},
		{"pagerank", []string{"--input", parquetFile(t, edges), "--src-col", "src", "--dst-col", "dst", "--iterations", "15"}},
		{"als", []string{"--input", parquetFile(t, ratings), "--iterations", "20"}},
		{"randomforest", []string{"--input", parquetFile(t, ratings), "--task", "regression", "--label-col", "rating", "--trees", "60", "--depth", "12"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "sort" && c.name != "als" && os.Getenv("SPARK_GO_SLOW") != "1" {
				t.Skip("set SPARK_GO_SLOW=1 to kill an executor of this program too")
			}
			args := append(c.args, "--partitions", "24")
			want := report(t, c.name, append(args, "--master", "local[1]")...)
			args = append(args, "--master", "local-cluster[3,1,512m]", "--json")
			start := time.Now()
			if r := run(t, root, c.name, args...); r.status != 0 {
				t.Fatalf("undisturbed it ends with status %d: %s", r.status, r.stderr)
			}
			took := time.Since(start)
			for try := range 8 {
				after := took * time.Duration(5-try%4) / 8
				got, log := killedAfter(t, after, c.name, args)
				if got == nil {
					continue // the program ended before
				}
				for _, key := range []string{"sha256", "partitions"} {
					if fmt.Sprint(got[key]) != fmt.Sprint(want[key]) {
						t.Errorf("killed after %v: %s is %v, want %v\n%s", after, key, got[key], want[key], log)
					}
				}
				t.Logf("of %v; killed after %v: %s", took, after, strings.TrimSpace(log))
				return
			}
			t.Error("no executor was lost in mid-job: the test proved nothing")
		})
	}
}

// killedAfter runs a program and kills one of its executors' job processes after some time. The report is nil if the
// program did not notice.
func killedAfter(t *testing.T, after time.Duration, example string, args []string) (report map[string]any, log string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, example), args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	for _, host := range children(cmd.Process.Pid) {
		if jobs := children(host); len(jobs) > 0 {
			_ = syscall.Kill(jobs[0], syscall.SIGKILL)
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("killed after %v: %v\n%s", after, err, &stderr)
	}
	if !strings.Contains(stderr.String(), "killed") {
		return nil, ""
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("the report: %v: %s", err, &stdout)
	}
	return report, stderr.String()
}

// children lists the child processes of a process.
func children(parent int) []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		content, err := os.ReadFile(s)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (command) state parent …; the command may hold anything
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, pid)
		}
	}
	return found
}
