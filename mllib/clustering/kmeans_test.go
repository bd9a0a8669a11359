package clustering_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

func TestMain(m *testing.M) {
	driver.Serve()
	os.Exit(m.Run())
}

// planted draws n points around k centres far from the origin and from each other.
func planted(n, k, d int) (points []linalg.Vector, centers [][]float64) {
	r := rand.New(rand.NewPCG(7, 7))
	for range k {
		c := make([]float64, d)
		for j := range c {
			c[j] = 1e4 + 30*r.NormFloat64()
		}
		centers = append(centers, c)
	}
	for range n {
		c := centers[r.IntN(k)]
		x := make([]float64, d)
		for j := range x {
			x[j] = c[j] + r.NormFloat64()
		}
		points = append(points, linalg.Dense(x...))
	}
	return points, centers
}

// cost is the sum of squared distances from the nearest centre, found without any of the package's code.
func cost(points []linalg.Vector, centers [][]float64) float64 {
	sum := 0.0
	for _, p := range points {
		best := math.Inf(1)
		for _, c := range centers {
			s := 0.0
			for j, v := range p.Values {
				s += (v - c[j]) * (v - c[j])
			}
			best = min(best, s)
		}
		sum += best
	}
	return sum
}

func near(a, b, tol float64) bool { return math.Abs(a-b) <= tol*math.Max(math.Abs(a), math.Abs(b)) }

func TestRecoversPlantedCenters(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	points, centers := planted(1500, 12, 5)
	data := rdd.Parallelize(sc, points, 4)
	best := cost(points, centers)
	for _, mode := range []clustering.InitMode{clustering.KMeansParallel, clustering.KMeansPlusPlus, clustering.Random} {
		m, err := clustering.KMeans{K: 12, InitMode: mode, Seed: 5}.Fit(ctx, data)
		if err != nil {
			t.Fatal(err)
		}
		if mode != clustering.Random && m.Cost > best {
			t.Errorf("%s: cost %v, the planted centres' is %v", mode, m.Cost, best)
		}
		if want := cost(points, m.Centers); !near(m.Cost, want, 1e-9) {
			t.Errorf("%s: cost %v, of its centres %v", mode, m.Cost, want)
		}
		sizes := make([]int64, len(m.Centers))
		all, err := m.PredictAll(data).Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range all {
			sizes[c]++
			if got := m.Predict(points[i].Values); got != int(c) {
				t.Fatalf("point %d alone is in %d, with all in %d", i, got, c)
			}
		}
		if got, err := m.Silhouette(ctx, data); err != nil || !near(got, silhouette(points, all), 1e-6) {
			t.Errorf("%s: the silhouette is %v (%v), by hand %v", mode, got, err, silhouette(points, all))
		}
		if !slices.Equal(sizes, m.Sizes) {
			t.Errorf("%s: sizes %v, counted %v", mode, m.Sizes, sizes)
		}
		for i := 1; i < len(m.History); i++ {
			if m.History[i] > m.History[i-1]*(1+1e-12) {
				t.Errorf("%s: the cost rose: %v", mode, m.History)
			}
		}
	}
}

// silhouette is the mean over all points, found from all pairs.
func silhouette(points []linalg.Vector, clusters []int32) float64 {
	k := int(slices.Max(clusters)) + 1
	sum := 0.0
	for i, x := range points {
		total, count := make([]float64, k), make([]float64, k)
		for j, y := range points {
			if i != j {
				total[clusters[j]] += linalg.SquaredDistance(x.Values, y.Values)
				count[clusters[j]]++
			}
		}
		own := int(clusters[i])
		if count[own] == 0 {
			continue
		}
		a, b := total[own]/count[own], math.Inf(1)
		for c := range k {
			if c != own && count[c] > 0 {
				b = min(b, total[c]/count[c])
			}
		}
		sum += (b - a) / max(a, b)
	}
	return sum / float64(len(points))
}

