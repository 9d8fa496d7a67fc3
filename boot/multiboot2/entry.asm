; SPDX-License-Identifier: Apache-2.0
; From GRUB (or another multiboot2 loader) to C: the header that it looks for, and the way from 32-bit protected mode
; without paging to 64-bit mode at the image's link address. Multiboot2 specification 2.0, sections 3.1 (header) and 3.3
; (machine state).

%define KERNEL_VMA        0xffffffff80000000    ; as in linker.ld
%define LINK_BASE         0x200000              ; physical address that the image is linked for

%define MB2_HEADER_MAGIC  0xe85250d6
%define MB2_LOADER_MAGIC  0x36d76289
%define MB2_I386          0
%define MB2_OPTIONAL      1
%define MB2_PREFER_LOW    1

; header tags
%define MB2_END           0
%define MB2_REQUEST       1
%define MB2_ENTRY         3
%define MB2_MODULE_ALIGN  6
%define MB2_RELOCATABLE   10

; information tags to request
%define MB2_INFO_CMDLINE  1
%define MB2_INFO_LOADER   2
%define MB2_INFO_MODULE   3
%define MB2_INFO_MMAP     6
%define MB2_INFO_SCREEN   8
%define MB2_INFO_RSDP_1   14
%define MB2_INFO_RSDP_2   15
%define MB2_INFO_EFI_MMAP 17

%define PAGE_2M           0x200000
%define PAGE_PRESENT      1
%define PAGE_WRITE        2
%define PAGE_LARGE        0x80
%define IDENTITY_TABLES   4                     ; 1 GiB each

%define CR0_PE            (1 << 0)
%define CR0_NW            (1 << 29)
%define CR0_CD            (1 << 30)
%define CR0_PG            (1 << 31)
%define CR4_PAE           (1 << 5)
%define MSR_EFER          0xc0000080
%define EFER_LME          (1 << 8)
%define EFLAGS_ID         (1 << 21)
%define CPUID_EXT_MAX     0x80000000
%define CPUID_EXT         0x80000001
%define CPUID_EXT_NX      (1 << 20)             ; in EDX
%define CPUID_EXT_LM      (1 << 29)

%define SELECTOR_CODE     0x08
%define SELECTOR_DATA     0x10

%define COM1              0x3f8
%define COM1_LSR          (COM1 + 5)
%define LSR_THRE          0x20
%define LSR_WAIT          100000                ; reads; a machine without the port shows 0xff, which looks ready

%define LINKED(symbol) (symbol - KERNEL_VMA) ; physical address as linked; the real one is that plus ebp

extern image_end, multiboot2_start
global multiboot2_entry, multiboot2_pml4

section .multiboot2 progbits alloc exec nowrite align=8
header:
    dd MB2_HEADER_MAGIC, MB2_I386, header_end - header
    dd 0x100000000 - (MB2_HEADER_MAGIC + MB2_I386 + (header_end - header))
.request:
    dw MB2_REQUEST, 0
    dd .request_end - .request
    dd MB2_INFO_MMAP
.request_end:
align 8, db 0
.wish:
    dw MB2_REQUEST, MB2_OPTIONAL
    dd .wish_end - .wish
    dd MB2_INFO_CMDLINE, MB2_INFO_LOADER, MB2_INFO_MODULE, MB2_INFO_SCREEN
    dd MB2_INFO_RSDP_1, MB2_INFO_RSDP_2, MB2_INFO_EFI_MMAP
.wish_end:
align 8, db 0
    dw MB2_ENTRY, 0                         ; the ELF entry point is mux_entry, which expects long mode
    dd 12, LINKED(multiboot2_entry)
align 8, db 0
    dw MB2_RELOCATABLE, MB2_OPTIONAL
    dd 24, LINK_BASE, 0xffffffff, PAGE_2M, MB2_PREFER_LOW
align 8, db 0
    dw MB2_MODULE_ALIGN, 0
    dd 8
    dw MB2_END, 0
    dd 8
header_end:

section .text
bits 32
; eax = MB2_LOADER_MAGIC, ebx = physical address of the multiboot information; flat segments, no paging, no interrupts,
; no stack. Throughout: ebp = distance from where the image is linked to where it is.
multiboot2_entry:
    cld
    mov esi, eax
    mov esp, 0x7c00                         ; nobody's memory, should this not be a multiboot2 loader
    cmp esi, MB2_LOADER_MAGIC
    jne .find_base
    lea esp, [ebx + 8]                      ; the information's reserved dword serves as a stack of one slot
.find_base:
    call .here
.here:
    pop ebp
    sub ebp, LINKED(.here)
    lea esp, [ebp + LINKED(boot_stack_end)]
    push ebx
    call check_machine
    call fill_tables

    mov eax, CR4_PAE
    mov cr4, eax
    lea eax, [ebp + LINKED(multiboot2_pml4)]
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    and eax, ~(CR0_NW | CR0_CD)             ; caches are off after reset, and not every BIOS switches them on
    or eax, CR0_PE | CR0_PG
    mov cr0, eax

    lea eax, [ebp + LINKED(gdt)]
    mov [ebp + LINKED(gdt_pointer) + 2], eax
    lgdt [ebp + LINKED(gdt_pointer)]
    pop ebx
    push dword SELECTOR_CODE
    lea eax, [ebp + LINKED(long_mode)]
    push eax
    retf

