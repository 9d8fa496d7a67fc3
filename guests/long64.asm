; SPDX-License-Identifier: Apache-2.0
; 64-bit mode: entry and interrupts.

bits 64
extern guest_main, on_interrupt

section .text.start
; Entered by the personality in flat segments, with paging and a stack; every vcpu of the guest comes here.
global start:function
start:
    cld
    xor ebp, ebp
    call guest_main

%include "guests/stubs.inc"

; every vector comes here with, on the stack: vector, error code, rip, cs, rflags, rsp, ss; the registers that C may change are kept here
entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    cld
    mov edi, [rsp + 72]
    mov rsi, [rsp + 88]
    call on_interrupt
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .note.GNU-stack noalloc noexec nowrite progbits
