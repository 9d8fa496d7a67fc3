// SPDX-License-Identifier: Apache-2.0
// The shell's commands about guests and time, against a multiplexer that is only pretended.
// links: tests/unit/shell_session.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmcs_fields.h"
#include "shell_session.h"
#include "vmm/personalities/monitor/out.h"

enum { TINY = 3 };

static void set_field(uint32_t encoding, uint64_t value)
{
    assert_true(fake.field_count < FAKE_FIELDS);
    fake.fields[fake.field_count++] = (struct fake_field){.encoding = encoding, .value = value};
}

static void expect_change(uint64_t operation, uint64_t argument, uint64_t value)
{
    assert_int_equal(fake.last_operation, operation);
    assert_int_equal(fake.last_argument, argument);
    assert_int_equal(fake.last_value, value);
}

/// Expects an error, and that nothing was changed.
static void expect_refused(const char *command, const char *expected)
{
    fake.last_operation = 0;
    expect(command, expected);
    assert_int_equal(fake.last_operation, 0);
}

static void tells_of_time_and_guests(void **state)
{
    (void)state;
    struct pv_core_info *core = &fake.cores[1];
    core->ticks_guest = 612;
    core->ticks_ring3 = 31;
    core->ticks_mux = 20;
    core->ticks_idle = 337;
    core->switches = 77;
    expect("cores", "   1    2  vmx        1      0        77          0   61.2%    3.1%    2.0%   33.7%\n");
    expect_json("cores --json",
                "\"ticks_total\":1000,\"ticks_idle\":337,\"ticks_mux\":20,\"ticks_guest\":612,\"ticks_ring3\":31,");
    struct pv_personality_info *tiny = &fake.personalities[TINY];
    tiny->state = PV_STATE_PAUSED;
    tiny->ticks_guest = UINT64_C(59125000000);
    tiny->ticks_ring3 = UINT64_C(2000000000000);
    tiny->exits_absorbed = 5;
    tiny->exits_delivered = 6;
    tiny->switches = 78;
    expect("ps", " 3 tiny         paused   0-1        100 16 MiB        2       78  59.125    2000\n");
    expect("ps tiny", "vcpus        2\nexits        5 absorbed, 6 delivered\nswitches     78\n"
                      "guest        59125000000 ticks (59.125 s)\nring 3       2000000000000 ticks (2000 s)\n");
    expect_json("ps tiny --json", "\"state\":\"paused\",");
    expect_json("ps tiny --json", "\"vcpus\":2,\"switches\":78,\"ticks_guest\":59125000000,"
                                  "\"ticks_ring3\":2000000000000,\"exits_absorbed\":5,\"exits_delivered\":6,");
}

static void lists_agents(void **state)
{
    (void)state;
    fake.agent_count = 2;
    fake.agents[0] = (struct pv_agent_info){.name = "monitor", .state = PV_AGENT_RUNNING};
    fake.agents[1] = (struct pv_agent_info){.personality = TINY,
                                            .agent = 1,
                                            .core = 1,
                                            .state = PV_AGENT_WAITING,
                                            .switches = 7,
                                            .ticks = 1500000000,
                                            .ticks_guest = 1125000000,
                                            .ticks_ring3 = 250000000,
                                            .syscalls = 8,
                                            .name = "tiny"};
    expect("agents", "monitor/0           0 running         0        0    0.000    0.000    0.000\n"
                     "tiny/1              1 waiting         7        8    1.500    1.125    0.250\n");
    expect_not("agents tiny", "monitor");
    expect("agents nobody", "agents: there is no personality 'nobody'; ps lists them\n");
    expect_json("agents tiny --json",
                "{\"left_out\":0,\"agents\":[{\"personality\":\"tiny\",\"agent\":1,\"core\":1,"
                "\"state\":\"waiting\",\"switches\":7,\"syscalls\":8,\"ticks\":1500000000,\"ticks_guest\":1125000000,"
                "\"ticks_ring3\":250000000}]}");
}