// TestLloyd holds two iterations from given centres to the same made by hand.
func TestLloyd(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	points, _ := planted(500, 6, 3)
	centers := [][]float64{points[0].Values, points[1].Values, points[2].Values, {0, 0, 0}}
	m, err := clustering.KMeans{InitialCenters: centers, MaxIter: 2}.Fit(context.Background(), rdd.Parallelize(sc, points, 3))
	if err != nil {
		t.Fatal(err)
	}
	want := centers
	for range 2 {
		sums, counts := make([][]float64, 4), make([]float64, 4)
		for c := range sums {
			sums[c] = make([]float64, 3)
		}
		for _, p := range points {
			at, best := 0, math.Inf(1)
			for c := range want {
				if s := linalg.SquaredDistance(p.Values, want[c]); s < best {
					at, best = c, s
				}
			}
			counts[at]++
			for j, v := range p.Values {
				sums[at][j] += v
			}
		}
		next := make([][]float64, 4)
		for c := range next {
			if next[c] = slices.Clone(want[c]); counts[c] > 0 {
				for j := range next[c] {
					next[c][j] = sums[c][j] / counts[c]
				}
			}
		}
		want = next
	}
	for c := range want {
		for j := range want[c] {
			if math.Abs(want[c][j]-m.Centers[c][j]) > 1e-8 {
				t.Fatalf("centres are %v, by hand %v", m.Centers, want)
			}
		}
	}
	if m.Sizes[3] != 0 || m.Centers[3][0] != 0 {
		t.Errorf("the centre without points is %v with %d points: it stays", m.Centers[3], m.Sizes[3])
	}
}

// TestSameAnswer gives the same points in other forms.
func TestSameAnswer(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 1))
	var dense, twice, sparse []linalg.Vector
	var weighted []linalg.Instance
	block := linalg.DenseBlock{Cols: 4}
	for i := range 400 {
		x := make([]float64, 4)
		var index []int32
		var values []float64
		for j := range x {
			if r.IntN(2) == 0 || j == i%4 {
				x[j] = float64(float32(float64(i%4*10) + r.NormFloat64()))
				index, values = append(index, int32(j)), append(values, x[j])
			}
			block.F32 = append(block.F32, float32(x[j]))
		}
		v, err := linalg.Sparse(4, index, values)
		if err != nil {
			t.Fatal(err)
		}
		times := 1 + i%3
		dense, sparse = append(dense, linalg.Dense(x...)), append(sparse, v)
		weighted = append(weighted, linalg.Instance{Features: v, Weight: float64(times)})
		twice = append(twice, slices.Repeat([]linalg.Vector{linalg.Dense(x...)}, times)...)
		block.Rows++
	}
	for _, distance := range []clustering.Distance{clustering.Euclidean, clustering.Cosine} {
		k := clustering.KMeans{Distance: distance, InitialCenters: [][]float64{dense[0].Values, dense[1].Values, dense[2].Values}}
		fit := func(name string) func(*clustering.Model, error) *clustering.Model {
			return func(m *clustering.Model, err error) *clustering.Model {
				if err != nil {
					t.Fatalf("%s, %s: %v", distance, name, err)
				}
				return m
			}
		}
		want := fit("dense")(k.Fit(ctx, rdd.Parallelize(sc, dense, 3)))
		wantWeighted := fit("twice")(k.Fit(ctx, rdd.Parallelize(sc, twice, 3)))
		for _, c := range []struct {
			name      string
			got, want *clustering.Model
		}{
			{"sparse", fit("sparse")(k.Fit(ctx, rdd.Parallelize(sc, sparse, 2))), want},
			{"blocks", fit("blocks")(k.FitBlocks(ctx, rdd.Parallelize(sc, []linalg.Block{{Dense: block}}, 1))), want},
			{"weighted", fit("weighted")(k.FitWeighted(ctx, rdd.Parallelize(sc, weighted, 2))), wantWeighted},
		} {
			if !near(c.got.Cost, c.want.Cost, 1e-9) || c.got.Iterations != c.want.Iterations || fmt.Sprintf("%.6f", c.got.Centers) != fmt.Sprintf("%.6f", c.want.Centers) {
				t.Errorf("%s, %s: cost %v after %d, want %v after %d", distance, c.name, c.got.Cost, c.got.Iterations, c.want.Cost, c.want.Iterations)
			}
		}
		if distance == clustering.Cosine {
			sum := 0.0
			for _, x := range dense {
				best := math.Inf(1)
				for _, c := range want.Centers {
					best = min(best, 1-linalg.DotFloat64(x.Values, c)/math.Sqrt(linalg.DotFloat64(x.Values, x.Values)*linalg.DotFloat64(c, c)))
				}
				sum += best
			}
			if !near(want.Cost, sum, 1e-9) {
				t.Errorf("the cosine cost is %v, by hand %v", want.Cost, sum)
			}
		}
	}
}

