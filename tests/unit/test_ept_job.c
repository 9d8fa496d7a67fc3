// SPDX-License-Identifier: Apache-2.0
// Changes of extended page tables in steps: each step is short, and what stands in the tables between two steps is right.
// links: arch/x86/vmx/ept.c arch/x86/vmx/ept_map.c arch/x86/vmx/ept_unmap.c
#include "ept_model.h"

enum { BUDGET = 128, SMALL_WINDOW = 8 * PAGES_2M, JOBS = 150 };

/// What a page maps to, by the tables.
static uint64_t looked_up(uint64_t page)
{
    uint64_t entry, size, gpa = WINDOW + page * KIB4;
    if (!ept_lookup(&ept, &pages, gpa, &entry, &size))
        return 0;
    return model_value(ept_entry_address(entry), ept_entry_access(entry), ept_entry_memory_type(entry)) +
           (gpa & (size - 1));
}

/// Every page of the small window is as in the model, but for those of a job in progress, which may be as it will make them.
static void check_between_steps(const struct ept_job *job, const uint64_t *after, uint64_t first, uint64_t end)
{
    const bool begun = job->phase == EPT_JOB_FILL || job->phase == EPT_JOB_CLEAR;
    for (uint64_t page = 0; page < SMALL_WINDOW; page++) {
        const uint64_t now = looked_up(page);
        if (now != model[page])
            assert_true(begun && page >= first && page < end && now == after[page]);
    }
}

/// Goes through a job with checks after each step; the model becomes what it makes of it.
static enum ept_result watch(struct ept_job *job, const uint64_t *after, uint64_t first, uint64_t count, uint64_t *seed)
{
    enum ept_result result;
    while ((result = step(job, (uint32_t)(1 + random_below(seed, 300)))) == EPT_MORE)
        check_between_steps(job, after, first, first + count);
    if (result == EPT_OK)
        memcpy(model + first, after + first, count * sizeof(*model));
    check_model(0, SMALL_WINDOW);
    ept_garbage_release(&job->garbage, &pages, TABLES);
    return result;
}

static void each_step_is_a_part_of_the_result(void **state)
{
    (void)state;
    static uint64_t after[SMALL_WINDOW];
    uint64_t seed = 41;
    for (int i = 0; i < JOBS; i++) {
        const uint64_t count = 1 + random_below(&seed, random_below(&seed, 2) ? 30 : 3 * PAGES_2M);
        const uint64_t first = random_below(&seed, SMALL_WINDOW - count + 1);
        const uint64_t hpa = (first + (random_below(&seed, 3) ? 0 : 1)) * KIB4 + GIB1;
        const bool maps = random_below(&seed, 2) != 0;
        struct ept_job job = {0};
        tables_allowed = random_below(&seed, 4) ? TABLES : (unsigned)random_below(&seed, 5);
        for (uint64_t page = first; page < first + count; page++)
            after[page] = maps ? model_value(hpa + (page - first) * KIB4, 7, EPT_TYPE_WB) : 0;
        if (maps)
            assert_int_equal(ept_begin_map(&ept, &job, WINDOW + first * KIB4, hpa, count * KIB4, 7, EPT_TYPE_WB),
                             EPT_OK);
        else
            assert_int_equal(ept_begin_unmap(&ept, &job, WINDOW + first * KIB4, count * KIB4), EPT_OK);
        watch(&job, after, first, count, &seed);
        check_tables();
    }
    tables_allowed = TABLES;
}

/// Jobs of every shape; views, allocations and frees of table pages stand for the time that a step takes.
static void steps_are_short(void **state)
{
    static const struct {
        uint64_t first, count, hpa;
        bool maps;
    } jobs[] = {
        {1, 2 * PAGES_1G, 0, true},                    // small pages, a thousand tables
        {0, WINDOW_PAGES, 0, true},                    // overlap, at once
        {2 * PAGES_1G + 1, 2 * PAGES_1G - 1, 0, true}, // the rest
        {0, 1, GIB1, true},
        {PAGES_2M + 1, PAGES_1G, 0, false},
        {0, WINDOW_PAGES, 0, false},
        {0, WINDOW_PAGES, 0, false}, // nothing is left
        {0, 3 * PAGES_1G, 0, true},  // large pages
        {5, 3 * PAGES_1G - 11, 0, false},
        {0, WINDOW_PAGES, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        const uint64_t gpa = WINDOW + jobs[i].first * KIB4, size = jobs[i].count * KIB4;
        struct ept_job job = {0};
        if (jobs[i].maps)
            assert_int_equal(ept_begin_map(&ept, &job, gpa, jobs[i].hpa, size, 7, EPT_TYPE_WB), EPT_OK);
        else
            assert_int_equal(ept_begin_unmap(&ept, &job, gpa, size), EPT_OK);
        enum ept_result result;
        do {
            pages_touched = 0;
            result = step(&job, BUDGET);
            assert_in_range(pages_touched, 0, 2 * BUDGET);
        } while (result == EPT_MORE);
        assert_int_equal(result, i == 1 ? EPT_OVERLAP : EPT_OK);
        bool released;
        do {
            pages_touched = 0;
            released = ept_garbage_release(&job.garbage, &pages, BUDGET);
            assert_in_range(pages_touched, 0, 2 * BUDGET);
        } while (!released);
    }
}

/// At every point of a job: what has not begun to change anything is forgotten without a trace, the rest goes with the ept.
static void jobs_can_be_given_up(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 200; steps++) {
        for (int maps = 0; maps < 2; maps++) {
            start_again(CAPS_ALL);
            assert_int_equal(map(0, 2 * PAGES_1G, 0, EPT_READ, EPT_TYPE_WB), EPT_OK);
            struct ept_job job = {0};
            if (maps)
                assert_int_equal(ept_begin_map(&ept, &job, WINDOW + 2 * GIB1, KIB4, 8 * MIB2, 7, EPT_TYPE_WB), EPT_OK);
            else
                assert_int_equal(ept_begin_unmap(&ept, &job, WINDOW + 5 * KIB4, GIB1 + 9 * MIB2), EPT_OK);
            enum ept_result result = EPT_MORE;
            for (unsigned i = 0; i < steps && result == EPT_MORE; i++)
                result = step(&job, 20);
            if (ept_may_give_up(&job) && result == EPT_MORE) {
                ept_give_up(&pages, &job);
                check_model(0, 3 * PAGES_1G);
                check_tables();
            }
            ept_begin_destroy(&ept, &pages, &job);
            while (step(&job, 50) == EPT_MORE) {
            }
            assert_int_equal(tables_used, 0);
            assert_int_equal(tables_reserved, 0);
            assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, MAXPHYADDR), EPT_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_step_is_a_part_of_the_result),
        TEST(steps_are_short),
        TEST(jobs_can_be_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
