/* SPDX-License-Identifier: Apache-2.0 */
/* Which token is a card: the one whose label in the inner module says so. */
#ifndef XCA_CARD_H
#define XCA_CARD_H

#include "cryptoki.h"
#include "rules.h"

#include <stdbool.h>

struct card {
    bool is_card; /* false: another token, to which calls are forwarded */
    char number[XCA_CARD_NUMBER_LENGTH +
                1]; /* empty for a label with no card number in it: no store has a row for it */
};

/* Tells by the inner module's token information, read with the lock held; remembers a token that is no card.
 */
struct card card_of_token(CK_SLOT_ID slot, const CK_TOKEN_INFO *inner_token);

/*
 * Reads the token information of a slot without the lock. True: it is a token that this thread has read
 * before, and it is no card. False: the caller reads it with the lock held.
 */
bool card_reads_stranger(CK_SLOT_ID slot, CK_TOKEN_INFO *inner_token);

/* Whether it is the card of this number, which is not empty. */
bool card_has_number(const CK_TOKEN_INFO *inner_token, const char *number);

/* False: it may be a card whose file is just being written. */
bool card_has_name(const CK_TOKEN_INFO *token);

#endif
