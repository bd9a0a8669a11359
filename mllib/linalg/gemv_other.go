//go:build !amd64

package linalg

// vectorised is a variable so that tests can switch to plain Go.
var vectorised = false

func gemv32(*float64, *float32, *float64, int, int)  { panic(errShape) }
func gemv64(*float64, *float64, *float64, int, int)  { panic(errShape) }
func gemvT32(*float64, *float32, *float64, int, int) { panic(errShape) }
func gemvT64(*float64, *float64, *float64, int, int) { panic(errShape) }
