// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/serial.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum {
    REPORT_SIZE = 512,
    NODE_ACPI = 2, ///< device path node types and subtypes (UEFI 2.10, 10.3)
    NODE_ACPI_DEVICE = 1,
    NODE_ACPI_SIZE = 12,
    NODE_END = 0x7f,
    HID_UART = 0x050141d0, ///< EISA id PNP0501
    UID_COM1 = 0,
};

/// Marks the devices that the console consists of (EDK II, MdeModulePkg/Include/Guid/ConsoleOutDevice.h).
static EFI_GUID console_device_guid = {0xd3b36f2c, 0xd551, 0x11d4, {0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};
static EFI_GUID device_path_guid = {0x09576e91, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

static bool console_usable = true;
static enum { SERIAL_UNKNOWN, SERIAL_USABLE, SERIAL_UNUSABLE, SERIAL_IS_CONSOLE } serial_state;

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

static uint32_t read32(const uint8_t *bytes)
{
    return (uint32_t)(bytes[0] | bytes[1] << 8 | bytes[2] << 16) | (uint32_t)bytes[3] << 24;
}

/// Whether a device path leads through COM1.
static bool is_com1(const uint8_t *node)
{
    while ((node[0] & NODE_END) != NODE_END) {
        unsigned size = node[2] | (unsigned)node[3] << 8;
        if (node[0] == NODE_ACPI && node[1] == NODE_ACPI_DEVICE && size >= NODE_ACPI_SIZE &&
            read32(node + 4) == HID_UART && read32(node + 8) == UID_COM1)
            return true;
        if (size == 0)
            break;
        node += size;
    }
    return false;
}

/// Whether the firmware's console includes COM1: then writing there too would show every message twice.
static bool console_has_com1(void)
{
    EFI_HANDLE *handles;
    UINTN count;
    void *path;
    bool found = false;
    if (EFI_ERROR(loader_boot->LocateHandleBuffer(ByProtocol, &console_device_guid, NULL, &count, &handles)))
        return false;
    for (UINTN i = 0; i < count && !found; i++)
        found = !EFI_ERROR(loader_boot->HandleProtocol(handles[i], &device_path_guid, &path)) && is_com1(path);
    loader_boot->FreePool(handles);
    return found;
}

/// The port is set up only when there is something to say: the firmware may be using it.
static void write_serial(const char *text, size_t size)
{
    if (serial_state == SERIAL_UNKNOWN && console_usable && console_has_com1())
        serial_state = SERIAL_IS_CONSOLE;
    if (serial_state == SERIAL_IS_CONSOLE && console_usable)
        return;
    if (serial_state == SERIAL_UNKNOWN || serial_state == SERIAL_IS_CONSOLE)
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
