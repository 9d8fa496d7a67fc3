// SPDX-License-Identifier: Apache-2.0
/// Checks on guest segment registers, SDM Vol. 3C 27.3.1.2.
#include "arch/x86/vmx/entry_rules.h"

/// In the order of their encodings, as everywhere in the VMCS.
enum segment { ES, CS, SS, DS, FS, GS, LDTR, TR };

enum { TYPE_ACCESSED = 1, TYPE_READABLE = 2, TYPE_CODE = 8 };
enum { TYPE_DATA_RW = 3, TYPE_DATA_RW_DOWN = 7, TYPE_LDT = 2, TYPE_BUSY_TSS_16 = 3, TYPE_BUSY_TSS = 11 };

/* Fields of a segment register stand 2 apart from the next one's. */

static enum vmcs_field selector_of(enum segment s)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_SELECTOR + 2 * s);
}

static enum vmcs_field base_of(enum segment s)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_BASE + 2 * s);
}

static enum vmcs_field limit_of(enum segment s)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_LIMIT + 2 * s);
}

static enum vmcs_field access_of(enum segment s)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * s);
}

/* The parts of access rights, 25.4.1. */

static uint32_t access(const struct check *c, enum segment s)
{
    return (uint32_t)get(c, access_of(s));
}

static uint32_t type(const struct check *c, enum segment s)
{
    return access(c, s) & 15;
}

static uint32_t dpl(const struct check *c, enum segment s)
{
    return access(c, s) >> 5 & 3;
}

static uint32_t rpl(const struct check *c, enum segment s)
{
    return (uint32_t)get(c, selector_of(s)) & 3;
}

static bool access_bit(const struct check *c, enum segment s, unsigned bit)
{
    return (access(c, s) >> bit & 1) != 0;
}

enum { ACCESS_S = 4, ACCESS_P = 7, ACCESS_L = 13, ACCESS_DB = 14, ACCESS_G = 15, ACCESS_UNUSABLE = 16 };

static bool usable(const struct check *c, enum segment s)
{
    return !access_bit(c, s, ACCESS_UNUSABLE);
}

/* ---- selectors and bases ---- */

static bool check_selectors(struct check *c)
{
    const uint64_t ti = 4;
    return vmx_rule(c, (get(c, VMCS_GUEST_TR_SELECTOR) & ti) == 0, VMCS_GUEST_TR_SELECTOR,
                    "the TI flag (bit 2) must be 0") &&
           vmx_rule(c, implies(usable(c, LDTR), (get(c, VMCS_GUEST_LDTR_SELECTOR) & ti) == 0), VMCS_GUEST_LDTR_SELECTOR,
                    "if LDTR is usable, the TI flag (bit 2) must be 0") &&
           vmx_rule(c, implies(!c->virtual_8086 && !c->unrestricted, rpl(c, SS) == rpl(c, CS)), VMCS_GUEST_SS_SELECTOR,
                    "the RPL must equal the RPL of the selector field for CS if the guest will not be virtual-8086 and "
                    "\"unrestricted guest\" is 0");
}

static bool check_bases(struct check *c)
{
    static const enum segment data[] = {SS, DS, ES};
    for (enum segment s = ES; c->virtual_8086 && s <= GS; s++) {
        if (!vmx_rule(
                c, get(c, base_of(s)) == get(c, selector_of(s)) << 4, base_of(s),
                "if the guest will be virtual-8086, the address must be the selector field shifted left 4 bits")) {
            return false;
        }
    }
    if (!vmx_rule_canonical(c, VMCS_GUEST_TR_BASE) || !vmx_rule_canonical(c, VMCS_GUEST_FS_BASE) ||
        !vmx_rule_canonical(c, VMCS_GUEST_GS_BASE) ||
        (usable(c, LDTR) && !vmx_rule_canonical(c, VMCS_GUEST_LDTR_BASE)) || !vmx_rule_32_bits(c, VMCS_GUEST_CS_BASE)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        if (usable(c, data[i]) && !vmx_rule_32_bits(c, base_of(data[i]))) {
            return false;
        }
    }
    return true;
}

/* ---- limits and access rights in virtual-8086 mode ---- */

