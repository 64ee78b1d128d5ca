/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include "module.h"

#include <string.h>

/*
 * Tokens that are no cards, as this thread last read them whole. A token that still has the same label and
 * serial number is still no card: the half-written file of a card's token shows neither. Each thread keeps
 * its own, so that no lock is needed.
 */
#define STRANGERS 8
static _Thread_local struct {
    bool known;
    CK_SLOT_ID slot;
    CK_TOKEN_INFO info;
} strangers[STRANGERS];

static bool card_same_token(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b) {
    return memcmp(a->label, b->label, sizeof a->label) == 0 &&
           memcmp(a->serialNumber, b->serialNumber, sizeof a->serialNumber) == 0;
}

bool card_reads_stranger(CK_SLOT_ID slot, CK_TOKEN_INFO *inner_token) {
    size_t place = slot % STRANGERS;
    return strangers[place].known && strangers[place].slot == slot &&
           inner->C_GetTokenInfo(slot, inner_token) == CKR_OK &&
           card_same_token(inner_token, &strangers[place].info);
}

bool card_has_name(const CK_TOKEN_INFO *token) {
    return token->label[0] != ' ' && token->serialNumber[0] != ' ';
}

/* The card's number in a token's label; empty for a label with no card number in it. */
static void card_number(const CK_TOKEN_INFO *token, char number[XCA_CARD_NUMBER_LENGTH + 1]) {
    const size_t prefix = sizeof XCA_INNER_LABEL - 1;
    const CK_UTF8CHAR *at = token->label + prefix;
    size_t length = sizeof token->label - prefix;
    while (length > 0 && at[length - 1] == ' ') {
        length--;
    }
    memset(number, 0, XCA_CARD_NUMBER_LENGTH + 1);
    if (length == XCA_CARD_NUMBER_LENGTH) {
        memcpy(number, at, length);
    }
}

static bool card_is(const CK_TOKEN_INFO *token) {
    return memcmp(token->label, XCA_INNER_LABEL, sizeof XCA_INNER_LABEL - 1) == 0;
}

bool card_has_number(const CK_TOKEN_INFO *inner_token, const char *number) {
    char found[XCA_CARD_NUMBER_LENGTH + 1];
    card_number(inner_token, found);
    return card_is(inner_token) && strcmp(found, number) == 0;
}

struct card card_of_token(CK_SLOT_ID slot, const CK_TOKEN_INFO *inner_token) {
    struct card card = {.is_card = card_is(inner_token)};
    size_t place = slot % STRANGERS;
    strangers[place].known = !card.is_card && card_has_name(inner_token);
    strangers[place].slot = slot;
    strangers[place].info = *inner_token;
    if (card.is_card) {
        card_number(inner_token, card.number);
    }
    return card;
}