static void lists_ports(void **state)
{
    (void)state;
    expect("net", "no personality is on a virtual switch: the configuration has no 'net'\n");
    expect_json("net --json", "{\"ports\":[]}");
    fake.port_count = 2;
    fake.ports[0] = (struct pv_net_info){.up = 1, .address = {2, 0x50, 0x56, 0, 0, 1}, .name = "linux", .net = "lan"};
    fake.ports[0].counters = (struct pv_net_counters){1, 2, 3, 4, 5, 6, 7};
    fake.ports[1] =
        (struct pv_net_info){.waiting = 7, .address = {2, 0x50, 0x56, 0, 1, 255}, .name = "tiny", .net = "lan"};
    expect("net",
           "lan          linux        02:50:56:00:00:01 up          1        2        0        5        7        6\n"
           "lan          tiny         02:50:56:00:01:ff down        0        0        7        0        0        0\n");
    expect_json(
        "net --json",
        "{\"switch\":\"lan\",\"personality\":\"linux\",\"address\":\"02:50:56:00:00:01\",\"up\":true,"
        "\"sent\":1,\"bytes_sent\":3,\"received\":2,\"bytes_received\":4,\"waiting\":0,\"dropped\":5,\"unknown\":7,"
        "\"forged\":6}");
}

static void lists_devices(void **state)
{
    (void)state;
    expect("devices tiny", "tiny lists no devices\n");
    fake.devices[0] = (struct pv_device){.name = "uart",
                                         .place = "port 0x3f8, irq 4",
                                         .reads = 1,
                                         .writes = 2,
                                         .interrupts = 3,
                                         .bytes_in = 4,
                                         .bytes_out = 5};
    fake.devices[1] = (struct pv_device){.name = "lapic 0"};
    fake.device_count = 2;
    expect("devices tiny",
           "device           place                       reads     writes interrupts   bytes in  bytes out\n"
           "uart             port 0x3f8, irq 4               1          2          3          4          5\n"
           "lapic 0                                          0          0          0          0          0\n");
    expect_json(
        "devices tiny --json",
        "{\"personality\":\"tiny\",\"devices\":[{\"device\":\"uart\",\"place\":\"port 0x3f8, irq 4\",\"reads\":1,"
        "\"writes\":2,\"interrupts\":3,\"bytes_in\":4,\"bytes_out\":5},{\"device\":\"lapic 0\",");
    expect("devices", "NAME");
    expect("devices nobody", "devices: there is no personality 'nobody'");
}

static void lists_vcpus(void **state)
{
    (void)state;
    fake.vcpus[1].running = 1;
    fake.vcpus[1].run_time = 1500000000;
    fake.vcpus[1].absorbed = 7;
    fake.vcpus[1].delivered = 8;
    fake.vcpus[1].moves = 9;
    expect("vcpus", "tiny/0              0 no        0  257     0.000         0         0     0 0x1000\n"
                    "tiny/3              1 yes       0  260     1.500         7         8     9 0x1000\n");
    expect("vcpus tiny", "tiny/3");
    expect_not("vcpus monitor", "tiny");
    expect("vcpus nobody", "vcpus: there is no personality 'nobody'; ps lists them\n");
    expect_json("vcpus --json", "{\"left_out\":0,\"vcpus\":[{\"personality\":\"tiny\",\"vcpu\":0,\"core\":0,"
                                "\"running\":false,\"space\":0,\"vpid\":257,\"run_time\":0,");
    expect_json("vcpus tiny --json", "\"run_time\":1500000000,\"exits_absorbed\":7,\"exits_delivered\":8,\"moves\":9,"
                                     "\"rip\":\"0x1000\"}]}");
    expect_json("vcpus monitor --json", "{\"left_out\":0,\"vcpus\":[]}");
}

