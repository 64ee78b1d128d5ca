/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include "lock.h"
#include "module.h"

#include <string.h>

struct card card_of_token(const CK_TOKEN_INFO *inner_token) {
    const size_t prefix = sizeof XCA_INNER_LABEL - 1;
    struct card card = {.is_card = memcmp(inner_token->label, XCA_INNER_LABEL, prefix) == 0};
    if (card.is_card) {
        const CK_UTF8CHAR *number = inner_token->label + prefix;
        size_t length = sizeof inner_token->label - prefix;
        while (length > 0 && number[length - 1] == ' ') {
            length--;
        }
        if (length == XCA_CARD_NUMBER_LENGTH) {
            memcpy(card.number, number, length);
        }
    }
    return card;
}

CK_RV card_in_slot(CK_SLOT_ID slot, struct card *card) {
    struct lock lock;
    /* Shared: SoftHSM rewrites its token file at every login, and half of it would be no label. */
    if (!lock_take(&lock, LOCK_SHARED, LOCK_DECIDING_MS)) {
        return CKR_DEVICE_ERROR;
    }
    CK_TOKEN_INFO info;
    CK_RV rv = inner->C_GetTokenInfo(slot, &info);
    lock_release(&lock);
    if (rv == CKR_OK) {
        *card = card_of_token(&info);
    }
    return rv;
}

CK_RV card_of_session(CK_SESSION_HANDLE session, CK_SESSION_INFO *info, struct card *card) {
    CK_RV rv = inner->C_GetSessionInfo(session, info);
    return rv == CKR_OK ? card_in_slot(info->slotID, card) : rv;
}
