package s3fs_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	_ "github.com/spark-go/spark-go/io/hdfsfs" // the input lies there if there is a server
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/io/s3fs"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// The test binary is also the program that is submitted, with its executors.
func TestMain(m *testing.M) {
	if os.Getenv("SPARK_GO_TEST_JOB") != "" {
		os.Exit(job(os.Getenv("SPARK_GO_TEST_JOB")))
	}
	driver.Serve()
	flag.Parse()
	os.Exit(m.Run())
}

type rating struct {
	User, Item int64
	Value      float32
}

const jobRows = 40_000

// job reads Parquet, does a little, and writes Parquet and text to S3: "input|output|mode|endpoint". The endpoint reaches executors as a setting, the keys in
// the environment.
func job(args string) int {
	a := strings.Split(args, "|")
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.hadoop.fs.s3a.endpoint", a[3]))
	defer sc.Stop()
	ctx := context.Background()
	rows := rdd.Map(parquetio.Read[rating](sc, a[0], 8), func(r rating) rating { r.Value *= 2; return r })
	if err := parquetio.Write(ctx, rows, a[1]+"/parquet", parquetio.WriteOptions{Mode: filesys.SaveMode(a[2])}); err != nil {
		fmt.Fprintln(os.Stderr, "parquet:", err)
		return 1
	}
	lines := rdd.Map(rows, func(r rating) string { return fmt.Sprint(r.User, r.Item, r.Value) })
	if err := textio.Save(ctx, lines, a[1]+"/text", textio.SaveOptions{Mode: filesys.SaveMode(a[2]), Compression: "gzip"}); err != nil {
		fmt.Fprintln(os.Stderr, "text:", err)
		return 1
	}
	return 0
}

// process is a running job.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
}

func start(t *testing.T, endpoint, input, output string, mode filesys.SaveMode) *process {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), "SPARK_GO_TEST_JOB="+input+"|"+output+"|"+string(mode)+"|http://"+endpoint,
		"AWS_ACCESS_KEY_ID="+s3fs.TestAccess, "AWS_SECRET_ACCESS_KEY="+s3fs.TestSecret, "TMPDIR="+t.TempDir())
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// children lists the processes whose parent is one of pids, from /proc.
func children(pids map[int]bool) map[int]bool {
	found := map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		text, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		if pids[parent] && fields[0] != "Z" {
			found[pid] = true
		}
	}
	return found
}

// killOne kills an executor's job process, a grandchild of the driver, and says whether there was one.
func (p *process) killOne() bool {
	for pid := range children(children(map[int]bool{p.cmd.Process.Pid: true})) {
		return syscall.Kill(pid, syscall.SIGKILL) == nil
	}
	return false
}