static void shows_a_field(void **state)
{
    (void)state;
    set_field(VMCS_GUEST_RIP, 0x7c00);
    set_field(VMCS_PRIMARY_CONTROLS, PRIMARY_HLT | 2);
    set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b);
    fake.fields[fake.field_count++] = (struct fake_field){.encoding = VMCS_TERTIARY_CONTROLS, .lacking = true};
    out_settings.pager = false;
    expect("vmcs tiny/3 guest_rip",
           "guest_rip = 0x0000000000007c00\n  natural-width guest-state field, encoding 0x681e\n");
    expect("vmcs tiny/3 GUEST_RIP", "guest_rip = 0x0000000000007c00\n");
    expect("vmcs tiny/3 0x681e", "guest_rip = 0x0000000000007c00\n");
    expect("vmcs tiny/3 primary_controls",
           "primary_controls = 0x00000082\n  32-bit control field, encoding 0x4002\n"
           "   1  yes (no name here)\n   2  no  interrupt-window exiting\n   3  no  use TSC offsetting\n"
           "   7  yes HLT exiting\n");
    expect("vmcs tiny/3 guest_cs_access_rights", "  code rx accessed\n  DPL 0\n  64-bit\n  4K units\n");
    expect_json("vmcs tiny/3 primary_controls --json",
                "{\"personality\":\"tiny\",\"vcpu\":3,\"core\":1,\"running\":false,\"lacking\":0,\"fields\":{"
                "\"primary_controls\":{\"value\":\"0x82\",\"encoding\":\"0x4002\",\"kind\":\"control\","
                "\"means\":[\"HLT exiting\",\"other bits 0x2\"]}}}");
    expect("vmcs tiny/3 tertiary_controls", "vmcs: this processor has no field tertiary_controls\n");
}

static void shows_a_whole_vmcs(void **state)
{
    (void)state;
    set_field(VMCS_GUEST_CS_SELECTOR, 0xf000);
    set_field(VMCS_GUEST_CS_BASE, 0xffff0000);
    set_field(VMCS_GUEST_CS_LIMIT, 0xffff);
    set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b);
    set_field(VMCS_GUEST_ACTIVITY, ACTIVITY_HLT);
    set_field(VMCS_EXIT_REASON, EXIT_REASON_IO);
    set_field(VMCS_EXIT_QUALIFICATION, 0xe90000);
    set_field(VMCS_PIN_CONTROLS, PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_PREEMPTION_TIMER);
    fake.fields[fake.field_count++] = (struct fake_field){.encoding = VMCS_TERTIARY_CONTROLS, .lacking = true};
    out_settings.pager = false;
    expect("vmcs tiny/0", "\n  vm_instruction_error           0x00000000 none\n"); // as it was before anything was read
    expect("vmcs tiny/0", "tiny/0: core 0, space 0, VPID 257, not in vcpu_run\n\nguest-state fields\n");
    expect("vmcs tiny/0", "\n  guest_activity                 0x00000001 HLT\n");
    expect("vmcs tiny/0", "\n  cs     f000     00000000ffff0000 0000ffff 0009b code rx accessed, DPL 0, 16-bit\n");
    expect("vmcs tiny/0", "\n  gdtr            0000000000000000 00000000\n");
    expect("vmcs tiny/0", "\n  exit_qualification             0x0000000000e90000 out 1 byte, port 0xe9\n");
    expect("vmcs tiny/0", "\n  pin_controls                   0x00000049\n"
                          "      external-interrupt exiting, NMI exiting, activate VMX-preemption timer\n");
    expect("vmcs tiny/0", "\n1 field that this processor does not have left out\n");
    expect_not("vmcs tiny/0", "tertiary_controls");
    expect_not("vmcs tiny/0", "guest_cs_limit"); // it stands in the table
    expect_not("vmcs tiny/0 control", "guest_activity");
    expect("vmcs tiny/0 host-state", "host_rip");
    expect_json("vmcs tiny/0 --json", "\"exit_reason\":{\"value\":\"0x1e\",\"encoding\":\"0x4402\","
                                      "\"kind\":\"exit-information\",\"means\":[\"I/O instruction\"]},");
    expect_json("vmcs tiny/0 --json", "\"guest_cs_limit\":{\"value\":\"0xffff\"");
}

static void finds_a_moving_vcpu(void **state)
{
    (void)state;
    fake.vmcs_moves = 3;
    expect("vmcs tiny/0 guest_rip", "guest_rip = ");
    fake.vmcs_moves = 1000;
    expect("vmcs tiny/0 guest_rip", "vmcs: tiny/0 has ended\n");
}

