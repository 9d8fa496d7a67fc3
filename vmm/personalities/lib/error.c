// SPDX-License-Identifier: Apache-2.0
#include "personality.h"

const char *pv_error_name(int64_t error)
{
    static const char *const names[] = {
        "PV_OK",          "PV_ERR_INVALID", "PV_ERR_FAULT",      "PV_ERR_DENIED", "PV_ERR_NOT_FOUND",   "PV_ERR_QUOTA",
        "PV_ERR_TIMEOUT", "PV_ERR_STATE",   "PV_ERR_NO_SYSCALL", "PV_ERR_GP",     "PV_ERR_UNSUPPORTED", "PV_ERR_ENTRY",
        "PV_ERR_AGAIN",
    };
    const uint64_t index = 0 - (uint64_t)error;
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown error";
}
