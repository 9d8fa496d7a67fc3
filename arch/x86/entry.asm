; SPDX-License-Identifier: Apache-2.0
; All ways into ring 0 and out of it. Ring 0 is never preempted: an entry from ring 3 saves what must be kept into the current
; agent's struct regs, C code decides, and core_resume leaves with whichever registers are current then.
%include "arch/x86/regs.inc"

bits 64
default rel

SELECTOR_KERNEL_CODE equ 0x08
SELECTOR_KERNEL_DATA equ 0x10
VECTOR_EXTERNAL      equ 32
SYSCALLS             equ 28             ; enum pv_vcpu_syscall, checked in vmm/syscall.c
UNKNOWN_SYSCALL      equ 255            ; PV_TRACE_UNKNOWN_CALL

extern trace_call, trace_exit, trace_exit_cpuid
extern vcpu_exit, vcpu_exit_cpuid, vcpu_no_exit_reason, vcpu_entry_failed
extern mux_main, mux_exception, mux_interrupt, mux_unknown_syscall, mux_bad_sysenter, syscall_table
extern trap_ring0, trap_nmi, trap_debug, trap_debug_ring3, cores, user_copy_smap

global mux_entry, core_resume, core_switch_stack, trap_stubs, sysenter_entry, sysenter_clean
global vmx_exit_entry, vmx_unblock_nmi
global msr_read_safe, msr_write_safe, user_copy_in, user_copy_out, vmx_try_vmptrst, fixup_table

section .text

; From the boot loader (boot/boot_info.h): rdi = boot_info. To the boot stack, whose top names core 0 as every stack's does.
mux_entry:
    cld
    lea rsp, [boot_stack + STACK_SLOT - STACK_TOP_SIZE]
    lea rax, [cores]
    mov [rsp + STACK_TOP_CORE], rax
    xor ebp, ebp
    call mux_main
    ud2

; rdi = struct stack_top of the new stack, rsi = function that does not return
core_switch_stack:
    mov rsp, rdi
    xor ebp, ebp
    call rsi
    ud2

; Leaves ring 0. rsp: any of the core's main stack.
core_resume:
    or rsp, STACK_SLOT - 1
    sub rsp, STACK_TOP_SIZE - 1
resume_from_top:                        ; rsp = struct stack_top
    mov rsi, [rsp + STACK_TOP_CORE]
    LEAVE rsi
    mov rdi, [rsp + STACK_TOP_CURRENT]
    test rdi, rdi
    jz idle
    mov rax, [rdi + REGS_KIND]
    test eax, eax                       ; KIND_SYSEXIT
    jz sysexit_to
    cmp eax, KIND_GUEST
    je enter_guest
    lea rsp, [rdi + REGS_R15]
    POP_GPRS
    add rsp, 16                         ; vector, error code
    iretq

idle:
    sti
    hlt
    jmp idle

resume_ring3:                           ; rsi = struct core; the current agent goes on behind its SYSENTER
    LEAVE rsi
    mov rdi, [rsp + STACK_TOP_CURRENT]
sysexit_to:                             ; rdi = struct regs
    mov rax, [rdi + REGS_RAX]
    mov rbx, [rdi + REGS_RBX]
    mov rbp, [rdi + REGS_RBP]
    mov r12, [rdi + REGS_R12]
    mov r13, [rdi + REGS_R13]
    mov r14, [rdi + REGS_R14]
    mov r15, [rdi + REGS_R15]
    mov rdx, [rdi + REGS_RIP]
    mov rcx, [rdi + REGS_RSP]
    xor esi, esi                        ; the rest holds ring 0's values: not ring 3's business
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    sti                                 ; interrupts are held off for one more instruction
    o64 sysexit

; The registers that C keeps, of the guest that the core has left, to their file.
%macro SAVE_REST 0
    mov rax, [rsp + STACK_TOP_GPRS]
    mov [rax + GPR_RBP], rbp
    mov [rax + GPR_R12], r12
    mov [rax + GPR_R13], r13
    mov [rax + GPR_R14], r14
    mov [rax + GPR_R15], r15
    xor ebp, ebp
%endmacro

