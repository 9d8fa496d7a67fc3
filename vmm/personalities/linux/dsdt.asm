; SPDX-License-Identifier: Apache-2.0
; dsdt.asl, compiled.
section .rodata
global linux_dsdt, linux_dsdt_end
linux_dsdt:
    incbin "dsdt.aml"
linux_dsdt_end:
