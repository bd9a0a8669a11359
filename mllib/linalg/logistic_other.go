//go:build !amd64

package linalg

func logisticRows(*float64, *float64, *float64, int, *[8]float64) { panic(errShape) }
