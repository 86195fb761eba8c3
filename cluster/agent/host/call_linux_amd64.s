#include "textflag.h"

// func call(code, a, b uintptr) int32
TEXT ·call(SB), 0, $256-28
	MOVQ code+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	CALL AX
	MOVL AX, ret+24(FP)
	RET
