; SPDX-License-Identifier: Apache-2.0
; The hostile guests' images (guests/guests.mk builds them).

section .rodata

global image_hostile16, image_hostile16_end, image_hostile64, image_hostile64_end
image_hostile16:
    incbin "guests/hostile16.bin"
image_hostile16_end:
image_hostile64:
    incbin "guests/hostile64.bin"
image_hostile64_end:

section .note.GNU-stack noalloc noexec nowrite progbits