; VM exit (HOST_RIP); rsp = struct stack_top. The processor has loaded host state, RFLAGS = 2. First only what C may use is
; saved: an exit for CPUID needs no more, and its guest gets only that back.
align 16
vmx_exit_entry:
    push rdi
    mov rdi, [rsp + 8 + STACK_TOP_GPRS]
    SAVE_SCRATCH_GPRS
    pop qword [rdi + GPR_RDI]
    mov rdi, [rsp + STACK_TOP_VCPU]
    mov rsi, [rsp + STACK_TOP_CORE]
    CHARGE rsi, CORE_CLOCK_GUEST, rcx
    add [rdi + VCPU_RUN_TIME], rcx
%ifdef POLYVISOR_COUNT_VMX
    add qword [rsi + CORE_VMX_INSTRUCTIONS], 2  ; VMREAD and the entry before this exit
%endif
    mov edx, VMCS_EXIT_REASON
    vmread rdx, rdx
    jbe .no_reason
    cmp edx, [rsi + CORE_QUICK_REASON]
    jne .not_quick
    call vcpu_exit_cpuid
    test al, al
    jz .cpuid
.answered:
    mov rdi, [rsp + STACK_TOP_CORE]
    LEAVE rdi
    mov rdi, [rsp + STACK_TOP_GPRS]
    LOAD_SCRATCH_GPRS
    mov rdi, [rdi + GPR_RDI]
    vmresume
    setc dil                            ; VMfail: registers are as before; keep those that are not in their file yet
    SAVE_REST
    jmp entry_failed
.no_reason:
    call vcpu_no_exit_reason            ; does not return
.cpuid:
    mov rdi, [rsp + STACK_TOP_VCPU]
    mov rsi, [rsp + STACK_TOP_CORE]
    mov edx, EXIT_REASON_CPUID
    jmp .other
.traced:
    cmp edx, EXIT_REASON_CPUID
    jne .traced_other
    call trace_exit_cpuid
    test al, al
    jnz .answered
    mov rdi, [rsp + STACK_TOP_VCPU]
    mov rsi, [rsp + STACK_TOP_CORE]
    mov edx, EXIT_REASON_CPUID
.traced_other:
    SAVE_REST
    movzx eax, word [rdi + VCPU_VPID]
    push rdx
    push rax
    call vcpu_exit
    pop rdx
    pop rsi
    mov rdi, [rsp + STACK_TOP_CORE]
    mov ecx, eax
    call trace_exit                     ; (core, reason, VPID, what vcpu_exit said): that again
    jmp .handled
.not_quick:                             ; edx = reason
    cmp dword [rsi + CORE_TRACING], 0
    jne .traced
.other:
    SAVE_REST
    call vcpu_exit
.handled:
    cmp eax, EXIT_TO_RING3
    jb resume_from_top                  ; whoever is current
    mov rsi, [rsp + STACK_TOP_CORE]
    je resume_ring3
    LEAVE rsi

; Into the guest of the current agent, whose vcpu is loaded (vmm/vcpu_run.c); rsp = struct stack_top = HOST_RSP
enter_guest:
    mov rsi, [rsp + STACK_TOP_VCPU]
    mov rdi, [rsp + STACK_TOP_GPRS]
    cmp qword [rsi + VCPU_LAUNCHED], 0  ; the flags stay till the jump
    LOAD_ALL_GPRS
    je .launch
    vmresume
    setc dil                            ; VMfail: registers are as before, in their file too
    jmp entry_failed
.launch:
    push rax
    mov rax, [rsp + 8 + STACK_TOP_VCPU]
    mov qword [rax + VCPU_LAUNCHED], 1
    pop rax
    vmlaunch
    setc dil
    mov rax, [rsp + STACK_TOP_VCPU]
    mov qword [rax + VCPU_LAUNCHED], 0
entry_failed:                           ; dil = 1: VMfailInvalid
    movzx esi, dil
    mov rdi, [rsp + STACK_TOP_VCPU]
    xor ebp, ebp
    call vcpu_entry_failed
    jmp resume_from_top

; An exit by NMI leaves NMIs blocked until an IRET (SDM Vol. 3C 28.2.3).
vmx_unblock_nmi:
    mov rax, rsp
    push SELECTOR_KERNEL_DATA
    push rax
    pushfq
    push SELECTOR_KERNEL_CODE
    lea rax, [.unblocked]
    push rax
    iretq
.unblocked:
    ret

