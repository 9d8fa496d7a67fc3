// SPDX-License-Identifier: Apache-2.0
/*
 * chaos: does everything that it should not, at random, for some time. Arguments: seed=N (1), ticks=N (5000000),
 * forever=1 (never ends, tells now and then that it is alive). On one core a seed always does the same.
 */
#include "chaos.h"

struct playground playground;

static struct player players[PV_MAX_CORES];

struct options {
    uint64_t seed, ticks, forever;
};

enum { WORD_MAX = 64 };

/// Reads "key=NUMBER" out of the arguments, if it is there.
static void read_option(const char *arguments, const char *key, uint64_t *value)
{
    const size_t length = strlen(key);
    for (const char *word = arguments; *word != '\0'; word++) {
        if ((word != arguments && word[-1] != ' ') || strncmp(word, key, length) != 0 || word[length] != '=')
            continue;
        char text[WORD_MAX];
        size_t size = 0;
        const char *from = word + length + 1;
        while (size < WORD_MAX - 1 && from[size] != '\0' && from[size] != ' ')
            size++;
        memcpy(text, from, size);
        text[size] = '\0';
        if (!pv_parse_number(text, value))
            pv_printf("'%s' is no number for %s\n", text, key);
        return;
    }
}

/// One random thing. The weights favour what gets guests running.
static void act(struct player *player)
{
    static void (*const deeds[])(struct player *) = {
        chaos_wild_call, chaos_wild_call, chaos_space,         chaos_space,         chaos_vcpu,   chaos_vcpu,
        chaos_vmcs,      chaos_vmcs,      chaos_tables,        chaos_garbage,       chaos_run,    chaos_run,
        chaos_run,       chaos_run,       chaos_hostile_guest, chaos_hostile_guest, chaos_meddle,
    };
    // With nobody else there, meddling would only be more garbage.
    const uint64_t count = sizeof(deeds) / sizeof(deeds[0]) - (player->agents == 1);
    deeds[random_below(&player->random, count)](player);
}

static bool make_playground(void)
{
    for (int i = 0; i < MEMORIES; i++) {
        playground.memories[i] = pv_pool_alloc(PV_LARGE_PAGE_SIZE, PV_LARGE_PAGE_SIZE);
        if (playground.memories[i] == PV_POOL_FULL)
            return false;
    }
    for (int i = 0; i < PAGES; i++) {
        playground.pages[i] = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
        if (playground.pages[i] == PV_POOL_FULL)
            return false;
    }
    return true;
}

static void report(const char *what, const struct options *options, uint32_t agents)
{
    struct player sum = {0};
    for (uint32_t i = 0; i < agents; i++) {
        sum.calls += players[i].calls;
        sum.runs += players[i].runs;
        sum.exits += players[i].exits;
        sum.refused += players[i].refused;
        sum.quota += players[i].quota;
    }
    pv_printf("%s seed=%lu calls=%lu runs=%lu exits=%lu refused=%lu quota=%lu digest=%016lx\n", what, options->seed,
              sum.calls, sum.runs, sum.exits, sum.refused, sum.quota, players[0].digest);
}

/// Agent 0's: until the time is over.
static void play_for(const struct options *options, struct player *player)
{
    do {
        const uint64_t start = pv_tsc();
        while (pv_tsc() - start < options->ticks)
            act(player);
        report(options->forever ? "alive" : "done", options, player->agents);
    } while (options->forever != 0);
}

int main(const struct pv_info *info, uint32_t agent)
{
    static _Atomic bool ready;
    struct options options = {.seed = 1, .ticks = 5000000};
    read_option(info->args, "seed", &options.seed);
    read_option(info->args, "ticks", &options.ticks);
    read_option(info->args, "forever", &options.forever);
    struct player *player = &players[agent];
    player->agent = agent;
    player->agents = info->agent_count;
    random_seed(&player->random, options.seed * PV_MAX_CORES + agent);
    if (agent == 0) {
        pv_printf("seed=%lu ticks=%lu agents=%u\n", options.seed, options.ticks, info->agent_count);
        if (!make_playground()) {
            pv_printf("the pool is too small: %d MiB are needed\n", (MEMORIES + 1) * 2);
            return 1;
        }
        ready = true;
        play_for(&options, player);
        return 0;
    }
    while (!ready)
        pv_yield();
    for (;;)
        act(player);
}