static void explains_mistakes_about_vcpus(void **state)
{
    (void)state;
    expect("vmcs", "vmcs: needs more arguments: vmcs ID [FIELD|KIND] [--json]\n");
    expect("vmcs tiny", "vmcs: 'tiny' is no vcpu: expected NAME/NUMBER, such as tiny/0; vcpus lists them\n");
    expect("vmcs tiny/", "'tiny/' is no vcpu");
    expect("vmcs /0", "'/0' is no vcpu");
    expect("vmcs tiny/0x", "'tiny/0x' is no vcpu");
    expect("vmcs tiny/1", "vmcs: there is no vcpu 'tiny/1'; vcpus lists them\n");
    expect("vmcs tin/0", "vmcs: there is no vcpu 'tin/0'; vcpus lists them\n");
    expect("vmcs tiny/0 guest_rap", "vmcs: there is no field 'guest_rap'; Tab lists them\n");
    expect("vmcs tiny/0 0x681f", "vmcs: there is no field '0x681f'; Tab lists them\n");
    expect_json("exits tiny/9 --json", "{\"error\":\"exits: there is no vcpu 'tiny/9'; vcpus lists them\"}");
    expect("exits nobody", "exits: there is no personality 'nobody'; ps lists them\n");
}

static void counts_exits(void **state)
{
    (void)state;
    fake.exits[0].absorbed[EXIT_REASON_CPUID] = 10;
    fake.exits[0].delivered[EXIT_REASON_IO] = 4;
    fake.exits[1].delivered[EXIT_REASON_CPUID] = 3;
    fake.exits[1].absorbed[PV_EXIT_REASONS - 1] = 1;
    expect("exits", "\n 10 CPUID                                               10            3\n"
                    " 30 I/O instruction                                      0            4\n"
                    " 79 this and all higher ones                             1            0\n"
                    "    all                                                 11            7\nof 2 vcpus\n");
    expect("exits tiny", "of 2 vcpus\n");
    expect("exits monitor", "    all                                                  0            0\nof 0 vcpus\n");
    expect_not("exits tiny/0", "vcpus");
    expect("exits tiny/3", "\n 10 CPUID                                                0            3\n"
                           " 79 this and all higher ones                             1            0\n");
    expect_json("exits --json", "{\"vcpus\":2,\"absorbed\":11,\"delivered\":7,\"exits\":[{\"reason\":10,"
                                "\"name\":\"CPUID\",\"absorbed\":10,\"delivered\":3},");
    expect_json("exits tiny/0 --json", "{\"personality\":\"tiny\",\"vcpu\":0,\"vcpus\":1,\"absorbed\":10,"
                                       "\"delivered\":4,\"exits\":[");
}

static void shows_scheduling(void **state)
{
    (void)state;
    expect("sched", "policy  weighted\nslice   1.000 ms (999999 ticks)\n\nname             state    weight cores\n"
                    "monitor          running     100 0-1\n");
    fake.sched.policy = PV_POLICY_FRAME;
    fake.sched.frame_slots = 5;
    expect("sched", "policy  frame\nslice   1.000 ms (999999 ticks)\nframe   5 slots in the configuration's table\n");
    expect_json("sched --json", "{\"policy\":\"frame\",\"slice_us\":1000,\"slice_ticks\":999999,\"frame_slots\":5,"
                                "\"personalities\":[{\"name\":\"monitor\",\"state\":\"running\",\"weight\":100,"
                                "\"cores\":[0,1]},");
}

