// SPDX-License-Identifier: Apache-2.0
// The debugger's protocol against a target that is only pretended, and the walk through a guest's page tables.
// links: vmm/personalities/monitor/gdb_commands.c vmm/personalities/monitor/gdb_packets.c
// links: vmm/personalities/monitor/gdb_registers.c vmm/personalities/lib/devices/page_walk.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "devices/page_walk.h"
#include "vmm/personalities/monitor/gdb_registers.h"

enum { MEMORY = 4096, BASE = 0x1000, SENT = 8192 };

static struct {
    uint8_t memory[MEMORY];
    struct pv_guest_registers registers;
    char sent[SENT];
    size_t sent_size;
    int resumed, interrupted, detached, stepped;
    uint32_t stepped_vcpu;
    bool stepped_alone, fails;
} target;
static struct gdb gdb;

static void send(void *context, const char *bytes, size_t size)
{
    (void)context;
    assert_true(target.sent_size + size < SENT);
    memcpy(target.sent + target.sent_size, bytes, size);
    target.sent_size += size;
    target.sent[target.sent_size] = '\0';
}

static size_t vcpus(void *context, uint32_t *list, size_t room)
{
    (void)context;
    const uint32_t there[] = {0, 3};
    for (size_t i = 0; i < 2 && i < room; i++)
        list[i] = there[i];
    return 2;
}

static bool read_registers(void *context, uint32_t vcpu, struct pv_guest_registers *registers)
{
    (void)context;
    *registers = target.registers;
    registers->gpr[PV_RBX] = vcpu;
    return !target.fails;
}

static bool write_registers(void *context, uint32_t vcpu, const struct pv_guest_registers *registers)
{
    (void)context, (void)vcpu;
    target.registers = *registers;
    return !target.fails;
}

static bool there(uint64_t address, size_t size)
{
    return address >= BASE && address - BASE < MEMORY && size <= MEMORY - (address - BASE);
}

static bool read_memory(void *context, uint32_t vcpu, uint64_t address, void *bytes, size_t size)
{
    (void)context, (void)vcpu;
    if (!there(address, size))
        return false;
    memcpy(bytes, target.memory + (address - BASE), size);
    return true;
}

static bool write_memory(void *context, uint32_t vcpu, uint64_t address, const void *bytes, size_t size)
{
    (void)context, (void)vcpu;
    if (!there(address, size))
        return false;
    memcpy(target.memory + (address - BASE), bytes, size);
    return true;
}

static bool go_on(void *context)
{
    (void)context;
    target.resumed++;
    return !target.fails;
}

static bool step(void *context, uint32_t vcpu, bool alone)
{
    (void)context;
    target.stepped++;
    target.stepped_vcpu = vcpu;
    target.stepped_alone = alone;
    return !target.fails;
}

static void interrupt(void *context)
{
    (void)context;
    target.interrupted++;
}

static void detached(void *context)
{
    (void)context;
    target.detached++;
}

static int setup(void **state)
{
    (void)state;
    const struct gdb_target functions = {.send = send,
                                         .vcpus = vcpus,
                                         .read_registers = read_registers,
                                         .write_registers = write_registers,
                                         .read_memory = read_memory,
                                         .write_memory = write_memory,
                                         .go_on = go_on,
                                         .step = step,
                                         .interrupt = interrupt,
                                         .detached = detached};
    memset(&target, 0, sizeof(target));
    gdb_init(&gdb, &functions);
    return 0;
}

static void receive(const char *bytes)
{
    target.sent_size = 0;
    target.sent[0] = '\0';
    gdb_receive(&gdb, bytes, strlen(bytes));
}

/// Sends a packet with its checksum.
static void ask(const char *packet)
{
    char line[4096];
    uint8_t sum = 0;
    for (const char *c = packet; *c; c++)
        sum = (uint8_t)(sum + (uint8_t)*c);
    snprintf(line, sizeof(line), "$%s#%02x", packet, sum);
    receive(line);
}

/// The packet is acknowledged and answered like that.
static void asks(const char *packet, const char *expected)
{
    char line[4096];
    uint8_t sum = 0;
    for (const char *c = expected; *c; c++)
        sum = (uint8_t)(sum + (uint8_t)*c);
    snprintf(line, sizeof(line), "+$%s#%02x", expected, sum);
    ask(packet);
    assert_string_equal(target.sent, line);
}

static void test_packets(void **state)
{
    (void)state;
    asks("qAttached", "1");
    receive("-"); // the answer was not understood
    assert_string_equal(target.sent, "$1#31");
    receive("$qAttached#00");
    assert_string_equal(target.sent, "-");
    receive("$qAttac$qC#b4"); // a lost end
    assert_string_equal(target.sent, "+$QC1#c5");
    receive("$qC#zz");
    assert_string_equal(target.sent, "-");
    receive("noise#00+");
    assert_string_equal(target.sent, "");
    asks("nonsense", "");
    asks("QStartNoAckMode", "OK");
    ask("qC");
    assert_string_equal(target.sent, "$QC1#c5");
    ask("qSupported"); // somebody else is there now
    assert_memory_equal(target.sent, "+$PacketSize=4b0;", 17);
}

static void test_long_packet(void **state)
{
    (void)state;
    char packet[GDB_PACKET + 2];
    memset(packet, 'q', sizeof(packet) - 1);
    packet[sizeof(packet) - 1] = '\0';
    ask(packet);
    assert_string_equal(target.sent, "-");
    packet[GDB_PACKET] = '\0';
    asks(packet, "");
}

static void test_description(void **state)
{
    (void)state;
    char whole[8192] = "";
    size_t size = 0;
    do {
        char packet[64];
        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,400", size);
        ask(packet);
        const size_t part = target.sent_size - 6; // +$m...#xx
        memcpy(whole + size, target.sent + 3, part);
        size += part;
    } while (target.sent[2] == 'm');
    assert_int_equal(size, strlen(gdb_target_xml));
    assert_string_equal(whole, gdb_target_xml);
    size_t registers = 0;
    for (const char *at = whole; (at = strstr(at, "<reg ")) != NULL; at++)
        registers++;
    assert_int_equal(registers, GDB_REGISTERS);
    asks("qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff", "l");
    asks("qXfer:features:read:target.xml:1", "E01");
}

static void test_threads(void **state)
{
    (void)state;
    asks("qfThreadInfo", "m1,4");
    asks("qsThreadInfo", "l");
    asks("Hg4", "OK");
    asks("qC", "QC4");
    asks("Hg2", "E01");
    asks("H", "E01");
    asks("T4", "OK");
    asks("T7", "E01");
    asks("p1", "0300000000000000"); // rbx, of vcpu 3
    asks("Hg-1", "OK");
    asks("qC", "QC4");
}

static void test_registers(void **state)
{
    (void)state;
    target.registers.rip = 0xffffffff81000000;
    target.registers.rflags = 0x246;
    target.registers.selector[PV_CS] = 0x10;
    target.registers.efer = 0xd01;
    asks("p10", "00000081ffffffff");
    asks("p11", "46020000");
    asks("p12", "10000000");
    asks("p2d", "010d000000000000");
    asks("p18", "xxxxxxxxxxxxxxxxxxxx"); // st0
    asks("p2e", "E01");
    asks("p", "E01");
    asks("P10=7856341200000000", "OK");
    assert_int_equal(target.registers.rip, 0x12345678);
    asks("P12=10000000", "E01"); // selectors stay
    asks("P10=78", "E01");
    ask("g");
    size_t digits = 0;
    for (uint64_t i = 0; i < GDB_REGISTERS; i++)
        digits += gdb_register_digits(i);
    assert_int_equal(target.sent_size, digits + 5);
    char packet[GDB_PACKET];
    snprintf(packet, sizeof(packet), "G%.*s", (int)digits, target.sent + 2);
    packet[1] = '5'; // rax
    asks(packet, "OK");
    assert_int_equal(target.registers.gpr[PV_RAX], 0x50);
    target.fails = true;
    asks("g", "E01");
}

