/* SPDX-License-Identifier: Apache-2.0 */
/* The card store (schema.sql): opened for one decision, with the lock held, and closed again. */
#ifndef XCA_STORE_H
#define XCA_STORE_H

#include "cryptoki.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum secret { SECRET_PIN, SECRET_USER_CODE };

struct row {
    char reader[128]; /* CK_SLOT_INFO.slotDescription shows 64 bytes of it */
    char model[32];   /* CK_TOKEN_INFO.model shows 16 */
    bool activated;
    bool lapsed;
    int tries[2]; /* left, by secret */
    int64_t epoch;
    bool pending;
};

/* What a settled decision leaves behind. */
struct outcome {
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
sqlite3 *store_open(void);
void store_close(sqlite3 *store);

/* Each is false, with a line in the log, on failure; a failed write has changed nothing. */
bool store_read(sqlite3 *store, const char *number, struct row *row);

/* After a row was read, which only a store of our version lets happen, and before anything is written. */
bool store_make_writable(sqlite3 *store);
bool store_end_pending(sqlite3 *store, const char *number);
bool store_spend(sqlite3 *store, const char *number, enum secret secret, bool begins_change);
bool store_begin_change(sqlite3 *store, const char *number);
bool store_settle(sqlite3 *store, const char *number, enum secret secret, struct outcome *outcome);

/* The generation of the store that is at its path; what killed processes left pending is ended first. */
bool store_generation(int64_t *generation);

#endif
