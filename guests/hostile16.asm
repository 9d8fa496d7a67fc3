; SPDX-License-Identifier: Apache-2.0
; What a real-mode guest can do to keep its core. Entered at 0:GUEST_LOAD with
;   edi = which behaviour (modulo their number), esi = seed, not 0

bits 16

section .text.start
global start:function
start:
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ebx, esi
    mov eax, edi
    xor edx, edx
    mov ecx, BEHAVIOURS
    div ecx
    mov di, dx
    add di, di
    jmp [behaviours + di]

section .text
spin_without_interrupts:
    cli
    jmp $

halt_without_interrupts:
    cli
    hlt
    jmp halt_without_interrupts

triple_fault:
    lidt [no_idt]
    int 3

; The vector table holds whatever memory holds: goes anywhere.
wild_interrupts:
    sti
    int 0x21
    int 3
    jmp wild_interrupts

wild_memory:
    mov eax, ebx
    shl eax, 13
    xor ebx, eax
    mov eax, ebx
    shr eax, 17
    xor ebx, eax
    mov eax, ebx
    shl eax, 5
    xor ebx, eax
    mov ds, bx
    mov [ebx * 1], ebx      ; beyond the limit most of the time
    jmp wild_memory

wild_ports:
    mov cx, 0xffff
    mov dx, bx
    rep outsb
    in eax, dx
    imul ebx, ebx, 1664525
    add ebx, 1013904223
    jmp wild_ports

wild_modes:
    mov eax, ebx
    or eax, 1               ; protected mode, without a descriptor table
    mov cr0, eax
    mov ds, bx
    jmp wild_modes

section .data
align 4
behaviours:
    dw spin_without_interrupts, halt_without_interrupts, triple_fault, wild_interrupts, wild_memory, wild_ports, wild_modes
BEHAVIOURS equ ($ - behaviours) / 2
no_idt:
    times 6 db 0

section .note.GNU-stack noalloc noexec nowrite progbits