static void changes_scheduling(void **state)
{
    (void)state;
    expect("sched policy frame", "policy: frame\n");
    expect_change(PV_DEBUG_POLICY, PV_POLICY_FRAME, 0);
    fake.sched.policy = PV_POLICY_FRAME;
    expect("sched slice 2500us", "slice: 2.500 ms\n");
    expect_change(PV_DEBUG_POLICY, PV_POLICY_FRAME, 2500);
    expect("sched slice 1s", "slice: 1000.000 ms\n");
    expect_change(PV_DEBUG_POLICY, PV_POLICY_FRAME, 1000000);
    expect("sched policy weighted", "policy: weighted\n");
    expect_change(PV_DEBUG_POLICY, PV_POLICY_WEIGHTED, 0);
    expect("sched weight tiny 10000", "tiny: weight 10000\n");
    expect_change(PV_DEBUG_WEIGHT, TINY, 10000);
    expect_json("sched weight tiny 1 --json", "{\"policy\":\"frame\",");
    expect_change(PV_DEBUG_WEIGHT, TINY, 1);
    fake.control_result = PV_ERR_UNSUPPORTED;
    expect("sched policy frame", "sched: the configuration has no frame table\n");
    fake.control_result = PV_ERR_STATE;
    expect("sched slice 1ms", "sched: slice: 1.000 ms: the multiplexer answered PV_ERR_STATE (-7)\n");
}

static void refuses_wrong_scheduling(void **state)
{
    (void)state;
    expect_refused("sched x", "sched: needs a value for x\n");
    expect_refused("sched x y", "sched: there is no setting 'x': policy, slice, weight\n");
    expect_refused("sched policy fair", "sched: there is no policy 'fair': weighted, frame\n");
    expect_refused("sched policy frame now", "sched: has no use for 'now'\n");
    expect_refused("sched slice 99us", "sched: slice '99us': expected a time from 100us to 1s, such as 500us or 2ms\n");
    expect_refused("sched slice 1001ms", "expected a time from 100us to 1s");
    expect_refused("sched slice 5", "expected a time from 100us to 1s");
    expect_refused("sched weight tiny", "sched: needs a personality and its weight: sched weight NAME N\n");
    expect_refused("sched weight nobody 5", "sched: there is no personality 'nobody'; ps lists them\n");
    expect_refused("sched weight tiny 0", "sched: weight 0: expected 1 to 10000\n");
    expect_refused("sched weight tiny 10001", "sched: weight 10001: expected 1 to 10000\n");
    expect_refused("sched weight tiny x", "sched: weight 'x': expected a decimal number");
    expect_refused("sched weight tiny 1 2", "sched: has no use for '2'");
}

static void pauses_and_resumes(void **state)
{
    (void)state;
    expect("pause tiny", "tiny: paused\n");
    expect_change(PV_DEBUG_PAUSE, TINY, 0);
    expect_refused("resume tiny", "resume: tiny is not paused\n");
    fake.personalities[TINY].state = PV_STATE_PAUSED;
    expect("resume tiny", "tiny: resumed\n");
    expect_change(PV_DEBUG_RESUME, TINY, 0);
    expect_refused("pause nobody", "pause: there is no personality 'nobody'");
    fake.control_result = PV_ERR_DENIED;
    expect("pause monitor", "pause: monitor is the monitor, and this is its shell\n");
    fake.control_result = PV_ERR_STATE;
    expect("pause done", "pause: done is not running\n");
    expect("resume done", "resume: done is not running\n");
}

static void pins(void **state)
{
    (void)state;
    expect("pin tiny 1", "tiny: on cores 0-1\n"); // as the multiplexer then says
    expect_change(PV_DEBUG_PIN, TINY, 2);
    expect("pin tiny 0-1", "tiny: on cores 0-1\n");
    expect_change(PV_DEBUG_PIN, TINY, 3);
    expect("pin tiny all", "tiny: on cores");
    expect_change(PV_DEBUG_PIN, TINY, 3);
    expect_refused("pin tiny", "pin: needs more arguments: pin NAME CORES\n");
    expect_refused("pin tiny 1-0", "pin: '1-0' are no cores: expected a list such as 0-2,5, or all\n");
    expect_refused("pin tiny 0-2,5", "pin: these do not run: 2,5; cores lists those that do\n");
    expect_refused("pin nobody 0", "pin: there is no personality 'nobody'");
    fake.core_count = 3;
    fake.cores[2] = (struct pv_core_info){.core = 2, .state = PV_CORE_ABSENT};
    expect_refused("pin tiny 2", "pin: these do not run: 2; cores lists those that do\n");
    expect("pin tiny all", "tiny: on cores");
    expect_change(PV_DEBUG_PIN, TINY, 3);
    fake.control_result = PV_ERR_STATE;
    expect("pin tiny 0", "pin: tiny is still moving; try again\n");
    fake.control_result = PV_ERR_UNSUPPORTED;
    expect("pin tiny 0", "pin: tiny needs VMX, which not all of these cores have\n");
}

/// Of the next second, core 0 spends three quarters in tiny's guests.
static void let_a_second_pass(void)
{
    fake.cores[0].ticks_total += 1000000000;
    fake.cores[0].ticks_guest += 750000000;
    fake.cores[0].ticks_idle += 250000000;
    fake.cores[0].switches += 20;
    fake.cores[0].interrupts += 30;
    fake.personalities[TINY].ticks_guest += 750000000;
    fake.personalities[TINY].exits_absorbed += 40;
    fake.personalities[TINY].exits_delivered += 50;
    fake.personalities[TINY].switches += 10;
}

static void watches(void **state)
{
    (void)state;
    fake.second = let_a_second_pass;
    session("top\r" PAUSE SECOND "qversion\r");
    expect_printed("measuring for a second; any key ends this\n\x1b[Hup ");
    expect_printed(" s; policy weighted, slice 1.000 ms; any key ends this\x1b[K\n");
    expect_printed("\n   0   75.0%    0.0%    0.0%   25.0%          20            30\x1b[K\n");
    expect_printed("\n   1    0.0%    0.0%    0.0%    0.0%           0             0\x1b[K\n\x1b[K\n");
    // Who used most comes first.
    expect_printed(
        "delivered/s\x1b[K\ntiny           running     100 0-1       75.0%    0.0%         40          50\x1b[K\n"
        "monitor        running     100 0-1        0.0%    0.0%          0           0\x1b[K\n");
    expect_printed("\x1b[J\npolyvisor> version\nPolyvisor 1.0-test"); // the key was taken, the rest was not
}

/// After a second with guests, core 0 is idle.
static void let_a_busy_second_pass_first(void)
{
    if (fake.cores[0].ticks_guest == 0)
        let_a_second_pass();
    else {
        fake.cores[0].ticks_total += 1000000000;
        fake.cores[0].ticks_idle += 1000000000;
    }
}

static void watches_on(void **state)
{
    (void)state;
    fake.second = let_a_busy_second_pass_first;
    session("top\r" PAUSE SECOND SECOND SECOND " ");
    size_t frames = 0, busy = 0, idle = 0; // what is shown is the last second, not the sum
    for (const char *at = fake.output; (at = strstr(at, "\x1b[Hup ")) != NULL; at++) {
        const char *core = strstr(at, "\n   0 ");
        frames++;
        busy += strncmp(core, "\n   0   75.0%    0.0%    0.0%   25.0% ", 37) == 0;
        idle += strncmp(core, "\n   0    0.0%    0.0%    0.0%  100.0% ", 37) == 0;
    }
    assert_int_equal(frames, 3);
    assert_int_equal(busy, 1);
    assert_int_equal(idle, 2);
}

static void swallows_the_key(void **state)
{
    (void)state;
    session("top\r" PAUSE SECOND "\x1b[A" PAUSE "version\r"); // an arrow key
    expect_printed("\x1b[J\npolyvisor> version\nPolyvisor 1.0-test");
    session("top\r" PAUSE "q" PAUSE "version\r"); // before the first second is over
    expect_printed("ends this\n\npolyvisor> version\nPolyvisor 1.0-test");
}

static void watches_in_few_rows(void **state)
{
    (void)state;
    out_settings.rows = 11; // 4 for both lists
    fake.core_count = 4;
    fake.cores[1].state = PV_CORE_ABSENT;
    fake.cores[2] = (struct pv_core_info){.core = 2, .state = PV_CORE_VMX};
    fake.cores[3] = (struct pv_core_info){.core = 3, .state = PV_CORE_VMX};
    fake.second = let_a_second_pass;
    session("top\r" PAUSE SECOND "q");
    expect_printed("\n   2    0.0%    0.0%    0.0%    0.0%           0             0\x1b[K\nand 1 more\x1b[K\n");
    expect_printed(
        "monitor        running     100 0-1        0.0%    0.0%          0           0\x1b[K\nand 2 more\x1b[K\n");
}