; SYSENTER: rax = number, rdi, rsi, r8, r9, r10 = arguments, rcx = ring 3's rsp, rdx = its rip; rsp = struct stack_top.
; TF, NT, AC and DF are ring 3's still (SYSENTER clears only VM and IF): drop them all. A #DB that TF caused on the first
; instruction is undone by trap_debug.
align 16
sysenter_entry:
    mov r11, [rsp + STACK_TOP_CURRENT]
    push 2
    popfq
sysenter_clean:                         ; from here on no flag of ring 3's is left
    mov [r11 + REGS_RBX], rbx
    mov [r11 + REGS_RBP], rbp
    mov [r11 + REGS_R12], r12
    mov [r11 + REGS_R13], r13
    mov [r11 + REGS_R14], r14
    mov [r11 + REGS_R15], r15
    mov [r11 + REGS_RIP], rdx
    mov [r11 + REGS_RSP], rcx
    mov qword [r11 + REGS_KIND], KIND_SYSEXIT
    inc qword [r11 + REGS_SYSCALLS]
    mov rbx, r11
    mov r13, rax
    or rdx, rcx                         ; SYSEXIT faults in ring 0 on a non-canonical rip or rsp: refuse before
    shr rdx, 47
    jnz .bad_return
    mov r12, [rsp + STACK_TOP_CORE]
    CHARGE r12, CORE_CLOCK_RING3, rcx
    add [rbx + REGS_TICKS], rcx
    mov rcx, r8                         ; arguments to the C convention, after the struct regs
    mov r8, r9
    mov r9, r10
    mov rdx, rsi
    mov rsi, rdi
    mov rdi, rbx
    cmp r13, [r12 + CORE_CALL_LIMIT]
    jae .other
    call [abs syscall_table + r13 * 8]
.done:
    cmp [rsp + STACK_TOP_CURRENT], rbx
    jne .switched
    cmp qword [rbx + REGS_KIND], KIND_SYSEXIT
    jne .not_back
    ; back to the caller at once: C has kept rbp, r14 and r15
    mov rsi, rax
    LEAVE r12
    mov rax, rsi
    mov rdx, [rbx + REGS_RIP]
    mov rcx, [rbx + REGS_RSP]
    mov r12, [rbx + REGS_R12]
    mov r13, [rbx + REGS_R13]
    mov rbx, [rbx + REGS_RBX]
    xor esi, esi
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    sti
    o64 sysexit
.not_back:
    mov [rbx + REGS_RAX], rax
    cmp qword [rbx + REGS_KIND], KIND_GUEST
    jne resume_from_top
    LEAVE r12
    jmp enter_guest
.switched:
    mov [rbx + REGS_RAX], rax
    jmp resume_from_top
.other:                                 ; unknown, or the core traces
    cmp r13, SYSCALLS
    jae .unknown
    call [abs syscall_table + r13 * 8]
.record:
    mov rdi, r12
    mov esi, r13d
    mov r13, rax
    call trace_call
    mov rax, r13
    jmp .done
.unknown:
    call mux_unknown_syscall
    mov r13d, UNKNOWN_SYSCALL
    cmp dword [r12 + CORE_TRACING], 0
    jne .record
    jmp .done
.bad_return:
    mov rdi, rbx
    call mux_bad_sysenter
    jmp resume_from_top

; ---- exceptions and interrupts ----

; One 16-byte stub a vector: error code (or 0) and vector on the stack, then the common part.
%macro STUB 1
    align 16
%if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
    push qword %1
%else
    push qword 0
    push qword %1
%endif
%if %1 == 2
    jmp nmi_common
%elif %1 == 1
    jmp debug_common
%elif %1 == 8 || %1 == 18
    jmp ring0_common                    ; on their own stacks, wherever they came from: always the end
%else
    jmp trap_common
%endif
%endmacro

align 16
trap_stubs:
%assign vector 0
%rep 256
    STUB vector
%assign vector vector + 1
%endrep

trap_common:
    test byte [rsp + 24], 3             ; cs of the interrupted code
    jz from_ring0
    PUSH_GPRS                           ; into struct regs: TSS.RSP0 points to its end
    mov rdi, rsp
    sub rdi, REGS_R15
    mov qword [rdi + REGS_KIND], KIND_IRET
    mov rsp, [rdi + REGS_KERNEL_STACK]
from_ring3:                             ; rdi = struct regs
    push 2                              ; NT, AC and DF may be ring 3's
    popfq
    xor ebp, ebp
    mov rax, [rdi + REGS_VECTOR]
    cmp rax, VECTOR_EXTERNAL
    jae .interrupt
    mov rsi, cr2
    call mux_exception
    jmp resume_from_top
