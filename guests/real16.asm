; SPDX-License-Identifier: Apache-2.0
; 16-bit real mode: entry, interrupts, memory beyond the first 64 KiB. The C code is compiled for 16 bits too and uses
; 32-bit registers, so it is called with 4-byte return addresses; all segment registers but FS and GS are 0 in it.

bits 16
extern guest_main, on_interrupt

section .text.start
; Entered by the personality with cs, ds, es, ss = 0 and a stack.
global start:function
start:
    cld
    call dword guest_main

section .text
; Where the interrupt vector table points to: one stub every 8 bytes.
global interrupt_stubs
align 8
interrupt_stubs:
%assign vector 0
%rep 256
    push word vector
    jmp near entry
    align 8
%assign vector vector + 1
%endrep

; every vector comes here with, on the stack: vector, ip, cs, flags, 2 bytes each
entry:
    pushad
    push ds
    push es
    xor ax, ax
    mov ds, ax
    mov es, ax
    cld
    movzx eax, word [esp + 36]  ; vector, above 32 bytes of registers and two segments
    movzx edx, word [esp + 38]  ; ip
    push edx
    push eax
    call dword on_interrupt
    add esp, 8
    pop es
    pop ds
    popad
    add sp, 2
    iret

; void far_fill(uint32_t segment, uint32_t value, uint32_t count): writes count dwords from segment:0 on.
global far_fill:function
far_fill:
    push edi
    push es
    mov es, [esp + 10]
    mov eax, [esp + 14]
    mov ecx, [esp + 18]
    xor edi, edi
    rep a32 stosd
    pop es
    pop edi
    o32 ret

; uint32_t far_differs(uint32_t segment, uint32_t value, uint32_t count): how many dwords are left where one differs.
global far_differs:function
far_differs:
    push edi
    push es
    mov es, [esp + 10]
    mov eax, [esp + 14]
    mov ecx, [esp + 18]
    xor edi, edi
    repe a32 scasd
    setne al
    movzx eax, al
    add eax, ecx
    pop es
    pop edi
    o32 ret

section .note.GNU-stack noalloc noexec nowrite progbits
