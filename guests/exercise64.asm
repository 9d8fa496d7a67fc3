; SPDX-License-Identifier: Apache-2.0
; The part of a 64-bit guest that needs to say which register holds what. Its context is at the base of GS.

%include "guests/context.inc"

bits 64
default abs

section .text

; void load_state(void): fills FPU, vector and debug registers and CR2. Uses rax.
global load_state:function
load_state:
    fxrstor [gs:CTX_FX]
    cmp qword [gs:CTX_AVX], 0
    je .debug
%assign i 0
%rep 16
    vinsertf128 ymm %+ i, ymm %+ i, [gs:CTX_YMM + 16 * i], 1
%assign i i + 1
%endrep
.debug:
%assign i 0
%rep 4
    mov rax, [gs:CTX_DR + 8 * i]
    mov dr %+ i, rax
%assign i i + 1
%endrep
    mov rax, [gs:CTX_CR2]
    mov cr2, rax
    ret

; void store_state(void): stores what load_state filled. Uses rax.
global store_state:function
store_state:
    mov rax, cr2
    mov [gs:CTX_CR2_FOUND], rax
%assign i 0
%rep 4
    mov rax, dr %+ i
    mov [gs:CTX_DR_FOUND + 8 * i], rax
%assign i i + 1
%endrep
    cmp qword [gs:CTX_AVX], 0
    je .fpu
%assign i 0
%rep 16
    vextractf128 [gs:CTX_YMM_FOUND + 16 * i], ymm %+ i, 1
%assign i i + 1
%endrep
.fpu:
    fxsave [gs:CTX_FX_FOUND]
    ret

; Loads the general registers named from the context, or stores them there.
%macro load_gpr 2-*
%rep %0 / 2
    mov %1, [gs:CTX_GPR + 8 * %2]
%rotate 2
%endrep
%endmacro

%macro store_gpr 2-*
%rep %0 / 2
    mov [gs:CTX_GPR_FOUND + 8 * %2], %1
%rotate 2
%endrep
%endmacro

%define ALL_GPRS rax, RAX_, rcx, RCX_, rdx, RDX_, rbx, RBX_, rbp, RBP_, rsi, RSI_, rdi, RDI_, r8, 8, r9, 9, \
                 r10, 10, r11, 11, r12, 12, r13, 13, r14, 14, r15, 15

; A stretch without exits: every register keeps its value, and so does the carry flag.
%macro spin 0
    push rax
    mov rax, [gs:CTX_SPINS]
    mov [gs:CTX_SPINS_LEFT], rax
    pop rax
%%again:
    dec qword [gs:CTX_SPINS_LEFT]
    jnz %%again
%endmacro

; void exercise(void): see context.h.
global exercise:function
exercise:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [gs:CTX_STACK], rsp
    mov [gs:CTX_GPR + 8 * RSP_], rsp
    push qword [gs:CTX_FLAGS]
    popfq
    load_gpr ALL_GPRS
    spin
    mov edx, [gs:CTX_PORT]
    mov eax, [gs:CTX_PORT_VALUE]
    out dx, eax
    load_gpr rax, RAX_, rdx, RDX_
    spin
    mov eax, [gs:CTX_LEAF]
    cpuid
    mov [gs:CTX_CPUID_FOUND], eax
    mov [gs:CTX_CPUID_FOUND + 4], ebx
    mov [gs:CTX_CPUID_FOUND + 8], ecx
    mov [gs:CTX_CPUID_FOUND + 12], edx
    mov ecx, [gs:CTX_MSR]
    rdmsr
    mov [gs:CTX_MSR_FOUND], eax
    mov [gs:CTX_MSR_FOUND + 4], edx
    load_gpr rax, RAX_, rbx, RBX_, rcx, RCX_, rdx, RDX_
    spin
    bt dword [gs:CTX_HALT], 0 ; into the carry flag, the others stay
    jnc .awake
    hlt
.awake:
    bt dword [gs:CTX_FLAGS], 0 ; the carry flag as it was
    spin
    store_gpr ALL_GPRS, rsp, RSP_
    pushfq
    pop qword [gs:CTX_FLAGS_FOUND]
    mov rsp, [gs:CTX_STACK]
    cld
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
