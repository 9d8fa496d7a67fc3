// SPDX-License-Identifier: Apache-2.0
/*
 * The EFI loader, BOOTX64.EFI: reads polyvisor.elf, the configuration and every file that it names into memory, leaves
 * the firmware and enters the multiplexer (the contract is boot/boot_info.h). Uses boot services only. What makes a
 * start impossible is reported, everything is given back, and the firmware goes on with its next boot option; a
 * configuration or module that cannot be read only leaves its status behind, for the multiplexer to show.
 */
#include "loader.h"

#include <boot/regions.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>
#include <vmm/config.h>

static const char image_name[] = "polyvisor.elf";
static const char config_default[] = "polyvisor.cfg";

enum { REPORT_PAUSE = 3000000 }; // microseconds for a reader, before the firmware clears the screen

EFI_HANDLE loader_handle;
EFI_SYSTEM_TABLE *loader_system;
EFI_BOOT_SERVICES *loader_boot;

static EFI_STATUS load_image(struct image *image)
{
    struct file file;
    if (!files_read(image_name, UINT64_MAX, &file)) {
        report("%s: %s: %s", image_name, files_problem(file.status), report_status(file.firmware_status));
        return file.firmware_status;
    }
    EFI_STATUS status = image_load(image_name, &file, image);
    memory_release(file.base);
    return status;
}

static void load_module(struct boot_info *info, const char *name)
{
    struct file file;
    if (info->module_count == BOOT_MAX_MODULES) {
        boot_complain(info, "%s and later files are not loaded: more than %d", name, BOOT_MAX_MODULES);
        return;
    }
    if (!files_read(name, UINT64_MAX, &file))
        report("%s: %s: %s", name, files_problem(file.status), report_status(file.firmware_status));
    struct boot_module *module = &info->modules[info->module_count++];
    module->base = file.base;
    module->size = file.size;
    module->status = file.status;
    module->firmware_status = file.firmware_status;
    pv_strcopy(module->name, sizeof module->name, name);
}

/// Loads the files that a configuration names. One that is wrong names those before the error; what is wrong with it is
/// for the multiplexer to say, which parses it again.
static EFI_STATUS load_modules(struct boot_info *info, const char *name)
{
    struct config_error error;
    uint64_t memory;
    EFI_STATUS status = memory_zeroed(sizeof(struct config), &memory);
    if (EFI_ERROR(status)) {
        report("no memory to read %s: %s", name, report_status(status));
        return status;
    }
    struct config *config = (struct config *)(uintptr_t)memory;
    if (config_parse(config, name, (const char *)(uintptr_t)info->config, info->config_size, &error))
        config_override(config, info->cmdline, &error);
    for (uint32_t i = 0; i < config->file_count; i++)
        load_module(info, config->files[i]);
    memory_release(memory);
    return EFI_SUCCESS;
}

static EFI_STATUS load_config(struct boot_info *info)
{
    char name[BOOT_CMDLINE_SIZE];
    struct file file;
    if (!config_option(info->cmdline, "config", name, sizeof name))
        pv_strcopy(name, sizeof name, config_default);
    // One byte more than allowed is enough for the multiplexer to see that it is too long.
    bool there = files_read(name, CONFIG_MAX_TEXT + 1, &file);
    info->config = file.base;
    info->config_size = file.size;
    info->config_status = file.status;
    info->config_firmware_status = file.firmware_status;
    if (there)
        return load_modules(info, name);
    report("%s: %s: %s", name, files_problem(file.status), report_status(file.firmware_status));
    return EFI_SUCCESS;
}

static EFI_STATUS make_boot_info(struct boot_info **info)
{
    uint64_t memory;
    EFI_STATUS status = memory_zeroed(sizeof **info, &memory);
    if (EFI_ERROR(status)) {
        report("no memory for the boot information: %s", report_status(status));
        return status;
    }
    *info = (struct boot_info *)(uintptr_t)memory;
    (*info)->magic = BOOT_INFO_MAGIC;
    (*info)->version = BOOT_INFO_VERSION;
    (*info)->size = sizeof **info;
    return EFI_SUCCESS;
}

static void fill_command_line(struct boot_info *info)
{
    size_t size;
    const void *options = files_options(&size);
    const char *wrong = command_line_from_options(options, size, info->cmdline, sizeof info->cmdline);
    if (wrong)
        boot_complain(info, "%s", wrong);
}

/// Everything that needs files. Afterwards the volume is closed.
static EFI_STATUS load_files(struct boot_info *info, struct image *image)
{
    EFI_STATUS status = files_open();
    if (EFI_ERROR(status))
        return status;
    fill_command_line(info);
    status = load_image(image);
    if (!EFI_ERROR(status))
        status = load_config(info);
    files_close();
    info->image_base = image->base;
    info->image_size = image->size;
    info->tsc_files = __builtin_ia32_rdtsc();
    return status;
}

/// Returns only when the start failed.
static EFI_STATUS start(uint64_t tsc_start)
{
    struct boot_info *info;
    struct image image = {0};
    EFI_STATUS status = make_boot_info(&info);
    if (EFI_ERROR(status))
        return status;
    info->tsc_start = tsc_start;
    status = load_files(info, &image);
    if (EFI_ERROR(status))
        return status;
    machine_fill(info);
    status = paging_build(&image, info);
    if (EFI_ERROR(status))
        return status;
    report_console("starting %s; its console is COM1, 115200 8N1", image_name);
    status = memory_map_exit();
    if (EFI_ERROR(status))
        return status;
    memory_map_fill(info);
    paging_check(info);
    info->tsc_enter = __builtin_ia32_rdtsc();
    paging_enter(image.entry, (uintptr_t)info);
}

/// Gives everything back and returns to the firmware: by Exit, because gnu-efi's start-up code does not keep the
/// registers rsi and rdi for its caller. After ExitBootServices was tried, plain return is the only way left.
static EFI_STATUS give_up(EFI_STATUS status)
{
    memory_release_all();
    if (report_has_console()) {
        loader_boot->Stall(REPORT_PAUSE);
        loader_boot->Exit(loader_handle, status, 0, NULL);
    }
    return status;
}

EFI_STATUS efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *system);
EFI_STATUS efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *system)
{
    uint64_t tsc_start = __builtin_ia32_rdtsc();
    loader_handle = handle;
    loader_system = system;
    loader_boot = system->BootServices;
    // Large files on slow sticks take longer than the five minutes after which the firmware would reset the machine.
    loader_boot->SetWatchdogTimer(0, 0, 0, NULL);
    return give_up(start(tsc_start));
}

/// gnu-efi's start-up code calls efi_main until version 3.0.15 (Debian 12), later _entry, which its library would
/// provide.
EFI_STATUS _entry(EFI_HANDLE handle, EFI_SYSTEM_TABLE *system) __attribute__((alias("efi_main")));
