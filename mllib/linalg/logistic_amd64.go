package linalg

// logisticRows is LogisticRows for a multiple of 4 rows, at least 4; w may be nil. It adds to the lanes.
//
//go:noescape
func logisticRows(m, y, w *float64, n int, lanes *[8]float64)
