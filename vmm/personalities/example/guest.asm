; SPDX-License-Identifier: Apache-2.0
; The example's guest: 16-bit real mode, loaded at 0:0x1000. Writes a text to port 0xe9, byte by byte, and halts.

section .rodata
global guest_image, guest_image_end

bits 16
guest_image:
    mov si, 0x1000 + text - guest_image
.next:
    lodsb
    test al, al
    jz .done
    out 0xe9, al
    jmp .next
.done:
    hlt
text:
    db "hello from a guest", 10, 0
guest_image_end:

section .note.GNU-stack noalloc noexec nowrite progbits
