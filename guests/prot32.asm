; SPDX-License-Identifier: Apache-2.0
; 32-bit protected mode: entry and interrupts.

bits 32
extern guest_main, on_interrupt

section .text.start
; Entered by the personality in flat segments, with paging and a stack.
global start:function
start:
    cld
    call guest_main

%include "guests/stubs.inc"

; every vector comes here with, on the stack: vector, error code, eip, cs, eflags
entry:
    pushad
    cld
    mov eax, [esp + 32]
    mov edx, [esp + 40]
    push edx
    push eax
    call on_interrupt
    add esp, 8
    popad
    add esp, 8
    iret

section .note.GNU-stack noalloc noexec nowrite progbits
