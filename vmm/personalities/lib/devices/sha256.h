// SPDX-License-Identifier: Apache-2.0
/// SHA-256. Source: FIPS 180-4.
#ifndef POLYVISOR_DEVICES_SHA256_H
#define POLYVISOR_DEVICES_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32 };

void sha256(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);

#endif
