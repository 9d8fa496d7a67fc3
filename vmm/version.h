// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_VERSION_H
#define POLYVISOR_VERSION_H

/// What `git describe` said of the sources.
extern const char version_text[];

#endif
