#include "textflag.h"

// The tiles below add Yᵀ·X to four rows of c: y and x advance by one row, c's element (i, j) gets y[i]·x[j]. Products are rounded
// before they are added: no FMA, so that plain Go gives the same bits.

#define STRIDES \
	SHLQ $3, R8  \
	SHLQ $3, R9  \
	SHLQ $3, R10

// The rows of c.
#define ROWS \
	LEAQ (DX)(R8*1), R11  \
	LEAQ (R11)(R8*1), R12 \
	LEAQ (R12)(R8*1), R13

#define ROW12(off, a0, a1, a2) \
	VBROADCASTSD off(SI), Y12 \
	VMULPD (DI), Y12, Y13     \
	VADDPD Y13, a0, a0        \
	VMULPD 32(DI), Y12, Y14   \
	VADDPD Y14, a1, a1        \
	VMULPD 64(DI), Y12, Y15   \
	VADDPD Y15, a2, a2

#define ROW8(off, a0, a1) \
	VBROADCASTSD off(SI), Y12 \
	VMULPD Y8, Y12, Y13       \
	VADDPD Y13, a0, a0        \
	VMULPD Y9, Y12, Y14       \
	VADDPD Y14, a1, a1

#define ROW4(off, a0) \
	VBROADCASTSD off(SI), Y12 \
	VMULPD Y8, Y12, Y13       \
	VADDPD Y13, a0, a0

