package recommendation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/rdd"
)

// small makes ratings of a few users and items.
func small(copies int64) []Rating[int64, int64] {
	var rs []Rating[int64, int64]
	for u := range int64(20) {
		for i := range int64(12) {
			if (u*7+i*5)%3 != 0 {
				for c := range copies {
					rs = append(rs, Rating[int64, int64]{u*copies + c, i, float32((u*i)%5 + 1)})
				}
			}
		}
	}
	return rs
}

func begin(t *testing.T, a ALS[int64, int64], rs []Rating[int64, int64]) *training[int64, int64] {
	t.Helper()
	sc := driver.New(driver.Master("local[2]"))
	t.Cleanup(sc.Stop)
	a, err := a.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := checkpoint.Open(t.Context(), a.CheckpointDir, "als", modelKind, checkpointVersion)
	if err != nil {
		t.Fatal(err)
	}
	f := &training[int64, int64]{ALS: a, keeper: keeper}
	if err := f.distribute(t.Context(), rdd.Parallelize(sc, rs, 2)); err != nil {
		t.Fatal(err)
	}
	return f
}

func iterations(t *testing.T, f *training[int64, int64], n int) {
	t.Helper()
	for range n {
		if err := f.iterate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplicatedUsersChangeNothing: regularisation grows with the number of ratings, so that every user c times is the same problem.
func TestReplicatedUsersChangeNothing(t *testing.T) {
	for _, a := range []ALS[int64, int64]{{}, {Nonnegative: true}} {
		a.Rank, a.NumUserBlocks, a.NumItemBlocks = 3, 2, 2
		var models []*Model[int64, int64]
		for _, copies := range []int64{1, 4} {
			f := begin(t, a, small(copies))
			// Start all copies of a user alike.
			blocks, err := f.byUser.Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var start []factors
			for _, b := range blocks {
				var s factors
				for _, id := range b.IDs {
					u := float32(id / copies)
					s.Data = append(s.Data, 1/(u+1), u/30, 1)
				}
				start = append(start, s)
			}
			f.users = rdd.Parallelize(f.users.Session(), start, len(start))
			iterations(t, f, f.MaxIter)
			m, err := f.model(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			models = append(models, m)
		}
		one, four := models[0], models[1]
		for i, v := range one.ItemFactors {
			if !close32(v, four.ItemFactors[i]) {
				t.Errorf("item %d: %g and %g", i/3, v, four.ItemFactors[i])
			}
		}
		for i := range four.UserFactors {
			if v := one.UserFactors[i/12*3+i%3]; !close32(v, four.UserFactors[i]) {
				t.Errorf("copy %d of user %d: %g and %g", i/3%4, i/12, v, four.UserFactors[i])
			}
		}
	}
}

func close32(a, b float32) bool { return max(a-b, b-a) <= 1e-4*max(1, a, -a) }

// TestTwoHundredIterationsStayFlat: lineage and memory do not grow with the iterations.
func TestTwoHundredIterationsStayFlat(t *testing.T) {
	f := begin(t, ALS[int64, int64]{Rank: 2, MaxIter: 1000, NumUserBlocks: 2, NumItemBlocks: 2}, small(1))
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // after the clean-ups of the first
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	iterations(t, f, 25)
	lineage, memory := len(rdd.Ancestors(f.users.Node(), true)), heap()
	iterations(t, f, 180)
	if n := len(rdd.Ancestors(f.users.Node(), true)); n > lineage {
		t.Errorf("the lineage has %d datasets after 205 iterations and had %d after 25", n, lineage)
	}
	if m := heap(); m > memory+2<<20 {
		t.Errorf("%d KiB are in use after 205 iterations, %d KiB were after 25", m>>10, memory>>10)
	}
}

// TestGoesOnFromACheckpoint: a fit that stops after a checkpoint and begins again ends with the same model.
func TestGoesOnFromACheckpoint(t *testing.T) {
	ctx := context.Background()
	a := ALS[int64, int64]{Rank: 3, MaxIter: 7, NumUserBlocks: 3, NumItemBlocks: 2, CheckpointInterval: 2}
	ratings := small(1)
	digest := func(a ALS[int64, int64]) string {
		sc := driver.New(driver.Master("local[2]"))
		defer sc.Stop()
		m, err := a.Fit(ctx, rdd.Parallelize(sc, ratings, 3))
		if err != nil {
			return err.Error()
		}
		d, err := m.SHA256()
		return fmt.Sprint(d, m.History, err)
	}
	want := digest(a)
	a.CheckpointDir = t.TempDir()
	file := filepath.Join(a.CheckpointDir, "als.checkpoint")
	if got := digest(a); got != want {
		t.Errorf("with a checkpoint directory: %s, want %s", got, want)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the checkpoint of a finished fit is there: %v", err)
	}

	f := begin(t, a, small(1))
	if err := f.resume(ctx); err != nil {
		t.Fatal(err)
	}
	iterations(t, f, 5)
	again := begin(t, a, small(1))
	if err := again.resume(ctx); err != nil || again.done != 4 {
		t.Fatalf("goes on after iteration %d: %v", again.done, err)
	}
	for name, c := range map[string]struct {
		change func(*ALS[int64, int64])
		want   string
	}{
		"rank":    {func(a *ALS[int64, int64]) { a.Rank = 2 }, "of a fit with Rank 3, this one has 2: remove it"},
		"maxIter": {func(a *ALS[int64, int64]) { a.MaxIter = 3 }, "MaxIter is 3"},
	} {
		other := a
		c.change(&other)
		if got := digest(other); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	ratings[3].Value++
	if got := digest(a); !strings.Contains(got, "of a fit on other data") {
		t.Errorf("other ratings: %s", got)
	}
	ratings[3].Value--
	if got := digest(a); got != want {
		t.Errorf("continued: %s, want %s", got, want)
	}

	if err := os.WriteFile(file, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := digest(a); !strings.Contains(got, "go on from the checkpoint") {
		t.Errorf("a damaged checkpoint: %s", got)
	}
}
