; SPDX-License-Identifier: Apache-2.0
; Where a core starts after SIPI: real mode, cs = page << 8, ip = 0, in a page below 1 MiB that this code is copied to.
; From there to long mode with the tables of smp.c, and on to its entry with the core's stack.

global trampoline_start, trampoline_end

PAGE_BYTES      equ 4096
DATA            equ PAGE_BYTES - 32     ; struct trampoline_data of smp.c
DATA_ROOT       equ DATA
DATA_STACK      equ DATA + 8
DATA_ENTRY      equ DATA + 16
DATA_APIC_ID    equ DATA + 24
DATA_X2APIC_ID  equ DATA + 28

CR0_START       equ 0x80010031          ; PG, WP, NE, ET, PE
CR4_START       equ 0x000000a0          ; PGE, PAE
EFER            equ 0xc0000080
EFER_START      equ 0x900               ; LME, NXE

section .rodata
align 16
bits 16
trampoline_start:
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebp, ax
    shl ebp, 4                          ; ebp = physical address of this page

    ; am I the one that is meant?
    cmp dword [DATA_X2APIC_ID], 0
    je .apic_id
    mov eax, 0xb
    xor ecx, ecx
    cpuid
    jmp .compare
.apic_id:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov edx, ebx
.compare:
    cmp edx, [DATA_APIC_ID]
    jne .halt

    lea eax, [ebp + gdt - trampoline_start]
    mov [gdt_pointer - trampoline_start + 2], eax
    lea eax, [ebp + long_mode - trampoline_start]
    mov [far_pointer - trampoline_start], eax
    o32 lgdt [gdt_pointer - trampoline_start]
    mov eax, CR4_START
    mov cr4, eax
    mov eax, [DATA_ROOT]
    mov cr3, eax
    mov ecx, EFER
    mov eax, EFER_START
    xor edx, edx
    wrmsr
    mov eax, CR0_START                  ; protection and paging at once: long mode (SDM Vol. 3A 10.8.5)
    mov cr0, eax
    jmp dword far [far_pointer - trampoline_start]
.halt:
    hlt
    jmp .halt

bits 64
long_mode:
    mov ebp, ebp                        ; the upper half is undefined till here
    mov eax, 0x10
    mov ss, ax
    mov ds, ax
    mov es, ax
    mov rsp, [rbp + DATA_STACK]
    mov rax, [rbp + DATA_ENTRY]
    xor ebp, ebp
    call rax
    ud2

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff               ; 64-bit code; accessed, because this page is mapped read-only
    dq 0x00cf93000000ffff               ; data
gdt_pointer:
    dw gdt_pointer - gdt - 1
    dd 0                                ; filled in
far_pointer:
    dd 0                                ; filled in
    dw 0x08
trampoline_end:
