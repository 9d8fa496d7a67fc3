; SPDX-License-Identifier: Apache-2.0
; The monitor's ELF file, so that there is a shell whatever the boot volume holds.
global monitor_image, monitor_image_end
section .rodata
align 16
monitor_image:
    incbin "monitor.elf"
monitor_image_end:
