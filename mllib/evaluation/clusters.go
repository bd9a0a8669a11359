package evaluation

import "math"

// Clusters measures how well points are grouped, by the mean silhouette: for a point with the mean distance a from the other points of its cluster and b from those of
// the nearest other cluster, (b-a)/max(a, b), which is 1 for clusters far apart and negative for points that another cluster suits better.
// The distance is the squared Euclidean one, or 1 - cos; for both, mean distances from a cluster follow from a few sums over it, so two passes over the points are
// enough (Spark's ClusteringEvaluator). First Add all points, Merge the parts, then take the mean of Silhouette.
//
// Squared distances are differences of the sums: take points relative to their mean where they lie far from the origin. Clusters is plain data.
type Clusters struct {
	Dim     int
	Cosine  bool
	Weights []float64 // of the points of each cluster
	Sums    []float64 // of their numbers, cluster after cluster
	Squares []float64 // of their squared lengths
}

// NewClusters has seen nothing of k clusters of points of dim numbers.
func NewClusters(k, dim int, cosine bool) *Clusters {
	return &Clusters{Dim: dim, Cosine: cosine, Weights: make([]float64, k), Sums: make([]float64, k*dim), Squares: make([]float64, k)}
}

// scale is what to divide a point's numbers by, and its squared length then.
func (c *Clusters) scale(x []float64) (by, square float64) {
	for _, v := range x {
		square += v * v
	}
	if c.Cosine && square > 0 {
		return math.Sqrt(square), 1
	}
	return 1, square
}

// Add counts a point of a cluster.
func (c *Clusters) Add(x []float64, cluster int, weight float64) {
	by, square := c.scale(x)
	sums := c.Sums[cluster*c.Dim : (cluster+1)*c.Dim]
	for j, v := range x {
		sums[j] += weight * v / by
	}
	c.Weights[cluster] += weight
	c.Squares[cluster] += weight * square
}

// Merge adds what o has seen of as many clusters.
func (c *Clusters) Merge(o *Clusters) {
	for i, v := range o.Weights {
		c.Weights[i] += v
	}
	for i, v := range o.Sums {
		c.Sums[i] += v
	}
	for i, v := range o.Squares {
		c.Squares[i] += v
	}
}

// Silhouette is that of a point of a cluster, from -1 to 1. It is 0 for the only point of a cluster, and where there is no other cluster.
func (c *Clusters) Silhouette(x []float64, cluster int, weight float64) float64 {
	own := c.Weights[cluster]
	if own <= weight {
		return 0
	}
	by, square := c.scale(x)
	nearest := math.Inf(1)
	var a float64
	for k, w := range c.Weights {
		if w <= 0 {
			continue
		}
		dot := 0.0
		for j, v := range c.Sums[k*c.Dim : (k+1)*c.Dim] {
			dot += x[j] / by * v
		}
		d := square + c.Squares[k]/w - 2*dot/w
		if c.Cosine {
			d = 1 - dot/w
		}
		if d = max(d, 0); k == cluster {
			a = d * own / (own - weight)
		} else {
			nearest = min(nearest, d)
		}
	}
	if math.IsInf(nearest, 1) || a == nearest {
		return 0
	}
	return (nearest - a) / max(a, nearest)
}
