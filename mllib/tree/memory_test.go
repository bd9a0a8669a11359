package tree

import (
	"testing"

	"github.com/spark-go/spark-go/rdd"
)

// sized is a session whose executors have the given memory.
type sized struct {
	rdd.Session
	memory int64
	tasks  int
}

func (s sized) ExecutorSize() (int64, int) { return s.memory, s.tasks }

// What a step holds follows the executors' memory where the model does not, which TestLevelsEqualWhole holds: classes without weights.
func TestStepsFitTheExecutors(t *testing.T) {
	sc := local(t, "local[1]")
	rows := planted(300)
	for _, c := range []struct {
		name           string
		memory         int64
		set            Settings
		regression     bool
		limit, largest int64 // of histograms, and of data that is brought together
	}{
		{"no bound", 0, Settings{}, false, 256 << 20, 256 << 20},
		{"large executors", 4 << 30, Settings{}, false, 256 << 20, 256 << 20},
		{"small executors", 80 << 20, Settings{}, false, 20 << 20, 40 << 20},
		{"tiny executors", 1 << 20, Settings{}, false, 1 << 20, 1 << 19},
		{"less is asked for", 80 << 20, Settings{MaxMemoryInMB: 2}, false, 2 << 20, 2 << 20},
		{"weights", 80 << 20, Settings{Weighted: true}, false, 256 << 20, 256 << 20},
		{"numbers", 80 << 20, Settings{}, true, 256 << 20, 256 << 20},
	} {
		tr := trainer(t, rdd.Parallelize(sc, rows, 2), c.set, c.regression)
		tr.batches = ColumnsOf(rdd.Parallelize(sized{sc, c.memory, 2}, rows, 2))
		if got := tr.limit(); got != c.limit {
			t.Errorf("%s: histograms may take %d bytes, want %d", c.name, got, c.limit)
		}
		if !tr.whole(c.largest) || tr.whole(c.largest+1) {
			t.Errorf("%s: data of more or less than %d bytes is brought together", c.name, c.largest)
		}
	}
}
