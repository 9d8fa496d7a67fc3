; SPDX-License-Identifier: Apache-2.0
; The part of a 16-bit or 32-bit guest (MODE) that needs to say which register holds what. There is one context, at a
; fixed address; 16-bit code has it in its only data segment, which begins at 0.

%include "guests/context.inc"

bits MODE
extern context

%define CTX(offset) dword context + offset

section .text

; void load_state(void): fills FPU, vector and debug registers and CR2. Uses eax. No AVX in real mode: VEX prefixes mean
; something else there.
global load_state:function
load_state:
    fxrstor [CTX(CTX_FX)]
%if MODE == 32
    cmp dword [CTX(CTX_AVX)], 0
    je .debug
%assign i 0
%rep 8
    vinsertf128 ymm %+ i, ymm %+ i, [CTX(CTX_YMM + 16 * i)], 1
%assign i i + 1
%endrep
.debug:
%endif
%assign i 0
%rep 4
    mov eax, [CTX(CTX_DR + 8 * i)]
    mov dr %+ i, eax
%assign i i + 1
%endrep
    mov eax, [CTX(CTX_CR2)]
    mov cr2, eax
    o32 ret

; void store_state(void): stores what load_state filled. Uses eax.
global store_state:function
store_state:
    mov eax, cr2
    mov [CTX(CTX_CR2_FOUND)], eax
%assign i 0
%rep 4
    mov eax, dr %+ i
    mov [CTX(CTX_DR_FOUND + 8 * i)], eax
%assign i i + 1
%endrep
%if MODE == 32
    cmp dword [CTX(CTX_AVX)], 0
    je .fpu
%assign i 0
%rep 8
    vextractf128 [CTX(CTX_YMM_FOUND + 16 * i)], ymm %+ i, 1
%assign i i + 1
%endrep
.fpu:
%endif
    fxsave [CTX(CTX_FX_FOUND)]
    o32 ret

; Loads the general registers named from the context, or stores them there.
%macro load_gpr 2-*
%rep %0 / 2
    mov %1, [CTX(CTX_GPR + 8 * %2)]
%rotate 2
%endrep
%endmacro

%macro store_gpr 2-*
%rep %0 / 2
    mov [CTX(CTX_GPR_FOUND + 8 * %2)], %1
%rotate 2
%endrep
%endmacro

%define ALL_GPRS eax, RAX_, ecx, RCX_, edx, RDX_, ebx, RBX_, ebp, RBP_, esi, RSI_, edi, RDI_

; A stretch without exits: every register keeps its value, and so does the carry flag.
%macro spin 0
    push eax
    mov eax, [CTX(CTX_SPINS)]
    mov [CTX(CTX_SPINS_LEFT)], eax
    pop eax
%%again:
    dec dword [CTX(CTX_SPINS_LEFT)]
    jnz %%again
%endmacro

; void exercise(void): see context.h.
global exercise:function
exercise:
    push ebx
    push ebp
    push esi
    push edi
    mov [CTX(CTX_STACK)], esp
    mov [CTX(CTX_GPR + 8 * RSP_)], esp
    push dword [CTX(CTX_FLAGS)]
    popfd
    load_gpr ALL_GPRS
    spin
    mov edx, [CTX(CTX_PORT)]
    mov eax, [CTX(CTX_PORT_VALUE)]
    out dx, eax
    load_gpr eax, RAX_, edx, RDX_
    spin
    mov eax, [CTX(CTX_LEAF)]
    cpuid
    mov [CTX(CTX_CPUID_FOUND)], eax
    mov [CTX(CTX_CPUID_FOUND + 4)], ebx
    mov [CTX(CTX_CPUID_FOUND + 8)], ecx
    mov [CTX(CTX_CPUID_FOUND + 12)], edx
    mov ecx, [CTX(CTX_MSR)]
    rdmsr
    mov [CTX(CTX_MSR_FOUND)], eax
    mov [CTX(CTX_MSR_FOUND + 4)], edx
    load_gpr eax, RAX_, ebx, RBX_, ecx, RCX_, edx, RDX_
    spin
    bt dword [CTX(CTX_HALT)], 0 ; into the carry flag, the others stay
    jnc .awake
    hlt
.awake:
    bt dword [CTX(CTX_FLAGS)], 0 ; the carry flag as it was
    spin
    store_gpr ALL_GPRS, esp, RSP_
    pushfd
    pop dword [CTX(CTX_FLAGS_FOUND)]
    mov esp, [CTX(CTX_STACK)]
    cld
    pop edi
    pop esi
    pop ebp
    pop ebx
    o32 ret

section .note.GNU-stack noalloc noexec nowrite progbits
