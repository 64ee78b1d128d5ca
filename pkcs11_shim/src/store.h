/* SPDX-License-Identifier: Apache-2.0 */
/* The card store (record.h): opened for one decision, with the lock held, and closed again. */
#ifndef XCA_STORE_H
#define XCA_STORE_H

#include "cryptoki.h"

#include <stdbool.h>
#include <stdint.h>

enum secret { SECRET_PIN, SECRET_USER_CODE };

struct store;

struct store_row {
    char reader[128 + 1]; /* CK_SLOT_INFO.slotDescription shows 64 bytes of it */
    char model[32 + 1];   /* CK_TOKEN_INFO.model shows 16 */
    bool activated;
    bool lapsed;
    int tries[2]; /* left, by secret */
    int64_t epoch;
    bool pending;
};

/* What a settled decision leaves behind. */
struct store_outcome {
    bool give_back; /* the secret was not looked at: one try back */
    bool fill;      /* the secret was right, or is new: all tries */
    bool activate;
    bool changed;   /* a secret has changed */
    bool unchanged; /* it certainly has not: what was begun is over */
    const char *event;
    CK_RV result;
    int64_t epoch; /* of the change, once settled */
};

/* NULL, with a line in the log, when there is no store that can be used. */
struct store *store_open(bool for_writing);
void store_close(struct store *store);

/* For the child of a fork: closes the store without unlocking it, since the decision goes on in the parent.
 */
void store_close_in_child(void);

/* Finds the card that the calls after it are about. False, with a line in the log, when there is no row that
 * can be used, or an older store was put in the place of the one that this process knows. */
bool store_read(struct store *store, const char *number, struct store_row *row);

/* Each is durable when it is true; false, with a line in the log, when that is not certain. */
bool store_end_pending(struct store *store);
bool store_spend(struct store *store, enum secret secret, bool begins_change);
bool store_begin_change(struct store *store);
bool store_settle(struct store *store, enum secret secret, struct store_outcome *outcome);

/* The generation of the store that is at its path. */
bool store_generation(int64_t *generation);

#endif
