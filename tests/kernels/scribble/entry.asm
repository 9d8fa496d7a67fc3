; SPDX-License-Identifier: Apache-2.0
; PVH entry, 64-bit mode with the first 5 GiB mapped to themselves, exceptions, and running bytes that may fault.
TABLES equ 5            ; GiB that are mapped to themselves; one more is mapped by scribble_main
SELECTOR_CODE equ 8
SELECTOR_DATA equ 16
SELECTOR_TSS equ 24
PRESENT_WRITE_LARGE equ 0x83
PRESENT_WRITE equ 3

section .note.pvh note alloc
        dd 4, 4, 18
        db "Xen", 0
        dd enter

extern scribble_main, trap
global enter, trap_stubs, trap_frame, idt, page_directory_last, run_code, recover, recover_stack, nmis
global ap_code, ap_code_end

section .text
bits 32
enter:  mov     esp, stack_end          ; EBX: start information
        mov     edi, directories
        mov     eax, PRESENT_WRITE_LARGE
        xor     edx, edx
        mov     ecx, TABLES * 512
.page:  mov     [edi], eax
        mov     [edi + 4], edx
        add     eax, 0x200000
        adc     edx, 0
        add     edi, 8
        loop    .page
        mov     edi, pointers
        mov     eax, directories + PRESENT_WRITE
        mov     ecx, TABLES + 1
.table: mov     [edi], eax
        add     eax, 0x1000
        add     edi, 8
        loop    .table
        mov     dword [top], pointers + PRESENT_WRITE
        mov     eax, tss                ; the descriptor has its base in pieces
        mov     [gdt_tss + 2], ax
        shr     eax, 16
        mov     [gdt_tss + 4], al
        mov     [gdt_tss + 7], ah
        mov     eax, cr4
        or      eax, 0x20               ; PAE
        mov     cr4, eax
        mov     eax, top
        mov     cr3, eax
        mov     ecx, 0xc0000080         ; EFER.LME
        rdmsr
        or      eax, 0x100
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        lgdt    [gdt_register]
        jmp     SELECTOR_CODE:in64
bits 64
in64:   mov     eax, SELECTOR_DATA
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     eax, SELECTOR_TSS
        ltr     ax
        mov     edi, ebx
        call    scribble_main
.stop:  cli
        hlt
        jmp     .stop

; int run_code(const void *code, uint64_t registers[6]): RAX, RCX, RDX, RBX, RSI, RDI before the code, and after it. The code ends
; with RET, leaves RSP as it was, and may change all registers. Returns 0, or 1 when it faulted: then trap has gone on at `out`.
run_code:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        push    rsi
        mov     qword [recover], out
        mov     [recover_stack], rsp
        mov     r15, rdi
        mov     rax, [rsi]
        mov     rcx, [rsi + 8]
        mov     rdx, [rsi + 16]
        mov     rbx, [rsi + 24]
        mov     rdi, [rsi + 40]
        mov     rsi, [rsi + 32]
        call    r15
        mov     r15, [rsp]
        mov     [r15], rax
        mov     [r15 + 8], rcx
        mov     [r15 + 16], rdx
        mov     [r15 + 24], rbx
        mov     [r15 + 32], rsi
        mov     [r15 + 40], rdi
        xor     eax, eax
        jmp     done
out:    mov     eax, 1
done:   mov     qword [recover], 0
        pop     rsi
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret

; One for each vector, 16 bytes apart. All run on one stack, which shows whether the processor has pushed an error code: what comes
; as vector 13 may also be an interrupt, which has none.
align 16
trap_stubs:
%assign vector 0
%rep 256
align 16
%if vector == 2
        lock inc qword [nmis]   ; on a stack of its own
        iretq
%else
        push    vector
        jmp     caught
%endif
%assign vector vector + 1
%endrep

IRET_FRAME equ 40
caught: push    rax
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    r8
        push    r9
        push    r10
        push    r11
        mov     rdi, [rsp + 72]         ; the vector
        lea     rsi, [rsp + 80]         ; what the processor has pushed
        cld
        call    trap
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rax
        mov     rsp, trap_frame
        iretq

; What other processors do, wherever in the first MiB a start-up IPI has them begin: count themselves, change memory that rings of
; virtio devices may be in, and sleep.
bits 16
ap_code:
        xor     ax, ax
        mov     ds, ax
        lock inc dword [0x500]
        mov     ax, 0x6000
        mov     ds, ax
        mov     cx, 3000
        xor     bx, bx
.next:  inc     word [bx]
        add     bx, 10
        loop    .next
.sleep: hlt
        jmp     .sleep
ap_code_end:

section .data
align 8
gdt:    dq 0
        dq 0x00af9b000000ffff
        dq 0x00cf93000000ffff
gdt_tss:
        dw tss_end - tss - 1, 0
        db 0, 0x89, 0, 0
        dq 0
gdt_end:
gdt_register:
        dw gdt_end - gdt - 1
        dd gdt
align 8
tss:    dd 0
        dq stack_end, 0, 0, 0
        dq trap_stack_end, nmi_stack_end        ; IST 1 and 2
        times 5 dq 0
        dq 0
        dd 104 << 16
tss_end:

section .bss nobits alloc write
align 4096
top:            resb 4096
pointers:       resb 4096
directories:    resb 4096 * TABLES
page_directory_last: resb 4096
idt:            resb 4096
                resb 8192
stack_end:      resb 4096 - IRET_FRAME
trap_frame:     resb IRET_FRAME
trap_stack_end: resb 4096
nmi_stack_end:  resb 16
recover:        resq 1
recover_stack:  resq 1
nmis:           resq 1