; esi = the loader's magic. Does not return when something is missing.
check_machine:
    mov edx, LINKED(text_not_multiboot2)
    cmp esi, MB2_LOADER_MAGIC
    jne fail
    mov edx, LINKED(text_base)
    lea eax, [ebp + LINK_BASE]
    test eax, PAGE_2M - 1
    jnz fail
    pushfd                                  ; a processor has CPUID when EFLAGS.ID can be changed
    pop eax
    mov ecx, eax
    xor eax, EFLAGS_ID
    push eax
    popfd
    pushfd
    pop eax
    mov edx, LINKED(text_long_mode)
    cmp eax, ecx
    je fail
    mov eax, CPUID_EXT_MAX
    cpuid
    mov edx, LINKED(text_long_mode)
    cmp eax, CPUID_EXT
    jb fail
    mov eax, CPUID_EXT
    cpuid
    mov ecx, edx
    mov edx, LINKED(text_long_mode)
    test ecx, CPUID_EXT_LM
    jz fail
    mov edx, LINKED(text_nx)
    test ecx, CPUID_EXT_NX
    jz fail
    ret

; Identity mapping of the first 4 GiB, and the image at its link address, with 2 MiB pages. The tables are in .bss:
; zero.
fill_tables:
    lea edi, [ebp + LINKED(identity_pds)]
    mov eax, PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE
    mov ecx, IDENTITY_TABLES * 512
    call .fill
    lea edi, [ebp + LINKED(identity_pdpt)]
    lea eax, [ebp + LINKED(identity_pds) + PAGE_PRESENT + PAGE_WRITE]
    mov ecx, IDENTITY_TABLES
.table:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .table
    lea edi, [ebp + LINKED(image_pd) + (LINK_BASE / PAGE_2M) * 8]
    lea eax, [ebp + LINK_BASE + PAGE_PRESENT + PAGE_WRITE + PAGE_LARGE]
    mov ecx, LINKED(image_end) - LINK_BASE + PAGE_2M - 1
    shr ecx, 21
    call .fill
    lea eax, [ebp + LINKED(image_pd) + PAGE_PRESENT + PAGE_WRITE]
    mov [ebp + LINKED(image_pdpt) + 510 * 8], eax
    lea eax, [ebp + LINKED(image_pdpt) + PAGE_PRESENT + PAGE_WRITE]
    mov [ebp + LINKED(multiboot2_pml4) + 511 * 8], eax
    lea eax, [ebp + LINKED(identity_pdpt) + PAGE_PRESENT + PAGE_WRITE]
    mov [ebp + LINKED(multiboot2_pml4)], eax
    ret
.fill:                                      ; edi = first entry, eax = its value, ecx = how many
    mov [edi], eax
    add eax, PAGE_2M
    add edi, 8
    loop .fill
    ret

; edx = linked address of a text. Prints it on COM1 at the rate that the firmware or the loader set, and stops: there is
; no firmware to return to.
fail:
    lea esi, [ebp + LINKED(text_prefix)]
    call print
    lea esi, [ebp + edx]
    call print
    lea esi, [ebp + LINKED(text_suffix)]
    call print
.stop:
    cli
    hlt
    jmp .stop

; esi = text up to a NUL; keeps edx
print:
    push edx
.next:
    mov ecx, LSR_WAIT
    mov dx, COM1_LSR
.wait:
    in al, dx
    test al, LSR_THRE
    jnz .ready
    loop .wait
.ready:
    lodsb
    test al, al
    jz .done
    mov dx, COM1
    out dx, al
    jmp .next
.done:
    pop edx
    ret

bits 64
default rel
; In 64-bit mode at the physical address; ebx = multiboot information, ebp as above.
long_mode:
    mov eax, SELECTOR_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov rax, .linked
    jmp rax
.linked:
    lea rsp, [boot_stack_end]
    mov edi, ebx
    lea esi, [rbp + LINK_BASE]
    xor ebp, ebp
    call multiboot2_start                   ; (information, image base); does not return
    ud2

section .rodata
text_prefix:        db 13, 10, "Polyvisor: cannot start: ", 0
text_suffix:        db 13, 10, 0
text_not_multiboot2: db "not started by a multiboot2 loader", 0
text_base:          db "the boot loader did not put the image on a 2 MiB boundary", 0
text_long_mode:     db "this processor has no 64-bit mode (a 64-bit Intel processor is needed)", 0
text_nx:            db "this processor has no NX bit, or the firmware hides it (look for 'Execute Disable')", 0

section .data
align 8
gdt:
    dq 0
    dq 0x00209a0000000000                   ; code: 64-bit, ring 0
    dq 0x0000920000000000                   ; data: writable
gdt_pointer:
    dw gdt_pointer - gdt - 1
    dq 0                                    ; set at run time

section .bss
alignb 4096
multiboot2_pml4:    resb 4096
identity_pdpt:      resb 4096
image_pdpt:         resb 4096
image_pd:           resb 4096
identity_pds:       resb 4096 * IDENTITY_TABLES
                    resb 8192
boot_stack_end:
