// SPDX-License-Identifier: Apache-2.0
// In the monitor's place: moves the next personality from core to core while its guests run; then kills, restarts and pauses the ones
// behind that in the middle of what they do, much faster than anybody could type. Counts what went wrong: a refusal that should not
// be, or a figure that is not what it was before. Then it switches the machine off. Arguments: moves=N kills=N restarts=N pauses=N.
#include "personality.h"

enum {
    MAX_TARGETS = 8,
    MAX_REGIONS = 256,
    MAX_VCPUS = 64,
    PATIENCE = 20,      ///< seconds for anything
    POLL = 20000,       ///< ticks between two looks
    SETTLE = 0xfff,     ///< ticks, at most, between two moves
    EARLY = 0x3ffff,    ///< ticks, at most, to a kill that does not wait for guests
    ALL_RUN_ONE_IN = 4, ///< one in so many blows falls before the guests run
};

struct target {
    uint32_t id;
    uint64_t vcpus;      ///< that it has when it is set up
    uint64_t quota_used; ///< by then
};

static struct target targets[MAX_TARGETS];
static uint32_t target_count;
static uint64_t hz, errors;

/* ---- helpers ---- */

static uint32_t random_below(uint32_t limit)
{
    static uint32_t state = 20240229;
    state = state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(state >> 8) * limit >> 24);
}

static void complain(const char *what, uint32_t id, int64_t found)
{
    errors++;
    pv_printf("upheaval: error: %s, personality %u: %ld\n", what, id, found);
}

static void sleep(uint64_t ticks)
{
    pv_event_wait(PV_EVENT_USER, pv_tsc() + ticks);
}

static void read_option(const char *arguments, const char *key, uint64_t *value)
{
    const size_t length = strlen(key);
    for (const char *word = arguments; word != NULL; word = pv_strchr(word, ' ')) {
        char text[32];
        word += *word == ' ';
        if (strncmp(word, key, length) != 0 || word[length] != '=')
            continue;
        pv_strcopy(text, sizeof(text), word + length + 1);
        for (char *at = text; *at != '\0'; at++)
            if (*at == ' ')
                *at = '\0';
        pv_parse_number(text, value);
    }
}

static struct pv_personality_info look(uint32_t id)
{
    static struct pv_personality_info list[MAX_TARGETS + 1];
    pv_debug(PV_DEBUG_PERSONALITIES, 0, 0, list, sizeof(list));
    return list[id];
}

/// Of a personality's vcpus: how many, and the least that one of them has moved and run.
struct vcpus {
    uint64_t count, moves, run_time;
};

static struct vcpus look_at_vcpus(uint32_t id)
{
    static struct pv_vcpu_info list[MAX_VCPUS];
    struct vcpus found = {.moves = UINT64_MAX, .run_time = UINT64_MAX};
    const int64_t count = pv_debug(PV_DEBUG_VCPUS, 0, 0, list, sizeof(list));
    for (int64_t i = 0; i < count && i < MAX_VCPUS; i++) {
        if (list[i].personality != id)
            continue;
        found.count++;
        found.moves = list[i].moves < found.moves ? list[i].moves : found.moves;
        found.run_time = list[i].run_time < found.run_time ? list[i].run_time : found.run_time;
    }
    return found;
}

/// Waits until a personality that was started has all its vcpus, and all have run.
static void await_guests(const struct target *target)
{
    for (const uint64_t end = pv_tsc() + PATIENCE * hz; pv_tsc() < end; sleep(POLL)) {
        const struct vcpus now = look_at_vcpus(target->id);
        if (now.count == target->vcpus && now.run_time > 0)
            return;
    }
    complain("its guests do not run", target->id, look(target->id).state);
}

/* ---- what is done to them ---- */

static void do_restart(struct target *target)
{
    const int64_t result = pv_debug(PV_DEBUG_RESTART, target->id, 0, NULL, 0);
    if (result != PV_OK)
        complain("restart", target->id, result);
}

static void do_kill(const struct target *target)
{
    const int64_t result = pv_debug(PV_DEBUG_KILL, target->id, 0, NULL, 0);
    const struct pv_personality_info now = look(target->id);
    if (result != PV_OK)
        complain("kill", target->id, result);
    if (now.quota_used != 0 || now.vcpus != 0)
        complain("left behind by a kill, bytes", target->id, (int64_t)now.quota_used);
}

static void do_pause(const struct target *target)
{
    int64_t result = pv_debug(PV_DEBUG_PAUSE, target->id, 0, NULL, 0);
    if (result != PV_OK)
        complain("pause", target->id, result);
    sleep(random_below(SETTLE));
    result = pv_debug(PV_DEBUG_RESUME, target->id, 0, NULL, 0);
    if (result != PV_OK)
        complain("resume", target->id, result);
}

