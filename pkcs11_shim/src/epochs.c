/* SPDX-License-Identifier: Apache-2.0 */
#include "epochs.h"

#include "rules.h"

#include <stddef.h>
#include <string.h>

#define PLACES 32

static int64_t seen;
static bool known;

/* Of more changes than places the oldest is forgotten: its card then asks for a new C_Initialize. */
static struct {
    char number[XCA_CARD_NUMBER_LENGTH + 1];
    int64_t epoch;
} own[PLACES];
static size_t next;

void epochs_keep(int64_t generation) {
    epochs_drop();
    seen = generation;
    known = true;
}

void epochs_drop(void) {
    memset(own, 0, sizeof own);
    known = false;
}

void epochs_own(const char *number, int64_t epoch) {
    memcpy(own[next].number, number, sizeof own[next].number);
    own[next].epoch = epoch;
    next = (next + 1) % PLACES;
}

bool epochs_current(const char *number, int64_t epoch) {
    if (!known) {
        return false;
    }
    for (size_t i = 0; i < PLACES; i++) {
        if (own[i].epoch == epoch && strcmp(own[i].number, number) == 0) {
            return true;
        }
    }
    return epoch <= seen;
}