// A submitted job that is killed, driver or executor, at any moment, leaves its output complete or as it was, and the next run makes it complete and leaves
// nothing behind.
func TestKilledJobs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds executors through /proc")
	}
	kills := 1
	if os.Getenv("SPARK_GO_SLOW") != "" {
		kills = 10
	}
	server := s3fs.StartGateway(t)
	s3fs.Use(t, server)
	s3fs.MakeBucket(t, "jobs")
	ctx := t.Context()
	input := filepath.Join(t.TempDir(), "in.parquet")
	if hdfs := os.Getenv("SPARK_GO_TEST_HDFS"); hdfs != "" {
		input = hdfs + "/spark-go-killed-jobs/in.parquet"
		t.Cleanup(func() {
			fsys, dir, err := filesys.Get(context.Background(), strings.TrimSuffix(input, "/in.parquet"))
			if err == nil {
				err = fsys.RemoveAll(context.Background(), dir)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	w, err := parquetio.NewFileWriter[rating](ctx, input, parquetio.WriteOptions{RowGroupRows: jobRows / 8})
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]rating, jobRows)
	for i := range rows {
		rows[i] = rating{int64(i), int64(i * 7 % 1000), float32(i % 10)}
	}
	if err := errors.Join(w.Write(rows), w.Close()); err != nil {
		t.Fatal(err)
	}
	killJobs(t, server, input, "s3://jobs", kills, true)
	if n := s3fs.Uploads(t, "jobs"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	if kills == 1 {
		t.Log("jobs that write to HDFS and the local disk are killed only with SPARK_GO_SLOW=1")
		return
	}
	// Where files are renamed: HDFS if there is a server, and the local disk.
	killJobs(t, server, input, filepath.Join(t.TempDir(), "jobs"), kills, false)
	if dir, ok := strings.CutSuffix(input, "/in.parquet"); ok && strings.HasPrefix(dir, "hdfs:") {
		killJobs(t, server, input, dir+"/jobs", kills, false)
	}
}

// killJobs runs jobs that write below root and kills them; half of them at one of their requests to S3, if there are any.
func killJobs(t *testing.T, server, input, root string, kills int, requested bool) {
	ctx := t.Context()
	proxy := s3fs.StartProxy(t, server)
	// A run without harm shows how many requests and how long a job takes.
	proxy.OnRequest(nil)
	began := time.Now()
	p := start(t, proxy.Addr(), input, root+"/first", filesys.ErrorIfExists)
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &p.output)
	}
	requests, took := proxy.Requests(), time.Since(began)
	t.Logf("a run takes %v and %d requests", took.Round(time.Millisecond), requests)

	// state is what a directory holds: "", or the digest of a complete output. A part is an error.
	state := func(uri string) string {
		files, err := filesys.Expand(ctx, uri)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, filesys.ErrUnfinished) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		ok, err := filesys.Exists(ctx, uri+"/_SUCCESS")
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if len(files) > 0 {
				t.Errorf("%s: %d files and no _SUCCESS", uri, len(files))
			}
			return ""
		}
		m, err := filesys.ReadManifest(ctx, uri)
		if err != nil || m.Rows != jobRows || len(m.Files) != len(files) {
			t.Errorf("%s: %d files and a manifest of %d files and %d rows, %v", uri, len(files), len(m.Files), m.Rows, err)
		}
		sums := ""
		for i, f := range m.Files {
			sums += f.Checksum
			if files[i].Size != f.Bytes {
				t.Errorf("%s: %s has %d bytes, not %d", uri, f.Name, files[i].Size, f.Bytes)
			}
		}
		return sums
	}
	wantParquet, wantText := state(root+"/first/parquet"), state(root+"/first/text")
	if wantParquet == "" || wantText == "" {
		t.Fatal("the first run left no output")
	}
	rng := rand.New(rand.NewPCG(20, 26))
	hits := 0
	for i := range 2 * kills {
		driverDies := i%2 == 0
		what := map[bool]string{true: "driver", false: "executor"}[driverDies]
		mode := []filesys.SaveMode{filesys.ErrorIfExists, filesys.Overwrite}[i/2%2]
		dir := fmt.Sprintf("%s/%d", root, i)
		if mode == filesys.Overwrite {
			dir = root + "/first" // which has an output that must not get lost
		}
		// Half of the kills come at a moment, half at a request.
		at, byRequest := 1+rng.IntN(max(requests, 1)), requested && i%4 < 2
		moment := time.Duration(rng.Int64N(int64(took)))
		var p *process
		var once sync.Once
		fired := false
		kill := func() {
			once.Do(func() {
				if driverDies {
					fired = p.cmd.Process.Kill() == nil
				} else {
					fired = p.killOne()
				}
			})
		}
		started := make(chan struct{})
		proxy.OnRequest(func(n int) {
			if byRequest && n == at {
				<-started
				kill()
			}
		})
		p = start(t, proxy.Addr(), input, dir, mode)
		close(started)
		if !byRequest {
			time.AfterFunc(moment, kill)
		}
		err := p.cmd.Wait()
		once.Do(func() {}) // what comes too late must not hit the next run
		if fired {
			hits++
		}
		t.Logf("kill %d: %s at request %d or %v, mode %s: fired %v, %v", i, what, at, moment.Round(time.Millisecond), mode, fired, err)
		if !driverDies && err != nil {
			t.Errorf("the job did not survive the death of an executor: %v: %s", err, &p.output)
		}
		for dir, want := range map[string]string{dir + "/parquet": wantParquet, dir + "/text": wantText} {
			if got := state(dir); got != want && (got != "" || mode == filesys.Overwrite && !unfinished(ctx, dir)) {
				t.Errorf("kill %d: %s holds something else", i, dir)
			}
		}
		proxy.OnRequest(nil)
		p = start(t, proxy.Addr(), input, dir, filesys.Overwrite)
		if err := p.cmd.Wait(); err != nil {
			t.Fatalf("kill %d: the next run: %v: %s", i, err, &p.output)
		}
		for dir, want := range map[string]string{dir + "/parquet": wantParquet, dir + "/text": wantText} {
			if state(dir) != want {
				t.Errorf("kill %d: after the next run, %s is not complete", i, dir)
			}
			// An executor may have outlived its driver by a moment, after the next run looked.
			if _, err := filesys.Clean(ctx, dir, filesys.CleanOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
	if hits == 0 {
		t.Errorf("%s: nothing was killed", root)
	}
	for f, err := range filesys.Walk(ctx, root) {
		if err != nil || strings.Contains(f.Path, "/_temporary/") {
			t.Errorf("left over: %s, %v", f.Path, err)
		}
	}
}

func unfinished(ctx context.Context, uri string) bool {
	_, err := filesys.Expand(ctx, uri)
	return errors.Is(err, filesys.ErrUnfinished)
}