static bool check_virtual_8086(struct check *c)
{
    const uint32_t rights = 0xf3; // present, DPL 3, read/write accessed data
    for (enum segment s = ES; s <= GS; s++) {
        if (!vmx_rule(c, get(c, limit_of(s)) == 0xffff, limit_of(s),
                      "if the guest will be virtual-8086, the field must be 0000FFFFH") ||
            !vmx_rule(c, access(c, s) == rights, access_of(s),
                      "if the guest will be virtual-8086, the field must be 000000F3H")) {
            return false;
        }
    }
    return true;
}

/* ---- access rights otherwise ---- */

static bool check_cs_type(struct check *c)
{
    uint32_t t = type(c, CS);
    bool code = (t & (TYPE_CODE | TYPE_ACCESSED)) == (TYPE_CODE | TYPE_ACCESSED);
    return vmx_rule(c, code || (c->unrestricted && t == TYPE_DATA_RW), VMCS_GUEST_CS_ACCESS_RIGHTS,
                    "the Type must be 9, 11, 13 or 15 (accessed code segment), or with \"unrestricted guest\" 3 "
                    "(read/write accessed expand-up data segment)");
}

static bool check_data_type(struct check *c, enum segment s)
{
    uint32_t t = type(c, s);
    if (s == SS) {
        return vmx_rule(c, t == TYPE_DATA_RW || t == TYPE_DATA_RW_DOWN, access_of(s),
                        "if SS is usable, the Type must be 3 or 7 (read/write, accessed data segment)");
    }
    return vmx_rule(c, (t & TYPE_ACCESSED) != 0, access_of(s),
                    "if the register is usable, bit 0 of the Type must be 1 (accessed)") &&
           vmx_rule(c, implies((t & TYPE_CODE) != 0, (t & TYPE_READABLE) != 0), access_of(s),
                    "if the register is usable and bit 3 of the Type is 1 (code segment), bit 1 of the Type must be 1 "
                    "(readable)");
}

static bool check_cs_dpl(struct check *c)
{
    switch (type(c, CS)) {
    case TYPE_DATA_RW:
        return vmx_rule(c, dpl(c, CS) == 0, VMCS_GUEST_CS_ACCESS_RIGHTS, "if the Type is 3, the DPL must be 0");
    case 9:
    case 11:
        return vmx_rule(c, dpl(c, CS) == dpl(c, SS), VMCS_GUEST_CS_ACCESS_RIGHTS,
                        "if the Type is 9 or 11 (non-conforming code segment), the DPL must equal the DPL in the "
                        "access-rights field for SS");
    default:
        return vmx_rule(c, dpl(c, CS) <= dpl(c, SS), VMCS_GUEST_CS_ACCESS_RIGHTS,
                        "if the Type is 13 or 15 (conforming code segment), the DPL cannot be greater than the DPL in "
                        "the access-rights field for SS");
    }
}

static bool check_ss_dpl(struct check *c)
{
    bool real_mode = (get(c, VMCS_GUEST_CR0) & GUEST_CR0_PE) == 0;
    return vmx_rule(c, implies(!c->unrestricted, dpl(c, SS) == rpl(c, SS)), VMCS_GUEST_SS_ACCESS_RIGHTS,
                    "if \"unrestricted guest\" is 0, the DPL must equal the RPL from the selector field") &&
           vmx_rule(c, implies(type(c, CS) == TYPE_DATA_RW || real_mode, dpl(c, SS) == 0), VMCS_GUEST_SS_ACCESS_RIGHTS,
                    "the DPL must be 0 if the Type in the access-rights field for CS is 3 or if bit 0 in the CR0 field "
                    "(PE) is 0");
}

static bool check_data_dpl(struct check *c, enum segment s)
{
    const uint32_t last_non_conforming = 11;
    bool applies = !c->unrestricted && usable(c, s) && type(c, s) <= last_non_conforming;
    return vmx_rule(c, implies(applies, dpl(c, s) >= rpl(c, s)), access_of(s),
                    "if \"unrestricted guest\" is 0, the register is usable and its Type is in the range 0-11, the DPL "
                    "cannot be less than the RPL in the selector field");
}

