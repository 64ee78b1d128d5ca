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

/* The newest generation of the store, and the newest epoch and sequence of its cards, that this process has
 * read or written. Of more cards than places the oldest is forgotten. */
static int64_t newest;
static struct {
    char number[XCA_CARD_NUMBER_LENGTH];
    int64_t epoch, sequence;
} met[PLACES];
static size_t next_met;

void epochs_keep(int64_t generation) {
    epochs_drop();
    seen = newest = generation;
    known = true;
}

void epochs_drop(void) {
    memset(own, 0, sizeof own);
    memset(met, 0, sizeof met);
    newest = 0;
    known = false;
}

void epochs_own(const char *number, int64_t epoch) {
    memcpy(own[next].number, number, sizeof own[next].number);
    own[next].epoch = epoch;
    next = (next + 1) % PLACES;
}

bool epochs_forward(int64_t generation, const char *number, int64_t epoch, int64_t sequence) {
    size_t place = 0;
    while (place < PLACES && memcmp(met[place].number, number, sizeof met[place].number) != 0) {
        place++;
    }
    if (place == PLACES) {
        place = next_met;
        next_met = (next_met + 1) % PLACES;
        memset(&met[place], 0, sizeof met[place]);
        memcpy(met[place].number, number, sizeof met[place].number);
    }
    if (generation < newest || epoch < met[place].epoch ||
        (epoch == met[place].epoch && sequence < met[place].sequence)) {
        return false;
    }
    met[place].epoch = epoch;
    met[place].sequence = sequence;
    newest = generation;
    return true;
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