// func tile4x12(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)
TEXT ·tile4x12(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ y+16(FP), SI
	MOVQ ldy+24(FP), R9
	MOVQ x+32(FP), DI
	MOVQ ldx+40(FP), R10
	MOVQ m+48(FP), CX
	STRIDES
	ROWS
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	VMOVUPD (R11), Y3
	VMOVUPD 32(R11), Y4
	VMOVUPD 64(R11), Y5
	VMOVUPD (R12), Y6
	VMOVUPD 32(R12), Y7
	VMOVUPD 64(R12), Y8
	VMOVUPD (R13), Y9
	VMOVUPD 32(R13), Y10
	VMOVUPD 64(R13), Y11

row12:
	ROW12(0, Y0, Y1, Y2)
	ROW12(8, Y3, Y4, Y5)
	ROW12(16, Y6, Y7, Y8)
	ROW12(24, Y9, Y10, Y11)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  row12

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VMOVUPD Y2, 64(DX)
	VMOVUPD Y3, (R11)
	VMOVUPD Y4, 32(R11)
	VMOVUPD Y5, 64(R11)
	VMOVUPD Y6, (R12)
	VMOVUPD Y7, 32(R12)
	VMOVUPD Y8, 64(R12)
	VMOVUPD Y9, (R13)
	VMOVUPD Y10, 32(R13)
	VMOVUPD Y11, 64(R13)
	VZEROUPPER
	RET

// func tile4x8(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)
TEXT ·tile4x8(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ y+16(FP), SI
	MOVQ ldy+24(FP), R9
	MOVQ x+32(FP), DI
	MOVQ ldx+40(FP), R10
	MOVQ m+48(FP), CX
	STRIDES
	ROWS
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD (R11), Y2
	VMOVUPD 32(R11), Y3
	VMOVUPD (R12), Y4
	VMOVUPD 32(R12), Y5
	VMOVUPD (R13), Y6
	VMOVUPD 32(R13), Y7

row8:
	VMOVUPD (DI), Y8
	VMOVUPD 32(DI), Y9
	ROW8(0, Y0, Y1)
	ROW8(8, Y2, Y3)
	ROW8(16, Y4, Y5)
	ROW8(24, Y6, Y7)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  row8

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VMOVUPD Y2, (R11)
	VMOVUPD Y3, 32(R11)
	VMOVUPD Y4, (R12)
	VMOVUPD Y5, 32(R12)
	VMOVUPD Y6, (R13)
	VMOVUPD Y7, 32(R13)
	VZEROUPPER
	RET

// func tile4x4(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)
TEXT ·tile4x4(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ y+16(FP), SI
	MOVQ ldy+24(FP), R9
	MOVQ x+32(FP), DI
	MOVQ ldx+40(FP), R10
	MOVQ m+48(FP), CX
	STRIDES
	ROWS
	VMOVUPD (DX), Y0
	VMOVUPD (R11), Y1
	VMOVUPD (R12), Y2
	VMOVUPD (R13), Y3

row4:
	VMOVUPD (DI), Y8
	ROW4(0, Y0)
	ROW4(8, Y1)
	ROW4(16, Y2)
	ROW4(24, Y3)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  row4

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, (R11)
	VMOVUPD Y2, (R12)
	VMOVUPD Y3, (R13)
	VZEROUPPER
	RET

// func tileCorner(c *float64, ldc int, y *float64, ldy int, x *float64, ldx int, m int)
//
// The three 4×4 tiles of the lower triangle's first eight rows: rows 0 to 3 with columns 0 to 3, rows 4 to 7 with columns 0 to 7.
TEXT ·tileCorner(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DX
	MOVQ ldc+8(FP), R8
	MOVQ y+16(FP), SI
	MOVQ ldy+24(FP), R9
	MOVQ x+32(FP), DI
	MOVQ ldx+40(FP), R10
	MOVQ m+48(FP), CX
	STRIDES
	ROWS
	LEAQ (DX)(R8*4), AX
	LEAQ (R11)(R8*4), BX
	LEAQ (R12)(R8*4), R14
	LEAQ (R13)(R8*4), R8
	VMOVUPD (DX), Y0
	VMOVUPD (R11), Y1
	VMOVUPD (R12), Y2
	VMOVUPD (R13), Y3
	VMOVUPD (AX), Y4
	VMOVUPD 32(AX), Y5
	VMOVUPD (BX), Y6
	VMOVUPD 32(BX), Y7
	VMOVUPD (R14), Y10
	VMOVUPD 32(R14), Y11
	VMOVUPD (R8), Y14
	VMOVUPD 32(R8), Y15

// Y8 and Y9 are x, Y12 a number of y, Y13 the product.
#define LOW(off, a0, a1) \
	VBROADCASTSD off(SI), Y12 \
	VMULPD Y8, Y12, Y13       \
	VADDPD Y13, a0, a0        \
	VMULPD Y9, Y12, Y12       \
	VADDPD Y12, a1, a1

rowCorner:
	VMOVUPD (DI), Y8
	VMOVUPD 32(DI), Y9
	ROW4(0, Y0)
	ROW4(8, Y1)
	ROW4(16, Y2)
	ROW4(24, Y3)
	LOW(32, Y4, Y5)
	LOW(40, Y6, Y7)
	LOW(48, Y10, Y11)
	LOW(56, Y14, Y15)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  rowCorner

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, (R11)
	VMOVUPD Y2, (R12)
	VMOVUPD Y3, (R13)
	VMOVUPD Y4, (AX)
	VMOVUPD Y5, 32(AX)
	VMOVUPD Y6, (BX)
	VMOVUPD Y7, 32(BX)
	VMOVUPD Y10, (R14)
	VMOVUPD Y11, 32(R14)
	VMOVUPD Y14, (R8)
	VMOVUPD Y15, 32(R8)
	VZEROUPPER
	RET

// func gatherVector(dst *float64, src *float32, n int, rows *int32, m int)
//
// Copies m rows of n numbers, n a multiple of four, widening them.
TEXT ·gatherVector(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), R8
	MOVQ rows+24(FP), DX
	MOVQ m+32(FP), CX
	SHLQ $2, R8 // bytes of a row of src

gatherRow:
	// The rows are far apart in a table that is larger than the first-level cache: ask for those to come.
	CMPQ CX, $8
	JLE  gatherNow
	MOVLQSX 32(DX), R11
	IMULQ R8, R11
	ADDQ SI, R11
	PREFETCHT0 (R11)
	PREFETCHT0 -4(R11)(R8*1)

gatherNow:
	MOVLQSX (DX), R9
	ADDQ  $4, DX
	IMULQ R8, R9
	ADDQ  SI, R9
	LEAQ  (R9)(R8*1), R10

gatherFour:
	VCVTPS2PD (R9), Y0
	VMOVUPD   Y0, (DI)
	ADDQ $16, R9
	ADDQ $32, DI
	CMPQ R9, R10
	JLT  gatherFour

	DECQ CX
	JNZ  gatherRow
	VZEROUPPER
	RET

// func scaleVector(dst, src *float64, n int, w *float64, m int)
//
// Multiplies row i of m rows of n numbers, n a multiple of four, by w[i].
TEXT ·scaleVector(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), R8
	MOVQ w+24(FP), DX
	MOVQ m+32(FP), CX
	SHLQ $3, R8

scaleRow:
	VBROADCASTSD (DX), Y1
	ADDQ $8, DX
	LEAQ (SI)(R8*1), R10

scaleFour:
	VMULPD  (SI), Y1, Y0
	VMOVUPD Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	CMPQ SI, R10
	JLT  scaleFour

	DECQ CX
	JNZ  scaleRow
	VZEROUPPER
	RET

// func eliminateVector(a *float64, stride, j, n int, l *float64)
//
// The rows i = j+1 to n of a lose a[i][j]·l from column (j+1)&^3 to column min(i, n-1)|3, and get l[i] in column j.
TEXT ·eliminateVector(SB), NOSPLIT, $0-40
	MOVQ a+0(FP), DI
	MOVQ stride+8(FP), R8
	MOVQ j+16(FP), R9
	MOVQ n+24(FP), CX
	MOVQ l+32(FP), SI
	SHLQ $3, R8
	LEAQ 1(R9), R10     // i
	MOVQ R10, R11
	ANDQ $-4, R11       // first column
	MOVQ R10, AX
	IMULQ R8, AX
	ADDQ AX, DI         // row i

eliminateRow:
	VBROADCASTSD (DI)(R9*8), Y0
	MOVQ R10, R12       // last column: below i+1, and below n
	CMPQ R12, CX
	JLT  eliminateCut
	LEAQ -1(CX), R12

eliminateCut:
	MOVQ R11, R13
	CMPQ R13, R12
	JGT  eliminateDone

eliminateFour:
	VMULPD  (SI)(R13*8), Y0, Y1
	VMOVUPD (DI)(R13*8), Y2
	VSUBPD  Y1, Y2, Y2
	VMOVUPD Y2, (DI)(R13*8)
	ADDQ $4, R13
	CMPQ R13, R12
	JLE  eliminateFour

eliminateDone:
	MOVQ (SI)(R10*8), AX
	MOVQ AX, (DI)(R9*8)
	ADDQ R8, DI
	INCQ R10
	CMPQ R10, CX
	JLE  eliminateRow
	VZEROUPPER
	RET