func TestFewPoints(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	points := slices.Repeat([]linalg.Vector{linalg.Dense(1, 2), linalg.Dense(3, 4)}, 10)
	for _, mode := range []clustering.InitMode{clustering.KMeansParallel, clustering.KMeansPlusPlus, clustering.Random} {
		for _, partitions := range []int{1, 30} {
			m, err := clustering.KMeans{K: 5, InitMode: mode}.Fit(context.Background(), rdd.Parallelize(sc, points, partitions))
			if err != nil || len(m.Centers) > 2 || mode != clustering.Random && (len(m.Centers) != 2 || m.Cost != 0) {
				t.Errorf("%s, %d partitions: %+v %v", mode, partitions, m, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	nan := math.NaN()
	for _, c := range []struct {
		says   string
		k      clustering.KMeans
		points []linalg.Vector
	}{
		{"no points", clustering.KMeans{}, nil},
		{"no numbers", clustering.KMeans{}, []linalg.Vector{linalg.Dense()}},
		{"K is -1: at least 1", clustering.KMeans{K: -1}, nil},
		{`InitMode is "fast"`, clustering.KMeans{InitMode: "fast"}, nil},
		{"Tol is NaN", clustering.KMeans{Tol: nan}, nil},
		{"row 1 has 1 features, the rows before have 2", clustering.KMeans{}, []linalg.Vector{linalg.Dense(1, 2), linalg.Dense(1)}},
		{"point 1 of partition 0 has NaN as its number 1", clustering.KMeans{}, []linalg.Vector{linalg.Dense(1, 2), linalg.Dense(1, nan)}},
		{"no direction", clustering.KMeans{Distance: clustering.Cosine}, []linalg.Vector{linalg.Dense(0, 0)}},
		{"centre 0 of InitialCenters has 1 numbers", clustering.KMeans{InitialCenters: [][]float64{{1}}}, []linalg.Vector{linalg.Dense(1, 2)}},
	} {
		_, err := c.k.Fit(context.Background(), rdd.Parallelize(sc, c.points, 1))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error is %v, want one that says %q", err, c.says)
		}
	}
}

// TestSameBytes trains on one core, on four, and on executor processes.
func TestSameBytes(t *testing.T) {
	points, _ := planted(2000, 8, 6)
	var want string
	for _, master := range []string{"local[1]", "local[4]", "local-cluster[2,1,256m]"} {
		sc := driver.New(driver.Master(master))
		m, err := clustering.KMeans{K: 8}.Fit(context.Background(), rdd.Parallelize(sc, points, 7))
		sc.Stop()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "model")
		if err := m.Save(context.Background(), path); err != nil {
			t.Fatal(err)
		}
		back, err := clustering.Load(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.SHA256()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: the model is %s, on one core %s", master, got, want)
		}
	}
}

func ExampleKMeans() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	points := rdd.Parallelize(sc, []linalg.Vector{
		linalg.Dense(0, 0), linalg.Dense(0, 1), linalg.Dense(9, 8), linalg.Dense(8, 9),
	}, 2)
	m, err := clustering.KMeans{K: 2, Seed: 1}.Fit(context.Background(), points)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Predict([]float64{1, 1}) == m.Predict([]float64{0, 0}), m.Predict([]float64{1, 1}) == m.Predict([]float64{8, 8}), m.Cost)
	// Output: true false 1.5
}
