// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/serial.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum { REPORT_SIZE = 512 };

static bool console_usable = true;
static enum { SERIAL_UNKNOWN, SERIAL_USABLE, SERIAL_UNUSABLE } serial_state;

void report_without_console(void)
{
    console_usable = false;
}

bool report_has_console(void)
{
    return console_usable;
}

static void write_console(const char *text, size_t size)
{
    CHAR16 line[REPORT_SIZE + 3];
    size_t length = 0;
    if (!console_usable || !loader_system->ConOut)
        return;
    for (size_t i = 0; i < size; i++)
        line[length++] = (CHAR16)(unsigned char)text[i];
    line[length++] = '\r';
    line[length++] = '\n';
    line[length] = 0;
    loader_system->ConOut->OutputString(loader_system->ConOut, line);
}

/// The port is set up only when there is something to say: the firmware's console may be using it.
static void write_serial(const char *text, size_t size)
{
    if (serial_state == SERIAL_UNKNOWN)
        serial_state = serial_init() ? SERIAL_USABLE : SERIAL_UNUSABLE;
    if (serial_state == SERIAL_USABLE && !(serial_write(text, size) && serial_write("\n", 1)))
        serial_state = SERIAL_UNUSABLE;
}

static size_t compose(char text[REPORT_SIZE], const char *format, va_list args)
{
    int prefix = (int)pv_snprintf(text, REPORT_SIZE, "Polyvisor loader: ");
    pv_vsnprintf(text + prefix, REPORT_SIZE - (size_t)prefix, format, args);
    return strlen(text);
}

void report(const char *format, ...)
{
    char text[REPORT_SIZE];
    va_list args;
    va_start(args, format);
    size_t size = compose(text, format, args);
    va_end(args);
    write_console(text, size);
    write_serial(text, size);
}

void report_console(const char *format, ...)
{
    char text[REPORT_SIZE];
    va_list args;
    va_start(args, format);
    size_t size = compose(text, format, args);
    va_end(args);
    write_console(text, size);
}

const char *report_status(EFI_STATUS status)
{
    // UEFI 2.10, table D.3; the number is the position.
    static const char *const names[] = {
        "EFI_SUCCESS",          "EFI_LOAD_ERROR",           "EFI_INVALID_PARAMETER",
        "EFI_UNSUPPORTED",      "EFI_BAD_BUFFER_SIZE",      "EFI_BUFFER_TOO_SMALL",
        "EFI_NOT_READY",        "EFI_DEVICE_ERROR",         "EFI_WRITE_PROTECTED",
        "EFI_OUT_OF_RESOURCES", "EFI_VOLUME_CORRUPTED",     "EFI_VOLUME_FULL",
        "EFI_NO_MEDIA",         "EFI_MEDIA_CHANGED",        "EFI_NOT_FOUND",
        "EFI_ACCESS_DENIED",    "EFI_NO_RESPONSE",          "EFI_NO_MAPPING",
        "EFI_TIMEOUT",          "EFI_NOT_STARTED",          "EFI_ALREADY_STARTED",
        "EFI_ABORTED",          "EFI_ICMP_ERROR",           "EFI_TFTP_ERROR",
        "EFI_PROTOCOL_ERROR",   "EFI_INCOMPATIBLE_VERSION", "EFI_SECURITY_VIOLATION",
        "EFI_CRC_ERROR",        "EFI_END_OF_MEDIA",         "EFI error 29",
        "EFI error 30",         "EFI_END_OF_FILE",          "EFI_INVALID_LANGUAGE",
        "EFI_COMPROMISED_DATA", "EFI_IP_ADDRESS_CONFLICT",  "EFI_HTTP_ERROR",
    };
    static char unnamed[40];
    EFI_STATUS number = status & ~EFI_ERROR_MASK;
    if ((status == EFI_SUCCESS || status != number) && number < sizeof names / sizeof names[0])
        return names[number];
    pv_snprintf(unnamed, sizeof unnamed, "EFI status %#llx", (unsigned long long)status);
    return unnamed;
}
