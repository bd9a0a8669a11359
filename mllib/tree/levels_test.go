package tree

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// trainer prepares a training whose way of growing the test chooses.
func trainer(t *testing.T, rows rdd.RDD[linalg.Instance], s Settings, regression bool) *training {
	t.Helper()
	s, err := s.withDefaults("Test", !regression)
	if err != nil {
		t.Fatal(err)
	}
	tr := &training{name: "Test", settings: s, batches: ColumnsOf(rows), log: slog.Default()}
	if err := tr.prepare(context.Background(), regression); err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestLevelsEqualWhole holds the two ways of growing to each other: histograms over partitions with small nodes finished in one task, and
// whole trees in one task. Sums of counts are exact, so the forests are the same to the last bit, however many partitions there are.
func TestLevelsEqualWhole(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	rows := planted(30_000)
	for _, s := range []Settings{
		{NumTrees: 5, MaxDepth: 9},
		{NumTrees: 3, MaxDepth: 12, Categorical: map[int]int{3: 6, 4: 12}, Impurity: "entropy", MaxBins: 64, MinInstancesPerNode: 7},
		{NumTrees: 1, MaxDepth: 10, NoBootstrap: true, SubsamplingRate: 0.7, Categorical: map[int]int{3: 6}, MinInfoGain: 1e-4, MinWeightFractionPerNode: 0.001},
		{NumTrees: 2, MaxDepth: 8, FeatureSubsetStrategy: "all", MaxBins: 400},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			want := ""
			for _, parts := range []int{1, 5} {
				tr := trainer(t, rdd.Parallelize(sc, rows, parts), s, false)
				for name, grow := range map[string]func(context.Context) (*Forest, error){"whole": tr.growWhole, "levels": tr.growLevels} {
					forest, err := grow(ctx)
					if err != nil {
						t.Fatal(err)
					}
					m := &ClassificationModel{Forest: *forest}
					if err := m.check(); err != nil {
						t.Fatal(err)
					}
					sum := digest(t, m)
					if want == "" {
						want = sum
						if m.NumNodes() < 20 {
							t.Errorf("only %d nodes", m.NumNodes())
						}
					}
					if sum != want {
						t.Errorf("%s on %d partitions: %d nodes, sha256 %s, want %s", name, parts, m.NumNodes(), sum, want)
					}
				}
			}
		})
	}
}
