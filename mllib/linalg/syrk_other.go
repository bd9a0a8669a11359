//go:build !amd64

package linalg

// tiles tells whether there is assembly.
var tiles = false

func gatherAssembly([]float64, []float32, int, []int32) bool { return false }

func scaleAssembly([]float64, []float64, int, []float64) bool { return false }

func eliminateVector(*float64, int, int, int, *float64) {}

func gramAssembly([]float64, int, []float64, []float64) bool { return false }

func scoreAssembly([]float64, int, []float64, []float64, int) bool { return false }