static void test_memory(void **state)
{
    (void)state;
    memcpy(target.memory, "\x55\x48\x89\xe5", 4);
    asks("m1000,4", "554889e5");
    asks("m1000,0", "");
    asks("m0,4", "E0e");
    asks("m1000", "E01");
    asks("mfffffffffffffffff,1", "E01");
    asks("M1001,2:9090", "OK");
    assert_memory_equal(target.memory, "\x55\x90\x90\xe5", 4);
    asks("M1001,2:90", "E01");
    asks("M0,1:90", "E0e");
    asks("M1000,ffffffffffffffff:90", "E01");
    ask("m1000,ffffffffffffffff");
    assert_int_equal(target.sent_size, 2 * GDB_MEMORY_MAX + 5);
}

static void test_breakpoints(void **state)
{
    (void)state;
    memcpy(target.memory, "\x55\x48\x89\xe5", 4);
    asks("Z0,1001,1", "OK");
    asks("Z0,1001,1", "OK");
    assert_memory_equal(target.memory, "\x55\xcc\x89\xe5", 4);
    assert_true(gdb_has_breakpoint(&gdb, 0x1001));
    asks("m1000,4", "554889e5");  // hidden
    asks("M1000,3:112233", "OK"); // and it stays
    assert_memory_equal(target.memory, "\x11\xcc\x33\xe5", 4);
    asks("z0,1001,1", "OK");
    assert_memory_equal(target.memory, "\x11\x22\x33\xe5", 4);
    asks("z0,1001,1", "OK");
    asks("Z0,0,1", "E0e");
    asks("Z1,1000,1", "");
    asks("Z0,x", "E01");
    asks("Z0,1002,1", "OK");
    target.memory[2] = 0x77; // the guest wrote its code anew
    asks("z0,1002,1", "OK");
    assert_int_equal(target.memory[2], 0x77);
    for (uint64_t i = 0; i <= GDB_BREAKPOINTS; i++) {
        char packet[32];
        snprintf(packet, sizeof(packet), "Z0,%x,1", (unsigned)(0x1100 + i));
        asks(packet, i < GDB_BREAKPOINTS ? "OK" : "E0e");
    }
    asks("D", "OK");
    assert_int_equal(target.detached, 1);
    for (size_t i = 0x100; i < MEMORY; i++)
        assert_int_equal(target.memory[i], 0);
}

static void test_running(void **state)
{
    (void)state;
    asks("?", "T05thread:1;");
    assert_int_equal(target.interrupted, 1);
    receive("\x03"); // it stands already
    assert_int_equal(target.interrupted, 1);
    ask("c");
    assert_string_equal(target.sent, "+");
    assert_int_equal(target.resumed, 1);
    receive("\x03");
    assert_string_equal(target.sent, "$T02thread:1;#d4");
    assert_int_equal(target.interrupted, 2);
    ask("vCont;c");
    target.sent_size = 0;
    gdb_stopped(&gdb, 3, PV_STOP_BREAKPOINT);
    assert_memory_equal(target.sent, "$T05thread:4;swbreak:;#", 23);
    target.sent_size = 0;
    gdb_stopped(&gdb, 3, PV_STOP_BREAKPOINT); // told already
    assert_int_equal(target.sent_size, 0);
    ask("vCont;s:4;c");
    assert_true(target.stepped == 1 && target.stepped_vcpu == 3 && !target.stepped_alone);
    gdb_stopped(&gdb, 3, PV_STOP_STEP);
    ask("vCont;s:1");
    assert_true(target.stepped == 2 && target.stepped_vcpu == 0 && target.stepped_alone);
    gdb_gone(&gdb);
    asks("vCont?", "vCont;c;C;s;S");
    asks("vCont", "E01");
    asks("vCont;x", "E01");
    asks("vCont;s:zz", "E01");
    target.fails = true;
    asks("c", "E01");
    asks("s", "E01");
}

/* ---- page tables ---- */

enum { TABLES = 6, ENTRIES = 512 };
static uint64_t tables[TABLES][ENTRIES]; ///< at guest-physical 0x1000, 0x2000, ...