static void measures_for_programs(void **state)
{
    (void)state;
    fake.second = let_a_second_pass;
    expect_json("top --json", "{\"ticks\":1000000000,\"cores\":[{\"core\":0,\"ticks_total\":1000000000,"
                              "\"ticks_idle\":250000000,\"ticks_mux\":0,\"ticks_guest\":750000000,\"ticks_ring3\":0,"
                              "\"switches\":20,\"interrupts\":30},");
    expect_json("top --json", "\"personalities\":[{\"name\":\"tiny\",\"state\":\"running\",\"weight\":100,"
                              "\"cores\":[0,1],\"ticks_guest\":750000000,\"ticks_ring3\":0,\"exits_absorbed\":40,"
                              "\"exits_delivered\":50,\"switches\":10},");
    fake.info.tsc_hz = 0;
    expect("top", "top: the rate of the time stamp counter is not known\n");
}

static void completes_names(void **state)
{
    (void)state;
    session("vmcs t\t3 guest_ri\t\r");
    expect_printed("guest_rip = ");
    session("vmcs tiny/3 con\t\r");
    expect_printed("control fields");
    session("exits t\t\t/3\r"); // tiny, tiny/0, tiny/3
    expect_printed("\ntiny    tiny/0  tiny/3  \n");
    session("sched pol\tfr\t\r");
    expect_printed("policy: frame\n");
    session("sched wei\tti\t7\r");
    expect_printed("tiny: weight 7\n");
    session("pin t\tal\t\r");
    expect_printed("tiny: on cores");
    session("pau\tti\t\r");
    expect_printed("tiny: paused");
    session("vcpus ti\t--\t\r");
    expect_printed("{\"left_out\":0,");
}

/// Whatever is typed, the shell reads on; the sanitizers watch.
static void survives_anything(void **state)
{
    (void)state;
    static const char *const words[] = {"vcpus", "vmcs",    "exits",  "sched",  "pause",     "resume", "pin",
                                        "top",   "tiny",    "tiny/0", "tiny/3", "guest_rip", "weight", "slice",
                                        "1ms",   "policy",  "frame",  "--json", "0-1",       "all",    "\t",
                                        SECOND,  "control", "x/",     "4096",   "ps",        "cores"};
    fake.second = let_a_second_pass;
    type_at_random(words, sizeof(words) / sizeof(words[0]), 200, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tells_of_time_and_guests, shell_set_up),
        cmocka_unit_test_setup(lists_agents, shell_set_up),
        cmocka_unit_test_setup(lists_ports, shell_set_up),
        cmocka_unit_test_setup(lists_devices, shell_set_up),
        cmocka_unit_test_setup(lists_vcpus, shell_set_up),
        cmocka_unit_test_setup(shows_a_field, shell_set_up),
        cmocka_unit_test_setup(shows_a_whole_vmcs, shell_set_up),
        cmocka_unit_test_setup(finds_a_moving_vcpu, shell_set_up),
        cmocka_unit_test_setup(explains_mistakes_about_vcpus, shell_set_up),
        cmocka_unit_test_setup(counts_exits, shell_set_up),
        cmocka_unit_test_setup(shows_scheduling, shell_set_up),
        cmocka_unit_test_setup(changes_scheduling, shell_set_up),
        cmocka_unit_test_setup(refuses_wrong_scheduling, shell_set_up),
        cmocka_unit_test_setup(pauses_and_resumes, shell_set_up),
        cmocka_unit_test_setup(pins, shell_set_up),
        cmocka_unit_test_setup(watches, shell_set_up),
        cmocka_unit_test_setup(watches_on, shell_set_up),
        cmocka_unit_test_setup(swallows_the_key, shell_set_up),
        cmocka_unit_test_setup(watches_in_few_rows, shell_set_up),
        cmocka_unit_test_setup(measures_for_programs, shell_set_up),
        cmocka_unit_test_setup(completes_names, shell_set_up),
        cmocka_unit_test_setup(survives_anything, shell_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
