; SPDX-License-Identifier: Apache-2.0
; A kernel that prints on COM1 how it was booted, and switches the machine off. One file for all protocols:
;   nasm -f elf32               an ELF file with a PVH note, a Multiboot 2 and a Multiboot 1 header
;   nasm -f bin -DFLAT          the same without ELF: the headers hold addresses
;   -DDEMAND=n                  adds a required tag of type n to the Multiboot 2 header
;   -DRELOCATE=n                it may stand only from n on (Multiboot 2); it runs wherever it is
; It has no relocations that matter: EBP holds the difference between where it is and where it was linked.
BASE equ 0x100000
bits 32
%ifdef FLAT
org BASE
%else
section .text
%endif
%ifndef FLAT
global enter
%endif
start:

MB1_MAGIC equ 0x1badb002
%ifdef FLAT
MB1_FLAGS equ 0x10003
%else
MB1_FLAGS equ 3
%endif
align 4
mb1:    dd MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
%ifdef FLAT
        dd mb1, start, end, bss_end, enter
%endif

align 8
mb2:    dd 0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + mb2_end - mb2)
        dw 1, 0         ; information request: command line, modules, map, RSDP
        dd mb2_asked - $ + 4
        dd 1, 3, 6, 15
mb2_asked:
%ifdef FLAT
align 8
        dw 2, 0
        dd 24, mb2, start, end, bss_end
align 8
        dw 3, 0
        dd 12, enter
%endif
%ifdef RELOCATE
align 8
        dw 10, 0
        dd 24, RELOCATE, 0xffffffff, 0x1000, 1
%endif
%ifdef DEMAND
align 8
        dw DEMAND, 0
        dd 8
%endif
align 8
        dw 0x7777, 1    ; unknown, but optional
        dd 8
        dw 0, 0
        dd 8
mb2_end:

%ifndef FLAT
section .note.pvh note alloc
        dd 4, 4, 18
        db "Xen", 0
        dd enter
section .text
%endif

COM1 equ 0x3f8
enter:  ; nothing may be pushed yet, and nothing is known of where this is
        mov     esi, eax
        mov     edi, ebx
        mov     esp, 0x7000     ; for one call; low memory is free
        call    .here
.here:  pop     ebp
        sub     ebp, .here
        lea     esp, [ebp + stack_end]
        push    edi
        push    esi
        ; "bss": what is beyond the file must be zero
        mov     ecx, bss_size / 4
        lea     edi, [ebp + bss]
        xor     eax, eax
        repe    scasd
        setne   bl
        lea     esi, [ebp + t_bss]
        call    text
        movzx   eax, bl
        call    hex
        pop     esi             ; EAX
        pop     edi             ; EBX
        push    edi
        push    esi
        mov     eax, esi
        lea     esi, [ebp + t_eax]
        call    label
        mov     eax, cr0
        lea     esi, [ebp + t_cr0]
        call    label
        mov     eax, cr4
        lea     esi, [ebp + t_cr4]
        call    label
        pushfd
        pop     eax
        lea     esi, [ebp + t_eflags]
        call    label
        xor     eax, eax
        mov     ax, cs
        lar     eax, eax        ; what the GDT says of it
        shr     eax, 8
        lea     esi, [ebp + t_cs]
        call    label
        mov     ax, ss
        lar     eax, eax
        shr     eax, 8
        lea     esi, [ebp + t_ss]
        call    label
        xor     eax, eax
        mov     ax, cs
        lsl     eax, eax
        lea     esi, [ebp + t_limit]
        call    label
        lea     eax, [ebp + start]
        lea     esi, [ebp + t_at]
        call    label
        call    newline
        pop     eax
        pop     ebx
        cmp     eax, 0x2badb002
        je      multiboot1
        cmp     eax, 0x36d76289
        je      multiboot2
        cmp     dword [ebx], 0x336ec578
        je      pvh
        lea     esi, [ebp + t_unknown]
        call    text
off:    lea     esi, [ebp + t_end]
        call    text
        mov     dx, 0x604       ; PM1 control: S5, SLP_EN
        mov     ax, 5 << 10 | 1 << 13
        out     dx, ax
.wait:  hlt
        jmp     .wait

