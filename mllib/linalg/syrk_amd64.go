package linalg

import "golang.org/x/sys/cpu"

// tiles tells whether the assembly of syrk_amd64.s runs on this machine. Tests switch it off to compare.
var tiles = cpu.X86.HasAVX2

// The tiles add Yᵀ·X to 4×12, 4×8 or 4×4 elements at c, whose rows are ldc numbers apart, over the m rows at y and x, at least one, which
// are ldy and ldx apart.

//go:noescape
func tile4x12(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)

//go:noescape
func tile4x8(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)

//go:noescape
func tile4x4(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)

//go:noescape
func tileCorner(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)

//go:noescape
func gatherVector(dst *float64, src *float32, n int, rows *int32, m int)

//go:noescape
func scaleVector(dst, src *float64, n int, w *float64, m int)

//go:noescape
func eliminateVector(a *float64, stride, j, n int, l *float64)

// The callers have checked the shapes, and that there is something to do.

func gatherAssembly(dst []float64, src []float32, n int, rows []int32) bool {
	if tiles {
		gatherVector(&dst[0], &src[0], n, &rows[0], len(rows))
	}
	return tiles
}

func scaleAssembly(dst, src []float64, n int, w []float64) bool {
	if tiles {
		scaleVector(&dst[0], &src[0], n, &w[0], len(w))
	}
	return tiles
}

func gramAssembly(c []float64, n int, y, x []float64) bool {
	if !tiles {
		return false
	}
	m := len(x) / n
	if n == 4 {
		tile4x4(&c[0], n, &y[0], n, &x[0], n, m)
		return true
	}
	tileCorner(&c[0], n, &y[0], n, &x[0], n, m)
	for i := 8; i < n; i += 4 {
		j := 0
		for ; j+12 <= i+4; j += 12 {
			tile4x12(&c[i*n+j], n, &y[i], n, &x[j], n, m)
		}
		switch i + 4 - j {
		case 4:
			tile4x4(&c[i*n+j], n, &y[i], n, &x[j], n, m)
		case 8:
			tile4x8(&c[i*n+j], n, &y[i], n, &x[j], n, m)
		}
	}
	return true
}

// scoreAssembly adds the products of four vectors with the twelve of a panel.
func scoreAssembly(dst []float64, stride int, four, panel []float64, rank int) bool {
	if tiles {
		_ = dst[3*stride+scoreColumns-1]
		tile4x12(&dst[0], stride, &four[0], scoreRows, &panel[0], scoreColumns, rank)
	}
	return tiles
}
