/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include "lock.h"
#include "module.h"

#include <string.h>

/* Tokens that are no cards, as this thread last read them whole. By thread, so that no lock is needed. */
#define STRANGERS 8
static _Thread_local struct {
    bool known;
    CK_SLOT_ID slot;
    CK_TOKEN_INFO info;
} strangers[STRANGERS];

static bool same_token(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b) {
    return memcmp(a->label, b->label, sizeof a->label) == 0 &&
           memcmp(a->serialNumber, b->serialNumber, sizeof a->serialNumber) == 0;
}

bool card_reads_stranger(CK_SLOT_ID slot, CK_TOKEN_INFO *inner_token) {
    size_t place = slot % STRANGERS;
    return strangers[place].known && strangers[place].slot == slot &&
           inner->C_GetTokenInfo(slot, inner_token) == CKR_OK &&
           same_token(inner_token, &strangers[place].info);
}

struct card card_of_token(CK_SLOT_ID slot, const CK_TOKEN_INFO *inner_token) {
    const size_t prefix = sizeof XCA_INNER_LABEL - 1;
    struct card card = {.is_card = memcmp(inner_token->label, XCA_INNER_LABEL, prefix) == 0};
    size_t place = slot % STRANGERS;
    /* A token without a name may be a card whose file is just being written: it is never taken for known. */
    strangers[place].known =
        !card.is_card && inner_token->label[0] != ' ' && inner_token->serialNumber[0] != ' ';
    strangers[place].slot = slot;
    strangers[place].info = *inner_token;
    if (!card.is_card) {
        return card;
    }
    const CK_UTF8CHAR *number = inner_token->label + prefix;
    size_t length = sizeof inner_token->label - prefix;
    while (length > 0 && number[length - 1] == ' ') {
        length--;
    }
    if (length == XCA_CARD_NUMBER_LENGTH) {
        memcpy(card.number, number, length);
    }
    return card;
}

CK_RV card_in_slot(CK_SLOT_ID slot, struct card *card) {
    CK_TOKEN_INFO info;
    *card = (struct card){.is_card = false};
    if (card_reads_stranger(slot, &info)) {
        return CKR_OK;
    }
    struct lock lock;
    /* Shared: SoftHSM rewrites its token file at every login, and half of it would be no label. */
    if (!lock_take(&lock, LOCK_SHARED, LOCK_DECIDING_MS)) {
        return CKR_DEVICE_ERROR;
    }
    CK_RV rv = inner->C_GetTokenInfo(slot, &info);
    if (rv == CKR_OK) {
        *card = card_of_token(slot, &info);
    }
    lock_release(&lock);
    return rv;
}

CK_RV card_of_session(CK_SESSION_HANDLE session, CK_SESSION_INFO *info, struct card *card) {
    CK_RV rv = inner->C_GetSessionInfo(session, info);
    return rv == CKR_OK ? card_in_slot(info->slotID, card) : rv;
}