; ---- each protocol: EBX is its information ----
pvh:    lea     esi, [ebp + t_pvh]
        call    text
        mov     eax, [ebx + 4]
        lea     esi, [ebp + t_version]
        call    label
        mov     esi, [ebx + 24]
        call    cmdline
        mov     eax, [ebx + 32]
        call    rsdp
        mov     edi, [ebx + 40]
        mov     ecx, [ebx + 48]
.map:   jecxz   .modules
        mov     eax, [edi + 8]
        call    region_low
        mov     eax, [edi + 16]
        call    region_type
        add     edi, 24
        loop    .map
.modules:
        mov     edi, [ebx + 16]
        mov     ecx, [ebx + 12]
.module:
        jecxz   off
        mov     eax, [edi]
        mov     edx, [edi + 8]
        xor     esi, esi
        call    module
        add     edi, 32
        loop    .module
        jmp     off

multiboot1:
        lea     esi, [ebp + t_mb1]
        call    text
        mov     eax, [ebx]
        lea     esi, [ebp + t_flags]
        call    label
        mov     eax, [ebx + 4]
        lea     esi, [ebp + t_lower]
        call    label
        mov     eax, [ebx + 8]
        lea     esi, [ebp + t_upper]
        call    label
        mov     esi, [ebx + 64]
        call    loader
        mov     esi, [ebx + 16]
        call    cmdline
        mov     edi, [ebx + 48]
        mov     ecx, [ebx + 44]
        add     ecx, edi
.map:   cmp     edi, ecx
        jae     .modules
        mov     eax, [edi + 12]
        add     edi, 4
        call    region_low
        mov     eax, [edi + 16]
        call    region_type
        add     edi, [edi - 4]
        jmp     .map
.modules:
        mov     edi, [ebx + 24]
        mov     ecx, [ebx + 20]
.module:
        jecxz   .done
        mov     eax, [edi]
        mov     edx, [edi + 4]
        sub     edx, eax
        mov     esi, [edi + 8]
        call    module
        add     edi, 16
        loop    .module
.done:  jmp     off

multiboot2:
        lea     esi, [ebp + t_mb2]
        call    text
        lea     edi, [ebx + 8]
.tag:   mov     eax, [edi]
        test    eax, eax
        jz      .done
        lea     esi, [edi + 8]
        cmp     eax, 1
        je      .cmdline
        cmp     eax, 2
        je      .loader
        cmp     eax, 3
        je      .module
        cmp     eax, 4
        je      .memory
        cmp     eax, 6
        je      .map
        cmp     eax, 15
        je      .rsdp
        cmp     eax, 21
        je      .base
        lea     esi, [ebp + t_unknown]
        call    label
.next:  mov     eax, [edi + 4]
        add     eax, 7
        and     eax, ~7
        add     edi, eax
        jmp     .tag
.cmdline:
        call    cmdline
        jmp     .next
.loader:
        call    loader
        jmp     .next
.module:
        mov     eax, [edi + 8]
        mov     edx, [edi + 12]
        sub     edx, eax
        lea     esi, [edi + 16]
        call    module
        jmp     .next
.memory:
        mov     eax, [edi + 8]
        lea     esi, [ebp + t_lower]
        call    label
        mov     eax, [edi + 12]
        lea     esi, [ebp + t_upper]
        call    label
        call    newline
        jmp     .next
.rsdp:  mov     eax, esi
        call    rsdp
        jmp     .next
.base:  mov     eax, [edi + 8]
        lea     esi, [ebp + t_base]
        call    label
        call    newline
        jmp     .next
.map:   push    edi
        mov     ecx, [edi + 4]
        add     ecx, edi
        mov     edx, [edi + 8]
        add     edi, 16
.entry: cmp     edi, ecx
        jae     .mapped
        mov     eax, [edi + 8]
        call    region_low
        mov     eax, [edi + 16]
        call    region_type
        add     edi, edx
        jmp     .entry
.mapped:
        pop     edi
        jmp     .next
.done:  mov     eax, edi        ; the total counts from the beginning to behind the end tag
        sub     eax, ebx
        add     eax, 8
        sub     eax, [ebx]
        lea     esi, [ebp + t_rest]
        call    label
        call    newline
        jmp     off