static bool read_table(void *context, uint64_t gpa, void *bytes, size_t size)
{
    (void)context;
    assert_true(gpa % 4096 + size <= 4096);
    if (gpa < 0x1000 || gpa >= 0x1000 * (TABLES + 1))
        return false;
    memcpy(bytes, (char *)tables + (gpa - 0x1000), size);
    return true;
}

static uint64_t walk(const struct pv_guest_registers *registers, uint64_t address)
{
    const struct pv_guest_registers *r = registers;
    const struct page_walk w = {.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer, .read = read_table};
    uint64_t gpa;
    return page_walk(&w, address, &gpa) ? gpa : UINT64_MAX;
}

static void test_walk_long(void **state)
{
    (void)state;
    memset(tables, 0, sizeof(tables));
    struct pv_guest_registers r = {.cr0 = 0x80000001, .cr3 = 0x1018, .cr4 = 0x20, .efer = 0xd00};
    tables[0][511] = 0x2003;
    tables[1][510] = 0x3003;
    tables[1][1] = 0xc0000083 | 1ull << 63; // 1 GiB
    tables[2][8] = 0x4003;
    tables[2][9] = 0x12600083; // 2 MiB
    tables[3][5] = 0xabcde067;
    assert_int_equal(walk(&r, 0xffffffff81005123), 0xabcde123);
    assert_int_equal(walk(&r, 0xffffffff81345678), 0x12745678);
    assert_int_equal(walk(&r, 0xffffff8040001234), 0xc0001234);
    assert_int_equal(walk(&r, 0xffffffff81006000), UINT64_MAX);
    assert_int_equal(walk(&r, 0x0000ffff81005123), UINT64_MAX); // not canonical
    tables[2][8] = 0x99999003;                                  // a table that is nowhere
    assert_int_equal(walk(&r, 0xffffffff81005123), UINT64_MAX);
    r.cr4 |= 0x1000; // 5 levels: one more above
    tables[4][511] = 0x1003;
    r.cr3 = 0x5000;
    assert_int_equal(walk(&r, 0xffffffff81345678), 0x12745678);
    assert_int_equal(walk(&r, 0xfe00000000000000), UINT64_MAX);
}

static void test_walk_32(void **state)
{
    (void)state;
    memset(tables, 0, sizeof(tables));
    struct pv_guest_registers r = {.cr0 = 1, .cr3 = 0x1000};
    assert_int_equal(walk(&r, 0xffff0000fff01234), 0xfff01234); // no paging: an address has 32 bits
    r.cr0 = 0x80000001;
    uint32_t *directory = (uint32_t *)tables[0], *table = (uint32_t *)tables[1];
    directory[0x301] = 0x2003;
    directory[0x302] = 0x0cc02083; // 4 MiB, address bit 32
    table[0x45] = 0x00777003;
    assert_int_equal(walk(&r, 0xc0445678), 0x00777678);
    assert_int_equal(walk(&r, 0xc0446678), UINT64_MAX);
    r.cr4 = 0x10;
    assert_int_equal(walk(&r, 0xc0812345), 0x10cc12345);
    r.cr4 = 0x20; // PAE
    r.cr3 = 0x1020;
    tables[0][4 + 3] = 0x3001;
    tables[2][2] = 0x4003;
    tables[2][3] = 0x7e00083;
    tables[3][0x45] = 0x123456003 | 1ull << 63;
    assert_int_equal(walk(&r, 0xc0445678), 0x123456678);
    assert_int_equal(walk(&r, 0xc0654321), 0x7e54321);
    assert_int_equal(walk(&r, 0x00000000), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_packets, setup),
        cmocka_unit_test_setup(test_long_packet, setup),
        cmocka_unit_test_setup(test_description, setup),
        cmocka_unit_test_setup(test_threads, setup),
        cmocka_unit_test_setup(test_registers, setup),
        cmocka_unit_test_setup(test_memory, setup),
        cmocka_unit_test_setup(test_breakpoints, setup),
        cmocka_unit_test_setup(test_running, setup),
        cmocka_unit_test(test_walk_long),
        cmocka_unit_test(test_walk_32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
