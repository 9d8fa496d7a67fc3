; SPDX-License-Identifier: Apache-2.0
; The small guests' images (guests/guests.mk builds them).

section .rodata

%macro image 1
global image_%1, image_%1_end
image_%1:
    incbin %[%1_FILE]
image_%1_end:
%endmacro

%define real16_FILE "guests/real16.bin"
%define prot32_FILE "guests/prot32.bin"
%define long64_FILE "guests/long64.bin"
%define smp64_FILE  "guests/smp64.bin"

image real16
image prot32
image long64
image smp64

section .note.GNU-stack noalloc noexec nowrite progbits
