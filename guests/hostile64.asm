; SPDX-License-Identifier: Apache-2.0
; What a 64-bit guest can do to keep its core, to get out, or to waste time. Entered with
;   rdi = which behaviour (modulo their number), rsi = seed, not 0
; and whatever registers and control registers the personality liked. Nothing is ever reported: the machine around it has to
; stay whole, that is all.

bits 64
default rel

GATE      equ 0x8e00      ; present, interrupt gate
CODE      equ 0x18        ; the personality's GDT
DR7_WRITE equ 0x000d0602  ; data breakpoint 0: global, on writes of 4 bytes

section .text.start
global start:function
start:
    cld
    mov rbx, rsi
    call fill_idt
    lidt [idt_register]
    lea rdx, [behaviours]
    mov rax, rdi
    xor edi, edi
    mov ecx, BEHAVIOURS
    push rdx
    xor edx, edx
    div rcx
    mov rax, rdx
    pop rdx
    jmp [rdx + rax * 8]

section .text
; Points every gate to `fault`. Changes rax, rcx, rdi.
fill_idt:
    lea rdi, [idt]
    mov ecx, 256
.next:
    lea rax, [fault]
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], GATE
    shr rax, 16
    mov [rdi + 6], ax
    add rdi, 16
    loop .next
    ret

; Any exception or interrupt: goes on at r15 on a fresh stack, whatever it was.
fault:
    mov rsp, r14
    push r15
    sti
    ret

; rbx = next number, rax too (xorshift64, Marsaglia 2003). Changes rcx not.
random:
    mov rax, rbx
    shl rax, 13
    xor rbx, rax
    mov rax, rbx
    shr rax, 7
    xor rbx, rax
    mov rax, rbx
    shl rax, 17
    xor rbx, rax
    mov rax, rbx
    ret

; Executes an instruction that may fault and goes on behind it in any case.
%macro try 1+
    lea r15, [%%next]
    %1
%%next:
%endmacro

%macro begin 0
    mov r14, rsp
%endmacro

; ---- keeping the core ----

spin_without_interrupts:
    cli
.again:
    jmp .again

spin_with_pause:
    cli
.again:
    pause
    jmp .again

halt_without_interrupts:
    cli
    hlt
    jmp halt_without_interrupts

halt_with_interrupts:
    begin
.again:
    lea r15, [.again]
    sti
    hlt
    jmp .again

triple_fault:
    lidt [no_idt]
    ud2

; A breakpoint on the stack slot that the delivery of its own exception writes: on real processors delivery never ends
; unless #DB exits (CVE-2015-8104).
endless_debug_exception:
    begin
    lea r15, [.again]
.again:
    mov rsp, r14
    lea rax, [rsp - 16]
    mov dr0, rax
    mov eax, DR7_WRITE
    mov dr7, rax
    push rax
    push rax
    push rax
    jmp .again

single_steps:
    begin
.again:
    lea r15, [.again]
    pushfq
    or qword [rsp], 0x100
    popfq
    nop
    jmp .again

; ---- exits ----

storm_of_cpuid:
    mov r8, rbx
.again:
    mov rbx, r8
    call random
    mov r8, rbx
    mov ecx, eax
    shr rax, 32
    cpuid
    jmp storm_of_cpuid.again

storm_of_calls:
    begin
.again:
    try vmcall
    jmp .again

unmapped_memory:
    begin
.again:
    call random
    mov rdx, 0x3fffffff     ; what the page tables map
    and rdx, rax
    bt rax, 40
    jc .read
    try mov [rdx], rax
    jmp .again
.read:
    bt rax, 41
    jc .execute
    try mov rax, [rdx]
    jmp .again
.execute:
    try call rdx
    jmp .again

; ---- privileged instructions ----

vmx_instructions:
    begin
.again:
    try vmxon [operand]
    try vmclear [operand]
    try vmptrld [operand]
    try vmptrst [operand]
    mov eax, 0x6c16         ; HOST_RIP
    try vmread rcx, rax
    try vmwrite rax, rcx
    try vmlaunch
    try vmresume
    try vmxoff
    mov eax, 2
    try invept rax, [operand]
    try invvpid rax, [operand]
    try vmcall
    xor eax, eax
    xor ecx, ecx
    try vmfunc
    try db 0x0f, 0x37       ; GETSEC
    try db 0x0f, 0xaa       ; RSM
    try db 0x0f, 0x01, 0xcf ; ENCLS
    try db 0x0f, 0x01, 0xc5 ; PCONFIG
    jmp .again

every_msr:
    begin
.again:
    call random
    mov rcx, rax
    and ecx, 0x1fff
    bt rax, 40
    jnc .low
    or ecx, 0xc0000000
.low:
    bt rax, 41
    jnc .access
    bt rax, 42
    jnc .access
    mov ecx, eax            ; sometimes any of them
.access:
    try rdmsr
    call random
    mov rdx, rax
    shr rdx, 32
    try wrmsr
    jmp .again

every_port:
    begin
.again:
    call random
    mov rdx, rax
    shr rax, 16
    lea rdi, [scratch]
    lea rsi, [scratch]
    try in al, dx
    try out dx, ax
    try out dx, al
    try in eax, dx
    mov ecx, 4
    try rep outsb
    try insd
    jmp .again

control_registers:
    begin
.again:
    call random
    try mov cr8, rax
    call random
    or eax, 1               ; leaves it in 64-bit mode for a while
    try mov cr4, rax
    call random
    try mov dr7, rax
    call random
    try mov dr6, rax
    call random
    mov rdx, rax
    shr rdx, 32
    xor ecx, ecx
    try xsetbv
    mov rax, cr0
    xor rax, 0x60000002     ; caches off, and other things
    try mov cr0, rax
    try clts
    try lmsw bx
    mov rax, cr3
    try mov cr3, rax
    try lldt bx
    try ltr bx
    call random
    bt rax, 20
    jnc .again
    try mov cr3, rax
    try mov cr0, rax
    jmp .again

rare_instructions:
    begin
.again:
    call random
    mov ecx, eax
    try rdpmc
    lea rax, [scratch]
    xor ecx, ecx
    xor edx, edx
    try monitor
    xor eax, eax
    try mwait
    try wbinvd
    try invd
    try invlpg [scratch]
    try rdtscp
    try rdrand rax
    try rdseed rax
    xor eax, eax
    try invpcid rax, [operand]
    try sysenter
    try sysexit
    try o64 sysret
    try syscall
    try swapgs
    try int 0x80
    try int3
    try db 0xf1             ; INT1
    try xsaves [scratch]
    try hlt
    jmp .again

section .data
align 8
behaviours:
    dq spin_without_interrupts, spin_with_pause, halt_without_interrupts, halt_with_interrupts, triple_fault
    dq endless_debug_exception, single_steps, storm_of_cpuid, storm_of_calls, unmapped_memory, vmx_instructions
    dq every_msr, every_port, control_registers, rare_instructions
BEHAVIOURS equ ($ - behaviours) / 8

no_idt:
    times 10 db 0
idt_register:
    dw 256 * 16 - 1
    dq idt
align 16
operand:
    dq 0x1000, 0            ; a page of the guest's, or a descriptor of INVEPT

section .bss
alignb 64
idt:
    resb 256 * 16
scratch:
    resb 4096

section .note.GNU-stack noalloc noexec nowrite progbits
