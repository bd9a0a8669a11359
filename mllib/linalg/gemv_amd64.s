#include "textflag.h"

// Masks for the last 1 to 3 columns: the n-th entry from the end of the ones begins a mask of n ones.
DATA ·ones64<>+0(SB)/8, $-1
DATA ·ones64<>+8(SB)/8, $-1
DATA ·ones64<>+16(SB)/8, $-1
DATA ·ones64<>+24(SB)/8, $0
DATA ·ones64<>+32(SB)/8, $0
DATA ·ones64<>+40(SB)/8, $0
GLOBL ·ones64<>(SB), RODATA|NOPTR, $48

DATA ·ones32<>+0(SB)/4, $-1
DATA ·ones32<>+4(SB)/4, $-1
DATA ·ones32<>+8(SB)/4, $-1
DATA ·ones32<>+12(SB)/4, $0
DATA ·ones32<>+16(SB)/4, $0
DATA ·ones32<>+20(SB)/4, $0
GLOBL ·ones32<>(SB), RODATA|NOPTR, $24

// Registers of all four functions:
//   SI x, DX w or g, DI y or r, BX rows left, CX whole chunks of 4 columns, R8 columns beyond them
//   R12 bytes of a row, R13 of three, R9 counts chunks, R10 runs along w or g
//   Y15 mask of the last columns as float64, X14 as float32

#define MASKS \
	LEAQ  ·ones64<>(SB), AX     \
	MOVQ  $3, R9                \
	SUBQ  R8, R9                \
	VMOVUPD (AX)(R9*8), Y15     \
	LEAQ  ·ones32<>(SB), AX     \
	VMOVUPS (AX)(R9*4), X14

// Adds the four lanes of Y0 as (0+1)+(2+3) and stores the sum at DI.
#define SUMROW \
	VHADDPD Y0, Y0, Y4          \
	VEXTRACTF128 $1, Y4, X5     \
	VADDSD X5, X4, X4           \
	VMOVSD X4, (DI)             \
	ADDQ  $8, DI

// The same for Y0 to Y3.
#define SUMROWS \
	VHADDPD Y1, Y0, Y4          \
	VHADDPD Y3, Y2, Y5          \
	VPERM2F128 $0x20, Y5, Y4, Y6 \
	VPERM2F128 $0x31, Y5, Y4, Y7 \
	VADDPD Y7, Y6, Y6           \
	VMOVUPD Y6, (DI)            \
	ADDQ  $32, DI

#define ZERO4 \
	VXORPD Y0, Y0, Y0           \
	VXORPD Y1, Y1, Y1           \
	VXORPD Y2, Y2, Y2           \
	VXORPD Y3, Y3, Y3

// acc += float64(4 numbers at mem) · Y8
#define MAC32(mem, tmp, acc) \
	VCVTPS2PD mem, tmp          \
	VMULPD Y8, tmp, tmp         \
	VADDPD tmp, acc, acc

#define MAC64(mem, tmp, acc) \
	VMULPD mem, Y8, tmp         \
	VADDPD tmp, acc, acc

// The same for the last columns.
#define TAIL32(mem, xtmp, tmp, acc) \
	VMASKMOVPS mem, X14, xtmp   \
	VCVTPS2PD xtmp, tmp         \
	VMULPD Y8, tmp, tmp         \
	VADDPD tmp, acc, acc

#define TAIL64(mem, tmp, acc) \
	VMASKMOVPD mem, Y15, tmp    \
	VMULPD Y8, tmp, tmp         \
	VADDPD tmp, acc, acc

// func gemv32(y *float64, x *float32, w *float64, rows, cols int)
TEXT ·gemv32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ rows+24(FP), BX
	MOVQ cols+32(FP), CX
	MOVQ CX, R12
	SHLQ $2, R12
	LEAQ (R12)(R12*2), R13
	MOVQ CX, R8
	ANDQ $3, R8
	SHRQ $2, CX
	MASKS
	CMPQ BX, $4
	JLT  rest
rows4:
	ZERO4
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail4
chunk4:
	VMOVUPD (R10), Y8
	MAC32((SI), Y4, Y0)
	MAC32((SI)(R12*1), Y5, Y1)
	MAC32((SI)(R12*2), Y6, Y2)
	MAC32((SI)(R13*1), Y7, Y3)
	ADDQ $16, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk4
