package clustering

import "github.com/spark-go/spark-go/mllib/linalg"

// scan finds the nearest centres for the points of blocks. It travels to the tasks.
type scan struct {
	Centers []float64 // K vectors, one after the other, relative to Shift
	K       int
	Shift   []float64 // subtracted from each point; nil means nothing
}

// tileRows is how many points are looked at together: few enough that they stay in the nearest cache.
const tileRows = 64

// copyRow writes a point less shift into x.
func copyRow(b *linalg.Block, row int, x, shift []float64) {
	b.CopyRow(row, x)
	for j, v := range shift {
		x[j] -= v
	}
}

// each calls f for every point with its coordinates less Shift, valid until f returns, its nearest centre and the square of the distance.
func (s scan) each(b *linalg.Block, f func(row int, x []float64, nearest int, square float64)) {
	d := b.Cols()
	panels := linalg.NewPanels(s.Centers, s.K, d)
	tile := make([]float64, tileRows*d)
	var index [tileRows]int32
	var score [tileRows]float64
	for first := 0; first < b.Rows(); first += tileRows {
		n := min(tileRows, b.Rows()-first)
		for i := range n {
			copyRow(b, first+i, tile[i*d:(i+1)*d], s.Shift)
		}
		panels.Nearest(tile[:n*d], index[:n], score[:n])
		for i := range n {
			x, c := tile[i*d:(i+1)*d], int(index[i])
			f(first+i, x, c, linalg.SquaredDistance(x, s.Centers[c*d:(c+1)*d]))
		}
	}
}
