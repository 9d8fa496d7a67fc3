; SPDX-License-Identifier: Apache-2.0
; Where a personality begins, and the note that tells the multiplexer what it needs.

bits 64
default rel

extern pv_start
extern pv_note_needs ; an absolute symbol: PV_PERSONALITY's argument, or the default from personality.ld

PV_ABI_VERSION equ 1
PV_NOTE_TYPE   equ 1

section .text
; Entered by the multiplexer, once on every agent:
;   rdi = const struct pv_info *, rsi = agent, rsp = top of the agent's stack, a multiple of 16
; Does not return.
global _start:function
_start:
    xor ebp, ebp ; the end of every chain of frame pointers
    call pv_start
    ud2

section .note.polyvisor note alloc noexec nowrite align=4
    dd name_end - name  ; n_namesz
    dd desc_end - desc  ; n_descsz
    dd PV_NOTE_TYPE     ; n_type
name:
    db "Polyvisor", 0
name_end:
    align 4, db 0
desc: ; struct pv_note
    dd PV_ABI_VERSION
    dd pv_note_needs
desc_end:

section .note.GNU-stack noalloc noexec nowrite progbits
