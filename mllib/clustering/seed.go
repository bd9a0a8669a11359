package clustering

import (
	"math"
	"math/rand/v2"

	"github.com/spark-go/spark-go/mllib/linalg"
)

const (
	// seedTries is how often the candidates of k-means|| are clustered from another start. There are only a few times K of them,
	// so it costs next to nothing, and the best of several greedy starts seldom leaves a cluster without a centre.
	seedTries = 5
	// seedSweeps bounds Lloyd's iterations over the candidates, as Spark's LocalKMeans does.
	seedSweeps = 30
)

// seedCenters clusters n weighted points of d numbers into at most k centres on the driver: k-means++ (Arthur, Vassilvitskii, 2007)
// in its greedy form, which draws a few candidates a step and keeps the one that lowers the cost most, then Lloyd's iterations; the
// best of several starts. There are fewer centres than k where fewer points differ.
func seedCenters(points, weights []float64, d, k int, unit bool, seed int64) []float64 {
	n := len(weights)
	var best []float64
	bestCost := math.Inf(1)
	for try := range seedTries {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(try)))
		centers := plusPlus(points, weights, d, k, r)
		var cost float64
		for range seedSweeps {
			next := lloyd(points, weights, centers, d, unit)
			if next.cost >= cost && cost > 0 {
				break
			}
			cost = next.cost
			centers = next.centers
		}
		if cost = lloyd(points, weights, centers, d, unit).cost; cost < bestCost {
			best, bestCost = centers, cost
		}
		if len(centers)/d < k || n <= k {
			break // all points that differ are centres: no start is better
		}
	}
	return best
}

// plusPlus draws centres from the points, each with a probability in proportion to its weight and its squared distance from the
// centres so far.
func plusPlus(points, weights []float64, d, k int, r *rand.Rand) []float64 {
	n := len(weights)
	at := func(i int) []float64 { return points[i*d : (i+1)*d] }
	distance := make([]float64, n) // of each point from its nearest centre
	total := 0.0
	for i, w := range weights {
		distance[i] = math.Inf(1)
		total += w
	}
	first := draw(weights, nil, total, r)
	centers := append([]float64(nil), at(first)...)
	cost := lower(points, weights, distance, distance, at(first))
	tries := 2 + int(math.Log(float64(k)))
	trial, kept := make([]float64, n), make([]float64, n)
	for len(centers) < k*d && cost > 0 {
		best, bestCost := -1, math.Inf(1)
		for range tries {
			c := draw(weights, distance, cost, r)
			if v := lower(points, weights, distance, trial, at(c)); v < bestCost {
				best, bestCost = c, v
				kept, trial = trial, kept
			}
		}
		centers = append(centers, at(best)...)
		distance, kept = kept, distance
		cost = bestCost
	}
	return centers
}

// draw picks a point with a probability in proportion to its weight times its distance.
func draw(weights, distance []float64, total float64, r *rand.Rand) int {
	x, last := r.Float64()*total, 0
	for i, w := range weights {
		if distance != nil {
			w *= distance[i]
		}
		if w <= 0 {
			continue
		}
		last = i
		if x -= w; x < 0 {
			break
		}
	}
	return last
}

// lower puts into to what the distances become with one more centre, and returns their weighted sum.
func lower(points, weights, from, to, center []float64) (cost float64) {
	d := len(center)
	for i, w := range weights {
		v := min(from[i], linalg.SquaredDistance(points[i*d:(i+1)*d], center))
		to[i] = v
		cost += w * v
	}
	return cost
}

// sweep is what an iteration of Lloyd's found.
type sweep struct {
	centers []float64
	cost    float64 // of the centres before
}

// lloyd moves each centre to the weighted mean of the points nearest to it; one without points stays. With unit, centres are scaled
// to length one.
func lloyd(points, weights, centers []float64, d int, unit bool) sweep {
	k := len(centers) / d
	sums, mass := make([]float64, k*d), make([]float64, k)
	index, score := make([]int32, len(weights)), make([]float64, len(weights))
	linalg.NewPanels(centers, k, d).Nearest(points, index, score)
	cost := 0.0
	for i, w := range weights {
		c, x := int(index[i]), points[i*d:(i+1)*d]
		cost += w * linalg.SquaredDistance(x, centers[c*d:(c+1)*d])
		mass[c] += w
		for j, v := range x {
			sums[c*d+j] += w * v
		}
	}
	return sweep{moved(centers, sums, mass, d, unit), cost}
}

// moved divides the sums by their mass; a centre without mass stays where it was.
func moved(centers, sums, mass []float64, d int, unit bool) []float64 {
	next := make([]float64, len(centers))
	for c, m := range mass {
		to := next[c*d : (c+1)*d]
		copy(to, centers[c*d:(c+1)*d])
		if m <= 0 {
			continue
		}
		sum := sums[c*d : (c+1)*d]
		if unit {
			if m = norm(sum); m == 0 {
				continue // opposite points cancel each other: no direction is the middle
			}
		}
		for j, v := range sum {
			to[j] = v / m
		}
	}
	return next
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v * v)
	}
	return math.Sqrt(s)
}
