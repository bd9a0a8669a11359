package linalg

import "golang.org/x/sys/cpu"

// vectorised tells whether the assembly runs on this machine. It is a variable so that tests can switch to plain Go.
var vectorised = cpu.X86.HasAVX2

// The functions of gemv_amd64.s. The matrix has rows·cols numbers, at least one; y and r have rows elements, w and g cols.

//go:noescape
func gemv32(y *float64, x *float32, w *float64, rows, cols int)

//go:noescape
func gemv64(y *float64, x *float64, w *float64, rows, cols int)

//go:noescape
func gemvT32(sum *float64, x *float32, r *float64, rows, cols int)

//go:noescape
func gemvT64(sum *float64, x *float64, r *float64, rows, cols int)
