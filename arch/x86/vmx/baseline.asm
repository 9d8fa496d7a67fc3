; SPDX-License-Identifier: Apache-2.0
; Guests entered from a loop in ring 0, for the baseline's measurement (baseline.h). Registers and the core's time are dealt with as in
; entry.asm, so that the ways to leave one guest for another can be compared.
%include "arch/x86/regs.inc"

bits 64
default rel

ENTRY_CORE    equ 0             ; struct baseline_entry
ENTRY_VCPU    equ 8
ENTRY_GPRS    equ 16
ENTRY_REFUSED equ 24

extern baseline_begin, baseline_exit
global baseline_run, baseline_exit_entry

section .text

; rdi = struct baseline_entry
baseline_run:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov rsi, rsp                        ; HOST_RSP: where the pointer to the struct stands
    xor ebp, ebp
    call baseline_begin
.enter:
    mov rsi, [rsp]
    mov rdi, [rsi + ENTRY_CORE]
    LEAVE rdi
    mov rdi, [rsi + ENTRY_GPRS]
    mov rsi, [rsi + ENTRY_VCPU]
    cmp qword [rsi + VCPU_LAUNCHED], 0  ; the flags stay till the jump
    LOAD_ALL_GPRS
    je .launch
    vmresume
    jmp .refused
.launch:
    push rax
    mov rax, [rsp + 8]
    mov rax, [rax + ENTRY_VCPU]
    mov qword [rax + VCPU_LAUNCHED], 1
    pop rax
    vmlaunch
.refused:                               ; CF: VMfailInvalid, else VMfailValid; registers are as before
    mov eax, 2
    sbb eax, 0
    mov rdi, [rsp]
    mov [rdi + ENTRY_REFUSED], rax
    jmp baseline_done

; HOST_RIP; rsp as at .enter
align 16
baseline_exit_entry:
    push rdi
    mov rdi, [rsp + 8]
    mov rdi, [rdi + ENTRY_GPRS]
    SAVE_SCRATCH_GPRS
    mov [rdi + GPR_RBP], rbp
    mov [rdi + GPR_R12], r12
    mov [rdi + GPR_R13], r13
    mov [rdi + GPR_R14], r14
    mov [rdi + GPR_R15], r15
    pop qword [rdi + GPR_RDI]
    mov rdi, [rsp]
    mov rsi, [rdi + ENTRY_CORE]
    CHARGE rsi, CORE_CLOCK_GUEST, rcx
    mov rsi, [rdi + ENTRY_VCPU]
    add [rsi + VCPU_RUN_TIME], rcx
    xor ebp, ebp
    call baseline_exit
    test al, al
    jnz baseline_run.enter

baseline_done:
    pop rdi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