/// Granularity against the limit, for every kind of segment.
static bool rule_granularity(struct check *c, enum segment s)
{
    uint64_t limit = get(c, limit_of(s));
    bool g = access_bit(c, s, ACCESS_G);
    return vmx_rule(c, implies((limit & 0xfff) != 0xfff, !g), access_of(s),
                    "if any bit in the limit field in the range 11:0 is 0, G must be 0") &&
           vmx_rule(c, implies(limit >> 20 != 0, g), access_of(s),
                    "if any bit in the limit field in the range 31:20 is 1, G must be 1");
}

static bool rule_present(struct check *c, enum segment s)
{
    return vmx_rule(c, access_bit(c, s, ACCESS_P), access_of(s), "bit 7 (P) must be 1");
}

static bool rule_reserved(struct check *c, enum segment s)
{
    return vmx_rule(c, (access(c, s) & 0xf00) == 0, access_of(s), "bits 11:8 (reserved) must be 0") &&
           vmx_rule(c, access(c, s) >> 17 == 0, access_of(s), "bits 31:17 (reserved) must be 0");
}

/// What holds for CS, and for SS, DS, ES, FS and GS when they are usable.
static bool check_code_or_data(struct check *c, enum segment s)
{
    return (s == CS ? check_cs_type(c) : check_data_type(c, s)) &&
           vmx_rule(c, access_bit(c, s, ACCESS_S), access_of(s), "bit 4 (S) must be 1") && rule_present(c, s) &&
           rule_reserved(c, s) && rule_granularity(c, s);
}

static bool check_protected(struct check *c)
{
    for (enum segment s = ES; s <= GS; s++) {
        if ((s == CS || usable(c, s)) && !check_code_or_data(c, s)) {
            return false;
        }
        if (s != CS && s != SS && !check_data_dpl(c, s)) {
            return false;
        }
    }
    return check_cs_dpl(c) && check_ss_dpl(c) &&
           vmx_rule(c, implies(c->long_mode && access_bit(c, CS, ACCESS_L), !access_bit(c, CS, ACCESS_DB)),
                    VMCS_GUEST_CS_ACCESS_RIGHTS,
                    "for CS, bit 14 (D/B) must be 0 if the guest will be IA-32e mode and the L bit (bit 13) is 1");
}

/* ---- system segments ---- */

static bool check_tr(struct check *c)
{
    uint32_t t = type(c, TR);
    return vmx_rule(c, t == TYPE_BUSY_TSS || (!c->long_mode && t == TYPE_BUSY_TSS_16), VMCS_GUEST_TR_ACCESS_RIGHTS,
                    "the Type must be 11 (32-bit or 64-bit busy TSS), or 3 (16-bit busy TSS) if the guest will not be "
                    "IA-32e mode") &&
           vmx_rule(c, !access_bit(c, TR, ACCESS_S), VMCS_GUEST_TR_ACCESS_RIGHTS, "bit 4 (S) must be 0") &&
           rule_present(c, TR) && rule_reserved(c, TR) && rule_granularity(c, TR) &&
           vmx_rule(c, usable(c, TR), VMCS_GUEST_TR_ACCESS_RIGHTS, "bit 16 (unusable) must be 0");
}

static bool check_ldtr(struct check *c)
{
    if (!usable(c, LDTR)) {
        return true;
    }
    return vmx_rule(c, type(c, LDTR) == TYPE_LDT, VMCS_GUEST_LDTR_ACCESS_RIGHTS, "the Type must be 2 (LDT)") &&
           vmx_rule(c, !access_bit(c, LDTR, ACCESS_S), VMCS_GUEST_LDTR_ACCESS_RIGHTS, "bit 4 (S) must be 0") &&
           rule_present(c, LDTR) && rule_reserved(c, LDTR) && rule_granularity(c, LDTR);
}

bool vmx_check_guest_segments(struct check *c)
{
    c->section = "27.3.1.2";
    return check_selectors(c) && check_bases(c) && (c->virtual_8086 ? check_virtual_8086(c) : check_protected(c)) &&
           check_tr(c) && check_ldtr(c);
}
