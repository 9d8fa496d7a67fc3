// SPDX-License-Identifier: Apache-2.0
/*
 * polyvisor.cfg: what personalities there are. One parser, pure (no allocation, no I/O), for the multiplexer, the EFI
 * loader (which needs the file names) and the host tool tools/check-config.
 *
 *   # comment to the end of the line
 *   slice  1ms                     # 100us to 1s; default 1ms
 *   policy weighted | frame        # level 1's; default weighted
 *   timer vmx | lapic              # which ends a guest's slice; default vmx
 *   frame {                        # the cyclic table of the policy `frame`, on every core
 *       slot NAME TIME             # 10us to 1s; up to CONFIG_MAX_SLOTS
 *       slot idle TIME             # nobody runs
 *   }
 *   personality NAME {
 *       image   FILE               # required
 *       cores   0-3,5 | all        # default all
 *       memory  64M                # required; the pool (K, M or G)
 *       quota   2M                 # kernel memory; default: CONFIG_QUOTA_BASE and 1/CONFIG_QUOTA_SHARE of the memory
 *       weight  100                # 1 to 10000; default 100
 *       debug   yes | no | baseline  # default no; at most one personality may have it
 *       args    "text"             # default ""; \" and \\ inside
 *       module  NAME FILE          # any number up to PV_MAX_MODULES
 *       msr     0x10-0x11 read     # or write, or both; any number up to CONFIG_MAX_GRANTS
 *       io      0x60-0x63          # likewise
 *       net     NAME               # a port of that virtual switch; default: none
 *       on_exit park | restart     # when it ends by itself; default park
 *   }
 * ';' ends a statement as a line's end does. Names: letters, digits, '-', '_', '.'.
 */
#ifndef POLYVISOR_CONFIG_H
#define POLYVISOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

#define CONFIG_IDLE UINT32_MAX ///< a slot in which nobody runs

enum {
    CONFIG_MAX_PERSONALITIES = 128,
    CONFIG_MAX_TEXT = 65536, ///< bytes of configuration
    CONFIG_MAX_FILES = 126,  ///< different files (images and modules) in one configuration
    CONFIG_ERROR_SIZE = 512,
    CONFIG_MAX_SLOTS = 64,  ///< of the frame table
    CONFIG_MAX_GRANTS = 16, ///< of each kind, a personality
    CONFIG_WEIGHT_DEFAULT = 100,
    CONFIG_WEIGHT_MAX = 10000,
    CONFIG_QUOTA_BASE = 1 << 20, ///< where the configuration gives no quota
    /// And of the pool. Where guests can have 4-KiB pages only, their tables take 1/512 of the memory that they map:
    /// so all of the pool can be mapped twice.
    CONFIG_QUOTA_SHARE = 256,
    CONFIG_SLICE_DEFAULT_US = 1000,
    CONFIG_MAX_NET_PORTS = 16, ///< of a virtual switch
};

/// Where a statement stands, for messages that are found later than while parsing. line 0: the command line.
struct config_place {
    uint32_t line;   ///< from 1
    uint32_t column; ///< from 1, in bytes
};

/// A range of MSRs or ports that guests may be given. Ranges of one kind do not overlap in a personality.
struct config_grant {
    uint32_t first, last;
    uint32_t how; ///< enum pv_grant bits; both for ports
    struct config_place place;
};

struct config_module {
    const char *name;
    const char *file;
    struct config_place place; ///< of the file's name
};

struct config_personality {
    const char *name;
    const char *image; ///< NULL only before the block is complete
    const char *args;
    const char *net; ///< the switch that it has a port of, or NULL
    uint64_t cores;  ///< mask; UINT64_MAX for "all"
    bool all_cores;
    bool debug;
    bool restart;  ///< when it ends by itself
    bool baseline; ///< only with debug: may measure the switch that leaves VMX operation (vmm/baseline.h)
    uint32_t weight;
    uint64_t memory; ///< bytes, a multiple of 4 KiB
    uint64_t quota;  ///< bytes, a multiple of 4 KiB; 0: not given, see config_quota
    uint32_t msr_grant_count, io_grant_count;
    struct config_grant msr_grants[CONFIG_MAX_GRANTS], io_grants[CONFIG_MAX_GRANTS];
    uint32_t module_count;
    struct config_module modules[PV_MAX_MODULES];
    struct config_place place, image_place, cores_place, memory_place, net_place;
};

/// A slot of the frame policy's cyclic table.
struct config_slot {
    uint32_t personality; ///< index, or CONFIG_IDLE
    uint32_t us;
    struct config_place place; ///< of the name
};

struct config {
    uint32_t slice_us;
    enum pv_policy policy; ///< PV_POLICY_FRAME only with slots
    bool lapic_timer;      ///< the VMX-preemption timer is not to be used
    uint32_t slot_count;   ///< 0: no table
    struct config_slot slots[CONFIG_MAX_SLOTS];
    uint32_t personality_count;
    struct config_personality personalities[CONFIG_MAX_PERSONALITIES];
    uint32_t file_count; ///< different file names, in order of first mention
    const char *files[CONFIG_MAX_FILES];
    size_t strings_used;
    char strings[CONFIG_MAX_TEXT * 2]; ///< all strings of this structure stand here
};

/// An error, ready to print: "polyvisor.cfg:3:12: found 'foo', expected a size such as 64M".
struct config_error {
    struct config_place place;
    char message[CONFIG_ERROR_SIZE];
};

/// Parses a text that is called `file` in messages. On false, *error tells what and where; *config then holds what was
/// read before the error (its `files` too) and must not be used to start anything.
bool config_parse(struct config *config, const char *file, const char *text, size_t size, struct config_error *error);

/// Applies the words of a boot command line of the form NAME.KEY=VALUE (value as in the file; quotes round a value with
/// spaces: tiny.args="a b"), slice=VALUE, policy=VALUE and timer=VALUE; words of another form are left to config_option. On an error
/// ("command line:1:COLUMN: ...") *config is unchanged.
bool config_override(struct config *config, const char *cmdline, struct config_error *error);

/// Bytes of kernel memory for a personality: a multiple of 4 KiB.
uint64_t config_quota(const struct config_personality *p);

/// Value of the word KEY=VALUE on a command line, copied with NUL. False when absent or too long for the buffer.
bool config_option(const char *cmdline, const char *key, char *value, size_t size);

/// What the machine has, for config_check.
struct config_machine {
    uint64_t cores;  ///< mask of cores that run; 0: do not check
    uint64_t memory; ///< bytes free for pools and quotas; 0: do not check
    /// Whether a file is there; on false may write a reason ("Not Found", "zero bytes") into why. NULL: do not check.
    bool (*file_exists)(void *context, const char *name, char *why, size_t why_size);
    void *context;
};

/// Checks a parsed configuration against a machine: absent cores, too much memory, absent files; an image of each.
/// And that the debug capability's holder gets time, which overrides can change too.
bool config_check(const struct config *config, const char *file, const struct config_machine *machine,
                  struct config_error *error);

#endif
