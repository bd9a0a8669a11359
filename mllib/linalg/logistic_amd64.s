#include "textflag.h"

// The constants of logistic.go, four times each. Of the polynomials, even and odd coefficients by falling powers.
DATA ·logistic<>+0(SB)/8, $0x7fffffffffffffff // abs
DATA ·logistic<>+8(SB)/8, $0x7fffffffffffffff
DATA ·logistic<>+16(SB)/8, $0x7fffffffffffffff
DATA ·logistic<>+24(SB)/8, $0x7fffffffffffffff
DATA ·logistic<>+32(SB)/8, $0x4086200000000000 // limit
DATA ·logistic<>+40(SB)/8, $0x4086200000000000
DATA ·logistic<>+48(SB)/8, $0x4086200000000000
DATA ·logistic<>+56(SB)/8, $0x4086200000000000
DATA ·logistic<>+64(SB)/8, $0x3ff71547652b82fe // log2e
DATA ·logistic<>+72(SB)/8, $0x3ff71547652b82fe
DATA ·logistic<>+80(SB)/8, $0x3ff71547652b82fe
DATA ·logistic<>+88(SB)/8, $0x3ff71547652b82fe
DATA ·logistic<>+96(SB)/8, $0x4338000000000000 // magic
DATA ·logistic<>+104(SB)/8, $0x4338000000000000
DATA ·logistic<>+112(SB)/8, $0x4338000000000000
DATA ·logistic<>+120(SB)/8, $0x4338000000000000
DATA ·logistic<>+128(SB)/8, $0x3fe62e42fee00000 // ln2hi
DATA ·logistic<>+136(SB)/8, $0x3fe62e42fee00000
DATA ·logistic<>+144(SB)/8, $0x3fe62e42fee00000
DATA ·logistic<>+152(SB)/8, $0x3fe62e42fee00000
DATA ·logistic<>+160(SB)/8, $0x3dea39ef35793c76 // ln2lo
DATA ·logistic<>+168(SB)/8, $0x3dea39ef35793c76
DATA ·logistic<>+176(SB)/8, $0x3dea39ef35793c76
DATA ·logistic<>+184(SB)/8, $0x3dea39ef35793c76
DATA ·logistic<>+192(SB)/8, $0x3ff0000000000000 // one
DATA ·logistic<>+200(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+208(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+216(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+224(SB)/8, $0x4000000000000000 // two
DATA ·logistic<>+232(SB)/8, $0x4000000000000000
DATA ·logistic<>+240(SB)/8, $0x4000000000000000
DATA ·logistic<>+248(SB)/8, $0x4000000000000000
DATA ·logistic<>+256(SB)/8, $0x43380000000003ff // bias
DATA ·logistic<>+264(SB)/8, $0x43380000000003ff
DATA ·logistic<>+272(SB)/8, $0x43380000000003ff
DATA ·logistic<>+280(SB)/8, $0x43380000000003ff
DATA ·logistic<>+288(SB)/8, $0x3e21eed8eff8d898 // ee0
DATA ·logistic<>+296(SB)/8, $0x3e21eed8eff8d898
DATA ·logistic<>+304(SB)/8, $0x3e21eed8eff8d898
DATA ·logistic<>+312(SB)/8, $0x3e21eed8eff8d898
DATA ·logistic<>+320(SB)/8, $0x3e927e4fb7789f5c // ee1
DATA ·logistic<>+328(SB)/8, $0x3e927e4fb7789f5c
DATA ·logistic<>+336(SB)/8, $0x3e927e4fb7789f5c
DATA ·logistic<>+344(SB)/8, $0x3e927e4fb7789f5c
DATA ·logistic<>+352(SB)/8, $0x3efa01a01a01a01a // ee2
DATA ·logistic<>+360(SB)/8, $0x3efa01a01a01a01a
DATA ·logistic<>+368(SB)/8, $0x3efa01a01a01a01a
DATA ·logistic<>+376(SB)/8, $0x3efa01a01a01a01a
DATA ·logistic<>+384(SB)/8, $0x3f56c16c16c16c17 // ee3
DATA ·logistic<>+392(SB)/8, $0x3f56c16c16c16c17
DATA ·logistic<>+400(SB)/8, $0x3f56c16c16c16c17
DATA ·logistic<>+408(SB)/8, $0x3f56c16c16c16c17
DATA ·logistic<>+416(SB)/8, $0x3fa5555555555555 // ee4
DATA ·logistic<>+424(SB)/8, $0x3fa5555555555555
DATA ·logistic<>+432(SB)/8, $0x3fa5555555555555
DATA ·logistic<>+440(SB)/8, $0x3fa5555555555555
DATA ·logistic<>+448(SB)/8, $0x3fe0000000000000 // ee5
DATA ·logistic<>+456(SB)/8, $0x3fe0000000000000
DATA ·logistic<>+464(SB)/8, $0x3fe0000000000000
DATA ·logistic<>+472(SB)/8, $0x3fe0000000000000
DATA ·logistic<>+480(SB)/8, $0x3ff0000000000000 // ee6
DATA ·logistic<>+488(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+496(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+504(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+512(SB)/8, $0x3de6124613a86d09 // eo0
DATA ·logistic<>+520(SB)/8, $0x3de6124613a86d09
DATA ·logistic<>+528(SB)/8, $0x3de6124613a86d09
DATA ·logistic<>+536(SB)/8, $0x3de6124613a86d09
DATA ·logistic<>+544(SB)/8, $0x3e5ae64567f544e4 // eo1
DATA ·logistic<>+552(SB)/8, $0x3e5ae64567f544e4
DATA ·logistic<>+560(SB)/8, $0x3e5ae64567f544e4
DATA ·logistic<>+568(SB)/8, $0x3e5ae64567f544e4
DATA ·logistic<>+576(SB)/8, $0x3ec71de3a556c734 // eo2
DATA ·logistic<>+584(SB)/8, $0x3ec71de3a556c734
DATA ·logistic<>+592(SB)/8, $0x3ec71de3a556c734
DATA ·logistic<>+600(SB)/8, $0x3ec71de3a556c734
DATA ·logistic<>+608(SB)/8, $0x3f2a01a01a01a01a // eo3
DATA ·logistic<>+616(SB)/8, $0x3f2a01a01a01a01a
DATA ·logistic<>+624(SB)/8, $0x3f2a01a01a01a01a
DATA ·logistic<>+632(SB)/8, $0x3f2a01a01a01a01a
DATA ·logistic<>+640(SB)/8, $0x3f81111111111111 // eo4
DATA ·logistic<>+648(SB)/8, $0x3f81111111111111
DATA ·logistic<>+656(SB)/8, $0x3f81111111111111
DATA ·logistic<>+664(SB)/8, $0x3f81111111111111
DATA ·logistic<>+672(SB)/8, $0x3fc5555555555555 // eo5
DATA ·logistic<>+680(SB)/8, $0x3fc5555555555555
DATA ·logistic<>+688(SB)/8, $0x3fc5555555555555
DATA ·logistic<>+696(SB)/8, $0x3fc5555555555555
DATA ·logistic<>+704(SB)/8, $0x3ff0000000000000 // eo6
DATA ·logistic<>+712(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+720(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+728(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+736(SB)/8, $0x3f9f07c1f07c1f08 // le0
DATA ·logistic<>+744(SB)/8, $0x3f9f07c1f07c1f08
DATA ·logistic<>+752(SB)/8, $0x3f9f07c1f07c1f08
DATA ·logistic<>+760(SB)/8, $0x3f9f07c1f07c1f08
DATA ·logistic<>+768(SB)/8, $0x3fa1a7b9611a7b96 // le1
DATA ·logistic<>+776(SB)/8, $0x3fa1a7b9611a7b96
DATA ·logistic<>+784(SB)/8, $0x3fa1a7b9611a7b96
DATA ·logistic<>+792(SB)/8, $0x3fa1a7b9611a7b96
DATA ·logistic<>+800(SB)/8, $0x3fa47ae147ae147b // le2
DATA ·logistic<>+808(SB)/8, $0x3fa47ae147ae147b
DATA ·logistic<>+816(SB)/8, $0x3fa47ae147ae147b
DATA ·logistic<>+824(SB)/8, $0x3fa47ae147ae147b
DATA ·logistic<>+832(SB)/8, $0x3fa8618618618618 // le3
DATA ·logistic<>+840(SB)/8, $0x3fa8618618618618
DATA ·logistic<>+848(SB)/8, $0x3fa8618618618618
DATA ·logistic<>+856(SB)/8, $0x3fa8618618618618
DATA ·logistic<>+864(SB)/8, $0x3fae1e1e1e1e1e1e // le4
DATA ·logistic<>+872(SB)/8, $0x3fae1e1e1e1e1e1e
DATA ·logistic<>+880(SB)/8, $0x3fae1e1e1e1e1e1e
DATA ·logistic<>+888(SB)/8, $0x3fae1e1e1e1e1e1e
DATA ·logistic<>+896(SB)/8, $0x3fb3b13b13b13b14 // le5
DATA ·logistic<>+904(SB)/8, $0x3fb3b13b13b13b14
DATA ·logistic<>+912(SB)/8, $0x3fb3b13b13b13b14
DATA ·logistic<>+920(SB)/8, $0x3fb3b13b13b13b14
DATA ·logistic<>+928(SB)/8, $0x3fbc71c71c71c71c // le6
DATA ·logistic<>+936(SB)/8, $0x3fbc71c71c71c71c
DATA ·logistic<>+944(SB)/8, $0x3fbc71c71c71c71c
DATA ·logistic<>+952(SB)/8, $0x3fbc71c71c71c71c
DATA ·logistic<>+960(SB)/8, $0x3fc999999999999a // le7
DATA ·logistic<>+968(SB)/8, $0x3fc999999999999a
DATA ·logistic<>+976(SB)/8, $0x3fc999999999999a
DATA ·logistic<>+984(SB)/8, $0x3fc999999999999a
DATA ·logistic<>+992(SB)/8, $0x3ff0000000000000 // le8
DATA ·logistic<>+1000(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+1008(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+1016(SB)/8, $0x3ff0000000000000
DATA ·logistic<>+1024(SB)/8, $0x3f9d41d41d41d41d // lo0
DATA ·logistic<>+1032(SB)/8, $0x3f9d41d41d41d41d
DATA ·logistic<>+1040(SB)/8, $0x3f9d41d41d41d41d
DATA ·logistic<>+1048(SB)/8, $0x3f9d41d41d41d41d
DATA ·logistic<>+1056(SB)/8, $0x3fa0842108421084 // lo1
DATA ·logistic<>+1064(SB)/8, $0x3fa0842108421084
DATA ·logistic<>+1072(SB)/8, $0x3fa0842108421084
DATA ·logistic<>+1080(SB)/8, $0x3fa0842108421084
DATA ·logistic<>+1088(SB)/8, $0x3fa2f684bda12f68 // lo2
DATA ·logistic<>+1096(SB)/8, $0x3fa2f684bda12f68
DATA ·logistic<>+1104(SB)/8, $0x3fa2f684bda12f68
DATA ·logistic<>+1112(SB)/8, $0x3fa2f684bda12f68
DATA ·logistic<>+1120(SB)/8, $0x3fa642c8590b2164 // lo3
DATA ·logistic<>+1128(SB)/8, $0x3fa642c8590b2164
DATA ·logistic<>+1136(SB)/8, $0x3fa642c8590b2164
DATA ·logistic<>+1144(SB)/8, $0x3fa642c8590b2164
DATA ·logistic<>+1152(SB)/8, $0x3faaf286bca1af28 // lo4
DATA ·logistic<>+1160(SB)/8, $0x3faaf286bca1af28
DATA ·logistic<>+1168(SB)/8, $0x3faaf286bca1af28
DATA ·logistic<>+1176(SB)/8, $0x3faaf286bca1af28
DATA ·logistic<>+1184(SB)/8, $0x3fb1111111111111 // lo5
DATA ·logistic<>+1192(SB)/8, $0x3fb1111111111111
DATA ·logistic<>+1200(SB)/8, $0x3fb1111111111111
DATA ·logistic<>+1208(SB)/8, $0x3fb1111111111111
DATA ·logistic<>+1216(SB)/8, $0x3fb745d1745d1746 // lo6
DATA ·logistic<>+1224(SB)/8, $0x3fb745d1745d1746
DATA ·logistic<>+1232(SB)/8, $0x3fb745d1745d1746
DATA ·logistic<>+1240(SB)/8, $0x3fb745d1745d1746
DATA ·logistic<>+1248(SB)/8, $0x3fc2492492492492 // lo7
DATA ·logistic<>+1256(SB)/8, $0x3fc2492492492492
DATA ·logistic<>+1264(SB)/8, $0x3fc2492492492492
DATA ·logistic<>+1272(SB)/8, $0x3fc2492492492492
DATA ·logistic<>+1280(SB)/8, $0x3fd5555555555555 // lo8
DATA ·logistic<>+1288(SB)/8, $0x3fd5555555555555
DATA ·logistic<>+1296(SB)/8, $0x3fd5555555555555
DATA ·logistic<>+1304(SB)/8, $0x3fd5555555555555
GLOBL ·logistic<>(SB), RODATA|NOPTR, $1312

// func logisticRows(m, y, w *float64, n int, lanes *[8]float64)
//
// Four rows at a time, the operations of logisticRow in its order.
TEXT ·logisticRows(SB), NOSPLIT, $0-40
	MOVQ m+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ lanes+32(FP), BX
	LEAQ ·logistic<>(SB), AX
	VMOVUPD (BX), Y14   // losses
	VMOVUPD 32(BX), Y15 // derivatives
rows:
	VMOVUPD (DI), Y0 // m
	VANDPD 0(AX), Y0, Y1
	// a = min(|m|, 708); the second operand, 708, where |m| is no number
	VMINPD 32(AX), Y1, Y1
	VMULPD 64(AX), Y1, Y2
	VADDPD 96(AX), Y2, Y2 // t
	VSUBPD 96(AX), Y2, Y3 // k
	VMULPD 128(AX), Y3, Y4
	VSUBPD Y4, Y1, Y4           // a - k·ln2Hi
	VMULPD 160(AX), Y3, Y5
	VSUBPD Y4, Y5, Y4           // r
	VMULPD Y4, Y4, Y5           // q
	VMULPD 288(AX), Y5, Y6
	VADDPD 320(AX), Y6, Y6
	VMULPD 512(AX), Y5, Y7
	VADDPD 544(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 352(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 576(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 384(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 608(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 416(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 640(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 448(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 672(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 480(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 704(AX), Y7, Y7
	VMULPD Y7, Y4, Y7
	VADDPD Y7, Y6, Y6
	VMOVDQU 256(AX), Y8
	VPSUBQ Y2, Y8, Y8
	VPSLLQ $52, Y8, Y8          // 2^-k
	VMULPD Y8, Y6, Y1           // e
	VADDPD 192(AX), Y1, Y2
	VMOVUPD 192(AX), Y3
	VDIVPD Y2, Y3, Y2           // p = 1/(1+e)
	VADDPD 224(AX), Y1, Y3
	VDIVPD Y3, Y1, Y3           // s
	VMULPD Y3, Y3, Y4           // z
	VMULPD Y4, Y4, Y5           // z²
	VMULPD 736(AX), Y5, Y6
	VADDPD 768(AX), Y6, Y6
	VMULPD 1024(AX), Y5, Y7
	VADDPD 1056(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 800(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1088(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 832(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1120(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 864(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1152(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 896(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1184(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 928(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1216(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 960(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1248(AX), Y7, Y7
	VMULPD Y6, Y5, Y6
	VADDPD 992(AX), Y6, Y6
	VMULPD Y7, Y5, Y7
	VADDPD 1280(AX), Y7, Y7
	VMULPD Y7, Y4, Y7
	VADDPD Y7, Y6, Y6
	VADDPD Y3, Y3, Y3
	VMULPD Y6, Y3, Y6           // log(1+e)
	VXORPD Y7, Y7, Y7
	VCMPPD $0x11, Y7, Y0, Y8     // m < 0
	VMULPD Y2, Y1, Y9
	VBLENDVPD Y8, Y9, Y2, Y2    // p
	VANDNPD Y0, Y8, Y9          // m where it is not below 0
	VADDPD Y9, Y6, Y6
	VMOVUPD (SI), Y10           // y
	VMULPD Y0, Y10, Y11
	VSUBPD Y11, Y6, Y6          // loss
	VSUBPD Y10, Y2, Y2          // derivative
	TESTQ DX, DX
	JZ   store
	VMOVUPD (DX), Y12
	VMULPD Y12, Y6, Y6
	VMULPD Y12, Y2, Y2
	ADDQ $32, DX
store:
	VMOVUPD Y2, (DI)
	VADDPD Y6, Y14, Y14
	VADDPD Y2, Y15, Y15
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $4, CX
	JNZ  rows
	VMOVUPD Y14, (BX)
	VMOVUPD Y15, 32(BX)
	VZEROUPPER
	RET
