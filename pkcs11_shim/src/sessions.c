/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that end a session or a login. They wait for the calls under way that rely on that session or
 * login. C_Finalize, which ends all of them, is in lifecycle.c. */
#include "hashing.h"
#include "lock.h"
#include "module.h"

CK_RV card_C_Logout(CK_SESSION_HANDLE session) {
    struct lock lock = {.kind = LOCK_LOGOUT, .session = session};
    if (!lock_take(&lock)) {
        return CKR_FUNCTION_FAILED;
    }
    CK_RV rv = inner->C_Logout(session);
    lock_release(&lock);
    return rv;
}

CK_RV card_C_CloseSession(CK_SESSION_HANDLE session) {
    struct lock lock = {.kind = LOCK_CLOSE_SESSION, .session = session};
    if (!lock_take(&lock)) {
        return CKR_FUNCTION_FAILED;
    }
    hashing_forget(session);
    CK_RV rv = inner->C_CloseSession(session);
    lock_release(&lock);
    return rv;
}

CK_RV card_C_CloseAllSessions(CK_SLOT_ID slot) {
    struct lock lock = {.kind = LOCK_CLOSE_SLOT, .slot = slot};
    if (!lock_take(&lock)) {
        return CKR_FUNCTION_FAILED;
    }
    hashing_forget_slot(slot);
    CK_RV rv = inner->C_CloseAllSessions(slot);
    lock_release(&lock);
    return rv;
}
