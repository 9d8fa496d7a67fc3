// SPDX-License-Identifier: Apache-2.0
/// The clock of a PC (MC146818) with its CMOS memory.
#ifndef POLYVISOR_DEVICES_RTC_H
#define POLYVISOR_DEVICES_RTC_H

#include "devices/device.h"

enum { RTC_INDEX_PORT = 0x70, RTC_DATA_PORT = 0x71, RTC_RAM = 128 };

struct rtc {
    uint64_t hz;     ///< ticks a second
    uint64_t origin; ///< tick at which the clock showed `epoch`
    int64_t epoch;   ///< seconds since 1970
    uint8_t index;
    uint8_t ram[RTC_RAM]; ///< alarm, registers A and B, memory; the time itself is computed
    uint8_t flags;        ///< register C without its uppermost bit
    uint64_t second;      ///< the last one that was looked at, counted from `origin`
    uint64_t period;      ///< the same for periodic interrupts
    struct dev_line interrupt;
};

/// A clock that shows `epoch` at tick `now`.
void rtc_init(struct rtc *rtc, uint64_t hz, uint64_t now, int64_t epoch, struct dev_line interrupt);

/// The RESET pin: no interrupts; time, alarm and memory stay (MC146818, "RESET").
void rtc_reset(struct rtc *rtc);

/// When rtc_advance has to be called next, or DEV_NEVER while no interrupt is enabled.
uint64_t rtc_deadline(const struct rtc *rtc);
void rtc_advance(struct rtc *rtc, uint64_t now);

/// Accesses to ports 0x70 and 0x71.
uint8_t rtc_read(struct rtc *rtc, uint16_t port, uint64_t now);
void rtc_write(struct rtc *rtc, uint16_t port, uint8_t value, uint64_t now);

#endif
