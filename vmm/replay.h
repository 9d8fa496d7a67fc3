// SPDX-License-Identifier: Apache-2.0
/// What a terminal may see again of a console's kept output. Some sequences make it answer, and the answer is typed into whoever has the
/// focus: right for a guest that asks now, wrong for a question of long ago. Of escape sequences those pass that draw, move or
/// set modes; all others, and control strings, are left out. Pure; host-tested.
/// Source: ECMA-48, 5th edition, 5 and 8.3; xterm, "XTerm Control Sequences".
#ifndef POLYVISOR_REPLAY_H
#define POLYVISOR_REPLAY_H

#include <stddef.h>

enum { REPLAY_HELD = 64 }; ///< bytes of a sequence; longer ones are left out

enum replay_state { REPLAY_TEXT, REPLAY_ESCAPE, REPLAY_CONTROL, REPLAY_STRING };

/// Begins as zeros. A sequence is held back until its last byte says what it is.
struct replay {
    enum replay_state state;
    char last; ///< of what has passed
    size_t used;
    char held[REPLAY_HELD];
};

/// Takes a byte. Returns how many bytes pass now; they are in out[REPLAY_HELD].
size_t replay_byte(struct replay *replay, char c, char *out);

/// The end of what is old: takes out what is held back, since what comes next may complete it. Returns how many bytes.
size_t replay_end(struct replay *replay, char *out);

#endif
