; SPDX-License-Identifier: Apache-2.0
; System calls: from the C calling convention to the one of <polyvisor/abi.h>, and back.

bits 64
default rel

section .text
; int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
;   in:  rdi = number, rsi, rdx, rcx, r8, r9 = a0 to a4
;   out: rax = result; rbx, rbp, r12 to r15 and rsp kept, as C wants; the multiplexer clears the rest
; SYSENTER keeps neither rip nor rsp: the multiplexer returns to rdx with the stack rcx.
global pv_syscall:function
pv_syscall:
    mov rax, rdi
    mov rdi, rsi
    mov rsi, rdx
    mov r10, r9
    mov r9, r8
    mov r8, rcx
    mov rcx, rsp
    lea rdx, [.return]
    sysenter
.return:
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
