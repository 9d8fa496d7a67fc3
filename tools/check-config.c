// SPDX-License-Identifier: Apache-2.0
/// Says whether a configuration is right, with the parser that Polyvisor itself uses. See docs/configuration.md.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/config.h"

enum { MAX_DIRS = 16, PATH_SIZE = 4096, EXIT_WRONG = 1, EXIT_USAGE = 2 };

struct options {
    const char *file;
    const char *cmdline; ///< NULL: none
    uint64_t cores;      ///< as in struct config_machine
    uint64_t memory;
    bool list_files;
    unsigned dir_count;
    const char *dirs[MAX_DIRS];
};

static struct config config;
static struct config_error error;

static void usage(FILE *out)
{
    fputs("usage: check-config FILE [options]\n"
          "Checks a Polyvisor configuration; exit status 1 and a message when something is wrong.\n"
          "  --cores N       the machine has cores 0 to N-1\n"
          "  --memory SIZE   the machine has SIZE (such as 512M) for pools and quotas\n"
          "  --dir DIR       look for files there too, after the configuration's own folder; may be repeated\n"
          "  --cmdline TEXT  apply the overrides of this boot command line\n"
          "  --files         only list the files that it needs, one a line, without looking for them\n",
          out);
}

static bool parse_cores(const char *text, uint64_t *mask)
{
    char *end;
    unsigned long count = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || count == 0 || count > PV_MAX_CORES)
        return false;
    *mask = UINT64_MAX >> (PV_MAX_CORES - count);
    return true;
}

static bool parse_memory(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMG";
    char *end;
    unsigned long long count = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;

    if (end == text || *text == '-' || (unit != NULL ? end[1] : *end) != '\0' || count == 0 ||
        count > UINT64_MAX >> shift)
        return false;
    *bytes = (uint64_t)count << shift;
    return true;
}

/// One option that takes a value. False: no such option, or a bad value.
static bool parse_value(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--cores") == 0)
        return parse_cores(value, &options->cores);
    if (strcmp(name, "--memory") == 0)
        return parse_memory(value, &options->memory);
    if (strcmp(name, "--cmdline") == 0) {
        options->cmdline = value;
        return true;
    }
    if (strcmp(name, "--dir") == 0 && options->dir_count < MAX_DIRS) {
        options->dirs[options->dir_count++] = value;
        return true;
    }
    return false;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--files") == 0) {
            options->list_files = true;
        } else if (strncmp(argv[i], "--", 2) != 0 && options->file == NULL) {
            options->file = argv[i];
        } else if (i + 1 < argc && parse_value(options, argv[i], argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr, "check-config: cannot use '%s'%s%s\n", argv[i], i + 1 < argc ? " with " : "",
                    i + 1 < argc ? argv[i + 1] : "");
            return false;
        }
    }
    return options->file != NULL;
}

/// Whether a path is a file with something in it; why not goes to `why`. *absent: there is nothing of that name.
static bool usable(const char *path, char *why, size_t why_size, bool *absent)
{
    struct stat status;

    *absent = false;
    if (stat(path, &status) != 0) {
        *absent = errno == ENOENT;
        snprintf(why, why_size, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        snprintf(why, why_size, "no regular file");
    } else if (status.st_size == 0) {
        snprintf(why, why_size, "zero bytes");
    } else {
        return true;
    }
    return false;
}

/// Files are looked for beside the configuration, then in the folders given; the first of the name decides.
static bool file_exists(void *context, const char *name, char *why, size_t why_size)
{
    const struct options *options = context;
    const char *slash = strrchr(options->file, '/');
    char path[PATH_SIZE];
    bool absent, good;

    snprintf(path, sizeof(path), "%.*s%s", slash != NULL ? (int)(slash - options->file + 1) : 0, options->file, name);
    good = usable(path, why, why_size, &absent);
    for (unsigned i = 0; absent && i < options->dir_count; i++) {
        snprintf(path, sizeof(path), "%s/%s", options->dirs[i], name);
        good = usable(path, why, why_size, &absent);
    }
    return good;
}

/// Reads the file, or as much as shows that it is too long.
static bool read_file(const char *path, char *text, size_t room, size_t *size)
{
    FILE *file = fopen(path, "rb");
    bool good = file != NULL;

    if (good) {
        *size = fread(text, 1, room, file);
        good = ferror(file) == 0;
        fclose(file);
    }
    if (!good)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return good;
}

/// All that can be wrong, in the order in which Polyvisor finds it.
static bool check(struct options *options)
{
    static char text[CONFIG_MAX_TEXT + 1];
    struct config_machine machine = {.cores = options->cores, .memory = options->memory, .context = options};
    size_t size;

    if (!read_file(options->file, text, sizeof(text), &size))
        return false;
    machine.file_exists = options->list_files ? NULL : file_exists;
    if (config_parse(&config, options->file, text, size, &error) &&
        (options->cmdline == NULL || config_override(&config, options->cmdline, &error)) &&
        config_check(&config, options->file, &machine, &error))
        return true;
    fprintf(stderr, "%s\n", error.message);
    return false;
}

static void print_summary(const struct options *options)
{
    uint64_t kilobytes = 0;

    for (uint32_t i = 0; i < config.personality_count; i++)
        kilobytes += (config.personalities[i].memory + config_quota(&config.personalities[i])) / 1024;
    printf("%s: right: %u %s, %u %s, %lluK of memory\n", options->file, config.personality_count,
           config.personality_count == 1 ? "personality" : "personalities", config.file_count,
           config.file_count == 1 ? "file" : "files", (unsigned long long)kilobytes);
}

int main(int argc, char **argv)
{
    struct options options = {0};

    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    if (!parse_options(&options, argc, argv)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (!check(&options))
        return EXIT_WRONG;
    if (!options.list_files)
        print_summary(&options);
    for (uint32_t i = 0; options.list_files && i < config.file_count; i++)
        puts(config.files[i]);
    return 0;
}
