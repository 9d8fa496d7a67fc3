; SPDX-License-Identifier: Apache-2.0
; The guests that measure. 64-bit mode, no stack, no interrupts, code that runs anywhere: one image for all, each with an
; entry of its own. Every one keeps its ticks in its own memory and says by a write to PORT_DONE that it has finished.
; Numbers that image.h has too: PORT_NEXT, PORT_DONE, struct bench_log.

PORT_NEXT equ 0xe8              ; the exit that is measured
PORT_DONE equ 0xe9

STAMPS    equ 128               ; of a block, in bench_slice

; struct bench_log
LOG_START   equ 0               ; TSC: times away before that are not kept
LOG_END     equ 8               ; TSC: when to finish
LOG_GAP     equ 16              ; more ticks than this between two stamps: the guest was away
LOG_ROOM    equ 24              ; entries that there is room for
LOG_COUNT   equ 32
LOG_TIMES   equ 40              ; how often it was away, kept or not
LOG_BLOCK   equ 64              ; STAMPS dwords
LOG_ENTRIES equ LOG_BLOCK + 4 * STAMPS
ENTRY_SIZE  equ 16              ; struct bench_away
NOT_EXACT   equ 1 << 63         ; in its `after`

section .rodata
global bench_image, bench_image_end
global bench_cpuid, bench_cpuid_empty, bench_exit, bench_exit_empty, bench_relay, bench_relay_empty, bench_slice

bits 64
bench_image:

; CPUID. rdi = where the samples go, a dword each; ebp = how many; r9d = leaf
bench_cpuid:
    rdtsc
    mov esi, eax
    mov eax, r9d
    xor ecx, ecx
    cpuid
    rdtsc
    sub eax, esi
    stosd
    dec ebp
    jnz bench_cpuid
    jmp done

; the same without the CPUID
bench_cpuid_empty:
    rdtsc
    mov esi, eax
    mov eax, r9d
    xor ecx, ecx
    rdtsc
    sub eax, esi
    stosd
    dec ebp
    jnz bench_cpuid_empty
    jmp done

; An exit that goes to the personality. rdi = samples, ebp = how many
bench_exit:
    rdtsc
    mov esi, eax
    out PORT_NEXT, al
    rdtsc
    sub eax, esi
    stosd
    dec ebp
    jnz bench_exit
    jmp done

bench_exit_empty:
    rdtsc
    mov esi, eax
    rdtsc
    sub eax, esi
    stosd
    dec ebp
    jnz bench_exit_empty
    jmp done

; Two vcpus in turn, both here, each with samples of its own: from the last instruction of one to the first of the other.
; rdi = samples, ebp = how many, rbx = a dword that they share
bench_relay:
    rdtsc
    mov [rbx], eax
    out PORT_NEXT, al           ; the other one goes on behind its own OUT
    rdtsc
    sub eax, [rbx]
    stosd
    dec ebp
    jnz bench_relay
    jmp done

bench_relay_empty:
    rdtsc
    mov [rbx], eax
    rdtsc
    sub eax, [rbx]
    stosd
    dec ebp
    jnz bench_relay_empty
    jmp done

; Stamps all the time, and notes when it was away: the last stamp before and the first after. rbx = struct bench_log.
; Stamps are made in blocks without anything between them, to be exact to one instruction, and looked at afterwards.
;   r8d = ticks of a block in which the guest was not away, at most; r9d = LOG_GAP; r10 = next entry;
;   r13d = last stamp of the block before
%macro BLOCK 0
    lea rdi, [rbx + LOG_BLOCK]
%rep STAMPS
    rdtsc
    stosd
%endrep
    shl rdx, 32
    or rdx, rax                 ; rdx = the last stamp in full, eax = its lower half
    mov ecx, eax
    sub ecx, [rbx + LOG_BLOCK]  ; ecx = ticks of the block
%endmacro

; Notes a time away. r11d, r12d = lower halves of the stamps before and after, r14 = flags, rdx and eax as BLOCK leaves them;
; r11, r12, r15 lost
%macro NOTE 0
    inc qword [rbx + LOG_TIMES]
    mov r15, rdx
    mov ecx, eax
    sub ecx, r11d
    sub r15, rcx
    mov r11, r15                ; before, in full
    mov r15, rdx
    mov ecx, eax
    sub ecx, r12d
    sub r15, rcx
    or r15, r14
    mov r12, r15                ; after, in full
    cmp r11, [rbx + LOG_START]
    jb %%left_out
    mov rcx, [rbx + LOG_COUNT]
    cmp rcx, [rbx + LOG_ROOM]
    jae %%left_out
    inc qword [rbx + LOG_COUNT]
    mov [r10], r11
    mov [r10 + 8], r12
    add r10, ENTRY_SIZE
%%left_out:
%endmacro

bench_slice:
    mov r9d, [rbx + LOG_GAP]
    lea r10, [rbx + LOG_ENTRIES]
    mov r8d, -1
    mov esi, 16
.calibrate:                     ; how long a block takes: the shortest of some
    BLOCK
    cmp ecx, r8d
    cmovb r8d, ecx
    dec esi
    jnz .calibrate
    add r8d, r9d
    mov r13d, eax

.next:
    BLOCK
    cmp ecx, r8d
    ja .inside
    mov ecx, [rbx + LOG_BLOCK]
    sub ecx, r13d
    cmp ecx, r9d
    ja .between
    mov r13d, eax
    cmp rdx, [rbx + LOG_END]
    jb .next
    jmp done

; Away between two blocks, somewhere in the code that is not stamped.
.between:
    mov r11d, r13d
    mov r12d, [rbx + LOG_BLOCK]
    mov r14, NOT_EXACT
    NOTE
    jmp .go_on

; Away inside a block: looks for the place.
.inside:
    lea rdi, [rbx + LOG_BLOCK]
    mov esi, STAMPS - 1
.look:
    mov r11d, [rdi]
    mov r12d, [rdi + 4]
    mov ecx, r12d
    sub ecx, r11d
    cmp ecx, r9d
    jbe .not_here
    xor r14d, r14d
    NOTE
.not_here:
    add rdi, 4
    dec esi
    jnz .look
.go_on:
    cmp rdx, [rbx + LOG_END]
    jae done
    imul ecx, [rbx + LOG_TIMES], 37
    and ecx, 255
.delay:                         ; not in step with the slices: each ends at another place of the loop
    dec ecx
    jns .delay
    rdtsc
    mov r13d, eax
    jmp .next

done:
    out PORT_DONE, al
    jmp done
bench_image_end:

section .note.GNU-stack noalloc noexec nowrite progbits
