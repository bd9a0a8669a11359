package tree

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint/checkpointtest"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// TestGoesOnFromACheckpoint: a fit that is interrupted and begins again ends with the bytes of one that was not, in both ways of growing.
func TestGoesOnFromACheckpoint(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	log := checkpointtest.Listen(t, "trees")
	rows := planted(2500)
	numbers := slices.Clone(rows)
	for i := range numbers {
		x := rows[i].Features.Values
		numbers[i].Weight += 0.3 * x[1] // sums of which depend on their order
		numbers[i].Label += math.Sqrt(x[2])
	}
	for _, c := range []struct {
		name       string
		rows       []linalg.Instance
		set        Settings
		regression bool
	}{
		{"classes", rows, Settings{NumTrees: 12, MaxDepth: 7, Categorical: map[int]int{3: 6, 4: 12}}, false},
		{"numbers", numbers, Settings{NumTrees: 12, MaxDepth: 7, Weighted: true, FeatureSubsetStrategy: "all", MaxMemoryInMB: 1}, true},
	} {
		dir := t.TempDir()
		fit := func(ctx context.Context, way string, s Settings) (string, error) {
			tr := trainer(t, rdd.Parallelize(sc, c.rows, 3), s, c.regression)
			grow := tr.growWhole
			if way == "levels" {
				grow = tr.growLevels
			}
			f, err := grow(ctx)
			if err != nil {
				return "", err
			}
			return digest(t, &RegressionModel{Forest: *f}), f.check()
		}
		for _, way := range []string{"whole", "levels"} {
			want, err := fit(ctx, way, c.set)
			if err != nil {
				t.Fatal(err)
			}
			s := c.set
			s.CheckpointDir, s.CheckpointInterval = dir, 2
			few := s
			if few.NumTrees = 10; way == "levels" && c.regression {
				few.NumTrees = 12 // other numbers of trees sum in another order
			}
			for _, stop := range []struct {
				at       int
				set      Settings
				interval int // of the fit that goes on
			}{{1, s, 2}, {5, s, 2}, {7, few, 3}, {9, s, 5}} {
				if _, err := fit(log.Interrupt(ctx, stop.at), way, stop.set); !errors.Is(err, checkpointtest.ErrInterrupted) {
					t.Fatalf("%s, %s, interrupted at %d: %v", c.name, way, stop.at, err)
				}
				again := s
				again.CheckpointInterval = stop.interval
				got, err := fit(ctx, way, again)
				if err != nil || got != want {
					t.Errorf("%s, %s, interrupted at %d: sha256 %s, %v, want %s", c.name, way, stop.at, got, err, want)
				}
				if from := log.Resumed(); way == "whole" && stop.at > 5 && from < 2 || way == "levels" && stop.at > 2 && from != (stop.at-1)&^1 {
					t.Errorf("%s, %s, interrupted at %d: goes on from tree %d", c.name, way, stop.at, from)
				}
				left, err := os.ReadDir(dir)
				if err != nil || len(left) > 0 {
					t.Errorf("%s, %s, interrupted at %d: files are left: %v %v", c.name, way, stop.at, left, err)
				}
			}
		}
	}
}

// TestRefusesCheckpoints: nothing is trained anew, or on from other trees, in silence.
func TestRefusesCheckpoints(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	log := checkpointtest.Listen(t, "trees")
	rows := planted(300)
	s := Settings{NumTrees: 9, MaxDepth: 3, CheckpointDir: t.TempDir(), CheckpointInterval: 1}
	if _, err := RandomForestClassifier(s).Fit(log.Interrupt(ctx, 7), rdd.Parallelize(sc, rows, 2)); !errors.Is(err, checkpointtest.ErrInterrupted) {
		t.Fatal(err)
	}
	file := filepath.Join(s.CheckpointDir, "forest.checkpoint")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(rows)
	other[7].Label = math.Mod(other[7].Label+1, 3)
	for _, c := range []struct {
		name   string
		change func(*Settings)
		rows   []linalg.Instance
		bytes  []byte
		want   string
	}{
		{"settings", func(s *Settings) { s.MaxDepth = 4 }, rows, whole, "it is of a fit with MaxDepth 3, this one has 4: remove it, or choose another CheckpointDir"},
		{"data", nil, other, whole, "it is of a fit on other data"},
		{"shape", nil, rows[:200], whole, "it is of a fit with rows 300, this one has 200"},
		{"damaged", nil, rows, slices.Concat(whole[:999], []byte{whole[999] ^ 1}, whole[1000:]), "checksum"},
		{"cut short", nil, rows, whole[:len(whole)/2], "forest.checkpoint"},
		{"nowhere", func(s *Settings) { s.CheckpointDir = "nowhere://x" }, rows, whole, "choose another CheckpointDir"},
		{"never", func(s *Settings) { s.CheckpointInterval = -1 }, rows, whole, "CheckpointInterval -1"},
	} {
		if err := os.WriteFile(file, c.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		again := s
		if c.change != nil {
			c.change(&again)
		}
		if _, err := RandomForestClassifier(again).Fit(ctx, rdd.Parallelize(sc, c.rows, 2)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := RandomForestRegressor(s).Fit(ctx, rdd.Parallelize(sc, rows, 2)); err == nil || !strings.Contains(err.Error(), "trainer RandomForestClassifier") {
		t.Errorf("a forest of classes goes on as one of numbers: %v", err)
	}
}
