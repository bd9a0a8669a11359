package driver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// resumedProgram is the environment variable that makes this test's executable a program whose driver the tests kill. Its value is the
// directory that it keeps things in.
const resumedProgram = "SPARK_GO_TEST_RESUMED"

// report is what the program writes when it has ended.
type report struct {
	Sum      string
	MapTasks int
}

// runResumed is a program of two jobs, with an aggregation and a sort, that writes "ran" for each finished map task and its report in the end.
func runResumed(dir string) int {
	sc := driver.New(driver.Master(os.Getenv("SPARK_GO_TEST_MASTER")), driver.Name("resumed"), driver.Set("spark.checkpoint.dir", dir), driver.Set("spark.log.level", "error"))
	defer sc.Stop()
	rep := report{}
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Accepted && e.Metrics.Shuffle.BytesWritten > 0 {
			rep.MapTasks++
			fmt.Println("ran")
		}
	})
	factor, err := rdd.NewBroadcast(sc, map[int64]float64{0: 0.1, 1: 0.2, 2: 0.3})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	keyed := rdd.Map(rdd.Range(sc, 0, 24_000, 1, 6), rdd.Bind(factor, func(f rdd.Broadcast[map[int64]float64], x int64) rdd.Pair[int64, float64] {
		if x%4000 == 0 {
			time.Sleep(60 * time.Millisecond)
		}
		return rdd.Pair[int64, float64]{Key: x % 997, Value: float64(x) * f.Value()[x%3]}
	}))
	sums := rdd.ReduceByKey(keyed, func(a, b float64) float64 { return a + b }, 4)
	sorted := rdd.SortBy(rdd.Map(sums, func(p rdd.Pair[int64, float64]) rdd.Pair[int64, float64] {
		if p.Key%100 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		return p
	}), func(p rdd.Pair[int64, float64]) float64 { return p.Value }, true, 3)
	rows, err := sorted.Collect(context.Background())
	if err == nil {
		var n int64
		n, err = sums.Count(context.Background())
		rep.Sum = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%v %v", rows, n)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	line, _ := json.Marshal(rep)
	sc.Stop()
	fmt.Println(string(line))
	return 0
}

// runProgram runs the program. With killAfter it is killed that long after it has finished so many map tasks; the report is nil if that was before its end.
func runProgram(t *testing.T, master, dir, tmp string, killAfter int, wait time.Duration) *report {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), resumedProgram+"="+dir, "SPARK_GO_TEST_MASTER="+master, "TMPDIR="+tmp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var rep *report
	ran := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ran" {
			if ran++; ran == killAfter {
				time.Sleep(wait)
				cmd.Process.Kill()
			}
			continue
		}
		rep = &report{}
		if err := json.Unmarshal(lines.Bytes(), rep); err != nil {
			t.Fatalf("the program says %q: %v", lines.Text(), err)
		}
	}
	if err := cmd.Wait(); rep == nil && killAfter == 0 {
		t.Fatalf("the program ended with %v: %s", err, &stderr)
	}
	return rep
}

// left lists what is in a directory, waiting a while for processes that are about to clean up.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	for range 100 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		names = names[:0]
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if len(names) == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return names
}

