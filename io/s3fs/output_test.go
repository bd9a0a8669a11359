package s3fs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// commit writes a job's files and returns its end.
func commit(t *testing.T, uri string, mode filesys.SaveMode, partitions int, size int) error {
	t.Helper()
	ctx := t.Context()
	o, err := filesys.NewOutput(ctx, uri, mode)
	if err != nil {
		return err
	}
	var files []filesys.TaskFile
	for p := range partitions {
		for attempt := range 2 { // the first finishes as well, and does not count
			w, err := o.CreateTask(ctx, p, ".bin")
			if err == nil {
				if _, err = w.Write(pattern(size + p)); err == nil {
					err = w.Close()
				}
			}
			if err != nil {
				return errors.Join(err, o.Abort(ctx))
			}
			if attempt == 1 {
				files = append(files, w.File(int64(p)))
			}
		}
	}
	if err := o.Commit(ctx, files); err != nil {
		return errors.Join(err, o.Abort(ctx))
	}
	return nil
}

func TestOutput(t *testing.T) {
	g := startGateway(t)
	p := startProxy(t, g.addr)
	use(t, p.addr, nil)
	b := makeBucket(t, "output")
	ctx := t.Context()
	uri := "s3://output/some dir/été"
	p.set(func(_ int, r *http.Request) fault {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			t.Error("something is copied")
		}
		return fault{}
	})
	for i, mode := range []filesys.SaveMode{filesys.ErrorIfExists, filesys.Append, filesys.Overwrite} {
		if err := commit(t, uri, mode, 3, []int{0, defaultPartSize}[i%2]); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		files, err := filesys.Expand(ctx, uri)
		if want := []int{3, 6, 3}[i]; err != nil || len(files) != want {
			t.Fatalf("%s: %d files, want %d: %v", mode, len(files), want, err)
		}
		m, err := filesys.ReadManifest(ctx, uri)
		if err != nil || len(m.Files) != len(files) || m.Mode != mode {
			t.Fatalf("%s: manifest %+v, %v", mode, m, err)
		}
		for i, f := range m.Files {
			if f.Name != files[i].Name() || f.Bytes != files[i].Size || !strings.HasPrefix(f.Checksum, "crc32c:") {
				t.Errorf("%s: manifest says %+v, the listing %+v", mode, f, files[i])
			}
		}
		if n := uploads(t, b); n != 0 {
			t.Errorf("%s: %d uploads are left", mode, n)
		}
		if all, err := b.List(ctx, "/some dir/été"); err != nil || len(all) != len(files)+1 {
			t.Errorf("%s: %s, %v", mode, names(all), err)
		}
	}
	if err := commit(t, uri, filesys.ErrorIfExists, 1, 1); !errors.Is(err, filesys.ErrOutputExists) {
		t.Errorf("into a full directory: %v", err)
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// TestOutputFaults lets each request of a job fail for good, one after the other.
func TestOutputFaults(t *testing.T) {
	g := startGateway(t)
	p := startProxy(t, g.addr)
	defer func(d time.Duration) { longestPause = d }(longestPause)
	longestPause = time.Millisecond
	use(t, p.addr, map[string]string{"attempts.maximum": "2"})
	b := makeBucket(t, "fails")
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler)) // leftovers of complete outputs are only warned of
	failed := 0
	for n := 1; ; n++ {
		uri := fmt.Sprintf("s3://fails/%d", n)
		fired := false
		p.set(func(i int, _ *http.Request) fault {
			if i == n || i == n+1 { // both attempts, if it is tried again
				fired = true
				return fault{status: 500}
			}
			return fault{}
		})
		err := commit(t, uri, filesys.ErrorIfExists, 1, 10)
		p.set(nil)
		files, listErr := filesys.Expand(t.Context(), uri)
		complete := listErr == nil && len(files) == 1
		switch {
		case err == nil && !complete:
			t.Fatalf("request %d: no error, and %s, %v", n, names(files), listErr)
		case err != nil && len(files) > 0 && !errors.Is(err, filesys.ErrUnfinished):
			t.Errorf("request %d: %v, and %s", n, err, names(files))
		case listErr != nil && !errors.Is(listErr, filesys.ErrUnfinished) && !errors.Is(listErr, fs.ErrNotExist):
			t.Errorf("request %d: %v", n, listErr)
		}
		if err != nil {
			failed++
		}
		if _, err := filesys.Clean(t.Context(), uri, filesys.CleanOptions{}); err != nil {
			t.Errorf("request %d: clean: %v", n, err)
		}
		if files, err := filesys.Expand(t.Context(), uri); err != nil && !errors.Is(err, fs.ErrNotExist) || len(files) > 1 {
			t.Errorf("request %d: after cleaning: %s, %v", n, names(files), err)
		}
		if !fired {
			break
		}
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	for f, err := range filesys.Walk(t.Context(), "s3://fails/") {
		if err != nil || slices.Contains(strings.Split(f.Path, "/"), "_temporary") {
			t.Errorf("left over: %s, %v", f.Path, err)
		}
	}
	if failed < 10 {
		t.Errorf("only %d requests failed", failed)
	}
}

// What was killed between starting an upload and anything else is found by the name of the upload alone.
func TestStrayUploads(t *testing.T) {
	g := startGateway(t)
	use(t, g.addr, nil)
	b := makeBucket(t, "strays")
	ctx := t.Context()
	o, err := filesys.NewOutput(ctx, "s3://strays/out", filesys.ErrorIfExists)
	if err != nil {
		t.Fatal(err)
	}
	late := func() { // as an executor that outlives its driver
		w, err := o.CreateTask(ctx, 0, ".bin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pattern(defaultPartSize + 1)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	late()
	if err := o.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("after abort: %d uploads", n)
	}
	late()
	foreign, err := b.CreatePending(ctx, "/out/part-00000-0a1b2c3d-aaaa-bbbb-cccc-000000000000.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Write(pattern(defaultPartSize + 1)); err != nil {
		t.Fatal(err)
	}
	if r, err := filesys.Clean(ctx, "s3://strays/out", filesys.CleanOptions{OlderThan: time.Hour}); err != nil || r.Uploads != 0 || len(r.Spared) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err := filesys.Clean(ctx, "s3://strays/out", filesys.CleanOptions{})
	if err != nil || r.Uploads != 1 || len(r.Foreign) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := uploads(t, b); n != 1 {
		t.Errorf("%d uploads, want the foreign one", n)
	}
	if err := foreign.Abort(); err != nil {
		t.Error(err)
	}
}
