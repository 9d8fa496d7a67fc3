// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <polyvisor/string.h>

enum {
    PATH_MAX = 768,                 ///< characters, with the NUL
    READ_CHUNK = 4 << 20,           ///< bytes; some drivers fail when asked for hundreds of megabytes at once
    FILE_INFO_SIZE = 80 + 2 * 1024, ///< EFI_FILE_INFO and a name; FAT allows 255 characters
    MEDIA_PATH = 4,                 ///< device path node type and subtype of a file's path (UEFI 2.10, 10.3.5.4)
    MEDIA_FILE = 4,
    NODE_HEADER = 4,
    END_PATH = 0x7f,
};

static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

static EFI_LOADED_IMAGE *loaded;
static EFI_FILE *root;
static CHAR16 own_folder[PATH_MAX]; // begins and ends with a backslash, or is empty

/// Cuts a path behind its last backslash.
static void cut_to_folder(CHAR16 *path, size_t length)
{
    while (length > 0 && path[length - 1] != '\\')
        length--;
    path[length] = 0;
}

/// Joins the file path nodes of LoadedImage->FilePath; node and text have any alignment, and the text may lack its NUL.
/// A path that is too long or that is none leaves the folder empty: then only the root is searched.
static void find_own_folder(const uint8_t *node)
{
    size_t length = 0;
    own_folder[0] = 0;
    for (; node && (node[0] & END_PATH) != END_PATH; node += node[2] | node[3] << 8) {
        size_t node_size = (size_t)(node[2] | node[3] << 8);
        if (node_size < NODE_HEADER)
            break;
        if (node[0] != MEDIA_PATH || node[1] != MEDIA_FILE)
            continue;
        if (length == 0 || own_folder[length - 1] != '\\')
            own_folder[length++] = '\\';
        for (size_t at = NODE_HEADER; at + 2 <= node_size; at += 2) {
            CHAR16 c = (CHAR16)(node[at] | node[at + 1] << 8);
            if (length + 2 >= PATH_MAX) {
                own_folder[0] = 0;
                return;
            }
            if (c != 0 && !(c == '\\' && own_folder[length - 1] == '\\'))
                own_folder[length++] = c;
        }
    }
    cut_to_folder(own_folder, length);
}

EFI_STATUS files_open(void)
{
    EFI_FILE_IO_INTERFACE *volume = NULL;
    EFI_STATUS status = loader_boot->HandleProtocol(loader_handle, &loaded_image_guid, (void **)&loaded);
    if (EFI_ERROR(status)) {
        report("the firmware does not tell where this program came from (LoadedImage): %s", report_status(status));
        return status;
    }
    status = loaded->DeviceHandle ? loader_boot->HandleProtocol(loaded->DeviceHandle, &volume_guid, (void **)&volume)
                                  : EFI_NOT_FOUND;
    if (EFI_ERROR(status)) {
        report("this program was not started from a volume with files: %s", report_status(status));
        return status;
    }
    status = volume->OpenVolume(volume, &root);
    if (EFI_ERROR(status)) {
        root = NULL;
        report("cannot open the volume that this program was started from: %s", report_status(status));
        return status;
    }
    find_own_folder((const uint8_t *)loaded->FilePath);
    return EFI_SUCCESS;
}

void files_close(void)
{
    if (root)
        root->Close(root);
    root = NULL;
}

const void *files_options(size_t *size)
{
    *size = loaded->LoadOptionsSize;
    return loaded->LoadOptions;
}

/// Writes folder and name into path, '/' as '\'. False: too long, or not ASCII.
static bool join(CHAR16 path[PATH_MAX], const CHAR16 *folder, const char *name)
{
    size_t length = 0;
    for (; *folder; folder++)
        path[length++] = *folder;
    for (; *name; name++) {
        if (length + 1 >= PATH_MAX || *name < ' ' || *name > '~')
            return false;
        path[length++] = *name == '/' ? '\\' : (CHAR16)*name;
    }
    path[length] = 0;
    return true;
}

