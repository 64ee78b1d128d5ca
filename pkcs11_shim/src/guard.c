/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include "log.h"
#include "module.h"

#include <errno.h>
#include <string.h>

/* How often C_Finalize has ended every session; read and written with a lock held. */
static unsigned finalized;

static CK_RV guard_read_session(struct guard *guard, bool of_session, CK_SLOT_ID *slot) {
    if (!of_session) {
        return CKR_OK;
    }
    CK_RV rv = inner->C_GetSessionInfo(guard->lock.session, &guard->info);
    if (rv == CKR_OK) {
        *slot = guard->info.slotID;
    }
    return rv;
}

/* Without a lock the label of a card may be half written just now, and look like no label. */
static bool guard_is_in_doubt(const struct lock *lock, const CK_TOKEN_INFO *token) {
    return lock->file < 0 && lock->error != 0 && lock->error != ENOENT && lock->error != ENOTDIR &&
           !card_has_name(token);
}

static CK_RV guard_read_card(struct guard *guard, CK_SLOT_ID slot) {
    CK_TOKEN_INFO token;
    CK_RV rv = inner->C_GetTokenInfo(slot, &token);
    if (rv != CKR_OK) {
        return rv;
    }
    guard->card = card_of_token(slot, &token);
    if (!guard->card.is_card && guard_is_in_doubt(&guard->lock, &token)) {
        log_line(LOG_ERROR, "slot %lu: a token without a name, and the card store's lock: %s", slot,
                 strerror(guard->lock.error));
        return CKR_DEVICE_ERROR;
    }
    return CKR_OK;
}

/*
 * Takes the lock twice. A known token that is no card needs only the first lock, without the file. A call
 * that waits for the file must not keep the session open meanwhile; so it gives the first lock back, and
 * reads everything again with the second.
 */
static CK_RV guard_begin(struct guard *guard, CK_SESSION_HANDLE session, bool of_session, CK_SLOT_ID slot,
                         enum guard_kind kind) {
    CK_TOKEN_INFO token;
    *guard = (struct guard){.kind = kind, .lock = {.kind = LOCK_SESSION, .session = session}};
    if (!lock_take(&guard->lock)) {
        return CKR_DEVICE_ERROR;
    }
    CK_RV rv = guard_read_session(guard, of_session, &slot);
    if (rv == CKR_OK && kind != GUARD_LAST_TRY && card_reads_stranger(slot, &token)) {
        lock_pass(&guard->lock, slot);
        guard->held = true;
        return CKR_OK;
    }
    CK_SLOT_ID first_slot = slot;
    unsigned first_finalized = finalized;
    lock_release(&guard->lock);
    if (rv != CKR_OK) {
        return rv;
    }

    guard->lock.kind = kind == GUARD_OBJECT ? LOCK_LOOKING : LOCK_DECIDING;
    if (!lock_take(&guard->lock)) {
        return CKR_DEVICE_ERROR;
    }
    guard->held = true;
    rv = guard_read_session(guard, of_session, &slot);
    if (rv == CKR_OK) {
        rv = guard_read_card(guard, slot);
    }
    if (rv == CKR_OK && (finalized != first_finalized || slot != first_slot)) {
        /* Another session or token has the number now; the caller's is gone. */
        rv = of_session ? CKR_SESSION_HANDLE_INVALID : CKR_DEVICE_REMOVED;
    }
    if (rv != CKR_OK) {
        return guard_end(guard, rv);
    }
    if (!guard->card.is_card && kind != GUARD_LAST_TRY) {
        lock_pass(&guard->lock, slot);
    } else if (kind == GUARD_OBJECT) {
        lock_leave_file(&guard->lock);
    }
    return CKR_OK;
}

CK_RV guard_session(struct guard *guard, CK_SESSION_HANDLE session, enum guard_kind kind) {
    return guard_begin(guard, session, true, 0, kind);
}

CK_RV guard_slot(struct guard *guard, CK_SLOT_ID slot, enum guard_kind kind) {
    return guard_begin(guard, CK_INVALID_HANDLE, false, slot, kind);
}

CK_RV guard_end(struct guard *guard, CK_RV rv) {
    if (guard->held) {
        lock_release(&guard->lock);
        guard->held = false;
    }
    return rv;
}

void guard_forget_sessions(void) {
    finalized++;
}