// A driver is killed at a random moment; the same program, run again, ends with the same bytes, having run only what was not finished, and leaves nothing behind.
func TestKilledDriverIsResumed(t *testing.T) {
	kills := 3
	if os.Getenv("SPARK_GO_SLOW") == "1" {
		kills = 20
	} else {
		t.Log("3 kills instead of 20: set SPARK_GO_SLOW=1 for all")
	}
	short := func() string {
		dir, err := os.MkdirTemp("/tmp", "sg-") // short, for sockets
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	masters := []string{"local[2]", "local-cluster[2,1,128m]"}
	fresh := runProgram(t, masters[0], t.TempDir(), short(), 0, 0)
	if fresh.MapTasks != 10 {
		t.Fatalf("a fresh run has %d map tasks", fresh.MapTasks)
	}
	rng := rand.New(rand.NewPCG(6, 8))
	for struck, tries := 0, 0; struck < kills; tries++ {
		if tries > 3*kills {
			t.Fatalf("%d of %d kills struck in mid-job", struck, tries)
		}
		master, dir, tmp := masters[tries%2], t.TempDir(), short()
		at, wait := 1+rng.IntN(fresh.MapTasks), 5*time.Millisecond+time.Duration(rng.IntN(25_000))*time.Microsecond
		if runProgram(t, master, dir, tmp, at, wait) != nil {
			continue // it was faster
		}
		kept, _ := filepath.Glob(filepath.Join(dir, "resumed.resume", "stages", "*", "*", "*.index"))
		got := runProgram(t, master, dir, tmp, 0, 0)
		struck++
		if got.Sum != fresh.Sum {
			t.Errorf("%s killed after %d tasks: the result is %s, want %s", master, at, got.Sum, fresh.Sum)
		}
		// Keeping is a matter of a millisecond, but the machine may be busy.
		if skipped := fresh.MapTasks - got.MapTasks; skipped < len(kept) || len(kept) < at-2 {
			t.Errorf("%s killed after %d tasks: %d map outputs were kept, %d skipped", master, at, len(kept), skipped)
		}
		if names := left(t, dir); names != nil {
			t.Errorf("%s: left in the checkpoint directory: %v", master, names)
		}
		if names := left(t, tmp); names != nil {
			t.Errorf("%s: left in the temporary directory: %v", master, names)
		}
	}
}

// mapTasks counts those that ran.
type mapTasks struct{ n int }

func (m *mapTasks) listen(e driver.Event) {
	if e, ok := e.(driver.TaskEnded); ok && e.Accepted && e.Metrics.Shuffle.BytesWritten > 0 {
		m.n++
	}
}

// broken fails a job, so that what was kept stays when the context stops.
func broken(sc *driver.Context) {
	_, _ = rdd.Map(rdd.Range(sc, 0, 1, 1, 1), func(int64) int64 { panic("on purpose") }).Count(context.Background())
}

func TestWhatIsTakenOver(t *testing.T) {
	input := filepath.Join(t.TempDir(), "numbers.txt")
	numbers := func(from int) {
		var text strings.Builder
		for i := range 1000 {
			fmt.Fprintln(&text, 1000+(from+i)%1000)
		}
		if err := os.WriteFile(input, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		between func(t *testing.T, dir string)
		add     int64
		level   rdd.StorageLevel
		options []driver.Option
		tasks   int // that run the second time, of 4
	}{
		{name: "all", tasks: 0},
		{name: "kept differently", level: rdd.MemoryOnly, tasks: 0},
		{name: "another function's value", add: 1, tasks: 4},
		{name: "the input", between: func(*testing.T, string) { numbers(500) }, tasks: 4},
		{name: "a setting", options: []driver.Option{driver.Set("spark.hadoop.fs.s3a.endpoint", "elsewhere")}, tasks: 4},
		{name: "tuning", options: []driver.Option{driver.Set("spark.io.compression.codec", "zstd"), driver.Set("spark.locality.wait", "1s")}, tasks: 0},
		{name: "a missing file", between: func(t *testing.T, dir string) {
			data, _ := filepath.Glob(filepath.Join(dir, "*", "stages", "*", "*", "2-0.data"))
			if len(data) != 1 || os.Remove(data[0]) != nil {
				t.Fatalf("no file to remove: %v", data)
			}
		}, tasks: 1},
		{name: "damaged data", between: func(t *testing.T, dir string) {
			data, _ := filepath.Glob(filepath.Join(dir, "*", "stages", "*", "*", "1-0.data"))
			if len(data) != 1 {
				t.Fatalf("no file to damage: %v", data)
			}
			b, err := os.ReadFile(data[0])
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(data[0], b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, tasks: 1},
		{name: "a damaged journal", between: func(t *testing.T, dir string) {
			files, _ := filepath.Glob(filepath.Join(dir, "*", "journal"))
			if len(files) != 1 || os.WriteFile(files[0], []byte("what is this?\n"), 0o600) != nil {
				t.Fatalf("no journal to damage: %v", files)
			}
		}, tasks: 4},
		{name: "encrypted by this run", options: []driver.Option{driver.Set("spark.io.encryption.enabled", "true")}, tasks: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			numbers(0)
			run := func(add int64, level rdd.StorageLevel, last bool, options ...driver.Option) (sum string, tasks int) {
				sc := driver.New(append(options, driver.Master("local[2,4]"), driver.Set("spark.checkpoint.dir", dir), driver.Set("spark.log.level", "error"))...)
				defer sc.Stop()
				var seen mapTasks
				sc.AddListener(seen.listen)
				if add == 0 {
					// Numbers of datasets and shuffles say nothing.
					rdd.GroupByKey(rdd.Map(rdd.Range(sc, 0, 10, 1, 2), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x, Value: x} }), 2)
				}
				keyed := rdd.Map(textio.Lines(sc, input, 4), rdd.Bind(add, func(add int64, line string) rdd.Pair[int64, int64] {
					x, err := strconv.ParseInt(line, 10, 64)
					if err != nil {
						panic(err)
					}
					return rdd.Pair[int64, int64]{Key: x % 10, Value: x + add}
				}))
				if level != rdd.None {
					keyed = keyed.Persist(level)
				}
				rows, err := rdd.ReduceByKey(keyed, func(a, b int64) int64 { return a + b }, 3).Collect(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if !last {
					broken(sc)
				}
				return fmt.Sprint(rows), seen.n
			}
			want, n := run(0, rdd.None, false)
			if n != 4 {
				t.Fatalf("%d map tasks ran the first time", n)
			}
			if c.between != nil {
				c.between(t, dir)
			}
			got, n := run(c.add, c.level, true, c.options...)
			if n != c.tasks {
				t.Errorf("%d map tasks ran, want %d", n, c.tasks)
			}
			if c.add == 0 && got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if names := left(t, dir); names != nil {
				t.Errorf("left: %v", names)
			}
		})
	}
}

// What adds to accumulators runs again: a program that read the sum would otherwise find another one.
func TestCountedStagesRunAgain(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", dir), driver.Set("spark.log.level", "error"))
		seen, err := rdd.LongAccumulator(sc, "seen")
		if err != nil {
			t.Fatal(err)
		}
		keyed := rdd.Map(rdd.Range(sc, 0, 100, 1, 4), rdd.Bind(seen, func(seen rdd.Accumulator[int64], x int64) rdd.Pair[int64, int64] {
			seen.Add(1)
			return rdd.Pair[int64, int64]{Key: x % 10, Value: x}
		}))
		n, err := rdd.ReduceByKey(keyed, func(a, b int64) int64 { return a + b }, 3).Count(context.Background())
		if err != nil || n != 10 || seen.Value() != 100 {
			t.Errorf("round %d: %d rows, %v; %d seen", round, n, err, seen.Value())
		}
		broken(sc)
		sc.Stop()
	}
}

// A checkpoint that an earlier run wrote is not written again.
func TestCheckpointIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	var files [2]string
	for round := range 2 {
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", dir), driver.Set("spark.log.level", "error"))
		doubled := rdd.Map(rdd.Range(sc, 0, 100, 1, 4), func(x int64) int64 { return 2 * x }).Checkpoint()
		var jobs []string
		sc.AddListener(func(e driver.Event) {
			if e, ok := e.(driver.JobStarted); ok {
				jobs = append(jobs, e.Name)
			}
		})
		if n, err := doubled.Count(context.Background()); n != 100 || err != nil {
			t.Fatal(n, err)
		}
		wrote := strings.Contains(fmt.Sprint(jobs), "Checkpoint")
		if wrote != (round == 0) {
			t.Errorf("round %d ran %v", round, jobs)
		}
		files[round] = doubled.CheckpointFile()
		rows, err := rdd.ReduceByKey(rdd.Map(doubled, func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 3, Value: x} }), func(a, b int64) int64 { return a + b }, 2).Collect(context.Background())
		if err != nil || len(rows) != 3 {
			t.Error(rows, err)
		}
		broken(sc)
		sc.Stop()
	}
	if files[0] != files[1] || files[0] == "" {
		t.Errorf("checkpoints lie in %q", files)
	}
}

// Encrypted map outputs are not kept, since their key goes with the run, and the driver says so.
func TestEncryptedOutputsAreNotKept(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		dir, log := t.TempDir(), logged(t)
		sc := driver.New(driver.Master("local[2]"), driver.Name("kept"), driver.Set("spark.checkpoint.dir", dir), driver.Set("spark.io.encryption.enabled", fmt.Sprint(encrypted)))
		if n, err := keyed(sc, 3000).Count(t.Context()); err != nil || n != 1000 {
			t.Fatal(n, err)
		}
		broken(sc)
		sc.Stop()
		if kept := shuffleFiles(dir, ".data"); (len(kept) == 0) != encrypted {
			t.Errorf("encrypted %v: kept are %v", encrypted, kept)
		}
		if strings.Contains(log(), "their key goes with this run") != encrypted {
			t.Errorf("encrypted %v: the log has %s", encrypted, log())
		}
	}
}
