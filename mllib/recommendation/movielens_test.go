package recommendation_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/internal/wheel"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

// movieLens reads the 100,000 ratings in the order of the original file u.data.
func movieLens(t *testing.T) []rating {
	if testing.Short() {
		t.Skip("needs a data set from the Python Package Index, which -short does not fetch")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	z, err := wheel.Open(ctx, wheel.MovieLens100k)
	if err != nil {
		t.Skip(err)
	}
	defer z.Close()
	f, err := z.Open("recbole/dataset_example/ml-100k/ml-100k.inter")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the names of the columns
	var rs []rating
	for lines.Scan() {
		var r rating
		var seconds float64
		if _, err := fmt.Sscan(lines.Text(), &r.User, &r.Item, &r.Value, &seconds); err != nil {
			t.Fatalf("row %d: %v", len(rs), err)
		}
		rs = append(rs, r)
	}
	if err := lines.Err(); err != nil || len(rs) != 100_000 {
		t.Fatalf("%d ratings: %v", len(rs), err)
	}
	return rs
}

// TestMovieLens trains on the five official splits of MovieLens-100k. The script mku.sh of that data set makes u1.test of the first
// 20,000 lines of u.data, u2.test of the next, and so on, and u1.base to u5.base of the lines that are left. The reference was computed
// with numpy: lambda 0.1 times the count of ratings, no biases, 10 iterations, test pairs without a vector left out.
func TestMovieLens(t *testing.T) {
	all := movieLens(t)
	sc := driver.New(driver.Master("local[*]"))
	defer sc.Stop()
	for _, c := range []struct {
		als       settings
		folds     [5]float64 // 0 where the reference has only the mean
		low, high float64    // of the mean
	}{
		{settings{Rank: 10, RegParam: 0.1, MaxIter: 10}, [5]float64{0.9313, 0.9217, 0.9163, 0.9221, 0.9217}, 0.915, 0.930},
		{settings{Rank: 20, RegParam: 0.15, MaxIter: 10}, [5]float64{}, 0.915, 0.921}, // mean 0.9182
		{settings{Rank: 10, RegParam: 0.05, MaxIter: 10}, [5]float64{}, 0.958, 0.978}, // mean 0.968: too little
	} {
		if c.folds[0] == 0 && os.Getenv("SPARK_GO_SLOW") != "1" {
			t.Logf("rank %d, lambda %g: left out without SPARK_GO_SLOW=1", c.als.Rank, c.als.RegParam)
			continue
		}
		var got []string
		sum := 0.0
		for fold, want := range c.folds {
			lo, hi := fold*20_000, (fold+1)*20_000
			base := append(append([]rating(nil), all[:lo]...), all[hi:]...)
			m, err := c.als.Fit(context.Background(), rdd.Parallelize(sc, base, 2))
			if err != nil {
				t.Fatal(err)
			}
			e := knownRMSE(m, all[lo:hi])
			if want != 0 && math.Abs(e-want) > 0.01 { // starts differ
				t.Errorf("u%d: rmse %.4f, the reference has %.4f", fold+1, e, want)
			}
			got = append(got, fmt.Sprintf("%.4f", e))
			sum += e
		}
		mean := sum / float64(len(c.folds))
		t.Logf("rank %d, lambda %g: rmse %s, mean %.4f", c.als.Rank, c.als.RegParam, strings.Join(got, " "), mean)
		if !(mean >= c.low && mean <= c.high) {
			t.Errorf("rank %d, lambda %g: mean rmse %.4f, want %g to %g", c.als.Rank, c.als.RegParam, mean, c.low, c.high)
		}
	}
}

// knownRMSE leaves out ratings of users and items that the model has not seen.
func knownRMSE(m *recommendation.Model[int64, int64], rs []rating) float64 {
	s, n := 0.0, 0
	for _, r := range rs {
		if p, ok := m.Predict(r.User, r.Item); ok {
			s += (p - float64(r.Value)) * (p - float64(r.Value))
			n++
		}
	}
	return math.Sqrt(s / float64(n))
}