tail4:
	TESTQ R8, R8
	JZ   sum4
	VMASKMOVPD (R10), Y15, Y8
	TAIL32((SI), X4, Y4, Y0)
	TAIL32((SI)(R12*1), X5, Y5, Y1)
	TAIL32((SI)(R12*2), X6, Y6, Y2)
	TAIL32((SI)(R13*1), X7, Y7, Y3)
	LEAQ (SI)(R8*4), SI
sum4:
	SUMROWS
	ADDQ R13, SI
	SUBQ $4, BX
	CMPQ BX, $4
	JGE  rows4
rest:
	TESTQ BX, BX
	JZ   done
row:
	VXORPD Y0, Y0, Y0
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail
chunk:
	VMOVUPD (R10), Y8
	MAC32((SI), Y4, Y0)
	ADDQ $16, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk
tail:
	TESTQ R8, R8
	JZ   sum
	VMASKMOVPD (R10), Y15, Y8
	TAIL32((SI), X4, Y4, Y0)
	LEAQ (SI)(R8*4), SI
sum:
	SUMROW
	DECQ BX
	JNZ  row
done:
	VZEROUPPER
	RET

// func gemv64(y *float64, x *float64, w *float64, rows, cols int)
TEXT ·gemv64(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ rows+24(FP), BX
	MOVQ cols+32(FP), CX
	MOVQ CX, R12
	SHLQ $3, R12
	LEAQ (R12)(R12*2), R13
	MOVQ CX, R8
	ANDQ $3, R8
	SHRQ $2, CX
	MASKS
	CMPQ BX, $4
	JLT  rest
rows4:
	ZERO4
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail4
chunk4:
	VMOVUPD (R10), Y8
	MAC64((SI), Y4, Y0)
	MAC64((SI)(R12*1), Y5, Y1)
	MAC64((SI)(R12*2), Y6, Y2)
	MAC64((SI)(R13*1), Y7, Y3)
	ADDQ $32, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk4
tail4:
	TESTQ R8, R8
	JZ   sum4
	VMASKMOVPD (R10), Y15, Y8
	TAIL64((SI), Y4, Y0)
	TAIL64((SI)(R12*1), Y5, Y1)
	TAIL64((SI)(R12*2), Y6, Y2)
	TAIL64((SI)(R13*1), Y7, Y3)
	LEAQ (SI)(R8*8), SI
sum4:
	SUMROWS
	ADDQ R13, SI
	SUBQ $4, BX
	CMPQ BX, $4
	JGE  rows4
rest:
	TESTQ BX, BX
	JZ   done
row:
	VXORPD Y0, Y0, Y0
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail
chunk:
	VMOVUPD (R10), Y8
	MAC64((SI), Y4, Y0)
	ADDQ $32, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk
tail:
	TESTQ R8, R8
	JZ   sum
	VMASKMOVPD (R10), Y15, Y8
	TAIL64((SI), Y4, Y0)
	LEAQ (SI)(R8*8), SI
sum:
	SUMROW
	DECQ BX
	JNZ  row
done:
	VZEROUPPER
	RET

// acc += float64(4 numbers at mem) · factor
#define AXPY32(mem, factor, tmp) \
	VCVTPS2PD mem, tmp          \
	VMULPD factor, tmp, tmp     \
	VADDPD tmp, Y0, Y0

#define AXPY64(mem, factor, tmp) \
	VMULPD mem, factor, tmp     \
	VADDPD tmp, Y0, Y0

#define AXPYTAIL32(mem, factor, xtmp, tmp) \
	VMASKMOVPS mem, X14, xtmp   \
	VCVTPS2PD xtmp, tmp         \
	VMULPD factor, tmp, tmp     \
	VADDPD tmp, Y0, Y0

#define AXPYTAIL64(mem, factor, tmp) \
	VMASKMOVPD mem, Y15, tmp    \
	VMULPD factor, tmp, tmp     \
	VADDPD tmp, Y0, Y0

// func gemvT32(sum *float64, x *float32, r *float64, rows, cols int)
TEXT ·gemvT32(SB), NOSPLIT, $0-40
	MOVQ sum+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ r+16(FP), DI
	MOVQ rows+24(FP), BX
	MOVQ cols+32(FP), CX
	MOVQ CX, R12
	SHLQ $2, R12
	LEAQ (R12)(R12*2), R13
	MOVQ CX, R8
	ANDQ $3, R8
	SHRQ $2, CX
	MASKS
	CMPQ BX, $4
	JLT  rest
rows4:
	VBROADCASTSD (DI), Y8
	VBROADCASTSD 8(DI), Y9
	VBROADCASTSD 16(DI), Y10
	VBROADCASTSD 24(DI), Y11
	ADDQ $32, DI
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail4
chunk4:
	VMOVUPD (R10), Y0
	AXPY32((SI), Y8, Y4)
	AXPY32((SI)(R12*1), Y9, Y5)
	AXPY32((SI)(R12*2), Y10, Y6)
	AXPY32((SI)(R13*1), Y11, Y7)
	VMOVUPD Y0, (R10)
	ADDQ $16, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk4
tail4:
	TESTQ R8, R8
	JZ   next4
	VMASKMOVPD (R10), Y15, Y0
	AXPYTAIL32((SI), Y8, X4, Y4)
	AXPYTAIL32((SI)(R12*1), Y9, X5, Y5)
	AXPYTAIL32((SI)(R12*2), Y10, X6, Y6)
	AXPYTAIL32((SI)(R13*1), Y11, X7, Y7)
	VMASKMOVPD Y0, Y15, (R10)
	LEAQ (SI)(R8*4), SI
next4:
	ADDQ R13, SI
	SUBQ $4, BX
	CMPQ BX, $4
	JGE  rows4
rest:
	TESTQ BX, BX
	JZ   done
row:
	VBROADCASTSD (DI), Y8
	ADDQ $8, DI
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail
chunk:
	VMOVUPD (R10), Y0
	AXPY32((SI), Y8, Y4)
	VMOVUPD Y0, (R10)
	ADDQ $16, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk
tail:
	TESTQ R8, R8
	JZ   next
	VMASKMOVPD (R10), Y15, Y0
	AXPYTAIL32((SI), Y8, X4, Y4)
	VMASKMOVPD Y0, Y15, (R10)
	LEAQ (SI)(R8*4), SI
next:
	DECQ BX
	JNZ  row
done:
	VZEROUPPER
	RET

// func gemvT64(sum *float64, x *float64, r *float64, rows, cols int)
TEXT ·gemvT64(SB), NOSPLIT, $0-40
	MOVQ sum+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ r+16(FP), DI
	MOVQ rows+24(FP), BX
	MOVQ cols+32(FP), CX
	MOVQ CX, R12
	SHLQ $3, R12
	LEAQ (R12)(R12*2), R13
	MOVQ CX, R8
	ANDQ $3, R8
	SHRQ $2, CX
	MASKS
	CMPQ BX, $4
	JLT  rest
rows4:
	VBROADCASTSD (DI), Y8
	VBROADCASTSD 8(DI), Y9
	VBROADCASTSD 16(DI), Y10
	VBROADCASTSD 24(DI), Y11
	ADDQ $32, DI
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail4
chunk4:
	VMOVUPD (R10), Y0
	AXPY64((SI), Y8, Y4)
	AXPY64((SI)(R12*1), Y9, Y5)
	AXPY64((SI)(R12*2), Y10, Y6)
	AXPY64((SI)(R13*1), Y11, Y7)
	VMOVUPD Y0, (R10)
	ADDQ $32, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk4
tail4:
	TESTQ R8, R8
	JZ   next4
	VMASKMOVPD (R10), Y15, Y0
	AXPYTAIL64((SI), Y8, Y4)
	AXPYTAIL64((SI)(R12*1), Y9, Y5)
	AXPYTAIL64((SI)(R12*2), Y10, Y6)
	AXPYTAIL64((SI)(R13*1), Y11, Y7)
	VMASKMOVPD Y0, Y15, (R10)
	LEAQ (SI)(R8*8), SI
next4:
	ADDQ R13, SI
	SUBQ $4, BX
	CMPQ BX, $4
	JGE  rows4
rest:
	TESTQ BX, BX
	JZ   done
row:
	VBROADCASTSD (DI), Y8
	ADDQ $8, DI
	MOVQ DX, R10
	MOVQ CX, R9
	TESTQ R9, R9
	JZ   tail
chunk:
	VMOVUPD (R10), Y0
	AXPY64((SI), Y8, Y4)
	VMOVUPD Y0, (R10)
	ADDQ $32, SI
	ADDQ $32, R10
	DECQ R9
	JNZ  chunk
tail:
	TESTQ R8, R8
	JZ   next
	VMASKMOVPD (R10), Y15, Y0
	AXPYTAIL64((SI), Y8, Y4)
	VMASKMOVPD Y0, Y15, (R10)
	LEAQ (SI)(R8*8), SI
next:
	DECQ BX
	JNZ  row
done:
	VZEROUPPER
	RET
