package clustering_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/internal/checkpoint/checkpointtest"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// TestGoesOnFromACheckpoint: a fit that is interrupted and begins again ends with the bytes of one that was not.
func TestGoesOnFromACheckpoint(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	log := checkpointtest.Listen(t, "iteration")
	r := rand.New(rand.NewPCG(3, 3))
	points := make([]linalg.Vector, 600)
	for i := range points {
		points[i] = linalg.Dense(r.Float64(), r.Float64(), 1+r.Float64())
	}
	fit := func(ctx context.Context, k clustering.KMeans, points []linalg.Vector) (string, error) {
		m, err := k.Fit(ctx, rdd.Parallelize(sc, points, 3))
		if err != nil {
			return "", err
		}
		return m.SHA256()
	}
	for _, distance := range []clustering.Distance{clustering.Euclidean, clustering.Cosine} {
		k := clustering.KMeans{K: 7, MaxIter: 12, Tol: -1, InitMode: clustering.Random, Distance: distance}
		want, err := fit(ctx, k, points)
		if err != nil {
			t.Fatal(err)
		}
		k.CheckpointDir, k.CheckpointInterval = t.TempDir(), 2
		for _, stop := range []int{1, 3, 7, 11} {
			if _, err := fit(log.Interrupt(ctx, stop), k, points); !errors.Is(err, checkpointtest.ErrInterrupted) {
				t.Fatalf("%s, interrupted at %d: %v", distance, stop, err)
			}
			if from := log.Resumed(); stop == 7 && from != 2 {
				t.Errorf("%s: goes on from iteration %d before %d", distance, from, stop)
			}
			if stop == 3 {
				continue // interrupted twice
			}
			got, err := fit(ctx, k, points)
			if err != nil || got != want {
				t.Errorf("%s, interrupted at %d: sha256 %s, %v, want %s", distance, stop, got, err, want)
			}
			if from, last := log.Resumed(), max(stop&^1, -1); from != last && stop > 1 {
				t.Errorf("%s, interrupted at %d: goes on from iteration %d", distance, stop, from)
			}
			left, err := os.ReadDir(k.CheckpointDir)
			if err != nil || len(left) > 0 {
				t.Errorf("%s, interrupted at %d: files are left: %v %v", distance, stop, left, err)
			}
		}
	}
}

// TestRefusesCheckpoints: nothing is trained anew, or on from a wrong place, in silence.
func TestRefusesCheckpoints(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	log := checkpointtest.Listen(t, "iteration")
	points, _ := planted(300, 9, 4)
	k := clustering.KMeans{K: 4, MaxIter: 5, Tol: -1, InitMode: clustering.Random, CheckpointDir: t.TempDir(), CheckpointInterval: 1}
	if _, err := k.Fit(log.Interrupt(ctx, 3), rdd.Parallelize(sc, points, 2)); !errors.Is(err, checkpointtest.ErrInterrupted) {
		t.Fatal(err)
	}
	file := filepath.Join(k.CheckpointDir, "kmeans.checkpoint")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(points)
	other[7] = linalg.Dense(1, 2, 3, 4)
	for _, c := range []struct {
		name   string
		change func(*clustering.KMeans)
		points []linalg.Vector
		parts  int
		bytes  []byte
		want   string
	}{
		{"settings", func(k *clustering.KMeans) { k.Seed = 7 }, points, 2, whole, "it is of a fit with Seed 42, this one has 7: remove it, or choose another CheckpointDir"},
		{"fewer iterations", func(k *clustering.KMeans) { k.MaxIter = 2 }, points, 2, whole, "MaxIter is 2: choose more"},
		{"data", nil, other, 2, whole, "it is of a fit on other data"},
		{"shape", nil, points[:200], 2, whole, "it is of a fit with points 300, this one has 200"},
		{"partitions", nil, points, 3, whole, "it is of a fit with partitions 2, this one has 3"},
		{"damaged", nil, points, 2, slices.Concat(whole[:len(whole)-40], []byte{whole[len(whole)-40] ^ 1}, whole[len(whole)-39:]), "checksum"},
		{"cut short", nil, points, 2, whole[:len(whole)/2], "kmeans.checkpoint"},
		{"nowhere", func(k *clustering.KMeans) { k.CheckpointDir = "nowhere://x" }, points, 2, whole, "choose another CheckpointDir"},
		{"never", func(k *clustering.KMeans) { k.CheckpointInterval = -1 }, points, 2, whole, "CheckpointInterval -1"},
		{"interval", func(k *clustering.KMeans) { k.CheckpointInterval = -3 }, points, 2, whole, "CheckpointInterval is -3"},
	} {
		if err := os.WriteFile(file, c.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		again := k
		if c.change != nil {
			c.change(&again)
		}
		if _, err := again.Fit(ctx, rdd.Parallelize(sc, c.points, c.parts)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