.interrupt:
    mov edi, eax
    call mux_interrupt
    jmp resume_from_top

; In ring 0 interrupts are only taken while idling, and behind the STI before SYSEXIT, by Bochs with several cores now and then, and by
; processors after an NMI there, whose IRET ends STI's blocking; anything else is a fault of ours, or of a place that expects it.
from_ring0:
    cmp qword [rsp], VECTOR_EXTERNAL
    jb ring0_common
    mov edi, [rsp]
    or rsp, STACK_SLOT - 1              ; nothing below is needed: the idle loop starts anew, or SYSEXIT is prepared again
    sub rsp, STACK_TOP_SIZE - 1
    mov rsi, [rsp + STACK_TOP_CURRENT]
    test rsi, rsi
    jz .idle
    mov [rsi + REGS_RAX], rax           ; the system call's result; all else of the agent is in its struct regs
.idle:
    call mux_interrupt
    jmp resume_from_top

; rdi = struct ring0_frame. trap_ring0 returns only when it has moved rip to a fix-up.
ring0_common:
    PUSH_GPRS
    push 2                              ; AC (which opens SMAP's gate), NT and DF may be ring 3's
    popfq
    mov rdi, rsp
    call trap_ring0
    POP_GPRS
    add rsp, 16
    iretq

; NMI, on its own stack: may hit anywhere, so everything is kept.
nmi_common:
    PUSH_GPRS
    push 2                              ; AC (which opens SMAP's gate), NT and DF may be ring 3's
    popfq
    mov rdi, rsp
    call trap_nmi
    POP_GPRS
    add rsp, 16
    iretq

; #DB, on its own stack: ring 3 can cause one in ring 0 by SYSENTER with TF set.
debug_common:
    test byte [rsp + 24], 3
    jnz .ring3
    PUSH_GPRS
    push 2                              ; AC (which opens SMAP's gate), NT and DF may be ring 3's
    popfq
    mov rdi, rsp
    call trap_debug
    POP_GPRS
    add rsp, 16
    iretq
.ring3:                                 ; move the frame to where an entry without IST would have left it
    PUSH_GPRS
    push 2                              ; AC (which opens SMAP's gate), NT and DF may be ring 3's
    popfq
    mov rdi, rsp
    call trap_debug_ring3               ; copies the frame; rax = the current struct regs
    mov rdi, rax
    mov rsp, [rdi + REGS_KERNEL_STACK]
    jmp from_ring3

; ---- instructions that may fault, with their fix-ups ----

; rdi = MSR, rsi = where its value goes; al = it exists
msr_read_safe:
    mov ecx, edi
.read:
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov [rsi], rax
    mov eax, 1
    ret
.fault:
    xor eax, eax
    ret

; rdi = MSR, rsi = value; al = done
msr_write_safe:
    mov ecx, edi
    mov eax, esi
    mov rdx, rsi
    shr rdx, 32
.write:
    wrmsr
    mov eax, 1
    ret
.fault:
    xor eax, eax
    ret

; rdi = where it goes; al = done
vmx_try_vmptrst:
.store:
    vmptrst [rdi]
    mov eax, 1
    ret
.fault:
    xor eax, eax
    ret

; rdi = to, rsi = from, rdx = bytes; al = done
user_copy_in:
user_copy_out:
    mov rcx, rdx
    cmp byte [user_copy_smap], 0        ; STAC and CLAC are #UD where there is no SMAP
    je .copy_open
    stac
.copy:
    rep movsb
    clac
    mov eax, 1
    ret
.fault:
    clac
    xor eax, eax
    ret
.copy_open:
    rep movsb
    mov eax, 1
    ret
.fault_open:
    xor eax, eax
    ret

section .rodata
; address that may fault, address where to go on; ends with 0
fixup_table:
    dq msr_read_safe.read, msr_read_safe.fault
    dq msr_write_safe.write, msr_write_safe.fault
    dq vmx_try_vmptrst.store, vmx_try_vmptrst.fault
    dq user_copy_out.copy, user_copy_out.fault
    dq user_copy_out.copy_open, user_copy_out.fault_open
    dq 0, 0

section .bss
alignb STACK_SLOT
boot_stack: resb STACK_SLOT
