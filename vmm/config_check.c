// SPDX-License-Identifier: Apache-2.0
/// Configuration: whether a machine has what a configuration asks for.
#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "config_reader.h"

enum { WHY_SIZE = 128, CORE_LIST_SIZE = 160 };

/// What all checks of one configuration share.
struct check {
    const char *file;
    const struct config_machine *machine;
    struct config_error *error;
    uint64_t memory_taken; ///< bytes, by the personalities before
};

/// Prints a set of cores as the configuration would say it: "0-3,5". Cut when there is no room.
static void core_list(char text[CORE_LIST_SIZE], uint64_t cores)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned first = 0; first < PV_MAX_CORES && used < CORE_LIST_SIZE; first++) {
        unsigned last = first;
        if ((cores >> first & 1) == 0)
            continue;
        while (last + 1 < PV_MAX_CORES && (cores >> (last + 1) & 1) != 0)
            last++;
        used += pv_snprintf(text + used, CORE_LIST_SIZE - used, used == 0 ? "%u" : ",%u", first);
        if (last > first && used < CORE_LIST_SIZE)
            used += pv_snprintf(text + used, CORE_LIST_SIZE - used, "-%u", last);
        first = last;
    }
}

static bool check_cores(const struct check *check, const struct config_personality *p)
{
    uint64_t absent = p->cores & ~check->machine->cores;
    char wanted[CORE_LIST_SIZE], present[CORE_LIST_SIZE];

    if (p->all_cores || check->machine->cores == 0 || absent == 0)
        return true;
    core_list(wanted, absent);
    core_list(present, check->machine->cores);
    return config_report(check->error, check->file, p->cores_place,
                         "found absent cores (%s) for '%s', expected some of those that run (%s)", wanted, p->name,
                         present);
}

static bool check_memory(struct check *check, const struct config_personality *p)
{
    uint64_t all = check->machine->memory;
    uint64_t left = all > check->memory_taken ? all - check->memory_taken : 0;
    char memory[CONFIG_SIZE_TEXT], quota[CONFIG_SIZE_TEXT], rest[CONFIG_SIZE_TEXT];
    char total[CONFIG_SIZE_TEXT], taken[CONFIG_SIZE_TEXT];
    uint64_t bytes = p->memory + config_quota(p);

    if (all != 0 && bytes > left)
        return config_report(check->error, check->file, p->memory_place,
                             "found memory %s and quota %s for '%s', expected at most %s in sum: of the machine's %s, "
                             "the personalities before it take %s",
                             config_size_text(memory, p->memory), config_size_text(quota, config_quota(p)), p->name,
                             config_size_text(rest, left), config_size_text(total, all),
                             config_size_text(taken, check->memory_taken));
    check->memory_taken += bytes;
    return true;
}

/// Checks one file; what: "the image", "module 'initrd'".
static bool check_file(const struct check *check, const struct config_personality *p, const char *name,
                       struct config_place place, const char *what)
{
    const struct config_machine *machine = check->machine;
    char why[WHY_SIZE] = "";

    if (machine->file_exists == NULL || machine->file_exists(machine->context, name, why, sizeof(why)))
        return true;
    return config_report(check->error, check->file, place, "found no usable file '%s'%s%s%s, expected %s of '%s'", name,
                         why[0] != '\0' ? " (" : "", why, why[0] != '\0' ? ")" : "", what, p->name);
}

static bool check_files(const struct check *check, const struct config_personality *p)
{
    if (p->image == NULL)
        return config_report(check->error, check->file, p->image_place, "found no image, expected one for '%s'",
                             p->name);
    if (!check_file(check, p, p->image, p->image_place, "the image"))
        return false;
    for (uint32_t i = 0; i < p->module_count; i++) {
        char what[PV_NAME_SIZE + 16];
        pv_snprintf(what, sizeof(what), "module '%s'", p->modules[i].name);
        if (!check_file(check, p, p->modules[i].file, p->modules[i].place, what))
            return false;
    }
    return true;
}

/// Whoever has the debug capability owns the shell: without time on any core nobody could change anything any more.
static bool check_frame(const struct check *check, const struct config *config)
{
    for (uint32_t i = 0; config->policy == PV_POLICY_FRAME && i < config->personality_count; i++) {
        const struct config_personality *p = &config->personalities[i];
        bool has_slot = !p->debug;
        for (uint32_t slot = 0; slot < config->slot_count; slot++)
            has_slot = has_slot || config->slots[slot].personality == i;
        if (!has_slot)
            return config_report(check->error, check->file, p->place,
                                 "found no slot of '%s' in the frame, expected one: it has the debug capability",
                                 p->name);
    }
    return true;
}

/// A switch has so many ports that each has its part of the others' rings.
static bool check_net(const struct check *check, const struct config *config)
{
    for (uint32_t i = 0; i < config->personality_count; i++) {
        const struct config_personality *p = &config->personalities[i];
        uint32_t before = 0;
        for (uint32_t k = 0; p->net != NULL && k < i; k++)
            before += config->personalities[k].net != NULL && strcmp(config->personalities[k].net, p->net) == 0;
        if (before >= CONFIG_MAX_NET_PORTS)
            return config_report(check->error, check->file, p->net_place,
                                 "found '%s' on switch '%s', expected at most %u personalities there", p->name, p->net,
                                 CONFIG_MAX_NET_PORTS);
    }
    return true;
}

bool config_check(const struct config *config, const char *file, const struct config_machine *machine,
                  struct config_error *error)
{
    struct check check = {.file = file, .machine = machine, .error = error};

    for (uint32_t i = 0; i < config->personality_count; i++) {
        const struct config_personality *p = &config->personalities[i];
        if (!check_cores(&check, p) || !check_memory(&check, p) || !check_files(&check, p))
            return false;
    }
    return check_frame(&check, config) && check_net(&check, config);
}