; ---- lines ----
; A region: EDI points to its start (8 bytes), EAX: the low half of its size; region_type: EAX its type.
region_low:
        push    eax
        lea     esi, [ebp + t_region]
        call    text
        mov     eax, [edi]
        call    hex
        pop     eax
        lea     esi, [ebp + t_size]
        jmp     label
region_type:
        lea     esi, [ebp + t_type]
        call    label
        jmp     newline
; A module: EAX start, EDX size, ESI its text or 0. Prints its first byte and its last one.
module: push    esi
        push    eax
        lea     esi, [ebp + t_module]
        call    text
        mov     eax, [esp]
        and     eax, 0xfff      ; it is on a page of its own
        call    hex
        mov     eax, edx
        lea     esi, [ebp + t_size]
        call    label
        mov     esi, [esp]
        movzx   eax, byte [esi]
        push    esi
        lea     esi, [ebp + t_first]
        call    label
        pop     esi
        movzx   eax, byte [esi + edx - 1]
        lea     esi, [ebp + t_last]
        call    label
        pop     eax
        pop     eax
        test    eax, eax
        jz      newline
        lea     esi, [ebp + t_name]
        call    text
        mov     esi, eax
        call    text
        jmp     newline
; ESI: text
cmdline:
        push    esi
        lea     esi, [ebp + t_cmdline]
        jmp     quoted
loader: push    esi
        lea     esi, [ebp + t_loader]
quoted: call    text
        pop     esi
        call    text
        jmp     newline
; EAX: where the RSDP is
rsdp:   push    eax
        lea     esi, [ebp + t_rsdp]
        call    text
        pop     esi
        push    ecx
        mov     ecx, 7          ; "RSD PTR"
.next:  lodsb
        call    char
        loop    .next
        pop     ecx
        jmp     newline

; ---- printing; all registers are kept but ESI ----
; ESI: a label, EAX: a number
label:  call    text
        jmp     hex
newline:
        push    eax
        mov     al, 10
        call    char
        pop     eax
        ret
text:   push    eax
.next:  lodsb
        test    al, al
        jz      .done
        call    char
        jmp     .next
.done:  pop     eax
        ret
hex:    push    eax
        push    ecx
        push    edx
        mov     edx, eax
        mov     ecx, 8
.digit: rol     edx, 4
        mov     al, dl
        and     al, 15
        cmp     al, 10
        jb      .print
        add     al, 'a' - '0' - 10
.print: add     al, '0'
        call    char
        loop    .digit
        pop     edx
        pop     ecx
        pop     eax
        ret
char:   push    edx
        push    eax
        mov     dx, COM1 + 5
.wait:  in      al, dx
        test    al, 0x20
        jz      .wait
        pop     eax
        mov     dx, COM1
        out     dx, al
        pop     edx
        ret

t_bss:      db "kernel: bss ", 0
t_eax:      db " eax ", 0
t_cr0:      db " cr0 ", 0
t_cr4:      db " cr4 ", 0
t_eflags:   db " eflags ", 0
t_cs:       db " cs ", 0
t_ss:       db " ss ", 0
t_limit:    db " limit ", 0
t_at:       db " at ", 0
t_pvh:      db "kernel: PVH", 0
t_mb1:      db "kernel: Multiboot 1", 0
t_mb2:      db "kernel: Multiboot 2", 10, 0
t_version:  db " version ", 0
t_flags:    db " flags ", 0
t_lower:    db " lower ", 0
t_upper:    db " upper ", 0
t_loader:   db 10, "kernel: loader ", 0
t_cmdline:  db 10, "kernel: cmdline ", 0
t_rsdp:     db "kernel: rsdp ", 0
t_region:   db "kernel: region ", 0
t_size:     db " size ", 0
t_type:     db " type ", 0
t_module:   db "kernel: module ", 0
t_first:    db " first ", 0
t_last:     db " last ", 0
t_name:     db " name ", 0
t_base:     db "kernel: base ", 0
t_rest:     db "kernel: rest ", 0
t_unknown:  db "kernel: unknown ", 0
t_end:      db "kernel: end", 10, 0
end:

bss_size equ 0x8000
stack_size equ 0x1000
%ifdef FLAT
bss equ end
stack_end equ bss + bss_size + stack_size
bss_end equ stack_end
%else
section .bss
bss:    resb bss_size
        resb stack_size
stack_end:
%endif