static EFI_STATUS open_in(const CHAR16 *folder, const char *name, EFI_FILE **handle)
{
    CHAR16 path[PATH_MAX];
    if (!join(path, folder, name))
        return EFI_INVALID_PARAMETER;
    return root->Open(root, handle, path, EFI_FILE_MODE_READ, 0);
}

/// The loader's own folder comes first, so that an installation does not have to fill the root of an EFI system
/// partition.
static EFI_STATUS open_file(const char *name, EFI_FILE **handle)
{
    static const CHAR16 root_folder[] = {'\\', 0};
    EFI_STATUS status = EFI_NOT_FOUND;
    if (own_folder[0])
        status = open_in(own_folder, name, handle);
    return status == EFI_NOT_FOUND ? open_in(root_folder, name, handle) : status;
}

/// Size of an open file. A folder is answered with EFI_UNSUPPORTED.
static EFI_STATUS file_size(EFI_FILE *handle, uint64_t *size)
{
    static union {
        EFI_FILE_INFO info;
        uint8_t bytes[FILE_INFO_SIZE];
    } answer;
    UINTN answer_size = sizeof answer;
    EFI_STATUS status = handle->GetInfo(handle, &file_info_guid, &answer_size, &answer);
    if (EFI_ERROR(status))
        return status;
    *size = answer.info.FileSize;
    return answer.info.Attribute & EFI_FILE_DIRECTORY ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

static EFI_STATUS read_bytes(EFI_FILE *handle, uint8_t *to, uint64_t size)
{
    while (size > 0) {
        UINTN part = size < READ_CHUNK ? size : READ_CHUNK, wanted = part;
        EFI_STATUS status = handle->Read(handle, &part, to);
        if (EFI_ERROR(status))
            return status;
        if (part == 0 || part > wanted)
            return EFI_END_OF_FILE;
        to += part;
        size -= part;
    }
    return EFI_SUCCESS;
}

/// Reads an open file into new pages.
static void read_handle(EFI_FILE *handle, uint64_t limit, struct file *file)
{
    uint64_t size, base;
    file->status = BOOT_MODULE_READ_ERROR;
    file->firmware_status = file_size(handle, &size);
    if (EFI_ERROR(file->firmware_status))
        return;
    if (size > limit)
        size = limit;
    file->firmware_status = memory_allocate(size, &base);
    if (EFI_ERROR(file->firmware_status)) {
        file->status = BOOT_MODULE_NO_MEMORY;
        return;
    }
    file->firmware_status = read_bytes(handle, (uint8_t *)(uintptr_t)base, size);
    if (EFI_ERROR(file->firmware_status)) {
        memory_release(base);
        return;
    }
    // An empty file has a page too: an address tells that it is there.
    memset((uint8_t *)(uintptr_t)base + size, 0, (size_t)(size == 0 ? EFI_PAGE_SIZE : -size % EFI_PAGE_SIZE));
    file->base = base;
    file->size = size;
    file->status = BOOT_MODULE_OK;
}

bool files_read(const char *name, uint64_t limit, struct file *file)
{
    EFI_FILE *handle;
    memset(file, 0, sizeof *file);
    file->firmware_status = open_file(name, &handle);
    if (EFI_ERROR(file->firmware_status)) {
        // Drivers answer names that their file system cannot hold with EFI_INVALID_PARAMETER.
        bool absent = file->firmware_status == EFI_NOT_FOUND || file->firmware_status == EFI_INVALID_PARAMETER;
        file->status = absent ? BOOT_MODULE_ABSENT : BOOT_MODULE_READ_ERROR;
        return false;
    }
    read_handle(handle, limit, file);
    handle->Close(handle);
    return file->status == BOOT_MODULE_OK;
}

const char *files_problem(enum boot_module_status status)
{
    switch (status) {
    case BOOT_MODULE_OK:
        return "loaded";
    case BOOT_MODULE_ABSENT:
        return "no such file";
    case BOOT_MODULE_NO_MEMORY:
        return "not enough memory for it";
    case BOOT_MODULE_READ_ERROR:
        return "cannot be read";
    }
    return "?";
}
