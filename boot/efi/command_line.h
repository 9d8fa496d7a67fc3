// SPDX-License-Identifier: Apache-2.0
/// The loader's command line. Pure; host-tested.
#ifndef POLYVISOR_BOOT_EFI_COMMAND_LINE_H
#define POLYVISOR_BOOT_EFI_COMMAND_LINE_H

#include <stddef.h>

/// Turns load options (UEFI 2.10 section 9.1) into a command line: UCS-2 text, or ASCII as some boot managers pass it;
/// the loader's own name, with which the UEFI shell begins, is dropped. Returns NULL, or what is wrong: then the line
/// is cut, or empty.
const char *command_line_from_options(const void *options, size_t size, char *line, size_t line_size);

#endif