/// In the middle of its guests' runs, or now and then at any point of its start.
static void await_middle(const struct target *target)
{
    if (random_below(ALL_RUN_ONE_IN) == 0)
        sleep(random_below(EARLY));
    else
        await_guests(target);
}

static void strike(uint64_t kills, uint64_t restarts, uint64_t pauses)
{
    while (kills + restarts + pauses > 0) {
        struct target *target = &targets[1 + random_below(target_count - 1)];
        const uint64_t choice = random_below((uint32_t)(kills + restarts + pauses));
        await_middle(target);
        if (choice < kills) {
            kills--;
            restarts -= restarts > 0;
            do_kill(target);
            do_restart(target);
        } else if (choice < kills + restarts) {
            restarts--;
            do_restart(target);
        } else {
            pauses--;
            do_pause(target);
        }
    }
}

/* ---- moving ---- */

/// Random sets of cores, until every vcpu has moved so often; in the end to all cores.
static void move_about(const struct pv_info *info, const struct target *target, uint64_t moves)
{
    const uint64_t all = (UINT64_C(1) << info->agent_count) - 1;
    uint64_t pins = 0, early = 0;
    while (look_at_vcpus(target->id).moves < moves) {
        const int64_t result = pv_debug(PV_DEBUG_PIN, target->id, 1 + random_below((uint32_t)all), NULL, 0);
        if (result != PV_OK && result != PV_ERR_STATE) // still moving
            complain("pin", target->id, result);
        pins += result == PV_OK;
        early += result == PV_ERR_STATE;
        sleep(random_below(SETTLE));
    }
    while (pv_debug(PV_DEBUG_PIN, target->id, all, NULL, 0) == PV_ERR_STATE)
        sleep(POLL);
    pv_printf("upheaval: each vcpu moved %lu times or more, by %lu pins, %lu of them too early\n", moves, pins, early);
}

/* ---- figures ---- */

static size_t memory_map(struct pv_memory_info *regions)
{
    const int64_t count = pv_debug(PV_DEBUG_MEMORY, 0, 0, regions, MAX_REGIONS * sizeof(*regions));
    return count < 0 ? 0 : (size_t)count;
}

/// Everybody set up, as after a first start: notes, or compares, what they use then.
static void take_figures(bool compare)
{
    for (uint32_t i = 0; i < target_count; i++) {
        struct target *target = &targets[i];
        do_restart(target);
        await_guests(target);
        const uint64_t used = look(target->id).quota_used;
        if (compare && used != target->quota_used)
            complain("kernel memory after all that, bytes", target->id, (int64_t)used);
        target->quota_used = used;
    }
}

/// All others, when they have made all their vcpus.
static void find_targets(const struct pv_info *info)
{
    const int64_t count = pv_debug(PV_DEBUG_PERSONALITIES, 0, 0, NULL, 0);
    sleep(hz / 2); // they are set up by then, as the first figures show
    for (uint32_t id = 0; id < count && target_count < MAX_TARGETS; id++)
        if (id != info->id)
            targets[target_count++] = (struct target){.id = id, .vcpus = look(id).vcpus};
}

int main(const struct pv_info *info, uint32_t agent)
{
    static struct pv_memory_info before[MAX_REGIONS], after[MAX_REGIONS];
    uint64_t moves = 1000, kills = 300, restarts = 400, pauses = 300;
    if (agent != 0)
        return 0;
    hz = info->tsc_hz;
    read_option(info->args, "moves", &moves);
    read_option(info->args, "kills", &kills);
    read_option(info->args, "restarts", &restarts);
    read_option(info->args, "pauses", &pauses);
    find_targets(info);
    take_figures(false);
    const size_t regions = memory_map(before);
    pv_printf("upheaval: %u personalities, %lu bytes of kernel memory in the first\n", target_count,
              targets[0].quota_used);
    move_about(info, &targets[0], moves);
    strike(kills, restarts, pauses);
    pv_printf("upheaval: %lu kills, %lu restarts, %lu pauses\n", kills, restarts, pauses);
    take_figures(true);
    for (uint32_t i = 0; i < target_count; i++)
        do_kill(&targets[i]);
    if (memory_map(after) != regions || memcmp(before, after, regions * sizeof(*before)) != 0)
        complain("the memory map", 0, 0);
    pv_printf("upheaval: %lu errors\n", errors);
    pv_debug(PV_DEBUG_POWEROFF, 0, 0, NULL, 0);
    return 1;
}
