package classification_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/internal/checkpoint/checkpointtest"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// TestGoesOnFromACheckpoint: a fit that is interrupted and begins again ends with the bytes of one that was not, whichever way it searches.
func TestGoesOnFromACheckpoint(t *testing.T) {
	sc := local(t)
	ctx := context.Background()
	log := checkpointtest.Listen(t, "iteration")
	rows := adultRows(t)[:700]
	three := slices.Clone(rows) // classes
	for i := range three {
		if i%5 == 0 && three[i].Features.At(3) > 0 {
			three[i].Label = 2
		}
	}
	fit := func(ctx context.Context, s settings, rows []linalg.Instance) (string, error) {
		m, err := s.Fit(ctx, rdd.Parallelize(sc, rows, 3))
		if err != nil {
			return "", err
		}
		return m.SHA256()
	}
	bounds := [][]float64{make([]float64, rows[0].Features.Size)}
	for _, c := range []struct {
		name string
		rows []linalg.Instance
		set  settings
	}{
		{"rounds", rows, settings{RegParam: 1e-4}},
		{"softmax", three, settings{RegParam: 1e-3}},
		{"L1", rows, settings{RegParam: 1e-3, ElasticNetParam: 0.5}},
		{"bounds", rows, settings{RegParam: 1e-3, LowerBoundsOnCoefficients: bounds}},
	} {
		s := c.set
		s.Tol, s.MaxIter = -1, 25
		want, err := fit(ctx, s, c.rows)
		if err != nil {
			t.Fatal(err)
		}
		s.CheckpointDir, s.CheckpointInterval = t.TempDir(), 2
		for _, stop := range []int{1, 7, 9, 16} {
			short := s
			short.MaxIter += stop % 2 // may change
			if _, err := fit(log.Interrupt(ctx, stop), short, c.rows); !errors.Is(err, checkpointtest.ErrInterrupted) {
				t.Fatalf("%s, interrupted at %d: %v", c.name, stop, err)
			}
			got, err := fit(ctx, s, c.rows)
			if err != nil || got != want {
				t.Errorf("%s, interrupted at %d: sha256 %s, %v, want %s", c.name, stop, got, err, want)
			}
			if from := log.Resumed(); stop > 1 && from != (stop-1)&^1 {
				t.Errorf("%s, interrupted at %d: goes on from iteration %d", c.name, stop, from)
			}
			left, err := os.ReadDir(s.CheckpointDir)
			if err != nil || len(left) > 0 {
				t.Errorf("%s, interrupted at %d: files are left: %v %v", c.name, stop, left, err)
			}
		}
	}
}

// TestRefusesCheckpoints: nothing is trained anew, or on from a wrong place, in silence.
func TestRefusesCheckpoints(t *testing.T) {
	sc := local(t)
	ctx := context.Background()
	log := checkpointtest.Listen(t, "iteration")
	rows := adultRows(t)[:300]
	s := settings{RegParam: 1e-3, Tol: -1, MaxIter: 9, CheckpointDir: t.TempDir(), CheckpointInterval: 2}
	if _, err := s.Fit(log.Interrupt(ctx, 5), rdd.Parallelize(sc, rows, 2)); !errors.Is(err, checkpointtest.ErrInterrupted) {
		t.Fatal(err)
	}
	file := filepath.Join(s.CheckpointDir, "logistic.checkpoint")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(rows)
	other[7].Label = 1 - other[7].Label
	for _, c := range []struct {
		name   string
		change func(*settings)
		rows   []linalg.Instance
		bytes  []byte
		want   string
	}{
		{"settings", func(s *settings) { s.RegParam = 0.1 }, rows, whole, "it is of a fit with RegParam 0.001, this one has 0.1: remove it, or choose another CheckpointDir"},
		{"start", func(s *settings) {
			s.Initial = &classification.Model{NumFeatures: rows[0].Features.Size, Intercepts: []float64{0}}
		}, rows, whole, "it is of a fit with Initial none"},
		{"fewer iterations", func(s *settings) { s.MaxIter = 3 }, rows, whole, "MaxIter is 3: choose more"},
		{"data", nil, other, whole, "it is of a fit on other data"},
		{"shape", nil, rows[:200], whole, "it is of a fit with rows 300, this one has 200"},
		{"damaged", nil, rows, slices.Concat(whole[:999], []byte{whole[999] ^ 1}, whole[1000:]), "checksum"},
		{"cut short", nil, rows, whole[:len(whole)/2], "logistic.checkpoint"},
		{"nowhere", func(s *settings) { s.CheckpointDir = "nowhere://x" }, rows, whole, "choose another CheckpointDir"},
		{"never", func(s *settings) { s.CheckpointInterval = -1 }, rows, whole, "CheckpointInterval -1"},
	} {
		if err := os.WriteFile(file, c.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		again := s
		if c.change != nil {
			c.change(&again)
		}
		if _, err := again.Fit(ctx, rdd.Parallelize(sc, c.rows, 2)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
