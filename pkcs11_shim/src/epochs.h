/* SPDX-License-Identifier: Apache-2.0 */
/* Each card's epoch as it was when the inner module read its tokens, at C_Initialize. Called with the lock
 * held. */
#ifndef XCA_EPOCHS_H
#define XCA_EPOCHS_H

#include "rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch {
    char number[XCA_CARD_NUMBER_LENGTH + 1];
    int64_t epoch;
};

struct epochs {
    struct epoch *cards; /* ordered by number */
    size_t count;
};

/* True once C_Initialize has left something here, until C_Finalize. */
bool epochs_known(void);

/* Takes what `fresh` holds and leaves it empty. */
void epochs_keep(struct epochs *fresh);

void epochs_drop(void);

/* The entry of a card; NULL for a card that C_Initialize did not see. */
struct epoch *epochs_find(const char *number);

#endif
