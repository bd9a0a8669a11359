package rdd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func sh(script string) rdd.Command { return rdd.Command{Args: []string{"sh", "-c", script}} }

func lines(sc *driver.Context, n, parts int) rdd.RDD[string] {
	return rdd.Map(rdd.Range(sc, 0, int64(n), 1, parts), func(x int64) string { return "line " + strconv.FormatInt(x, 10) })
}

func TestPipe(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		in   []string
		cmd  rdd.Command
		want []string
	}{
		{"cat", []string{"a", "", " b "}, sh("cat"), []string{"a", "", " b "}},
		{"no rows", nil, sh("wc -l | tr -d ' '"), []string{"0"}},
		{"no last line feed", []string{"a"}, sh("printf x"), []string{"x"}},
		{"environment", nil, rdd.Command{Args: []string{"sh", "-c", "echo $SIDE $PATH | grep -c 'left.*/'"}, Env: map[string]string{"SIDE": "left"}}, []string{"1"}},
		{"directory", nil, rdd.Command{Args: []string{"pwd"}, Dir: dir}, []string{dir}},
		{"private directory", nil, rdd.Command{Args: []string{"ls", "-A"}, PrivateDir: true}, nil},
		{"header", []string{"a"}, rdd.Command{Args: []string{"cat"}, Header: []string{"h1", "h2"}}, []string{"h1", "h2", "a"}},
		{"reads nothing", []string{"a"}, sh("exec <&-; echo done"), []string{"done"}},
		{"closes its output first", []string{"a", "b"}, sh("echo early; exec >&-; cat > " + dir + "/got"), []string{"early"}},
	} {
		got, err := rdd.Pipe(rdd.Parallelize(sc, c.in, 1), c.cmd).Collect(context.Background())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		same(t, c.name, got, c.want)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "got")); string(b) != "a\nb\n" {
		t.Errorf("the process read %q, %v", b, err)
	}
}

// More rows than all pipes and buffers hold, in both directions at once and in one after the other.
func TestPipeDoesNotWaitForItself(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	in := lines(sc, 60_000, 2)
	want := mustCollect(t, in)
	for _, script := range []string{"cat", "sort -s -k1,1", "tac | tac"} {
		same(t, script, mustCollect(t, rdd.Pipe(in, sh(script))), want)
	}
	same(t, "head", mustCollect(t, rdd.Pipe(in, sh("head -n 2"))), []string{"line 0", "line 1", "line 30000", "line 30001"})
	same(t, "twice", mustCollect(t, rdd.Pipe(rdd.Pipe(in, sh("cat")), sh("cat"))), want)
}

func TestPipeErrors(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	for _, c := range []struct {
		in   []string
		cmd  rdd.Command
		want string
	}{
		{[]string{"a"}, sh("cat >/dev/null; echo it is broken >&2; exit 3"), "exit status 3: it said: it is broken"},
		{[]string{"a"}, sh("kill -9 $$"), "signal: killed"},
		{[]string{"a"}, sh("cat; head -c 100000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1"), "the end"},
		{[]string{"a"}, rdd.Command{Args: []string{"/no/such/program"}}, "installed on every executor"},
		{[]string{"a\nb"}, sh("cat"), `row "a\nb" contains a line feed`},
		{nil, rdd.Command{Args: []string{"pwd"}, Dir: "/no/such/dir"}, "no such file"},
	} {
		_, err := rdd.Pipe(rdd.Parallelize(sc, c.in, 1), c.cmd).Collect(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.cmd.Args, err, c.want)
		} else if len(err.Error()) > 6000 {
			t.Errorf("%q: the error has %d bytes", c.cmd.Args, len(err.Error()))
		}
	}
}

// alive reports whether a process runs. One that has ended and that nobody has waited for yet does not.
func alive(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		return !strings.Contains(string(stat), ") Z ")
	}
	return syscall.Kill(pid, 0) == nil
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after 20 seconds", what)
		}
	}
}

func pids(dir string) (out []int) {
	files, _ := filepath.Glob(filepath.Join(dir, "pid-*"))
	for _, f := range files {
		if pid, err := strconv.Atoi(filepath.Base(f)[len("pid-"):]); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// A cancelled task, and one that needs no more rows, leave no process and no goroutine behind, not even a child of the process.
func TestPipeLeavesNothingBehind(t *testing.T) {
	for name, run := range map[string]func(r rdd.RDD[string], dir string) error{
		"cancelled": func(r rdd.RDD[string], dir string) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				for len(pids(dir)) < 4 {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			if _, err := r.Collect(ctx); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("cancelled: %w", err)
			}
			return nil
		},
		"satisfied": func(r rdd.RDD[string], _ string) error {
			rows, err := r.Take(context.Background(), 1)
			if err == nil && !slices.Equal(rows, []string{"ready"}) {
				err = fmt.Errorf("took %q", rows)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sc := driver.New(driver.Master("local[2]"))
			defer sc.Stop()
			if _, err := lines(sc, 10, 2).Count(context.Background()); err != nil {
				t.Fatal(err)
			}
			before := runtime.NumGoroutine()
			script := fmt.Sprintf("sleep 1000 & touch %s/pid-$$ %s/pid-$!; echo ready; wait", dir, dir)
			if err := run(rdd.Pipe(lines(sc, 1_000_000, 2), sh(script)), dir); err != nil {
				t.Fatal(err)
			}
			if len(pids(dir)) == 0 {
				t.Fatal("no process was started")
			}
			for _, pid := range pids(dir) {
				waitFor(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !alive(pid) })
			}
			waitFor(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+1 })
		})
	}
}

func BenchmarkPipe(b *testing.B) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	const rows = 200_000
	r := rdd.Pipe(lines(sc, rows, 2), rdd.Command{Args: []string{"cat"}})
	for b.Loop() {
		if n, err := r.Count(context.Background()); n != rows || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
