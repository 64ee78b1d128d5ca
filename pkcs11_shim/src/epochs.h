/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of secrets the inner module has seen: it reads its tokens at C_Initialize. Called with the
 * lock held. */
#ifndef XCA_EPOCHS_H
#define XCA_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

/* The store's generation as it was when the inner module read its tokens; negative: no store could be read.
 */
void epochs_keep(int64_t generation);

void epochs_drop(void);

/* A change that this process made itself, so that the inner module knows of it. */
void epochs_own(const char *number, int64_t epoch);

/* Records the newest generation of the store, and the newest epoch and sequence of this card's record. False:
 * this process has seen newer ones, so an older store was put in the place of the one that it knew. */
bool epochs_forward(int64_t generation, const char *number, int64_t epoch, int64_t sequence);

/* Whether the inner module knows this card's secrets as they have been since that epoch. */
bool epochs_current(const char *number, int64_t epoch);

#endif
